"""Triggers: made and checked as users write them, stored as text, and asked for their ticks."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, get_args
from zoneinfo import ZoneInfo

import msgspec

from windlass.core.calendars import (
    NTH_MAX,
    RruleMatch,
    business_match,
    day_numbers,
    rule_parts,
)
from windlass.core.cron import RULES_CACHED_MAX, check_expression, cron_rule, uses_hash
from windlass.core.names import nearest
from windlass.core.retry import Delay
from windlass.core.ticking import AllTicks, AnyTicks, AtTicks, Compiled, EveryTicks, ExcludingTicks
from windlass.core.trigger_words import describe
from windlass.core.wallclock import WallClock
from windlass.core.zones import EPOCH, instant_of, zone_name, zone_of
from windlass.errors import BadTrigger
from windlass.model.triggers import (
    WEEKDAYS,
    WORKDAYS,
    AllOf,
    AnyOf,
    At,
    BusinessDays,
    Cron,
    DaysRule,
    Every,
    Excluding,
    Gap,
    Overlap,
    Rrule,
    Trigger,
    Weekday,
    Which,
)

__all__ = [
    "Compiled",
    "all_of",
    "anchored",
    "any_of",
    "at",
    "business_days",
    "compile_trigger",
    "cron",
    "decode_trigger",
    "describe",
    "encode_trigger",
    "every",
    "excluding",
    "rrule",
]

INTERVAL_MIN_S: Final = 0.001
INTERVAL_MAX_S: Final = 100 * 366 * 86_400.0
INSTANTS_MAX: Final = 4_000
DATES_MAX: Final = 4_000
PARTS_MAX: Final = 100
DEPTH_MAX: Final = 8

# Where a cron rule is tried out at its definition, by the laws of zones as they are now.
_TRIED_FROM = datetime(2026, 1, 1, tzinfo=UTC)


# -- as users write them -------------------------------------------------------


def cron(
    expression: str,
    *,
    tz: str | ZoneInfo = "UTC",
    gap: Gap = "first",
    overlap: Overlap = "first",
    days: DaysRule = "either",
) -> Cron:
    """Return the rule of a cron expression, by the clock on the wall of ``tz``.

    expression: minute, hour, day of the month, month, weekday; or six, the second first; or
                ``@daily`` and its kin.  ``H`` is a value that the schedule's name decides.
    gap:        of a fixed time that the clock leaps over: "first" instant after the gap,
                "shift" by the gap's length, or "skip".
    overlap:    which one of a fixed time that comes twice: "first", "second" or "both".
    days:       "both": day of the month and weekday must match, however they are written.
    Raises: BadTrigger, UnknownZone, ZoneDataMissing.
    Source: ADR 17.
    """
    _choice("cron", "gap", gap, get_args(Gap))
    _choice("cron", "overlap", overlap, get_args(Overlap))
    _choice("cron", "days", days, get_args(DaysRule))
    check_expression(expression, both=days == "both")
    made = Cron(expression, zone_name(tz), gap, overlap, days)
    if compile_trigger(made, "").next(_TRIED_FROM) is None:
        why = f"all of its times fall into gaps of {made.zone}: none ever comes"
        raise BadTrigger("cron", "expression", expression, why)
    return made


def every(interval: Delay, *, anchor: datetime | None = None) -> Every:
    """Return the rule of an interval: elapsed time, whatever clocks on walls do.

    interval: a timedelta or seconds, from 0.001 to a hundred years.
    anchor:   an instant from which it is counted, to both sides; None: when it is first stored.
    Raises: BadTrigger.
    """
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise BadTrigger("every", "interval", interval, "must be a timedelta or seconds")
    if not INTERVAL_MIN_S <= seconds <= INTERVAL_MAX_S:
        why = f"must be from {INTERVAL_MIN_S:g} to {INTERVAL_MAX_S:,.0f} seconds"
        raise BadTrigger("every", "interval", interval, why)
    start = None if anchor is None else _instant("every", "anchor", anchor)
    return Every(float(seconds), start)


def at(*instants: datetime) -> At:
    """Return the rule of given instants; each must have a time zone.  Raises: BadTrigger."""
    if not 1 <= len(instants) <= INSTANTS_MAX:
        raise BadTrigger("at", "instants", len(instants), f"must be 1 to {INSTANTS_MAX:,}")
    return At(tuple(sorted({_instant("at", "instants", one) for one in instants})))


def rrule(rule: str, *, start: datetime, tz: str | ZoneInfo = "UTC") -> Rrule:
    """Return a recurrence of RFC 5545, such as ``FREQ=MONTHLY;BYDAY=2TU``; daily or longer.

    start: the first time and what the rule counts from; without a zone, it is one of ``tz``.
    Needs: pip install 'windlass[calendars]'.
    Raises: BadTrigger, UnknownZone, ZoneDataMissing, MissingExtra.
    """
    zone = zone_name(tz)
    if not isinstance(rule, str):
        raise BadTrigger("rrule", "rule", rule, "must be a text such as 'FREQ=DAILY'")
    if not isinstance(start, datetime):
        raise BadTrigger(f"rrule {rule!r}", "start", start, "must be a datetime")
    made = Rrule(_with_local_until(rule, zone), zone, _wall_time(start, zone))
    if compile_trigger(made, "").next(_utc(made.start) - timedelta(days=2)) is None:
        raise BadTrigger(f"rrule {rule!r}", "rule", rule, "no date in 40 years matches")
    return made


def business_days(
    at: str | time = "09:00",
    *,
    tz: str | ZoneInfo = "UTC",
    weekdays: Iterable[Weekday] = WORKDAYS,
    holidays: Iterable[date] = (),
    which: Which = "every",
) -> BusinessDays:
    """Return the rule of a time of day on working days.

    weekdays: which ones are worked on ("mon" to "sun").
    holidays: dates which are not.
    which:    "every"; the "first" or the "last" of each month; or the n-th: 2, or -2 for the last
              but one.
    Raises: BadTrigger, UnknownZone, ZoneDataMissing.
    """
    time_of_day = at.strftime("%H:%M:%S") if isinstance(at, time) else at
    if not isinstance(time_of_day, str):
        raise BadTrigger("business_days", "at", at, "must be a time such as '09:00'")
    if isinstance(which, str):
        _choice("business_days", "which", which, ("every", "first", "last"))
    elif isinstance(which, bool) or not 1 <= abs(which) <= NTH_MAX:
        why = f"must be every, first, last, or a number from 1 to {NTH_MAX} or from -1"
        raise BadTrigger("business_days", "which", which, why)
    made = BusinessDays(
        at=time_of_day,
        zone=zone_name(tz),
        weekdays=_weekdays("business_days", weekdays),
        holidays=_dates("business_days", "holidays", holidays),
        which=which,
    )
    if not made.weekdays:
        raise BadTrigger("business_days", "weekdays", (), "at least one day must be worked on")
    if compile_trigger(made, "").next(EPOCH) is None:
        raise BadTrigger("business_days", "which", which, "no month has so many such days")
    return made


def any_of(*triggers: Trigger) -> AnyOf:
    """Return the rule of the instants of each; one that several share is one.

    Raises: BadTrigger.
    """
    made = AnyOf(_parts("any_of", triggers))
    _check_depth("any_of", made)
    return made


def all_of(*triggers: Trigger) -> AllOf:
    """Return the rule of the instants which all share.  Raises: BadTrigger."""
    made = AllOf(_parts("all_of", triggers))
    _check_depth("all_of", made)
    if anchored(made, EPOCH) != made:
        why = "needs an anchor here: an interval that begins anywhere meets no other rule"
        raise BadTrigger("all_of", "triggers", "every", why)
    if compile_trigger(made, "").next(EPOCH) is None:
        raise BadTrigger("all_of", "triggers", len(triggers), "they never share an instant")
    return made


def excluding(
    trigger: Trigger,
    *,
    dates: Iterable[date] = (),
    weekdays: Iterable[Weekday] = (),
    other: Trigger | None = None,
    tz: str | ZoneInfo | None = None,
) -> Excluding:
    """Return the rule of a trigger's instants, but for some.

    dates, weekdays: days on which nothing is due.
    other:           a trigger whose instants are left out.
    tz:              whose days; None: those of the trigger, UTC where it has none.
    Raises: BadTrigger, UnknownZone, ZoneDataMissing.
    """
    parts = (trigger,) if other is None else (trigger, other)
    _parts("excluding", parts)
    made = Excluding(
        trigger,
        dates=_dates("excluding", "dates", dates),
        weekdays=_weekdays("excluding", weekdays),
        other=other,
        zone=zone_name(getattr(trigger, "zone", "UTC") if tz is None else tz),
    )
    _check_depth("excluding", made)
    if len(made.weekdays) == len(WEEKDAYS):
        raise BadTrigger("excluding", "weekdays", made.weekdays, "leaves no day of the week")
    if not made.dates and not made.weekdays and other is None:
        raise BadTrigger("excluding", "dates", (), "exclude something: dates, weekdays or other")
    if compile_trigger(anchored(made, EPOCH), "").next(EPOCH) is None:
        raise BadTrigger("excluding", "trigger", describe(trigger), "nothing of it is left")
    return made


# -- asked for their ticks -----------------------------------------------------


def compile_trigger(trigger: Trigger, name: str) -> Compiled:
    """Return a trigger that can be asked for its ticks; the same one for equal arguments.

    name:   the schedule's; it decides what ``H`` stands for.
    Raises: BadTrigger, UnknownZone, ZoneDataMissing, MissingExtra.
    """
    return _compiled(trigger, name if _depends_on_name(trigger) else "")


@lru_cache(RULES_CACHED_MAX)
def _compiled(trigger: Trigger, name: str) -> Compiled:
    match trigger:
        case Cron(expression, zone, gap, overlap, days):
            rule = cron_rule(expression, both=days == "both", seed=name)
            return WallClock(zone_of(zone), rule.match(), wild=rule.wild, gap=gap, overlap=overlap)
        case Every(interval_s, anchor):
            if anchor is None:
                raise BadTrigger("every", "anchor", None, "is missing: see anchored(…)")
            return EveryTicks(timedelta(seconds=interval_s), anchor)
        case At(instants):
            return AtTicks(instants)
        case BusinessDays(zone=zone):
            return WallClock(zone_of(zone), business_match(trigger), wild=False)
        case Rrule(zone=zone):
            return WallClock(zone_of(zone), RruleMatch(trigger), wild=False)
        case AnyOf(triggers):
            return AnyTicks([compile_trigger(part, name) for part in triggers])
        case AllOf(triggers):
            return AllTicks([compile_trigger(part, name) for part in triggers])
        case Excluding(inner, dates, weekdays, other, zone):
            return ExcludingTicks(
                compile_trigger(inner, name),
                zone_of(zone),
                days=day_numbers(dates),
                weekdays=frozenset(map(WEEKDAYS.index, weekdays)),
                other=None if other is None else compile_trigger(other, name),
            )


def _depends_on_name(trigger: Trigger) -> bool:
    if isinstance(trigger, Cron):
        return uses_hash(trigger.expression)
    return any(map(_depends_on_name, parts_of(trigger)))


def anchored(trigger: Trigger, now: datetime) -> Trigger:
    """Return a trigger in which each interval has an anchor: its own, or ``now``."""
    match trigger:
        case Every(anchor=None):
            return Every(trigger.interval_s, now.astimezone(UTC))
        case AnyOf(triggers):
            return AnyOf(tuple(anchored(part, now) for part in triggers))
        case AllOf(triggers):
            return AllOf(tuple(anchored(part, now) for part in triggers))
        case Excluding(inner, other=other):
            return msgspec.structs.replace(
                trigger,
                trigger=anchored(inner, now),
                other=None if other is None else anchored(other, now),
            )
        case _:
            return trigger


def parts_of(trigger: Trigger) -> tuple[Trigger, ...]:
    """Return the triggers that a combination is made of; none of a plain one."""
    match trigger:
        case AnyOf(triggers) | AllOf(triggers):
            return triggers
        case Excluding(inner, other=other):
            return (inner,) if other is None else (inner, other)
        case _:
            return ()


# -- stored --------------------------------------------------------------------

_decoder = msgspec.json.Decoder(Trigger)


def encode_trigger(trigger: Trigger) -> str:
    """Return a trigger as JSON; the same text for equal triggers."""
    return msgspec.json.encode(trigger).decode()


def decode_trigger(encoded: str) -> Trigger:
    """Return what :func:`encode_trigger` made.  Raises: BadTrigger."""
    try:
        made: Trigger = _decoder.decode(encoded)
    except msgspec.ValidationError as error:
        why, _, path = str(error).partition(" - at ")
        raise BadTrigger("stored trigger", path.strip("`") or "$", encoded[:80], why) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadTrigger("stored trigger", "$", encoded[:80], f"is no JSON: {error}") from None
    return made


# -- checks --------------------------------------------------------------------


def _choice(trigger: str, field: str, value: object, known: Sequence[str]) -> None:
    if value in known:
        return
    near = nearest(value, known) if isinstance(value, str) else None
    hint = f"; did you mean {near!r}?" if near else ""
    raise BadTrigger(trigger, field, value, f"must be one of {', '.join(known)}{hint}")


def _instant(trigger: str, field: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise BadTrigger(trigger, field, value, "must be a datetime")
    if value.tzinfo is None:
        raise BadTrigger(trigger, field, value, "must have a time zone: datetime(…, tzinfo=UTC)")
    return value.astimezone(UTC)


def _dates(trigger: str, field: str, values: Iterable[date]) -> tuple[date, ...]:
    dates = set()
    for value in values:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise BadTrigger(trigger, field, value, "must be dates: date(2026, 12, 25)")
        dates.add(value)
    if len(dates) > DATES_MAX:
        raise BadTrigger(trigger, field, len(dates), f"must be {DATES_MAX:,} dates at most")
    return tuple(sorted(dates))


def _weekdays(trigger: str, values: Iterable[str]) -> tuple[Weekday, ...]:
    if isinstance(values, str):
        raise BadTrigger(trigger, "weekdays", values, "must be a list such as ['sat', 'sun']")
    wanted = set()
    for value in values:
        day = value.lower() if isinstance(value, str) else value
        _choice(trigger, "weekdays", day, WEEKDAYS)
        wanted.add(day)
    return tuple(day for day in WEEKDAYS if day in wanted)


def _parts(trigger: str, parts: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    if not 1 <= len(parts) <= PARTS_MAX:
        raise BadTrigger(trigger, "triggers", len(parts), f"must be 1 to {PARTS_MAX} triggers")
    for part in parts:
        if not isinstance(part, Trigger):
            raise BadTrigger(trigger, "triggers", part, "must be triggers: cron(…), every(…), …")
    return parts


def _check_depth(trigger: str, made: Trigger) -> None:
    level: list[Trigger] = [made]
    for _ in range(DEPTH_MAX):
        level = [part for one in level for part in parts_of(one)]
    if level:
        raise BadTrigger(trigger, "triggers", None, f"are nested more than {DEPTH_MAX} deep")


def _wall_time(start: datetime, zone: str) -> datetime:
    if start.tzinfo is None:
        return start.replace(microsecond=0)
    utc_s = int(start.timestamp())
    return _wall(utc_s + zone_of(zone).stretch(utc_s).offset_s)


def _wall(wall_s: int) -> datetime:
    return instant_of(wall_s).replace(tzinfo=None)


def _utc(wall: datetime) -> datetime:
    return wall.replace(tzinfo=UTC)


def _with_local_until(rule: str, zone: str) -> str:
    """Return a rule whose UNTIL, which RFC 5545 wants in UTC, is by the clock of the zone."""
    parts = rule_parts(rule)
    until = parts.get("UNTIL", "")
    if until.endswith("Z"):
        try:
            instant = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise BadTrigger(
                f"rrule {rule!r}", "UNTIL", until, "must be YYYYMMDDTHHMMSSZ"
            ) from None
        parts["UNTIL"] = _wall_time(instant, zone).strftime("%Y%m%dT%H%M%S")
    return ";".join(f"{name}={value}" for name, value in parts.items())
