"""A store in memory, for tests and simulation: the contract in its plainest form.

Deterministic: no threads, no randomness, all time from the clock given, and nothing
suspends but a bell's wait.  Nothing survives the process.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace as with_

from windlass.core import lifecycle
from windlass.core.admission import (
    PLAIN,
    Admission,
    Head,
    Place,
    fill_from,
    holders_of,
    usage_of,
)
from windlass.model.jobs import (
    CLAIM_BATCH_MAX,
    ENQUEUE_BATCH_MAX,
    LIVE,
    TERMINAL,
    Backlog,
    Claim,
    DeadLetters,
    Event,
    Finished,
    Job,
    JobFilter,
    JobId,
    JobRequest,
    Reason,
    State,
    WorkerId,
)
from windlass.model.limits import Holder, Limits, PaceState, decode_limits
from windlass.model.outcomes import Transition
from windlass.model.topics import CLOCK, DONE, queue_topic, worker_topic
from windlass.model.workers import Lease, Swept, WorkerInfo, WorkerRow
from windlass.ports import Bell, Clock
from windlass.stores.bell import Alarm, EventBell

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_STARTED = (State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD)


@dataclass(frozen=True, slots=True)
class _Worker:
    info: WorkerInfo
    started_at: datetime
    lease_s: float
    lease_until: datetime
    ended: bool = False


def _no_jobs_by_state() -> dict[State, dict[JobId, None]]:
    return {state: {} for state in State}


@dataclass(slots=True)
class MemoryData:
    """What several stores share, as several processes share one database."""

    schema: int = 0
    jobs: dict[JobId, Job] = field(default_factory=dict)
    by_state: dict[State, dict[JobId, None]] = field(default_factory=_no_jobs_by_state)
    unique: dict[tuple[str, str], JobId] = field(default_factory=dict)
    events: dict[JobId, list[Event]] = field(default_factory=dict)
    workers: dict[WorkerId, _Worker] = field(default_factory=dict)
    paces: dict[tuple[str, str], PaceState] = field(default_factory=dict)
    bells: list[EventBell] = field(default_factory=list)
    swept_at: datetime | None = None

    def put(self, job: Job) -> None:
        """Insert or replace a row and keep the indexes right."""
        old = self.jobs.get(job.id)
        if old is not None:
            del self.by_state[old.state][old.id]
        self.jobs[job.id] = job
        self.by_state[job.state][job.id] = None
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

    def in_state(self, *states: State) -> list[Job]:
        """Return the jobs in these states, oldest id first."""
        return [self.jobs[i] for i in sorted(i for state in states for i in self.by_state[state])]

    def ring(self, topic: str) -> None:
        """Wake whoever listens to ``topic``."""
        for bell in self.bells:
            if topic in bell.topics:
                bell.ring()


class MemoryStore:
    """A ``Store`` of plain dictionaries.

    amnesty: after a gap between sweeps that is longer than a lease (a suspended
             laptop), the first sweep extends leases instead of judging them.
    data:    share the rows of another store, as a second process would.
    """

    def __init__(
        self, clock: Clock, *, amnesty: bool = True, data: MemoryData | None = None
    ) -> None:
        self.data = MemoryData() if data is None else data
        self._clock = clock
        self._amnesty = amnesty
        self._bells: list[EventBell] = []
        self._last_place: Place = PLAIN  # whose turn it was in the last claim
        self._alarm = Alarm(self.data.ring)

    @property
    def url(self) -> str:
        """Where this is."""
        return "memory://"

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Silence the bells of this store.  Idempotent."""
        self._alarm.close()
        for bell in list(self._bells):
            bell.close()

    async def migrate(self) -> list[int]:
        """Count as one migration, so that callers see what they see elsewhere."""
        applied = [1] if self.data.schema == 0 else []
        self.data.schema = 1
        return applied

    # -- enqueue -------------------------------------------------------------

    async def enqueue(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs, all or none; return the id of each, in the order given."""
        assert len(requests) <= ENQUEUE_BATCH_MAX
        now = self._clock.now()
        return [self._insert(request, now) for request in requests]

    def _insert(self, request: JobRequest, now: datetime) -> JobId:
        if request.id in self.data.jobs:
            return request.id
        if request.unique_key is not None:
            holder = self.data.unique.get((request.task, request.unique_key))
            if holder is not None:
                return holder
        job = _job_from(request, now)
        self.data.put(job)
        self._announce(job)
        if request.retry_of is not None:
            self._mark_resolved(request.retry_of, now)
        return job.id

    def _mark_resolved(self, job_id: JobId, now: datetime) -> Job | None:
        job = self.data.jobs.get(job_id)
        if job is None or job.state is not State.FAILED or job.resolved_at is not None:
            return None
        self.data.put(with_(job, resolved_at=now))
        return job

    # -- claim ---------------------------------------------------------------

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        """Move up to ``limit`` queued jobs of ``queues`` to running under ``worker``."""
        assert 1 <= limit <= CLAIM_BATCH_MAX
        now = self._clock.now()
        if not self._has_lease(worker, now):
            return []
        ready = [
            job
            for job in self.data.in_state(State.QUEUED)
            if job.queue in queues and not _is_expired(job, now)
        ]
        ready.sort(key=lambda job: (-job.priority, job.due_at, job.id))
        heads: dict[Place, list[Head]] = {}
        for job in ready:
            place = PLAIN if job.lane is None else (job.queue, job.lane)
            heads.setdefault(place, []).append(Head(job.id, job.priority, _us(job.due_at)))
        lanes = {
            (job.queue, job.lane): decode_limits(job.limits)
            for job in ready
            if job.lane is not None and job.limits is not None
        }
        running = (job.limits for job in self.data.in_state(State.RUNNING))
        usage = usage_of((limits, 1) for limits in running if limits is not None)
        admission = Admission(limit, _us(now), usage, self.data.paces.values())
        plain = heads.get(PLAIN, [])
        fill_from(
            admission,
            lanes,
            plain,
            self._last_place,
            lambda wanted: {place: heads[place][:count] for place, count in wanted.items()},
        )
        self._last_place = admission.last_place or self._last_place
        self.data.paces.update({(pace.name, pace.key): pace for pace in admission.paces})
        if admission.wake_in_us is not None:
            for queue in queues:
                self._alarm.set(queue_topic(queue), admission.wake_in_us / 1e6)
        return [self._take(self.data.jobs[job_id], worker, now) for job_id in admission.taken]

    def _take(self, job: Job, worker: WorkerId, now: datetime) -> Claim:
        held = with_(
            job,
            state=State.RUNNING,
            reason=None,
            fence=job.fence + 1,
            attempt=job.attempt + 1,
            worker=worker,
            started_at=now,
        )
        self.data.put(held)
        return _claim_of(held)

    async def held(self, worker: WorkerId) -> list[Claim]:
        """Return what ``worker`` runs, as the store has it."""
        running = self.data.in_state(State.RUNNING)
        return [_claim_of(job) for job in running if job.worker == worker]

    def _has_lease(self, worker: WorkerId, now: datetime) -> bool:
        row = self.data.workers.get(worker)
        return row is not None and not row.ended and row.lease_until > now

    # -- settle --------------------------------------------------------------

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Apply each transition whose ``(job_id, before, fence)`` still stands."""
        now = self._clock.now()
        return [self._apply(transition, now) for transition in transitions]

    def _apply(self, transition: Transition, now: datetime) -> bool:
        job = self.data.jobs.get(transition.job_id)
        if job is None or not _stands(transition, job):
            return False
        settled = _after(transition, job, now)
        self.data.put(settled)
        if transition.error is not None or transition.actor is not None:
            self._record(job, settled, now, actor=transition.actor, error=transition.error)
        self._announce(settled)
        return True

    # -- leases --------------------------------------------------------------

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        """Extend, or first create, the lease of ``worker`` to now + ``lease_s``."""
        now = self._clock.now()
        row = self.data.workers.get(worker.id)
        if row is not None and row.ended:
            return Lease(held=False)
        self.data.workers[worker.id] = _Worker(
            info=worker,
            started_at=now if row is None else row.started_at,
            lease_s=lease_s,
            lease_until=now + timedelta(seconds=lease_s),
        )
        cancels = tuple(
            job.id
            for job in self.data.in_state(State.RUNNING)
            if job.worker == worker.id and job.reason is Reason.CANCEL_REQUESTED
        )
        return Lease(held=True, cancels=cancels)

    async def leave(self, worker: WorkerId) -> None:
        """End the lease of ``worker`` now; what it still runs counts as lost.  Idempotent."""
        row = self.data.workers.get(worker)
        if row is not None and not row.ended:
            self.data.workers[worker] = replace(row, ended=True, lease_until=self._clock.now())

    async def workers(self) -> list[WorkerRow]:
        """Return the workers whose lease has not been found ended."""
        running = Counter(job.worker for job in self.data.in_state(State.RUNNING))
        return [
            WorkerRow(
                id=row.info.id,
                host=row.info.host,
                pid=row.info.pid,
                queues=row.info.queues,
                slots=row.info.slots,
                running=running[row.info.id],
                started_at=row.started_at,
                lease_until=row.lease_until,
            )
            for row in self.data.workers.values()
            if not row.ended
        ]

    # -- sweep ---------------------------------------------------------------

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        """Make the clock's moves, at most ``limit`` of each kind."""
        now = self._clock.now()
        self._judge_workers(now)
        expired = self._expire(now, limit)
        rescued, poisoned = self._rescue(now, limit, losses_max)
        promoted = self._promote(now, limit)
        due = min((job.due_at for job in self.data.in_state(State.SCHEDULED)), default=None)
        return Swept(
            promoted=promoted,
            rescued=rescued,
            poisoned=poisoned,
            expired=expired,
            next_due_s=None if due is None else max(0.0, (due - now).total_seconds()),
        )

    def _judge_workers(self, now: datetime) -> None:
        swept_at, self.data.swept_at = self.data.swept_at, now
        for worker, row in self.data.workers.items():
            if row.ended:
                continue
            lease = timedelta(seconds=row.lease_s)
            if self._amnesty and (swept_at is None or now - swept_at > lease):
                # Nobody was there to judge: perhaps the whole machine slept.
                self.data.workers[worker] = replace(row, lease_until=now + lease)
            elif row.lease_until <= now:
                self.data.workers[worker] = replace(row, ended=True)

    def _expire(self, now: datetime, limit: int) -> int:
        late = [job for job in self.data.in_state(*_NOT_STARTED) if _is_expired(job, now)]
        for job in late[:limit]:
            self._move(job, State.FAILED, Reason.EXPIRED, now)
        return len(late[:limit])

    def _rescue(self, now: datetime, limit: int, losses_max: int) -> tuple[int, int]:
        lost = [job for job in self.data.in_state(State.RUNNING) if self._is_lost(job)][:limit]
        poisoned = 0
        for job in lost:
            counted = with_(job, losses=job.losses + 1)
            if job.reason is Reason.CANCEL_REQUESTED:
                self._move(counted, State.CANCELLED, None, now)
            elif counted.losses >= losses_max:
                self._move(counted, State.FAILED, Reason.POISON, now)
                poisoned += 1
            else:
                self._move(counted, State.QUEUED, None, now)
        return len(lost) - poisoned, poisoned

    def _promote(self, now: datetime, limit: int) -> int:
        due = [job for job in self.data.in_state(State.SCHEDULED) if job.due_at <= now]
        due.sort(key=lambda job: (job.due_at, job.id))
        for job in due[:limit]:
            promoted = with_(job, state=State.QUEUED, reason=None)
            self.data.put(promoted)
            self._announce(promoted)
        return len(due[:limit])

    def _is_lost(self, job: Job) -> bool:
        row = None if job.worker is None else self.data.workers.get(job.worker)
        return row is None or row.ended

    def _move(self, job: Job, after: State, reason: Reason | None, now: datetime) -> None:
        assert (job.state, after) in lifecycle.SWEEP_MOVES
        moved = with_(
            job,
            state=after,
            reason=reason,
            worker=None,
            ended_at=now if after in TERMINAL else None,
        )
        self.data.put(moved)
        self._record(job, moved, now)
        self._announce(moved)

    # -- reading -------------------------------------------------------------

    def listen(self, topics: Collection[str]) -> Bell:
        """Subscribe to wake-ups about ``topics``."""
        bell = EventBell(topics, self._drop)
        self._bells.append(bell)
        self.data.bells.append(bell)
        return bell

    def _drop(self, bell: EventBell) -> None:
        if bell in self._bells:
            self._bells.remove(bell)
            self.data.bells.remove(bell)

    async def results(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Finished]:
        """Return how those of ``job_ids`` which have ended did end."""
        found = (self.data.jobs.get(job_id) for job_id in job_ids)
        return {
            job.id: Finished(job.id, job.task, job.state, job.reason, job.result, job.error)
            for job in found
            if job is not None and job.state in TERMINAL
        }

    async def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if there is none of this id."""
        return self.data.jobs.get(job_id)

    async def jobs(self, where: JobFilter, *, limit: int, before: JobId | None = None) -> list[Job]:
        """List jobs, newest id first; ``before`` pages on from the last id of a page."""
        found = (job for _, job in sorted(self.data.jobs.items(), reverse=True))
        page = [job for job in found if _fits(job, where) and (before is None or job.id < before)]
        return page[:limit]

    async def holders(self, limits: Limits) -> list[Holder]:
        """Say of each cap and pace what it lets through, and who has it now."""
        running = (
            (job.id, job.limits)
            for job in self.data.in_state(State.RUNNING)
            if job.limits is not None
        )
        return holders_of(limits, running, self.data.paces.values(), _us(self._clock.now()))

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        return dict(Counter((job.queue, job.state) for job in self.data.jobs.values()))

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint."""
        groups = Counter((j.task, j.queue, j.fingerprint) for j in self.data.in_state(*LIVE))
        found = [Backlog(*group, count) for group, count in groups.items()]
        return sorted(found, key=_backlog_order)

    async def dead_letters(self, *, limit: int) -> list[DeadLetters]:
        """Group the failed jobs that nobody has resolved, by task, error and reason."""
        groups: dict[tuple[str, str, Reason], list[Job]] = {}
        for job in self.data.in_state(State.FAILED):
            if job.resolved_at is None:
                assert job.reason is not None
                groups.setdefault((job.task, job.error_type or "", job.reason), []).append(job)
        letters = [_letters(*key, jobs) for key, jobs in groups.items()]
        letters.sort(key=lambda group: (-group.count, group.task, group.error_type, group.reason))
        return letters[:limit]

    async def resolve(self, job_ids: Sequence[JobId], actor: str) -> list[bool]:
        """Discard dead letters: mark them resolved, each with an event.  No state changes."""
        now = self._clock.now()
        resolved = []
        for job_id in job_ids:
            job = self._mark_resolved(job_id, now)
            if job is not None:
                self._record(job, job, now, actor=actor)
            resolved.append(job is not None)
        return resolved

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the events of a job, oldest first."""
        return list(self.data.events.get(job_id, ()))

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Delete up to ``limit`` jobs that ended that long ago (dead letters stay)."""
        horizon = self._clock.now() - timedelta(seconds=older_than_s)
        old = [
            job.id
            for job in self.data.in_state(*TERMINAL)
            if job.ended_at is not None and job.ended_at <= horizon and not _is_dead_letter(job)
        ][:limit]
        for job_id in old:
            self.data.drop(job_id)
        return len(old)

    # -- writing down and telling --------------------------------------------

    def _record(
        self,
        before: Job,
        after: Job,
        now: datetime,
        *,
        actor: str | None = None,
        error: bytes | None = None,
    ) -> None:
        history = self.data.events.setdefault(after.id, [])
        event = Event(
            job_id=after.id,
            seq=len(history) + 1,
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
        history.append(event)

    def _announce(self, job: Job) -> None:
        if job.state in TERMINAL:
            self.data.ring(DONE)
        elif job.state is State.QUEUED:
            self.data.ring(queue_topic(job.queue))
        elif job.state is State.SCHEDULED:
            self.data.ring(CLOCK)
        elif job.state is State.RUNNING and job.worker is not None:
            self.data.ring(worker_topic(job.worker))


def _claim_of(job: Job) -> Claim:
    return Claim(
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
    )


def _job_from(request: JobRequest, now: datetime) -> Job:
    assert request.run_at is None or request.delay_s == 0
    due_at = request.run_at or now + timedelta(seconds=request.delay_s)
    expires_at = request.expires_at
    if request.expires_s is not None:
        expires_at = now + timedelta(seconds=request.expires_s)
    is_due = due_at <= now
    return Job(
        id=request.id,
        task=request.task,
        queue=request.queue,
        state=State.QUEUED if is_due else State.SCHEDULED,
        reason=None if is_due else Reason.DELAY,
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
    )


def _stands(transition: Transition, job: Job) -> bool:
    if (job.state, job.fence) != (transition.before, transition.fence):
        return False
    if (transition.before, transition.after) not in lifecycle.SETTLE_MOVES:
        return False
    if transition.after is State.RUNNING:  # a cancel request: asked for once
        return job.reason is None and transition.reason is Reason.CANCEL_REQUESTED
    return True


def _after(transition: Transition, job: Job, now: datetime) -> Job:
    after, reason = transition.after, transition.reason
    again = after in (State.SCHEDULED, State.QUEUED)
    if again and job.reason is Reason.CANCEL_REQUESTED:
        after, reason, again = State.CANCELLED, None, False
    return with_(
        job,
        state=after,
        reason=reason,
        attempt=transition.attempt,
        failures=transition.failures,
        worker=job.worker if after is State.RUNNING else None,
        result=transition.result,
        error=job.error if transition.error is None else transition.error,
        error_type=job.error_type if transition.error is None else transition.error_type,
        due_at=now + timedelta(seconds=transition.delay_s) if again else job.due_at,
        ended_at=now if after in TERMINAL else None,
    )


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _is_expired(job: Job, now: datetime) -> bool:
    return job.expires_at is not None and job.expires_at <= now


def _is_dead_letter(job: Job) -> bool:
    return job.state is State.FAILED and job.resolved_at is None


def _fits(job: Job, where: JobFilter) -> bool:
    return (
        (where.states is None or job.state in where.states)
        and (where.task is None or job.task == where.task)
        and (where.queue is None or job.queue == where.queue)
        and (where.error_type is None or job.error_type == where.error_type)
        and (not where.unresolved or _is_dead_letter(job))
        and (where.fingerprint is UNSET or job.fingerprint == where.fingerprint)
    )


def _backlog_order(group: Backlog) -> tuple[str, str, int]:
    return group.task, group.queue, -1 if group.fingerprint is None else group.fingerprint


def _letters(task: str, error_type: str, reason: Reason, jobs: list[Job]) -> DeadLetters:
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
