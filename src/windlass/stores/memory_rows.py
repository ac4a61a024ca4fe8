"""The rows of the store in memory, and what each move makes of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace as with_

from windlass.core import lifecycle
from windlass.core.admission import PLAIN, Admission, Head, Place, fill_from, usage_of
from windlass.core.once import Mark, refuse_other_call
from windlass.errors import KeyConflict
from windlass.model.backfills import Backfill, BackfillId
from windlass.model.holds import Hold, HoldId
from windlass.model.jobs import (
    LIVE,
    TERMINAL,
    Backlog,
    Claim,
    DeadLetters,
    Edge,
    Event,
    Finished,
    Job,
    JobFilter,
    JobId,
    JobRequest,
    Reason,
    Rule,
    State,
    StepOf,
    WorkerId,
)
from windlass.model.limits import PaceState, decode_limits
from windlass.model.outcomes import Transition
from windlass.model.progress import Progress
from windlass.model.runs import Counts
from windlass.model.schedules import Fire, ScheduleRow
from windlass.model.topics import CLOCK, DONE, queue_topic, worker_topic
from windlass.model.workers import WorkerInfo
from windlass.stores.bell import EventBell
from windlass.stores.claims import due_from

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOT_STARTED = (State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker and its lease."""

    info: WorkerInfo
    started_at: datetime
    lease_s: float
    lease_until: datetime
    ended: bool = False
    drains: bool = False


def no_jobs_by_state() -> dict[State, dict[JobId, None]]:
    """Return an empty index."""
    return {state: {} for state in State}


@dataclass(slots=True)
class MemoryData:
    """What several stores share, as several processes share one database."""

    schema: int = 0
    jobs: dict[JobId, Job] = field(default_factory=dict)
    by_state: dict[State, dict[JobId, None]] = field(default_factory=no_jobs_by_state)
    unique: dict[tuple[str, str], JobId] = field(default_factory=dict)
    events: dict[JobId, list[Event]] = field(default_factory=dict)
    workers: dict[WorkerId, Worker] = field(default_factory=dict)
    paces: dict[tuple[str, str], PaceState] = field(default_factory=dict)
    holds: dict[HoldId, Hold] = field(default_factory=dict)
    edges: dict[JobId, list[Edge]] = field(default_factory=dict)
    children: dict[JobId, list[JobId]] = field(default_factory=dict)
    awaited: dict[JobId, set[JobId]] = field(default_factory=dict)  # of those, by the present wait
    waits: dict[JobId, tuple[Rule, Counts]] = field(default_factory=dict)
    steps: dict[JobId, StepOf] = field(default_factory=dict)
    turns: dict[JobId, int] = field(default_factory=dict)
    begun: set[JobId] = field(default_factory=set)  # runs that count for the limits of their lanes
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    progress: dict[JobId, Progress] = field(default_factory=dict)
    schedules: dict[str, ScheduleRow] = field(default_factory=dict)
    fires: dict[tuple[str, int, datetime], Fire] = field(default_factory=dict)
    backfills: dict[BackfillId, Backfill] = field(default_factory=dict)
    backfill_jobs: dict[tuple[BackfillId, datetime], JobId] = field(default_factory=dict)
    leader: tuple[str, int, datetime] | None = None  # its name, its term, the end of its lease
    bells: list[EventBell] = field(default_factory=list)
    swept_at: datetime | None = None

    def put(self, job: Job) -> None:
        """Insert or replace a row and keep the indexes right."""
        old = self.jobs.get(job.id)
        if old is not None:
            del self.by_state[old.state][old.id]
        self.jobs[job.id] = job
        self.by_state[job.state][job.id] = None
        if job.state in TERMINAL:
            self.begun.discard(job.id)
        if job.unique_key is not None:
            key = (job.task, job.unique_key)
            if job.state in LIVE:
                self.unique[key] = job.id
            elif self.unique.get(key) == job.id:
                del self.unique[key]

    def drop(self, job_id: JobId) -> None:
        """Delete an ended job with its events."""
        job = self.jobs.pop(job_id)
        del self.by_state[job.state][job_id]
        self.events.pop(job_id, None)
        self.edges.pop(job_id, None)
        self.children.pop(job_id, None)
        self.awaited.pop(job_id, None)
        self.waits.pop(job_id, None)
        self.steps.pop(job_id, None)
        self.turns.pop(job_id, None)
        self.begun.discard(job_id)
        self.progress.pop(job_id, None)

    def is_needed(self, job_id: JobId) -> bool:
        """Tell whether a job that waited for this one may still ask for its result."""
        children = (self.jobs.get(child) for child in self.children.get(job_id, ()))
        return any(child is not None and child.state in LIVE for child in children)

    def in_state(self, *states: State) -> list[Job]:
        """Return the jobs in these states, oldest id first."""
        return [self.jobs[i] for i in sorted(i for state in states for i in self.by_state[state])]

    def in_lanes(self) -> list[Job]:
        """Return the jobs that count for the limits of their lanes."""
        running = [job for job in self.in_state(State.RUNNING) if job.id not in self.begun]
        return running + [self.jobs[job_id] for job_id in sorted(self.begun)]

    def ring(self, topic: str) -> None:
        """Wake whoever listens to ``topic``."""
        for bell in self.bells:
            if topic in bell.topics:
                bell.ring()

    def record(
        self,
        before: Job,
        after: Job,
        now: datetime,
        *,
        actor: str | None = None,
        error: bytes | None = None,
    ) -> None:
        """Write down what has been done to a job."""
        history = self.events.setdefault(after.id, [])
        history.append(event_of(before, after, len(history) + 1, now, actor, error))

    def announce(self, job: Job) -> None:
        """Wake those who wait for what a job has become."""
        if job.state in TERMINAL:
            self.ring(DONE)
        elif job.state is State.QUEUED:
            self.ring(queue_topic(job.queue))
        elif job.state is State.SCHEDULED:
            self.ring(CLOCK)
        elif job.state is State.RUNNING and job.worker is not None:
            self.ring(worker_topic(job.worker))


