"""Triggers but cron: intervals, instants, calendars, combinations; as text, and with anchors."""

import random
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from dateutil.rrule import rrulestr

import windlass
from windlass import all_of, any_of, at, business_days, cron, every, excluding, rrule
from windlass.core.calendars import RruleMatch
from windlass.core.triggers import (
    anchored,
    compile_trigger,
    decode_trigger,
    encode_trigger,
)
from windlass.errors import BadTrigger, MissingExtra, UnknownZone
from windlass.model.triggers import (
    WEEKDAYS,
    AllOf,
    AnyOf,
    Cron,
    Every,
    Rrule,
    Tick,
    TickCase,
    Trigger,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
WALL_EPOCH = datetime(1970, 1, 1)
loose: Any = windlass  # called as the type checker would refuse


def instants(trigger: Trigger, count: int, after: datetime = START) -> list[datetime]:
    compiled = compile_trigger(trigger, "")
    found: list[datetime] = []
    while len(found) < count and (tick := compiled.next(after)) is not None:
        assert tick.at > after
        after = tick.at
        found.append(after)
    return found


def days(trigger: Trigger, count: int, after: datetime = START) -> list[str]:
    return [f"{one:%m-%d}" for one in instants(trigger, count, after)]


# -- intervals and instants ----------------------------------------------------


def test_an_interval_counts_elapsed_time_on_its_anchor_without_drift() -> None:
    trigger = every(0.1, anchor=START + timedelta(milliseconds=50))

    found = instants(trigger, 1_000)

    assert found == [START + timedelta(milliseconds=50 + 100 * n) for n in range(1_000)]


def test_an_anchor_is_a_phase_and_no_start() -> None:
    trigger = every(timedelta(days=1), anchor=START + 100 * DAY + SECOND)

    assert instants(trigger, 2) == [START + SECOND, START + DAY + SECOND]


def test_an_interval_does_not_follow_the_clock_on_a_wall() -> None:
    before_the_leap = datetime(2026, 3, 29, 0, 30, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))

    found = instants(every(3600, anchor=before_the_leap), 3, before_the_leap)

    assert [b - a for a, b in pairwise(found)] == [timedelta(hours=1)] * 2


def test_given_instants_come_in_order_and_once() -> None:
    later, berlin = START + DAY, timezone(timedelta(hours=1))

    trigger = at(later, START + SECOND, (START + SECOND).astimezone(berlin))

    assert instants(trigger, 9) == [START + SECOND, later]


