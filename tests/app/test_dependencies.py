"""Dependencies of tasks, on both stores: made for an attempt or a worker, ended in reverse."""

import asyncio
import contextlib
import contextvars
import functools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, working
from windlass import (
    INJECTED,
    App,
    BadOption,
    BadTask,
    Context,
    Depends,
    JobFailed,
    Retry,
    State,
    context,
)
from windlass.core.dependencies import Scope
from windlass.errors import NotInAttempt
from windlass.model.jobs import Reason
from windlass.tasks import AnyTask

KINDS = ["async", "plain"]
log: list[str] = []


@pytest.fixture(autouse=True)
def nothing_is_logged_yet() -> None:
    log.clear()


@contextlib.contextmanager
def noted(name: str) -> Iterator[str]:
    log.append(f"{name} begins")
    try:
        yield name
    except BaseException as error:
        log.append(f"{name} sees {type(error).__name__}")
        raise
    finally:
        log.append(f"{name} ends")


def engine() -> Iterator[str]:
    with noted("engine") as name:
        yield name


async def connection(engine: Annotated[str, Depends(engine)]) -> AsyncIterator[str]:
    with noted(f"connection to {engine}") as name:
        await asyncio.sleep(0)
        yield name
        await asyncio.sleep(0)


async def user(ctx: Context) -> str:
    await asyncio.sleep(0)
    return f"user of attempt {ctx.attempt}"


class Session:
    def __init__(
        self,
        connection: Annotated[str, Depends(connection)],
        engine: Annotated[str, Depends(engine)],
        user: Annotated[str, Depends(user)],
    ) -> None:
        self.text = f"{connection}, {engine}, {user}"


SessionOf = Annotated[Session, Depends(Session)]


