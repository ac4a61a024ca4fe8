"""Rules by the clock on the wall: which times match, and at which instants they come.

A :class:`Match` knows only what a wall clock shows: seconds since 1970 as if it stood in UTC.
:class:`WallClock` finds the instants, with what its zone's jumps do to them (ADR 17).
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from windlass.core.zones import DAY_S, EARLIEST_S, EPOCH, LATEST_S, Stretch, Zone, instant_of
from windlass.model.triggers import Gap, Overlap, Tick, TickCase

HORIZON_YEARS: Final = 40
GAP_MOVED_MAX_S: Final = 3 * 3_600  # what a longer gap swallows is lost
MONTHS_CACHED_MAX: Final = 1_000

_MONTHS_MAX = 12 * HORIZON_YEARS + 2
_HORIZON_S = (HORIZON_YEARS * 366 + 31) * DAY_S
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_BEFORE_JUMP = timedelta(microseconds=1)


class Match(Protocol):
    """Which times a wall clock must show."""

    def first(self, wall_s: int) -> int | None:
        """Return the first matching time not before this one; None: none in 40 years."""
        ...


class Times:
    """Times of a day: the same seconds in each of some minutes."""

    def __init__(self, minutes: int, seconds: int) -> None:
        """Take the minutes of the day (0 to 1439) and the seconds as bits; some of each."""
        self._minutes = minutes
        self._seconds = seconds
        self._whole = seconds == 1
        self._second = _lowest(seconds)
        self.start_s = _lowest(minutes) * 60 + self._second

    def first(self, second: int) -> int:
        """Return the first time not before this second of the day; -1 if there is none."""
        if self._whole:
            minute = (second + 59) // 60
        else:
            minute, rest = divmod(second, 60)
            if self._minutes >> minute & 1 and (left := self._seconds >> rest):
                return second + (left & -left).bit_length() - 1
            minute += 1
        later = self._minutes >> minute
        if not later:
            return -1
        return (minute + (later & -later).bit_length() - 1) * 60 + self._second


class Days:
    """Days of months; ``mask_of(year, month)`` gives them as bits, the first day lowest."""

    def __init__(self, mask_of: Callable[[int, int], int]) -> None:
        self._mask_of = mask_of
        self._masks: dict[int, int] = {}

    def first(self, day: int) -> int | None:
        """Return the first matching day not before this one, counted from 1970."""
        at = date.fromordinal(day + _EPOCH_DAY)
        year, month = at.year, at.month
        left = self._mask(year, month) >> (at.day - 1)
        if left:
            return day + (left & -left).bit_length() - 1
        for _ in range(_MONTHS_MAX):
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            mask = self._mask(year, month)
            if mask:
                return date(year, month, 1).toordinal() - _EPOCH_DAY + _lowest(mask)
        return None

    def _mask(self, year: int, month: int) -> int:
        mask = self._masks.get(year * 12 + month)
        if mask is None:
            if len(self._masks) >= MONTHS_CACHED_MAX:
                self._masks.clear()
            mask = self._masks[year * 12 + month] = self._mask_of(year, month)
        return mask


class TimesOfDays:
    """The same times on each of some days; ``days`` None: on every day."""

    def __init__(self, times: Times, days: Days | None) -> None:
        self._times = times
        self._days = days

    def first(self, wall_s: int) -> int | None:
        """Return the first matching time not before this one."""
        today, second = divmod(wall_s, DAY_S)
        days = self._days
        day = today if days is None else days.first(today)
        if day == today:
            time = self._times.first(second)
            if time >= 0:
                return today * DAY_S + time
            day = today + 1 if days is None else days.first(today + 1)
        return None if day is None else day * DAY_S + self._times.start_s


class WallClock:
    """The ticks of a match in a zone.

    wild:    every real match of the clock is a tick: none in a gap, both in an overlap.
    gap:     of a fixed time in a gap of up to 3 h: "first" moves it to the first instant after
             the gap, "shift" by the length of the gap, "skip" loses it.  What is lost gives one
             tick for each gap, as nonexistent, a microsecond before the clock leaps.
    overlap: which one of a fixed time that comes twice.
    """

    def __init__(
        self,
        zone: Zone,
        match: Match,
        *,
        wild: bool,
        gap: Gap = "first",
        overlap: Overlap = "first",
    ) -> None:
        self._zone = zone
        self._first = match.first
        self._wild = wild
        self._gap = gap
        self._skips_again = not wild and overlap == "first"
        self._skips_once = not wild and overlap == "second"
        self._calm = (0, 0, 0)  # from, to and offset of a stretch without its jumps

    def next(self, after: datetime) -> Tick | None:
        """Return the first tick that is strictly later; None: none in 40 years."""
        since = after - EPOCH
        from_s = since.days * DAY_S + since.seconds + 1
        start_s, end_s, offset_s = self._calm
        if start_s <= from_s < end_s:
            wall_s = self._first(from_s + offset_s)
            if wall_s is not None and wall_s - offset_s < end_s:
                return Tick(EPOCH + timedelta(seconds=wall_s - offset_s))
        return self._search(max(from_s, EARLIEST_S), after)

    def _search(self, from_s: int, after: datetime) -> Tick | None:
        end_s = min(from_s + _HORIZON_S, LATEST_S)
        while from_s < end_s:
            stretch = self._zone.stretch(from_s)
            tick = self._at_start(stretch, from_s, after) or self._within(stretch, from_s)
            if tick is not None:
                self._calm = self._calm_part(stretch, from_s)
                return tick
            stop_s = stretch.stop_s
            # No time of the wall before this one is left; an offset is always below a day.
            wall_s = self._first(stop_s + stretch.offset_s + min(stretch.jump_out_s, 0))
            if wall_s is None:
                return None
            from_s = max(stop_s, wall_s - DAY_S)
        return None

    def _at_start(self, stretch: Stretch, from_s: int, after: datetime) -> Tick | None:
        """Return the one tick for all that the gap before a stretch has swallowed."""
        if from_s != stretch.start_s or self._swallowed(stretch, from_s) is None:
            return None
        if self._loses(stretch):
            lost = Tick(instant_of(from_s) - _BEFORE_JUMP, TickCase.NONEXISTENT)
            return lost if lost.at > after else None
        return Tick(instant_of(from_s), TickCase.GAP) if self._gap == "first" else None

    def _within(self, stretch: Stretch, from_s: int) -> Tick | None:
        plain_s = self._plain(stretch, from_s)
        moved_s = None
        if self._gap == "shift" and not self._loses(stretch):
            moved_s = self._swallowed(stretch, from_s)
        if moved_s is not None and (plain_s is None or moved_s <= plain_s):
            return Tick(instant_of(moved_s), TickCase.GAP)
        if plain_s is None:
            return None
        again = plain_s < stretch.start_s - stretch.jump_in_s
        once = plain_s >= stretch.end_s + stretch.jump_out_s
        return Tick(instant_of(plain_s), TickCase.OVERLAP if again or once else None)

    def _swallowed(self, stretch: Stretch, from_s: int) -> int | None:
        """Return the first swallowed time, as an instant by the offset before the gap."""
        if self._wild or stretch.jump_in_s <= 0:
            return None
        before_s = stretch.offset_s - stretch.jump_in_s
        wall_s = self._first(from_s + before_s)
        if wall_s is None or wall_s >= stretch.start_s + stretch.offset_s:
            return None
        return wall_s - before_s

    def _loses(self, stretch: Stretch) -> bool:
        return self._gap == "skip" or stretch.jump_in_s > GAP_MOVED_MAX_S

    def _plain(self, stretch: Stretch, from_s: int) -> int | None:
        start_s = stretch.start_s
        if self._skips_again and stretch.jump_in_s < 0:
            start_s -= stretch.jump_in_s
        end_s = stretch.end_s
        if self._skips_once and stretch.jump_out_s < 0:
            end_s += stretch.jump_out_s
        wall_s = self._first(max(from_s, start_s) + stretch.offset_s)
        if wall_s is None or wall_s - stretch.offset_s >= min(end_s, stretch.stop_s):
            return None
        return wall_s - stretch.offset_s

    def _calm_part(self, stretch: Stretch, from_s: int) -> tuple[int, int, int]:
        start_s = max(stretch.start_s + abs(stretch.jump_in_s), from_s)
        end_s = min(stretch.stop_s, stretch.end_s - abs(stretch.jump_out_s))
        return start_s, end_s, stretch.offset_s


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
