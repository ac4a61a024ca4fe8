"""What becomes of ticks: the planner, as tables and one random history."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace as with_

from windlass import cron, every
from windlass.core.occasion import occasion_of
from windlass.core.planner import SKIPS_MAX, STARTS_MAX, Planned, plan
from windlass.core.schedules import OverlapName, Schedule, defined
from windlass.model.jobs import JobId, JobRequest, State, headers_of
from windlass.model.schedules import (
    DueSchedule,
    RecentJob,
    ScheduleDraft,
    ScheduleRow,
    SkipReason,
    Status,
)

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def draft_of(schedule: Schedule, name: str = "nightly", **fields: Any) -> ScheduleDraft:
    """Return the declaration of a schedule of the task ``shop.ship``."""
    call = JobRequest(id=JobId("?"), task="shop.ship", queue="default", payload=b"{}", **fields)
    return ScheduleDraft(name=name, rule=schedule.rule, call=call, origin="code")


def row_of(schedule: Schedule, now: datetime = BEGIN, **fields: Any) -> ScheduleRow:
    """Return the row of a schedule that was declared at ``now``."""
    made = defined(None, draft_of(schedule), now)
    assert made is not None
    return with_(made.row, **fields)


def ids() -> Iterator[JobId]:
    """Yield ids for jobs."""
    n = 0
    while True:
        n += 1
        yield JobId(f"job-{n}")


def planned(row: ScheduleRow, now: datetime, *recent: State | None) -> Planned:
    """Plan for a row; its recent jobs, newest first, have these states."""
    new_ids = ids()
    jobs = tuple(
        RecentJob(JobId(f"old-{n}"), row.cursor_at - n * MINUTE, state)
        for n, state in enumerate(recent)
    )
    return plan(DueSchedule(row, jobs), now, lambda: next(new_ids), lambda name: True)


def outcomes(made: Planned) -> list[tuple[str, int]]:
    """Return each outcome in short: what it was, and of how many ticks."""
    return [(fire.reason or "started", fire.count) for fire in made.plan.fires]


MINUTELY = every(60.0)


def test_the_headers_of_a_schedules_call_go_to_each_of_its_jobs() -> None:
    draft = draft_of(Schedule(MINUTELY), headers=b'{"tenant":"acme"}')
    made = defined(None, draft, BEGIN)
    assert made is not None
    [request] = planned(made.row, BEGIN + MINUTE).plan.requests

    assert headers_of(request.headers)["tenant"] == "acme"
    assert occasion_of(request.headers) is not None


def test_a_tick_on_time_starts_its_job() -> None:
    row = row_of(Schedule(MINUTELY))
    made = planned(row, BEGIN + MINUTE)

    [fire], [request] = made.plan.fires, made.plan.requests
    assert (fire.fire_at, fire.job_id, fire.reason) == (BEGIN + MINUTE, request.id, None)
    assert (request.task, request.payload) == ("shop.ship", b"{}")
    occasion = occasion_of(request.headers)
    assert occasion is not None
    assert (occasion.schedule, occasion.fire_at, occasion.window_start) == (
        "nightly",
        BEGIN + MINUTE,
        None,
    )
    after = made.plan.row
    assert (after.cursor_at, after.next_at) == (BEGIN + MINUTE, BEGIN + 2 * MINUTE)
    assert (after.revision, after.started, after.last_late_s) == (row.revision + 1, 1, 0.0)


@pytest.mark.parametrize(
    ("options", "late", "expected"),
    [
        ({}, 5, [("coalesced", 4), ("started", 1)]),
        ({"catch_up": "none"}, 5, [("too_late", 3), ("coalesced", 1), ("started", 1)]),
        ({"catch_up": "all", "overlap": "allow"}, 3, [("started", 1)] * 3),
        ({"catch_up": "all"}, 3, [("started", 1), ("overlap", 2)]),
        ({"catch_up": "all", "overlap": "queue"}, 3, [("started", 1)] * 3),
        ({"catch_up": "all", "overlap": "queue_one"}, 4, [("started", 1)] * 2 + [("overlap", 2)]),
        ({"catch_up": "all", "overlap": "cancel_old"}, 3, [("overlap", 2), ("started", 1)]),
        (
            {"catch_up": "all", "catch_up_max": 2, "overlap": "allow"},
            5,
            [("coalesced", 3), ("started", 1), ("started", 1)],
        ),
        ({}, 90, [("too_late", 29), ("coalesced", 60), ("started", 1)]),
        ({"grace": None}, 90, [("coalesced", 89), ("started", 1)]),
        ({"grace": 5}, 90, [("too_late", 88), ("coalesced", 1), ("started", 1)]),
        ({"window": True}, 12, [("coalesced", 2)] + [("started", 1)] * 10),
    ],
)
def test_after_an_outage_the_choices_decide(
    options: dict[str, Any], late: int, expected: list[tuple[str, int]]
) -> None:
    row = row_of(Schedule(MINUTELY, **options))
    made = planned(row, BEGIN + late * MINUTE)

    assert outcomes(made) == expected
    assert made.plan.row.cursor_at == BEGIN + late * MINUTE


@pytest.mark.parametrize(
    ("overlap", "recent", "expected", "cancels"),
    [
        ("skip", [State.RUNNING], "overlap", []),
        ("skip", [State.SUCCEEDED], "started", []),
        ("skip", [None], "started", []),
        ("allow", [], "started", []),
        ("queue", [], "started", []),
        ("queue_one", [State.RUNNING, State.SUCCEEDED], "started", []),
        ("queue_one", [State.QUEUED, State.RUNNING], "overlap", []),
        ("cancel_old", [State.RUNNING, State.FAILED], "started", ["old-0"]),
        ("cancel_old", [State.QUEUED, State.RUNNING], "started", ["old-0", "old-1"]),
    ],
)
def test_an_overlap_is_what_the_schedule_says(
    overlap: OverlapName, recent: list[State | None], expected: str, cancels: list[str]
) -> None:
    made = planned(row_of(Schedule(MINUTELY, overlap=overlap)), BEGIN + MINUTE, *recent)

    assert outcomes(made) == [(expected, 1)]
    assert list(made.cancels) == cancels


def test_a_window_reaches_from_the_tick_before_also_over_a_change_of_the_clock() -> None:
    daily = Schedule(cron("0 0 * * *", tz="Europe/Berlin"), window=True)
    row = row_of(daily, datetime(2026, 10, 25, 12, 0, tzinfo=UTC))
    made = planned(row, datetime(2026, 10, 25, 23, 0, tzinfo=UTC))

    occasion = occasion_of(made.plan.requests[0].headers)
    assert occasion is not None
    assert occasion.fire_at == datetime(2026, 10, 25, 23, 0, tzinfo=UTC)
    assert occasion.window_start == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)  # 25 hours


def test_windows_leave_no_hole_and_do_not_meet() -> None:
    row = row_of(
        Schedule(cron("7,41 */5 * * *", tz="America/New_York"), window=True, catch_up="all")
    )
    made = planned(row, BEGIN + timedelta(days=8))

    told = [occasion_of(request.headers) for request in made.plan.requests]
    spans = [(each.window_start, each.fire_at) for each in told if each is not None]
    assert len(spans) > 50
    assert all(end == start for (_, end), (start, _) in pairwise(spans))


def test_a_pause_is_skipped_in_one_span_and_counts_as_no_misfire() -> None:
    row = row_of(Schedule(MINUTELY), skip_until=BEGIN + 50 * MINUTE)
    made = planned(row, BEGIN + 52 * MINUTE)

    assert outcomes(made) == [("paused", 50), ("coalesced", 1), ("started", 1)]
    assert made.plan.row.misfires == 1


def test_a_million_missed_ticks_are_worked_off_in_bounded_steps() -> None:
    row = row_of(Schedule(every(1.0), overlap="allow"))
    now, steps, ticks = BEGIN + timedelta(seconds=20_000.5), 0, 0
    while row.due_at is not None and row.due_at <= now:
        made = planned(row, now)
        ticks += sum(fire.count for fire in made.plan.fires)
        steps, row = steps + 1, made.plan.row
        assert len(made.plan.fires) <= 3

    assert ticks == 20_000
    assert steps == -(-20_000 // SKIPS_MAX)
    assert (row.started, row.misfires) == (1, 19_999)


def test_all_missed_ticks_start_in_bounded_steps() -> None:
    row = row_of(Schedule(every(1.0), overlap="allow", catch_up="all"))
    now, started = BEGIN + timedelta(seconds=250), 0
    while row.due_at is not None and row.due_at <= now:
        made = planned(row, now)
        assert len(made.plan.requests) <= STARTS_MAX
        started, row = started + len(made.plan.requests), made.plan.row

    assert started == 250


def test_the_latest_few_of_very_many_start_whatever_the_steps() -> None:
    schedule = Schedule(every(1.0), overlap="allow", catch_up="all", catch_up_max=7, grace=None)
    row = row_of(schedule)
    now = BEGIN + timedelta(seconds=SKIPS_MAX * 2 + 3)
    started = []
    while row.due_at is not None and row.due_at <= now:
        made = planned(row, now)
        started += [fire.fire_at for fire in made.plan.fires if fire.job_id]
        row = made.plan.row

    assert started == [now - timedelta(seconds=n) for n in reversed(range(7))]


def test_jitter_moves_the_start_and_not_the_tick() -> None:
    schedule = Schedule(every(3600.0), jitter=600)
    row = row_of(schedule)
    assert row.due_at is not None
    assert row.next_at == BEGIN + timedelta(hours=1)
    assert row.next_at < row.due_at <= row.next_at + timedelta(minutes=10)
    assert row_of(schedule).due_at == row.due_at
    early = planned(row, row.due_at - timedelta(seconds=1))
    made = planned(row, row.due_at)

    assert early.plan.fires == ()
    assert [fire.fire_at for fire in made.plan.fires] == [row.next_at]
    assert made.plan.row.last_late_s == 0.0


def test_a_schedule_ends_after_its_last_tick() -> None:
    row = row_of(Schedule(MINUTELY, end=BEGIN + 2 * MINUTE, overlap="allow"))
    first = planned(row, BEGIN + MINUTE).plan.row
    last = planned(first, BEGIN + 2 * MINUTE)

    assert first.status is Status.ACTIVE
    assert outcomes(last) == [("started", 1)]
    assert (last.plan.row.status, last.plan.row.due_at) == (Status.ENDED, None)


def test_before_its_start_a_schedule_has_no_ticks() -> None:
    row = row_of(Schedule(MINUTELY, start=BEGIN + 90 * MINUTE))

    assert row.next_at == BEGIN + 90 * MINUTE


def test_who_fails_too_often_pauses_itself() -> None:
    row = row_of(Schedule(MINUTELY, pause_after=3))
    assert row.look_back == 3
    bad, good = [State.FAILED] * 3, [State.FAILED, State.SUCCEEDED, State.FAILED]

    assert planned(row, BEGIN + MINUTE, *bad).plan.row.status is Status.PAUSED
    assert planned(row, BEGIN + MINUTE, *good).plan.row.status is Status.ACTIVE
    assert planned(row, BEGIN + MINUTE, *bad[:2]).plan.row.status is Status.ACTIVE


def test_a_schedule_without_its_task_or_with_a_rule_nobody_reads_is_held() -> None:
    row = row_of(Schedule(MINUTELY))
    due = DueSchedule(row)
    lost = plan(due, BEGIN + MINUTE, lambda: JobId("x"), lambda name: False).plan.row
    broken = planned(with_(row, rule='{"trigger":{"type":"moon"}}'), BEGIN + MINUTE).plan.row

    assert (lost.status, lost.due_at) == (Status.HELD, None)
    assert "shop.ship" in lost.why
    assert broken.status is Status.HELD
    assert "moon" in broken.why


def test_a_time_that_never_came_is_recorded_and_starts_nothing() -> None:
    row = row_of(
        Schedule(
            cron("0 12 * * *", tz="Pacific/Apia"), grace=None, catch_up="all", overlap="allow"
        ),
        datetime(2011, 12, 29, 0, 0, tzinfo=UTC),
    )
    made = planned(row, datetime(2011, 12, 31, 0, 0, tzinfo=UTC))

    assert outcomes(made) == [("started", 1), (SkipReason.NONEXISTENT, 1), ("started", 1)]
