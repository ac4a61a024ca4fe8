"""The waiter: one look at the store serves everybody in this process who waits for a result.

Whoever joins is looked up at once, together with all who join in the same turn of the event
loop; those who are left are looked up when a job somewhere ended.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence

from windlass.errors import UnavailableError
from windlass.model.jobs import Finished, JobId
from windlass.model.topics import DONE
from windlass.ports import Bell, Store

POLL_S = 0.5
MANY = 2_000  # above so many, looks without a bell are rarer: their cost stays the same
LOOK_BATCH = 1_000
QUIET_S = 0.002  # looks are at least this far apart, however often the bell rings


class Waiter:
    """Waits for terminal states.  Its tasks run only while somebody waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._futures: dict[JobId, asyncio.Future[Finished]] = {}
        self._waiting: dict[JobId, int] = {}
        self._newcomers: list[JobId] = []  # not looked up yet
        self._watching: asyncio.Task[None] | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._bell: Bell | None = None

    async def close(self) -> None:
        """Stop; every waiter gets a CancelledError."""
        tasks = [task for task in (self._watching, self._greeting) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for future in self._futures.values():
            future.cancel()
        if self._bell is not None:
            self._bell.close()

    async def wait(
        self, job_ids: Sequence[JobId], timeout_s: float | None
    ) -> dict[JobId, Finished]:
        """Return those that ended within the time; all of them if there is no limit."""
        futures = [self._join(job_id) for job_id in dict.fromkeys(job_ids)]
        try:
            done, _ = await asyncio.wait(futures, timeout=timeout_s) if futures else (set(), set())
            for future in done:
                future.result()  # a store that went away for good tells it here
            return {f.result().job_id: f.result() for f in futures if f in done}
        finally:
            for job_id in dict.fromkeys(job_ids):
                self._part(job_id)

    async def ended(self, job_ids: Sequence[JobId]) -> dict[JobId, Finished]:
        """Return those that have ended by now."""
        ended: dict[JobId, Finished] = {}
        for start in range(0, len(job_ids), LOOK_BATCH):
            ended |= await self._store.results(job_ids[start : start + LOOK_BATCH])
        return ended

    async def each(
        self, job_ids: Sequence[JobId], timeout_s: float | None
    ) -> AsyncGenerator[Finished, None]:
        """Yield how each job ended, as they end.

        timeout_s: for all of them together.
        Raises: TimeoutError, if by then some have not ended.
        """
        unique = list(dict.fromkeys(job_ids))
        ended: asyncio.Queue[asyncio.Future[Finished]] = asyncio.Queue()
        until = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        for job_id in unique:
            self._join(job_id).add_done_callback(ended.put_nowait)
        try:
            for _ in unique:
                async with asyncio.timeout_at(until):
                    future = await ended.get()
                yield future.result()
        finally:
            for job_id in unique:
                self._futures[job_id].remove_done_callback(ended.put_nowait)
                self._part(job_id)

    def _join(self, job_id: JobId) -> "asyncio.Future[Finished]":
        if self._bell is None:
            self._bell = self._store.listen([DONE])
        self._waiting[job_id] = self._waiting.get(job_id, 0) + 1
        if job_id not in self._futures:
            self._futures[job_id] = asyncio.get_running_loop().create_future()
            self._newcomers.append(job_id)
            if self._greeting is None or self._greeting.done():
                self._greeting = asyncio.create_task(self._told(self._greet()))
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._told(self._watch()))
        return self._futures[job_id]

    def _part(self, job_id: JobId) -> None:
        self._waiting[job_id] -= 1
        if not self._waiting[job_id]:
            del self._waiting[job_id], self._futures[job_id]

    async def _told(self, looking: Coroutine[None, None, None]) -> None:
        """Tell an error to those who wait, who would hang otherwise."""
        try:
            await looking
        except Exception as error:
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(error)

    async def _greet(self) -> None:
        while self._newcomers:
            newcomers, self._newcomers = self._newcomers, []
            await self._look(newcomers)

    async def _watch(self) -> None:
        assert self._bell is not None
        while self._futures:
            await self._bell.wait(POLL_S * max(1.0, len(self._futures) / MANY))
            await self._look([i for i, future in self._futures.items() if not future.done()])
            await asyncio.sleep(QUIET_S)

    async def _look(self, job_ids: Sequence[JobId]) -> None:
        for start in range(0, len(job_ids), LOOK_BATCH):
            try:
                ended = await self._store.results(job_ids[start : start + LOOK_BATCH])
            except UnavailableError:
                return  # an outage: the next look, after the poll interval, tries again
            for job_id, finished in ended.items():
                future = self._futures.get(job_id)
                if future is not None and not future.done():
                    future.set_result(finished)
