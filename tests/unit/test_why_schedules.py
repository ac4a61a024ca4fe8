"""The one cause for which a schedule does not fire, and the way on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from windlass import Schedule, every
from windlass.core.schedules import defined, held, paused, removed
from windlass.core.why_schedules import SKIPS, ScheduleCause, explain_schedule
from windlass.model.jobs import JobId, JobRequest
from windlass.model.schedules import Fire, Leadership, ScheduleDraft, ScheduleRow, SkipReason

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LEADER = Leadership("abc", 3, False, 4.0)
GONE = Leadership("abc", 3, False, -1.0)


def row(**changes: Any) -> ScheduleRow:
    call = JobRequest(id=JobId(""), task="work", queue="default", payload=b"{}")
    draft = ScheduleDraft(name="s", rule=Schedule(every(60)).rule, call=call, origin="code")
    plan = defined(None, draft, NOW)
    assert plan is not None
    return replace(plan.row, **changes)


def skipped(reason: SkipReason) -> Fire:
    at = NOW - timedelta(seconds=30)
    return Fire(schedule="s", version=1, fire_at=at, until=at, decided_at=at, reason=reason)


def some(made: ScheduleRow | None) -> ScheduleRow:
    assert made is not None
    return made


CASES: dict[str, tuple[ScheduleRow, Leadership | None, ScheduleCause, str, str]] = {
    "paused": (
        some(paused(row(), "moving")), LEADER, ScheduleCause.PAUSED,
        "it is paused: moving", "windlass schedules resume s",
    ),
    "held": (
        held(row(), "no task 'work' is registered"), LEADER, ScheduleCause.HELD,
        "no task 'work'", "windlass schedules resume s",
    ),
    "removed": (some(removed(row())), LEADER, ScheduleCause.REMOVED, "removed", "declare"),
    "nobody ever led": (row(), None, ScheduleCause.NO_SCHEDULER, "none ever led", "scheduler"),
    "the leader is gone": (row(), GONE, ScheduleCause.NO_SCHEDULER, "abc, is gone", "scheduler"),
    "late": (
        row(due_at=NOW - timedelta(seconds=9)), LEADER, ScheduleCause.LATE, "9 s", "the log"
    ),
    "not due": (row(), LEADER, ScheduleCause.NOT_DUE, "12:01:00.000Z, in 0:01:00", "start s"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_cause_is_told_with_the_way_on(case: str) -> None:
    schedule, leader, cause, because, way_on = CASES[case]
    told = explain_schedule(schedule, NOW, leader, None)

    assert told.cause is cause
    assert because in told.because
    assert way_on in told.way_on
    assert msgspec.json.encode(told)


def test_a_live_job_is_in_the_way_and_one_that_has_ended_is_not() -> None:
    last = skipped(SkipReason.OVERLAP)
    live = explain_schedule(row(), NOW, LEADER, last, JobId("j"))
    ended = explain_schedule(row(), NOW, LEADER, last, None)

    assert (live.cause, live.way_on) == (ScheduleCause.OVERLAP, "windlass why j")
    assert ended.cause is ScheduleCause.NOT_DUE


@pytest.mark.parametrize("reason", SkipReason)
def test_why_the_last_tick_started_nothing_is_told_too(reason: SkipReason) -> None:
    told = explain_schedule(row(), NOW, LEADER, skipped(reason))

    assert told.because.endswith(f"was skipped: {SKIPS[reason]}")
