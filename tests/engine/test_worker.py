"""The worker, on the memory store, in real time: outcomes, cancel, stop, outage."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from windlass import Cancel, Retry, Snooze, context
from windlass.core.ids import JobIds
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec, isolation_of
from windlass.engine.client import Client
from windlass.engine.watchdog import Watchdog
from windlass.engine.worker import Worker, WorkerOptions
from windlass.errors import StoreUnavailable
from windlass.executors.loop import LoopExecutor
from windlass.executors.threads import ThreadExecutor
from windlass.model.jobs import (
    Claim,
    Job,
    JobId,
    JobRequest,
    Reason,
    RunKind,
    State,
    StepOf,
    WorkerId,
)
from windlass.model.outcomes import Transition
from windlass.model.workers import Lease, WorkerInfo
from windlass.stores.clock import SystemClock
from windlass.stores.memory import MemoryStore

FAST = WorkerOptions(lease_s=1.0, renew_s=0.1, poll_s=0.05, sweep_s=0.05, shutdown_s=0.2)
new_id = JobIds(lambda: 1_000_000, random.Random(7).getrandbits)


def spec_of(function: Callable[..., Any], name: str = "t", **options: Any) -> TaskSpec:
    return TaskSpec(
        name=name,
        function=function,
        signature=Signature(name, function),
        isolation=isolation_of(name, function, None, None),
        is_async=asyncio.iscoroutinefunction(function),
        **options,
    )


class World:
    def __init__(self, store: MemoryStore, worker: Worker, running: "asyncio.Task[None]") -> None:
        self.store = store
        self.worker = worker
        self.running = running
        self.client = Client(store)

    async def enqueue(self, payload: bytes = b"{}", task: str = "t", **options: Any) -> JobId:
        options.setdefault("queue", "default")
        request = JobRequest(id=new_id(), task=task, payload=payload, **options)
        [job_id] = await self.client.enqueue([request])
        return job_id

    async def until(self, job_id: JobId, *states: State, reason: Reason | None = None) -> Job:
        async with asyncio.timeout(5):
            while True:
                job = await self.client.get(job_id)
                if job.state in states and reason in (None, job.reason):
                    return job
                await asyncio.sleep(0.01)

    async def run(self, **options: Any) -> Job:
        job_id = await self.enqueue(**options)
        return await self.until(job_id, *(s for s in State if s.value in ENDS))


ENDS = {"succeeded", "failed", "cancelled", "skipped"}


@asynccontextmanager
async def world(
    *specs: TaskSpec,
    store: MemoryStore | None = None,
    options: WorkerOptions = FAST,
    watchdog: Watchdog | None = None,
) -> AsyncIterator[World]:
    store = store or MemoryStore(SystemClock())
    await store.open()
    ids = (WorkerId(f"w{n}") for n in range(1_000))
    threads = ThreadExecutor(4)
    await threads.start()
    worker = Worker(
        store,
        {spec.name: spec for spec in specs},
        {"loop": LoopExecutor(), "thread": threads},
        options,
        new_info=lambda: WorkerInfo(id=next(ids), host="h", pid=1, queues=("default",), slots=4),
        chance=lambda: 0.0,
        watchdog=watchdog,
    )
    running = asyncio.create_task(worker.run())
    made = World(store, worker, running)
    try:
        yield made
    finally:
        worker.hurry()
        await asyncio.wait_for(running, 5)
        await threads.stop()
        await made.client.close()
        await store.close()


async def test_a_job_runs_and_its_result_is_kept() -> None:
    async def double(x: int) -> int:
        return x * 2

    async with world(spec_of(double)) as w:
        job = await w.run(payload=b'{"x":21}')

        assert (job.state, job.result, job.attempt) == (State.SUCCEEDED, b"42", 1)


async def test_a_plain_function_runs_on_a_thread() -> None:
    def double(x: int) -> int:
        return x * 2

    async with world(spec_of(double)) as w:
        assert (await w.run(payload=b'{"x":21}')).result == b"42"


async def test_a_failing_job_is_retried_until_its_attempts_run_out() -> None:
    seen: list[int] = []

    async def fail() -> None:
        seen.append(context().attempt)
        raise OSError("no")

    async with world(spec_of(fail, retry=Retry(3, delay=0.01))) as w:
        job = await w.run()

        assert (
            seen,
            job.state,
            job.reason,
            job.error_type,
            job.failures,
        ) == ([1, 2, 3], State.FAILED, Reason.ERROR, "OSError", 3)


async def test_an_error_outside_the_policy_is_not_retried() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async with world(spec_of(fail, retry=Retry(3, on=OSError))) as w:
        assert (await w.run()).attempt == 1


async def test_a_raised_retry_names_its_own_delay() -> None:
    async def later() -> int:
        if context().attempt == 1:
            raise Retry(after=0.01)
        return context().attempt

    async with world(spec_of(later, retry=Retry(2, delay=1_000))) as w:
        assert (await w.run()).result == b"2"


async def test_a_snooze_costs_no_retry() -> None:
    async def sleepy() -> int:
        if context().attempt < 4:
            raise Snooze(0.01)
        return context().attempt

    async with world(spec_of(sleepy)) as w:
        job = await w.run()

        assert (job.result, job.failures) == (b"4", 0)


async def test_a_task_may_cancel_its_own_job() -> None:
    async def give_up() -> None:
        raise Cancel("not needed")

    async with world(spec_of(give_up)) as w:
        assert (await w.run()).state == State.CANCELLED


async def test_a_delay_function_that_raises_fails_the_job_and_hangs_nothing() -> None:
    def broken(failures: int) -> float:
        raise RuntimeError("broken policy")

    async def fail() -> None:
        raise OSError

    async with world(spec_of(fail, retry=Retry(3, delay=broken))) as w:
        job = await w.run()

        assert (job.state, job.error_type) == (State.FAILED, "RuntimeError")


async def test_a_running_async_job_is_cancelled_at_its_next_await() -> None:
    async def forever() -> None:
        await asyncio.sleep(1_000)

    async with world(spec_of(forever)) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)

        assert await w.client.cancel(job_id) == State.RUNNING
        assert (await w.until(job_id, State.CANCELLED)).state == State.CANCELLED


async def test_a_running_plain_function_is_asked_to_stop() -> None:
    def polite() -> None:
        import time

        while True:
            context().check_cancelled()
            time.sleep(0.005)

    async with world(spec_of(polite)) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        await w.client.cancel(job_id)

        assert (await w.until(job_id, State.CANCELLED)).state == State.CANCELLED


async def test_a_queued_job_that_is_cancelled_never_starts() -> None:
    started: list[int] = []

    async def note() -> None:
        started.append(1)

    async with world(spec_of(note)) as w:
        job_id = await w.enqueue(delay_s=0.2)

        assert await w.client.cancel(job_id) == State.CANCELLED
        await asyncio.sleep(0.4)
        assert started == []


async def test_an_unknown_task_waits_for_a_worker_that_knows_it_and_blocks_nothing() -> None:
    async def known() -> int:
        return 1

    async with world(spec_of(known)) as w:
        stranger = await w.enqueue(task="stranger", priority=100)
        job = await w.run()
        waiting = await w.until(stranger, State.SCHEDULED)

        assert (
            job.state,
            waiting.reason,
            waiting.attempt,
        ) == (State.SUCCEEDED, Reason.UNKNOWN_TASK, 0)


@pytest.mark.parametrize("payload", [b"\xff", b"[]", b'{"x":"no"}', b"{}"])
async def test_an_undecodable_job_fails_with_the_reason_and_is_not_retried(payload: bytes) -> None:
    async def double(x: int) -> int:
        return x * 2

    async with world(spec_of(double, retry=Retry(5, delay=0))) as w:
        job = await w.run(payload=payload)

        assert (job.state, job.attempt) == (State.FAILED, 1)
        assert job.error_type == "windlass.errors.BadArguments"


async def test_a_result_that_cannot_be_encoded_fails_the_job() -> None:
    async def odd() -> Any:
        return object()

    async with world(spec_of(odd, retry=Retry(5, delay=0))) as w:
        job = await w.run()

        assert (job.state, job.error_type) == (State.FAILED, "windlass.errors.NotEncodable")


async def test_a_stop_lets_running_jobs_end() -> None:
    async def slow() -> str:
        await asyncio.sleep(0.1)
        return "done"

    async with world(spec_of(slow)) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        w.worker.stop()
        await asyncio.wait_for(w.running, 2)

        assert (await w.client.get(job_id)).state == State.SUCCEEDED


async def test_a_cancel_reaches_runs_however_deep_they_stand_in_one_another() -> None:
    async with world() as w:
        ids = [await w.enqueue(queue="far", kind=RunKind.WORKFLOW)]
        for _ in range(600):
            of = StepOf(ids[-1], "inner", 0)
            ids.append(await w.enqueue(queue="far", kind=RunKind.WORKFLOW, step=of))

        assert await w.client.cancel(ids[0]) is State.CANCELLED
        assert await w.client.counts() == {("far", State.CANCELLED): 601}


async def test_a_job_that_outlasts_the_shutdown_timeout_is_released() -> None:
    async def forever() -> None:
        await asyncio.sleep(1_000)

    async with world(spec_of(forever)) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        w.worker.stop()
        await asyncio.wait_for(w.running, 2)
        job = await w.client.get(job_id)

        assert (job.state, job.losses, job.failures, job.attempt) == (State.QUEUED, 0, 0, 1)
        assert await w.client.workers() == []


class Flaky(MemoryStore):
    """A memory store that can be switched off."""

    down = False

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("memory://", "switched off")

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        self._check()
        return await super().claim(worker, queues, limit)

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        self._check()
        return await super().settle(transitions)

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        self._check()
        return await super().renew(worker, lease_s)


async def test_an_outage_shorter_than_the_lease_loses_nothing_and_repeats_nothing() -> None:
    store = Flaky(SystemClock())
    runs: list[int] = []

    async def note(x: int) -> int:
        runs.append(x)
        await asyncio.sleep(0.05)
        return x

    async with world(spec_of(note), store=store) as w:
        ids = [await w.enqueue(payload=b'{"x":%d}' % n) for n in range(30)]
        await asyncio.sleep(0.06)
        store.down = True
        await asyncio.sleep(0.3)
        store.down = False
        for job_id in ids:
            await w.until(job_id, State.SUCCEEDED)

        assert list(range(30)) == sorted(runs)


async def test_a_lost_lease_stops_the_attempts_and_the_worker_begins_again() -> None:
    store = Flaky(SystemClock())
    stopped: list[int] = []

    async def work() -> int:
        if context().attempt > 1:
            return context().attempt
        try:
            await asyncio.sleep(1_000)
        finally:
            stopped.append(1)
        return 0

    async with world(spec_of(work), store=store) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        first = w.worker._keeper.info.id
        store.down = True
        await asyncio.sleep(1.2)
        store.down = False
        job = await w.until(job_id, State.SUCCEEDED)

        assert (stopped, job.result, job.failures) == ([1], b"2", 0)
        assert first != w.worker._keeper.info.id


async def test_one_outcome_that_the_store_refuses_does_not_hold_up_the_others() -> None:
    class Picky(MemoryStore):
        async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
            if any(t.result == b'"poison"' for t in transitions):
                raise ValueError("this value cannot be stored")
            return await super().settle(transitions)

    async def echo(x: str) -> str:
        return x

    async with world(spec_of(echo), store=Picky(SystemClock())) as w:
        bad = await w.enqueue(payload=b'{"x":"poison"}')
        good = [await w.enqueue(payload=b'{"x":"ok"}') for _ in range(5)]
        for job_id in good:
            await w.until(job_id, State.SUCCEEDED)
        job = await w.until(bad, State.FAILED)

        assert job.error_type == "windlass.errors.NotEncodable"


async def test_a_stop_is_heard_while_the_store_is_away_before_the_first_lease() -> None:
    store = Flaky(SystemClock())
    store.down = True
    async with world(store=store) as w:
        await asyncio.sleep(0.05)
        w.worker.stop()

        await asyncio.wait_for(asyncio.shield(w.running), 2)
