"""Schedules as a client sees them: declared, looked at, paused, previewed.

Every edit is made from the row as it stands and written under its revision; whoever was
slower looks again.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice

import msgspec

from windlass.core import backfills as decide_backfill
from windlass.core import schedules as decide
from windlass.core.schedules import CODE
from windlass.core.ticks import (
    ScheduleFault,
    call_of,
    due_at,
    rule_of,
    tick_before,
    ticks_from,
)
from windlass.core.triggers import Compiled
from windlass.core.why_schedules import ScheduleWhy, explain_schedule
from windlass.engine.cancelling import cancel_job
from windlass.errors import BackfillNotFound, BrokenSchedule, JobNotFound, ScheduleNotFound
from windlass.model.backfills import (
    BACKFILL_BATCH_MAX,
    BACKFILL_TICKS_MAX,
    Backfill,
    BackfillId,
    BackfillItem,
    BackfillJob,
    BackfillRequest,
)
from windlass.model.jobs import LIVE, JobId
from windlass.model.schedules import (
    SAVE_BATCH_MAX,
    Fire,
    Leadership,
    ScheduleDraft,
    SchedulePlan,
    ScheduleRow,
    ScheduleRule,
    Status,
)
from windlass.model.triggers import TickCase
from windlass.ports import Store

Change = Callable[[ScheduleRow, datetime], SchedulePlan | None]

LIST_LIMIT_MAX = 1_000


class Synced(msgspec.Struct, frozen=True):
    """What a declaration of schedules has changed, by name."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class ComingTick(msgspec.Struct, frozen=True):
    """A tick to come.

    due_at: when it starts, with its jitter.   since: the start of its window, if it has one.
    """

    at: datetime
    due_at: datetime
    case: TickCase | None = None
    since: datetime | None = None


