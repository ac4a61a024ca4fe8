"""Schedules in the file: found, planned for, and written under the revision and the term."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from windlass.errors import LeaderLost
from windlass.model.backfills import (
    BACKFILL_BATCH_MAX,
    Backfill,
    BackfillId,
    BackfillJob,
    BackfillRequest,
)
from windlass.model.jobs import JobRequest
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
from windlass.stores.sqlite import backfills
from windlass.stores.sqlite import schedule_sql as sql
from windlass.stores.sqlite.marks import insert_once
from windlass.stores.sqlite.rows import (
    SECOND_US,
    Row,
    instant_from,
    stored,
    struct_of,
    us_from,
    us_of,
)
from windlass.stores.sqlite.writer import Operation, Transaction
from windlass.stores.structs import moved_of, values_of

T = TypeVar("T")


class Write(Protocol):
    """Runs an operation in a transaction of its own, or of a group."""

    async def __call__(self, operation: Operation[T]) -> T:
        """Return what the operation returned, once it is durable."""
        ...


Read = Callable[..., list[tuple[Any, ...]]]


class SqliteSchedules:
    """``Schedules`` of one file.

    write, read, now: of the store that they are part of; the clock in microseconds.
    """

    def __init__(self, write: Write, read: Read, now: Callable[[], int]) -> None:
        self._write = write
        self._read = read
        self._now = now

    async def find(self, names: Sequence[str]) -> FoundSchedules:
        """Return the schedules of these names that there are, removed ones too."""
        rows = [row for name in names for row in self._read(sql.FIND_SCHEDULE, name=name)]
        return self._found(rows)

    async def page(
        self, *, limit: int, after: str = "", status: Status | None = None
    ) -> FoundSchedules:
        """List schedules by name; ``after`` pages on from the last name of a page."""
        rows = self._read(sql.LIST_SCHEDULES, after=after, limit=limit, status=status)
        return self._found(rows)

    def _found(self, rows: Iterable[Row]) -> FoundSchedules:
        found = tuple(struct_of(ScheduleRow, row) for row in rows)
        return FoundSchedules(instant_from(self._now()), found)

    async def save(self, plans: Sequence[SchedulePlan]) -> list[bool]:
        """Write edits, each if its row is still what it was made from."""
        assert len(plans) <= SAVE_BATCH_MAX
        return await self._write(partial(_save, plans))

    async def due(self, limit: int, ahead_s: float = 0.0) -> DueSchedules:
        """Return what is due, the longest due first, or when the next one will be."""
        now = self._now()
        rows = self._read(sql.FIND_DUE, until=now + us_of(ahead_s), limit=limit)
        if not rows:
            [[next_due]] = self._read(sql.NEXT_DUE)
            next_s = None if next_due is None else (next_due - now) / SECOND_US
            return DueSchedules(instant_from(now), next_due_s=next_s)
        due = tuple(self._with_recent(struct_of(ScheduleRow, row)) for row in rows)
        return DueSchedules(instant_from(now), due)

    def _with_recent(self, row: ScheduleRow) -> DueSchedule:
        if not row.look_back:
            return DueSchedule(row)
        recent = self._read(sql.FIND_RECENT, name=row.name, limit=row.look_back)
        return DueSchedule(row, tuple(struct_of(RecentJob, each) for each in recent))

    async def fire(self, plans: Sequence[SchedulePlan], *, leader: str, term: int) -> list[bool]:
        """Write plans under the leader's term, each if its row is still what it was made from."""
        assert len(plans) <= FIRE_BATCH_MAX
        return await self._write(partial(_fire, plans, leader, term))

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        before_us = None if before is None else us_from(before)
        rows = self._read(sql.LIST_FIRES, name=name, before=before_us, limit=limit)
        return [struct_of(Fire, row) for row in rows]

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, oldest first."""
        span = {"since": us_from(since), "until": us_from(until)}
        rows = self._read(backfills.LIST_STARTED, name=name, limit=limit, **span)
        return [struct_of(RecentJob, row) for row in rows]

    async def add_backfill(
        self, request: BackfillRequest, jobs: Sequence[tuple[datetime, JobRequest]]
    ) -> None:
        """Keep a backfill, and insert jobs for ticks of it that have none yet."""
        assert len(jobs) <= BACKFILL_BATCH_MAX
        await self._write(partial(backfills.add, request, jobs))

    async def backfills(self, *, limit: int, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first."""
        rows = self._read(backfills.LIST_BACKFILLS, limit=limit, schedule=schedule)
        return [backfills.backfill_from(row) for row in rows]

    async def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        rows = self._read(backfills.LIST_JOBS, id=backfill)
        return [struct_of(BackfillJob, row) for row in rows]

    async def end_backfill(self, backfill: BackfillId) -> bool:
        """Mark a backfill as cancelled.  False if there is none."""
        return await self._write(partial(backfills.end, backfill))

    async def lead(self, candidate: str, lease_s: float) -> Leadership:
        """Lead, go on leading, or learn who does."""
        return await self._write(partial(_lead, candidate, us_of(lease_s)))

    async def resign(self, leader: str) -> None:
        """End the lease of a leader now.  Idempotent."""
        await self._write(partial(_resign, leader))

    async def leader(self) -> Leadership | None:
        """Return who leads, or led last; None if nobody ever did."""
        for leader, term, until in self._read(sql.FIND_LEADER):
            return Leadership(leader, term, False, (until - self._now()) / SECOND_US)
        return None

    async def prune(self, older_than_s: float, limit: int, *, leader: str, term: int) -> int:
        """Forget outcomes that were written that long ago; count them."""
        return await self._write(partial(_prune, us_of(older_than_s), limit, leader, term))


