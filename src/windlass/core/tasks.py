"""A task's definition as the engine sees it, and what becomes of what its code raises."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from windlass.core.capture import error_info
from windlass.core.context import Context
from windlass.core.dependencies import Needs
from windlass.core.error_observers import NOBODY, ErrorObservers
from windlass.core.limits import LaneRule
from windlass.core.names import nearest
from windlass.core.once import OnceKey
from windlass.core.retry import Cancel, Delay, Retry, Snooze, seconds_of
from windlass.core.schedules import Schedule
from windlass.core.serializers import NAME as FORMAT_NAME
from windlass.core.signature import Signature
from windlass.errors import (
    AttemptCancelled,
    AttemptTimeout,
    BadArguments,
    BadOption,
    BadTask,
    LargeResultLost,
    LargeResultsOff,
    MemoryExceeded,
    MiddlewareBroke,
    NotEncodable,
    PayloadTooLarge,
    PickleRefused,
    ResultExpired,
    UnknownSerializer,
    WorkflowDiverged,
)
from windlass.model.jobs import PRIORITY_MAX, PRIORITY_MIN, Reason, RunKind
from windlass.model.outcomes import Cancelled, Diverged, Failed, Outcome, Snoozed

Isolation = Literal["loop", "thread", "process"]

RESULT_TTL_S_MAX = 100 * 365 * 86_400

# Running these again with the same bytes cannot end otherwise.
_HOPELESS = (
    BadArguments,
    NotEncodable,
    PayloadTooLarge,
    ResultExpired,
    UnknownSerializer,
    PickleRefused,
    MiddlewareBroke,
    LargeResultLost,
    LargeResultsOff,
)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A registered function with its options.  Durations in seconds.

    kind: what its jobs are runs of; None: they are plain jobs.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature
    isolation: Isolation
    is_async: bool
    queue: str = "default"
    priority: int = 0
    retry: Retry | None = None
    timeout_s: float | None = None
    expires_s: float | None = None
    memory_limit_bytes: int | None = None
    cpu_limit_s: float | None = None
    recycle_after_jobs: int | None = None
    result_limit_bytes: int = 256 * 1024
    stores_result: bool = True
    result_ttl_s: float | None = None
    around_attempt: tuple[Any, ...] = ()
    around_enqueue: tuple[Any, ...] = ()
    lanes: LaneRule | None = None
    once: OnceKey | None = None
    needs: Needs | None = None
    error_observers: ErrorObservers = NOBODY
    schedules: tuple[Schedule, ...] = ()
    kind: RunKind | None = None

    @property
    def retry_policy(self) -> Retry:
        """The policy in force: without one, a task has a single attempt."""
        return self.retry or _ONE_ATTEMPT

    def result_of(self, value: Any) -> bytes | None:
        """Return what is stored of the value that the function returned.

        Raises: NotEncodable, PayloadTooLarge; neither for a task that stores nothing.
        """
        if not self.stores_result:
            return None
        return self.signature.encode_result(value, self.result_limit_bytes)


_ONE_ATTEMPT = Retry(attempts=1)
_ASKED_FOR = Retry()  # `raise Retry(...)` in a task without a policy of its own


def isolation_of(
    name: str, function: Callable[..., Any], asked: str | None, timeout_s: float | None
) -> Isolation:
    """Decide where a function runs; refuse what could not be kept.

    Raises: BadTask, for a plain function with a timeout but without process isolation.
    """
    is_async = inspect.iscoroutinefunction(function)
    match asked:
        case None:
            isolation: Isolation = "loop" if is_async else "thread"
        case "process":
            return "process"
        case "thread" | "loop":
            if (asked == "loop") is not is_async:
                kind = "an async" if is_async else "a plain"
                raise BadTask(name, f'{kind} function cannot run with isolation="{asked}"')
            isolation = "loop" if is_async else "thread"
        case _:
            raise BadTask(name, f'isolation={asked!r}: use "process", or leave it out')
    if isolation == "thread" and timeout_s is not None:
        raise BadTask(
            name,
            "a timeout cannot stop a plain function that runs on a thread; "
            'add isolation="process" (a real kill), or make the function async',
        )
    return isolation


def outcome_of(spec: TaskSpec, error: BaseException, *, skip_frames: int = 1) -> Outcome:
    """Say what an attempt's exception means for its job.  Pure."""
    match error:
        case Snooze():
            return Snoozed(error.delay_s)
        case Cancel():
            return Cancelled(error.message)
        case AttemptCancelled():
            return Cancelled(str(error))
        case WorkflowDiverged():
            return Diverged(error_info(error, skip_frames=skip_frames))
        case Retry():
            return Failed(error_info(error, skip_frames=skip_frames), after_s=error.after_s)
        case AttemptTimeout():
            return Failed(
                error_info(error, skip_frames=skip_frames),
                reason=Reason.TIMEOUT,
                retryable=not isinstance(error, spec.retry_policy.never),
            )
        case MemoryError() if spec.memory_limit_bytes is not None:
            exceeded = MemoryExceeded(spec.name, spec.memory_limit_bytes)
            exceeded.__cause__ = error  # it shows where the code was
            return outcome_of(spec, exceeded)
        case _:
            retryable = not isinstance(error, _HOPELESS) and spec.retry_policy.covers(error)
            return Failed(error_info(error, skip_frames=skip_frames), retryable=retryable)


