"""What a worker of Windlass runs for a task: its executor, and what its end means."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NoReturn
from uuid import UUID

from windlass import Cancel, Retry, context
from windlass.contrib.qtasks.exc import TaskCancelError
from windlass.contrib.qtasks.executors import AsyncTaskExecutor, SyncTaskExecutor
from windlass.contrib.qtasks.jobs import PRIORITY
from windlass.contrib.qtasks.plain import plain_result
from windlass.contrib.qtasks.plugins.depends import dependencies_of
from windlass.contrib.qtasks.schemas import TaskExecSchema, TaskPrioritySchema
from windlass.contrib.qtasks.state import Attempt, within
from windlass.core.ids import created_at
from windlass.errors import NotSupported
from windlass.model.progress import MESSAGE_LENGTH_MAX

_Kind = inspect.Parameter


class RetryOf(Retry):
    """The retries of a task: at once, and for errors of exactly the classes that it names."""

    def __init__(self, retries: int, errors: list[type[Exception]] | None) -> None:
        super().__init__(retries + 1, delay=0.0, backoff="fixed", jitter=0.0, on=BaseException)
        self._errors = errors

    def covers(self, error: BaseException) -> bool:
        """Tell whether this policy retries such an error at all."""
        return not self._errors or type(error) in self._errors


def retry_of(task_func: TaskExecSchema) -> Retry | None:
    """Return the policy of a task; None where it has no retries."""
    retries = task_func.retry
    return RetryOf(retries, task_func.retry_on_exc) if retries and retries > 0 else None


def plain_attempt(app: Any, task_func: TaskExecSchema) -> Callable[..., Any]:
    """Return what runs a task of an app of plain functions, on a thread."""

    def run(args: list[Any], kwargs: dict[str, Any], **injected: Any) -> Any:
        if task_func.is_async:
            instead = "import QueueTasks from windlass.contrib.qtasks.asyncio"
            raise NotSupported(
                "qtasks", f"the async task {task_func.name!r} in a plain app", instead
            )
        with within(Attempt(app, injected)):
            executor = _executor(app, task_func, SyncTaskExecutor, args, kwargs)
            try:
                return plain_result(executor.execute())
            except TaskCancelError as error:
                _cancel(error)

    return _with_dependencies(run, task_func, in_loop=False)


def async_attempt(app: Any, task_func: TaskExecSchema) -> Callable[..., Any]:
    """Return what runs a task of an async app, in an event loop."""

    async def run(args: list[Any], kwargs: dict[str, Any], **injected: Any) -> Any:
        with within(Attempt(app, injected)):
            executor = _executor(app, task_func, AsyncTaskExecutor, args, kwargs)
            try:
                return plain_result(await executor.execute())
            except TaskCancelError as error:
                _cancel(error)

    return _with_dependencies(run, task_func, in_loop=True)


def _executor(
    app: Any,
    task_func: TaskExecSchema,
    usual: type[Any],
    args: list[Any],
    kwargs: dict[str, Any],
) -> Any:
    attempt = context()
    began = created_at(attempt.job_id).timestamp()
    call = TaskPrioritySchema(
        priority=int(attempt.headers.get(PRIORITY, task_func.priority)),
        uuid=UUID(attempt.job_id),
        name=task_func.name,
        args=args,
        kwargs=kwargs,
        created_at=began,
        updated_at=began,
    )
    kind = task_func.executor or usual
    return kind(task_func=task_func, task_broker=call, log=app.log, plugins={})


def _cancel(error: TaskCancelError) -> NoReturn:
    """End the job as cancelled; its last progress keeps the reason."""
    line = "".join(c if c.isprintable() else " " for c in str(error))
    context().progress(0.0, line[:MESSAGE_LENGTH_MAX])
    raise Cancel(str(error)) from error


def _with_dependencies(run: Any, task_func: TaskExecSchema, *, in_loop: bool) -> Callable[..., Any]:
    """Give a function the signature by which Windlass makes what the task depends on."""
    found = dependencies_of(task_func.func)
    marks = {name: Annotated[Any, mark.native(in_loop=in_loop)] for name, mark in found.items()}
    run.__annotations__ = {"args": list[Any], "kwargs": dict[str, Any], "return": Any, **marks}
    run.__signature__ = inspect.Signature(
        [
            _Kind("args", _Kind.POSITIONAL_OR_KEYWORD),
            _Kind("kwargs", _Kind.POSITIONAL_OR_KEYWORD),
            *(_Kind(name, _Kind.KEYWORD_ONLY) for name in marks),
        ]
    )
    run.__name__ = run.__qualname__ = getattr(task_func.func, "__name__", "task")
    run.__module__ = task_func.func.__module__
    run.__doc__ = task_func.description or task_func.func.__doc__
    attempt: Callable[..., Any] = run
    return attempt
