"""Schedules in the database: found, planned for, and written under the revision and the term."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from asyncpg import LockNotAvailableError

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
from windlass.stores.postgres import backfills
from windlass.stores.postgres import schedule_sql as sql
from windlass.stores.postgres.connection import Connection, Pool
from windlass.stores.postgres.marks import insert_any
from windlass.stores.postgres.rows import Row
from windlass.stores.postgres.sql import END_STALLED, NOTIFY
from windlass.stores.structs import moved_of, struct_from, values_of


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
                moved = moved_columns(rows)
                stood = await connection.fetch(sql.ADVANCE_SCHEDULES, *moved)
                names = {name for (name,) in stood}
                await _record(connection, [plan for plan in plans if plan.row.name in names])
            return names

        fired = await self._pool.run(fire)
        if fired is None:
            raise LeaderLost(leader, term)
        return [plan.row.name in fired for plan in plans]

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        rows = await self._fetch(sql.LIST_FIRES, name, before, limit)
        return [struct_from(Fire, row) for row in rows]

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, oldest first."""
        rows = await self._fetch(backfills.LIST_STARTED, name, since, until, limit)
        return [struct_from(RecentJob, row) for row in rows]

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
        rows = await self._fetch(backfills.LIST_JOBS, backfill)
        return [struct_from(BackfillJob, row) for row in rows]

    async def end_backfill(self, backfill: BackfillId) -> bool:
        """Mark a backfill as cancelled.  False if there is none."""
        return await self._pool.run(lambda connection: backfills.end(connection, backfill))

    async def lead(self, candidate: str, lease_s: float) -> Leadership:
        """Lead, go on leading, or learn who does."""

        async def lead(connection: Connection) -> Leadership:
            async with connection.transaction():
                await connection.execute(sql.WAIT_SHORTLY)
                await connection.execute(sql.LEAD, candidate, lease_s, LEADER_LEASE_S_MAX)
                [[leader, term, left_s]] = await connection.fetch(sql.FIND_LEADER)
            return Leadership(leader, term, leader == candidate, left_s)

        while True:
            try:
                return await self._pool.run(lead)
            except LockNotAvailableError:
                await self._fetch(END_STALLED)

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
            written = await connection.fetch(statement, *_columns(map(values_of, each)))
            names |= {name for (name,) in written}
    return names


async def _record(connection: Connection, plans: Sequence[SchedulePlan]) -> None:
    """Write the outcomes; start the jobs of those that had none yet."""
    fires = {fire.job_id or n: fire for n, fire in enumerate(f for p in plans for f in p.fires)}
    if not fires:
        return
    columns = _columns(map(values_of, fires.values()))
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


def moved_columns(rows: Iterable[ScheduleRow]) -> list[list[Any]]:
    """Return the arguments of ``ADVANCE_SCHEDULES``."""
    return _columns((row.name, *moved_of(row)) for row in rows)


def _columns(rows: Iterable[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _found(rows: Sequence[Row]) -> FoundSchedules:
    stored = tuple(struct_from(ScheduleRow, row[1:]) for row in rows if row[1] is not None)
    return FoundSchedules(rows[0][0], stored)


def _due_from(row: Row) -> DueSchedule:
    recent = tuple(struct_from(RecentJob, each) for each in row[-1] or ())
    return DueSchedule(struct_from(ScheduleRow, row[1:-1]), recent)
