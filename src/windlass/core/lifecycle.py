"""The one state machine: which moves exist, and which move follows from an outcome.

``MOVES`` is the whole truth of what a job may do.  The stores repeat it as a
constraint, and a test compares the two.  A move is written by one of four verbs:
enqueue makes the row, ``claim`` takes queued to running, ``sweep`` makes the moves
of the clock, and ``settle`` makes all others.
"""

from typing import assert_never

import msgspec

from windlass.model.jobs import LIVE, Claim, Edge, Job, JobId, Reason, State
from windlass.model.outcomes import (
    Cancelled,
    Continued,
    Diverged,
    ErrorInfo,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    Transition,
    Unknown,
)

W, S, Q, H, R = State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD, State.RUNNING
OK, BAD, OFF, SKIP = State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED

UPSTREAM_FAILED = "windlass.errors.UpstreamFailed"  # the type of error that a job ends with

OWN_RESULT = ""  # the slot of a job that was handed on: what it is given is its own result

INITIAL = frozenset({W, S, Q, H})

MOVES: dict[State, frozenset[State]] = {
    W: frozenset({S, Q, H, OFF, SKIP, BAD}),  # a parent ended, a signal came, a wait ran out
    S: frozenset({S, Q, H, OFF, BAD}),  # to itself: rescheduled; due; paused; cancelled; expired
    Q: frozenset({R, S, H, OFF, BAD}),  # claimed; rescheduled; paused; cancelled; expired
    H: frozenset({W, S, Q, OFF, BAD}),  # resumed; cancelled; expired
    R: frozenset({R, W, S, Q, H, OK, BAD, OFF, SKIP}),  # settled; to itself: cancel requested
    OK: frozenset(),
    BAD: frozenset(),
    OFF: frozenset(),
    SKIP: frozenset(),
}

CLAIM_MOVES = frozenset({(Q, R), (Q, H)})  # what a hold keeps from starting steps aside
SWEEP_MOVES = frozenset(
    {(S, Q), (H, Q), (R, Q), (R, BAD), (R, OFF), (Q, BAD), (S, BAD), (W, BAD), (H, BAD)}
)
SETTLE_MOVES = frozenset((a, b) for a, after in MOVES.items() for b in after) - {(Q, R)}

REASONS: dict[State, frozenset[Reason | None]] = {
    W: frozenset({Reason.UPSTREAM, Reason.SIGNAL, Reason.TRIGGER, Reason.CHILDREN}),
    S: frozenset({Reason.DELAY, Reason.RETRY, Reason.SNOOZE, Reason.TIMER, Reason.UNKNOWN_TASK}),
    Q: frozenset({None}),
    H: frozenset({Reason.PAUSED, Reason.QUARANTINED, Reason.DIVERGED}),
    R: frozenset({None, Reason.CANCEL_REQUESTED}),
    OK: frozenset({None}),
    BAD: frozenset(
        {
            Reason.ERROR,
            Reason.TIMEOUT,
            Reason.EXPIRED,
            Reason.POISON,
            Reason.LOST,
            Reason.UPSTREAM,
        }
    ),
    OFF: frozenset({None}),
    SKIP: frozenset({Reason.BRANCH, Reason.RULE}),
}


def is_legal(before: State, after: State) -> bool:
    """Tell whether any verb may move a job from ``before`` to ``after``."""
    return after in MOVES[before]


def after_attempt(
    claim: Claim,
    outcome: Outcome,
    retry_delay_s: float | None,
    result_ttl_s: float | None = None,
) -> Transition:
    """Decide where a running job goes when its attempt ends.  Pure.

    retry_delay_s: the policy's delay before the next attempt; None if its budget
                   is spent.  Only a retryable failure looks at it.
    result_ttl_s:  how long a result is kept; None: as long as the job.
    """
    match outcome:
        case Succeeded(result) if result_ttl_s is None or result is None:
            return _move(claim, OK, result=result)  # there is nothing that could expire
        case Succeeded(result):
            return _move(claim, OK, result=result, result_ttl_s=result_ttl_s)
        case Failed(retryable=True) if retry_delay_s is not None:
            delay_s = retry_delay_s if outcome.after_s is None else outcome.after_s
            return _failed(claim, outcome, S, Reason.RETRY, delay_s)
        case Failed():
            return _failed(claim, outcome, BAD, outcome.reason, 0.0)
        case Snoozed(delay_s):
            return _move(claim, S, reason=Reason.SNOOZE, delay_s=delay_s)
        case Cancelled():
            return _move(claim, OFF)
        case Continued():
            return _continued(claim, outcome)
        case Diverged(error):
            return _move(claim, H, reason=Reason.DIVERGED, error=error)
        case Released(started):
            return _move(claim, Q, attempt=claim.attempt if started else claim.attempt - 1)
        case Unknown(delay_s):
            return _move(
                claim, S, reason=Reason.UNKNOWN_TASK, delay_s=delay_s, attempt=claim.attempt - 1
            )
    assert_never(outcome)


