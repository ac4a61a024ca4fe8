"""Cron expressions: what each field may say, what is refused, and how clocks on walls jump."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.oracle.cases import zone_names
from windlass import cron
from windlass.core.triggers import compile_trigger
from windlass.core.zones import zone_info
from windlass.errors import BadTrigger
from windlass.model.triggers import Cron, Tick, TickCase

NEW_YORK = "America/New_York"


def ticks(trigger: Cron, start: str, name: str = "") -> Iterator[Tick]:
    """Yield the ticks after a time by the clock of the trigger's zone."""
    after = datetime.fromisoformat(start).replace(tzinfo=zone_info(trigger.zone)).astimezone(UTC)
    compiled = compile_trigger(trigger, name)
    while (tick := compiled.next(after)) is not None:
        assert tick.at > after
        after = tick.at
        yield tick


def walls(trigger: Cron, start: str, count: int, layout: str = "%m-%d %H:%M") -> list[str]:
    """Return what the clock shows at the next ticks."""
    shown = ticks(trigger, start)
    return [f"{next(shown).at.astimezone(ZoneInfo(trigger.zone)):{layout}}" for _ in range(count)]


def made(**options: Any) -> Cron:
    """Return a rule from options which the type checker would refuse."""
    return cron(**options)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["01-01 00:20", "01-01 00:40", "01-01 01:00"]),
        ("5/25 0 * * *", ["01-01 00:05", "01-01 00:30", "01-01 00:55", "01-02 00:05"]),
        ("0 9-17/4 * * *", ["01-01 09:00", "01-01 13:00", "01-01 17:00", "01-02 09:00"]),
        ("0 22-2/2 * * *", ["01-01 02:00", "01-01 22:00", "01-02 00:00", "01-02 02:00"]),
        ("0 0 1 jan,APR *", ["04-01 00:00", "01-01 00:00"]),
        ("0 0 1 NOV-FEB *", ["02-01 00:00", "11-01 00:00", "12-01 00:00", "01-01 00:00"]),
        ("0 0 30-1 * *", ["01-30 00:00", "01-31 00:00", "02-01 00:00", "03-01 00:00"]),
        ("0 0 * * 0", ["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * 7", ["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * FRI-SUN", ["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"]),
        ("0 0 * * 5-7", ["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"]),
        ("0 0 * * 7-1", ["01-04 00:00", "01-05 00:00", "01-11 00:00"]),
        ("0 0 * * 7/3", ["01-03 00:00", "01-04 00:00", "01-07 00:00", "01-10 00:00"]),
        ("0 0 * * 7-7", ["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * sat-mon/2", ["01-03 00:00", "01-05 00:00", "01-10 00:00"]),
        ("0 0 L * *", ["01-31 00:00", "02-28 00:00", "03-31 00:00"]),
        ("0 0 LW * ?", ["01-30 00:00", "02-27 00:00", "03-31 00:00"]),
        ("0 0 1W 2,8 *", ["02-02 00:00", "08-03 00:00"]),  # a Sunday, a Saturday; the same month
        ("0 0 31W * *", ["01-30 00:00", "03-31 00:00", "05-29 00:00"]),  # only where there is one
        ("0 0 15W,l * *", ["01-15 00:00", "01-31 00:00", "02-16 00:00", "02-28 00:00"]),
        ("0 0 ? * 5L", ["01-30 00:00", "02-27 00:00"]),
        ("0 0 * * sunL", ["01-25 00:00", "02-22 00:00"]),
        ("0 0 * * TUE#2", ["01-13 00:00", "02-10 00:00"]),
        ("0 0 * * 0#5", ["03-29 00:00", "05-31 00:00"]),
        ("0 0 * * 1#1,1#3", ["01-05 00:00", "01-19 00:00", "02-02 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00"]),
        ("@annually", ["01-01 00:00"]),
        ("@monthly", ["02-01 00:00", "03-01 00:00"]),
        ("@weekly", ["01-04 00:00", "01-11 00:00"]),
        ("@daily", ["01-02 00:00", "01-03 00:00"]),
        ("@Midnight", ["01-02 00:00"]),
        ("@hourly", ["01-01 01:00", "01-01 02:00"]),
        ("  0\t0  2 * *  ", ["01-02 00:00"]),
    ],
)
def test_each_form_of_a_field_means_what_the_page_says(
    expression: str, expected: list[str]
) -> None:
    assert walls(cron(expression), "2026-01-01T00:00", len(expected)) == expected


def test_six_fields_begin_with_the_second() -> None:
    trigger = cron("*/25 59 23 * * *")

    assert walls(trigger, "2026-01-01T00:00", 4, "%d %H:%M:%S") == [
        *("01 23:59:00", "01 23:59:25", "01 23:59:50", "02 23:59:00"),
    ]


@pytest.mark.parametrize(
    ("expression", "days", "expected"),
    [
        ("0 0 13 * 5", "either", ["02-06", "02-13", "02-20", "02-27", "03-06"]),
        ("0 0 13 * 5", "both", ["02-13", "03-13", "11-13"]),
        ("0 0 */10 * 5", "either", ["05-01", "07-31", "08-21"]),
        ("0 0 13 * *", "either", ["02-13", "03-13"]),
        ("0 0 * * 5", "either", ["02-06", "02-13"]),
        ("0 0 13 * ?", "either", ["02-13", "03-13"]),
        ("0 0 13 * */5", "either", ["02-13", "03-13", "09-13"]),
        ("0 0 1-31 * 5", "either", ["02-02", "02-03", "02-04"]),
    ],
)
def test_either_day_matches_unless_a_field_begins_with_a_star(
    expression: str, days: str, expected: list[str]
) -> None:
    trigger = made(expression=expression, days=days)

    assert walls(trigger, "2026-02-01T00:00", len(expected), "%m-%d") == expected


# -- what is refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "field", "value", "why"),
    [
        ("* * * *", "expression", "* * * *", "has 4 fields"),
        ("0 0 1 1 * 2026 *", "expression", "0 0 1 1 * 2026 *", "has 7 fields"),
        ("", "expression", "", "has 0 fields"),
        ("@reboot", "expression", "@reboot", "there is no '@reboot'"),
        ("@dayly", "expression", "@dayly", "did you mean '@daily'"),
        ("60 * * * *", "minute (field 1 of 5)", "60", "60 is not from 0 to 59"),
        ("0 24 * * *", "hour (field 2 of 5)", "24", "24 is not from 0 to 23"),
        ("0 0 0 * *", "day of the month (field 3 of 5)", "0", "0 is not from 1 to 31"),
        ("0 0 1 13 *", "month (field 4 of 5)", "13", "13 is not from 1 to 12"),
        ("0 0 1 FEBR *", "month (field 4 of 5)", "FEBR", "did you mean 'feb'"),
        ("0 0 * * 8", "weekday (field 5 of 5)", "8", "8 is not from 0 to 7"),
        ("0 0 * * 1#6", "weekday (field 5 of 5)", "1#6", "#1 to #5"),
        ("0 0 * * L", "weekday (field 5 of 5)", "L", "write 5L"),
        ("61 0 0 * * *", "second (field 1 of 6)", "61", "61 is not from 0 to 59"),
        ("*/0 * * * *", "minute (field 1 of 5)", "*/0", "the step 0 is not from 1 to 60"),
        ("*/90 * * * *", "minute (field 1 of 5)", "*/90", "every(…)"),
        ("1,,2 * * * *", "minute (field 1 of 5)", "1,,2", "missing between commas"),
        ("? * * * *", "minute (field 1 of 5)", "?", "'?' stands alone"),
        ("-5 * * * *", "minute (field 1 of 5)", "-5", "cannot be read"),
        ("٣ * * * *", "minute (field 1 of 5)", "٣", "cannot be read"),
        ("H(9-5) * * * *", "minute (field 1 of 5)", "H(9-5)", "before the start"),
        ("H(0-9)/11 * * * *", "minute (field 1 of 5)", "H(0-9)/11", "longer than 0 to 9"),
        ("0 0 H(20-31) * *", "day of the month (field 3 of 5)", "H(20-31)", "28 at most"),
        ("0 0 1-L * *", "day of the month (field 3 of 5)", "1-L", "cannot be read"),
        ("9" * 300, "expression", "9" * 256, "longer than 256"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(
    expression: str, field: str, value: str, why: str
) -> None:
    with pytest.raises(BadTrigger) as raised:
        cron(expression)

    assert (raised.value.field, raised.value.value) == (field, value)
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 30 2 *", "either"),
        ("0 0 31 4,6,9,11 *", "either"),
        ("0 0 31W 2 *", "either"),
        ("0 0 20 * 1#1", "both"),
        ("0 0 31 2 1", "both"),
        ("0 0 30 H *", "either"),  # some name's H is February
        ("0 0 H * 1#5", "both"),
    ],
)
def test_a_date_that_never_comes_is_refused_with_the_reason(expression: str, days: str) -> None:
    with pytest.raises(BadTrigger, match=r"no (such day ever comes|year has a date)") as raised:
        made(expression=expression, days=days)

    assert raised.value.field == "day of the month (field 3 of 5)"


@pytest.mark.parametrize("weekday", range(7))
def test_a_leap_day_on_a_weekday_is_found_up_to_forty_years_ahead(weekday: int) -> None:
    leap_days = [datetime(year, 2, 29, tzinfo=UTC) for year in range(1972, 2200, 4) if year != 2100]
    wanted = [day for day in leap_days if day.isoweekday() % 7 == weekday]
    found = ticks(cron(f"0 0 29 2 {weekday}", days="both"), "1970-01-01")

    assert [next(found).at for _ in wanted] == wanted
    assert max(b.year - a.year for a, b in pairwise(wanted)) in (28, 40)


def test_an_expression_whose_times_all_lie_in_gaps_is_refused() -> None:
    with pytest.raises(BadTrigger, match="fall into gaps of Europe/Berlin"):
        cron("*/30 2 * 3 7L", tz="Europe/Berlin")


@pytest.mark.parametrize(
    "options",
    [{"gap": "frist"}, {"overlap": "none"}, {"days": "all"}, {"expression": 5}, {"gap": None}],
)
def test_an_option_that_does_not_exist_is_refused_by_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(BadTrigger) as raised:
        made(**{"expression": "@daily"} | options)

    assert raised.value.field == next(iter(options))


# -- H -------------------------------------------------------------------------


def test_the_names_of_schedules_spread_over_what_h_covers() -> None:
    minutes = {
        next(ticks(cron("H * * * *"), "2026-01-01", f"schedule-{n}")).at.minute for n in range(999)
    }
    days = {next(ticks(cron("0 0 H * *"), "2026-02-01", f"s{n}")).at.day for n in range(999)}

    assert minutes == set(range(60))
    assert days == set(range(1, 29))


def test_h_is_the_same_wherever_it_is_worked_out() -> None:
    trigger = cron("H H(2-4) H/10 * *")

    first = next(ticks(trigger, "2026-01-01T00:00", "nightly-report"))

    assert first.at == datetime(2026, 1, 4, 4, 31, tzinfo=UTC)  # never changes between releases


@pytest.mark.parametrize(("item", "low", "high"), [("H(10-20)", 10, 20), ("H", 0, 59)])
def test_h_keeps_within_its_range(item: str, low: int, high: int) -> None:
    for n in range(200):
        tick = next(ticks(cron(f"{item} * * * *"), "2026-01-01", f"n{n}"))

        assert low <= tick.at.minute <= high


def test_h_with_a_step_begins_anywhere_and_goes_on_by_the_step() -> None:
    for n in range(50):
        found = ticks(cron("H/15 * * * *"), "2026-01-01", f"n{n}")
        first, second = next(found).at, next(found).at

        assert second - first == timedelta(minutes=15)


# -- gaps and overlaps ---------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "options", "expected"),
    [
        ("30 2 * * *", {}, [("03:00", "gap")]),
        ("30 2 * * *", {"gap": "shift"}, [("03:30", "gap")]),
        ("30 2 * * *", {"gap": "skip"}, [("01:59", "nonexistent")]),
        ("0,30 2 * * *", {}, [("03:00", "gap")]),
        ("0,30 2 * * *", {"gap": "shift"}, [("03:00", "gap"), ("03:30", "gap")]),
        ("0,30 2 * * *", {"gap": "skip"}, [("01:59", "nonexistent")]),
        ("30 2,3 * * *", {}, [("03:00", "gap"), ("03:30", None)]),
        ("30 2,3 * * *", {"gap": "shift"}, [("03:30", "gap")]),
        ("0 2,3 * * *", {}, [("03:00", "gap")]),
        ("0 1,2 * * *", {"gap": "skip"}, [("01:00", None), ("01:59", "nonexistent")]),
        ("*/30 2 * * *", {}, []),
        ("*/30 2 * * *", {"gap": "shift"}, []),
        ("30 */2 * * *", {"gap": "skip"}, [("00:30", None), ("04:30", None)]),
        ("0-59 2 * * *", {}, [("03:00", "gap")]),
    ],
)
def test_a_gap_does_to_each_rule_what_the_table_says(
    expression: str, options: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    trigger = made(expression=expression, tz=NEW_YORK, **options)
    zone = ZoneInfo(NEW_YORK)
    found = []
    for tick in ticks(trigger, "2026-03-07T23:59"):
        local = tick.at.astimezone(zone)
        if (local.day, local.hour) >= (8, 5):
            break
        found.append((f"{local:%H:%M}", tick.case))

    assert found == expected


@pytest.mark.parametrize(
    ("expression", "options", "expected"),
    [
        ("30 1 * * *", {}, ["05:30"]),
        ("30 1 * * *", {"overlap": "second"}, ["06:30"]),
        ("30 1 * * *", {"overlap": "both"}, ["05:30", "06:30"]),
        ("0,30 1 * * *", {"overlap": "second"}, ["06:00", "06:30"]),
        ("*/30 1 * * *", {}, ["05:00", "05:30", "06:00", "06:30"]),
        ("*/30 1 * * *", {"overlap": "second"}, ["05:00", "05:30", "06:00", "06:30"]),
        ("59 0-2 * * *", {}, ["04:59", "05:59", "07:59"]),
    ],
)
def test_an_overlap_does_to_each_rule_what_the_table_says(
    expression: str, options: dict[str, Any], expected: list[str]
) -> None:
    trigger = made(expression=expression, tz=NEW_YORK, **options)
    found = []
    for tick in ticks(trigger, "2026-10-31T23:59"):
        if tick.at >= datetime(2026, 11, 1, 8, tzinfo=UTC):
            break
        assert (tick.case is TickCase.OVERLAP) == (tick.at.hour in (5, 6))
        found.append(f"{tick.at:%H:%M}")

    assert found == expected


@pytest.mark.parametrize(
    ("zone", "day", "case"),
    [
        ("Antarctica/Casey", "2011-10-28", TickCase.GAP),  # exactly three hours
        ("Antarctica/Vostok", "1994-11-01", TickCase.NONEXISTENT),  # seven
        ("Pacific/Kwajalein", "1993-08-21", TickCase.NONEXISTENT),  # a day
    ],
)
def test_only_a_gap_of_up_to_three_hours_moves_a_fixed_time(
    zone: str, day: str, case: TickCase
) -> None:
    before = datetime.fromisoformat(day) - timedelta(hours=1)

    tick = next(ticks(cron("0 3 * * *", tz=zone), before.isoformat()))

    assert tick.case is case


@pytest.mark.parametrize("expression", ["0 0 * * *", "30 1 * * *", "30 2 * * *"])
def test_a_daily_rule_is_due_exactly_once_on_each_day_of_each_zone(expression: str) -> None:
    first, last = date(2024, 1, 1), date(2026, 12, 31)
    each_day = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    for name in zone_names():
        tz = zone_info(name)
        found = ticks(cron(expression, tz=name), "2023-12-31T23:59")
        dates = (tick.at.astimezone(tz).date() for tick in found)

        assert list(takewhile(lambda day: day <= last, dates)) == each_day, name


def test_the_windows_between_ticks_are_as_long_as_the_days_are() -> None:
    found = islice(ticks(cron("@daily", tz=NEW_YORK), "2026-01-01"), 366)

    hours = [(b.at - a.at) // timedelta(hours=1) for a, b in pairwise(found)]
    assert (hours.count(23), hours.count(24), hours.count(25)) == (1, 363, 1)


def test_the_instant_of_what_never_came_is_strictly_between_its_neighbours() -> None:
    every_second_to_midnight = cron("59,0 59,0 23,0 * * *", tz="Pacific/Apia")
    found = ticks(every_second_to_midnight, "2011-12-29T23:59:58")

    last, lost, first = next(found), next(found), next(found)

    assert [last.case, lost.case, first.case] == [None, TickCase.NONEXISTENT, None]
    assert lost.at - last.at == timedelta(microseconds=999_999)
    assert first.at - lost.at == timedelta(microseconds=1)


def test_an_after_between_what_never_came_and_the_leap_is_honoured() -> None:
    daily = compile_trigger(cron("@daily", tz="Pacific/Apia"), "")
    leap = datetime(2011, 12, 30, 10, tzinfo=UTC)

    asked = [leap - timedelta(microseconds=us) for us in (2, 1, 0)]

    cases = [tick.case for after in asked if (tick := daily.next(after))]
    assert cases == [TickCase.NONEXISTENT, None, None]


def test_nothing_is_due_before_1900_and_after_the_year_9900() -> None:
    daily = compile_trigger(cron("@daily", tz=NEW_YORK), "")

    first = daily.next(datetime.min.replace(tzinfo=UTC))

    assert first is not None
    assert first.at.year == 1900
    assert daily.next(datetime.max.replace(tzinfo=UTC)) is None
