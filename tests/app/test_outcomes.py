"""What becomes of a job that was enqueued by the typed API, on both stores."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import msgspec
import pydantic
import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, until, working
from windlass import (
    Cancel,
    JobCancelled,
    JobFailed,
    ResultTimeout,
    Retry,
    Snooze,
    State,
    TaskError,
    context,
)
from windlass.model.jobs import Reason


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    article: str
    price: Decimal


class Box(msgspec.Struct):
    width: int


class Person(pydantic.BaseModel):
    name: str
    born: date


async def test_arguments_arrive_and_results_return_as_their_types(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def kinds(
        at: datetime, key: UUID, price: Decimal, path: Path, colour: Colour, *, line: Line, box: Box
    ) -> tuple[list[str], Line]:
        told = [type(x).__name__ for x in (at, key, price, path, colour, line, box)]
        return [t.removeprefix("Posix") for t in told], line

    line = Line("tea", Decimal("4.20"))
    async with working(app):
        job = await kinds.aenqueue(
            datetime(2026, 1, 2, tzinfo=UTC),
            UUID(int=7),
            Decimal("1.5"),
            Path("/a/b"),
            Colour.RED,
            line=line,
            box=Box(3),
        )

        assert await job.aresult(WAIT_S) == (
            ["datetime", "UUID", "Decimal", "Path", "Colour", "Line", "Box"],
            line,
        )


async def test_a_pydantic_model_travels_both_ways(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    def older(person: Person, years: int) -> Person:
        return person.model_copy(update={"born": person.born.replace(year=2000 - years)})

    async with working(app):
        job = await older.aenqueue(Person(name="ann", born=date(2000, 2, 3)), 10)

        assert await job.aresult(WAIT_S) == Person(name="ann", born=date(1990, 2, 3))


async def test_a_failure_tells_its_remote_traceback_and_the_chain_of_causes(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    def outer() -> None:
        try:
            raise KeyError("missing")
        except KeyError as error:
            raise ValueError("no such thing") from error

    async with working(app):
        job = await outer.aenqueue()
        with pytest.raises(JobFailed) as told:
            await job.aresult(WAIT_S)

    assert isinstance(told.value, TaskError)
    assert told.value.error_type == "ValueError"
    assert told.value.message == "no such thing"
    assert "KeyError: 'missing'" in told.value.traceback
    assert 'raise ValueError("no such thing") from error' in told.value.traceback


async def test_a_policy_retries_what_it_covers_and_nothing_else(store_url: str) -> None:
    app = quick_app(store_url)
    attempts: list[str] = []

    @app.task(retry=Retry(3, delay=[0.01, 0.02], on=OSError, never=FileNotFoundError))
    async def fail(kind: str) -> str:
        attempts.append(kind)
        errors = {"subclass": ConnectionResetError, "never": FileNotFoundError, "other": KeyError}
        if kind == "late" and context().failures == 2:
            return f"attempt {context().attempt}"
        raise errors.get(kind, OSError)(kind)

    async with working(app):
        late = await fail.aenqueue("late")
        others = [await fail.aenqueue(kind) for kind in ("subclass", "never", "other")]
        for job in others:
            await ended(job)

        assert await late.aresult(WAIT_S) == "attempt 3"

    assert {kind: attempts.count(kind) for kind in attempts} == {
        "late": 3,
        "subclass": 3,
        "never": 1,
        "other": 1,
    }


async def test_a_task_may_ask_for_another_attempt_after_its_own_delay(store_url: str) -> None:
    app = quick_app(store_url)
    starts: list[float] = []

    @app.task(retry=Retry(2, delay=30))
    async def again() -> int:
        starts.append(time.monotonic())
        if len(starts) == 1:
            raise Retry(after=timedelta(seconds=0.2))
        return len(starts)

    async with working(app):
        assert await (await again.aenqueue()).aresult(WAIT_S) == 2

    assert 0.2 <= starts[1] - starts[0] < 10


async def test_a_snooze_costs_no_retry_and_a_cancel_ends_the_job(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def snoozes() -> tuple[int, int]:
        if context().attempt < 4:
            raise Snooze(0.01)
        return context().attempt, context().failures

    @app.task
    async def gives_up() -> None:
        raise Cancel("not needed any more")

    async with working(app):
        assert await (await snoozes.aenqueue()).aresult(WAIT_S) == (4, 0)
        job = await gives_up.aenqueue()
        with pytest.raises(JobCancelled):
            await job.aresult(WAIT_S)

        assert (await job.ajob()).state is State.CANCELLED


async def test_an_async_task_is_stopped_at_its_time_limit(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(timeout=0.05)
    async def slow() -> None:
        await asyncio.sleep(60)

    async with working(app):
        job = await (await ended(await slow.aenqueue())).ajob()

        assert (job.state, job.reason) == (State.FAILED, Reason.TIMEOUT)


async def test_a_delayed_job_starts_at_its_time_and_not_before(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def now() -> float:
        return time.time()

    async with working(app):
        asked = time.time()
        by_delay = await now.using(delay=0.4).aenqueue()
        at_time = await now.using(run_at=datetime.now(UTC) + timedelta(seconds=0.4)).aenqueue()

        assert (await by_delay.ajob()).state is State.SCHEDULED
        for job in (by_delay, at_time):
            assert 0.4 <= await job.aresult(WAIT_S) - asked < 5


async def test_a_job_past_its_expiry_never_starts(store_url: str) -> None:
    app = quick_app(store_url)
    began: list[str] = []

    @app.task
    async def note(name: str) -> None:
        began.append(name)

    by_duration = await note.using(expires=0.05).aenqueue("duration")
    at_time = await note.using(expires=datetime.now(UTC) + timedelta(seconds=0.05)).aenqueue("time")
    in_time = await note.using(expires=60).aenqueue("in time")
    await asyncio.sleep(0.1)
    async with working(app):
        for job in (by_duration, at_time):
            told = await (await ended(job)).ajob()
            assert (told.state, told.reason) == (State.FAILED, Reason.EXPIRED)
        await ended(in_time)

    assert began == ["in time"]


async def test_higher_priorities_go_first_and_equals_in_order(store_url: str) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    @app.task(priority=1)
    async def note(name: str) -> None:
        order.append(name)

    levels = [("a", None), ("low", -100), ("high", 100), ("b", None), ("0", 0)]
    jobs = [await note.using(priority=level).aenqueue(name) for name, level in levels]
    async with working(app, concurrency=1):
        for job in jobs:
            await ended(job)

    assert order == ["high", "a", "b", "0", "low"]


async def test_no_more_run_at_once_than_the_concurrency(store_url: str) -> None:
    app = quick_app(store_url)
    now, most = 0, 0

    @app.task
    async def note() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1

    async with app.session():
        jobs = await app.aenqueue_many([note.prepare() for _ in range(60)])
    async with working(app, concurrency=7):
        for job in jobs:
            await ended(job)

    assert most == 7


async def test_a_unique_key_is_free_again_when_its_job_has_ended(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def once(n: int) -> int:
        return n

    @app.task
    async def other() -> None: ...

    first = await once.using(unique_key="k").aenqueue(1)
    second = await once.using(unique_key="k").aenqueue(2)
    elsewhere = await other.using(unique_key="k").aenqueue()
    async with working(app):
        assert second.id == first.id != elsewhere.id
        assert await second.aresult(WAIT_S) == 1

        third = await once.using(unique_key="k").aenqueue(3)

        assert await third.aresult(WAIT_S) == 3


async def test_a_queued_job_that_is_cancelled_never_starts(store_url: str) -> None:
    app = quick_app(store_url)
    began: list[int] = []

    @app.task
    async def note(n: int) -> None:
        began.append(n)

    first, second = await note.aenqueue(1), await note.aenqueue(2)

    assert await first.acancel() is State.CANCELLED
    async with working(app):
        await ended(second)
        with pytest.raises(JobCancelled):
            await first.aresult(WAIT_S)

    assert began == [2]


async def test_a_running_job_is_stopped_by_a_cancel_wherever_it_runs(store_url: str) -> None:
    app = quick_app(store_url)
    cleaned: list[str] = []

    @app.task
    async def asynchronous() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append("async")

    @app.task
    def plain() -> None:
        while True:
            time.sleep(0.005)
            context().check_cancelled()

    async with working(app):
        for task in (asynchronous, plain):
            job = await task.aenqueue()
            await running(job)

            assert await job.acancel() is State.RUNNING
            assert (await (await ended(job)).ajob()).state is State.CANCELLED

    assert cleaned == ["async"]


async def test_a_task_nobody_knows_waits_for_a_worker_that_does(store_url: str) -> None:
    knows, knows_not = quick_app(store_url), quick_app(store_url)

    @knows.task(name="rare")
    async def rare() -> str:
        return "done"

    @knows_not.task(name="usual")
    async def usual() -> str:
        return "done"

    jobs = [await rare.aenqueue() for _ in range(20)]
    async with working(knows_not):
        assert await (await usual.aenqueue()).aresult(WAIT_S) == "done"  # nothing is blocked
        job = await until(jobs[0], lambda found: found.reason is Reason.UNKNOWN_TASK)

        assert (job.state, job.failures, job.losses) == (State.SCHEDULED, 0, 0)
    async with working(knows):
        assert [await job.aresult(WAIT_S) for job in jobs] == ["done"] * 20


async def test_a_job_whose_arguments_no_longer_fit_fails_with_the_reason(store_url: str) -> None:
    before, after = quick_app(store_url), quick_app(store_url)

    @before.task(name="t")
    async def old(count: str) -> None: ...

    @after.task(name="t", retry=Retry(5, delay=0.01))
    async def new(count: int) -> None: ...

    job = await old.aenqueue("three")
    async with working(after):
        with pytest.raises(JobFailed, match="count"):
            await (await ended(job)).aresult(WAIT_S)

        assert (await job.ajob()).attempt == 1  # the same bytes would fail again
    await before.aclose()


async def test_a_result_that_is_not_there_in_time_is_told_and_the_job_goes_on(
    store_url: str,
) -> None:
    app = quick_app(store_url)
    gate = asyncio.Event()

    @app.task
    async def wait() -> str:
        await gate.wait()
        return "late"

    async with working(app):
        job = await wait.aenqueue()
        start = time.monotonic()
        with pytest.raises(ResultTimeout):
            await job.aresult(0.1)

        assert 0.1 <= time.monotonic() - start < 2
        gate.set()

        assert await job.aresult(WAIT_S) == "late"


async def test_thousands_are_enqueued_at_once_and_their_handles_keep_the_order(
    store_url: str,
) -> None:
    app = quick_app(store_url)

    @app.task
    async def double(n: int) -> int:
        return n * 2

    async with working(app, concurrency=100):
        jobs = await app.aenqueue_many([double.prepare(n) for n in range(3_000)])

        assert [await job.aresult(WAIT_S) for job in jobs] == [n * 2 for n in range(3_000)]