def outcome_told(
    spec: TaskSpec, error: BaseException, context: Context, *, skip_frames: int = 1
) -> Outcome:
    """Do as ``outcome_of``, and tell an exception that is no request to those who observe them."""
    outcome = outcome_of(spec, error, skip_frames=skip_frames)
    if spec.error_observers and isinstance(outcome, Failed) and not isinstance(error, Retry):
        spec.error_observers.tell(error, context)
    return outcome


def retry_delay_s(
    spec: TaskSpec, outcome: Outcome, failures: int, chance: float
) -> tuple[Outcome, float | None]:
    """Return the delay before the next attempt, or None; a policy that raises fails the job.

    failures: before this outcome.   chance: a random number in [0, 1).
    """
    if not isinstance(outcome, Failed) or not outcome.retryable:
        return outcome, None
    asked_for = outcome.error.type == _RETRY_TYPE and spec.retry is None
    policy = _ASKED_FOR if asked_for else spec.retry_policy
    try:
        return outcome, policy.delay_s(failures + 1, chance)
    except Exception as error:  # the user's delay function; its failure must not lose the job
        return Failed(error_info(error), retryable=False), None


_RETRY_TYPE = f"{Retry.__module__}.{Retry.__qualname__}"


def check_priority(value: object) -> int:
    """Return a priority in range.  Raises: BadOption."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadOption("priority", value, "must be a whole number")
    if not PRIORITY_MIN <= value <= PRIORITY_MAX:
        raise BadOption(
            "priority", value, f"must be from {PRIORITY_MIN} to {PRIORITY_MAX}; higher goes first"
        )
    return value


def check_retry(value: object) -> Retry | None:
    """Return a retry policy.  Raises: BadOption."""
    if value is None or isinstance(value, Retry):
        return value
    raise BadOption("retry", value, "must be a Retry, such as Retry(attempts=5)")


def check_format(value: object) -> str | None:
    """Return the name of a format.  Raises: BadOption."""
    if value is None or (isinstance(value, str) and FORMAT_NAME.fullmatch(value)):
        return value
    raise BadOption(
        "serializer", value, 'must be the name of one: "json", "msgpack", "pickle" or your own'
    )


def check_results(store_result: object, result_ttl: Delay | None) -> tuple[bool, float | None]:
    """Return whether results are stored, and for how many seconds.  Raises: BadOption."""
    if not isinstance(store_result, bool):
        raise BadOption("store_result", store_result, "must be True or False")
    if result_ttl is None:
        return store_result, None
    if not store_result:
        raise BadOption("result_ttl", result_ttl, "with store_result=False nothing is kept at all")
    ttl_s = seconds_of("result_ttl", result_ttl)
    if ttl_s == 0:
        raise BadOption("result_ttl", result_ttl, "must be more than 0, or use store_result=False")
    if ttl_s > RESULT_TTL_S_MAX:
        raise BadOption("result_ttl", result_ttl, "must be at most 100 years")
    return True, ttl_s


def check_options(given: Mapping[str, object], known: Collection[str]) -> None:
    """Refuse an option that does not exist, with the nearest that does.  Raises: BadOption."""
    for name in given:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
            raise BadOption(name, given[name], f"there is no such option; {hint}")
