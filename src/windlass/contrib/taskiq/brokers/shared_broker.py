"""Tasks without a broker of their own, for libraries."""

from datetime import datetime
from typing import Any

from windlass.contrib.taskiq.abc.broker import AnyDecorated, AsyncBroker, shared_tasks
from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.decor import AsyncTaskiqDecoratedTask
from windlass.contrib.taskiq.exceptions import SharedBrokerSendTaskError
from windlass.contrib.taskiq.kicker import AsyncKicker
from windlass.contrib.taskiq.message import TaskiqMessage
from windlass.errors import BadTask


class SharedDecoratedTask(AsyncTaskiqDecoratedTask[Any, Any]):
    """A task that any broker may send and run."""

    def kicker(self) -> AsyncKicker[Any, Any]:
        """Return the call to be, by the default broker, if there is one."""
        broker = self.broker.default or self.broker
        return AsyncKicker(self.task_name, broker, self.labels, self.return_type)


class AsyncSharedBroker(AsyncBroker):
    """Where tasks are defined that know no broker; each other broker has them too."""

    decorator_class = SharedDecoratedTask

    def __init__(self) -> None:
        super().__init__(AsyncResultBackend())
        self.default: AsyncBroker | None = None

    def default_broker(self, new_broker: AsyncBroker) -> None:
        """Send shared tasks by this broker, where a kicker does not name another."""
        self.default = new_broker

    def adopt(self, task: AnyDecorated) -> None:
        """Take in a task.  Raises: BadTask, for a name that is taken."""
        if task.task_name in shared_tasks:
            why = "a shared task of this name is already registered; pass task_name=…"
            raise BadTask(task.task_name, why)
        shared_tasks[task.task_name] = task

    def id_generator(self) -> str:
        """Refuse: there is no broker to send by.  Raises: SharedBrokerSendTaskError."""
        raise SharedBrokerSendTaskError

    async def kick(self, message: TaskiqMessage, run_at: datetime | None = None) -> None:
        """Refuse: there is no broker to send by.  Raises: SharedBrokerSendTaskError."""
        raise SharedBrokerSendTaskError

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


async_shared_broker = AsyncSharedBroker()
shared_task = async_shared_broker.task
