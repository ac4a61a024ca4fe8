"""Triggers in words."""

from datetime import UTC, date, datetime, timedelta

import pytest

from windlass import all_of, any_of, at, business_days, cron, every, excluding, rrule
from windlass.core.triggers import describe
from windlass.model.triggers import Trigger

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/25 * * * *", "minutes 0, 25 and 50 of every hour every day"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("@hourly", "minute 0 of every hour every day"),
        ("30 2 * * *", "at 02:30 every day"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("0,20 9-17 * * MON,WED", "minutes 0 and 20 of hours 9 to 17 on Monday and Wednesday"),
        ("0 9 * * 1-5", "at 09:00 on Monday to Friday"),
        ("0 0 1,15,L * *", "at 00:00 on days 1 and 15 and the last day of the month"),
        ("0 0 13W,LW 1-3 *", "at 00:00 on the workday nearest to day 13 and the last workday"
         " of the month in January to March"),
        ("0 0 * * 5L,tue#2", "at 00:00 on the 2nd Tuesday of the month and the last Friday of"
         " the month"),
        ("0 0 13 * 5", "at 00:00 on day 13 of the month or on Friday, either of them"),
        ("0 0 */2 * 5", "at 00:00 on days 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29"
         " and 31 of the month and on Friday, both at once"),
        ("H H * * *", "minute H of hour H every day"),
        ("0 6 H * H", "at 06:00 on day H of the month or on weekday H, either of them"),
    ],
)  # fmt: skip
def test_an_expression_is_told_in_words(expression: str, words: str) -> None:
    assert describe(cron(expression)) == f"{words}, in UTC"


def test_options_and_the_zone_are_told_where_they_matter() -> None:
    fixed = cron("0 3 13 * 5", tz="Europe/Berlin", gap="skip", overlap="both", days="both")
    wild = cron("*/5 * * * *", tz="Europe/Berlin", gap="skip", overlap="both")

    assert describe(fixed) == (
        "at 03:00 on day 13 of the month and on Friday, both at once, by the clock of "
        "Europe/Berlin; a time that the clock leaps over is skipped; a time that comes twice is "
        "due twice"
    )
    assert describe(wild) == "every 5 minutes, by the clock of Europe/Berlin"


def test_with_the_name_of_the_schedule_its_own_times_are_told() -> None:
    told = {describe(cron("H 3 * * *"), name) for name in ("a", "b", "c", "d", "e")}

    assert len(told) > 1
    assert all(words.startswith("at 03:") for words in told)


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (every(60), "every minute, counted from its registration"),
        (every(90), "every 90 seconds, counted from its registration"),
        (every(timedelta(days=2), anchor=NEW_YEAR), "every 2 days, counted from 2026-01-01"),
        (at(NEW_YEAR), "at 2026-01-01 00:00:00 UTC"),
        (at(*(NEW_YEAR + n * timedelta(days=1) for n in range(9))), "and 6 more UTC"),
        (business_days(), "at 09:00 on every working day (Monday to Friday), in UTC"),
        (business_days(which="last"), "on the last working day of the month"),
        (business_days(which=2), "on the 2nd working day of the month"),
        (business_days(which=-1), "on the last working day of the month"),
        (business_days(which=-3), "on the 3rd last working day of the month"),
        (business_days(holidays=[date(2026, 1, 1)]), "(Monday to Friday but 1 holiday)"),
        (rrule("FREQ=DAILY", start=NEW_YEAR), "by the recurrence FREQ=DAILY from 2026-01-01"),
        (any_of(every(1), every(3)), "whenever one of these is due: (every second,"),
        (all_of(cron("@daily"), cron("@weekly")), "when all of these are due at once: (at 00:00"),
        (
            excluding(every(60), dates=[date(2026, 1, 1)], weekdays=["sun"], other=cron("@daily")),
            "except on 1 date and every Sunday of UTC except when this is due: (at 00:00 every day",
        ),
    ],
)
def test_every_other_trigger_is_told_in_words(trigger: Trigger, words: str) -> None:
    assert words in describe(trigger)
