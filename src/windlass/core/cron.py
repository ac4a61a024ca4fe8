"""Cron expressions: text to sets of seconds, minutes, hours and days.

Five fields, or six with seconds first; ``docs/triggers.md`` has the grammar.  A range whose end
is below its start goes around: hours ``22-2``, weekdays ``fri-mon``.
"""

import hashlib
import itertools
import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from windlass.core.names import nearest
from windlass.core.wallclock import Days, Times, TimesOfDays
from windlass.errors import BadTrigger

EXPRESSION_LENGTH_MAX: Final = 256
RULES_CACHED_MAX: Final = 16_384
MONTH_NAMES: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
WEEKDAY_NAMES: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

Pick = Callable[[str, int], int]  # (field, how many) -> the one that ``H`` stands for

_WEEKS = 0b10000001000000100000010000001  # every seventh day of a month, from its first
_ITEM = re.compile(
    r"(?:(?P<all>\*)|(?P<hash>h)(?:\((?P<low>\d+)-(?P<high>\d+)\))?"
    r"|(?P<from>[a-z0-9]+)(?:-(?P<to>[a-z0-9]+))?)(?:/(?P<step>\d+))?",
    re.ASCII,
)
_NEAREST_WORKDAY = re.compile(r"(\d+)w", re.ASCII)
_LAST_WEEKDAY = re.compile(r"(\d|[a-z]{3})l", re.ASCII)
_NTH_WEEKDAY = re.compile(r"(\w+)#(\w*)", re.ASCII)