# -- working days --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["01-01", "01-02", "01-05"]),
        ({"holidays": [date(2026, 1, 1), date(2026, 1, 6)]}, ["01-02", "01-05", "01-07"]),
        ({"weekdays": ["SUN", "tue"]}, ["01-04", "01-06", "01-11"]),
        ({"which": "first"}, ["01-01", "02-02", "03-02"]),
        ({"which": "first", "holidays": [date(2026, 2, 2)]}, ["01-01", "02-03", "03-02"]),
        ({"which": "last"}, ["01-30", "02-27", "03-31"]),
        ({"which": "last", "weekdays": ["fri"]}, ["01-30", "02-27", "03-27"]),
        ({"which": 3}, ["01-05", "02-04", "03-04"]),
        ({"which": -2}, ["01-29", "02-26", "03-30"]),
        ({"which": 23}, ["07-31", "12-31", "03-31"]),
    ],
)
def test_working_days_are_those_that_are_asked_for(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert days(business_days(**options), len(expected)) == expected


def test_working_days_are_by_the_clock_of_their_zone() -> None:
    trigger = business_days(time(2, 30), tz="America/New_York", weekdays=["sun"])
    compiled = compile_trigger(trigger, "")

    assert compiled.next(datetime(2026, 3, 7, tzinfo=UTC)) == Tick(
        datetime(2026, 3, 8, 7, tzinfo=UTC), TickCase.GAP
    )


# -- recurrences ---------------------------------------------------------------


def test_a_recurrence_keeps_to_the_clock_of_its_zone() -> None:
    trigger = rrule(
        "RRULE:FREQ=WEEKLY;BYDAY=SU", start=datetime(2026, 3, 1, 2, 30), tz="Europe/Berlin"
    )

    found = instants(trigger, 6, START)

    berlin = [one.astimezone(ZoneInfo("Europe/Berlin")) for one in found]
    assert [f"{one:%m-%d %H:%M}" for one in berlin] == [
        *("03-01 02:30", "03-08 02:30", "03-15 02:30"),
        *("03-22 02:30", "03-29 03:00", "04-05 02:30"),
    ]


def test_the_end_of_a_recurrence_is_an_instant() -> None:
    rule = "FREQ=DAILY;UNTIL=20260103T080000Z"
    trigger = rrule(rule, start=datetime(2026, 1, 1, 9), tz="Europe/Berlin")

    assert instants(trigger, 9) == [START + timedelta(hours=8) + n * DAY for n in range(3)]


def test_a_recurrence_with_a_start_that_has_a_zone_is_counted_from_that_instant() -> None:
    trigger = rrule("FREQ=DAILY;COUNT=2", start=START, tz="Asia/Tokyo")

    assert trigger.start == datetime(2026, 1, 1, 9)
    assert instants(trigger, 9, START - SECOND) == [START, START + DAY]


RULES = [
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=DAILY;INTERVAL=10;BYDAY=MO,FR",
    "FREQ=DAILY;BYMONTH=2,3;BYMONTHDAY=29,-1",
    "FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0,30",
    "FREQ=WEEKLY",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,SA;WKST=MO",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;INTERVAL=5",
    "FREQ=MONTHLY;BYDAY=2TU,-1FR",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=MONTHLY;INTERVAL=7;BYMONTHDAY=31",
    "FREQ=YEARLY",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=6",
    "FREQ=YEARLY;BYYEARDAY=1,-1,100",
    "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO",
    "FREQ=YEARLY;INTERVAL=3;BYDAY=20MO",
    "FREQ=DAILY;INTERVAL=5;UNTIL=20340101T000000",
    "FREQ=MONTHLY;COUNT=30",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_recurrence_asked_far_from_its_start_gives_the_dates_counted_from_it(rule: str) -> None:
    chance = random.Random(rule)
    for _ in range(5):
        start = datetime(2000, 1, 31, 9) + chance.randrange(800) * DAY
        match = RruleMatch(Rrule(rule, "UTC", start))
        dates = takewhile(lambda one: one.year < 2100, rrulestr(rule, dtstart=start))
        counted = [round((one - WALL_EPOCH).total_seconds()) for one in islice(dates, 1_500)]
        for _ in range(20):
            asked = chance.choice(counted) - chance.randrange(-1, 99 * 86_400)
            expected = next((one for one in counted if one >= asked), None)

            assert match.first(asked) == expected


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("FREQ=HOURLY", "FREQ"),
        ("BYDAY=MO", "FREQ"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=5000", "COUNT"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20300101", "COUNT"),
        ("FREQ=DAILY;INTERVAL=x", "INTERVAL"),
        ("FREQ=DAILY;UNTIL=yesterdayZ", "UNTIL"),
        ("FREQ=DAILY;DTSTART=20260101", "DTSTART"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER"),
        ("FREQ=DAILY;BYDAY=XX", "rule"),
        ("FREQ=DAILY;COLOR=5", "rule"),
        ("FREQ=DAILY\nRRULE:FREQ=SECONDLY", "FREQ=DAILY\nRRULE:FREQ=SECONDLY"),
        ("FREQ=DAILY;BYDAY=MO\nEXDATE:20260101", "BYDAY=MO\nEXDATE:20260101"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "rule"),
        ("FREQ=DAILY;" * 90, "rule"),
    ],
)
def test_a_recurrence_that_cannot_be_kept_is_refused_by_its_part(rule: str, field: str) -> None:
    with pytest.raises(BadTrigger) as raised:
        rrule(rule, start=datetime(2026, 1, 1))

    assert raised.value.field == field


def test_without_the_library_a_recurrence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dateutil.rrule", None)

    with pytest.raises(MissingExtra, match=r"windlass\[calendars\]"):
        rrule("FREQ=DAILY;INTERVAL=17", start=START)


# -- combinations --------------------------------------------------------------


def test_any_of_gives_the_instants_of_each_once() -> None:
    trigger = any_of(cron("0 0 * * 1"), cron("0 0 1 * *"), at(START + DAY))

    assert days(trigger, 6) == ["01-02", "01-05", "01-12", "01-19", "01-26", "02-01"]


def test_of_an_instant_that_also_comes_the_one_that_comes_is_taken() -> None:
    just_before = datetime(2011, 12, 30, 10, tzinfo=UTC) - timedelta(microseconds=1)
    trigger = any_of(cron("@daily", tz="Pacific/Apia"), at(just_before))

    tick = compile_trigger(trigger, "").next(just_before - SECOND)

    assert tick == Tick(just_before)


def test_all_of_gives_the_instants_that_all_share() -> None:
    last_friday_that_ends_a_month = all_of(cron("0 9 * * FRI"), business_days(which="last"))

    assert days(last_friday_that_ends_a_month, 3) == ["01-30", "02-27", "05-29"]


def test_all_of_intervals_meets_where_they_meet() -> None:
    trigger = all_of(every(7, anchor=START), every(11, anchor=START), cron("* * * * * *"))

    assert instants(trigger, 2) == [START + 77 * SECOND, START + 154 * SECOND]


def test_excluding_leaves_out_dates_weekdays_and_another_trigger() -> None:
    holidays = [date(2026, 1, 5), date(2026, 1, 6)]
    trigger = excluding(
        cron("0 12 * * *"), dates=holidays, weekdays=["sat", "sun"], other=cron("0 12 8 * *")
    )

    assert days(trigger, 4) == ["01-01", "01-02", "01-07", "01-09"]


def test_the_dates_that_are_left_out_are_those_of_the_triggers_zone() -> None:
    trigger = excluding(cron("0 */6 * * *", tz="Pacific/Apia"), dates=[date(2026, 1, 2)])
    elsewhere = excluding(trigger.trigger, dates=[date(2026, 1, 2)], tz="UTC")

    assert trigger.zone == "Pacific/Apia"
    assert instants(trigger, 1, START + timedelta(hours=10))[0] == START + timedelta(hours=35)
    assert [(one - START) // timedelta(hours=1) for one in instants(elsewhere, 5)] == [
        *(5, 11, 17, 23, 53),
    ]


@pytest.mark.parametrize("zone", ["Pacific/Apia", "America/Havana", "America/New_York", "UTC"])
def test_days_that_are_left_out_are_so_whatever_the_clock_does_on_them(zone: str) -> None:
    start = datetime(2011, 10, 1, tzinfo=UTC)
    plain = cron("*/10 * * * *", tz=zone)
    left_out = {date(2011, 11, 6), date(2011, 11, 13), date(2011, 12, 29), date(2012, 3, 11)}
    trigger = excluding(plain, dates=left_out, weekdays=["wed"])

    every_one = instants(plain, 30_000, start)
    expected = [
        one
        for one in every_one
        if (day := one.astimezone(ZoneInfo(zone)).date()) not in left_out and day.isoweekday() != 3
    ]

    assert instants(trigger, len(expected), start) == expected


def test_a_combination_that_hardly_meets_gives_up_with_the_reason() -> None:
    hardly = AllOf((every(86_399, anchor=START), every(86_400, anchor=START + 50_000 * SECOND)))

    with pytest.raises(BadTrigger, match="10,000 instants and none that all share"):
        compile_trigger(hardly, "").next(START)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: loose.every(0), "interval"),
        (lambda: loose.every(-5), "interval"),
        (lambda: loose.every(float("nan")), "interval"),
        (lambda: loose.every(1e12), "interval"),
        (lambda: loose.every("5m"), "interval"),
        (lambda: loose.every(5, anchor=datetime(2026, 1, 1)), "anchor"),
        (lambda: loose.at(), "instants"),
        (lambda: loose.at(datetime(2026, 1, 1)), "instants"),
        (lambda: loose.at("tomorrow"), "instants"),
        (lambda: loose.business_days("9 o'clock"), "at"),
        (lambda: loose.business_days(900), "at"),
        (lambda: loose.business_days(weekdays=["monday"]), "weekdays"),
        (lambda: loose.business_days(weekdays="mon"), "weekdays"),
        (lambda: loose.business_days(weekdays=[]), "weekdays"),
        (lambda: loose.business_days(holidays=[START]), "holidays"),
        (lambda: loose.business_days(which="middle"), "which"),
        (lambda: loose.business_days(which=0), "which"),
        (lambda: loose.business_days(which=24), "which"),
        (lambda: loose.business_days(which=6, weekdays=["mon"]), "which"),
        (lambda: loose.rrule(5, start=START), "rule"),
        (lambda: loose.rrule("FREQ=DAILY", start="now"), "start"),
        (lambda: loose.any_of(), "triggers"),
        (lambda: loose.any_of("0 0 * * *"), "triggers"),
        (lambda: loose.all_of(cron("@daily"), every(60)), "triggers"),
        (lambda: loose.all_of(cron("0 0 * * *"), cron("30 0 * * *")), "triggers"),
        (lambda: loose.all_of(cron("@daily"), at(START + SECOND)), "triggers"),
        (lambda: loose.excluding(cron("@daily")), "dates"),
        (lambda: loose.excluding(cron("@daily"), weekdays=WEEKDAYS), "weekdays"),
        (lambda: loose.excluding(cron("0 0 * * 1"), weekdays=["mon"]), "trigger"),
        (lambda: loose.excluding(cron("@daily"), other=cron("* * * * *")), "trigger"),
        (lambda: loose.excluding(at(START), dates=[date(2026, 1, 1)]), "trigger"),
    ],
)
def test_a_trigger_that_cannot_be_kept_is_refused_by_its_field(
    make: Callable[[], Trigger], field: str
) -> None:
    with pytest.raises(BadTrigger) as raised:
        make()

    assert raised.value.field == field


