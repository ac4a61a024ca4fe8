"""Large results: put among the blobs before their job is settled, fetched for who asks."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace as with_

from windlass.core.references import (
    is_reference,
    key_of,
    reference_frame,
    reference_in,
    space_of,
)
from windlass.errors import LargeResultLost, LargeResultsOff, UnavailableError
from windlass.model.blobs import Reference
from windlass.model.jobs import Claim, Finished, Input, JobId
from windlass.model.outcomes import Outcome, Succeeded
from windlass.ports import Blobs

log = logging.getLogger("windlass.worker")

BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.05, 1.0
FETCHES_MAX = 8
Ends = Sequence[tuple[Claim, Outcome]]


class LargeResults:
    """The way to the large results of one store; or none, where nothing is set.

    blobs:        makes the blobs, at the first use; None where large results are off.
    store_url:    of the store whose rows refer to them.
    inline_bytes: results up to this size stay in their rows.
    """

    def __init__(
        self,
        blobs: Callable[[], Blobs] | None = None,
        *,
        store_url: str = "",
        inline_bytes: int = 0,
    ) -> None:
        self._make = blobs
        self._blobs: Blobs | None = None
        self._inline_bytes = inline_bytes
        self.space = space_of(store_url)
        self.are_kept = blobs is not None

    @property
    def blobs(self) -> Blobs | None:
        """The blobs; None where large results are off.  Raises: MissingExtra, BadLargeResults."""
        if self._blobs is None and self._make is not None:
            self._blobs = self._make()
        return self._blobs

    # -- putting -------------------------------------------------------------

    def must_take(self, outcome: Outcome | None) -> bool:
        """Tell whether an outcome's result is too large for its row."""
        if type(outcome) is not Succeeded or outcome.result is None:
            return False
        return len(outcome.result) > self._inline_bytes

    async def kept(self, ends: Ends) -> Ends:
        """Put what is too large among the blobs; return the outcomes with references in place.

        An outage makes it wait, however long: the attempts keep their slot, and lose nothing.
        """
        return [(claim, await self._kept(claim, outcome)) for claim, outcome in ends]

    async def _kept(self, claim: Claim, outcome: Outcome) -> Outcome:
        if not self.must_take(outcome):
            return outcome
        assert isinstance(outcome, Succeeded)
        assert outcome.result is not None
        data = outcome.result
        reference = Reference(self.space, claim.fence, len(data), await _sha256(data))
        await self._put(claim.job_id, key_of(self.space, claim.job_id, claim.fence), data)
        return Succeeded(reference_frame(reference))

    async def _put(self, job_id: JobId, key: str, data: bytes) -> None:
        assert self.blobs is not None
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                return await self.blobs.put(key, data)
            except UnavailableError as error:
                log.warning("the result of job %s waits: %s", job_id, error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_LAST_S)

    # -- fetching ------------------------------------------------------------

    async def whole(self, finished: Finished) -> Finished:
        """Return how a job ended with its result, also where that lies among the blobs.

        Raises: LargeResultsOff, LargeResultLost, BlobsUnavailable, MissingExtra.
        """
        if not is_reference(finished.result):
            return finished
        data = await self._fetch(finished.job_id, finished.task, finished.result)
        return with_(finished, result=data)

    async def whole_inputs(self, inputs: Sequence[Input]) -> list[Input]:
        """Return what other jobs give with the results; one after another.

        Raises: as ``whole``.
        """
        return [
            with_(one, result=await self._fetch(one.parent, one.task, one.result))
            if is_reference(one.result)
            else one
            for one in inputs
        ]

    async def _fetch(self, job_id: JobId, task: str, frame: bytes | None) -> bytes:
        assert frame is not None
        try:
            reference = reference_in(frame)
        except msgspec.DecodeError as error:
            raise LargeResultLost(
                job_id, task, "?", f"its reference is damaged: {error}"
            ) from error
        if self.blobs is None:
            raise LargeResultsOff(job_id, reference.size_bytes)
        key = key_of(reference.space, job_id, reference.fence)
        data = await self.blobs.get(key, reference.size_bytes + 1)
        fault = await _fault(data, reference)
        if fault is not None:
            raise LargeResultLost(job_id, task, f"{self.blobs.url}/{key}", fault)
        assert data is not None
        return data


async def _fault(data: bytes | None, reference: Reference) -> str | None:
    if data is None:
        return "there is no such blob"
    if len(data) != reference.size_bytes:
        return f"the blob has not the {reference.size_bytes:,} bytes that were put there"
    if await _sha256(data) != reference.sha256:
        return "the blob's bytes are not those that were put there (SHA-256)"
    return None


async def _sha256(data: bytes) -> str:
    """Hash beside the event loop: 64 MiB take it a tenth of a second."""
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
