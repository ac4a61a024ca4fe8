"""Triggers that need no clock on a wall: elapsed time, given instants, and triggers combined."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from windlass.core.zones import DAY_S, LATEST_S, Zone, instant_of, second_of
from windlass.errors import BadTrigger
from windlass.model.triggers import Tick, TickCase

LOOKS_MAX: Final = 10_000  # at instants of its parts, before a combination gives up

_MOMENT = timedelta(microseconds=1)
_LATEST = instant_of(LATEST_S)
_MONDAY_DAY = 3  # 1970-01-01 was a Thursday


class Compiled(Protocol):
    """A trigger that is ready to be asked."""

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later than an aware instant.

        None:   there is none, or none in the 40 years after it.
        Raises: BadTrigger, when 10,000 looks at the parts of a combination found none.
        """
        ...


class EveryTicks:
    """Elapsed time on an anchor, to both sides of it."""

    def __init__(self, interval: timedelta, anchor: datetime) -> None:
        self._interval = interval
        self._anchor = anchor

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later."""
        if after > _LATEST:
            return None
        count = (after - self._anchor) // self._interval + 1
        return Tick(self._anchor + count * self._interval)


class AtTicks:
    """Given instants, sorted."""

    def __init__(self, instants: Sequence[datetime]) -> None:
        self._instants = instants

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later."""
        index = bisect_right(self._instants, after)
        return Tick(self._instants[index]) if index < len(self._instants) else None


class AnyTicks:
    """The ticks of each part; of those at one instant the one that is to be started."""

    def __init__(self, parts: Sequence[Compiled]) -> None:
        self._parts = parts

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later."""
        ticks = [tick for part in self._parts if (tick := part.next(after)) is not None]
        if not ticks:
            return None
        return min(ticks, key=lambda tick: (tick.at, tick.case is TickCase.NONEXISTENT))


class AllTicks:
    """The instants at which each part has a tick."""

    def __init__(self, parts: Sequence[Compiled]) -> None:
        self._parts = parts

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later."""
        for _ in range(LOOKS_MAX // len(self._parts)):
            ticks = []
            for part in self._parts:
                tick = part.next(after)
                if tick is None:
                    return None
                ticks.append(tick)
                # The next part need not look before this one's tick.
                after = tick.at - _MOMENT
            if all(tick.at == ticks[-1].at for tick in ticks):
                return _shared(ticks)
        raise BadTrigger(
            "all_of", "triggers", len(self._parts), _given_up("and none that all share")
        )


class ExcludingTicks:
    """The ticks of a trigger, but for some days and for the ticks of another one."""

    def __init__(
        self,
        trigger: Compiled,
        zone: Zone,
        *,
        days: Collection[int],
        weekdays: Collection[int],
        other: Compiled | None,
    ) -> None:
        """Take days as counted from 1970, and weekdays with Monday as 0; not all of them."""
        self._trigger = trigger
        self._zone = zone
        self._days = days
        self._weekdays = weekdays
        self._other = other

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later."""
        for _ in range(LOOKS_MAX):
            tick = self._trigger.next(after)
            if tick is None:
                return None
            second = second_of(tick.at)
            day = (second + self._zone.stretch(second).offset_s) // DAY_S
            if self._excludes(day):
                after = self._day_starts(self._day_after(day), second) - _MOMENT
            elif self._other_has(tick.at):
                after = tick.at
            else:
                return tick
        raise BadTrigger("excluding", "trigger", "…", _given_up("in a row that are excluded"))

    def _excludes(self, day: int) -> bool:
        return (day + _MONDAY_DAY) % 7 in self._weekdays or day in self._days

    def _day_after(self, day: int) -> int:
        while self._excludes(day):
            day += 1
        return day

    def _day_starts(self, day: int, from_s: int) -> datetime:
        """Return the first instant whose date is this one or later."""
        while True:
            stretch = self._zone.stretch(from_s)
            start_s = max(from_s, day * DAY_S - stretch.offset_s)
            if start_s < stretch.stop_s:
                return instant_of(start_s)
            from_s = stretch.stop_s

    def _other_has(self, instant: datetime) -> bool:
        if self._other is None:
            return False
        tick = self._other.next(instant - _MOMENT)
        return tick is not None and tick.at == instant and tick.case is not TickCase.NONEXISTENT


def _shared(ticks: Sequence[Tick]) -> Tick:
    cases = [tick.case for tick in ticks if tick.case is not None]
    lost = TickCase.NONEXISTENT in cases
    return Tick(ticks[0].at, TickCase.NONEXISTENT if lost else next(iter(cases), None))


def _given_up(what: str) -> str:
    return f"{LOOKS_MAX:,} instants {what}; combine rules that meet more often"
