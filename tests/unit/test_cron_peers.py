"""The same ticks as two libraries, where their documented behaviour agrees with ours.

That is: UTC, five fields, days that are restricted in one field only or in both.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest
from croniter import croniter
from cronsim import CronSim

from windlass import cron
from windlass.core.triggers import compile_trigger
from windlass.errors import BadTrigger

CASES = 1_500
TICKS = 5


def expression(chance: random.Random, *, special: bool) -> str:
    """Return an expression that all read alike."""

    def number(low: int, high: int) -> str:
        first, last = sorted(chance.sample(range(low, high + 1), 2))
        step = chance.randrange(1, (high - low) // 2 + 1)
        forms = ["*", str(first), f"{first}-{last}", f"*/{step}", f"{first}-{last}/{step}"]
        return chance.choice([*forms, f"{first},{last}"])

    day, weekday = number(1, 31), chance.choice(["*", number(0, 6), "MON-FRI", "7", "1,3,5"])
    if special and chance.random() < 0.3:
        day, weekday = chance.choice([("L", "*"), ("*", "2#1"), ("*", "5#3"), ("*", "5L")])
    return f"{number(0, 59)} {number(0, 23)} {day} {number(1, 12)} {weekday}"


def by_cronsim(text: str, start: datetime) -> Iterator[datetime]:
    return iter(CronSim(text, start))


def by_croniter(text: str, start: datetime) -> Iterator[datetime]:
    # Debian's rule for days, which croniter documents under this name.
    found = croniter(text, start, implement_cron_bug=True).all_next(datetime)
    return iter(found)


def ours(text: str, start: datetime) -> Iterator[datetime]:
    compiled = compile_trigger(cron(text), "")
    while (tick := compiled.next(start)) is not None:
        start = tick.at
        yield start


@pytest.mark.parametrize(("peer", "special"), [(by_cronsim, True), (by_croniter, False)])
def test_a_rule_in_utc_gives_the_same_ticks_as_a_peer(
    peer: Callable[[str, datetime], Iterator[datetime]], special: bool
) -> None:
    chance = random.Random(19)
    compared = 0
    while compared < CASES:
        text = expression(chance, special=special)
        start = datetime(chance.randrange(1971, 2090), chance.randrange(1, 13), 1, tzinfo=UTC)
        try:
            found = list(islice(ours(text, start), TICKS))
        except BadTrigger:  # a date that never comes
            continue
        compared += 1

        assert list(islice(peer(text, start), TICKS)) == found, (text, start)
