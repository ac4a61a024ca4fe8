"""The number of worker processes, decided over sequences of what they report."""

from collections.abc import Sequence

import pytest

from windlass.cli.autoscale import Bounds, Rules, Trend, bounds_of, decide
from windlass.errors import BadOption
from windlass.model.health import Health, Report

RULES = Rules(Bounds(1, 3), up_after_s=3, down_after_s=30)
AWAY = Health(wants=("the store does not answer",))


def report(running: int, *, backlog: bool = False, health: Health | None = None) -> Report:
    return Report(health=health or Health(), running=running, slots=16, backlog=backlog)


FULL = report(16, backlog=True)
IDLE = report(0)


def decisions(seconds: Sequence[Sequence[Report | None]], rules: Rules = RULES) -> dict[int, int]:
    """Return what is decided at which second, of one report a second and process."""
    trend, made = Trend(), {}
    for now, reports in enumerate(seconds):
        trend, step = decide(trend, reports, float(now), rules)
        if step:
            made[now] = step
    return made


@pytest.mark.parametrize(
    ("text", "bounds"), [("4", Bounds(4, 4)), ("1:8", Bounds(1, 8)), (" 2:2 ", Bounds(2, 2))]
)
def test_bounds_are_one_number_or_two(text: str, bounds: Bounds) -> None:
    assert bounds_of("processes", text) == bounds


@pytest.mark.parametrize("text", ["", "0", "0:4", "8:1", "1:", ":8", "1:2:3", "-1", "1:1001"])
def test_what_are_no_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="processes"):
        bounds_of("processes", text)


def test_a_process_is_added_when_all_have_been_full_for_a_while() -> None:
    assert decisions([[FULL]] * 5) == {3: 1}
    assert decisions([[FULL, FULL]] * 5) == {3: 1}


def test_one_process_with_room_is_enough_to_wait() -> None:
    assert decisions([[FULL, report(3)]] * 60) == {}


def test_patience_begins_anew_with_each_moment_of_room() -> None:
    assert decisions([[FULL]] * 3 + [[report(15)]] + [[FULL]] * 3) == {}


def test_there_are_never_more_than_the_most() -> None:
    assert decisions([[FULL] * 3] * 60) == {}


def test_a_process_is_stopped_when_one_less_would_have_slots_to_spare() -> None:
    assert decisions([[IDLE, IDLE]] * 32) == {30: -1}
    assert decisions([[report(6), report(6)]] * 32) == {30: -1}


def test_a_process_that_the_others_could_not_stand_in_for_stays() -> None:
    assert decisions([[report(7), report(7)]] * 60) == {}
    assert decisions([[report(16), IDLE]] * 60) == {}, "else the next second would add it again"


def test_there_are_never_fewer_than_the_least() -> None:
    assert decisions([[IDLE]] * 60) == {}


def test_a_worker_of_quick_jobs_with_a_backlog_is_not_idle() -> None:
    assert decisions([[report(1, backlog=True), report(0)]] * 60) == {}


@pytest.mark.parametrize("unknown", [None, report(16, backlog=True, health=AWAY)])
def test_nothing_is_decided_while_one_starts_or_the_store_is_away(unknown: Report | None) -> None:
    assert decisions([[FULL, unknown]] * 60) == {}
    assert decisions([[IDLE, unknown]] * 60) == {}
    assert decisions([[FULL]] * 3 + [[unknown]] + [[FULL]] * 3) == {}
    assert decisions([[]] * 60) == {}


def test_load_that_comes_and_goes_within_the_patience_changes_nothing() -> None:
    wave = [[FULL, FULL]] * 2 + [[IDLE, IDLE]] * 20

    assert decisions(wave * 10) == {}
