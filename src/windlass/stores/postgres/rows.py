"""Rows of the store to the nouns of the model, and batches to columns for ``unnest``."""

from collections.abc import Sequence
from typing import Any

import msgspec

from windlass.model.holds import Hold
from windlass.model.jobs import (
    DeadLetters,
    Event,
    Finished,
    Job,
    JobRequest,
    Reason,
    RunKind,
    State,
)
from windlass.model.outcomes import Transition
from windlass.model.workers import WorkerRow

Row = Sequence[Any]


def insert_columns(requests: Sequence[JobRequest]) -> list[list[Any]]:
    """Return the values of ``INSERT_JOBS``."""
    return [
        [request.id for request in requests],
        [request.task for request in requests],
        [request.queue for request in requests],
        [request.priority for request in requests],
        [request.delay_s for request in requests],
        [request.run_at for request in requests],
        [request.expires_s for request in requests],
        [request.expires_at for request in requests],
        [request.unique_key for request in requests],
        [request.retry_of for request in requests],
        [request.payload for request in requests],
        [request.headers for request in requests],
        [request.lane for request in requests],
        [request.limits for request in requests],
        [request.fingerprint for request in requests],
        [request.upstream for request in requests],
        [request.early_s for request in requests],
        [request.kind for request in requests],
    ]


def is_plain(request: JobRequest) -> bool:
    """Tell whether a job is due at once, for ever, tied to no other, and bears nothing more."""
    return (
        not request.delay_s
        and request.run_at is None
        and not request.early_s
        and request.expires_s is None
        and request.expires_at is None
        and request.unique_key is None
        and request.retry_of is None
        and request.headers is None
        and request.lane is None
        and not request.after
        and request.once is None
        and request.kind is None
        and request.step is None
    )


def is_keyed(request: JobRequest) -> bool:
    """Tell whether another job may stand for it, or more than its own row tells of it."""
    return (
        request.unique_key is not None or request.retry_of is not None or request.step is not None
    )


def plain_values(request: JobRequest) -> Row:
    """Return the values of ``INSERT_PLAIN_JOB``."""
    return (
        request.id,
        request.task,
        request.queue,
        request.priority,
        request.payload,
        request.fingerprint,
    )


def plain_columns(requests: Sequence[JobRequest]) -> list[list[Any]]:
    """Return the values of ``INSERT_PLAIN_JOBS``."""
    return [
        [request.id for request in requests],
        [request.task for request in requests],
        [request.queue for request in requests],
        [request.priority for request in requests],
        [request.payload for request in requests],
        [request.fingerprint for request in requests],
    ]


def is_of_one_task(requests: Sequence[JobRequest]) -> bool:
    """Tell whether plain jobs differ in nothing but their ids and payloads."""
    return len({(r.task, r.queue, r.priority, r.fingerprint) for r in requests}) == 1


def columns_of_task(requests: Sequence[JobRequest]) -> list[Any]:
    """Return the values of ``INSERT_PLAIN_JOBS_OF_TASK``."""
    first = requests[0]
    return [
        [request.id for request in requests],
        first.task,
        first.queue,
        first.priority,
        [request.payload for request in requests],
        first.fingerprint,
    ]


def insert_values(request: JobRequest) -> tuple[Any, ...]:
    """Return the values of ``INSERT_JOB``."""
    return (
        request.id,
        request.task,
        request.queue,
        request.priority,
        request.delay_s,
        request.run_at,
        request.expires_s,
        request.expires_at,
        request.unique_key,
        request.payload,
        request.headers,
        request.lane,
        request.limits,
        request.fingerprint,
        request.kind,
    )


def settle_columns(steps: Sequence[Transition]) -> list[list[Any]]:
    """Return the values of ``SETTLE_JOBS``."""
    return [
        [step.job_id for step in steps],
        [step.fence for step in steps],
        [step.before for step in steps],
        [step.after for step in steps],
        [step.attempt for step in steps],
        [step.failures for step in steps],
        [step.reason for step in steps],
        [step.delay_s for step in steps],
        [step.result for step in steps],
        [step.error for step in steps],
        [step.error_type for step in steps],
        [step.result_ttl_s for step in steps],
    ]


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
        created_at=row[17],
        due_at=row[18],
        expires_at=row[19],
        started_at=row[20],
        ended_at=row[21],
        resolved_at=row[22],
        headers=row[23],
        lane=row[24],
        limits=row[25],
        held_by=row[26],
        fingerprint=row[27],
        upstream=row[28],
        result_until=row[29],
        kind=None if row[30] is None else RunKind(row[30]),
    )


def finished_from_row(row: Row) -> Finished:
    """Return the end that a row of ``FIND_RESULTS`` tells."""
    job_id, task, state, reason, result, error, expired_at = row
    return Finished(job_id, task, State(state), _reason(reason), result, error, expired_at)


def event_from_row(row: Row) -> Event:
    """Return the event of a row of ``LIST_EVENTS``."""
    job_id, seq, at, before, after, reason, attempt, fence, worker, actor, error = row
    return Event(
        job_id=job_id,
        seq=seq,
        at=at,
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
    worker_id, host, pid, queues, slots, running, started_at, lease_until = row
    return WorkerRow(
        id=worker_id,
        host=host,
        pid=pid,
        queues=tuple(queues),
        slots=slots,
        running=running,
        started_at=started_at,
        lease_until=lease_until,
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
        created_at=row[8],
        expires_at=row[9],
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
        first_at=first_at,
        last_at=last_at,
        sample=sample,
    )


def _reason(value: str | None) -> Reason | None:
    return None if value is None else Reason(value)