class Field(NamedTuple):
    """One field of an expression: its values, their names, and which ones ``H`` stands for."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hash_high: int | None = None

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1


SECOND = Field("second", 0, 59)
MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day of the month", 1, 31, hash_high=28)  # H means a day that each month has
MONTH = Field("month", 1, 12, MONTH_NAMES)
WEEKDAY = Field("weekday", 0, 6, WEEKDAY_NAMES)
FIELDS: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
FIELDS_WITH_SECONDS: Final = (SECOND, *FIELDS)


class Bad(Exception):
    """Why an item of a field cannot be read."""


@dataclass(frozen=True, slots=True)
class MonthDays:
    """The field of the day of the month.  ``days``: bits, day n is bit n."""

    days: int = 0
    last: bool = False
    last_workday: bool = False
    near: tuple[int, ...] = ()

    def mask(self, first_weekday: int, length: int) -> int:
        """Return the days of a month as bits, the first day lowest; Sunday is weekday 0."""
        mask = self.days >> 1
        if self.last:
            mask |= 1 << (length - 1)
        if self.last_workday:
            mask |= 1 << (_workday_near(length, first_weekday, length) - 1)
        for day in self.near:
            if day <= length:
                mask |= 1 << (_workday_near(day, first_weekday, length) - 1)
        return mask & ((1 << length) - 1)


@dataclass(frozen=True, slots=True)
class Weekdays:
    """The field of the weekday.  ``days``: bits, Sunday is bit 0; nth: (weekday, which one)."""

    days: int = 0
    last: int = 0
    nth: tuple[tuple[int, int], ...] = ()

    def mask(self, first_weekday: int, length: int) -> int:
        """Return the days of a month as bits, the first day lowest."""
        mask = 0
        for weekday in range(7):
            ahead = (weekday - first_weekday) % 7
            if self.days >> weekday & 1:
                mask |= _WEEKS << ahead
            if self.last >> weekday & 1:
                mask |= 1 << (ahead + (length - 1 - ahead) // 7 * 7)
        for weekday, which in self.nth:
            mask |= 1 << ((weekday - first_weekday) % 7 + (which - 1) * 7)
        return mask & ((1 << length) - 1)


@dataclass(frozen=True)
class CronRule:
    """What an expression says, for one seed of its ``H``.

    texts:  the fields as written, the seconds first ("0" where there are none).
    either: a day matches by its day of the month or by its weekday; else it must by both.
    """

    texts: tuple[str, ...]
    seconds: int
    minutes: int
    hours: int
    month_days: MonthDays
    months: int
    weekdays: Weekdays
    either: bool

    @property
    def wild(self) -> bool:
        """Whether each real match of the clock counts (ADR 17)."""
        return self.texts[1].startswith("*") or self.texts[2].startswith("*")

    @property
    def every_day(self) -> bool:
        """Whether no day is left out."""
        return all(text in ("*", "?") for text in self.texts[3:])

    def mask(self, year: int, month: int) -> int:
        """Return the matching days of a month as bits, the first day lowest."""
        if not self.months >> month & 1:
            return 0
        first, length = monthrange(year, month)
        by_day = self.month_days.mask((first + 1) % 7, length)
        by_weekday = self.weekdays.mask((first + 1) % 7, length)
        return by_day | by_weekday if self.either else by_day & by_weekday

    def match(self) -> TimesOfDays:
        """Return what the clock must show."""
        minutes = sum(self.minutes << 60 * hour for hour in range(24) if self.hours >> hour & 1)
        days = None if self.every_day else Days(self.mask)
        return TimesOfDays(Times(minutes, self.seconds), days)


def check_expression(expression: object, *, both: bool) -> str:
    """Return an expression that means something on some date.  Raises: BadTrigger."""
    if not isinstance(expression, str):
        raise BadTrigger("cron", "expression", expression, "must be a text such as '30 2 * * *'")
    for pick in _every_pick(expression):
        rule = _parse(expression, both, pick)
        if rule.either or rule.every_day:
            break  # each month has each weekday
        if Days(rule.mask).first(0) is None:
            raise _impossible(expression, rule)
    return expression


@lru_cache(RULES_CACHED_MAX)
def cron_rule(expression: str, *, both: bool, seed: str) -> CronRule:
    """Return what an expression says.  ``seed``: the name that ``H`` depends on.

    Raises: BadTrigger.
    """
    return _parse(expression, both, lambda field, count: _hash(seed, field) % count)


@lru_cache(RULES_CACHED_MAX)
def uses_hash(expression: str) -> bool:
    """Tell whether the name of the schedule matters.  Raises: BadTrigger."""
    return any(map(hashes, _texts(expression)))


def hashes(text: str) -> bool:
    """Tell whether a field has an ``H``, besides the letters of names."""
    return "h" in re.sub("[a-z]{3}", "", text.lower())


# -- reading -----------------------------------------------------------------


def _parse(expression: str, both: bool, pick: Pick) -> CronRule:
    texts = _texts(expression)
    fields = FIELDS if len(texts) == len(FIELDS) else FIELDS_WITH_SECONDS
    read: dict[Field, int] = {}
    month_days, weekdays = MonthDays(), Weekdays()
    for nth, (field, text) in enumerate(zip(fields, texts, strict=True), 1):
        try:
            if field is DAY:
                month_days = _month_days(text.lower(), pick)
            elif field is WEEKDAY:
                weekdays = _weekdays(text.lower(), pick)
            else:
                read[field] = _values(field, text.lower(), pick)
        except Bad as bad:
            where = f"{field.name} (field {nth} of {len(fields)})"
            raise BadTrigger(f"cron {expression!r}", where, text, str(bad)) from None
    return CronRule(
        texts=texts if len(texts) == len(FIELDS_WITH_SECONDS) else ("0", *texts),
        seconds=read.get(SECOND, 1),
        minutes=read[MINUTE],
        hours=read[HOUR],
        month_days=month_days,
        months=read[MONTH],
        weekdays=weekdays,
        either=not both and not any(text[0] in "*?" for text in (texts[-3], texts[-1])),
    )


def _texts(expression: str) -> tuple[str, ...]:
    def bad(why: str) -> BadTrigger:
        return BadTrigger("cron", "expression", expression[:EXPRESSION_LENGTH_MAX], why)

    if len(expression) > EXPRESSION_LENGTH_MAX:
        raise bad(f"is longer than {EXPRESSION_LENGTH_MAX} characters")
    texts = expression.split()
    if texts and texts[0].startswith("@"):
        known = ALIASES.get(" ".join(texts).lower())
        if known is None:
            near = nearest(texts[0].lower(), ALIASES)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(ALIASES)}"
            raise bad(f"there is no {texts[0]!r}; {hint}")
        texts = known.split()
    if len(texts) not in (len(FIELDS), len(FIELDS_WITH_SECONDS)):
        raise bad(
            f"has {len(texts)} fields; it must have 5 (minute, hour, day of the month, month, "
            "weekday), or 6 with the second before them"
        )
    return tuple(texts)


def _month_days(text: str, pick: Pick) -> MonthDays:
    plain, last, last_workday, near = 0, False, False, []
    if text == "?":
        text = "*"
    for item in text.split(","):
        if item == "l":
            last = True
        elif item in ("lw", "wl"):
            last_workday = True
        elif found := _NEAREST_WORKDAY.fullmatch(item):
            near.append(_number(DAY, found[1]))
        else:
            plain |= _item(DAY, item, pick)
    return MonthDays(plain, last, last_workday, tuple(near))


def _weekdays(text: str, pick: Pick) -> Weekdays:
    plain, last, nth = 0, 0, []
    if text == "?":
        text = "*"
    for item in text.split(","):
        if item == "l":
            raise Bad("'L' alone does not say which weekday; write 5L for the last Friday")
        if found := _LAST_WEEKDAY.fullmatch(item):
            last |= 1 << _number(WEEKDAY, found[1]) % 7
        elif found := _NTH_WEEKDAY.fullmatch(item):
            if found[2] not in ("1", "2", "3", "4", "5"):
                raise Bad(f"{item!r}: a month has a weekday 1 to 5 times, so #1 to #5")
            nth.append((_number(WEEKDAY, found[1]) % 7, int(found[2])))
        else:
            plain |= _item(WEEKDAY, item, pick)
    return Weekdays(plain, last, tuple(nth))


def _values(field: Field, text: str, pick: Pick) -> int:
    bits = 0
    for item in text.split(","):
        bits |= _item(field, item, pick)
    return bits


def _item(field: Field, item: str, pick: Pick) -> int:
    found = _ITEM.fullmatch(item)
    if found is None:
        raise Bad(_why_unreadable(field, item))
    step = None if found["step"] is None else _step(field, found["step"])
    values: Iterable[int]
    if found["all"]:
        values = range(field.low, field.high + 1, step or 1)
    elif found["hash"]:
        values = _hashed(field, found["low"], found["high"], step, pick)
    else:
        values = _range(field, found["from"], found["to"], step)
    bits = 0
    for value in values:
        bits |= 1 << (value % 7 if field is WEEKDAY else value)  # Sunday is 0 and 7
    return bits


def _range(field: Field, first: str, last: str | None, step: int | None) -> Iterable[int]:
    low = _number(field, first)
    high = field.high if last is None else _number(field, last)
    if low == high or (last is None and step is None):
        return (low,)
    if low <= high:
        return range(low, high + 1, step or 1)
    return [*range(low, field.high + 1), *range(field.low, high + 1)][:: step or 1]


def _hashed(field: Field, low: str | None, high: str | None, step: int | None, pick: Pick) -> range:
    start = field.low if low is None else _number(field, low)
    end = field.hash_high or field.high if high is None else _number(field, high)
    if start > end:
        raise Bad(f"H({start}-{end}): the end is before the start")
    if field.hash_high is not None and end > field.hash_high:
        raise Bad(f"H goes to {field.hash_high} at most, which each month has")
    if step is None:
        value = start + pick(field.name, end - start + 1)
        return range(value, value + 1)
    if step > end - start + 1:
        raise Bad(f"the step {step} is longer than {start} to {end}")
    return range(start + pick(field.name, step), end + 1, step)


def _number(field: Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not text.isdigit():
        raise Bad(_why_unreadable(field, text))
    value = int(text)
    highest = 7 if field is WEEKDAY else field.high
    if not field.low <= value <= highest:
        raise Bad(f"{value} is not from {field.low} to {highest}")
    return value


def _step(field: Field, text: str) -> int:
    step = int(text)
    if not 1 <= step <= field.size:
        raise Bad(
            f"the step {step} is not from 1 to {field.size}; every(…) counts longer or other spans"
        )
    return step


def _why_unreadable(field: Field, item: str) -> str:
    if not item:
        return "an item is missing between commas"
    if item.startswith("?"):
        return "'?' stands alone, for the day of the month or the weekday"
    near = nearest(item, field.names) if item.isalpha() and field.names else None
    if near:
        return f"{item!r} cannot be read; did you mean {near!r}?"
    example = field.names[0] if field.names else str(field.low)
    return (
        f"{item!r} cannot be read; it takes {field.low} to {field.high}, as {example}, "
        f"{field.low}-{field.low + 2}, */2, H, and lists of these"
    )


def _workday_near(day: int, first_weekday: int, length: int) -> int:
    """Return the day from Monday to Friday of the same month that is nearest."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else 3
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _hash(seed: str, field: str) -> int:
    digest = hashlib.blake2b(f"{field}\n{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


# -- dates that never come -----------------------------------------------------


def _every_pick(expression: str) -> Iterator[Pick]:
    """Yield a choice for each day, month and weekday that ``H`` could come to stand for."""
    texts = _texts(expression)
    dates = {DAY.name: texts[-3], MONTH.name: texts[-2], WEEKDAY.name: texts[-1]}
    sizes = {DAY.name: 28, MONTH.name: 12, WEEKDAY.name: 7}
    spans = [range(sizes[name]) if hashes(text) else range(1) for name, text in dates.items()]
    for chosen in itertools.product(*spans):
        yield _fixed_pick(dict(zip(dates, chosen, strict=True)))


def _fixed_pick(chosen: Mapping[str, int]) -> Pick:
    return lambda field, count: chosen.get(field, 0) % count


def _impossible(expression: str, rule: CronRule) -> BadTrigger:
    fields = len(expression.split())
    where = f"{DAY.name} (field {fields - 2} of {fields})"
    months = [name.capitalize() for n, name in enumerate(MONTH_NAMES, 1) if rule.months >> n & 1]
    why = f"no such day ever comes in {', '.join(months)}; no year has a date that matches"
    if rule.texts[5] not in ("*", "?"):
        why += f" with the weekday {rule.texts[5]!r}"
    return BadTrigger(f"cron {expression!r}", where, rule.texts[3], why)
