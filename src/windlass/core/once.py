"""How calls that are repeated become one job: as users write it, and what is done.  Pure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import msgspec

from windlass.core.limits import Key, key_expression, key_of
from windlass.core.retry import Delay, seconds_of
from windlass.errors import BadOption, KeyConflict
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.once import Once


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a key: the job that stands for it, since when, until when."""

    job_id: JobId
    since_us: int
    until_us: int


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The job of a mark as it is now; ``has_begun``: some attempt of it has."""

    state: State
    has_begun: bool
    payload: bytes = b""


_WAITING = (State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD)


@dataclass(frozen=True, slots=True)
class Unique:
    """A call whose key has a job already makes none: that job stands for it.

    key:    an expression over the arguments, as for limits; None: one for the whole task.
    until:  "end": as long as that job is live; "start": until it starts.
    period: for this long since it was enqueued, however it ended; instead of ``until``.
    """

    key: Key = None
    until: Literal["start", "end"] = "end"
    period: Delay | None = None


@dataclass(frozen=True, slots=True)
class Debounce:
    """Of calls that follow one another by less than ``wait``, one runs.

    edge:  "trailing": the last one, once it has been quiet for ``wait``; "leading": the first
           one, at once, and none of the others.
    most:  with "trailing": it runs at the latest so long after the first call.
    """

    wait: Delay
    key: Key = None
    edge: Literal["trailing", "leading"] = "trailing"
    most: Delay | None = None


@dataclass(frozen=True, slots=True)
class Throttle:
    """One job in each ``per`` at most: the first call at once, then the last one of each span."""

    per: Delay
    key: Key = None


OnceRule = Unique | Debounce | Throttle


class OnceKey:
    """How one task's calls find the rule and the key by which they are one.

    Raises: BadOption.
    """

    def __init__(self, task: str, rule: OnceRule, parameters: Collection[str]) -> None:
        self._task = task
        self._expression: Callable[..., object] = key_expression(task, rule.key, parameters)
        self._rule = _as_once(task, rule)

    def unique_key_of(self, arguments: Mapping[str, Any]) -> str | None:
        """Return the unique key of a call, where a live job of that key is what counts."""
        if self._rule is not None:
            return None
        key = key_of(self._task, self._expression, arguments)
        return f"once:{key}"

    def once_of(self, arguments: Mapping[str, Any]) -> Once | None:
        """Return the rule of a call with its key.  Raises: BadLimitKey."""
        if self._rule is None:
            return None
        key = key_of(self._task, self._expression, arguments)
        return msgspec.structs.replace(self._rule, key=key)


def check_once(task: str, rule: object, parameters: Collection[str]) -> OnceKey | None:
    """Return how calls of a task become one; None if they do not.  Raises: BadOption."""
    if rule is None:
        return None
    if not isinstance(rule, OnceRule):
        raise BadOption("once", rule, "must be a Unique, a Debounce or a Throttle")
    return OnceKey(task, rule, parameters)


def _as_once(task: str, rule: OnceRule) -> Once | None:
    match rule:
        case Unique(period=None, until="end"):
            return None
        case Unique(period=None, until="start"):
            return Once(name=task, key="", kind="started")
        case Unique(until="end") if rule.period is not None:
            return Once(name=task, key="", kind="period", wait_us=_us("period", rule.period))
        case Unique():
            raise BadOption("until", rule.until, 'must be "start" or "end", and not with period')
        case Debounce(edge="leading", most=None):
            return Once(name=task, key="", kind="leading", wait_us=_us("wait", rule.wait))
        case Debounce(edge="trailing"):
            most_us = None if rule.most is None else _us("most", rule.most)
            wait_us = _us("wait", rule.wait)
            return Once(name=task, key="", kind="trailing", wait_us=wait_us, most_us=most_us)
        case Debounce():
            raise BadOption("edge", rule.edge, 'must be "trailing", or "leading" without most')
        case Throttle():
            return Once(name=task, key="", kind="throttle", wait_us=_us("per", rule.per))
    assert_never(rule)


def _us(option: str, value: Delay) -> int:
    microseconds = round(seconds_of(option, value) * 1e6)
    if microseconds < 1:
        raise BadOption(option, value, "must be above 0")
    return microseconds


# -- what is done ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Insert:
    """A new job is made, which starts after ``delay_us`` more; it has the mark from now on."""

    delay_us: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Keep:
    """The job of the mark stands for the call, as it is."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Replace:
    """The job of the mark stands for the call, with its arguments, and starts after ``delay_us``.

    ``delay_us`` None: when it was to start anyway.
    """

    delay_us: int | None
    mark: Mark


Decision = Insert | Keep | Replace


def decide(
    once: Once, new_id: JobId, mark: Mark | None, standing: Standing | None, now_us: int
) -> Decision:
    """Decide what a call becomes, by the mark of its key and the job that has it.

    mark, standing: None if there is none.
    """
    waits = standing is not None and standing.state in _WAITING and not standing.has_begun
    wait_us = once.wait_us
    fresh = Mark(new_id, now_us, now_us + wait_us)
    if mark is None:
        return Insert(wait_us if once.kind == "trailing" else 0, fresh)
    match once.kind:
        case "key":
            return Insert(0, fresh) if standing is None else Keep(mark)
        case "started":
            return Keep(mark) if waits else Insert(0, fresh)
        case "period":
            return Keep(mark) if now_us < mark.until_us else Insert(0, fresh)
        case "leading":
            if now_us >= mark.until_us:
                return Insert(0, fresh)
            return Keep(msgspec.structs.replace(mark, until_us=now_us + wait_us))
        case "trailing":
            if not waits:
                return Insert(wait_us, fresh)
            delay_us = wait_us
            if once.most_us is not None:
                delay_us = max(0, min(wait_us, mark.since_us + once.most_us - now_us))
            return Replace(delay_us, mark)
        case "throttle":
            if waits and mark.since_us > now_us:  # the one that runs at the end of this span
                return Replace(None, mark)
            if now_us >= mark.until_us:
                return Insert(0, fresh)
            delay_us = mark.until_us - now_us
            return Insert(delay_us, Mark(new_id, mark.until_us, mark.until_us + wait_us))
    assert_never(once.kind)


def refuse_other_body(request: JobRequest, decision: Decision, standing: Standing | None) -> None:
    """Refuse a call whose idempotency key stands for another one.  Raises: KeyConflict."""
    once = request.once
    if once is None or once.kind != "key" or standing is None or not isinstance(decision, Keep):
        return
    if standing.payload != request.payload:
        raise KeyConflict(request.task, once.key, decision.mark.job_id)


def refuse_other_call(request: JobRequest, task: str, payload: bytes) -> None:
    """Refuse a request with an idempotency key whose id another call has.  Raises: KeyConflict.

    task, payload: of the job that has the id.  Without a key it is taken for the same request.
    """
    once = request.once
    if (
        once is not None
        and once.kind == "key"
        and (task, payload) != (request.task, request.payload)
    ):
        raise KeyConflict(request.task, once.key, request.id)
