"""Jobs that run together in one call: their lists put into one, its result taken apart.  Pure."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from msgspec.structs import replace as with_

from windlass.core.capture import error_info
from windlass.core.signature import Signature
from windlass.errors import BadBatchResult
from windlass.model.jobs import Claim
from windlass.model.outcomes import Failed, Outcome, Succeeded


class Together:
    """Several claims as one.

    refused: those whose arguments cannot be read, with their outcomes; the others go on.
    claims:  those that run, in order.
    claim:   stands for them all, with one list of all their items; None if none is left.
    """

    def __init__(self, signature: Signature, claims: Sequence[Claim], limit_bytes: int) -> None:
        self._signature = signature
        self._limit_bytes = limit_bytes
        self.refused: list[tuple[Claim, Outcome]] = []
        self.claims: list[Claim] = []
        self._counts: list[int] = []
        items: list[Any] = []
        for claim in claims:
            try:
                args, kwargs = signature.decode(claim.payload, claim.fingerprint)
                [own] = args or kwargs.values()
            except Exception as error:  # an upcaster may raise anything, and harms its job alone
                self.refused.append((claim, Failed(error_info(error), retryable=False)))
                continue
            self.claims.append(claim)
            self._counts.append(len(own))
            items += own
        self.claim: Claim | None = None
        if self.claims:
            payload = signature.encode((items,), {}, limit_bytes=len(claims) * limit_bytes)
            first = self.claims[0]
            self.claim = with_(first, payload=payload, fingerprint=signature.fingerprint)

    def apart(self, outcome: Outcome) -> list[tuple[Claim, Outcome]]:
        """Return what the outcome of the one call is for each job."""
        if not isinstance(outcome, Succeeded) or outcome.result is None:
            return [(claim, outcome) for claim in self.claims]
        try:
            results = self._own_results(outcome.result)
        except Exception as error:  # a serializer of a user may raise anything; no job may hang
            failed = Failed(error_info(error), retryable=False)
            return [(claim, failed) for claim in self.claims]
        return [(claim, Succeeded(own)) for claim, own in zip(self.claims, results, strict=True)]

    def _own_results(self, result: bytes) -> list[bytes | None]:
        values = self._signature.decode_result(result)
        wanted = sum(self._counts)
        if not isinstance(values, list) or len(values) != wanted:
            raise BadBatchResult(self._signature.task, wanted, _told(values))
        rest = iter(values)
        return [
            self._signature.encode_result(list(islice(rest, count)), self._limit_bytes)
            for count in self._counts
        ]


def _told(values: object) -> str:
    return f"{len(values)} values" if isinstance(values, list) else type(values).__name__
