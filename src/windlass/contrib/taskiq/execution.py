"""One run of a task: hooks, arguments, dependencies, its time limit, and the result of it all."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from windlass import Cancel, Retry, Snooze
from windlass.contrib.taskiq.abc.middleware import TaskiqMiddleware, awaited
from windlass.contrib.taskiq.context import Context
from windlass.contrib.taskiq.dependencies import Resolution
from windlass.contrib.taskiq.message import TaskiqMessage, number_in
from windlass.contrib.taskiq.parsing import parse_arguments
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.contrib.taskiq.state import TaskiqState
from windlass.core.context import is_cancelled
from windlass.errors import AttemptCancelled

Run = Callable[[list[Any], dict[str, Any]], Awaitable[Any]]

# What a task may say to Windlass itself.
ASKED_FOR = (Retry, Snooze, Cancel, AttemptCancelled)


@dataclass(frozen=True)
class Executed:
    """A run that is over.

    result: as the hooks left it.   value, error: what the task itself returned or raised.
    """

    message: TaskiqMessage
    result: TaskiqResult[Any]
    value: Any
    error: BaseException | None


async def execute(broker: Any, task: Any, message: TaskiqMessage, run: Run) -> Executed:
    """Run a message; whatever its code raises is the result's error.

    run:    calls the task's function.
    Raises: what a hook raises; Retry, Snooze and Cancel; CancelledError, if this was cancelled.
    """
    for middleware in broker.middlewares:
        message = await awaited(middleware.pre_execute(message))
    parse_arguments(task.original_func, message)
    began = time.monotonic()
    value, error = await _ran(broker, task, message, run)
    result: TaskiqResult[Any] = TaskiqResult(
        is_err=error is not None,
        return_value=value,
        execution_time=round(time.monotonic() - began, 2),
        labels=message.labels,
        error=error,
    )
    if error is not None:
        for middleware in reversed(broker.middlewares):
            await awaited(middleware.on_error(message, result, error))
    for middleware in reversed(broker.middlewares):
        await awaited(middleware.post_execute(message, result))
    return Executed(message, result, value, error)


async def _ran(
    broker: Any, task: Any, message: TaskiqMessage, run: Run
) -> tuple[Any, BaseException | None]:
    own = {Context: Context(message, broker), TaskiqState: broker.state}
    needs = Resolution({**broker.custom_dependency_context, **own}, broker.dependency_overrides)
    value, error = None, None
    try:
        kwargs = await needs.arguments(task.original_func)
        async with _limit(message):
            value = await run(message.args, {**kwargs, **message.kwargs})
    except BaseException as raised:
        is_ours = isinstance(raised, asyncio.CancelledError) and is_cancelled()
        if is_ours or isinstance(raised, ASKED_FOR):
            await needs.close(raised)
            raise
        error = raised
    await needs.close(error)
    return value, error


def _limit(message: TaskiqMessage) -> Any:
    """Return the block in which the function has to end, by the label ``timeout``."""
    if message.labels.get("timeout") is None:
        return nullcontext()
    return asyncio.timeout(number_in(message.labels, "timeout", 0.0))


async def saved(broker: Any, executed: Executed) -> None:
    """Tell the middlewares that a result is kept."""
    for middleware in reversed(broker.middlewares):
        await awaited(middleware.post_save(executed.message, executed.result))


def has_hook(broker: Any, name: str) -> bool:
    """Tell whether one of the broker's middlewares has a hook of its own."""
    default = getattr(TaskiqMiddleware, name)
    return any(getattr(type(each), name) is not default for each in broker.middlewares)
