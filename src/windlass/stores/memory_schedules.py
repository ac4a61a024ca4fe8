"""Schedules in memory: the contract in its plainest form."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace as with_

from windlass.errors import LeaderLost
from windlass.model.backfills import (
    BACKFILL_BATCH_MAX,
    Backfill,
    BackfillId,
    BackfillJob,
    BackfillRequest,
)
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.schedules import (
    FIRE_BATCH_MAX,
    LEADER_LEASE_S_MAX,
    SAVE_BATCH_MAX,
    DueSchedule,
    DueSchedules,
    Fire,
    FoundSchedules,
    Leadership,
    RecentJob,
    SchedulePlan,
    ScheduleRow,
    Status,
)
from windlass.model.topics import SCHEDULES
from windlass.ports import Clock
from windlass.stores.memory_rows import MemoryData


class MemorySchedules:
    """``Schedules`` of plain dictionaries.

    insert: of the store that they are part of: inserts a job, and says who stands for it.
    """

    def __init__(
        self, data: MemoryData, clock: Clock, insert: Callable[[JobRequest], JobId]
    ) -> None:
        self._data = data
        self._clock = clock
        self._insert = insert

    async def find(self, names: Sequence[str]) -> FoundSchedules:
        """Return the schedules of these names that there are, removed ones too."""
        rows = self._data.schedules
        return self._found([rows[name] for name in sorted(names) if name in rows])

    async def page(
        self, *, limit: int, after: str = "", status: Status | None = None
    ) -> FoundSchedules:
        """List schedules by name; ``after`` pages on from the last name of a page."""
        wanted = set(Status) - {Status.REMOVED} if status is None else {status}
        rows = sorted(self._data.schedules.values(), key=lambda row: row.name)
        kept = [row for row in rows if row.name > after and row.status in wanted]
        return self._found(kept[:limit])

    def _found(self, rows: Sequence[ScheduleRow]) -> FoundSchedules:
        return FoundSchedules(self._clock.now(), tuple(rows))

    async def save(self, plans: Sequence[SchedulePlan]) -> list[bool]:
        """Write edits, each if its row is still what it was made from."""
        assert len(plans) <= SAVE_BATCH_MAX
        saved = [self._write(plan) for plan in plans]
        if any(saved):
            self._data.ring(SCHEDULES)
        return saved

    def _write(self, plan: SchedulePlan) -> bool:
        stored = self._data.schedules.get(plan.row.name)
        if (0 if stored is None else stored.revision) != plan.row.revision - 1:
            return False
        self._data.schedules[plan.row.name] = plan.row
        self._record(plan)
        return True

    def _record(self, plan: SchedulePlan) -> None:
        requests = {request.id: request for request in plan.requests}
        for fire in plan.fires:
            key = (fire.schedule, fire.version, fire.fire_at)
            if key in self._data.fires:
                continue
            if fire.job_id is not None:
                fire = with_(fire, job_id=self._insert(requests[fire.job_id]))
            self._data.fires[key] = fire

    async def due(self, limit: int) -> DueSchedules:
        """Return what is due, the longest due first, or when the next one will be."""
        now = self._clock.now()
        waiting = [
            (row.due_at, row.name)
            for row in self._data.schedules.values()
            if row.due_at is not None
        ]
        due = [name for due_at, name in sorted(waiting) if due_at <= now][:limit]
        if not due:
            next_at = min(waiting, default=(None, ""))[0]
            next_s = None if next_at is None else (next_at - now).total_seconds()
            return DueSchedules(now, next_due_s=next_s)
        return DueSchedules(now, tuple(self._with_recent(self._data.schedules[n]) for n in due))

    def _with_recent(self, row: ScheduleRow) -> DueSchedule:
        recent: list[RecentJob] = []
        for fire in self._fires_of(row.name):
            if fire.job_id is not None and len(recent) < row.look_back:
                job = self._data.jobs.get(fire.job_id)
                state = None if job is None else job.state
                recent.append(RecentJob(fire.job_id, fire.fire_at, state))
        return DueSchedule(row, tuple(recent))

    def _fires_of(self, name: str) -> list[Fire]:
        fires = (fire for fire in self._data.fires.values() if fire.schedule == name)
        return sorted(fires, key=lambda fire: fire.fire_at, reverse=True)

    async def fire(self, plans: Sequence[SchedulePlan], *, leader: str, term: int) -> list[bool]:
        """Write plans under the leader's term, each if its row is still what it was made from."""
        assert len(plans) <= FIRE_BATCH_MAX
        stands = self._data.leader
        if stands is None or stands[:2] != (leader, term) or stands[2] <= self._clock.now():
            raise LeaderLost(leader, term)
        return [self._write(plan) for plan in plans]

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        fires = self._fires_of(name)
        return [fire for fire in fires if before is None or fire.fire_at < before][:limit]

    # -- backfills -----------------------------------------------------------

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, oldest first."""
        jobs = [(f.fire_at, f.job_id) for f in self._fires_of(name) if f.job_id is not None]
        for (backfill, fire_at), job_id in self._data.backfill_jobs.items():
            if self._data.backfills[backfill].request.schedule == name:
                jobs.append((fire_at, job_id))
        within = sorted((at, job_id) for at, job_id in jobs if since <= at < until)
        return [RecentJob(job_id, at, self._state(job_id)) for at, job_id in within[:limit]]

    def _state(self, job_id: JobId) -> State | None:
        job = self._data.jobs.get(job_id)
        return None if job is None else job.state

    async def add_backfill(
        self, request: BackfillRequest, jobs: Sequence[tuple[datetime, JobRequest]]
    ) -> None:
        """Keep a backfill, and insert jobs for ticks of it that have none yet."""
        assert len(jobs) <= BACKFILL_BATCH_MAX
        fresh = Backfill(request=request, created_at=self._clock.now(), cancelled_at=None, jobs={})
        stands = self._data.backfills.setdefault(request.id, fresh)
        if stands.cancelled_at is not None:
            return
        for fire_at, job in jobs:
            if (request.id, fire_at) not in self._data.backfill_jobs:
                self._data.backfill_jobs[request.id, fire_at] = self._insert(job)

    async def backfills(self, *, limit: int, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first."""
        found = [
            with_(backfill, jobs=Counter(job.state for job in await self.backfill_jobs(name)))
            for name, backfill in self._data.backfills.items()
            if schedule is None or backfill.request.schedule == schedule
        ]
        return sorted(found, key=lambda b: (b.created_at, b.request.id), reverse=True)[:limit]

    async def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        return [
            BackfillJob(fire_at, job_id, self._state(job_id))
            for (name, fire_at), job_id in sorted(self._data.backfill_jobs.items())
            if name == backfill
        ]

    async def end_backfill(self, backfill: BackfillId) -> bool:
        """Mark a backfill as cancelled.  False if there is none."""
        stands = self._data.backfills.get(backfill)
        if stands is not None and stands.cancelled_at is None:
            self._data.backfills[backfill] = with_(stands, cancelled_at=self._clock.now())
        return stands is not None

    # -- leading -------------------------------------------------------------

    async def lead(self, candidate: str, lease_s: float) -> Leadership:
        """Lead, go on leading, or learn who does."""
        now = self._clock.now()
        until = now + timedelta(seconds=lease_s)
        impossible = now + timedelta(seconds=LEADER_LEASE_S_MAX)
        stands = self._data.leader
        if stands is None:
            self._data.leader = (candidate, 1, until)
        elif stands[0] == candidate:
            self._data.leader = (candidate, stands[1], until)
        elif not now < stands[2] <= impossible:
            self._data.leader = (candidate, stands[1] + 1, until)
        assert self._data.leader is not None
        leader, term, until = self._data.leader
        return Leadership(leader, term, leader == candidate, (until - now).total_seconds())

    async def resign(self, leader: str) -> None:
        """End the lease of a leader now.  Idempotent."""
        stands, now = self._data.leader, self._clock.now()
        if stands is not None and stands[0] == leader and stands[2] > now:
            self._data.leader = (leader, stands[1], now)
            self._data.ring(SCHEDULES)

    async def leader(self) -> Leadership | None:
        """Return who leads, or led last; None if nobody ever did."""
        if self._data.leader is None:
            return None
        leader, term, until = self._data.leader
        return Leadership(leader, term, False, (until - self._clock.now()).total_seconds())

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Forget outcomes that were written that long ago; count them."""
        before = self._clock.now() - timedelta(seconds=older_than_s)
        old = [key for key, fire in self._data.fires.items() if fire.decided_at < before]
        for key in old[:limit]:
            del self._data.fires[key]
        kept = {fire.schedule for fire in self._data.fires.values()}
        for name, row in list(self._data.schedules.items()):
            if row.status is Status.REMOVED and name not in kept:
                del self._data.schedules[name]
        for backfill, found in list(self._data.backfills.items()):
            items = [key for key in self._data.backfill_jobs if key[0] == backfill]
            kept_jobs = [key for key in items if self._data.backfill_jobs[key] in self._data.jobs]
            if found.created_at < before and not kept_jobs:
                del self._data.backfills[backfill]
                for item in items:
                    del self._data.backfill_jobs[item]
        return len(old[:limit])