class ScheduleClient:
    """Declares, lists, pauses and previews schedules.  Belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._schedules = store.schedules

    # -- declaring -----------------------------------------------------------

    async def put(self, draft: ScheduleDraft) -> ScheduleRow:
        """Declare a schedule: a new one, or a new version of that of its name.

        The same declaration again changes nothing.  Raises: BadOption.
        """
        await self._declare([draft])
        return await self.get(draft.name)

    async def sync(self, drafts: Sequence[ScheduleDraft], tasks: Collection[str]) -> Synced:
        """Make the schedules that stand in the code the stored ones.

        tasks: those which the code knows; schedules from code of theirs that are not among the
               drafts any more are removed.
        """
        synced = Synced()
        for start in range(0, len(drafts), SAVE_BATCH_MAX):
            some = await self._declare(drafts[start : start + SAVE_BATCH_MAX])
            synced = Synced(synced.added + some.added, synced.changed + some.changed)
        declared = {draft.name for draft in drafts}
        gone = [
            row.name
            async for row in self.each()
            if row.origin == CODE and row.task in tasks and row.name not in declared
        ]
        for name in gone:
            await self.remove(name)
        return msgspec.structs.replace(synced, removed=tuple(gone))

    async def _declare(self, drafts: Sequence[ScheduleDraft]) -> Synced:
        added: list[str] = []
        changed: list[str] = []
        left = {draft.name: draft for draft in drafts}
        while left:
            found = await self._schedules.find(list(left))
            rows = {row.name: row for row in found.rows}
            plans = []
            for name, draft in list(left.items()):
                plan = decide.defined(rows.get(name), draft, found.now)
                if plan is None:
                    del left[name]
                else:
                    plans.append(plan)
            written = await self._schedules.save(plans) if plans else []
            for plan, is_written in zip(plans, written, strict=True):
                if is_written:
                    del left[plan.row.name]
                    (added if plan.row.version == 1 else changed).append(plan.row.name)
        return Synced(tuple(added), tuple(changed))

    # -- operating -----------------------------------------------------------

    async def pause(self, name: str, *, why: str = "") -> ScheduleRow:
        """Have a schedule fire no more until it is resumed.  Idempotent.

        Raises: ScheduleNotFound.
        """
        return await self._edit(name, lambda row, now: _plan(decide.paused(row, why)))

    async def resume(self, name: str) -> ScheduleRow:
        """Have a paused schedule fire again, or a held one be tried again.  Idempotent.

        Raises: ScheduleNotFound.
        """
        return await self._edit(
            name, lambda row, now: _plan(decide.resumed(row, now) or decide.retried(row))
        )

    async def remove(self, name: str) -> ScheduleRow:
        """Take a schedule away; what it has started goes on.  Raises: ScheduleNotFound."""
        return await self._edit(name, lambda row, now: _plan(decide.removed(row)))

    async def _edit(self, name: str, change: Change) -> ScheduleRow:
        while True:
            row, now = await self._stand(name)
            plan = change(row, now)
            if plan is None:
                return row
            [written] = await self._schedules.save([plan])
            if written:
                return plan.row
            # it moved between the look and the write: look again

    async def start(self, name: str, new_id: JobId) -> JobId:
        """Start the job of a schedule now, beside its ticks.  Raises: ScheduleNotFound."""
        row = await self.get(name)
        request = msgspec.structs.replace(call_of(row), id=new_id)
        [job_id] = await self._store.enqueue([request])
        return job_id

    # -- backfills -----------------------------------------------------------

    async def plan_backfill(
        self, request: BackfillRequest
    ) -> tuple[ScheduleRow, list[BackfillItem]]:
        """Return what a backfill would do with each tick of its range; nothing is written.

        Raises: ScheduleNotFound, BadOption, BrokenSchedule.
        """
        row = await self.get(request.schedule)
        limit = 2 * BACKFILL_TICKS_MAX  # who has more than that is refused for its ticks anyway
        started = await self._schedules.started(row.name, request.since, request.until, limit)
        try:
            return row, decide_backfill.backfill_items(row, request, started)
        except ScheduleFault as error:
            raise BrokenSchedule(row.name, str(error)) from error

    async def backfill(
        self, request: BackfillRequest, new_id: Callable[[], JobId]
    ) -> list[BackfillItem]:
        """Run ticks of the past as ordinary jobs; return what became of each tick of the range.

        Up to BACKFILL_BATCH_MAX jobs go in one transaction.  The same request again goes on
        where it was broken off.
        Raises: ScheduleNotFound, BadOption, BrokenSchedule, StoreUnavailable.
        """
        row, items = await self.plan_backfill(request)
        jobs = decide_backfill.backfill_requests(row, request, items, new_id)
        for start in range(0, max(1, len(jobs)), BACKFILL_BATCH_MAX):
            some = jobs[start : start + BACKFILL_BATCH_MAX]
            await self._schedules.add_backfill(request, some)
        return items

    async def backfills(self, *, limit: int = 50, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first, each with its jobs counted by state."""
        return await self._schedules.backfills(limit=limit, schedule=schedule)

    async def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        return await self._schedules.backfill_jobs(backfill)

    async def cancel_backfill(self, backfill: BackfillId, *, actor: str = "client") -> int:
        """Cancel the jobs of a backfill that have not ended; return how many that was.

        Raises: BackfillNotFound.
        """
        if not await self._schedules.end_backfill(backfill):
            raise BackfillNotFound(backfill)
        cancelled = 0
        for job in await self.backfill_jobs(backfill):
            if job.state in LIVE:
                with suppress(JobNotFound):  # it has ended, and was purged
                    _, is_ours = await cancel_job(self._store, job.job_id, actor)
                    cancelled += is_ours
        return cancelled

    # -- looking -------------------------------------------------------------

    async def get(self, name: str) -> ScheduleRow:
        """Return a schedule as it stands.  Raises: ScheduleNotFound."""
        return (await self._stand(name))[0]

    async def _stand(self, name: str) -> tuple[ScheduleRow, datetime]:
        found = await self._schedules.find([name])
        if not found.rows or found.rows[0].status is Status.REMOVED:
            raise ScheduleNotFound(name)
        return found.rows[0], found.now

    async def page(
        self, *, limit: int = 100, after: str = "", status: Status | None = None
    ) -> list[ScheduleRow]:
        """List schedules by name; ``after`` continues after the last name of a page."""
        limit = min(limit, LIST_LIMIT_MAX)
        return list((await self._schedules.page(limit=limit, after=after, status=status)).rows)

    async def each(self) -> AsyncGenerator[ScheduleRow, None]:
        """Yield all schedules, by name."""
        after = ""
        while page := await self.page(limit=LIST_LIMIT_MAX, after=after):
            for row in page:
                yield row
            after = page[-1].name

    async def fires(
        self, name: str, *, limit: int = 50, before: datetime | None = None
    ) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        limit = min(limit, LIST_LIMIT_MAX)
        return await self._schedules.fires(name, limit=limit, before=before)

    async def leader(self) -> Leadership | None:
        """Return who leads the schedulers, or led last; None if nobody ever did."""
        return await self._schedules.leader()

    async def why(self, name: str) -> ScheduleWhy:
        """Tell why a schedule does not fire, or when it will.  Raises: ScheduleNotFound."""
        row, now = await self._stand(name)
        fires = await self._schedules.fires(name, limit=1)
        leader = await self._schedules.leader()
        blocker = None if row.last_job_id is None else await self._live(row.last_job_id)
        return explain_schedule(row, now, leader, fires[0] if fires else None, blocker)

    async def _live(self, job_id: JobId) -> JobId | None:
        job = await self._store.get(job_id)
        return None if job is None or job.state not in LIVE else job_id

    async def preview(
        self,
        name: str,
        *,
        count: int = 10,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[ComingTick]:
        """Return ticks of a schedule: the next ones, or those of a range.

        since: default: now.   until: not included; None: as many as ``count`` says.
        Raises: ScheduleNotFound, BrokenSchedule.
        """
        row, now = await self._stand(name)
        try:
            return coming(row.name, *rule_of(row), since or now, until, count)
        except ScheduleFault as error:
            raise BrokenSchedule(name, str(error)) from error


def coming(
    name: str,
    rule: ScheduleRule,
    compiled: Compiled,
    since: datetime,
    until: datetime | None,
    count: int,
) -> list[ComingTick]:
    """Return the ticks of a rule from ``since`` on, at most ``count``.  Pure."""
    ticks = []
    for tick in islice(ticks_from(rule, compiled, since), count):
        if until is not None and tick.at >= until:
            break
        start = tick_before(compiled, tick.at) if rule.window else None
        ticks.append(ComingTick(tick.at, due_at(name, rule, tick.at), tick.case, start))
    return ticks


def _plan(row: ScheduleRow | None) -> SchedulePlan | None:
    return None if row is None else SchedulePlan(row)
