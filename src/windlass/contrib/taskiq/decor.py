"""A task as its module holds it: still the function, and something to send."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

from windlass import Depends
from windlass.contrib.taskiq.dependencies import is_marked
from windlass.contrib.taskiq.kicker import AsyncKicker, check_labels
from windlass.contrib.taskiq.scheduler.scheduled_task import CreatedSchedule, CronSpec
from windlass.contrib.taskiq.task import AsyncTaskiqTask
from windlass.core.context import Context

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncTaskiqDecoratedTask(Generic[P, R]):
    """A function that is a task: call it as ever, or send the call with ``kiq``."""

    def __init__(
        self, broker: Any, task_name: str, original_func: Callable[P, R], labels: dict[str, Any]
    ) -> None:
        self.broker = broker
        self.task_name = task_name
        self.original_func = original_func
        self.labels = check_labels(labels)
        self.return_type = get_type_hints(original_func).get("return")
        functools.update_wrapper(self, original_func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, as if it were not a task."""
        return self.original_func(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.task_name!r}>"

    @overload
    async def kiq(
        self: "AsyncTaskiqDecoratedTask[P, Coroutine[Any, Any, T]]",
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AsyncTaskiqTask[T]: ...
    @overload
    async def kiq(self, *args: P.args, **kwargs: P.kwargs) -> AsyncTaskiqTask[R]: ...
    async def kiq(self, *args: Any, **kwargs: Any) -> Any:
        """Store the call; returns once it is durable.

        Raises: SendTaskError, whose cause says why: BadArguments, StoreUnavailable, ….
        """
        return await self.kicker().kiq(*args, **kwargs)

    def kicker(self) -> AsyncKicker[P, Any]:
        """Return the call to be, for labels, an id or another broker of its own."""
        return AsyncKicker(self.task_name, self.broker, self.labels, self.return_type)

    async def schedule_by_time(
        self, source: Any, time: datetime, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[Any]:
        """Store the call as a job that is due at an instant; without a zone, one of UTC."""
        return await self.kicker().schedule_by_time(source, time, *args, **kwargs)

    async def schedule_by_cron(
        self, source: Any, cron: str | CronSpec, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[Any]:
        """Store a schedule; a scheduler starts its jobs."""
        return await self.kicker().schedule_by_cron(source, cron, *args, **kwargs)

    async def schedule_by_interval(
        self, source: Any, interval: float | timedelta, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[Any]:
        """Store a schedule; a scheduler starts its jobs."""
        return await self.kicker().schedule_by_interval(source, interval, *args, **kwargs)


def payload_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as Windlass registers it: with what is sent as its parameters.

    What taskiq's dependencies give is no parameter of it; what Windlass's own give, is.  Types
    are left out: the arguments travel as plain data, and are parsed where the task runs.
    """
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function)
    kept = {
        name: parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in own.parameters.items()
        if not is_marked(parameter, hints.get(name))
    }

    async def run_async(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    def run_plain(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    run: Any = run_async if inspect.iscoroutinefunction(function) else run_plain
    run.__module__, run.__qualname__ = function.__module__, function.__qualname__
    run.__doc__ = function.__doc__
    run.__annotations__ = {name: hints[name] for name in kept if _is_windlass(hints.get(name))}
    run.__signature__ = inspect.Signature(list(kept.values()))
    return cast(Callable[..., Any], run)


def _is_windlass(hint: Any) -> bool:
    """Tell whether it is Windlass that gives a parameter of this type."""
    marks = getattr(hint, "__metadata__", ())
    return hint is Context or any(isinstance(each, Depends) for each in marks)
