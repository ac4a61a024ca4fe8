"""The ticks that a rule must give within a reading of the clock."""

from datetime import datetime, timedelta

from tests.oracle.clock import HOUR_S, Reading
from tests.oracle.rules import Rule
from windlass.model.triggers import Gap, Overlap, TickCase

Ticks = list[tuple[int, TickCase | None]]  # microseconds of UTC, and what is unusual

SECOND_US = 1_000_000


def expected_ticks(reading: Reading, rule: Rule, gap: Gap, overlap: Overlap) -> Ticks:
    """Return the ticks in the inner part of a reading, in order."""
    ticks: dict[int, TickCase | None] = {}
    for (day, hour), times in reading.hours.items():
        if not rule.matches_hour(day, hour):
            continue
        for wall, instants in times.items():
            if rule.matches(wall):
                case = TickCase.OVERLAP if len(instants) > 1 else None
                chosen = instants if rule.wild else _of_repeated(instants, overlap)
                ticks |= {instant * SECOND_US: case for instant in chosen}
    if not rule.wild:
        for instant, left_out in reading.leaps:
            ticks |= _of_leap(reading, rule, gap, instant, left_out)
    from_us, to_us = (second * SECOND_US for second in reading.inner_s)
    return sorted((at, case) for at, case in ticks.items() if from_us < at < to_us)


def _of_repeated(instants: list[int], overlap: Overlap) -> list[int]:
    match overlap:
        case "first":
            return instants[:1]
        case "second":
            return instants[-1:]
        case "both":
            return instants


def _of_leap(
    reading: Reading, rule: Rule, gap: Gap, instant: int, left_out: list[datetime]
) -> dict[int, TickCase | None]:
    matching = [wall for wall in left_out if rule.matches(wall)]
    if not matching:
        return {}
    length = len(left_out) * timedelta(seconds=reading.step_s)
    if gap == "skip" or length > timedelta(seconds=3 * HOUR_S):
        return {instant * SECOND_US - 1: TickCase.NONEXISTENT}
    if gap == "first":
        return {instant * SECOND_US: TickCase.GAP}
    begins = left_out[0]
    return {
        (instant + round((wall - begins).total_seconds())) * SECOND_US: TickCase.GAP
        for wall in matching
    }
