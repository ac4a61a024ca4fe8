"""What a worker runs for a task of Django: connections, context and signals around the function."""

from collections.abc import Callable, Coroutine
from traceback import format_exception
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.utils import timezone

from windlass import Cancel, Retry, Snooze, context
from windlass.contrib.django.tasks_api import base, normalize_json, signals

ASKED_FOR = (Snooze, Cancel, Retry)  # they are no errors


def plain_attempt(backend: Any, task: Any) -> Callable[[list[Any], dict[str, Any]], Any]:
    """Return what runs a plain function, on a thread of a worker."""

    def run(args: list[Any], kwargs: dict[str, Any]) -> Any:
        close_old_connections()
        try:
            attempt = _Attempt(backend, task)
            try:
                value = attempt.value(task.func(*attempt.context, *args, **kwargs))
            except BaseException as error:
                attempt.failed(error)
                raise
            attempt.succeeded(value)
            return value
        finally:
            close_old_connections()

    return run


def async_attempt(
    backend: Any, task: Any
) -> Callable[[list[Any], dict[str, Any]], Coroutine[Any, Any, Any]]:
    """Return what runs an async function, in the event loop of a worker."""

    async def run(args: list[Any], kwargs: dict[str, Any]) -> Any:
        await sync_to_async(close_old_connections)()
        try:
            attempt = await sync_to_async(_Attempt)(backend, task)
            try:
                value = attempt.value(await task.func(*attempt.context, *args, **kwargs))
            except Exception as error:
                await sync_to_async(attempt.failed)(error)
                raise
            await sync_to_async(attempt.succeeded)(value)
            return value
        finally:
            await sync_to_async(close_old_connections)()

    return run


class _Attempt:
    """One attempt, as Django's signals and the task's context tell it."""

    def __init__(self, backend: Any, task: Any) -> None:
        self._backend = backend
        self._result = backend.get_result(context().job_id)
        self.context = [base.TaskContext(task_result=self._result)] if task.takes_context else []
        signals.task_started.send(type(backend), task_result=self._result)

    def value(self, returned: Any) -> Any:
        """Return what the function returned as JSON has it.  Raises: TypeError, ValueError."""
        return normalize_json(returned)

    def succeeded(self, value: Any) -> None:
        """Tell that the task has finished."""
        self._finish(base.TaskResultStatus.SUCCESSFUL, _return_value=value)

    def failed(self, error: BaseException) -> None:
        """Tell that the task has finished, unless there will be another attempt."""
        policy = self._backend.app.specs[self._result.task.module_path].retry_policy
        is_last = not policy.covers(error) or context().failures + 1 >= policy.attempts
        if isinstance(error, ASKED_FOR) or not is_last:
            return
        kind = type(error)
        path = f"{kind.__module__}.{kind.__qualname__}"
        told = base.TaskError(exception_class_path=path, traceback="".join(format_exception(error)))
        self._finish(base.TaskResultStatus.FAILED, errors=[*self._result.errors, told])

    def _finish(self, status: Any, **facts: Any) -> None:
        for name, value in {**facts, "status": status, "finished_at": timezone.now()}.items():
            object.__setattr__(self._result, name, value)
        signals.task_finished.send(type(self._backend), task_result=self._result)
