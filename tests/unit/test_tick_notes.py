"""What is told of ticks where the clock leaps."""

from datetime import UTC, datetime

import pytest

from windlass import any_of, business_days, cron, every
from windlass.core.tick_notes import note_on, zones_in
from windlass.core.triggers import compile_trigger
from windlass.model.triggers import Cron, TickCase, Trigger


def notes(trigger: Trigger, after: datetime, count: int) -> list[str | None]:
    """Return the notes on the next ticks."""
    compiled, found = compile_trigger(trigger, "x"), []
    for _ in range(count):
        tick = compiled.next(after)
        assert tick is not None
        after = tick.at
        found.append(note_on(tick.at, tick.case, zones_in(trigger)))
    return found


LEAP = "the clock leaps from 02:00 to 03:00"
TWICE = "of two: the clock shows 02:00 to 03:00 twice"
SPRING = datetime(2026, 3, 29, 0, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 23, tzinfo=UTC)


def berlin(expression: str, **options: str) -> Cron:
    return cron(expression, tz="Europe/Berlin", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trigger", "after", "expected"),
    [
        (berlin("30 2 * * *"), SPRING, [f"moved: {LEAP}", None]),
        (berlin("30 2 * * *", gap="shift"), SPRING, [f"moved: {LEAP}", None]),
        (berlin("30 2 * * *", gap="skip"), SPRING, [f"skipped: {LEAP}", None]),
        (berlin("30 2 * * *"), AUTUMN, [f"first {TWICE}", None]),
        (berlin("30 2 * * *", overlap="second"), AUTUMN, [f"second {TWICE}", None]),
        (berlin("30 2 * * *", overlap="both"), AUTUMN, [f"first {TWICE}", f"second {TWICE}", None]),
        (berlin("@hourly"), AUTUMN, [f"first {TWICE}", f"second {TWICE}", None]),
    ],
)
def test_a_note_says_what_the_clock_does(
    trigger: Trigger, after: datetime, expected: list[str | None]
) -> None:
    assert notes(trigger, after, len(expected)) == expected


def test_half_an_hour_and_a_whole_day() -> None:
    lord_howe = cron("15 2 * * *", tz="Australia/Lord_Howe")
    apia = cron("0 12 * * *", tz="Pacific/Apia")

    assert notes(lord_howe, datetime(2026, 10, 3, tzinfo=UTC), 1) == [
        "moved: the clock leaps from 02:00 to 02:30"
    ]
    assert notes(apia, datetime(2011, 12, 30, tzinfo=UTC), 2) == [
        "skipped: the clock leaps from 2011-12-30 00:00 to 2011-12-31 00:00",
        None,
    ]


def test_of_several_zones_that_one_is_told_whose_clock_leaps() -> None:
    mixed = any_of(cron("30 1 * * *", tz="Asia/Tokyo"), berlin("30 2 * * *"), every(60))
    gap = datetime(2026, 3, 29, 1, tzinfo=UTC)

    assert zones_in(mixed) == ["Asia/Tokyo", "Europe/Berlin"]
    assert note_on(gap, TickCase.GAP, zones_in(mixed)) == f"moved: {LEAP}"
    assert note_on(gap, TickCase.GAP, ["Asia/Tokyo"]) == "gap"


def test_the_zones_of_a_trigger_are_those_of_its_parts() -> None:
    assert zones_in(every(60)) == ["UTC"]
    assert zones_in(business_days(tz="Asia/Tokyo")) == ["Asia/Tokyo"]
