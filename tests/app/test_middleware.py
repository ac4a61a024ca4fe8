"""Middleware in an app, on both stores: around attempts wherever they run, around enqueues."""

import asyncio
import time
from collections.abc import Generator, Sequence

import msgspec
import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, working
from windlass import (
    AttemptCall,
    Cancelled,
    EnqueueCall,
    Failed,
    JobCancelled,
    JobFailed,
    JobId,
    Outcome,
    Proceed,
    Retry,
    Snoozed,
    State,
    Succeeded,
    context,
)
from windlass.errors import WouldDeadlock

Attempt = Proceed[AttemptCall, Outcome]
Enqueue = Proceed[EnqueueCall, Sequence[JobId]]


async def test_it_stands_around_every_attempt_and_knows_how_it_ended(store_url: str) -> None:
    app = quick_app(store_url)
    seen: list[tuple[str, int, str]] = []

    @app.around_attempt
    async def note(call: AttemptCall, proceed: Attempt) -> Outcome:
        outcome = await proceed(call)
        seen.append((call.claim.task, call.context.attempt, type(outcome).__name__))
        return outcome

    @app.task(name="async", retry=Retry(3, delay=0.01))
    async def asynchronous() -> int:
        if context().attempt < 3:
            raise OSError
        return 1

    @app.task(name="plain")
    def plain() -> int:
        return 2

    @app.task(name="slow", timeout=0.05)
    async def slow() -> None:
        await asyncio.sleep(60)

    async with working(app):
        assert await (await asynchronous.aenqueue()).aresult(WAIT_S) == 1
        assert await (await plain.aenqueue()).aresult(WAIT_S) == 2
        await ended(await slow.aenqueue())

    assert seen == [
        ("async", 1, Failed.__name__),
        ("async", 2, Failed.__name__),
        ("async", 3, Succeeded.__name__),
        ("plain", 1, Succeeded.__name__),
        ("slow", 1, Failed.__name__),
    ]


async def test_the_apps_stands_outside_of_the_tasks_own(store_url: str) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    def own(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        order.append("task")
        yield call

    @app.task(around_attempt=[own])
    async def with_own() -> None:
        order.append("function")

    @app.around_attempt
    def outer(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        order.append("app")
        yield call

    async with working(app):
        await (await with_own.aenqueue()).aresult(WAIT_S)

    assert order == ["app", "task", "function"]


async def test_what_it_raises_is_retried_as_the_tasks_policy_says(store_url: str) -> None:
    app = quick_app(store_url)
    runs: list[int] = []

    async def unsteady(call: AttemptCall, proceed: Attempt) -> Outcome:
        if call.context.attempt == 1:
            raise ConnectionError("before")
        outcome = await proceed(call)
        if call.context.attempt == 2:
            raise ConnectionError("after")
        return outcome

    @app.task(retry=Retry(3, delay=0.01), around_attempt=[unsteady])
    async def task() -> int:
        runs.append(context().attempt)
        return context().failures

    @app.task(around_attempt=[unsteady])
    def once() -> None: ...

    async with working(app):
        assert await (await task.aenqueue()).aresult(WAIT_S) == 2
        with pytest.raises(JobFailed, match="before"):
            await (await once.aenqueue()).aresult(WAIT_S)

    assert runs == [2, 3]


async def test_it_may_answer_for_the_function(store_url: str) -> None:
    app = quick_app(store_url)

    async def closed(call: AttemptCall, proceed: Attempt) -> Outcome:
        return Snoozed(0.01) if call.context.attempt == 1 else Cancelled("closed for good")

    @app.task(around_attempt=[closed])
    async def never() -> None:
        raise AssertionError

    async with working(app):
        job = await never.aenqueue()
        with pytest.raises(JobCancelled):
            await job.aresult(WAIT_S)

        assert (await job.ajob()).attempt == 2


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_cancel_and_a_stop_go_through_it(store_url: str, kind: str) -> None:
    app = quick_app(store_url)
    closed: list[str] = []

    @app.around_attempt
    async def closing(call: AttemptCall, proceed: Attempt) -> Outcome:
        try:
            return await proceed(call)
        finally:
            closed.append(call.claim.job_id)

    @app.task
    async def asynchronous() -> None:
        await asyncio.sleep(60)

    @app.task
    def plain() -> None:
        while True:
            time.sleep(0.005)
            context().check_cancelled()

    task = asynchronous if kind == "async" else plain
    async with working(app):
        cancelled, stopped = await task.aenqueue(), await task.aenqueue()
        for job in (cancelled, stopped):
            await running(job)
        await cancelled.acancel()
        assert (await (await ended(cancelled)).ajob()).state is State.CANCELLED
        assert closed == [cancelled.id]

    assert closed == [cancelled.id, stopped.id]
    async with app.session():
        assert (await stopped.ajob()).state is not State.RUNNING


async def test_it_stands_around_every_way_to_enqueue(store_url: str) -> None:
    app = quick_app(store_url)
    batches: list[int] = []

    @app.around_enqueue
    async def urgent(call: EnqueueCall, proceed: Enqueue) -> Sequence[JobId]:
        batches.append(len(call.requests))
        changed = [msgspec.structs.replace(request, priority=7) for request in call.requests]
        return await proceed(EnqueueCall(tuple(changed)))

    @app.task
    async def noop() -> None: ...

    async with app.session():
        jobs = [await noop.aenqueue(), *await app.aenqueue_many([noop.prepare()])]
        blocking = await asyncio.to_thread(lambda: [noop.enqueue(), *app.enqueue_many([])])
        priorities = [(await job.ajob()).priority for job in [*jobs, *blocking]]

    assert batches == [1, 1, 1, 0]
    assert priorities == [7, 7, 7]
    app.close()


def test_blocking_calls_run_it_too(store_url: str) -> None:
    app = quick_app(store_url)

    def fair(call: EnqueueCall) -> Generator[EnqueueCall, Sequence[JobId], None]:
        if len(call.requests) > 2:
            raise PermissionError("two at a time")
        yield call

    async def slow(call: EnqueueCall, proceed: Enqueue) -> Sequence[JobId]:
        await asyncio.sleep(0.001)
        return await proceed(call)

    @app.task(around_enqueue=[fair, slow])
    def noop() -> None: ...

    @app.task
    def other() -> None: ...

    assert noop.enqueue().job().state is State.QUEUED
    with pytest.raises(PermissionError):
        app.enqueue_many([noop.prepare() for _ in range(3)])
    app.enqueue_many([noop.prepare(), *(other.prepare() for _ in range(5))])

    assert len(app.blocking(lambda client: client.jobs())) == 7
    app.close()


def test_a_blocking_call_in_middleware_is_refused_where_it_would_wait_for_itself(
    store_url: str,
) -> None:
    app = quick_app(store_url)

    @app.task
    def other() -> None: ...

    async def blocks(call: EnqueueCall, proceed: Enqueue) -> Sequence[JobId]:
        other.enqueue()
        return await proceed(call)

    async def awaits(call: EnqueueCall, proceed: Enqueue) -> Sequence[JobId]:
        await other.aenqueue()
        return await proceed(call)

    @app.task(around_enqueue=[blocks])
    def wrong() -> None: ...

    @app.task(around_enqueue=[awaits])
    def right() -> None: ...

    with pytest.raises(WouldDeadlock, match="aenqueue"):
        wrong.enqueue()
    right.enqueue()

    assert len(app.blocking(lambda client: client.jobs())) == 2
    app.close()
