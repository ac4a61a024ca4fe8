"""The watcher: one look at the store serves everybody in this process who watches progress."""

import asyncio
from collections.abc import AsyncGenerator, Collection

from windlass.engine.waiter import LOOK_BATCH, MANY, POLL_S, Waiter
from windlass.errors import UnavailableError
from windlass.model.jobs import JobId
from windlass.model.progress import Progress
from windlass.model.topics import PROGRESS
from windlass.ports import Bell, Store

QUIET_S = 0.05  # looks are at least this far apart, however often the bell rings


class Watch:
    """What one watcher was shown last of a job, and what it is to be shown next."""

    __slots__ = ("changed", "error", "job_id", "newest")

    def __init__(self, job_id: JobId) -> None:
        self.job_id = job_id
        self.newest: Progress | None = None
        self.error: Exception | None = None
        self.changed = asyncio.Event()


class Watcher:
    """Follows the progress of jobs.  Its task runs only while somebody watches.

    A slow consumer is shown the newest, not all: nothing piles up here.
    """

    def __init__(self, store: Store, waiter: Waiter) -> None:
        self._store = store
        self._waiter = waiter
        self._watches: set[Watch] = set()
        self._looking: asyncio.Task[None] | None = None
        self._bell: Bell | None = None

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._bell is not None:
            self._bell.close()

    async def each(self, job_id: JobId, timeout_s: float | None) -> AsyncGenerator[Progress, None]:
        """Yield what there is, then each newer progress, until the job has ended.

        Raises: TimeoutError, if by then it has not.
        """
        until = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        watch = Watch(job_id)
        end = asyncio.create_task(self._waiter.wait([job_id], None))
        end.add_done_callback(lambda _: watch.changed.set())
        shown = None
        try:
            self._join(watch)
            await self._look([watch])
            while True:
                watch.changed.clear()
                has_ended = end.done()
                if has_ended:
                    end.result()  # a store that went away for good tells it here
                    await self._look([watch])  # what it said last was written before its end
                if watch.error is not None:
                    raise watch.error
                if watch.newest is not None and watch.newest != shown:
                    shown = watch.newest
                    yield shown
                elif has_ended:
                    return
                else:
                    async with asyncio.timeout_at(until):
                        await watch.changed.wait()
        finally:
            self._watches.discard(watch)
            end.cancel()
            await asyncio.wait([end])

    def _join(self, watch: Watch) -> None:
        if self._bell is None:
            self._bell = self._store.listen([PROGRESS])
        self._watches.add(watch)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._watch(self._bell))

    async def _watch(self, bell: Bell) -> None:
        while self._watches:
            await bell.wait(POLL_S * max(1.0, len(self._watches) / MANY))
            try:
                await self._look(list(self._watches))
            except Exception as error:  # those who watch would hang otherwise
                for watch in self._watches:
                    watch.error = error
                    watch.changed.set()
                return
            await asyncio.sleep(QUIET_S)

    async def _look(self, watches: Collection[Watch]) -> None:
        ids = list({watch.job_id for watch in watches})
        found: dict[JobId, Progress] = {}
        for start in range(0, len(ids), LOOK_BATCH):
            try:
                found |= await self._store.progress(ids[start : start + LOOK_BATCH])
            except UnavailableError:
                return  # an outage: the next look, after the poll interval, tries again
        for watch in watches:
            newest = found.get(watch.job_id)
            if newest is not None and newest != watch.newest:
                watch.newest = newest
                watch.changed.set()
