"""The engine against the oracle: seeded cases in every zone; ``make cron-oracle`` runs more."""

import random

import pytest

from tests.oracle.cases import cases_at, differences, some_jumps, zone_names

CASES = 50_000
SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_zone_at_its_jumps_gives_the_ticks_that_its_clock_shows(seed: int) -> None:
    chance = random.Random(seed)
    each = -(-CASES // len(SEEDS) // len(zone_names()))
    told = [
        different
        for name, instant_s in some_jumps(chance, 1)
        for case in cases_at(chance, name, instant_s, each)
        if (different := differences(case))
    ]

    assert told == []
