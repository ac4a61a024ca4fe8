"""What a running task may know of its message, and do with it."""

from typing import Any, NoReturn

from windlass.contrib.taskiq.exceptions import Requeued, TaskRejectedError, refuse
from windlass.contrib.taskiq.message import TaskiqMessage
from windlass.contrib.taskiq.state import TaskiqState


class Context:
    """The run of a task: its message, its broker, and the broker's state."""

    def __init__(self, message: TaskiqMessage, broker: Any) -> None:
        self.message = message
        self.broker = broker

    @property
    def state(self) -> TaskiqState:
        """What the broker's handlers and tasks share."""
        state: TaskiqState = self.broker.state
        return state

    async def requeue(self) -> NoReturn:
        """Stop here, and have the same message run again, at once.

        The label ``X-Taskiq-requeue`` of the next run says how often that was.
        """
        raise Requeued

    def reject(self) -> NoReturn:
        """Stop here: the task ends with a TaskRejectedError."""
        raise TaskRejectedError

    @property
    def is_ackable(self) -> bool:
        """False: a job is settled with its outcome, exactly once."""
        return False

    async def ack(self) -> NoReturn:
        """Refuse: a job is settled with its outcome.  Raises: NotSupported."""
        refuse("context.ack()", "a job is settled with its outcome, whatever becomes of its worker")
