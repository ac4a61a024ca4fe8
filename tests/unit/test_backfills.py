"""What a backfill does with each tick of the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_

from tests.unit.test_planner import row_of
from windlass import BadOption, Schedule, cron, every
from windlass.core.backfills import backfill_items, backfill_request, backfill_requests
from windlass.core.occasion import occasion_of
from windlass.model.backfills import BackfillId, BackfillRequest
from windlass.model.jobs import JobId, State
from windlass.model.limits import Cap, decode_limits
from windlass.model.schedules import RecentJob, ScheduleRow

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = Schedule(cron("0 * * * *"))


def asked(row: ScheduleRow, hours: int = 4, **options: Any) -> BackfillRequest:
    """Ask for the hours before the row's cursor."""
    plain: dict[str, Any] = {
        "order": "oldest",
        "reprocess": "missing",
        "parallelism": 2,
        "priority": None,
        "actor": "operator",
    }
    since = row.cursor_at - hours * HOUR
    until = options.pop("until", row.cursor_at)
    return backfill_request(BackfillId("b"), row, since, until, **(plain | options))


def plans(row: ScheduleRow, request: BackfillRequest, *started: RecentJob) -> list[str]:
    """Return what becomes of each tick."""
    return [str(item.plan) for item in backfill_items(row, request, started)]


def test_ticks_that_started_nothing_run_and_the_end_is_not_included() -> None:
    row = row_of(HOURLY, NOON)
    items = backfill_items(row, asked(row), ())

    assert [item.fire_at for item in items] == [NOON - n * HOUR for n in (4, 3, 2, 1)]
    assert all(item.runs for item in items)


@pytest.mark.parametrize(
    ("state", "missing", "failed", "everything"),
    [
        (State.SUCCEEDED, "done", "done", "again"),
        (State.FAILED, "unsuccessful", "failed", "again"),
        (State.CANCELLED, "unsuccessful", "failed", "again"),
        (State.RUNNING, "live", "live", "live"),
        (State.QUEUED, "live", "live", "live"),
        (None, "done", "done", "again"),
    ],
)
def test_what_was_started_is_reprocessed_as_asked(
    state: State | None, missing: str, failed: str, everything: str
) -> None:
    row = row_of(HOURLY, NOON)
    first = RecentJob(JobId("old"), NOON - 2 * HOUR, State.FAILED)
    last = RecentJob(JobId("new"), NOON - 2 * HOUR, state)
    for reprocess, expected in (("missing", missing), ("failed", failed), ("all", everything)):
        request = asked(row, reprocess=reprocess)

        assert plans(row, request, first, last) == ["missing", "missing", expected, "missing"]


def test_ticks_that_the_scheduler_has_not_decided_on_are_left_to_it() -> None:
    row = row_of(HOURLY, NOON)
    request = asked(row, hours=1, until=NOON + 2 * HOUR + HOUR / 2)

    assert plans(row, request) == ["missing", "missing", "pending", "pending"]


def test_the_newest_may_come_first() -> None:
    row = row_of(HOURLY, NOON)
    items = backfill_items(row, asked(row, order="newest"), ())

    assert [item.fire_at for item in items] == [NOON - n * HOUR for n in (1, 2, 3, 4)]


def test_jobs_know_their_tick_and_share_a_limit_and_not_that_of_the_schedule() -> None:
    row = row_of(Schedule(cron("0 * * * *"), window=True), NOON)
    assert "schedule:nightly" in row.call
    request = asked(row, hours=2)
    items = backfill_items(row, request, ())
    made = backfill_requests(row, request, items, iter([JobId("a"), JobId("b")]).__next__)

    assert [fire_at for fire_at, _ in made] == [NOON - 2 * HOUR, NOON - HOUR]
    occasion = occasion_of(made[0][1].headers)
    assert occasion is not None
    assert (occasion.schedule, occasion.fire_at) == ("nightly", NOON - 2 * HOUR)
    assert occasion.window_start == NOON - 3 * HOUR
    limits = [job.limits for _, job in made]
    assert limits[0] is not None
    assert limits[0] == limits[1]
    assert decode_limits(limits[0]).caps == (Cap("backfill:b", "", 2),)
    assert {job.priority for _, job in made} == {-1}


def test_a_time_that_never_came_is_named() -> None:
    daily = Schedule(cron("0 12 * * *", tz="Pacific/Apia"))
    row = row_of(daily, datetime(2012, 1, 2, tzinfo=UTC))
    request = with_(
        asked(row), since=datetime(2011, 12, 29, tzinfo=UTC), until=datetime(2012, 1, 1, tzinfo=UTC)
    )

    assert "nonexistent" in plans(row, request)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("order", "sideways"),
        ("reprocess", "some"),
        ("parallelism", 0),
        ("parallelism", 10_001),
        ("priority", 1_000),
        ("until", NOON - 9 * HOUR),
        ("until", datetime(2026, 1, 1)),
    ],
)
def test_what_cannot_be_is_refused(option: str, value: Any) -> None:
    with pytest.raises(BadOption, match=option):
        asked(row_of(HOURLY, NOON), **{option: value})


def test_a_range_of_too_many_ticks_is_refused_in_words() -> None:
    row = row_of(Schedule(every(0.001)), NOON)
    with pytest.raises(BadOption, match="100,000 ticks; make it in parts"):
        backfill_items(row, asked(row), ())
