"""A task as its caller sees it, and the wait for its end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from windlass.contrib.qtasks.state import current_app
from windlass.errors import BadOption

TIMEOUT_S = 100.0


@dataclass
class Task:
    """A task as it stood when it was asked for.

    status:     new, process, success, error or cancel (``enums.TaskStatusEnum``).
    uuid:       of the job in Windlass; one for all its attempts.
    returning:  what the function returned, as JSON has it.   traceback: of the last error.
    retry:      how many more retries there would have been; None if it never failed.
    retry_child_uuid, retry_parent_uuid: always None, for a retry is no task of its own.
    cancel_reason: of a task that has cancelled itself.
    created_at, updated_at: in local time, without a zone.
    """

    status: str
    uuid: UUID | str
    priority: int
    task_name: str

    args: Any
    kwargs: dict[str, Any]

    created_at: datetime
    updated_at: datetime

    returning: Any = None
    traceback: str | None = None

    retry: int | None = None
    retry_child_uuid: UUID | None = None
    retry_parent_uuid: UUID | None = None
    cancel_reason: str | None = None

    def bind(self, app: Any) -> "Task":
        """Say which app is asked by ``wait_result``; returns the task."""
        self._app = app
        return self

    def wait_result(self, timeout: float = TIMEOUT_S) -> "Task | None":
        """Block until the task has ended and return it; None if the time was over."""
        return SyncResult(self.uuid, getattr(self, "_app", None)).result(timeout)

    async def wait_result_async(self, timeout: float = TIMEOUT_S) -> "Task | None":
        """Wait until the task has ended and return it; None if the time was over."""
        return await AsyncResult(self.uuid, getattr(self, "_app", None)).result(timeout)


class SyncResult:
    """The wait for a task, for code that has no event loop.

    uuid: of the task.   app: by default the one that was made last.
    Raises: AppNotConnected.
    """

    def __init__(self, uuid: UUID | str | None = None, app: Any = None, log: Any = None) -> None:
        self._app = app or current_app()
        self.log = (log or self._app.log).with_subname("SyncResult")
        self.uuid = uuid

    def result(self, timeout: float = TIMEOUT_S) -> Task | None:
        """Block until the task has ended and return it.

        timeout: in seconds.  None, with a line in the log, if it was over, or if there is no
                 such task.
        Raises:  BadOption, without an id.
        """
        found: Task | None = self._app.jobs.wait(_known(self.uuid), timeout, self.log)
        return found


class AsyncResult:
    """The wait for a task, for code in an event loop; see :class:`SyncResult`."""

    def __init__(self, uuid: UUID | str | None = None, app: Any = None, log: Any = None) -> None:
        self._app = app or current_app()
        self.log = (log or self._app.log).with_subname("AsyncResult")
        self.uuid = uuid

    async def result(self, timeout: float = TIMEOUT_S) -> Task | None:
        """Wait until the task has ended and return it; see :meth:`SyncResult.result`."""
        found: Task | None = await self._app.jobs.await_(_known(self.uuid), timeout, self.log)
        return found


def _known(uuid: UUID | str | None) -> UUID | str:
    if not uuid:
        raise BadOption("uuid", uuid, "say of which task")
    return uuid
