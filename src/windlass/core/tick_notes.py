"""What is unusual about a tick, in words, by the clock of its zone.  Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from windlass.core.triggers import parts_of
from windlass.core.zones import EPOCH, Stretch, zone_of
from windlass.model.triggers import BusinessDays, Cron, Rrule, TickCase, Trigger

SECOND = timedelta(seconds=1)


def zones_in(trigger: Trigger) -> list[str]:
    """Return the zones by whose clocks a trigger goes, in its own order; UTC if by none."""
    return list(dict.fromkeys(_zones(trigger))) or ["UTC"]


def _zones(trigger: Trigger) -> Iterator[str]:
    if isinstance(trigger, Cron | Rrule | BusinessDays):
        yield trigger.zone
    for part in parts_of(trigger):
        yield from _zones(part)


def note_on(at: datetime, case: TickCase | None, zones: list[str]) -> str | None:
    """Say what a change of the clock does to a tick; None if it does nothing.

    zones:  of its trigger; the first one that explains it does.
    Raises: UnknownZone, ZoneDataMissing.
    """
    if case is None:
        return None
    told = (_note_in(zone, at, case) for zone in zones)
    return next((note for note in told if note is not None), str(case))


def _note_in(zone: str, at: datetime, case: TickCase) -> str | None:
    at_s = (at - EPOCH) // SECOND
    match case:
        case TickCase.GAP:
            leap = _leap_into(_stretch(zone, at_s))
            return leap and f"moved: {leap}"
        case TickCase.NONEXISTENT:  # it stands just before the leap
            leap = _leap_into(_stretch(zone, at_s + 1))
            return leap and f"skipped: {leap}"
        case TickCase.OVERLAP:
            return _repeat_at(_stretch(zone, at_s), at_s)


def _stretch(zone: str, at_s: int) -> Stretch:
    return zone_of(zone).stretch(at_s)


def _leap_into(stretch: Stretch) -> str | None:
    if stretch.jump_in_s <= 0:
        return None
    to_s = stretch.start_s + stretch.offset_s
    return f"the clock leaps from {_span(to_s - stretch.jump_in_s, to_s)}"


def _repeat_at(stretch: Stretch, at_s: int) -> str | None:
    if stretch.jump_in_s < 0 and at_s < stretch.start_s - stretch.jump_in_s:
        from_s = stretch.start_s + stretch.offset_s
        twice = _span(from_s, from_s - stretch.jump_in_s)
        return f"second of two: the clock shows {twice} twice"
    if stretch.jump_out_s < 0 and at_s >= stretch.end_s + stretch.jump_out_s:
        to_s = stretch.end_s + stretch.offset_s
        twice = _span(to_s + stretch.jump_out_s, to_s)
        return f"first of two: the clock shows {twice} twice"
    return None


def _span(from_s: int, to_s: int) -> str:
    """Say from when to when, by the clock on the wall; with their dates if these differ."""
    first, last = (EPOCH + timedelta(seconds=wall_s) for wall_s in (from_s, to_s))
    form = "%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M"
    return f"{first.strftime(form)} to {last.strftime(form)}"
