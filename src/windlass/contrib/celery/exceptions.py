"""The exceptions which code that uses Celery raises and catches."""

from datetime import datetime
from typing import Any, NoReturn

import windlass
from windlass.contrib.front_ends.refusing import refusing
from windlass.errors import NotSupported

LIBRARY = "celery"


class CeleryError(Exception):
    """The root of the exceptions that Celery has; what Windlass refuses is a WindlassError."""


class ImproperlyConfigured(CeleryError):
    """The app is configured in a way that cannot work."""


class TaskError(CeleryError):
    """Something is wrong with a task."""


class NotRegistered(KeyError, TaskError):
    """The app has no task of this name."""


class TimeoutError(CeleryError):
    """The result was not there within the time given; the task goes on."""


class TaskRevokedError(CeleryError):
    """The task was revoked, or had expired; there is no result."""


class MaxRetriesExceededError(TaskError):
    """A task asked for one retry more than it may have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task_args = kwargs.pop("task_args", [])
        self.task_kwargs = kwargs.pop("task_kwargs", {})
        super().__init__(*args)


class ChordError(CeleryError):
    """A task in the header of a chord has failed; its body does not run."""


class SoftTimeLimitExceeded(Exception):
    """Raised inside a task whose soft time limit is over."""


class TimeLimitExceeded(Exception):
    """The task was killed: its time limit was over."""


class WorkerLostError(Exception):
    """The process that ran the task died, or workers died of this job too often."""


class Retry(windlass.Retry):
    """Raised by ``task.retry(…)``: the attempt ends, and there will be another.

    exc:  why; None if nothing was said.
    when: seconds until the next attempt, or its instant.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        *,
        after_s: float = 0.0,
    ) -> None:
        super().__init__(after=after_s)
        self.message = message
        self.exc = exc
        self.when = when
        self.is_eager = is_eager

    def humanize(self) -> str:
        """Return when it will be tried again, in words."""
        if isinstance(self.when, int | float):
            return f"in {self.when}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        because = f": {self.exc!r}" if self.exc is not None else ""
        return f"Retry {self.humanize()}{because}"


def refuse(feature: str, instead: str) -> NoReturn:
    """Refuse a feature of Celery.  Raises: NotSupported."""
    raise NotSupported(LIBRARY, feature, instead)


_REFUSED = {
    "Ignore": "return, or raise windlass.Cancel() to end the job as cancelled",
    "Reject": "raise windlass.Snooze(seconds) to put the job back, windlass.Cancel() to drop it",
    "BackendError": "catch windlass.UnavailableError",
    "OperationalError": "catch windlass.UnavailableError",
    "SecurityError": "nothing is signed: only the store's users can write jobs",
    "WorkerShutdown": "stop the worker with SIGTERM",
    "WorkerTerminate": "stop the worker with SIGTERM, twice",
}


__getattr__ = refusing(LIBRARY, __name__, _REFUSED, "celery.exceptions.")
