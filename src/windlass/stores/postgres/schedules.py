"""Schedules in the database: found, planned for, and written under the revision and the term."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from windlass.errors import LeaderLost
from windlass.model.backfills import (
    BACKFILL_BATCH_MAX,
    Backfill,
    BackfillId,
    BackfillJob,
    BackfillRequest,
)
from windlass.model.jobs import JobRequest, State
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
from windlass.stores.postgres import backfills
from windlass.stores.postgres import schedule_sql as sql
from windlass.stores.postgres.connection import Connection, Pool
from windlass.stores.postgres.marks import insert_any
from windlass.stores.postgres.rows import Row
from windlass.stores.postgres.sql import NOTIFY


class PostgresSchedules:
    """``Schedules`` of one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _fetch(self, statement: str, *values: Any) -> list[Row]:
        async def fetch(connection: Connection) -> list[Row]:
            async with connection.transaction():
                return list(await connection.fetch(statement, *values))

        return await self._pool.run(fetch)

    async def find(self, names: Sequence[str]) -> FoundSchedules:
        """Return the schedules of these names that there are, removed ones too."""
        return _found(await self._fetch(sql.FIND_SCHEDULES, list(names)))

    async def page(
        self, *, limit: int, after: str = "", status: Status | None = None
    ) -> FoundSchedules:
        """List schedules by name; ``after`` pages on from the last name of a page."""
        return _found(await self._fetch(sql.LIST_SCHEDULES, after, limit, status))

    async def save(self, plans: Sequence[SchedulePlan]) -> list[bool]:
        """Write edits, each if its row is still what it was made from."""
        assert len(plans) <= SAVE_BATCH_MAX

        async def save(connection: Connection) -> list[bool]:
            async with connection.transaction():
                saved = await _edited(connection, [plan.row for plan in plans])
                await _record(connection, [p for p in plans if p.row.name in saved])
                if saved:
                    await connection.execute(NOTIFY, [SCHEDULES])
            return [plan.row.name in saved for plan in plans]

        return await self._pool.run(save)

    async def due(self, limit: int, ahead_s: float = 0.0) -> DueSchedules:
        """Return what is due, the longest due first, or when the next one will be."""

        async def look(connection: Connection) -> DueSchedules:
            async with connection.transaction():
                rows = await connection.fetch(sql.FIND_DUE, limit, ahead_s)
                if not rows:
                    [[now, next_s]] = await connection.fetch(sql.NEXT_DUE)
                    return DueSchedules(now, next_due_s=next_s)
            return DueSchedules(rows[0][0], tuple(map(_due_from, rows)))

        return await self._pool.run(look)

    async def fire(self, plans: Sequence[SchedulePlan], *, leader: str, term: int) -> list[bool]:
        """Write plans under the leader's term, each if its row is still what it was made from."""
        assert len(plans) <= FIRE_BATCH_MAX

        async def fire(connection: Connection) -> set[str] | None:
            async with connection.transaction():
                await connection.execute(sql.PLAN_BY_NAME)
                if not await connection.fetch(sql.LOCK_TERM, leader, term):
                    return None
                rows = sorted((plan.row for plan in plans), key=lambda row: row.name)
                moved = await connection.fetch(sql.ADVANCE_SCHEDULES, *_progress_columns(rows))
                names = {name for (name,) in moved}
                await _record(connection, [plan for plan in plans if plan.row.name in names])
            return names

        fired = await self._pool.run(fire)
        if fired is None:
            raise LeaderLost(leader, term)
        return [plan.row.name in fired for plan in plans]

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        return [_fire_from(row) for row in await self._fetch(sql.LIST_FIRES, name, before, limit)]

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, oldest first."""
        rows = await self._fetch(backfills.LIST_STARTED, name, since, until, limit)
        return [_recent_from(row) for row in rows]

    async def add_backfill(
        self, request: BackfillRequest, jobs: Sequence[tuple[datetime, JobRequest]]
    ) -> None:
        """Keep a backfill, and insert jobs for ticks of it that have none yet."""
        assert len(jobs) <= BACKFILL_BATCH_MAX
        await self._pool.run(lambda connection: backfills.add(connection, request, jobs))

    async def backfills(self, *, limit: int, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first."""
        rows = await self._fetch(backfills.LIST_BACKFILLS, limit, schedule)
        return [backfills.backfill_from(row) for row in rows]

    async def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        return [backfills.job_from(row) for row in await self._fetch(backfills.LIST_JOBS, backfill)]

    async def end_backfill(self, backfill: BackfillId) -> bool:
        """Mark a backfill as cancelled.  False if there is none."""
        return await self._pool.run(lambda connection: backfills.end(connection, backfill))

    async def lead(self, candidate: str, lease_s: float) -> Leadership:
        """Lead, go on leading, or learn who does."""

        async def lead(connection: Connection) -> Leadership:
            async with connection.transaction():
                await connection.execute(sql.LEAD, candidate, lease_s, LEADER_LEASE_S_MAX)
                [[leader, term, left_s]] = await connection.fetch(sql.FIND_LEADER)
            return Leadership(leader, term, leader == candidate, left_s)

        return await self._pool.run(lead)

    async def resign(self, leader: str) -> None:
        """End the lease of a leader now.  Idempotent."""
        await self._fetch(sql.RESIGN, leader)

    async def leader(self) -> Leadership | None:
        """Return who leads, or led last; None if nobody ever did."""
        for leader, term, left_s in await self._fetch(sql.FIND_LEADER):
            return Leadership(leader, term, False, left_s)
        return None

    async def prune(self, older_than_s: float, limit: int, *, leader: str, term: int) -> int:
        """Forget outcomes that were written that long ago; count them."""

        async def prune(connection: Connection) -> int | None:
            async with connection.transaction():
                if not await connection.fetch(sql.LOCK_TERM, leader, term):
                    return None
                [[pruned]] = await connection.fetch(sql.PRUNE_FIRES, older_than_s, limit)
                await connection.execute(sql.PRUNE_SCHEDULES)
                await connection.execute(backfills.PRUNE_ITEMS, older_than_s)
                await connection.execute(backfills.PRUNE_BACKFILLS, older_than_s)
            return int(pruned)

        pruned = await self._pool.run(prune)
        if pruned is None:
            raise LeaderLost(leader, term)
        return pruned