def test_triggers_are_nested_only_so_deep() -> None:
    trigger: Trigger = cron("@daily")
    for _ in range(7):
        trigger = any_of(trigger)

    with pytest.raises(BadTrigger, match="more than 8 deep"):
        any_of(any_of(trigger))


@pytest.mark.parametrize("make", [cron, business_days])
def test_an_unknown_zone_is_refused_with_the_one_that_was_meant(make: Any) -> None:
    with pytest.raises(UnknownZone, match="did you mean 'Europe/Berlin'"):
        make("0 9 * * *" if make is cron else "09:00", tz="Europe/Berln")


# -- as text, and with anchors -------------------------------------------------

EVERY_KIND: list[Trigger] = [
    cron("30 2 * * *"),
    cron("H 2 * * *", tz="Europe/Berlin", gap="shift", overlap="both", days="both"),
    every(60),
    every(0.5, anchor=START),
    at(START, START + DAY),
    rrule("FREQ=MONTHLY;BYDAY=2TU", start=datetime(2026, 1, 1, 9), tz="Europe/Berlin"),
    business_days(holidays=[date(2026, 1, 1)], which=-1),
    any_of(every(60), cron("@daily")),
    all_of(cron("@daily"), cron("@weekly")),
    excluding(every(60), dates=[date(2026, 1, 1)], weekdays=["sat"], other=cron("@daily")),
]