def admitted(
    data: MemoryData, ready: Sequence[Job], room: int, now_us: int, after: Place
) -> Admission:
    """Return which of the queued jobs may start, in the order in which they would."""
    heads: dict[Place, list[Head]] = {}
    for job in ready:
        place = PLAIN if job.lane is None else (job.queue, job.lane)
        heads.setdefault(place, []).append(Head(job.id, job.priority, us(job.due_at)))
    lanes = {
        (job.queue, job.lane): decode_limits(job.limits)
        for job in ready
        if job.lane is not None and job.limits is not None
    }
    running = (job.limits for job in data.in_lanes())
    usage = usage_of((limits, 1) for limits in running if limits is not None)
    admission = Admission(room, now_us, usage, data.paces.values())
    plain = heads.get(PLAIN, [])
    fill_from(
        admission,
        lanes,
        plain,
        after,
        lambda wanted: {place: heads[place][:count] for place, count in wanted.items()},
    )
    return admission


def event_of(
    before: Job, after: Job, seq: int, now: datetime, actor: str | None, error: bytes | None
) -> Event:
    """Return the line of a job's history that says what has been done to it."""
    return Event(
        job_id=after.id,
        seq=seq,
        at=now,
        before=before.state,
        after=after.state,
        reason=after.reason,
        attempt=after.attempt,
        fence=after.fence,
        worker=before.worker,
        actor=actor,
        error=error,
    )


def claim_of(job: Job, now: datetime) -> Claim:
    """Return what a worker holds of a running job."""
    claim = Claim(
        job.id,
        job.fence,
        job.attempt,
        job.failures,
        job.task,
        job.queue,
        job.payload,
        job.headers,
        job.lane,
        job.fingerprint,
        job.upstream is not None,
    )
    return due_from(claim, (job.due_at - now).total_seconds())


def job_from(request: JobRequest, now: datetime) -> Job:
    """Return the row that a request makes."""
    assert request.run_at is None or request.delay_s == 0
    due_at = request.run_at or now + timedelta(seconds=request.delay_s)
    expires_at = request.expires_at
    if request.expires_s is not None:
        expires_at = now + timedelta(seconds=request.expires_s)
    is_due = due_at <= now + timedelta(seconds=request.early_s)
    return Job(
        id=request.id,
        task=request.task,
        queue=request.queue,
        state=State.WAITING if request.after else _first_state(is_due),
        reason=Reason.UPSTREAM if request.after else None if is_due else Reason.DELAY,
        upstream=request.upstream,
        priority=request.priority,
        attempt=0,
        failures=0,
        losses=0,
        fence=0,
        worker=None,
        payload=request.payload,
        result=None,
        error=None,
        error_type=None,
        unique_key=request.unique_key,
        retry_of=request.retry_of,
        created_at=now,
        due_at=due_at,
        expires_at=expires_at,
        started_at=None,
        ended_at=None,
        resolved_at=None,
        headers=request.headers,
        lane=request.lane,
        limits=request.limits,
        fingerprint=request.fingerprint,
        kind=request.kind,
    )


def _first_state(is_due: bool) -> State:
    return State.QUEUED if is_due else State.SCHEDULED


