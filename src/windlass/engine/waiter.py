"""The waiter: one look at the store serves everybody in this process who waits for a result."""

import asyncio
from collections.abc import Sequence

from windlass.errors import UnavailableError
from windlass.model.jobs import Finished, JobId
from windlass.model.topics import DONE
from windlass.ports import Bell, Store

POLL_S = 0.5
LOOK_BATCH = 1_000
QUIET_S = 0.002  # looks are at least this far apart, however often the bell rings


class Waiter:
    """Waits for terminal states.  Its task runs only while somebody waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._futures: dict[JobId, asyncio.Future[Finished]] = {}
        self._waiting: dict[JobId, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._bell: Bell | None = None

    async def close(self) -> None:
        """Stop; every waiter gets a CancelledError."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for future in self._futures.values():
            future.cancel()
        if self._bell is not None:
            self._bell.close()

    async def wait(
        self, job_ids: Sequence[JobId], timeout_s: float | None
    ) -> dict[JobId, Finished]:
        """Return those that ended within the time; all of them if there is no limit."""
        if self._bell is None:
            self._bell = self._store.listen([DONE])
        futures = [self._join(job_id) for job_id in dict.fromkeys(job_ids)]
        try:
            done, _ = await asyncio.wait(futures, timeout=timeout_s) if futures else (set(), set())
            for future in done:
                future.result()  # a store that went away for good tells it here
            return {f.result().job_id: f.result() for f in futures if f in done}
        finally:
            for job_id in dict.fromkeys(job_ids):
                self._part(job_id)

    def _join(self, job_id: JobId) -> "asyncio.Future[Finished]":
        self._waiting[job_id] = self._waiting.get(job_id, 0) + 1
        if job_id not in self._futures:
            self._futures[job_id] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="windlass-waiter")
        return self._futures[job_id]

    def _part(self, job_id: JobId) -> None:
        self._waiting[job_id] -= 1
        if not self._waiting[job_id]:
            del self._waiting[job_id], self._futures[job_id]

    async def _watch(self) -> None:
        assert self._bell is not None
        while self._futures:
            try:
                await self._look()
            except Exception as error:  # told to those who wait, who would hang otherwise
                self._fail(error)
                return
            await asyncio.sleep(QUIET_S)
            if any(not future.done() for future in self._futures.values()):
                await self._bell.wait(POLL_S)

    def _fail(self, error: Exception) -> None:
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)

    async def _look(self) -> None:
        pending = [job_id for job_id, future in self._futures.items() if not future.done()]
        for start in range(0, len(pending), LOOK_BATCH):
            try:
                ended = await self._store.results(pending[start : start + LOOK_BATCH])
            except UnavailableError:
                return  # an outage: the next look, after the poll interval, tries again
            for job_id, finished in ended.items():
                future = self._futures.get(job_id)
                if future is not None and not future.done():
                    future.set_result(finished)
