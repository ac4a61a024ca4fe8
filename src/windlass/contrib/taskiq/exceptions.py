"""The errors that code for taskiq catches, under the names which it knows."""

from typing import NoReturn

from windlass.errors import NotSupported, WindlassError

LIBRARY = "taskiq"
PACKAGE = __name__.rpartition(".")[0]  # subclasses elsewhere are the user's own


class TaskiqError(WindlassError):
    """The root of the errors that taskiq has a name for."""


class TaskiqResultTimeoutError(TaskiqError):
    """The task has not ended within the time given; it goes on all the same.

    timeout: in seconds.
    """

    def __init__(self, timeout: float | None = None) -> None:
        super().__init__(timeout)
        self.timeout = timeout

    def __str__(self) -> str:
        return f"the task has no result within timeout={self.timeout}; a worker may still run it"


class BrokerError(TaskiqError):
    """The broker could not do what was asked."""


class SendTaskError(BrokerError):
    """The task could not be sent; its cause says why."""

    def __str__(self) -> str:
        why = self.args[0] if self.args else self.__cause__
        return f"the task was not sent: {why}"


class UnknownTaskError(SendTaskError):
    """The broker has no task of this name; import the module that defines it."""

    def __init__(self, task_name: str = "") -> None:
        super().__init__(task_name)
        self.task_name = task_name

    def __str__(self) -> str:
        return (
            f"the broker knows no task {self.task_name!r}: import the module which defines it; "
            "for several brokers define it with async_shared_broker.task"
        )


class SharedBrokerSendTaskError(SendTaskError):
    """A shared task was sent before a broker was named for it."""

    def __str__(self) -> str:
        return (
            "a shared task has no broker of its own: call async_shared_broker.default_broker"
            "(broker) before, or task.kicker().with_broker(broker).kiq(…)"
        )


class ResultBackendError(TaskiqError):
    """Something is wrong with a result."""


class ResultGetError(ResultBackendError):
    """There is no result to be had; its cause, or its text, says why."""

    def __str__(self) -> str:
        return str(self.args[0] if self.args else self.__cause__)


class ResultIsReadyError(ResultGetError):
    """It cannot be told whether there is a result."""


class SecurityError(TaskiqError):
    """Data asked for something that data must not decide."""

    def __init__(self, description: str = "") -> None:
        super().__init__(description)
        self.description = description


class NoResultError(TaskiqError):
    """Raised inside of a task: keep no result of it."""


class Requeued(NoResultError):
    """The task asked to be run again, by ``context.requeue()``."""


class TaskRejectedError(TaskiqError):
    """The task turned its message away, by ``context.reject()``."""

    def __str__(self) -> str:
        return "the task rejected its message"


def refuse(feature: str, instead: str) -> NoReturn:
    """Say that a feature is not here, and what to use in its place.  Raises: NotSupported."""
    raise NotSupported(LIBRARY, feature, instead)
