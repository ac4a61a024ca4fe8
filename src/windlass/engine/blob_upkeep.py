"""Blob upkeep: deletes the large results to which nothing refers, and nothing ever will."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from windlass.core.references import attempt_of, is_needed
from windlass.engine.watchdog import Pulse
from windlass.errors import BlobsUnavailable, UnavailableError
from windlass.model.blobs import Blob
from windlass.model.jobs import Finished, Job, JobId
from windlass.ports import Blobs, Store

log = logging.getLogger("windlass.upkeep")

ROUND_PAUSE_S = 60.0
PAGE_PAUSE_S = 1.0
ANSWER_LIMIT_S = 60.0


class BlobUpkeep:
    """Looks at all blobs of a store, a page at a time, again and again.

    They go after the result's time, after a prune or a purge, and those of attempts that
    never settled.  Any number of processes may do this at once: ``core.references.is_needed``
    says why a blob that it lets go cannot come to be needed.
    Cost: for a page of blobs, one read of results, and one of each job that has none.
    """

    def __init__(self, store: Store, blobs: Blobs, space: str, pulse: Pulse) -> None:
        self._store = store
        self._blobs = blobs
        self._space = space
        self._pulse = pulse

    async def run(self) -> None:
        """Look for ever; an outage only makes it wait."""
        while True:
            try:
                await self.look()
            except UnavailableError as error:
                log.warning("unneeded large results wait: %s", error)
            except Exception:
                log.exception("unneeded large results stay; the next look is in a minute")
            self._pulse.beat(ROUND_PAUSE_S)
            await asyncio.sleep(ROUND_PAUSE_S)

    async def look(self) -> int:
        """Look at all blobs once; return how many were deleted.

        Raises: BlobsUnavailable, StoreUnavailable.
        """
        deleted = 0
        async with aclosing(self._blobs.list(self._space)) as pages:
            while True:
                self._pulse.beat(ANSWER_LIMIT_S)
                try:
                    async with asyncio.timeout(ANSWER_LIMIT_S):
                        page = await anext(pages, None)
                        deleted += 0 if page is None else await self._look_at(page)
                except TimeoutError as error:
                    why = f"no answer within {ANSWER_LIMIT_S:g} s"
                    raise BlobsUnavailable(self._blobs.url, why) from error
                if page is None:
                    break
                self._pulse.beat(PAGE_PAUSE_S)
                await asyncio.sleep(PAGE_PAUSE_S)
        if deleted:
            log.info("%d large results were not needed any more", deleted)
        return deleted

    async def _look_at(self, page: Sequence[Blob]) -> int:
        attempts = {blob.key: attempt for blob in page if (attempt := attempt_of(blob.key))}
        jobs = await self._jobs({job_id for job_id, _ in attempts.values()})
        unneeded = [
            key for key, (job_id, fence) in attempts.items() if not is_needed(fence, jobs[job_id])
        ]
        if unneeded:
            await self._blobs.delete(unneeded)
        return len(unneeded)

    async def _jobs(self, ids: set[JobId]) -> dict[JobId, Job | Finished | None]:
        ended = await self._store.results(sorted(ids))
        return {one: ended.get(one) or await self._store.get(one) for one in ids}
