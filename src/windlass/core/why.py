"""Why a job does not run: the one cause, from what the store knows.  Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from windlass.model.holds import Hold
from windlass.model.jobs import Job, Reason, State
from windlass.model.limits import Holder, decode_limits
from windlass.model.workers import WorkerRow

HOLDERS_NAMED_MAX = 5
NO_STEPS: Mapping[State, int] = {}


class Cause(StrEnum):
    """The causes, each with its own way on."""

    ENDED = "ended"
    DEAD = "dead"  # it failed, and nobody has retried or discarded it
    POISON = "poison"
    EXPIRED = "expired"
    RUNNING = "running"
    STOPPING = "stopping"  # it runs, and a cancel was requested
    WORKER_LOST = "worker_lost"
    NOT_DUE = "not_due"
    RETRYING = "retrying"
    SNOOZED = "snoozed"
    UNKNOWN_TASK = "unknown_task"
    HELD = "held"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    WAITING = "waiting"
    NO_WORKER = "no_worker"
    QUEUE_NOT_SERVED = "queue_not_served"
    NO_FREE_SLOT = "no_free_slot"
    LIMIT = "limit"  # a cap is full, or a pace lets the next one start later
    NEXT = "next"  # nothing is in its way


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The cause in one word, in a sentence, and what to do about it."""

    cause: Cause
    because: str
    way_on: str


def explain(
    job: Job,
    workers: Sequence[WorkerRow],
    queued: int,
    now: datetime,
    holders: Sequence[Holder] = (),
    holds: Sequence[Hold] = (),
    steps: Mapping[State, int] = NO_STEPS,
) -> Why:
    """Return why a job does not run, or that it does.

    workers: all of which the store has a lease.
    queued:  how many jobs are queued in the job's queue, itself included.
    holders: of the limits of the job.
    holds:   all that are in force.
    steps:   of a run, how many are in which state.
    """
    live = [worker for worker in workers if worker.lease_until > now]
    match job.state:
        case State.SUCCEEDED | State.CANCELLED | State.SKIPPED:
            told = f"it is over: {job.state} at {job.ended_at}"
            return _why(Cause.ENDED, told, "nothing is left to do")
        case State.FAILED:
            return _failed(job)
        case State.RUNNING:
            return _running(job, live)
        case State.HELD:
            return _held(job, [hold for hold in holds if hold.id == job.held_by])
        case State.WAITING:
            return _waiting(job, steps)
    if not live:
        return _why(
            Cause.NO_WORKER,
            "no worker lives: nobody claims jobs, nor looks when they are due",
            "start one: windlass worker module:app",
        )
    if job.expires_at is not None and job.expires_at <= now:
        return _why(
            Cause.EXPIRED,
            f"it was to start before {job.expires_at}; the next sweep will fail it",
            "enqueue it again with a later expires",
        )
    if job.state is State.SCHEDULED:
        return _scheduled(job, now)
    whole = [hold for hold in holds if hold.is_whole_queue and hold.queue == job.queue]
    if whole:
        return _held(job, whole)
    return _queued(job, live, queued, now, holders)


def _waiting(job: Job, steps: Mapping[State, int]) -> Why:
    if steps:
        counted = ", ".join(f"{count:,} {state}" for state, count in sorted(steps.items()))
        told = f"it waits for its steps: {counted}"
        return _why(Cause.WAITING, told, f"windlass runs show {job.id}")
    left = f"; {job.upstream} have not succeeded yet" if job.upstream else ""
    by_rule = "; a rule decides when it starts" if job.upstream == 0 else ""
    told = f"it waits for: {job.reason}{left}{by_rule}"
    return _why(Cause.WAITING, told, "look at what it waits for")


def _failed(job: Job) -> Why:
    if job.resolved_at is not None:
        told = f"it failed, and was retried or discarded at {job.resolved_at}"
        return _why(Cause.ENDED, told, "nothing is left to do")
    way_on = f"windlass jobs retry {job.id}, or windlass jobs discard {job.id}"
    match job.reason:
        case Reason.POISON:
            told = f"{job.losses} workers were lost while they ran it"
            return _why(Cause.POISON, told, f"find out what kills them, then {way_on}")
        case Reason.EXPIRED:
            return _why(Cause.EXPIRED, f"it had not started by {job.expires_at}", way_on)
        case _:
            error = job.error_type or job.reason
            told = f"attempt {job.attempt} failed with {error}, and it was the last"
            return _why(Cause.DEAD, told, f"windlass jobs show {job.id}, then {way_on}")


