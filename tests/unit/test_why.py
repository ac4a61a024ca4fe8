"""Why a job does not run: each cause, staged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from windlass.core.why import Cause, explain
from windlass.model.holds import Hold, HoldId
from windlass.model.jobs import Job, JobId, Reason, State, WorkerId
from windlass.model.limits import Holder
from windlass.model.workers import WorkerRow

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BEFORE, LATER = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
QUEUED = Job(
    id=JobId("j"),
    task="shop.ship",
    queue="mail",
    state=State.QUEUED,
    reason=None,
    priority=0,
    attempt=0,
    failures=0,
    losses=0,
    fence=0,
    worker=None,
    payload=b"{}",
    result=None,
    error=None,
    error_type=None,
    unique_key=None,
    retry_of=None,
    created_at=BEFORE,
    due_at=BEFORE,
    expires_at=None,
    started_at=None,
    ended_at=None,
    resolved_at=None,
)
W1 = WorkerRow(
    id=WorkerId("w1"),
    host="host-1",
    pid=4711,
    queues=("default", "mail"),
    slots=4,
    running=1,
    started_at=BEFORE,
    lease_until=LATER,
)


def job(state: State, reason: Reason | None = None, **fields: Any) -> Job:
    return msgspec.structs.replace(QUEUED, state=state, reason=reason, **fields)


def worker(**fields: Any) -> WorkerRow:
    return msgspec.structs.replace(W1, **fields)


S, R = State, Reason
FAILED: dict[str, Any] = {"ended_at": BEFORE, "attempt": 3, "error_type": "OSError"}
RUNNING: dict[str, Any] = {"worker": "w1", "attempt": 2, "started_at": BEFORE}
CASES: dict[str, tuple[Job, list[WorkerRow], Cause, str]] = {
    "it succeeded": (job(S.SUCCEEDED, ended_at=BEFORE), [W1], Cause.ENDED, "succeeded"),
    "it was cancelled": (job(S.CANCELLED, ended_at=BEFORE), [], Cause.ENDED, "cancelled"),
    "it was skipped": (job(S.SKIPPED, R.BRANCH, ended_at=BEFORE), [], Cause.ENDED, "skipped"),
    "its last attempt failed": (job(S.FAILED, R.ERROR, **FAILED), [W1], Cause.DEAD, "OSError"),
    "it ran too long": (
        job(S.FAILED, R.TIMEOUT, **FAILED | {"error_type": None}), [W1], Cause.DEAD, "timeout",
    ),
    "its failure is settled": (
        job(S.FAILED, R.ERROR, **FAILED, resolved_at=BEFORE), [W1], Cause.ENDED, "discarded",
    ),
    "it kills its workers": (
        job(S.FAILED, R.POISON, ended_at=BEFORE, losses=3), [W1], Cause.POISON, "3 workers",
    ),
    "it expired": (
        job(S.FAILED, R.EXPIRED, ended_at=BEFORE, expires_at=BEFORE), [W1], Cause.EXPIRED, "start",
    ),
    "it is about to expire": (job(S.QUEUED, expires_at=BEFORE), [W1], Cause.EXPIRED, "sweep"),
    "it runs": (job(S.RUNNING, **RUNNING), [W1], Cause.RUNNING, "host-1, pid 4711"),
    "it was asked to stop": (
        job(S.RUNNING, R.CANCEL_REQUESTED, **RUNNING), [W1], Cause.STOPPING, "asked to stop",
    ),
    "its worker's lease ended": (
        job(S.RUNNING, **RUNNING), [worker(lease_until=BEFORE)], Cause.WORKER_LOST, "w1 is lost",
    ),
    "its worker is gone": (
        job(S.RUNNING, **RUNNING), [worker(id="w2")], Cause.WORKER_LOST, "w1 is lost",
    ),
    "it is delayed": (job(S.SCHEDULED, R.DELAY, due_at=LATER), [W1], Cause.NOT_DUE, "00:01:00"),
    "it is due and nobody saw": (job(S.SCHEDULED, R.DELAY), [W1], Cause.NOT_DUE, "due now"),
    "it is to be retried": (
        job(S.SCHEDULED, R.RETRY, due_at=LATER, attempt=1, error_type="OSError"), [W1],
        Cause.RETRYING, "attempt 1 failed with OSError",
    ),
    "it snoozes": (job(S.SCHEDULED, R.SNOOZE, due_at=LATER), [W1], Cause.SNOOZED, "asked"),
    "nobody knows its task": (
        job(S.SCHEDULED, R.UNKNOWN_TASK, due_at=LATER), [W1], Cause.UNKNOWN_TASK, "shop.ship",
    ),
    "it is held": (job(S.HELD, R.PAUSED), [W1], Cause.HELD, "paused"),
    "it waits for others": (job(S.WAITING, R.UPSTREAM), [W1], Cause.WAITING, "upstream"),
    "no worker": (job(S.QUEUED), [], Cause.NO_WORKER, "no worker lives"),
    "only dead workers": (
        job(S.SCHEDULED, R.DELAY), [worker(lease_until=NOW)], Cause.NO_WORKER, "no worker lives",
    ),
    "no worker of its queue": (
        job(S.QUEUED), [worker(queues=("default",))], Cause.QUEUE_NOT_SERVED, "served are default",
    ),
    "all slots are taken": (
        job(S.QUEUED), [worker(running=4), worker(id="w2", running=4)],
        Cause.NO_FREE_SLOT, "all 8 slots of 2 workers",
    ),
    "its turn is next": (
        job(S.QUEUED), [worker(running=4), worker(id="w2")], Cause.NEXT, "2 workers serve",
    ),
}  # fmt: skip
HOLD = Hold(
    id=HoldId("h"), reason=R.PAUSED, actor="ann", why="no paper", queue=None, task=None, key=None,
    arguments=None, created_at=BEFORE, expires_at=None,
)  # fmt: skip
HELD: dict[str, tuple[Hold, Cause]] = {
    "its task is paused": (msgspec.structs.replace(HOLD, task="shop.ship"), Cause.PAUSED),
    "it is quarantined": (
        msgspec.structs.replace(HOLD, reason=R.QUARANTINED, key="eu"), Cause.QUARANTINED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_a_hold_is_named_with_who_made_it_and_why(case: str) -> None:
    hold, cause = HELD[case]
    other = msgspec.structs.replace(hold, id=HoldId("other"), actor="bob")

    why = explain(job(S.HELD, hold.reason, held_by="h"), [W1], 9, NOW, holds=[other, hold])

    assert why.cause is cause
    assert f"{cause} by ann since" in why.because
    assert "no paper" in why.because
    assert why.way_on == "windlass resume h"


def test_a_queued_job_of_a_paused_queue_is_paused() -> None:
    whole = msgspec.structs.replace(HOLD, queue="mail", expires_at=LATER)

    assert explain(job(S.QUEUED), [W1], 9, NOW, holds=[whole]).cause is Cause.PAUSED
    elsewhere = msgspec.structs.replace(HOLD, queue="other")
    assert explain(job(S.QUEUED), [W1], 9, NOW, holds=[elsewhere]).cause is Cause.NEXT


LIMITED: dict[str, tuple[Holder, str]] = {
    "a cap is full": (
        Holder("gpu", "", 2, (JobId("a"), JobId("b"))), "lets 2 run at once, and 2 do: a, b",
    ),
    "a cap of a key is full": (Holder("gpu", "eu", 1, (JobId("a"),)), "at once for 'eu', and 1"),
    "many hold it": (
        Holder("gpu", "", 7, tuple(JobId(str(n)) for n in range(7))), "0, 1, 2, 3, 4 and 2 more",
    ),
    "a rate is used up": (Holder("api", "k", None, wait_s=2.5), "start for 'k' in 2.5 s"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITED)
def test_a_closed_limit_is_named_with_its_holders(case: str) -> None:
    closed, told = LIMITED[case]
    open_ones = [Holder("other", "", 3, (JobId("a"),)), Holder("slow", "", None, wait_s=0.0)]

    why = explain(job(S.QUEUED), [W1], 9, NOW, [*open_ones, closed])

    assert why.cause is Cause.LIMIT
    assert told in why.because
    assert explain(job(S.QUEUED), [W1], 9, NOW, open_ones).cause is Cause.NEXT


@pytest.mark.parametrize("case", CASES)
def test_the_one_cause_is_named(case: str) -> None:
    stuck, workers, cause, told = CASES[case]

    why = explain(stuck, workers, 9, NOW)

    assert why.cause is cause
    assert told in why.because
    assert why.way_on


def test_every_cause_is_staged() -> None:
    staged = {cause for _, _, cause, _ in CASES.values()} | {cause for _, cause in HELD.values()}

    assert staged | {Cause.LIMIT} == set(Cause)