def _continued(claim: Claim, outcome: Continued) -> Transition:
    places = range(len(outcome.ends)) if outcome.is_list else [None] * len(outcome.ends)
    edges = [Edge(end, OWN_RESULT, n) for n, end in zip(places, outcome.ends, strict=True)]
    ends = set(outcome.ends)
    edges += [Edge(job_id) for job_id in outcome.waits if job_id not in ends]
    return Transition(
        job_id=claim.job_id,
        fence=claim.fence,
        before=R,
        after=W,
        reason=Reason.CHILDREN,
        attempt=claim.attempt,
        failures=claim.failures,
        children=outcome.requests,
        after_children=tuple(edges),
        rule=outcome.rule,
        turns=outcome.turns,
    )


def after_cancel(job: Job, actor: str) -> Transition | None:
    """Decide what a cancel request does to a job as it was read; None if it has ended.  Pure."""
    if job.state not in LIVE:
        return None
    running = job.state is R
    return Transition(
        job_id=job.id,
        fence=job.fence,
        before=job.state,
        after=R if running else OFF,
        reason=Reason.CANCEL_REQUESTED if running else None,
        attempt=job.attempt,
        failures=job.failures,
        actor=actor,
    )


def after_reschedule(job: Job, delay_s: float, actor: str) -> Transition | None:
    """Decide where a job goes that is to start after ``delay_s``; None if it stays.  Pure."""
    if job.state not in (S, Q, H) or (job.state is Q and delay_s <= 0):
        return None
    return Transition(
        job_id=job.id,
        fence=job.fence,
        before=job.state,
        after=S if delay_s > 0 else Q,
        reason=Reason.DELAY if delay_s > 0 else None,
        delay_s=delay_s,
        attempt=job.attempt,
        failures=job.failures,
        actor=actor,
    )


def upstream_error(job: JobId, task: str, state: State, error_type: str | None) -> ErrorInfo:
    """Say why a job cannot run whose upstream ended badly.  Pure."""
    how = f"{state} ({error_type})" if error_type else str(state)
    return ErrorInfo(UPSTREAM_FAILED, f"job {job} of task {task!r}, which it waited for, {how}")


def upstream_job(error: ErrorInfo) -> JobId | None:
    """Return the job because of which another could not run; None for any other error.  Pure."""
    if error.type != UPSTREAM_FAILED:
        return None
    words = error.message.split(" ", 2)
    return JobId(words[1]) if len(words) == 3 else None


def encode_error(error: ErrorInfo) -> bytes:
    """Encode an error as the stores keep it."""
    return msgspec.json.encode(error)


def decode_error(data: bytes) -> ErrorInfo:
    """Decode what :func:`encode_error` made."""
    return msgspec.json.decode(data, type=ErrorInfo)


def _move(
    claim: Claim,
    after: State,
    *,
    reason: Reason | None = None,
    delay_s: float = 0.0,
    result: bytes | None = None,
    attempt: int | None = None,
    result_ttl_s: float | None = None,
    error: ErrorInfo | None = None,
) -> Transition:
    return Transition(
        job_id=claim.job_id,
        fence=claim.fence,
        before=R,
        after=after,
        attempt=claim.attempt if attempt is None else attempt,
        failures=claim.failures,
        reason=reason,
        delay_s=delay_s,
        result=result,
        result_ttl_s=result_ttl_s,
        error=None if error is None else encode_error(error),
        error_type=None if error is None else error.type,
    )


def _failed(
    claim: Claim, outcome: Failed, after: State, reason: Reason, delay_s: float
) -> Transition:
    return Transition(
        job_id=claim.job_id,
        fence=claim.fence,
        before=R,
        after=after,
        attempt=claim.attempt,
        failures=claim.failures + 1,
        reason=reason,
        delay_s=delay_s,
        error=encode_error(outcome.error),
        error_type=outcome.error.type,
    )