def _running(job: Job, live: Sequence[WorkerRow]) -> Why:
    holder = next((worker for worker in live if worker.id == job.worker), None)
    if holder is None:
        return _why(
            Cause.WORKER_LOST,
            f"its worker {job.worker} is lost; the next sweep of a live worker queues it again",
            "wait" if live else "start a worker: windlass worker module:app",
        )
    where = f"attempt {job.attempt} runs since {job.started_at} on {holder.host}, pid {holder.pid}"
    if job.reason is Reason.CANCEL_REQUESTED:
        told = f"{where}; it was asked to stop"
        return _why(Cause.STOPPING, told, "plain functions stop where they check_cancelled()")
    return _why(Cause.RUNNING, where, "wait")


def _held(job: Job, holds: Sequence[Hold]) -> Why:
    if job.reason is Reason.DIVERGED:
        told = f"its code does not do any more what it did before ({job.error_type})"
        way_on = f"windlass jobs show {job.id}; then deploy code that fits, and reschedule it"
        return _why(Cause.HELD, told, way_on)
    if not holds:
        return _why(Cause.HELD, f"it is held: {job.reason}", "windlass jobs reschedule frees it")
    hold = holds[0]
    what = {"queue": hold.queue, "task": hold.task, "key": hold.key, "arguments": hold.arguments}
    told = ", ".join(f"{name} {value!r}" for name, value in what.items() if value is not None)
    until = "" if hold.expires_at is None else f" until {hold.expires_at}"
    because = f"{told} {hold.reason} by {hold.actor} since {hold.created_at}{until}"
    cause = Cause.QUARANTINED if hold.reason is Reason.QUARANTINED else Cause.PAUSED
    note = f": {hold.why}" if hold.why else ""
    return _why(cause, because + note, f"windlass resume {hold.id}")


def _scheduled(job: Job, now: datetime) -> Why:
    due = f"due at {job.due_at}" if job.due_at > now else "due now, the next sweep queues it"
    match job.reason:
        case Reason.RETRY:
            told = f"attempt {job.attempt} failed with {job.error_type}; the next is {due}"
            return _why(Cause.RETRYING, told, f"windlass jobs show {job.id} tells the error")
        case Reason.SNOOZE:
            return _why(Cause.SNOOZED, f"it asked to run later; it is {due}", "wait")
        case Reason.UNKNOWN_TASK:
            told = f"the worker that had it knows no task {job.task!r}; another try is {due}"
            return _why(Cause.UNKNOWN_TASK, told, "start a worker whose app has this task")
        case _:
            return _why(Cause.NOT_DUE, f"it is {due}", "wait")


def _queued(
    job: Job, live: Sequence[WorkerRow], queued: int, now: datetime, holders: Sequence[Holder]
) -> Why:
    serving = [worker for worker in live if job.queue in worker.queues]
    if not serving:
        others = sorted({queue for worker in live for queue in worker.queues})
        return _why(
            Cause.QUEUE_NOT_SERVED,
            f"no live worker serves its queue {job.queue!r}; served are {', '.join(others)}",
            f"start one: windlass worker module:app --queues {job.queue}",
        )
    together = None if job.limits is None else decode_limits(job.limits).together
    if together is not None:
        until = job.due_at + timedelta(microseconds=together.wait_us)
        if until > now:
            told = f"it waits for up to {together.size} jobs to run together, until {until}"
            return _why(Cause.LIMIT, told, "wait")
    for holder in holders:
        closed = _closed(holder)
        if closed is not None:
            return closed
    slots = sum(worker.slots for worker in serving)
    if sum(worker.running for worker in serving) >= slots:
        return _why(
            Cause.NO_FREE_SLOT,
            f"all {slots} slots of {len(serving)} workers are taken; {queued} jobs are queued in "
            f"{job.queue!r}, those of higher priority first",
            "wait, start more workers, or enqueue with a higher priority",
        )
    told = f"nothing is in its way: {len(serving)} workers serve {job.queue!r}, with free slots"
    return _why(Cause.NEXT, told, "look again")


def _closed(holder: Holder) -> Why | None:
    of_key = f" for {holder.key!r}" if holder.key else ""
    if holder.most is not None and len(holder.running) >= holder.most:
        named = ", ".join(holder.running[:HOLDERS_NAMED_MAX])
        rest = len(holder.running) - HOLDERS_NAMED_MAX
        more = f" and {rest} more" if rest > 0 else ""
        return _why(
            Cause.LIMIT,
            f"the limit {holder.name!r} lets {holder.most} run at once{of_key}, and "
            f"{len(holder.running)} do: {named}{more}",
            "wait until one of them ends",
        )
    if holder.wait_s:
        told = f"the rate {holder.name!r} lets the next one start{of_key} in {holder.wait_s:.3g} s"
        return _why(Cause.LIMIT, told, "wait, or give the rate a burst")
    return None


def _why(cause: Cause, because: str, way_on: str) -> Why:
    return Why(cause=cause, because=because, way_on=way_on)
