"""How functions become tasks: what apps, routers and ``shared_task`` have in common."""

import inspect
from collections.abc import Callable
from typing import Any

from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.errors import BadTask, NotSupported


def defined(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    priority: int | None = None,
    echo: bool = False,
    max_time: float | None = None,
    retry: int | None = None,
    retry_on_exc: list[type[Exception]] | None = None,
    decode: Callable[..., Any] | None = None,
    tags: list[str] | None = None,
    description: str | None = None,
    generate_handler: Callable[..., Any] | None = None,
    executor: type[Any] | None = None,
    middlewares_before: list[type[Any]] | None = None,
    middlewares_after: list[type[Any]] | None = None,
    **extra: Any,
) -> TaskExecSchema:
    """Return a function with its options as a task.

    name:     ``function.__name__`` by default.
    priority: less goes first; -100 to 100.
    echo:     the function is given itself, a SyncTask or AsyncTask, as its first argument.
    max_time: seconds; an async function is stopped there, what a plain one returns later is lost.
    retry:    how often it is run again after an error; at once.
    retry_on_exc: errors of exactly these classes are; by default all.
    decode:   makes JSON of the result.
    generate_handler: what a generator yields goes through it.
    executor, middlewares_before, middlewares_after: classes, see ``executors``, ``middlewares``.
    extra:    options of your own, which the task finds in ``self.extra``.
    Raises: BadTask, for values that mean nothing.
    """
    if not callable(function):
        raise BadTask(str(name), f"a task is made of a function, not of {function!r}")
    is_async_generator = inspect.isasyncgenfunction(function)
    is_generator = inspect.isgeneratorfunction(function)
    made = TaskExecSchema(
        name=name or function.__name__,
        priority=priority or 0,
        func=function,
        awaiting=inspect.iscoroutinefunction(function),
        generating="async" if is_async_generator else "sync" if is_generator else False,
        echo=echo,
        max_time=max_time,
        retry=retry,
        retry_on_exc=retry_on_exc,
        decode=decode,
        tags=tags,
        description=description,
        generate_handler=generate_handler,
        executor=executor,
        middlewares_before=list(middlewares_before or []),
        middlewares_after=list(middlewares_after or []),
        extra=extra,
    )
    _check(made)
    return made


def _check(made: TaskExecSchema) -> None:
    """Refuse values that mean nothing.  Raises: BadTask."""
    if not isinstance(made.name, str):
        raise BadTask(str(made.name), "the name of a task is a text")
    if made.retry is not None and (isinstance(made.retry, bool) or not isinstance(made.retry, int)):
        raise BadTask(made.name, f"retry={made.retry!r}: must be a whole number")
    limit_s = made.max_time
    if limit_s is not None and (not isinstance(limit_s, int | float) or limit_s < 0):
        raise BadTask(made.name, f"max_time={limit_s!r}: must be a number of seconds")
    for option in ("decode", "generate_handler"):
        if (given := getattr(made, option)) is not None and not callable(given):
            raise BadTask(made.name, f"{option}={given!r}: must be a function")
    if not isinstance(made.retry_on_exc, list | tuple | set | frozenset | None):
        raise BadTask(made.name, f"retry_on_exc={made.retry_on_exc!r}: must be a list of classes")
    executors = [made.executor] if made.executor is not None else []
    for each in [*(made.retry_on_exc or []), *executors,
                 *made.middlewares_before, *made.middlewares_after]:  # fmt: skip
        if not isinstance(each, type):
            raise BadTask(made.name, f"{each!r} among its options: must be a class")


def check_runnable(task_func: TaskExecSchema, *, in_loop: bool) -> None:
    """Refuse an async function in an app of plain functions.  Raises: NotSupported."""
    if task_func.is_async and not in_loop:
        raise NotSupported(
            "qtasks",
            f"the async task {task_func.name!r} in a plain app",
            "import QueueTasks from windlass.contrib.qtasks.asyncio",
        )
