"""What an expression says about one time on a wall: the rules of docs/triggers.md, read plainly.

Nothing here is shared with the engine: each item of a field is tried in turn on each time.
"""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache

MONTHS = {f"{date(2000, number, 1):%b}".upper(): number for number in range(1, 13)}
WEEKDAYS = {f"{date(2000, 10, 1 + number):%a}".upper(): number for number in range(7)}


@dataclass
class Rule:
    """An expression of five or six fields, without ``H``; answers are kept."""

    expression: str
    both: bool = False
    _days: dict[date, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = self.expression.upper().split()
        second, self.minute, self.hour, self.day, self.month, self.weekday = (
            texts if len(texts) == 6 else ["0", *texts]
        )
        self.seconds = allowed(second, 0, 59)
        self.minutes = allowed(self.minute, 0, 59)
        self.hours = allowed(self.hour, 0, 23)

    @property
    def wild(self) -> bool:
        """Rule 4: minute or hour begins with a star."""
        return self.minute[0] == "*" or self.hour[0] == "*"

    def matches(self, wall: datetime) -> bool:
        """Tell whether the clock shows a time of this rule."""
        return (
            wall.minute in self.minutes
            and wall.second in self.seconds
            and self.matches_hour(wall.date(), wall.hour)
        )

    def matches_hour(self, day: date, hour: int) -> bool:
        """Tell whether some time of an hour may match."""
        if hour not in self.hours:
            return False
        if day not in self._days:
            self._days[day] = self._on(day)
        return self._days[day]

    def _on(self, day: date) -> bool:
        if day.month not in allowed(self.month, 1, 12):
            return False
        by_day = any(is_day(item, day) for item in self.day.split(","))
        by_weekday = any(is_weekday(item, day) for item in self.weekday.split(","))
        starred = self.day[0] in "*?" or self.weekday[0] in "*?"
        return (by_day and by_weekday) if self.both or starred else (by_day or by_weekday)


@cache
def allowed(text: str, low: int, high: int) -> frozenset[int]:
    """Return the values that some item of a list covers."""
    return frozenset(
        value
        for value in range(low, high + 1)
        if any(covers(item, value, low, high, MONTHS) for item in text.split(","))
    )


def covers(item: str, value: int, low: int, high: int, names: dict[str, int]) -> bool:
    """Tell whether one item covers a value: it counts up from its start until it meets it."""
    span, _, step = item.partition("/")
    first, _, last = span.partition("-")
    if span in ("*", "?"):
        start, end = low, high
    else:
        start = names[first] if first in names else int(first)
        end = (names[last] if last in names else int(last)) if last else (high if step else start)
    at, counted = start, 0
    while True:
        if at == value and counted % int(step or 1) == 0:
            return True
        if at == end:
            return False
        at, counted = (low if at == high else at + 1), counted + 1


def is_day(item: str, day: date) -> bool:
    """Tell whether a day is one that an item of the day of the month means."""
    length = monthrange(day.year, day.month)[1]
    if item == "L":
        return day.day == length
    if item == "LW":
        return day == nearest_workday(day.replace(day=length))
    if item.endswith("W"):
        wanted = int(item[:-1])
        return wanted <= length and day == nearest_workday(day.replace(day=wanted))
    return covers(item, day.day, 1, 31, {})


def nearest_workday(day: date) -> date:
    """Return the day from Monday to Friday that is nearest, in the same month."""
    for distance in (0, -1, 1, -2, 2):
        near = day + timedelta(days=distance)
        if near.month == day.month and near.isoweekday() <= 5:
            return near
    raise AssertionError("a week has workdays")


def is_weekday(item: str, day: date) -> bool:
    """Tell whether a day is one that an item of the weekday means."""
    sunday_first = day.isoweekday() % 7
    if item.endswith("L") and item != "L":
        return named(item[:-1]) == sunday_first and (day + timedelta(days=7)).month != day.month
    if "#" in item:
        which, _, nth = item.partition("#")
        return named(which) == sunday_first and (day.day + 6) // 7 == int(nth)
    values = [sunday_first, 7] if sunday_first == 0 else [sunday_first]
    highest = 7 if "-7" in item else 6
    return any(covers(item, value, 0, highest, WEEKDAYS) for value in values)


def named(text: str) -> int:
    """Return a weekday by name or number."""
    return WEEKDAYS[text] if text in WEEKDAYS else int(text) % 7
