"""What Celery would know of a task, read from its job."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from windlass import Job, JobId, JobNotFound, State
from windlass.contrib.celery import states
from windlass.contrib.celery.exceptions import (
    ChordError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from windlass.contrib.celery.failures import exception_of
from windlass.contrib.celery.request import facts_in
from windlass.contrib.celery.values import from_plain
from windlass.core.capture import type_name
from windlass.core.lifecycle import decode_error, upstream_job
from windlass.errors import ChildDied
from windlass.model.jobs import Reason, headers_of
from windlass.model.outcomes import ErrorInfo

OWN_STATE = "celery.state"  # in a progress: a state that ``update_state`` has set
LOST = (Reason.POISON, Reason.LOST)


@dataclass(frozen=True, slots=True)
class Meta:
    """A task's state, and what belongs to it."""

    status: str
    result: Any = None
    traceback: str | None = None
    ended_at: datetime | None = None
    job: Job | None = None


def meta_of(app: Any, task_id: str) -> Meta:
    """Return what there is of a task; one that nobody knows is pending, as with Celery.

    Raises: StoreUnavailable, ResultExpired, ….
    """
    try:
        job: Job = app.windlass_app.operations.get(JobId(task_id))
    except JobNotFound:
        return Meta(states.PENDING)
    match job.state:
        case State.SUCCEEDED:
            return Meta(states.SUCCESS, _value(app, job), ended_at=job.ended_at, job=job)
        case State.FAILED if job.reason is Reason.EXPIRED:
            return _revoked(job, "expired")
        case State.FAILED:
            error, text = _failure(app, job)
            return Meta(states.FAILURE, error, text, job.ended_at, job)
        case State.CANCELLED | State.SKIPPED:
            return _revoked(job, "revoked")
        case State.RUNNING:
            return _running(app, job)
        case _ if job.failures:
            error, text = _last_failure(app, job)
            return Meta(states.RETRY, error, text, job=job)
    return Meta(states.PENDING, job=job)


def _revoked(job: Job, why: str) -> Meta:
    return Meta(states.REVOKED, TaskRevokedError(why), ended_at=job.ended_at, job=job)


def _value(app: Any, job: Job) -> Any:
    windlass_app = app.windlass_app
    finished = windlass_app.whole(windlass_app.wait_for(job.id, None))
    if finished.expired_at is not None:
        return windlass_app.job(job.id).value_of(finished)  # it raises, and says until when
    return from_plain(windlass_app.formats.decode_plain(finished.result))


def _running(app: Any, job: Job) -> Meta:
    progress = app.windlass_app.blocking(lambda client: client.progress(job.id))
    own = _own_state(progress.message, job.attempt) if progress else None
    if own is not None:
        return Meta(own[0], from_plain(own[1]), job=job)
    if app.tracks_started(job.task):
        return Meta(states.STARTED, job=job)
    if job.failures:
        error, text = _last_failure(app, job)
        return Meta(states.RETRY, error, text, job=job)
    return Meta(states.PENDING, job=job)


def _own_state(message: str, attempt: int) -> tuple[str, Any] | None:
    """Return a state and its meta that this very attempt has set."""
    if OWN_STATE not in message:
        return None
    try:
        told = json.loads(message)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("attempt") != attempt:
        return None
    return str(told[OWN_STATE]), told.get("meta")


# -- errors ------------------------------------------------------------------


def _error_in(data: bytes | None) -> ErrorInfo:
    return decode_error(data) if data else ErrorInfo("", "")


def _last_failure(app: Any, job: Job) -> tuple[Exception, str]:
    events: Sequence[Any] = app.windlass_app.operations.events(job.id)
    told = [event.error for event in events if event.error is not None]
    error = _error_in(told[-1] if told else job.error)
    return exception_of(error), error.traceback


def _failure(app: Any, job: Job) -> tuple[Exception, str]:
    """Return why a job has failed, as Celery says it."""
    error = _error_in(job.error)
    if job.reason is Reason.TIMEOUT:
        return TimeLimitExceeded(app.time_limit_of(job.task)), error.traceback
    if job.reason in LOST or error.type == type_name(ChildDied):
        return WorkerLostError(error.message or str(job.reason)), error.traceback
    before = upstream_job(error)
    if before is None:
        return exception_of(error), error.traceback
    cause = meta_of(app, before)
    why = cause.result if isinstance(cause.result, Exception) else exception_of(error)
    if facts_in(headers_of(job.headers)).get("chord"):
        why = ChordError(f"Dependency {before} raised {why!r}")
    return why, cause.traceback or ""
