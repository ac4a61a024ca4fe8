"""Triggers as plain data: what decides *when*, and the ticks that it gives.

A trigger is stored as JSON, each kind under its tag.  ``core/triggers.py`` makes triggers that
have been checked, and works out their ticks.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
WallTime = Annotated[datetime, msgspec.Meta(tz=False)]
Gap = Literal["first", "shift", "skip"]
Overlap = Literal["first", "second", "both"]
DaysRule = Literal["either", "both"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Which = Literal["every", "first", "last"] | int

WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS: tuple[Weekday, ...] = WEEKDAYS[:5]


class TickCase(StrEnum):
    """What is unusual about a tick."""

    GAP = "gap"  # stands for a time that the clock leapt over
    OVERLAP = "overlap"  # stands in an hour that the clock repeats
    NONEXISTENT = "nonexistent"  # a time that never came: to be recorded as skipped, not started


class Tick(msgspec.Struct, frozen=True):
    """One instant (aware UTC) of a trigger."""

    at: datetime
    case: TickCase | None = None


class Cron(msgspec.Struct, frozen=True, tag="cron", omit_defaults=True, forbid_unknown_fields=True):
    """Times by the clock on the wall of a zone.

    gap:     what becomes of a fixed time that the clock leaps over.
    overlap: which one it is of a fixed time that comes twice.
    days:    "both": the day of the month and the weekday must both match, always.
    """

    expression: str
    zone: str = "UTC"
    gap: Gap = "first"
    overlap: Overlap = "first"
    days: DaysRule = "either"


class Every(
    msgspec.Struct, frozen=True, tag="every", omit_defaults=True, forbid_unknown_fields=True
):
    """Elapsed seconds on an anchor; the anchor is the phase, ticks lie on both sides of it."""

    interval_s: float
    anchor: Instant | None = None


class At(msgspec.Struct, frozen=True, tag="at", forbid_unknown_fields=True):
    """These instants (aware UTC), sorted, and no others."""

    instants: tuple[Instant, ...]


class Rrule(msgspec.Struct, frozen=True, tag="rrule", forbid_unknown_fields=True):
    """A recurrence of RFC 5545.  ``start`` is what the wall clock of the zone shows (no zone)."""

    rule: str
    zone: str
    start: WallTime


class BusinessDays(msgspec.Struct, frozen=True, tag="business_days", forbid_unknown_fields=True):
    """A time of day on working days.

    which: every one; the first or the last of each month; the n-th (1, 2, … or -1, -2, … from
           the end).
    """

    at: str = "09:00"
    zone: str = "UTC"
    weekdays: tuple[Weekday, ...] = WORKDAYS
    holidays: tuple[date, ...] = ()
    which: Which = "every"


class AnyOf(msgspec.Struct, frozen=True, tag="any_of", forbid_unknown_fields=True):
    """The instants of each."""

    triggers: tuple["Trigger", ...]


class AllOf(msgspec.Struct, frozen=True, tag="all_of", forbid_unknown_fields=True):
    """The instants that all share."""

    triggers: tuple["Trigger", ...]


class Excluding(
    msgspec.Struct, frozen=True, tag="excluding", omit_defaults=True, forbid_unknown_fields=True
):
    """The instants of a trigger, but for those on these dates, weekdays, or instants of ``other``.

    zone: whose dates.
    """

    trigger: "Trigger"
    dates: tuple[date, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    other: "Trigger | None" = None
    zone: str = "UTC"


Trigger = Cron | Every | At | Rrule | BusinessDays | AnyOf | AllOf | Excluding
