"""Retries, which are middlewares that ask for another run."""

import random
from collections.abc import Iterable
from typing import Any

from windlass.contrib.taskiq.abc.middleware import TaskiqMiddleware
from windlass.contrib.taskiq.exceptions import NoResultError, refuse
from windlass.contrib.taskiq.message import TaskiqMessage, number_in
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.core.retry import ATTEMPTS_MAX, seconds_of
from windlass.errors import BadOption


class SimpleRetryMiddleware(TaskiqMiddleware):
    """Runs tasks again at once which raised, if their label ``retry_on_error`` says so.

    default_retry_count: runs in all, unless the label ``max_retries`` says how many.
    default_retry_label: whether tasks without that label are run again.
    types_of_exceptions: only after such; a label of that name of the task counts first.
    """

    def __init__(
        self,
        default_retry_count: int = 3,
        default_retry_label: bool = False,
        no_result_on_retry: bool = True,
        types_of_exceptions: Iterable[type[BaseException]] | None = None,
    ) -> None:
        if not no_result_on_retry:
            refuse(
                "no_result_on_retry=False",
                "a job has one outcome, that of its last attempt; `windlass jobs show` has the "
                "errors of those before it",
            )
        self.default_retry_count = default_retry_count
        self.default_retry_label = default_retry_label
        self.types_of_exceptions = types_of_exceptions

    async def on_error(
        self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException
    ) -> None:
        """Have the task run again, if it may and the error is of the right type."""
        runs = int(message.labels.get("_retries", 0)) + 1
        if not self._is_asked_for(message, exception) or runs >= self._runs_max(message):
            return
        result.again_s = self.make_delay(message, runs)
        result.error = NoResultError()

    def make_delay(self, message: TaskiqMessage, retries: int) -> float:
        """Return the seconds before the next run; retries: which one that is, from 1."""
        return 0.0

    def _is_asked_for(self, message: TaskiqMessage, error: BaseException) -> bool:
        if isinstance(error, NoResultError):
            return False
        task = self.broker.find_task(message.task_name)
        kinds = task.labels.get("types_of_exceptions") or self.types_of_exceptions
        if kinds is not None and not isinstance(error, tuple(kinds)):
            return False
        label = message.labels.get("retry_on_error", self.default_retry_label)
        return label.lower() == "true" if isinstance(label, str) else bool(label)

    def _runs_max(self, message: TaskiqMessage) -> int:
        most = int(number_in(message.labels, "max_retries", self.default_retry_count))
        if most > ATTEMPTS_MAX:
            raise BadOption("max_retries", most, f"must be at most {ATTEMPTS_MAX:,}")
        return most


class SmartRetryMiddleware(SimpleRetryMiddleware):
    """Runs tasks again after a delay which raised; it is always kept.

    default_delay:      seconds, unless the label ``delay`` says how many.
    use_delay_exponent: the n-th delay is n times as long, at most ``max_delay_exponent`` seconds.
    use_jitter:         up to a second more, at random.
    schedule_source:    of no use: the store keeps the delay.
    """

    def __init__(
        self,
        default_retry_count: int = 3,
        default_retry_label: bool = False,
        no_result_on_retry: bool = True,
        default_delay: float = 5,
        use_jitter: bool = False,
        use_delay_exponent: bool = False,
        max_delay_exponent: float = 60,
        schedule_source: Any = None,
        types_of_exceptions: Iterable[type[BaseException]] | None = None,
    ) -> None:
        super().__init__(
            default_retry_count, default_retry_label, no_result_on_retry, types_of_exceptions
        )
        self.default_delay = default_delay
        self.use_jitter = use_jitter
        self.use_delay_exponent = use_delay_exponent
        self.max_delay_exponent = max_delay_exponent
        self.schedule_source = schedule_source

    def make_delay(self, message: TaskiqMessage, retries: int) -> float:
        """Return the seconds before the next run; retries: which one that is, from 1."""
        delay_s = max(number_in(message.labels, "delay", self.default_delay), 0.0)
        if self.use_delay_exponent:
            delay_s = min(delay_s * retries, self.max_delay_exponent)
        delay_s = seconds_of("delay", delay_s)
        return delay_s + random.random() if self.use_jitter else delay_s
