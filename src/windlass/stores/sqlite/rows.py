"""Rows of the store to the nouns of the model, and instants to microseconds and back."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from windlass.model.holds import Hold
from windlass.model.jobs import (
    Claim,
    DeadLetters,
    Event,
    Finished,
    Input,
    Job,
    JobRequest,
    Reason,
    RunKind,
    State,
)
from windlass.model.workers import WorkerRow
from windlass.stores.structs import S, struct_from

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
INSTANTS = ("_at", "until")  # how the names of instants end
QUEUE_SEPARATOR = "\n"  # no name of a queue holds a line's end

Row = Sequence[Any]


def us_from(instant: datetime) -> int:
    """Return the microseconds from 1970 to an aware instant, exactly."""
    return (instant - EPOCH) // MICROSECOND


def wall_clock_us() -> int:
    """Return the present instant of this machine in microseconds."""
    return time.time_ns() // 1000


def us_of(seconds: float) -> int:
    """Return a duration in microseconds."""
    return round(seconds * SECOND_US)


def instant_from(microseconds: int) -> datetime:
    """Return the instant that many microseconds after 1970, in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def stored(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values as the file keeps them: instants in microseconds."""
    return tuple(us_from(value) if isinstance(value, datetime) else value for value in values)


def struct_of(kind: type[S], row: Row) -> S:
    """Return the struct of a row with its fields as columns."""
    values = [
        instant_from(value) if value is not None and name.endswith(INSTANTS) else value
        for name, value in zip(kind.__struct_fields__, row, strict=True)
    ]
    return struct_from(kind, values)


def insert_row(request: JobRequest, now: int) -> tuple[Any, ...]:
    """Return the values of ``INSERT_JOB``."""
    due_at = now
    if request.run_at is not None:
        due_at = us_from(request.run_at)
    elif request.delay_s:
        due_at = now + us_of(request.delay_s)
    expires_at = None if request.expires_at is None else us_from(request.expires_at)
    if request.expires_s is not None:
        expires_at = now + us_of(request.expires_s)
    is_due = due_at <= now + us_of(request.early_s)
    state, reason = ("queued", None) if is_due else ("scheduled", "delay")
    if request.after:
        state, reason = "waiting", "upstream"
    return (
        request.id,
        request.task,
        request.queue,
        state,
        reason,
        request.priority,
        now,
        due_at,
        expires_at,
        request.unique_key,
        request.retry_of,
        request.payload,
        request.headers,
        request.lane,
        request.limits,
        request.fingerprint,
        request.upstream,
        request.kind,
    )


def claim_from_row(row: Row) -> Claim:
    """Return the claim of a row of ``LIST_HELD``; SQLite has no booleans."""
    values = (*row[:-1], bool(row[-1]))
    return Claim(*values)


def job_from_row(row: Row) -> Job:
    """Return the job of a row with ``JOB_COLUMNS``."""
    return Job(
        id=row[0],
        task=row[1],
        queue=row[2],
        state=State(row[3]),
        reason=_reason(row[4]),
        priority=row[5],
        attempt=row[6],
        failures=row[7],
        losses=row[8],
        fence=row[9],
        worker=row[10],
        payload=row[11],
        result=row[12],
        error=row[13],
        error_type=row[14],
        unique_key=row[15],
        retry_of=row[16],
        created_at=instant_from(row[17]),
        due_at=instant_from(row[18]),
        expires_at=_instant(row[19]),
        started_at=_instant(row[20]),
        ended_at=_instant(row[21]),
        resolved_at=_instant(row[22]),
        headers=row[23],
        lane=row[24],
        limits=row[25],
        held_by=row[26],
        fingerprint=row[27],
        upstream=row[28],
        result_until=_instant(row[29]),
        kind=None if row[30] is None else RunKind(row[30]),
    )


def finished_from_row(row: Row) -> Finished:
    """Return the end that a row of ``FIND_RESULT`` tells."""
    job_id, task, state, reason, result, error, expired_at = row
    ended = State(state), _reason(reason)
    return Finished(job_id, task, *ended, result, error, _instant(expired_at))


def input_from_row(row: Row) -> Input:
    """Return what a row of ``LIST_INPUTS`` gives."""
    parent, task, slot, position, result, expired_at = row
    return Input(parent, task, slot, position, result, _instant(expired_at))


def event_from_row(row: Row) -> Event:
    """Return the event of a row of ``LIST_EVENTS``."""
    job_id, seq, at, before, after, reason, attempt, fence, worker, actor, error = row
    return Event(
        job_id=job_id,
        seq=seq,
        at=instant_from(at),
        before=State(before),
        after=State(after),
        reason=_reason(reason),
        attempt=attempt,
        fence=fence,
        worker=worker,
        actor=actor,
        error=error,
    )


def worker_from_row(row: Row) -> WorkerRow:
    """Return the worker of a row of ``LIST_WORKERS``."""
    return WorkerRow(
        id=row[0],
        host=row[1],
        pid=row[2],
        queues=tuple(row[3].split(QUEUE_SEPARATOR)) if row[3] else (),
        slots=row[4],
        running=row[5],
        started_at=instant_from(row[6]),
        lease_until=instant_from(row[7]),
    )


def hold_from_row(row: Row) -> Hold:
    """Return the hold of a row of ``LIST_HOLDS``."""
    return Hold(
        id=row[0],
        reason=Reason(row[1]),
        actor=row[2],
        why=row[3],
        queue=row[4],
        task=row[5],
        key=row[6],
        arguments=None if row[7] is None else msgspec.json.decode(row[7]),
        created_at=instant_from(row[8]),
        expires_at=_instant(row[9]),
        jobs=row[10],
    )


def letters_from_row(row: Row) -> DeadLetters:
    """Return the group of a row of ``GROUP_DEAD_LETTERS``."""
    task, error_type, reason, count, first_at, last_at, sample = row
    return DeadLetters(
        task=task,
        error_type=error_type,
        reason=Reason(reason),
        count=count,
        first_at=instant_from(first_at),
        last_at=instant_from(last_at),
        sample=sample,
    )


def _reason(value: str | None) -> Reason | None:
    return None if value is None else Reason(value)


def _instant(value: int | None) -> datetime | None:
    return None if value is None else instant_from(value)