@pytest.mark.parametrize("trigger", EVERY_KIND)
def test_a_stored_trigger_is_the_same_trigger(trigger: Trigger) -> None:
    text = encode_trigger(trigger)
    back = decode_trigger(text)

    assert back == trigger
    assert encode_trigger(back) == text
    complete = anchored(back, START)
    assert compile_trigger(complete, "a") is compile_trigger(anchored(trigger, START), "a")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "$"),
        ("{", "$"),
        ("[]", "$"),
        ('{"type": "moon"}', "$.type"),
        ('{"type": "cron"}', "$"),
        ('{"type": "cron", "expression": 5}', "$.expression"),
        ('{"type": "cron", "expression": "@daily", "gap": "x"}', "$.gap"),
        ('{"type": "cron", "expression": "@daily", "later": 1}', "$"),
        ('{"type": "at", "instants": ["2026-01-01T00:00:00"]}', "$.instants[0]"),
        ('{"type": "any_of", "triggers": ' * 100_000, "$.triggers"),
    ],
)
def test_text_that_is_no_trigger_is_refused_by_its_field(text: str, field: str) -> None:
    with pytest.raises(BadTrigger) as raised:
        decode_trigger(text)

    assert raised.value.field == field


def test_anchors_are_filled_in_wherever_an_interval_has_none() -> None:
    own = every(30, anchor=START)
    trigger = excluding(any_of(every(60), own, cron("@daily")), other=every(90), dates=[date.min])

    complete = anchored(trigger, START + DAY)

    sixty, ninety = Every(60.0, START + DAY), Every(90.0, START + DAY)
    assert complete == msgspec.structs.replace(
        trigger, trigger=AnyOf((sixty, own, cron("@daily"))), other=ninety
    )


def test_an_interval_without_an_anchor_has_no_ticks() -> None:
    with pytest.raises(BadTrigger, match="anchored"):
        compile_trigger(every(60), "")


def test_a_rule_that_was_not_checked_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(BadTrigger, match="hour"):
        compile_trigger(Cron("0 99 * * *"), "")
    with pytest.raises(UnknownZone):
        compile_trigger(Cron("@daily", "Mars/Olympus"), "")


def test_only_rules_with_h_are_compiled_for_each_name() -> None:
    spread = cron("H 9 * * *")

    for plain in (
        cron("0 9 * * *"),
        cron("0 9 * mar thu"),
        cron("@hourly"),
        every(9, anchor=START),
    ):
        assert compile_trigger(plain, "a") is compile_trigger(plain, "b")
    assert compile_trigger(spread, "a") is not compile_trigger(spread, "b")
    assert compile_trigger(spread, "a") is compile_trigger(spread, "a")
