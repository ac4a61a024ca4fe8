"""Notices: what an observer is told of jobs and workers.  Telling changes nothing."""

from enum import StrEnum

import msgspec

from windlass.model.jobs import JobId, Reason, State, WorkerId
from windlass.model.outcomes import Transition


class NoticeKind(StrEnum):
    """What has happened."""

    ENQUEUED = "enqueued"  # a new job is in the store
    CLAIMED = "claimed"  # a worker holds it
    STARTED = "started"  # its attempt begins
    PROGRESSED = "progressed"  # its attempt says how far it is, and the store has it
    SUCCEEDED = "succeeded"
    RETRIED = "retried"  # the attempt failed, and there will be another
    FAILED = "failed"  # the attempt failed, and it was the last
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    CONTINUED = "continued"  # it waits for jobs of its own, whose result will be its own
    HELD = "held"  # its code does not do any more what it did: an operator must look
    RELEASED = "released"  # given back: the worker stops, or does not know the task
    REFUSED = "refused"  # the attempt's outcome came too late: another holder has won
    LOST = "lost"  # `count` jobs were taken back from workers whose lease had ended
    FIRED = "fired"  # a tick of a schedule has started the job
    MISFIRED = "misfired"  # `count` ticks of a schedule were skipped; `message` is the reason
    SUSPENDED = "suspended"  # a schedule fires no more: it was held, or has paused itself
    WORKER_STARTED = "worker_started"
    WORKER_STOPPED = "worker_stopped"


ENDS = (
    NoticeKind.SUCCEEDED,
    NoticeKind.RETRIED,
    NoticeKind.FAILED,
    NoticeKind.SNOOZED,
    NoticeKind.CANCELLED,
    NoticeKind.CONTINUED,
    NoticeKind.HELD,
    NoticeKind.RELEASED,
    NoticeKind.REFUSED,
)  # how an attempt, or a claim before it began, comes to its end


class Notice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that has happened.  What does not apply is None.

    seconds:  how long the attempt ran, for the kinds that end one.
    fraction, message: how far it is, for ``progressed``.
    """

    kind: NoticeKind
    job_id: JobId | None = None
    task: str | None = None
    queue: str | None = None
    attempt: int | None = None
    worker: WorkerId | None = None
    seconds: float | None = None
    reason: Reason | None = None
    error_type: str | None = None
    count: int = 1
    fraction: float | None = None
    message: str | None = None
    schedule: str | None = None


def kind_of(transition: Transition) -> NoticeKind:
    """Return what the end of an attempt is for an observer.  Pure."""
    match transition.after:
        case State.SUCCEEDED:
            return NoticeKind.SUCCEEDED
        case State.FAILED:
            return NoticeKind.FAILED
        case State.CANCELLED:
            return NoticeKind.CANCELLED
        case State.WAITING:
            return NoticeKind.CONTINUED
        case State.HELD:
            return NoticeKind.HELD
        case State.SCHEDULED if transition.reason is Reason.RETRY:
            return NoticeKind.RETRIED
        case State.SCHEDULED if transition.reason is Reason.SNOOZE:
            return NoticeKind.SNOOZED
        case _:
            return NoticeKind.RELEASED
