"""Jobs that run together in one call: their lists put into one, its result taken apart.  Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace as with_

from windlass.core.capture import error_info
from windlass.core.signature import Signature
from windlass.errors import BadBatchResult, UsageError
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
            except UsageError as error:
                self.refused.append((claim, Failed(error_info(error), retryable=False)))
                continue
            [own] = args or kwargs.values()
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
        values = self._signature.decode_result(outcome.result)
        wanted = sum(self._counts)
        if not isinstance(values, list) or len(values) != wanted:
            broke = BadBatchResult(self._signature.task, wanted, _told(values))
            failed = Failed(error_info(broke), retryable=False)
            return [(claim, failed) for claim in self.claims]
        told: list[tuple[Claim, Outcome]] = []
        start = 0
        for claim, count in zip(self.claims, self._counts, strict=True):
            own = values[start : start + count]
            start += count
            result = self._signature.encode_result(own, self._limit_bytes)
            told.append((claim, Succeeded(result)))
        return told


def _told(values: object) -> str:
    return f"{len(values)} values" if isinstance(values, list) else type(values).__name__