def both(app: App, function: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Register a plain function as it is, and once more as an async one."""

    @functools.wraps(function)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return {
        "plain": app.task(name="plain", **options)(function),
        "async": app.task(name="async", **options)(asynchronous),
    }


# -- for an attempt ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_they_are_made_in_order_and_ended_in_reverse(store_url: str, kind: str) -> None:
    app = quick_app(store_url)

    def read(
        number: int,
        ctx: Context = INJECTED,
        session: SessionOf = INJECTED,
        *,
        again: Annotated[str, Depends(engine)],
        last: int = 5,
    ) -> tuple[str, int, str]:
        log.append("task")
        return session.text, number + last, f"{again} in {ctx.attempt}"

    task = both(app, read)[kind]
    async with working(app):
        result = await (await task.aenqueue(2, last=3)).aresult(WAIT_S)

    assert result == (
        "connection to engine, engine, user of attempt 1",
        5,
        "engine in 1",
    )
    assert log == [
        "engine begins",
        "connection to engine begins",
        "task",
        "connection to engine ends",
        "engine ends",
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_goes_through_all_of_them_and_is_the_attempts(
    store_url: str, kind: str
) -> None:
    app = quick_app(store_url)

    def hides() -> Iterator[int]:
        with contextlib.suppress(OSError):
            yield 1
        log.append("hidden")

    def fails(session: SessionOf, hidden: Annotated[int, Depends(hides)], ctx: Context) -> int:
        if ctx.attempt == 1:
            raise OSError("it broke")
        return ctx.attempt

    task = both(app, fails, retry=Retry(2, delay=0.01))[kind]
    async with working(app):
        job = await task.aenqueue()
        assert await job.aresult(WAIT_S) == 2

    assert log[2:7] == [
        "hidden",
        "connection to engine sees OSError",
        "connection to engine ends",
        "engine sees OSError",
        "engine ends",
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_fails_fails_the_attempt_with_its_own_error(
    store_url: str, kind: str
) -> None:
    app = quick_app(store_url)

    async def unsteady(connection: Annotated[str, Depends(connection)]) -> str:
        if context().attempt == 1:
            raise ConnectionError("no database")
        return connection

    def task(value: Annotated[str, Depends(unsteady)]) -> str:
        log.append("task")
        return value

    retried = both(app, task, retry=Retry(2, delay=0.01))[kind]
    async with working(app):
        job = await retried.aenqueue()
        assert await job.aresult(WAIT_S) == "connection to engine"
        found = await job.ajob()

    assert (found.attempt, found.failures, log.count("task")) == (2, 1, 1)
    assert log[2:4] == ["connection to engine sees ConnectionError", "connection to engine ends"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_at_its_end_fails_the_attempt_though_the_task_returned(
    store_url: str, kind: str
) -> None:
    app = quick_app(store_url)

    async def transaction(engine: Annotated[str, Depends(engine)]) -> AsyncIterator[str]:
        yield "open"
        if context().attempt == 1:
            raise ConnectionError("cannot commit")

    def task(value: Annotated[str, Depends(transaction)], ctx: Context) -> int:
        return ctx.attempt

    tasks = both(app, task, retry=Retry(2, delay=0.01))
    once: AnyTask = app.task(name="once")(task)
    async with working(app):
        assert await (await tasks[kind].aenqueue()).aresult(WAIT_S) == 2
        assert log[:3] == ["engine begins", "engine sees ConnectionError", "engine ends"]
        with pytest.raises(JobFailed, match="ConnectionError: cannot commit"):
            await (await once.aenqueue()).aresult(WAIT_S)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_does_not_yield_once_is_named(store_url: str, kind: str) -> None:
    app = quick_app(store_url)

    def never(engine: Annotated[str, Depends(engine)]) -> Iterator[int]:
        yield from ()

    async def twice(engine: Annotated[str, Depends(engine)]) -> AsyncIterator[int]:
        yield 1
        yield 2

    def no(value: Annotated[int, Depends(never)]) -> None: ...

    def two(value: Annotated[int, Depends(twice)]) -> None: ...

    for function, told in ((no, "does not yield"), (two, "yields twice")):
        app = quick_app(store_url)
        task = both(app, function)[kind]
        async with working(app):
            with pytest.raises(JobFailed, match=told) as raised:
                await (await task.aenqueue()).aresult(WAIT_S)
        assert raised.value.error_type == "windlass.errors.DependencyBroke"

    assert log.count("engine ends") == 2


async def test_a_time_limit_ends_them_in_reverse_and_includes_them(store_url: str) -> None:
    app = quick_app(store_url)

    async def slow() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(60)

    @app.task(timeout=0.05)
    async def task(session: SessionOf = INJECTED) -> None:
        await asyncio.sleep(60)

    @app.task(timeout=0.05)
    async def returns(
        session: SessionOf = INJECTED, slow: Annotated[None, Depends(slow)] = INJECTED
    ) -> None: ...

    async def never() -> AsyncIterator[None]:
        await asyncio.sleep(60)
        yield

    @app.task(timeout=0.05)
    async def waits(
        session: SessionOf = INJECTED, never: Annotated[None, Depends(never)] = INJECTED
    ) -> None: ...

    async with working(app):
        for each in (task, returns, waits):
            job = await each.aenqueue()
            assert (await (await ended(job)).ajob()).reason is Reason.TIMEOUT

    assert log[2:6] == [
        "connection to engine sees CancelledError",
        "connection to engine ends",
        "engine sees CancelledError",
        "engine ends",
    ]
    assert log == log[:6] * 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancel_and_a_stop_end_them(store_url: str, kind: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def asynchronous(session: SessionOf = INJECTED) -> None:
        await asyncio.sleep(60)

    @app.task
    def plain(session: SessionOf = INJECTED, ctx: Context = INJECTED) -> None:
        while True:
            time.sleep(0.005)
            ctx.check_cancelled()

    async def told() -> None:
        async with asyncio.timeout(WAIT_S):
            while not log:
                await asyncio.sleep(0.005)

    task = asynchronous if kind == "async" else plain
    async with working(app):
        job = await task.aenqueue()
        await told()
        await job.acancel()
        assert (await (await ended(job)).ajob()).state is State.CANCELLED
        assert log[-1] == "engine ends"
        log.clear()
        await task.aenqueue()
        await told()

    assert log[-1] == "engine ends"


@pytest.mark.parametrize("kind", KINDS)
async def test_jobs_at_the_same_time_never_see_what_is_anothers(store_url: str, kind: str) -> None:
    app = quick_app(store_url, concurrency=128)
    count, together = 120, threading.Barrier(120)
    arrived = 0
    all_here = asyncio.Event()

    def own(ctx: Context) -> Iterator[str]:
        assert ctx is context()
        yield ctx.job_id
        assert ctx is context()

    async def own_async(ctx: Context, own: Annotated[str, Depends(own)]) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        assert ctx is context()
        yield own
        assert ctx is context()

    def look(ctx: Context, *values: str) -> list[str]:
        return [ctx.job_id, context().job_id, *values]

    @app.task
    async def asynchronous(
        own: Annotated[str, Depends(own)],
        own_async: Annotated[str, Depends(own_async)],
        ctx: Context,
    ) -> list[str]:
        nonlocal arrived
        arrived += 1
        if arrived == count:
            all_here.set()
        await all_here.wait()
        return look(ctx, own, own_async)

    @app.task
    def plain(
        own: Annotated[str, Depends(own)],
        own_async: Annotated[str, Depends(own_async)],
        ctx: Context,
    ) -> list[str]:
        together.wait(WAIT_S)
        return look(ctx, own, own_async)

    task = asynchronous if kind == "async" else plain
    async with working(app):
        requests = [task.prepare() for _ in range(count)]  # type: ignore[call-arg]
        jobs = await app.aenqueue_many(requests)
        results = await app.agather(jobs, WAIT_S)

    assert results == [[job.id] * 4 for job in jobs]


# -- for a worker ------------------------------------------------------------


def pool() -> Iterator[object]:
    log.append("pool begins")
    time.sleep(0.05)  # long enough that all who want it are there
    yield object()
    log.append("pool ends")


async def client(pool: Annotated[object, Depends(pool, scope="worker")]) -> AsyncIterator[object]:
    log.append("client begins")
    yield pool
    await asyncio.sleep(0)
    log.append("client ends")


def of_job(client: Annotated[object, Depends(client, scope="worker")]) -> Iterator[object]:
    yield client
    log.append("job ends")


async def test_a_worker_s_is_made_once_whoever_asks_and_ended_last(store_url: str) -> None:
    app = quick_app(store_url, concurrency=32)

    @app.task
    async def asynchronous(client: Annotated[object, Depends(of_job)] = INJECTED) -> int:
        return id(client)

    @app.task
    def plain(pool: Annotated[object, Depends(pool, scope="worker")] = INJECTED) -> int:
        return id(pool)

    for _ in range(2):  # each worker has its own
        log.clear()
        async with working(app):
            requests = [task.prepare() for _ in range(8) for task in (asynchronous, plain)]
            ids = set(await app.agather(await app.aenqueue_many(requests), WAIT_S))

            assert len(ids) == 1
            assert "pool ends" not in log

        assert Counter(log)["job ends"] == 8
        assert [word for word in log if word != "job ends"] == [
            "pool begins",
            "client begins",
            "client ends",
            "pool ends",
        ]
        assert log[-2:] == ["client ends", "pool ends"]


async def test_one_not_asked_for_is_not_made(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    def wants(pool: Annotated[object, Depends(pool, scope="worker")] = INJECTED) -> None: ...

    @app.task
    async def other() -> None: ...

    async with working(app):
        await (await other.aenqueue()).aresult(WAIT_S)

    assert log == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_worker_s_that_fails_is_tried_again_by_the_next_attempt(
    store_url: str, kind: str
) -> None:
    app = quick_app(store_url)
    tries: list[int] = []

    def unsteady() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise SystemExit(3)  # not even this ends the worker
        return len(tries)

    def task(value: Annotated[int, Depends(unsteady, scope="worker")]) -> int:
        return value

    retried = both(app, task, retry=Retry(3, delay=0.01, on=BaseException))[kind]
    async with working(app):
        assert await (await retried.aenqueue()).aresult(WAIT_S) == 2
        assert await (await retried.aenqueue()).aresult(WAIT_S) == 2


async def test_an_attempt_that_is_stopped_stops_nothing_of_a_worker_s(store_url: str) -> None:
    app = quick_app(store_url)
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        with pytest.raises(NotInAttempt):  # it is nobody's own
            context()
        return "made"

    Slow = Annotated[str, Depends(slow, scope="worker")]

    @app.task(timeout=0.05)
    async def impatient(value: Slow = INJECTED) -> None: ...

    @app.task
    async def patient(value: Slow = INJECTED) -> str:
        return value

    async with working(app):
        first, second = await impatient.aenqueue(), await patient.aenqueue()
        assert (await (await ended(first)).ajob()).reason is Reason.TIMEOUT
        gate.set()

        assert await second.aresult(WAIT_S) == "made"


async def test_a_worker_that_stops_while_one_is_made_leaves_nothing_behind(
    store_url: str,
) -> None:
    app = quick_app(store_url)
    gate, begun = threading.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[None]:
        begun.set()
        try:
            await asyncio.sleep(60)
            yield
        finally:
            log.append("stopped")

    def stuck() -> Iterator[None]:
        gate.wait(WAIT_S)
        yield

    @app.task
    async def asynchronous(
        value: Annotated[None, Depends(endless, scope="worker")] = INJECTED,
    ) -> None: ...

    @app.task
    async def other(value: Annotated[None, Depends(stuck, scope="worker")] = INJECTED) -> None: ...

    async with working(app):
        jobs = [await other.aenqueue(), await asynchronous.aenqueue()]
        await asyncio.wait_for(begun.wait(), WAIT_S)
        for job in jobs:
            await running(job)
    gate.set()

    assert log == ["stopped"]
    async with app.session():
        for job in jobs:
            assert (await job.ajob()).state is not State.RUNNING


async def test_what_a_worker_s_raises_at_its_end_is_logged(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = quick_app(store_url)

    def breaks(pool: Annotated[object, Depends(pool, scope="worker")]) -> Iterator[int]:
        yield 1
        raise OSError("cannot close")

    @app.task
    async def task(value: Annotated[int, Depends(breaks, scope="worker")] = INJECTED) -> int:
        return value

    async with working(app):
        assert await (await task.aenqueue()).aresult(WAIT_S) == 1

    assert "cannot close" in caplog.text
    assert log[-1] == "pool ends"


VAR: contextvars.ContextVar[int] = contextvars.ContextVar("VAR")


async def group() -> AsyncIterator[str]:
    """What is bound to one asyncio task from its begin to its end."""
    token = VAR.set(1)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(0))
        yield "group"
        log.append("group ends")
    VAR.reset(token)


@pytest.mark.parametrize("scope", ["job", "worker"])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_async_one_begins_and_ends_in_the_same_asyncio_task(
    store_url: str, kind: str, scope: Scope, caplog: pytest.LogCaptureFixture
) -> None:
    app = quick_app(store_url)

    def use(value: Annotated[str, Depends(group, scope=scope)]) -> str:
        return value

    task = both(app, use)[kind]
    async with working(app):
        assert await (await task.aenqueue()).aresult(WAIT_S) == "group"

    assert log == ["group ends"]
    assert "broke" not in caplog.text


async def test_what_breaks_while_it_is_held_open_is_the_attempts_error(store_url: str) -> None:
    app = quick_app(store_url)

    async def breaks() -> AsyncIterator[None]:
        async def background() -> None:
            raise ConnectionError("lost")

        async with asyncio.TaskGroup() as tasks:
            failed = tasks.create_task(background())
            yield
            await asyncio.wait([failed])

    @app.task
    def plain(value: Annotated[None, Depends(breaks)] = INJECTED) -> None: ...

    @app.task
    async def asynchronous(value: Annotated[None, Depends(breaks)] = INJECTED) -> None:
        await asyncio.sleep(60)

    async with working(app):
        for task in (plain, asynchronous):
            with pytest.raises(JobFailed, match="ConnectionError: lost"):
                await (await task.aenqueue()).aresult(WAIT_S)


# -- overrides ---------------------------------------------------------------


async def test_overrides_nest_and_restore(store_url: str) -> None:
    app = quick_app(store_url)

    def setting() -> str:
        return "real"

    def other(ctx: Context) -> str:
        return f"other {ctx.attempt}"

    def shared(setting: Annotated[str, Depends(setting, scope="worker")]) -> str:
        return f"shared {setting}"

    @app.task
    async def task(
        setting: Annotated[str, Depends(setting)] = INJECTED,
        shared: Annotated[str, Depends(shared, scope="worker")] = INJECTED,
    ) -> list[str]:
        return [setting, shared]

    async def seen() -> list[str]:
        return await (await task.aenqueue()).aresult(WAIT_S)

    async with working(app):
        assert await seen() == ["real", "shared real"]
        with app.override(setting, lambda: "fake"):
            assert await seen() == ["fake", "shared fake"]
            with contextlib.suppress(KeyError), app.override(shared, lambda: "inner"):
                assert await seen() == ["fake", "inner"]
                raise KeyError
            with app.override(setting, lambda: "innermost"):
                assert await seen() == ["innermost", "shared innermost"]
            assert await seen() == ["fake", "shared fake"]
            assert await task() == [INJECTED, INJECTED]  # a plain call is a plain call
        assert await seen() == ["real", "shared real"]

        with pytest.raises(BadTask, match="Context"), app.override(setting, other):
            raise AssertionError  # one of the two asks for it once for a worker
        with pytest.raises(BadOption, match="no task of this app"), app.override(seen, other):
            raise AssertionError
        assert await seen() == ["real", "shared real"]
