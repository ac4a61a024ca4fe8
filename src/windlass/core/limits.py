"""Limits as users write them, and the lane that a call's arguments put its job in."""

import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.core.names import check_name, nearest
from windlass.core.retry import Delay, seconds_of
from windlass.errors import BadLimitKey, BadOption
from windlass.model.limits import Cap, Lane, Limits, Pace, Together, lane_of

Key = str | Callable[..., object] | None

KEY_LENGTH_MAX = 200
MOST_MAX = 1_000_000
BATCH_MAX = 1_000
PER_MAX_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most ``most`` attempts at once, in the whole fleet.

    key:  an expression over the task's arguments; each value has a limit of its own.  A path
          (``"customer"``, ``"order.customer_id"``), a text with paths (``"{tenant}/{region}"``),
          or a function of the same parameters.  None: one limit for all.
    name: tasks which name the same one share it; without it the limit is the task's own.
    """

    most: int
    key: Key = None
    name: str | None = None

    def __post_init__(self) -> None:
        _check_count("most", self.most)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``most`` starts in each span of ``per``, in the whole fleet, evenly spaced.

    burst: so many may start at once after a quiet time, on top of the even flow (a token
           bucket of this size); 1 never lets more than ``most`` start in any span of ``per``.
    key, name: as in :class:`Concurrency`.
    Retries count: an attempt is a start.
    """

    most: int
    per: Delay
    burst: int = 1
    key: Key = None
    name: str | None = None

    def __post_init__(self) -> None:
        _check_count("most", self.most)
        _check_count("burst", self.burst)
        per_s = seconds_of("per", self.per)
        if not 0 < per_s <= PER_MAX_S:
            raise BadOption("per", self.per, f"must be above 0 and at most {PER_MAX_S:g} s")

    @property
    def interval_us(self) -> int:
        """Microseconds between two starts, rounded up: never a start too many."""
        return -int(-seconds_of("per", self.per) * 1e6 // self.most)


@dataclass(frozen=True, slots=True)
class FairShare:
    """The slots of a queue are dealt to each value of ``key`` in turn.

    A tenant with 100,000 jobs does not delay one that has 10.  A :class:`Concurrency` or
    :class:`Rate` with a key deals in turns as well, without this.
    """

    key: Key


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs are collected, and up to ``size`` of them run in one call.

    size: 2 to 1,000.   wait: until there are enough, but no longer than this.
    key:  only jobs of the same key run together.

    The task has one parameter, a list: each job's own, one behind the other.  What it returns is
    a list of as many values, which go back to the jobs that gave them, or None for all.
    """

    size: int
    wait: Delay
    key: Key = None

    def __post_init__(self) -> None:
        _check_count("size", self.size)
        if not 2 <= self.size <= BATCH_MAX:
            raise BadOption("size", self.size, f"must be from 2 to {BATCH_MAX:,}")
        seconds_of("wait", self.wait)


Limit = Concurrency | Rate | FairShare | Batch


class LaneRule:
    """How one task's calls find their lanes.

    parameters: the names of the task's parameters, at which paths begin.
    Raises: BadOption, for what is no limit or names no parameter.
    """

    def __init__(self, task: str, limits: Sequence[Limit], parameters: Collection[str]) -> None:
        self._task = task
        self.limits = tuple(limits)
        self._keyed = [(limit, key_expression(task, limit.key, parameters)) for limit in limits]

    @property
    def is_batch(self) -> bool:
        """Whether jobs run together."""
        return any(isinstance(limit, Batch) for limit in self.limits)

    def lane_of(self, arguments: Mapping[str, Any]) -> Lane:
        """Return the lane of a call with these arguments.  Raises: BadLimitKey."""
        caps: set[Cap] = set()
        paces: set[Pace] = set()
        shares: set[str] = set()
        together = None
        for limit, expression in self._keyed:
            key = key_of(self._task, expression, arguments)
            match limit:
                case Concurrency():
                    caps.add(Cap(limit.name or self._own(limit), key, limit.most))
                case Rate():
                    name = limit.name or self._own(limit)
                    paces.add(Pace(name, key, limit.interval_us, limit.burst))
                case FairShare():
                    shares.add(key)
                case Batch():
                    # The task stands in it: jobs of others are never alike.
                    shares.add(f"{self._task}\n{key}")
                    wait_us = round(seconds_of("wait", limit.wait) * 1e6)
                    together = Together(limit.size, wait_us)
        return lane_of(
            Limits(
                caps=tuple(sorted(caps, key=_as_tuple)),
                paces=tuple(sorted(paces, key=_as_tuple)),
                shares=tuple(sorted(shares)),
                together=together,
            )
        )

    def _own(self, limit: Concurrency | Rate) -> str:
        key = limit.key
        told = getattr(key, "__qualname__", key)
        return self._task if told is None else f"{self._task}:{told}"


def key_of(task: str, expression: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """Return the key that a call's arguments give.  Raises: BadLimitKey."""
    try:
        key = str(expression(**arguments))
    except Exception as error:
        raise BadLimitKey(task, f"{type(error).__name__}: {error}") from error
    if not key.isprintable() or len(key) > KEY_LENGTH_MAX:
        why = f"it gives {key[:40]!r}…, not a printable text of up to {KEY_LENGTH_MAX}"
        raise BadLimitKey(task, why)
    return key


def check_limits(
    task: str, limits: Sequence[Limit], parameters: Collection[str]
) -> LaneRule | None:
    """Return the rule of a task's limits; None if it has none.  Raises: BadOption."""
    if isinstance(limits, str) or not isinstance(limits, Sequence):
        raise BadOption("limits", limits, "must be a list, such as [Concurrency(2)]")
    for limit in limits:
        if not isinstance(limit, Limit):
            told = "must be a Concurrency, a Rate, a FairShare or a Batch"
            raise BadOption("limits", limit, told)
        if isinstance(limit, FairShare) and limit.key is None:
            raise BadOption("key", limit.key, "a fair share needs one: between whom?")
        name = getattr(limit, "name", None)
        if name is not None:
            check_name("name", name)
    batches = [limit for limit in limits if isinstance(limit, Batch)]
    if len(batches) > 1 or (batches and any(isinstance(one, Concurrency) for one in limits)):
        raise BadOption("limits", batches[0], "stands alone, or with a Rate or a FairShare")
    return LaneRule(task, limits, parameters) if limits else None


def key_expression(task: str, key: Key, parameters: Collection[str]) -> Callable[..., object]:
    """Return what makes the key of a call's arguments.  Raises: BadOption."""
    if key is None:
        return lambda **_: ""
    if callable(key):
        return key
    if not isinstance(key, str) or not key:
        raise BadOption("key", key, "must be a path such as 'customer.id', or a function")
    template = key if "{" in key else "{" + key + "}"
    for path in _paths(key, template):
        first = path.split(".")[0]
        if first not in parameters:
            near = nearest(first, parameters)
            hint = f"; did you mean {near!r}?" if near else ""
            raise BadOption("key", key, f"task {task!r} has no parameter {first!r}{hint}")
    return lambda **arguments: _filled(template, arguments)


def _paths(key: str, template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadOption("key", key, f"cannot be read: {error}") from None
    paths = [path for _, path, _, _ in parts if path is not None]
    if not paths or any(spec or how for _, _, spec, how in parts):
        raise BadOption("key", key, "must hold paths only: '{customer}/{order.region}'")
    for path in paths:
        if not all(step.isidentifier() for step in path.split(".")):
            raise BadOption("key", key, f"{path!r} is no path: names with dots between them")
    return paths


def _filled(template: str, arguments: Mapping[str, Any]) -> str:
    filled = []
    for text, path, _, _ in string.Formatter().parse(template):
        filled.append(text)
        if path is not None:
            filled.append(str(_walk(arguments, path.split("."))))
    return "".join(filled)


def _walk(value: Any, steps: Sequence[str]) -> object:
    for step in steps:
        value = value[step] if isinstance(value, Mapping) else getattr(value, step)
    return value


def _check_count(option: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_MAX:
        raise BadOption(option, value, f"must be a whole number from 1 to {MOST_MAX:,}")


def _as_tuple(limit: Cap | Pace) -> tuple[Any, ...]:
    return tuple(getattr(limit, name) for name in limit.__struct_fields__)
