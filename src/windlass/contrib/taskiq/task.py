"""A task as its sender holds it, and waiting for many."""

import time
from typing import Any, Generic, TypeVar

from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.exceptions import (
    ResultGetError,
    ResultIsReadyError,
    TaskiqResultTimeoutError,
)
from windlass.contrib.taskiq.parsing import result_as
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.errors import WindlassError

R = TypeVar("R")


class AsyncTaskiqTask(Generic[R]):
    """A task on its way: its id, and the way to its result.

    task_id: of the job too: ``windlass jobs show`` takes it.
    """

    def __init__(
        self, task_id: str, result_backend: AsyncResultBackend, return_type: Any = None
    ) -> None:
        self.task_id = task_id
        self.result_backend = result_backend
        self.return_type = return_type

    async def is_ready(self) -> bool:
        """Tell whether the task has ended, and with a result.  Raises: ResultIsReadyError."""
        try:
            return await self.result_backend.is_result_ready(self.task_id)
        except WindlassError as error:
            raise ResultIsReadyError from error

    async def get_result(self, with_logs: bool = False) -> TaskiqResult[R]:
        """Return the result of the task, which has ended.  Raises: ResultGetError."""
        try:
            result = await self.result_backend.get_result(self.task_id, with_logs)
        except ResultGetError:
            raise
        except WindlassError as error:
            raise ResultGetError from error
        if not result.is_err:
            result.return_value = result_as(self.return_type, result.return_value)
        return result

    async def wait_result(
        self, check_interval: float = 0.2, timeout: float = -1.0, with_logs: bool = False
    ) -> TaskiqResult[R]:
        """Wait for the task's end and return its result, also that of a task which raised.

        check_interval: seconds; of use only with InMemoryBroker, for a store rings.
        timeout:        seconds; 0 or less: as long as it takes.
        Raises:         TaskiqResultTimeoutError, ResultGetError.
        """
        try:
            limit_s = timeout if timeout > 0 else None
            await self.result_backend.wait(self.task_id, limit_s, check_interval)
        except (TaskiqResultTimeoutError, ResultGetError):
            raise
        except WindlassError as error:
            raise ResultIsReadyError from error
        return await self.get_result(with_logs)

    async def get_progress(self) -> Any:
        """Refuse: there is progress of another kind.  Raises: NotSupported."""
        return await self.result_backend.get_progress(self.task_id)


async def gather(
    *tasks: AsyncTaskiqTask[Any],
    timeout: float = -1,
    with_logs: bool = False,
    periodicity: float = 0.1,
) -> tuple[TaskiqResult[Any], ...]:
    """Wait for many tasks, and return their results in the order given.

    timeout: seconds, for all of them together; 0 or less: as long as it takes.
    Raises:  TaskiqResultTimeoutError, ResultGetError.
    """
    until = time.monotonic() + timeout
    results = []
    for task in tasks:
        left_s = -1.0 if timeout <= 0 else max(until - time.monotonic(), 0.001)
        try:
            results.append(await task.wait_result(periodicity, left_s, with_logs))
        except TaskiqResultTimeoutError as error:
            raise TaskiqResultTimeoutError(timeout) from error
    return tuple(results)
