"""Code around sending and running: the hooks."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from windlass.contrib.taskiq.message import TaskiqMessage
from windlass.contrib.taskiq.result import TaskiqResult

T = TypeVar("T")


class TaskiqMiddleware:
    """The base of middlewares: override the hooks that you want, plain or async."""

    broker: Any = None

    def set_broker(self, broker: Any) -> None:
        """Take notice of the broker to which this was added."""
        self.broker = broker

    def startup(self) -> Awaitable[None] | None:
        """Run when the broker starts, behind its handlers of that event."""

    def shutdown(self) -> Awaitable[None] | None:
        """Run when the broker stops."""

    def pre_send(self, message: TaskiqMessage) -> Awaitable[TaskiqMessage] | TaskiqMessage:
        """Return the message to be sent."""
        return message

    def post_send(self, message: TaskiqMessage) -> Awaitable[None] | None:
        """Run once the message is stored."""

    def pre_execute(self, message: TaskiqMessage) -> Awaitable[TaskiqMessage] | TaskiqMessage:
        """Return the message to be run."""
        return message

    def post_execute(
        self, message: TaskiqMessage, result: TaskiqResult[Any]
    ) -> Awaitable[None] | None:
        """Run behind the task, before its result is kept; may change the result."""

    def post_save(
        self, message: TaskiqMessage, result: TaskiqResult[Any]
    ) -> Awaitable[None] | None:
        """Run once the result is kept."""

    def on_error(
        self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException
    ) -> Awaitable[None] | None:
        """Run behind a task that raised, before ``post_execute``."""


async def awaited(value: Awaitable[T] | T) -> T:
    """Return what a hook returned, awaited if it is async."""
    return await value if isinstance(value, Awaitable) else value
