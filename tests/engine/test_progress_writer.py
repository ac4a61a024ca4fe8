"""Progress is cheap to write and to watch, on the memory store, in real time."""

import asyncio
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from tests.engine.test_worker import FAST, spec_of, world
from windlass import State, context
from windlass.errors import ResultTimeout, StoreUnavailable
from windlass.model.jobs import Job, JobId
from windlass.model.outcomes import Transition
from windlass.model.progress import Progress, ProgressReport
from windlass.ports import Bell
from windlass.stores.clock import SystemClock
from windlass.stores.memory import MemoryStore


class CountingStore(MemoryStore):
    """Counts the writes and the looks, and can be away."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.writes: list[list[ProgressReport]] = []
        self.looks = 0
        self.away = False
        self.broken = False
        self.log: list[str] = []

    async def report_progress(self, reports: Sequence[ProgressReport]) -> list[bool]:
        """Count a write."""
        if self.away:
            raise StoreUnavailable("memory://", "away")
        if self.broken:
            raise RuntimeError("broken")
        self.writes.append(list(reports))
        return await super().report_progress(reports)

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Note what was known when each job ended."""
        for transition in transitions:
            said = self.data.progress.get(transition.job_id)
            self.log.append("nothing" if said is None else said.message)
        return await super().settle(transitions)

    async def progress(self, job_ids: Sequence[JobId]) -> dict[JobId, Progress]:
        """Count a look."""
        self.looks += 1
        return dict(await super().progress(job_ids))


async def test_thousands_of_reports_cost_a_few_writes() -> None:
    async def busy() -> int:
        end, said = time.monotonic() + 1.0, 0
        while time.monotonic() < end:
            for _ in range(100):
                said += 1
                context().progress(0.5, f"step {said}")
            await asyncio.sleep(0.001)
        return said

    store = CountingStore()
    async with world(spec_of(busy), store=store) as w:
        ids = [await w.enqueue() for _ in range(3)]
        jobs = [await w.until(job_id, State.SUCCEEDED) for job_id in ids]

        said = sum(int(job.result or b"0") for job in jobs)
        assert said > 10_000
        assert len(store.writes) <= 4 + 1 + 3  # one per interval, and the last of each
        assert max(len(batch) for batch in store.writes) == 3  # all of them together
        for job in jobs:
            assert job.result is not None
            assert store.data.progress[job.id].message == f"step {int(job.result)}"


async def test_what_was_said_last_is_written_before_the_outcome() -> None:
    async def quick(n: int) -> None:
        context().progress(0.1, "begun")
        context().progress(1.0, f"last of {n}")

    store = CountingStore()
    async with world(spec_of(quick), store=store) as w:
        ids = [await w.enqueue(payload=b'{"n":%d}' % n) for n in range(50)]
        for job_id in ids:
            await w.until(job_id, State.SUCCEEDED)

        assert store.log == [f"last of {n}" for n in range(50)]


async def test_a_thread_reports_too() -> None:
    at_half, go_on = threading.Event(), threading.Event()

    def works() -> None:
        context().progress(0.5, "half")
        at_half.set()
        assert go_on.wait(5)

    async with world(spec_of(works)) as w:
        job_id = await w.enqueue()
        each = w.client.each_progress(job_id, timeout_s=5)
        seen = await anext(each)
        go_on.set()

        assert (seen.fraction, seen.message) == (0.5, "half")
        assert [progress async for progress in each] == []


async def test_an_outage_only_makes_progress_wait() -> None:
    async def says() -> None:
        context().progress(0.5, "half")
        await asyncio.sleep(0.1)
        context().progress(1.0, "all")

    store = CountingStore()
    store.away = True
    async with world(spec_of(says), store=store) as w:
        job_id = await w.enqueue()
        await asyncio.sleep(0.5)
        assert (await w.client.get(job_id)).state is State.RUNNING
        store.away = False
        await w.until(job_id, State.SUCCEEDED)

        assert store.data.progress[job_id].message == "all"


async def test_what_cannot_be_written_holds_up_nothing() -> None:
    async def says() -> None:
        context().progress(0.5)

    store = CountingStore()
    store.broken = True
    async with world(spec_of(says), store=store) as w:
        job: Job = await w.run()

        assert job.state is State.SUCCEEDED
        assert store.data.progress == {}


async def test_a_task_that_says_nothing_costs_nothing() -> None:
    async def silent() -> None: ...

    store = CountingStore()
    async with world(spec_of(silent), store=store) as w:
        await w.run()
        await asyncio.sleep(0.3)

        assert store.writes == []


async def test_a_hundred_watchers_cost_one_look_at_a_time() -> None:
    async def works() -> None:
        for n in range(10):
            context().progress(n / 10)
            await asyncio.sleep(0.1)

    store = CountingStore()
    options = replace(FAST, progress_s=0.01)
    async with world(spec_of(works), store=store, options=options) as w:
        job_id = await w.enqueue()

        async def follow() -> list[float]:
            each = w.client.each_progress(job_id, timeout_s=10)
            return [progress.fraction async for progress in each]

        seen = await asyncio.gather(*(follow() for _ in range(100)))
        # Each looks when it comes and when it goes; in between, all look together.
        shared = store.looks - 3 * 100

        assert all(one == sorted(one) and one[-1] == 0.9 for one in seen)
        assert shared <= 1.5 / 0.05


async def test_polling_alone_shows_progress() -> None:
    class Deaf(MemoryStore):
        def listen(self, _topics: Collection[str]) -> Bell:
            return super().listen(["nothing"])

    async def works() -> None:
        for n in range(4):
            context().progress(n / 4)
            await asyncio.sleep(0.4)

    async with world(spec_of(works), store=Deaf(SystemClock())) as w:
        job_id = await w.enqueue()
        each = w.client.each_progress(job_id, timeout_s=10)
        seen = [progress.fraction async for progress in each]

        assert seen[-1] == 0.75
        assert len(seen) >= 2


async def test_watching_has_a_time_limit_and_leaves_nothing() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(60)

    async with world(spec_of(sleeps)) as w:
        job_id = await w.enqueue()
        with pytest.raises(ResultTimeout):
            await anext(w.client.each_progress(job_id, timeout_s=0.1))

        assert w.client._watcher._watches == set()
        assert w.client._waiter._futures == {}


async def test_a_store_that_breaks_is_told_to_those_who_watch() -> None:
    class Breaking(MemoryStore):
        looks = 0

        async def progress(self, job_ids: Sequence[JobId]) -> dict[JobId, Progress]:
            self.looks += 1
            if self.looks > 1:
                raise RuntimeError("broken")
            return {}

    async def sleeps() -> None:
        await asyncio.sleep(60)

    async with world(spec_of(sleeps), store=Breaking(SystemClock())) as w:
        job_id = await w.enqueue()
        with pytest.raises(RuntimeError, match="broken"):
            await anext(w.client.each_progress(job_id, timeout_s=5))


async def test_an_attempt_whose_lease_is_gone_is_not_believed() -> None:
    store = CountingStore()
    go_on = asyncio.Event()

    async def stubborn() -> None:
        mine = context()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            mine.progress(0.9, "stale")
            go_on.set()
            raise

    async with world(spec_of(stubborn), store=store) as w:
        job_id = await w.enqueue()
        job = await w.until(job_id, State.RUNNING)
        assert job.worker is not None
        await store.leave(job.worker)
        async with asyncio.timeout(5):
            await go_on.wait()
            while not store.writes:
                await asyncio.sleep(0.01)

        assert store.data.progress == {}
