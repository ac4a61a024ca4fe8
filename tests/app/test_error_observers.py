"""Observers of errors, on both stores: told of each unexpected exception while it is alive."""

import asyncio
import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, working
from windlass import (
    App,
    AttemptCall,
    Cancel,
    Context,
    Depends,
    JobFailed,
    Outcome,
    Proceed,
    Retry,
    Snooze,
    context,
)
from windlass.errors import AttemptTimeout
from windlass.tasks import AnyTask

KINDS = ["async", "plain"]


def task_of(app: App, kind: str, function: Callable[..., Any], **options: Any) -> AnyTask:
    """Register a function as it is, or as an async one."""
    if kind == "plain":
        return app.task(**options)(function)

    @functools.wraps(function)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return app.task(**options)(asynchronous)


def locals_of(error: BaseException) -> dict[str, Any]:
    """Return the variables of the innermost frame."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_locals


@pytest.mark.parametrize("kind", KINDS)
async def test_each_exception_is_told_with_its_frames_and_its_attempt(
    store_url: str, kind: str
) -> None:
    app = quick_app(store_url)
    told: list[tuple[str, int, Any, bool]] = []

    @app.observe_errors
    def tell(error: BaseException, ctx: Context) -> None:
        told.append((str(error), ctx.attempt, locals_of(error)["secret"], ctx is context()))

    def fails() -> None:
        secret = context().attempt * 7
        raise ValueError(f"no {secret}")

    task = task_of(app, kind, fails, retry=Retry(2, delay=0.01))
    async with working(app):
        await ended(await task.aenqueue())

    assert told == [("no 7", 1, 7, True), ("no 14", 2, 14, True)]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_code_asks_for_is_no_error(store_url: str, kind: str) -> None:
    app = quick_app(store_url)
    told: list[BaseException] = []
    app.observe_errors(lambda error, ctx: told.append(error))

    def asks() -> None:
        match context().attempt:
            case 1:
                raise Retry(after=0.01)
            case 2:
                raise Snooze(0.01)
            case 3:
                context().ask_to_cancel()
                context().check_cancelled()
        raise AssertionError

    def cancels() -> None:
        raise Cancel

    tasks = [task_of(app, kind, asks, name="asks"), task_of(app, kind, cancels, name="cancels")]
    async with working(app):
        for task in tasks:
            await ended(await task.aenqueue())

    assert told == []


async def test_time_limits_middleware_and_dependencies_are_told_too(store_url: str) -> None:
    app = quick_app(store_url)
    told: dict[str, BaseException] = {}

    @app.observe_errors
    def tell(error: BaseException, ctx: Context) -> None:
        told[ctx.task] = error

    async def locked(call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        raise PermissionError

    def gone() -> None:
        raise ConnectionError

    @app.task(name="slow", timeout=0.05)
    async def slow() -> None:
        await asyncio.sleep(60)

    @app.task(name="locked", around_attempt=[locked])
    async def never() -> None: ...

    @app.task(name="gone")
    def needs(value: Annotated[None, Depends(gone)]) -> None: ...

    tasks: list[AnyTask] = [slow, never, needs]
    async with working(app):
        for task in tasks:
            await ended(await task.aenqueue())

    assert {task: type(error) for task, error in told.items()} == {
        "slow": AttemptTimeout,
        "locked": PermissionError,
        "gone": ConnectionError,
    }
    assert isinstance(told["slow"].__cause__, TimeoutError)  # it shows where the code was


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_breaks_changes_nothing_and_is_logged(
    store_url: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = quick_app(store_url)
    told: list[str] = []

    @app.observe_errors
    def breaks(error: BaseException, ctx: Context) -> None:
        raise SystemExit("the observer's own")

    @app.observe_errors
    def tell(error: BaseException, ctx: Context) -> None:
        told.append(str(error))

    def fails() -> None:
        raise ValueError("the task's")

    task = task_of(app, kind, fails)
    async with working(app):
        with pytest.raises(JobFailed, match="ValueError: the task's"):
            await (await task.aenqueue()).aresult(WAIT_S)

    assert told == ["the task's"]
    assert "the observer's own" in caplog.text


async def test_the_traceback_of_a_task_with_dependencies_begins_with_its_own_frame(
    store_url: str,
) -> None:
    app = quick_app(store_url)

    @app.task
    async def fails(ctx: Context) -> None:
        raise ValueError

    task: AnyTask = fails
    async with working(app):
        with pytest.raises(JobFailed) as raised:
            await (await task.aenqueue()).aresult(WAIT_S)

    first = raised.value.traceback.splitlines()[1]
    assert __file__ in first
