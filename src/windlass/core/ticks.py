"""The ticks of a stored schedule, and the row that waits for the next of them.  Pure."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from msgspec.structs import replace as with_

from windlass.core.triggers import Compiled, compile_trigger
from windlass.errors import WindlassError
from windlass.model.jobs import JobRequest
from windlass.model.schedules import ScheduleRow, ScheduleRule, Status
from windlass.model.triggers import Tick, TickCase

PARSED_MAX = 20_000
BACK_MAX = timedelta(days=40 * 366)
MICROSECOND = timedelta(microseconds=1)


class ScheduleFault(Exception):
    """A stored schedule cannot be worked out here; the text says why."""


_rules = msgspec.json.Decoder(ScheduleRule)
_calls = msgspec.json.Decoder(JobRequest)


def rule_of(row: ScheduleRow) -> tuple[ScheduleRule, Compiled]:
    """Return what a row says of its ticks.  Raises: ScheduleFault."""
    return _parsed(row.rule, row.name)


@lru_cache(PARSED_MAX)
def _parsed(text: str, name: str) -> tuple[ScheduleRule, Compiled]:
    try:
        rule = _rules.decode(text)
        return rule, compile_trigger(rule.trigger, name)
    except (WindlassError, msgspec.DecodeError) as error:
        raise ScheduleFault(str(error)) from error


def call_of(row: ScheduleRow) -> JobRequest:
    """Return the request that each tick of a row repeats, under an id of its own."""
    return _decoded_call(row.call)


@lru_cache(PARSED_MAX)
def _decoded_call(text: str) -> JobRequest:
    return _calls.decode(text)


def next_tick(rule: ScheduleRule, compiled: Compiled, after: datetime) -> Tick | None:
    """Return the first tick later than ``after``, within the bounds of the rule.

    Raises: ScheduleFault.
    """
    if rule.start_at is not None and after < rule.start_at:
        after = rule.start_at - MICROSECOND
    try:
        tick = compiled.next(after)
    except WindlassError as error:
        raise ScheduleFault(str(error)) from error
    if tick is None or (rule.end_at is not None and tick.at > rule.end_at):
        return None
    return tick


def ticks_from(rule: ScheduleRule, compiled: Compiled, since: datetime) -> Iterator[Tick]:
    """Yield the ticks from ``since``, included.  Raises: ScheduleFault."""
    tick = next_tick(rule, compiled, since - MICROSECOND)
    while tick is not None:
        yield tick
        tick = next_tick(rule, compiled, tick.at)


def tick_before(compiled: Compiled, at: datetime) -> datetime | None:
    """Return the last tick before ``at``, for windows; None if there was none in 40 years.

    Cost: some 60 steps of the trigger, however far back it lies.
    """
    span = timedelta(seconds=1)
    while (found := _real_tick(compiled, at - span)) is None or found >= at:
        span *= 2
        if span > BACK_MAX:
            return None
    low, high = found, at
    while high - low > MICROSECOND:
        middle = low + (high - low) / 2
        later = _real_tick(compiled, middle)
        if later is not None and later < at:
            low = later
        else:
            high = middle
    return low


def _real_tick(compiled: Compiled, after: datetime) -> datetime | None:
    while (tick := compiled.next(after)) is not None and tick.case is TickCase.NONEXISTENT:
        after = tick.at
    return None if tick is None else tick.at


def due_at(name: str, rule: ScheduleRule, tick: datetime) -> datetime:
    """Return when a tick starts: at its instant, or up to ``jitter_s`` later."""
    if not rule.jitter_s:
        return tick
    text = f"{name}\0{tick.isoformat()}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
    return tick + timedelta(seconds=rule.jitter_s * (number / 2**64))


def advanced(
    row: ScheduleRow, rule: ScheduleRule, compiled: Compiled, cursor_at: datetime
) -> ScheduleRow:
    """Return the next revision of a schedule that fires, with every tick up to the cursor decided.

    Raises: ScheduleFault.
    """
    tick = next_tick(rule, compiled, cursor_at)
    return with_(
        row,
        revision=row.revision + 1,
        status=Status.ENDED if tick is None else Status.ACTIVE,
        why="its trigger has no further tick" if tick is None else "",
        cursor_at=cursor_at,
        next_at=None if tick is None else tick.at,
        due_at=None if tick is None else due_at(row.name, rule, tick.at),
    )
