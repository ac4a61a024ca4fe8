"""Rules of calendars: working days, and recurrences of RFC 5545 through python-dateutil."""

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable
from datetime import MAXYEAR, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from windlass.core.wallclock import HORIZON_YEARS, Days, Times, TimesOfDays
from windlass.core.zones import DAY_S
from windlass.errors import BadTrigger, MissingExtra
from windlass.model.triggers import WEEKDAYS, BusinessDays, Rrule, Which

if TYPE_CHECKING:
    from dateutil.rrule import rrule as Rule

RRULE_LENGTH_MAX: Final = 512
COUNT_MAX: Final = 1_000
COUNT_YEARS_MAX: Final = 441  # after its start, dates of a rule with COUNT are not looked for
NTH_MAX: Final = 23  # no month has more working days, at five in a week

_FOREVER = 1 << 62
_DAYS_IN_400_YEARS = 146_097  # a whole number of weeks
_AHEAD = 32  # dates of a recurrence that are worked out at once
_WALL_EPOCH = datetime(1970, 1, 1)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_VALUE = re.compile(r"[A-Z0-9,+-]+", re.ASCII)
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_DAY_PARTS = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")


# -- working days --------------------------------------------------------------


def business_match(trigger: BusinessDays) -> TimesOfDays:
    """Return what the clock must show.  Raises: BadTrigger."""
    weekdays = [WEEKDAYS.index(day) for day in trigger.weekdays]
    holidays: dict[tuple[int, int], int] = {}
    for day in trigger.holidays:
        month = (day.year, day.month)
        holidays[month] = holidays.get(month, 0) | 1 << (day.day - 1)

    def mask(year: int, month: int) -> int:
        first, length = monthrange(year, month)
        days = sum(1 << day for day in range(length) if (first + day) % 7 in weekdays)
        return _chosen(days & ~holidays.get((year, month), 0), trigger.which)

    return TimesOfDays(_times(trigger.at), Days(mask))


def _times(text: str) -> Times:
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadTrigger("business_days", "at", text, "must be a time such as '09:00'")
    hour, minute, second = (int(part or 0) for part in found.groups())
    return Times(1 << (hour * 60 + minute), 1 << second)


def _chosen(days: int, which: Which) -> int:
    if which == "every":
        return days
    nth = {"first": 1, "last": -1}.get(which, 0) if isinstance(which, str) else which
    numbers = [day for day in range(days.bit_length()) if days >> day & 1]
    index = nth - 1 if nth > 0 else nth
    return 1 << numbers[index] if -len(numbers) <= index < len(numbers) else 0


# -- recurrences ---------------------------------------------------------------