def stands(transition: Transition, job: Job) -> bool:
    """Tell whether a transition may be applied to the row as it is."""
    if (job.state, job.fence) != (transition.before, transition.fence):
        return False
    if (transition.before, transition.after) not in lifecycle.SETTLE_MOVES:
        return False
    if transition.after is State.RUNNING:  # a cancel request: asked for once
        return job.reason is None and transition.reason is Reason.CANCEL_REQUESTED
    return True


def after(transition: Transition, job: Job, now: datetime) -> Job:
    """Return the row that a transition makes."""
    after, reason = transition.after, transition.reason
    again = after in (State.SCHEDULED, State.QUEUED) or bool(transition.after_children)
    if again and job.reason is Reason.CANCEL_REQUESTED:
        after, reason, again = State.CANCELLED, None, False
    return with_(
        job,
        state=after,
        reason=reason,
        attempt=transition.attempt,
        failures=transition.failures,
        worker=job.worker if after is State.RUNNING else None,
        held_by=None,
        result=transition.result,
        result_until=(
            None
            if transition.result_ttl_s is None
            else now + timedelta(seconds=transition.result_ttl_s)
        ),
        error=job.error if transition.error is None else transition.error,
        error_type=job.error_type if transition.error is None else transition.error_type,
        due_at=now + timedelta(seconds=transition.delay_s) if again else job.due_at,
        ended_at=now if after in TERMINAL else None,
    )


def us(instant: datetime) -> int:
    """Return the microseconds from 1970 to an instant."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def finished_from(job: Job) -> Finished:
    """Return how an ended job ended."""
    expired_at = job.result_until if job.result is None else None
    return Finished(job.id, job.task, job.state, job.reason, job.result, job.error, expired_at)


def is_expired(job: Job, now: datetime) -> bool:
    """Tell whether a job may not start any more."""
    return job.expires_at is not None and job.expires_at <= now


def is_dead_letter(job: Job) -> bool:
    """Tell whether a job failed and nobody has retried or discarded it."""
    return job.state is State.FAILED and job.resolved_at is None


def fits(job: Job, where: JobFilter, data: MemoryData) -> bool:
    """Tell whether a filter lets a job through."""
    return (
        (where.states is None or job.state in where.states)
        and (where.task is None or job.task == where.task)
        and (where.queue is None or job.queue == where.queue)
        and (where.error_type is None or job.error_type == where.error_type)
        and (not where.unresolved or is_dead_letter(job))
        and (where.fingerprint is UNSET or job.fingerprint == where.fingerprint)
        and (where.kinds is None or job.kind in where.kinds)
        and (where.run is None or _run_of(job, data) == where.run)
    )


def _run_of(job: Job, data: MemoryData) -> JobId | None:
    step = data.steps.get(job.id)
    return None if step is None else step.run


def backlog_order(group: Backlog) -> tuple[str, str, int]:
    """Return what groups of a backlog are sorted by."""
    return group.task, group.queue, -1 if group.fingerprint is None else group.fingerprint


def letters_of(task: str, error_type: str, reason: Reason, jobs: list[Job]) -> DeadLetters:
    """Return one group of dead letters."""
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    return DeadLetters(
        task=task,
        error_type=error_type,
        reason=reason,
        count=len(jobs),
        first_at=min(ended),
        last_at=max(ended),
        sample=jobs[-1].id,
    )


def grouped_letters(failed: Iterable[Job], limit: int) -> list[DeadLetters]:
    """Group those of the failed jobs that nobody has resolved, the most first."""
    groups: dict[tuple[str, str, Reason], list[Job]] = {}
    for job in failed:
        if job.resolved_at is None:
            assert job.reason is not None
            groups.setdefault((job.task, job.error_type or "", job.reason), []).append(job)
    letters = [letters_of(*key, jobs) for key, jobs in groups.items()]
    letters.sort(key=lambda group: (-group.count, group.task, group.error_type, group.reason))
    return letters[:limit]


def refuse_conflicts(data: MemoryData, requests: Sequence[JobRequest]) -> None:
    """Look at all idempotency keys first, so that nothing is inserted.  Raises: KeyConflict."""
    named: dict[tuple[str, str], tuple[JobId, bytes]] = {}
    calls: dict[JobId, tuple[str, bytes]] = {}
    for request in requests:
        there = data.jobs.get(request.id)
        mine = (request.task, request.payload)
        refuse_other_call(
            request,
            *(calls.setdefault(request.id, mine) if there is None else (there.task, there.payload)),
        )
        once = request.once
        if once is None or once.kind != "key" or there is not None:
            continue
        place = (once.name, once.key)
        mark = data.marks.get(place)
        job = None if mark is None else data.jobs.get(mark.job_id)
        stands = (request.id, request.payload) if job is None else (job.id, job.payload)
        job_id, payload = named.setdefault(place, stands)
        if payload != request.payload:
            raise KeyConflict(request.task, once.key, job_id)