# -- within a transaction ----------------------------------------------------


async def _edited(connection: Connection, rows: Sequence[ScheduleRow]) -> set[str]:
    """Write rows, new ones and edits; return the names of those that stood."""
    new = [row for row in rows if row.revision == 1]
    old = [row for row in rows if row.revision != 1]
    names: set[str] = set()
    for each, statement in ((new, sql.ADD_SCHEDULES), (old, sql.EDIT_SCHEDULES)):
        if each:
            written = await connection.fetch(statement, *_columns(map(_values_of, each)))
            names |= {name for (name,) in written}
    return names


async def _record(connection: Connection, plans: Sequence[SchedulePlan]) -> None:
    """Write the outcomes; start the jobs of those that had none yet."""
    fires = {fire.job_id or n: fire for n, fire in enumerate(f for p in plans for f in p.fires)}
    if not fires:
        return
    columns = _columns(map(_values_of_fire, fires.values()))
    added = {job_id for (job_id,) in await connection.fetch(sql.ADD_FIRES, *columns)}
    requests = [request for plan in plans for request in plan.requests if request.id in added]
    if not requests:
        return
    stored = await insert_any(connection, requests)
    for request, job_id in zip(requests, stored, strict=True):
        if job_id != request.id:  # a live job with its unique key stands for it
            fire = fires[request.id]
            key = (fire.schedule, fire.version, fire.fire_at)
            await connection.execute(sql.STAND_FOR, job_id, *key)


# -- rows --------------------------------------------------------------------


def _columns(rows: Iterable[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _values_of(row: ScheduleRow) -> Row:
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
        row.created_at,
        row.anchor_at,
        row.cursor_at,
        row.skip_until,
        row.next_at,
        row.due_at,
        row.look_back,
        row.started,
        row.misfires,
        row.last_fire_at,
        row.last_job_id,
        row.last_late_s,
    )


def _progress_columns(rows: Sequence[ScheduleRow]) -> list[list[Any]]:
    return _columns(
        (
            row.name,
            row.revision,
            row.status,
            row.why,
            row.cursor_at,
            row.skip_until,
            row.next_at,
            row.due_at,
            row.started,
            row.misfires,
            row.last_fire_at,
            row.last_job_id,
            row.last_late_s,
        )
        for row in rows
    )


def _found(rows: Sequence[Row]) -> FoundSchedules:
    stored = tuple(_row_from(row) for row in rows if row[1] is not None)
    return FoundSchedules(rows[0][0], stored)


def _row_from(row: Row) -> ScheduleRow:
    """Return the schedule of a row with an instant and ``SCHEDULE_COLUMNS``."""
    return ScheduleRow(
        name=row[1],
        version=row[2],
        revision=row[3],
        status=Status(row[4]),
        why=row[5],
        origin=row[6],
        rule=row[7],
        call=row[8],
        declared=row[9],
        task=row[10],
        created_at=row[11],
        anchor_at=row[12],
        cursor_at=row[13],
        skip_until=row[14],
        next_at=row[15],
        due_at=row[16],
        look_back=row[17],
        started=row[18],
        misfires=row[19],
        last_fire_at=row[20],
        last_job_id=row[21],
        last_late_s=row[22],
    )


def _due_from(row: Row) -> DueSchedule:
    return DueSchedule(_row_from(row), tuple(map(_recent_from, row[23] or ())))


def _recent_from(row: Row) -> RecentJob:
    job_id, fire_at, state = row
    return RecentJob(job_id, fire_at, None if state is None else State(state))


def _values_of_fire(fire: Fire) -> Row:
    return (
        fire.schedule,
        fire.version,
        fire.fire_at,
        fire.until,
        fire.decided_at,
        fire.count,
        fire.reason,
        fire.job_id,
    )


def _fire_from(row: Row) -> Fire:
    schedule, version, fire_at, until, decided_at, count, reason, job_id = row
    return Fire(
        schedule=schedule,
        version=version,
        fire_at=fire_at,
        until=until,
        decided_at=decided_at,
        count=count,
        reason=None if reason is None else SkipReason(reason),
        job_id=job_id,
    )