class RruleMatch:
    """The dates of a recurrence, worked out from near the time that is asked about.

    A rule without COUNT repeats itself: it may begin any whole number of its intervals later
    and give the same dates, so that none has to be counted from its start.  dateutil looks for
    a date that never comes until the year 9999; the calendar repeats itself each 400 years, so
    the question is asked near the end of that time.
    Cost: about 5 µs; up to 0.4 s where no date of a daily rule is left.
    """

    def __init__(self, trigger: Rrule) -> None:
        self._trigger = trigger
        self._parts = rule_parts(trigger.rule)
        self._rule = _rule(trigger)
        self._interval = int(self._parts.get("INTERVAL", "1"))
        self._known: tuple[int, int, tuple[int, ...]] = (0, -1, ())  # all dates from … to …

    def first(self, wall_s: int) -> int | None:
        """Return the first matching time not before this one."""
        known = self._known
        if not known[0] <= wall_s <= known[1]:
            known = self._known = self._work_out(wall_s)
        index = bisect_left(known[2], wall_s)
        return known[2][index] if index < len(known[2]) else None

    def _work_out(self, wall_s: int) -> tuple[int, int, tuple[int, ...]]:
        if "COUNT" in self._parts:
            late = _Late(self._trigger.start.year, COUNT_YEARS_MAX)
            rule = self._rule.replace(dtstart=late.of(self._trigger.start))
            return -_FOREVER, _FOREVER, late.seconds(islice(rule, COUNT_MAX))
        start = max(_WALL_EPOCH + timedelta(seconds=wall_s), self._trigger.start)
        late = _Late(start.year, HORIZON_YEARS + 1)
        dates = self._rule_near(start, late).xafter(late.of(start), inc=True)
        seconds = late.seconds(islice(dates, _AHEAD))
        return wall_s, seconds[-1] if seconds else wall_s, seconds

    def _rule_near(self, wall: datetime, late: "_Late") -> "Rule":
        changes = {"dtstart": self._trigger.start} | self._later_start(wall)
        last = wall.replace(year=wall.year + HORIZON_YEARS, day=min(wall.day, 28))
        until = self._rule._until
        return self._rule.replace(
            **changes | {"dtstart": late.of(changes["dtstart"])},
            until=late.of(min(until, last) if until else last),
        )

    def _later_start(self, wall: datetime) -> dict[str, Any]:
        start = self._trigger.start
        months = (wall.year - start.year) * 12 + wall.month - start.month
        is_plain = not any(part in self._parts for part in _DAY_PARTS)
        match self._parts["FREQ"]:
            case "DAILY" | "WEEKLY" as frequency:
                length = timedelta(days=(7 if frequency == "WEEKLY" else 1) * self._interval)
                periods = (wall - start) // length - 1
                return {} if periods < 1 else {"dtstart": start + periods * length}
            case "MONTHLY":
                periods = months // self._interval - 1
                if periods < 1:
                    return {}
                month = start.year * 12 + start.month - 1 + periods * self._interval
                changes = {"dtstart": start.replace(year=month // 12, month=month % 12 + 1, day=1)}
                return changes | ({"bymonthday": start.day} if is_plain else {})
            case _:
                periods = months // 12 // self._interval - 1
                if periods < 1:
                    return {}
                year = start.year + periods * self._interval
                changes = {"dtstart": start.replace(year=year, month=1, day=1)}
                return changes | (self._date_of(start) if is_plain else {})

    def _date_of(self, start: datetime) -> dict[str, Any]:
        given = {} if "BYMONTH" in self._parts else {"bymonth": start.month}
        return given | {"bymonthday": start.day}


class _Late:
    """The calendar moved by as many times 400 years as leave ``room`` before the year 9999."""

    def __init__(self, year: int, room: int) -> None:
        self._times = (MAXYEAR - room - year) // 400

    def of(self, wall: datetime) -> datetime:
        return wall.replace(year=wall.year + 400 * self._times)

    def seconds(self, dates: Iterable[datetime]) -> tuple[int, ...]:
        back = self._times * _DAYS_IN_400_YEARS * DAY_S
        return tuple(_wall_second(one) - back for one in dates)


def rule_parts(rule: str) -> dict[str, str]:
    """Return the parts of a rule by name, once they are known to be bounded.

    Raises: BadTrigger.
    """
    if len(rule) > RRULE_LENGTH_MAX:
        raise _bad(rule[:80], "rule", f"is longer than {RRULE_LENGTH_MAX} characters")
    parts: dict[str, str] = {}
    for part in rule.upper().removeprefix("RRULE:").split(";"):
        name, separator, value = part.partition("=")
        if not separator or name in parts or not name.isalpha() or not _VALUE.fullmatch(value):
            raise _bad(rule, part, "each part must be NAME=VALUE, once, with ';' between parts")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        told = "must be DAILY or longer; for shorter spans take cron(…) or every(…)"
        raise _bad(rule, "FREQ", told, parts.get("FREQ"))
    if "DTSTART" in parts:
        raise _bad(rule, "DTSTART", "is the option start=…")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _bad(rule, "COUNT", "stands without UNTIL", parts["COUNT"])
    if "BYEASTER" in parts:
        raise _bad(rule, "BYEASTER", "is not of RFC 5545")
    for name, most in (("COUNT", COUNT_MAX), ("INTERVAL", 1_000)):
        value = parts.get(name, "1")
        if not value.isdecimal() or len(value) > 4 or not 1 <= int(value) <= most:
            raise _bad(rule, name, f"must be from 1 to {most:,}", value)
    return parts


def _rule(trigger: Rrule) -> "Rule":
    try:
        from dateutil.rrule import rrulestr
    except ImportError as error:
        raise MissingExtra("calendars", "dateutil") from error
    try:
        return rrulestr(trigger.rule, dtstart=trigger.start)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise _bad(trigger.rule, "rule", f"cannot be read: {error}") from None


def _bad(rule: str, field: str, why: str, value: object = None) -> BadTrigger:
    return BadTrigger(f"rrule {rule!r}", field, rule if value is None else value, why)


def _wall_second(wall: datetime) -> int:
    since = wall - _WALL_EPOCH
    return since.days * DAY_S + since.seconds


def day_numbers(dates: Iterable[date]) -> frozenset[int]:
    """Return dates as days counted from 1970."""
    return frozenset((day - _WALL_EPOCH.date()).days for day in dates)
