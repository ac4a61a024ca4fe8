"""Triggers in words, for previews and lists."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from windlass.core.cron import (
    MONTH_NAMES,
    CronRule,
    MonthDays,
    Weekdays,
    cron_rule,
    hashes,
)
from windlass.model.triggers import (
    AllOf,
    AnyOf,
    At,
    BusinessDays,
    Cron,
    Every,
    Excluding,
    Rrule,
    Trigger,
)

TIMES_TOLD_MAX: Final = 6
INSTANTS_TOLD_MAX: Final = 3

_MONTHS = dict(
    zip(
        MONTH_NAMES,
        (
            *("January", "February", "March", "April", "May", "June", "July"),
            *("August", "September", "October", "November", "December"),
        ),
        strict=True,
    )
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_BY_NAME = {day[:3].lower(): day for day in _WEEKDAYS}
_EACH = ("every minute", "every hour")
_GAPS = {
    "first": "",
    "shift": "; a time that the clock leaps over comes as much later",
    "skip": "; a time that the clock leaps over is skipped",
}
_OVERLAPS = {
    "first": "",
    "second": "; of a time that comes twice the second",
    "both": "; a time that comes twice is due twice",
}


def describe(trigger: Trigger, name: str | None = None) -> str:
    """Return what a trigger says, in words.

    name: the schedule's, for the values that ``H`` stands for; None: they are told as ``H``.
    """
    match trigger:
        case Cron():
            return _cron(trigger, name)
        case Every(interval_s, anchor):
            since = "its registration" if anchor is None else f"{anchor:%Y-%m-%d %H:%M:%S} UTC"
            return f"every {_duration(interval_s)}, counted from {since}"
        case At(instants):
            told = [f"{one:%Y-%m-%d %H:%M:%S}" for one in instants[:INSTANTS_TOLD_MAX]]
            more = len(instants) - len(told)
            return f"at {_list([*told, *([f'{more} more'] if more else [])])} UTC"
        case Rrule(rule, zone, start):
            return f"by the recurrence {rule} from {start:%Y-%m-%d %H:%M:%S}, {_clock(zone)}"
        case BusinessDays():
            return _business_days(trigger)
        case AnyOf(triggers):
            return "whenever one of these is due: " + _parts(triggers, name)
        case AllOf(triggers):
            return "when all of these are due at once: " + _parts(triggers, name)
        case Excluding():
            return _excluding(trigger, name)


# -- cron ----------------------------------------------------------------------


def _cron(trigger: Cron, name: str | None) -> str:
    rule = cron_rule(trigger.expression, both=trigger.days == "both", seed=name or "")
    # What depends on a name that is not known is told as it is written.
    texts = [text if name is None and hashes(text) else "" for text in rule.texts]
    times, days = _times(rule, texts), _days(rule, texts)
    always = days == "every day" and times.startswith("every") and " of " not in times
    words = f"{times if always else f'{times} {days}'}, {_clock(trigger.zone)}"
    if rule.wild:
        return words
    return words + _GAPS[trigger.gap] + _OVERLAPS[trigger.overlap]


def _times(rule: CronRule, texts: Sequence[str]) -> str:
    seconds, minutes, hours = _values(rule.seconds), _values(rule.minutes), _values(rule.hours)
    if not any(texts[:3]):
        count = len(seconds) * len(minutes) * len(hours)
        if count <= TIMES_TOLD_MAX:
            return "at " + _list([_time(h, m, s) for h in hours for m in minutes for s in seconds])
    parts = [
        "" if seconds == [0] and not texts[0] else _unit("second", seconds, 60, texts[0]),
        _unit("minute", minutes, 60, texts[1]),
        _unit("hour", hours, 24, texts[2]),
    ]
    parts = [part for part in parts if part]
    # "every minute of every hour" says no more than "every minute".
    while len(parts) > 1 and parts[-1] in _EACH and parts[-2].startswith("every"):
        parts.pop()
    return " of ".join(parts)


def _unit(unit: str, values: Sequence[int], size: int, text: str) -> str:
    if text:
        return f"{unit} {text}"
    if len(values) == size:
        return f"every {unit}"
    step = values[1] - values[0] if len(values) > 1 else 0
    if step > 1 and size % step == 0 and list(values) == list(range(0, size, step)):
        return f"every {step} {unit}s"
    return f"{unit}{'s' if len(values) > 1 else ''} {_spans([str(n) for n in range(size)], values)}"


def _days(rule: CronRule, texts: Sequence[str]) -> str:
    day, month, weekday = (text not in ("*", "?") for text in rule.texts[3:])
    by_day = f"on day {texts[3]} of the month" if texts[3] else _month_days(rule.month_days)
    by_weekday = f"on weekday {texts[5]}" if texts[5] else _weekdays(rule.weekdays)
    if day and weekday and rule.either:
        words = f"{by_day} or {by_weekday}, either of them"
    elif day and weekday:
        words = f"{by_day} and {by_weekday}, both at once"
    else:
        words = by_day if day else by_weekday if weekday else "every day"
    if not month:
        return words
    months = texts[4] or _spans(list(_MONTHS.values()), [n - 1 for n in _values(rule.months)])
    return f"{words} in {months}"


def _month_days(days: MonthDays) -> str:
    plain = _values(days.days)
    names = [str(n) for n in range(32)]
    parts = [f"day{'s' if len(plain) > 1 else ''} {_spans(names, plain)}"] if plain else []
    parts += [f"the workday nearest to day {day}" for day in days.near]
    parts += ["the last day"] * days.last + ["the last workday"] * days.last_workday
    return f"on {_list(parts)} of the month"


def _weekdays(weekdays: Weekdays) -> str:
    parts = [_week(_values(weekdays.days))] if weekdays.days else []
    parts += [f"the {_nth(nth)} {_WEEKDAYS[day]} of the month" for day, nth in weekdays.nth]
    parts += [f"the last {_WEEKDAYS[day]} of the month" for day in _values(weekdays.last)]
    return f"on {_list(parts)}"


def _week(days: Collection[int]) -> str:
    """Return weekdays, Monday first; Sunday is 0."""
    return _spans([*_WEEKDAYS[1:], _WEEKDAYS[0]], sorted((day - 1) % 7 for day in days))


# -- the others ----------------------------------------------------------------


def _business_days(trigger: BusinessDays) -> str:
    match trigger.which:
        case "every":
            which = "every working day"
        case "first" | "last" as end:
            which = f"the {end} working day of the month"
        case -1:
            which = "the last working day of the month"
        case int(nth) if nth > 0:
            which = f"the {_nth(nth)} working day of the month"
        case nth:
            which = f"the {_nth(-int(nth))} last working day of the month"
    names = [_BY_NAME[day] for day in trigger.weekdays]
    holidays = f" but {_count(len(trigger.holidays), 'holiday')}" if trigger.holidays else ""
    week = _week([_WEEKDAYS.index(name) for name in names])
    return f"at {trigger.at} on {which} ({week}{holidays}), {_clock(trigger.zone)}"


def _excluding(trigger: Excluding, name: str | None) -> str:
    left_out = [_count(len(trigger.dates), "date")] if trigger.dates else []
    left_out += [f"every {_BY_NAME[day]}" for day in trigger.weekdays]
    words = f"({describe(trigger.trigger, name)})"
    if left_out:
        words += f" except on {_list(left_out)} of {trigger.zone}"
    if trigger.other is not None:
        words += f" except when this is due: ({describe(trigger.other, name)})"
    return words


def _parts(triggers: Sequence[Trigger], name: str | None) -> str:
    return "; ".join(f"({describe(part, name)})" for part in triggers)


def _duration(seconds: float) -> str:
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return unit if seconds == size else f"{seconds / size:,.0f} {unit}s"
    if seconds < 3_600:
        return "second" if seconds == 1 else f"{seconds:g} seconds"
    return f"{timedelta(seconds=seconds)} h" if seconds < 86_400 else f"{seconds:,g} seconds"


def _clock(zone: str) -> str:
    return "in UTC" if zone == "UTC" else f"by the clock of {zone}"


def _time(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _values(bits: int) -> list[int]:
    return [value for value in range(bits.bit_length()) if bits >> value & 1]


def _spans(names: Sequence[str], values: Sequence[int]) -> str:
    """Return values by name, three and more in a row as a span."""
    told: list[str] = []
    start = 0
    for index, value in enumerate(values):
        if index + 1 < len(values) and values[index + 1] == value + 1:
            continue
        if index - start >= 2:
            told.append(f"{names[values[start]]} to {names[value]}")
        else:
            told += [names[one] for one in values[start : index + 1]]
        start = index + 1
    return _list(told)


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