# -- operations --------------------------------------------------------------


def _save(plans: Sequence[SchedulePlan], transaction: Transaction) -> list[bool]:
    saved = [_is_edited(plan.row, transaction) for plan in plans]
    for plan, stands in zip(plans, saved, strict=True):
        if stands:
            _record(plan, transaction)
    if any(saved):
        transaction.topics.add(SCHEDULES)
    return saved


def _is_edited(row: ScheduleRow, transaction: Transaction) -> bool:
    values = stored(values_of(row))
    if row.revision == 1:
        transaction.execute(sql.ADD_SCHEDULE, values)
    else:
        transaction.execute(sql.EDIT_SCHEDULE, (*values, row.name, row.revision - 1))
    return bool(transaction.changes())


def _fire(
    plans: Sequence[SchedulePlan], leader: str, term: int, transaction: Transaction
) -> list[bool]:
    _check_term(leader, term, transaction)
    fired = []
    for plan in plans:
        row = plan.row
        guard = (row.name, row.revision - 1)
        transaction.execute(sql.ADVANCE_SCHEDULE, (*stored(moved_of(row)), *guard))
        fired.append(bool(transaction.changes()))
        if fired[-1]:
            _record(plan, transaction)
    return fired


def _check_term(leader: str, term: int, transaction: Transaction) -> None:
    standing = transaction.execute(sql.FIND_LEADER).fetchall()
    if not standing or standing[0][:2] != (leader, term) or standing[0][2] <= transaction.now:
        raise LeaderLost(leader, term)


def _record(plan: SchedulePlan, transaction: Transaction) -> None:
    """Write the outcomes; start the jobs of those that had none yet."""
    requests = {request.id: request for request in plan.requests}
    for fire in plan.fires:
        transaction.execute(sql.ADD_FIRE, stored(values_of(fire)))
        if fire.job_id is None or not transaction.changes():
            continue
        job_id = insert_once(requests[fire.job_id], transaction)
        if job_id != fire.job_id:  # a live job with its unique key stands for it
            key = (fire.schedule, fire.version, us_from(fire.fire_at))
            transaction.execute(sql.STAND_FOR, (job_id, *key))


def _lead(candidate: str, lease_us: int, transaction: Transaction) -> Leadership:
    now = transaction.now
    bounds = {"lease": lease_us, "lease_max": us_of(LEADER_LEASE_S_MAX)}
    transaction.execute(sql.LEAD, {"candidate": candidate, "now": now, **bounds})
    [[leader, term, until]] = transaction.execute(sql.FIND_LEADER).fetchall()
    return Leadership(leader, term, leader == candidate, (until - now) / SECOND_US)


def _resign(leader: str, transaction: Transaction) -> None:
    transaction.execute(sql.RESIGN, {"leader": leader, "now": transaction.now})
    if transaction.changes():
        transaction.topics.add(SCHEDULES)


def _prune(older_than_us: int, limit: int, leader: str, term: int, transaction: Transaction) -> int:
    _check_term(leader, term, transaction)
    before = transaction.now - older_than_us
    transaction.execute(sql.PRUNE_FIRES, {"before": before, "limit": limit})
    pruned = transaction.changes()
    transaction.execute(sql.PRUNE_SCHEDULES)
    transaction.execute(backfills.PRUNE_ITEMS, {"before": before})
    transaction.execute(backfills.PRUNE_BACKFILLS, {"before": before})
    return pruned
