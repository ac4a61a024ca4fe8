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
    SkipReason,
    Status,
)
from windlass.model.topics import SCHEDULES
from windlass.stores.sqlite import backfills
from windlass.stores.sqlite import schedule_sql as sql
from windlass.stores.sqlite.marks import insert_once
from windlass.stores.sqlite.rows import SECOND_US, Row, instant_from, us_from, us_of
from windlass.stores.sqlite.writer import Operation, Transaction

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
        return FoundSchedules(instant_from(self._now()), tuple(map(row_from, rows)))

    async def save(self, plans: Sequence[SchedulePlan]) -> list[bool]:
        """Write edits, each if its row is still what it was made from."""
        assert len(plans) <= SAVE_BATCH_MAX
        return await self._write(partial(_save, plans))

    async def due(self, limit: int) -> DueSchedules:
        """Return what is due, the longest due first, or when the next one will be."""
        now = self._now()
        rows = self._read(sql.FIND_DUE, now=now, limit=limit)
        if not rows:
            [[next_due]] = self._read(sql.NEXT_DUE)
            next_s = None if next_due is None else (next_due - now) / SECOND_US
            return DueSchedules(instant_from(now), next_due_s=next_s)
        return DueSchedules(instant_from(now), tuple(map(self._with_recent, map(row_from, rows))))

    def _with_recent(self, row: ScheduleRow) -> DueSchedule:
        if not row.look_back:
            return DueSchedule(row)
        recent = self._read(sql.FIND_RECENT, name=row.name, limit=row.look_back)
        return DueSchedule(row, tuple(recent_from(*each) for each in recent))

    async def fire(self, plans: Sequence[SchedulePlan], *, leader: str, term: int) -> list[bool]:
        """Write plans under the leader's term, each if its row is still what it was made from."""
        assert len(plans) <= FIRE_BATCH_MAX
        return await self._write(partial(_fire, plans, leader, term))

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        before_us = None if before is None else us_from(before)
        rows = self._read(sql.LIST_FIRES, name=name, before=before_us, limit=limit)
        return [fire_from(row) for row in rows]

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, oldest first."""
        span = {"since": us_from(since), "until": us_from(until)}
        rows = self._read(backfills.LIST_STARTED, name=name, limit=limit, **span)
        return [recent_from(*row) for row in rows]

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
        return [backfills.job_from(*row) for row in self._read(backfills.LIST_JOBS, id=backfill)]

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

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Forget outcomes that were written that long ago; count them."""
        return await self._write(partial(_prune, us_of(older_than_s), limit))


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
    values = values_of(row)
    if row.revision == 1:
        transaction.execute(sql.ADD_SCHEDULE, values)
    else:
        transaction.execute(sql.EDIT_SCHEDULE, (*values, row.name, row.revision - 1))
    return bool(transaction.changes())


def _fire(
    plans: Sequence[SchedulePlan], leader: str, term: int, transaction: Transaction
) -> list[bool]:
    standing = transaction.execute(sql.FIND_LEADER).fetchall()
    if not standing or standing[0][:2] != (leader, term) or standing[0][2] <= transaction.now:
        raise LeaderLost(leader, term)
    fired = []
    for plan in plans:
        row = plan.row
        guard = (row.name, row.revision - 1)
        transaction.execute(sql.ADVANCE_SCHEDULE, (*progress_of(row), *guard))
        fired.append(bool(transaction.changes()))
        if fired[-1]:
            _record(plan, transaction)
    return fired


def _record(plan: SchedulePlan, transaction: Transaction) -> None:
    """Write the outcomes; start the jobs of those that had none yet."""
    requests = {request.id: request for request in plan.requests}
    for fire in plan.fires:
        transaction.execute(sql.ADD_FIRE, values_of_fire(fire))
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


def _prune(older_than_us: int, limit: int, transaction: Transaction) -> int:
    before = transaction.now - older_than_us
    transaction.execute(sql.PRUNE_FIRES, {"before": before, "limit": limit})
    pruned = transaction.changes()
    transaction.execute(sql.PRUNE_SCHEDULES)
    transaction.execute(backfills.PRUNE_ITEMS, {"before": before})
    transaction.execute(backfills.PRUNE_BACKFILLS, {"before": before})
    return pruned


# -- rows --------------------------------------------------------------------


def values_of(row: ScheduleRow) -> tuple[Any, ...]:
    """Return the values of ``SCHEDULE_COLUMNS``."""
    return (
        row.name,
        row.version,
        row.revision,
        row.status,
        row.why,
        row.origin,
        row.rule,
        row.call,
        row.declared,
        row.task,
        us_from(row.created_at),
        us_from(row.anchor_at),
        us_from(row.cursor_at),
        _us(row.skip_until),
        _us(row.next_at),
        _us(row.due_at),
        row.look_back,
        row.started,
        row.misfires,
        _us(row.last_fire_at),
        row.last_job_id,
        row.last_late_s,
    )


def progress_of(row: ScheduleRow) -> tuple[Any, ...]:
    """Return the values that ``ADVANCE_SCHEDULE`` sets."""
    return (
        row.revision,
        row.status,
        row.why,
        us_from(row.cursor_at),
        _us(row.skip_until),
        _us(row.next_at),
        _us(row.due_at),
        row.started,
        row.misfires,
        _us(row.last_fire_at),
        row.last_job_id,
        row.last_late_s,
    )


def row_from(row: Row) -> ScheduleRow:
    """Return the schedule of a row with ``SCHEDULE_COLUMNS``."""
    return ScheduleRow(
        name=row[0],
        version=row[1],
        revision=row[2],
        status=Status(row[3]),
        why=row[4],
        origin=row[5],
        rule=row[6],
        call=row[7],
        declared=row[8],
        task=row[9],
        created_at=instant_from(row[10]),
        anchor_at=instant_from(row[11]),
        cursor_at=instant_from(row[12]),
        skip_until=_instant(row[13]),
        next_at=_instant(row[14]),
        due_at=_instant(row[15]),
        look_back=row[16],
        started=row[17],
        misfires=row[18],
        last_fire_at=_instant(row[19]),
        last_job_id=row[20],
        last_late_s=row[21],
    )


def recent_from(job_id: JobId, fire_at: int, state: str | None) -> RecentJob:
    """Return what a row of ``FIND_RECENT`` says."""
    return RecentJob(job_id, instant_from(fire_at), None if state is None else State(state))


def values_of_fire(fire: Fire) -> tuple[Any, ...]:
    """Return the values of ``ADD_FIRE``."""
    return (
        fire.schedule,
        fire.version,
        us_from(fire.fire_at),
        us_from(fire.until),
        us_from(fire.decided_at),
        fire.count,
        fire.reason,
        fire.job_id,
    )


def fire_from(row: Row) -> Fire:
    """Return the outcome of a row of ``LIST_FIRES``."""
    schedule, version, fire_at, until, decided_at, count, reason, job_id = row
    return Fire(
        schedule=schedule,
        version=version,
        fire_at=instant_from(fire_at),
        until=instant_from(until),
        decided_at=instant_from(decided_at),
        count=count,
        reason=None if reason is None else SkipReason(reason),
        job_id=job_id,
    )


def _us(instant: datetime | None) -> int | None:
    return None if instant is None else us_from(instant)


def _instant(value: int | None) -> datetime | None:
    return None if value is None else instant_from(value)
