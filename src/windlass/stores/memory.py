"""A store in memory, for tests and simulation: the contract in its plainest form.

Deterministic: no threads, no randomness, all time from the clock given, and nothing
suspends but a bell's wait.  Nothing survives the process.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from msgspec.structs import replace as with_

from windlass.core import lifecycle
from windlass.core.admission import (
    PLAIN,
    Place,
    batched,
    holders_of,
)
from windlass.core.holds import Candidate, Standing, holding, open_queues
from windlass.core.once import Insert, Replace, decide
from windlass.core.once import Standing as OnceStanding
from windlass.errors import JobNotFound, TooManyHolds
from windlass.model.holds import HOLDS_MAX, Hold, HoldId, HoldRequest
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
    Input,
    Job,
    JobFilter,
    JobId,
    JobRequest,
    Reason,
    RunKind,
    State,
    WorkerId,
)
from windlass.model.limits import Holder, Limits
from windlass.model.once import Once
from windlass.model.outcomes import Transition
from windlass.model.progress import REPORT_BATCH_MAX, Progress, ProgressReport
from windlass.model.topics import CLOCK, PROGRESS, queue_topic, worker_topic
from windlass.model.workers import Lease, Swept, WorkerInfo, WorkerRow
from windlass.ports import Bell, Clock
from windlass.stores.bell import Alarm, EventBell
from windlass.stores.memory_edges import MemoryEdges
from windlass.stores.memory_rows import (
    NOT_STARTED,
    MemoryData,
    Worker,
    admitted,
    after,
    backlog_order,
    claim_of,
    finished_from,
    fits,
    grouped_letters,
    is_dead_letter,
    is_expired,
    job_from,
    refuse_conflicts,
    stands,
    us,
)
from windlass.stores.memory_runs import MemoryRuns
from windlass.stores.memory_schedules import MemorySchedules


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
        self._edges = MemoryEdges(self.data)
        self.runs = MemoryRuns(self.data)
        self.schedules = MemorySchedules(
            self.data, clock, lambda request: self._insert_all([request], clock.now())[0]
        )

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
        new = {request.id for request in requests}
        for edge in (edge for request in requests for edge in request.after):
            if edge.parent not in new and edge.parent not in self.data.jobs:
                raise JobNotFound(edge.parent)  # looked for first, so that nothing is inserted
        refuse_conflicts(self.data, requests)
        return self._insert_all(requests, now)

    def _insert_all(self, requests: Sequence[JobRequest], now: datetime) -> list[JobId]:
        stored: dict[JobId, JobId] = {}
        for request in requests:
            is_new = request.id not in self.data.jobs
            if request.once is not None and is_new:
                stored[request.id] = self._insert_once(request, request.once, now)
                continue
            stored[request.id] = self._insert(request, now)
            if is_new and stored[request.id] == request.id:
                if request.step is not None:
                    self.data.steps[request.id] = request.step
                if request.after:
                    self._edges.add(request, stored, now)
        return [stored[request.id] for request in requests]

    def _insert_once(self, request: JobRequest, once: Once, now: datetime) -> JobId:
        mark = self.data.marks.get((once.name, once.key))
        job = None if mark is None else self.data.jobs.get(mark.job_id)
        begun = None if job is None else OnceStanding(job.state, job.attempt > 0)
        decision = decide(once, request.id, mark, begun, us(now))
        match decision:
            case Insert(delay_us):
                delay_s = request.delay_s + delay_us / 1e6
                self._insert(with_(request, delay_s=delay_s), now)
            case Replace(delay_us) if job is not None:
                due_at = job.due_at
                if delay_us is not None and job.state is State.SCHEDULED:
                    due_at = now + timedelta(microseconds=delay_us)
                newer = with_(
                    job,
                    payload=request.payload,
                    headers=request.headers,
                    fingerprint=request.fingerprint,
                    lane=request.lane,
                    limits=request.limits,
                    due_at=due_at,
                )
                self.data.put(newer)
                self.data.announce(newer)
            case _:
                pass
        self.data.marks[once.name, once.key] = decision.mark
        return decision.mark.job_id

    async def inputs(self, job_id: JobId) -> list[Input]:
        """Return what the jobs that this one waited for give it, in the order of its edges."""
        found = []
        for edge in self.data.edges.get(job_id, ()):
            if edge.slot is None:
                continue
            parent = self.data.jobs.get(edge.parent)
            if parent is None:
                continue  # the job has ended, and this one was deleted since
            ends = finished_from(parent)
            facts = parent.id, parent.task, edge.slot, edge.position, ends.result, ends.expired_at
            found.append(Input(*facts))
        return found

    def _insert(self, request: JobRequest, now: datetime) -> JobId:
        if request.id in self.data.jobs:
            return request.id
        if request.unique_key is not None:
            holder = self.data.unique.get((request.task, request.unique_key))
            if holder is not None:
                return holder
        job = job_from(request, now)
        self.data.put(job)
        self.data.announce(job)
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
        holds = [
            Standing(h.id, h.reason, h.queue, h.task, h.key, h.arguments) for h in self._standing()
        ]
        queues = open_queues(holds, queues)
        ready = []
        for job in self.data.in_state(State.QUEUED):
            if job.queue not in queues or is_expired(job, now):
                continue
            candidate = Candidate(job.id, job.queue, job.task, job.payload, job.limits)
            hold = holding(holds, candidate)
            if hold is None:
                ready.append(job)
                continue
            held = with_(job, state=State.HELD, reason=hold.reason, held_by=hold.id)
            self.data.put(held)
            self.data.record(job, held, now)
        ready.sort(key=lambda job: (-job.priority, job.due_at, job.id))
        admission = admitted(self.data, ready, limit, us(now), self._last_place)
        self._last_place = admission.last_place or self._last_place
        self.data.paces.update({(pace.name, pace.key): pace for pace in admission.paces})
        if admission.wake_in_us is not None:
            for queue in queues:
                self._alarm.set(queue_topic(queue), admission.wake_in_us / 1e6)
        taken = [self._take(self.data.jobs[job_id], worker, now) for job_id in admission.taken]
        return batched(taken, admission.batch_of)

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
        return claim_of(held, now)

    async def held(self, worker: WorkerId) -> list[Claim]:
        """Return what ``worker`` runs, as the store has it."""
        now = self._clock.now()
        running = self.data.in_state(State.RUNNING)
        return [claim_of(job, now) for job in running if job.worker == worker]

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
        if job is None or not stands(transition, job):
            return False
        if transition.after_children and job.reason is not Reason.CANCEL_REQUESTED:
            stored = self._insert_all(transition.children, now)
            requests = zip(transition.children, stored, strict=True)
            stored_for = {request.id: job_id for request, job_id in requests}
            self._edges.go_on(transition, job, stored_for, now)
            return True
        settled = after(transition, job, now)
        self.data.put(settled)
        if transition.error is not None or transition.actor is not None:
            self.data.record(job, settled, now, actor=transition.actor, error=transition.error)
        self.data.announce(settled)
        self._edges.advance(settled, now)
        return True

    # -- leases --------------------------------------------------------------

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        """Extend, or first create, the lease of ``worker`` to now + ``lease_s``."""
        now = self._clock.now()
        row = self.data.workers.get(worker.id)
        if row is not None and row.ended:
            return Lease(held=False)
        self.data.workers[worker.id] = Worker(
            info=worker,
            started_at=now if row is None else row.started_at,
            lease_s=lease_s,
            lease_until=now + timedelta(seconds=lease_s),
            drains=row is not None and row.drains,
        )
        cancels = tuple(
            job.id
            for job in self.data.in_state(State.RUNNING)
            if job.worker == worker.id and job.reason is Reason.CANCEL_REQUESTED
        )
        drains = row is not None and row.drains
        return Lease(held=True, cancels=cancels, drains=drains)

    async def drain(self, worker: WorkerId) -> bool:
        """Have a worker told, with its next renewal, to stop gracefully.  False if it is gone."""
        row = self.data.workers.get(worker)
        if row is None or row.ended:
            return False
        self.data.workers[worker] = replace(row, drains=True)
        self.data.ring(worker_topic(worker))
        return True

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
        lifted = self._lift(now, limit)
        promoted = self._promote(now, limit)
        due = min((job.due_at for job in self.data.in_state(State.SCHEDULED)), default=None)
        return Swept(
            promoted=promoted,
            rescued=rescued,
            poisoned=poisoned,
            expired=expired,
            lifted=lifted,
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
        late = [job for job in self.data.in_state(*NOT_STARTED) if is_expired(job, now)]
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
            elif counted.losses >= losses_max and job.kind is not RunKind.WORKFLOW:
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
            self.data.announce(promoted)
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
        self.data.record(job, moved, now)
        self.data.announce(moved)
        self._edges.advance(moved, now)

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
            job.id: finished_from(job) for job in found if job is not None and job.state in TERMINAL
        }

    async def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if there is none of this id."""
        return self.data.jobs.get(job_id)

    async def jobs(self, where: JobFilter, *, limit: int, before: JobId | None = None) -> list[Job]:
        """List jobs, newest id first; ``before`` pages on from the last id of a page."""
        found = (job for _, job in sorted(self.data.jobs.items(), reverse=True))
        page = [
            job
            for job in found
            if fits(job, where, self.data) and (before is None or job.id < before)
        ]
        return page[:limit]

    async def holders(self, limits: Limits) -> list[Holder]:
        """Say of each cap and pace what it lets through, and who has it now."""
        running = ((job.id, job.limits) for job in self.data.in_lanes() if job.limits is not None)
        return holders_of(limits, running, self.data.paces.values(), us(self._clock.now()))

    # -- holds ---------------------------------------------------------------

    async def hold(self, request: HoldRequest) -> None:
        """Keep jobs from starting, from now on; what runs goes on."""
        if request.id in self.data.holds:
            return
        if len(self.data.holds) >= HOLDS_MAX:
            raise TooManyHolds(HOLDS_MAX)
        now = self._clock.now()
        expires_s = request.expires_s
        self.data.holds[request.id] = Hold(
            id=request.id,
            reason=request.reason,
            actor=request.actor,
            why=request.why,
            queue=request.queue,
            task=request.task,
            key=request.key,
            arguments=request.arguments,
            created_at=now,
            expires_at=None if expires_s is None else now + timedelta(seconds=expires_s),
        )

    async def lift(self, hold_id: HoldId, actor: str) -> bool:
        """End a hold; sweeps queue again what it held.  False if it is not in force."""
        hold = next((hold for hold in self._standing() if hold.id == hold_id), None)
        if hold is None:
            return False
        self._end_hold(hold)
        return True

    async def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        held = Counter(job.held_by for job in self.data.in_state(State.HELD))
        return [with_(hold, jobs=held[hold.id]) for hold in self._standing()]

    def _standing(self) -> list[Hold]:
        now = self._clock.now()
        return [
            hold
            for hold in self.data.holds.values()
            if hold.expires_at is None or hold.expires_at > now
        ]

    def _end_hold(self, hold: Hold) -> None:
        del self.data.holds[hold.id]
        self.data.ring(CLOCK)
        if hold.queue is not None:
            self.data.ring(queue_topic(hold.queue))

    def _lift(self, now: datetime, limit: int) -> int:
        standing = {hold.id for hold in self._standing()}
        for hold in [hold for hold in self.data.holds.values() if hold.id not in standing]:
            self._end_hold(hold)
        held = [job for job in self.data.in_state(State.HELD) if job.held_by is not None]
        lifted = [job for job in held if job.held_by not in standing][:limit]
        for job in lifted:
            self._move(with_(job, held_by=None), State.QUEUED, None, now)
        return len(lifted)

    async def report_progress(self, reports: Sequence[ProgressReport]) -> list[bool]:
        """Keep how far attempts are, each only while its job runs under its fence."""
        assert len(reports) <= REPORT_BATCH_MAX
        now = self._clock.now()
        kept = []
        for report in reports:
            job = self.data.jobs.get(report.job_id)
            holds = job is not None and (job.state, job.fence) == (State.RUNNING, report.fence)
            if holds:
                said = Progress(report.fraction, report.message, now)
                self.data.progress[report.job_id] = said
                self.data.ring(PROGRESS)
            kept.append(holds)
        return kept

    async def progress(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Progress]:
        """Return what those of the jobs that ever said how far they are said last."""
        found = self.data.progress
        return {job_id: found[job_id] for job_id in job_ids if job_id in found}

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        return dict(Counter((job.queue, job.state) for job in self.data.jobs.values()))

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint."""
        groups = Counter((j.task, j.queue, j.fingerprint) for j in self.data.in_state(*LIVE))
        found = [Backlog(*group, count) for group, count in groups.items()]
        return sorted(found, key=backlog_order)

    async def dead_letters(self, *, limit: int) -> list[DeadLetters]:
        """Group the failed jobs that nobody has resolved, by task, error and reason."""
        return grouped_letters(self.data.in_state(State.FAILED), limit)

    async def resolve(self, job_ids: Sequence[JobId], actor: str) -> list[bool]:
        """Discard dead letters: mark them resolved, each with an event.  No state changes."""
        now = self._clock.now()
        resolved = []
        for job_id in job_ids:
            job = self._mark_resolved(job_id, now)
            if job is not None:
                self.data.record(job, job, now, actor=actor)
            resolved.append(job is not None)
        return resolved

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the events of a job, oldest first."""
        return list(self.data.events.get(job_id, ()))

    async def delete(self, job_ids: Sequence[JobId]) -> int:
        """Delete those of the jobs which have ended, with their events; count them."""
        ended = [
            job_id
            for job_id in dict.fromkeys(job_ids)
            if job_id in self.data.jobs
            and self.data.jobs[job_id].state in TERMINAL
            and not self.data.is_needed(job_id)
        ]
        for job_id in ended:
            self.data.drop(job_id)
        return len(ended)

    async def expire_results(self, limit: int) -> int:
        """Drop up to ``limit`` results whose time is over; count them."""
        now = self._clock.now()
        late = [
            job
            for job in self.data.in_state(State.SUCCEEDED)
            if job.result is not None
            and job.result_until is not None
            and job.result_until <= now
            and not self.data.is_needed(job.id)
        ]
        late.sort(key=lambda job: job.result_until or now)
        for job in late[:limit]:
            self.data.put(with_(job, result=None))
        return len(late[:limit])

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Delete up to ``limit`` jobs that ended that long ago (dead letters stay)."""
        horizon = self._clock.now() - timedelta(seconds=older_than_s)
        old = [
            job.id
            for job in self.data.in_state(*TERMINAL)
            if job.ended_at is not None
            and job.ended_at <= horizon
            and not is_dead_letter(job)
            and not self.data.is_needed(job.id)
        ][:limit]
        for job_id in old:
            self.data.drop(job_id)
        return len(old)
