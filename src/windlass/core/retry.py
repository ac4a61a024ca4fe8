"""Retry policies as values, and the three ways in which a task may speak of its own end."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from windlass.errors import BadOption

Delay = timedelta | float
Backoff = Literal["exponential", "linear", "fixed"]

ATTEMPTS_DEFAULT = 3
ATTEMPTS_MAX = 1_000
SECONDS_MAX = 100 * 366 * 86_400.0  # a century: an instant beyond the year 9999 has no form


def seconds_of(option: str, value: Delay) -> float:
    """Return a duration in seconds; refuse what is negative, beyond a century or no duration."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise BadOption(option, value, "must be a timedelta or a number of seconds")
    if not 0 <= seconds < float("inf"):
        raise BadOption(option, value, "must be zero or more, and finite")
    if seconds > SECONDS_MAX:
        raise BadOption(option, value, "must be at most a hundred years")
    return seconds


def instant_of(option: str, value: object) -> datetime:
    """Return an instant in UTC; refuse what is none, or has no time zone."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadOption(option, value, "must be a datetime with a time zone")
    return value.astimezone(UTC)


class Retry(Exception):
    """When to run a failing task again; raised inside a task, the wish to be run again.

    attempts: how many failing attempts there may be, the first included (1 to 1,000).
    delay:    before the second attempt: a duration; a list of durations, one for each
              retry, the last repeated; or a function from the number of failures so
              far (1, 2, …) to a duration.  ``backoff`` applies to a single duration.
    backoff:  exponential (delay x factor^(n-1)), linear (delay x n) or fixed.
    cap:      no delay is longer than this.
    jitter:   each delay is shortened by a random share of up to this much (0 to 1).
    on:       errors that are retried, subclasses included.
    never:    errors that are not, even if ``on`` covers them.
    after:    only when raised: the delay before the next attempt, instead of the policy's.

    Raised, it counts as a failed attempt against the budget of the task's own policy.
    """

    def __init__(
        self,
        attempts: int | None = None,
        *,
        delay: Delay | Sequence[Delay] | Callable[[int], Delay] = 1.0,
        backoff: Backoff = "exponential",
        factor: float = 2.0,
        cap: Delay = timedelta(hours=1),
        jitter: float = 0.1,
        on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        never: type[BaseException] | tuple[type[BaseException], ...] = (),
        after: Delay | None = None,
    ) -> None:
        super().__init__(f"another attempt was asked for (after={after!r})")
        if attempts is not None and not 1 <= attempts <= ATTEMPTS_MAX:
            raise BadOption("attempts", attempts, f"must be from 1 to {ATTEMPTS_MAX:,}")
        if backoff not in ("exponential", "linear", "fixed"):
            raise BadOption("backoff", backoff, "must be exponential, linear or fixed")
        if not 0 <= jitter <= 1:
            raise BadOption("jitter", jitter, "must be a share from 0 to 1")
        if factor < 1:
            raise BadOption("factor", factor, "must be at least 1")
        self.attempts = attempts
        self.attempts_max = ATTEMPTS_DEFAULT if attempts is None else attempts
        self.delay = _checked_delay(delay)
        self.backoff = backoff
        self.factor = factor
        self.cap_s = seconds_of("cap", cap)
        self.jitter = jitter
        self.on = on
        self.never = never
        self.after_s = None if after is None else seconds_of("after", after)

    def covers(self, error: BaseException) -> bool:
        """Tell whether this policy retries such an error at all."""
        return isinstance(error, self.on) and not isinstance(error, self.never)

    def delay_s(self, failures: int, chance: float) -> float | None:
        """Return the delay after the ``failures``-th failure; None once the budget is spent.

        chance: a random number in [0, 1), from outside, for the jitter.
        """
        if failures >= self.attempts_max:
            return None
        delay_s = min(self._delay_s(failures), self.cap_s)
        return delay_s * (1 - self.jitter * chance)

    def _delay_s(self, failures: int) -> float:
        if callable(self.delay):
            return seconds_of("delay", self.delay(failures))
        if isinstance(self.delay, tuple):
            return self.delay[min(failures, len(self.delay)) - 1]
        match self.backoff:
            case "fixed":
                return self.delay
            case "linear":
                return self.delay * failures
            case "exponential":
                # 64 doublings reach any cap; a larger power would overflow a float.
                return self.delay * self.factor ** min(failures - 1, 64)


class Snooze(Exception):
    """Raised inside a task: run this job again after ``delay``, at no cost to its retries."""

    def __init__(self, delay: Delay) -> None:
        super().__init__(delay)
        self.delay_s = seconds_of("delay", delay)


class Cancel(Exception):
    """Raised inside a task: end this job as cancelled."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


def _checked_delay(
    delay: Delay | Sequence[Delay] | Callable[[int], Delay],
) -> float | tuple[float, ...] | Callable[[int], Delay]:
    if isinstance(delay, timedelta | int | float):
        return seconds_of("delay", delay)
    if callable(delay):
        return delay
    if not isinstance(delay, Sequence) or isinstance(delay, str | bytes) or not delay:
        raise BadOption("delay", delay, "must be a duration, a list of them, or a function")
    return tuple(seconds_of("delay", one) for one in delay)
