"""Seeded cases: where to look, which rule to ask, and what the engine and the oracle say."""

import random
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import get_args

from tests.oracle.clock import DAY_S, FIRST_S, LAST_S, Reading, jumps, read
from tests.oracle.expected import SECOND_US, Ticks, expected_ticks
from tests.oracle.rules import MONTHS, WEEKDAYS, Rule
from windlass.core.triggers import Compiled, compile_trigger
from windlass.core.zones import zone_info
from windlass.model.triggers import Cron, Gap, Overlap, TickCase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_ZONES = {"localtime", "posixrules"}  # links of a system to what stands in it


@dataclass(frozen=True)
class Case:
    """One question; ``after_us`` is where the engine begins."""

    trigger: Cron
    reading: Reading
    after_us: int

    def __str__(self) -> str:
        return f"{self.trigger} after {EPOCH + timedelta(microseconds=self.after_us)}"


@cache
def zone_names() -> list[str]:
    """Return every zone that there is."""
    return sorted(zoneinfo.available_timezones() - NO_ZONES)


def every_jump() -> Iterator[tuple[str, int]]:
    """Yield each jump of each zone from 1970 to 2100; a zone without any, some instant of it."""
    for name in zone_names():
        found = list(jumps(zone_info(name)))
        yield from ((name, instant_s) for instant_s in found or [LAST_S // 2])


def some_jumps(chance: random.Random, rounds: int) -> Iterator[tuple[str, int]]:
    """Yield a jump of some year for each zone, in each round; where it has none, any instant."""
    for _ in range(rounds):
        for name in zone_names():
            start_s = chance.randrange(FIRST_S, LAST_S - 366 * DAY_S, DAY_S)
            found = list(jumps(zone_info(name), start_s, start_s + 366 * DAY_S))
            yield name, chance.choice(found or [start_s])


def cases_at(chance: random.Random, name: str, around_s: int, count: int) -> Iterator[Case]:
    """Yield cases around an instant of a zone; one reading in 16 goes second by second."""
    seconds = chance.random() < 1 / 16
    reading = read(name, around_s, seconds=seconds)
    walls = _near(reading, around_s)
    for _ in range(count):
        rare = chance.random() < 0.2
        trigger = Cron(
            expression(chance, walls, seconds=seconds, rare=rare),
            name,
            gap=chance.choice(get_args(Gap)),
            overlap=chance.choice(get_args(Overlap)),
            days=chance.choice(("either", "either", "both")),
        )
        after_us = reading.inner_s[0] * SECOND_US + chance.randrange(3_600 * SECOND_US)
        if rare:  # the engine has to come here over years and jumps that it does not need
            after_us -= chance.randrange(3 * 366 * DAY_S) * SECOND_US
        yield Case(trigger, reading, after_us)


def expression(
    chance: random.Random, walls: Sequence[datetime], *, seconds: bool, rare: bool
) -> str:
    """Return an expression that is likely to match at one of some times."""
    wall = chance.choice(walls)
    if rare:
        fields = [str(wall.minute), str(wall.hour), *_date(chance, wall)]
    else:
        fields = [_minute(chance, wall.minute), _hour(chance, wall.hour), *_any_date(chance, wall)]
    if seconds:
        fields.insert(0, str(wall.second) if rare else _second(chance, wall.second))
    return " ".join(fields)


def _near(reading: Reading, around_s: int) -> list[datetime]:
    shown = (one for times in reading.hours.values() for one in times.items())
    walls = [wall for wall, at in shown if abs(at[0] - around_s) <= 3 * 3_600]
    return walls + [wall for _, left_out in reading.leaps for wall in left_out]


def _second(chance: random.Random, near: int) -> str:
    return chance.choice([str(near), "*", "*/7", "0", f"{near},59", f"{near}-10"])


def _minute(chance: random.Random, near: int) -> str:
    return chance.choice(
        ["*", "*/15", "*/7", "0", "30", str(near), f"{near}-{(near + 9) % 60}", "5/20", f"0,{near}"]
    )


def _hour(chance: random.Random, near: int) -> str:
    later = (near + chance.randrange(4)) % 24
    return chance.choice(
        ["*", "*/2", str(near), str(near), f"{near},{later}", f"{near}-{later}", "22-4", "0-23/3"]
    )


def _date(chance: random.Random, wall: datetime) -> tuple[str, str, str]:
    return chance.choice([str(wall.day), f"{wall.day}W", "L", "LW"]), str(wall.month), "*"


def _any_date(chance: random.Random, wall: datetime) -> tuple[str, str, str]:
    weekday = wall.isoweekday() % 7
    day = chance.choice(
        ["*", "*", "*", "?", "*/2", str(wall.day), "L", "LW", f"{wall.day}W", "28-3", "1/3"]
    )
    month = chance.choice(
        ["*", "*", "*", f"{wall.month}", "NOV-MAR", "*/2", list(MONTHS)[wall.month - 1]]
    )
    name = list(WEEKDAYS)[weekday]
    special = [f"{name}L", f"{weekday or 7}L", f"{name}#{(wall.day + 6) // 7}"]
    plain = [str(weekday), name, "1-5", "5-7", "FRI-MON", "7", "*/3", "6-0"]
    by_weekday = chance.choice(["*", "*", "*", "*", "?", *special, *plain])
    return day, month, by_weekday


def said_by_engine(case: Case, compiled: Compiled) -> Ticks:
    """Return the engine's ticks up to the end of the reading."""
    ticks: Ticks = []
    at_us, end_us = case.after_us, case.reading.inner_s[1] * SECOND_US
    while True:
        after = EPOCH + timedelta(microseconds=at_us)
        tick = compiled.next(after)
        if tick is None:
            return ticks
        assert tick.at > after, f"{case}: {tick} is not later than {after}"
        at_us = (tick.at - EPOCH) // timedelta(microseconds=1)
        if at_us >= end_us:
            return ticks
        if at_us > case.reading.inner_s[0] * SECOND_US:
            ticks.append((at_us, tick.case))


def differences(case: Case) -> str | None:
    """Return how the engine and the oracle differ; None where they agree."""
    trigger = case.trigger
    rule = Rule(trigger.expression, trigger.days == "both")
    wanted = [
        (at, kind)
        for at, kind in expected_ticks(case.reading, rule, trigger.gap, trigger.overlap)
        if at > case.after_us
    ]
    said = said_by_engine(case, compile_trigger(trigger, ""))
    if said == wanted:
        return None
    missing, extra = set(wanted) - set(said), set(said) - set(wanted)
    return f"{case}: missing {_told(missing)}, not expected {_told(extra)}"


def _told(ticks: set[tuple[int, TickCase | None]]) -> list[str]:
    return [f"{EPOCH + timedelta(microseconds=at)} {case}" for at, case in sorted(ticks)[:5]]
