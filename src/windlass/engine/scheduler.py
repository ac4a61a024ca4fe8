"""The scheduler: sleeps until a schedule is due, decides what becomes of its ticks, writes it.

Any number of schedulers may run; one leads, under a lease and a term which each of its writes
proves.  A wake-up that is lost costs a sweep; a leader that is lost costs its lease.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace as with_

from windlass.core.planner import Planned, plan
from windlass.core.schedules import held, retried
from windlass.core.ticks import call_of
from windlass.engine.cancelling import cancel_job
from windlass.engine.instants import Instants
from windlass.engine.observers import Observers
from windlass.engine.stop import Stop
from windlass.engine.trouble import Trouble
from windlass.engine.watchdog import Watchdog
from windlass.errors import (
    JobNotFound,
    LeaderLost,
    StoreUnavailable,
    UnavailableError,
    WindlassError,
)
from windlass.model.jobs import LIVE, JobId
from windlass.model.notices import Notice, NoticeKind
from windlass.model.schedules import (
    FIRE_BATCH_MAX,
    LEADER_LEASE_S_MAX,
    SAVE_BATCH_MAX,
    DueSchedule,
    DueSchedules,
    Fire,
    Leadership,
    SchedulePlan,
    ScheduleRow,
    Status,
)
from windlass.model.topics import SCHEDULES
from windlass.ports import Bell, Store

log = logging.getLogger("windlass.scheduler")

MARGIN = 0.1  # the share of a lease at its end that is never trusted
RENEWALS = 3  # in each lease
AGAIN_S = 0.2  # after an outage
DUE_MAX = 5 * FIRE_BATCH_MAX  # read at once, so that planning and writing can overlap
EARLY_S = 0.05  # what is due so soon is written before it is
BREATHE_EACH = 32  # plans, about a millisecond: then whoever else is in this loop has a turn
BROKEN_S = 3.0  # after a defect
STANDBY_S = 0.3  # how long another may lead unseen: who resigns may not be heard
PATIENCE_S = 5.0  # for an answer of the store
RESIGN_S = 2.0
PLANNING_S = 0.1  # before what is planned is written: a long plan must not cost the lease
PRUNE_LIMIT = 1_000
WHY_CHARS_MAX = 1_000
PRUNE_INTERVAL_S = 60.0
TOLD = (
    NoticeKind.FIRED,
    NoticeKind.MISFIRED,
    NoticeKind.ENQUEUED,
    NoticeKind.SUSPENDED,
)
NOBODY = Observers()
T = TypeVar("T")
Batch = list[tuple[ScheduleRow, Planned]]


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """How a scheduler behaves.  Seconds; the settings of the same names say more."""

    lease_s: float = 5.0
    sweep_s: float = 60.0
    retention_s: float | None = None


class Scheduler:
    """Fires schedules until it is told to stop.

    store:      open, and bound to the running loop.
    leader:     a random id of this scheduler; another for each start.
    new_job_id: makes the ids of the jobs that it starts.
    knows:      tells whether there is a task of a name.
    observers:  told what is fired, and what is missed.
    """

    def __init__(
        self,
        store: Store,
        options: SchedulerOptions,
        *,
        leader: str,
        new_job_id: Callable[[], JobId],
        knows: Callable[[str], bool],
        observers: Observers = NOBODY,
        watchdog: Watchdog | None = None,
        instants: Instants | None = None,
    ) -> None:
        self._store = store
        self._instants = instants or Instants()
        self._schedules = store.schedules
        self._options = options
        self._leader = leader
        self._new_job_id = new_job_id
        self._knows = knows
        self._observers = observers
        self._is_observed = observers.want(*TOLD)
        self._watchdog = watchdog or Watchdog()
        self._pulse = self._watchdog.pulse("schedules")
        self._stop = Stop()
        self._term: int | None = None
        self._may_hold_lease = False  # the store may say so, even if this one does not trust it
        self._trusted_until = 0.0
        self._renew_at = 0.0
        self._prune_at = 0.0
        self._standby_s = 0.0  # how long another may lead, before this one asks again
        self._told = ("", 0)  # the leader and the term that the log knows of
        self._trouble = Trouble(log)

    @property
    def leads(self) -> bool:
        """Whether it leads, as far as it can trust its lease."""
        return self._term is not None and self._now() < self._trusted_until

    def stop(self) -> None:
        """Begin nothing more, and hand over."""
        self._stop.set()

    async def run(self) -> None:
        """Lead whenever nobody else does, and fire what is due, until ``stop``."""
        bell = self._store.listen([SCHEDULES])
        try:
            while not self._stop.is_set():
                await self._turn(bell)
        finally:
            bell.close()
            self._pulse.rest()
            await self._resign()

    async def _turn(self, bell: Bell) -> None:
        """Do what is to be done now, or wait for it; on any doubt, step down."""
        try:
            pause_s = await self._serve() if await self._lead() else self._standby_s
        except UnavailableError as error:
            self._watchdog.lease_in_doubt()
            self._trouble.tell(self._now(), "scheduling waits: %s", error)
            self._term, pause_s = None, AGAIN_S
        except LeaderLost as error:
            log.warning("%s", error)
            self._term, pause_s = None, 0.0
        except WindlassError as error:
            self._trouble.tell(self._now(), "scheduling cannot go on: %s", error)
            self._term, pause_s = None, BROKEN_S
        except Exception:
            log.exception("the scheduler failed; it begins again in %g s", BROKEN_S)
            self._term = None
            await self._stop.pause(lambda: asyncio.sleep(BROKEN_S))
            return  # one that fails again and again makes no progress, and its pulse says so
        else:
            self._watchdog.store_answers()
            self._trouble.is_over(self._now())
        self._pulse.beat(pause_s)
        if pause_s > 0:
            await self._stop.pause(lambda: bell.wait(pause_s))

    async def _answered(self, call: Awaitable[T], patience_s: float = PATIENCE_S) -> T:
        """Wait for the store, not for ever.  Raises: UnavailableError."""
        try:
            async with asyncio.timeout(patience_s):
                return await call
        except TimeoutError:
            why = f"no answer in {patience_s:.1f} s"
            raise StoreUnavailable(self._store.url, why) from None

    # -- leading -------------------------------------------------------------

    async def _lead(self) -> bool:
        """Hold the lease; False while another does."""
        if self._term is not None and self._now() < min(self._renew_at, self._trusted_until):
            return True
        if self._term is None and not await self._may_lead():
            return False
        sent_at = self._now()
        lease_s = self._options.lease_s
        self._may_hold_lease = True
        asked = self._schedules.lead(self._leader, lease_s)
        leadership = await self._answered(asked, min(lease_s, PATIENCE_S))
        if not leadership.is_led:
            self._stand_by(leadership)
            return False
        self._trusted_until = sent_at + lease_s * (1 - MARGIN)
        self._renew_at = sent_at + lease_s / RENEWALS
        self._term = leadership.term
        if self._told != (self._leader, self._term):
            self._told = (self._leader, self._term)
            log.info("scheduler %s leads in term %d", *self._told)
            await self._look_at_held_again()
        return True

    async def _may_lead(self) -> bool:
        """Look whether the lead is free: a look holds nobody up, as asking for the lease does."""
        stands = await self._answered(self._schedules.leader())
        if stands is None or stands.leader == self._leader:
            return True
        if 0 < stands.left_s <= LEADER_LEASE_S_MAX:
            self._stand_by(stands)
            return False
        return True

    def _stand_by(self, stands: Leadership) -> None:
        self._term = None
        self._may_hold_lease = False
        self._standby_s = min(max(0.0, stands.left_s) + 0.01, self._options.sweep_s, STANDBY_S)
        if self._told != (stands.leader, stands.term):
            self._told = (stands.leader, stands.term)
            log.info("stands by: scheduler %s has the lead in term %d", *self._told)

    async def _resign(self) -> None:
        self._term = None
        if self._may_hold_lease:
            with suppress(UnavailableError):
                await self._answered(self._schedules.resign(self._leader), RESIGN_S)

    async def _look_at_held_again(self) -> None:
        """Let each schedule that was held be planned for once more: what held it may be gone."""
        after = ""
        while True:
            page = await self._answered(
                self._schedules.page(limit=SAVE_BATCH_MAX, after=after, status=Status.HELD)
            )
            again = [SchedulePlan(row) for row in map(retried, page.rows) if row is not None]
            if again and self._term is not None:
                writing = self._schedules.fire(again, leader=self._leader, term=self._term)
                await self._answered(writing)
            self._pulse.beat()
            if len(page.rows) < SAVE_BATCH_MAX:
                return
            after = page.rows[-1].name

    # -- firing --------------------------------------------------------------

    async def _serve(self) -> float:
        """Fire what is due; return after how many seconds there is more to do."""
        due = await self._answered(self._schedules.due(DUE_MAX, EARLY_S))
        if due.schedules:
            await self._fire_all(await self._begin_early(due))
            return 0.0
        await self._prune()
        next_s = self._options.sweep_s if due.next_due_s is None else due.next_due_s
        left_s = self._renew_at - self._now()
        return max(0.0, min(next_s - EARLY_S, left_s, self._options.sweep_s))

    async def _begin_early(self, read: DueSchedules) -> DueSchedules:
        """Return what can be written now: what is due, and what will be in a moment.

        The job of a tick that is about to come is queued before it and claimed; its worker waits
        for the instant.  So nothing stands between the tick and its job but a timer.  Where a job
        of the schedule is live, its end may come first: that one is decided on when it is due.
        """
        ready = tuple(
            one for one in read.schedules if not _is_soon(one, read) or _can_be_early(one)
        )
        if not ready:
            due = (one.row.due_at for one in read.schedules if one.row.due_at is not None)
            wait_s = (min(due) - read.now).total_seconds()
            await self._instants.until(self._instants.now() + wait_s)
        return DueSchedules(read.now, ready)

    async def _fire_all(self, due: DueSchedules) -> None:
        """Write what becomes of what is due; while one batch is written, the next is planned."""
        writing: asyncio.Task[None] | None = None
        try:
            async with aclosing(self._batches(due)) as batches:
                async for batch in batches:
                    if writing is not None:
                        await writing
                    if self._stop.is_set():
                        return
                    writing = asyncio.create_task(self._write(batch))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _batches(self, due: DueSchedules) -> AsyncGenerator[Batch, None]:
        """Plan, a part at a time: no more jobs than a transaction may start, and not for long."""
        batch: Batch = []
        size, began_at = 0, self._now()
        for n, each in enumerate(due.schedules):
            one = self._plan(each, due)
            weight = max(1, len(one.plan.requests))
            is_full = size + weight > FIRE_BATCH_MAX or self._now() - began_at > PLANNING_S
            if batch and is_full:
                yield batch
                batch, size, began_at = [], 0, self._now()
            batch.append((each.row, one))
            size += weight
            if n % BREATHE_EACH == 0:
                await asyncio.sleep(0)
        if batch:
            yield batch

    async def _write(self, batch: Batch) -> None:
        await self._cancel([job_id for _, one in batch for job_id in one.cancels])
        await self._fire_each([(row, one.plan) for row, one in batch])

    def _plan(self, each: DueSchedule, due: DueSchedules) -> Planned:
        try:
            if not _is_soon(each, due):
                return plan(each, due.now, self._new_job_id, self._knows)
            assert each.row.due_at is not None
            planned = plan(each, each.row.due_at, self._new_job_id, self._knows)
            return _queued_early(planned, each.row.due_at)
        except Exception as error:  # one that breaks must not hold up the others
            log.exception("schedule %s cannot be planned for", each.row.name)
            return Planned(SchedulePlan(_held_for(each.row, error)))

    async def _cancel(self, job_ids: Sequence[JobId]) -> None:
        """Cancel jobs for those that follow; a leader that was paused since cancels nothing."""
        for job_id in job_ids:
            if not self.leads:
                raise LeaderLost(self._leader, self._term or 0)
            with suppress(JobNotFound):
                await self._answered(cancel_job(self._store, job_id, "schedule"))

    async def _fire_each(self, plans: Sequence[tuple[ScheduleRow, SchedulePlan]]) -> None:
        """Write plans, each made from a row; what cannot be written holds its schedule alone."""
        try:
            await self._fire([each for _, each in plans])
        except WindlassError:
            raise
        except Exception as error:
            if len(plans) > 1:
                for each in plans:
                    await self._fire_each([each])
                return
            [(row, _)] = plans
            log.exception("schedule %s cannot be fired", row.name)
            await self._fire([SchedulePlan(_held_for(row, error))])

    async def _fire(self, plans: Sequence[SchedulePlan]) -> None:
        term = self._term
        if term is None or not await self._lead() or self._term != term:
            raise LeaderLost(self._leader, term or 0)
        writing = self._schedules.fire(plans, leader=self._leader, term=term)
        fired = await self._answered(writing, max(0.0, self._trusted_until - self._now()))
        self._pulse.beat()
        for each, is_fired in zip(plans, fired, strict=True):
            if is_fired:
                self._announce(each)

    def _announce(self, written: SchedulePlan) -> None:
        row = written.row
        if row.status in (Status.HELD, Status.PAUSED):
            log.error("schedule %s is %s: %s", row.name, row.status, row.why)
        if not self._is_observed:
            return
        if row.status in (Status.HELD, Status.PAUSED):
            notice = Notice(kind=NoticeKind.SUSPENDED, schedule=row.name, message=row.why)
            self._observers.tell(notice)
        requests = {request.id: request for request in written.requests}
        for fire in written.fires:
            if fire.job_id is None:
                self._observers.tell(_missed(fire))
                continue
            request = requests[fire.job_id]
            for kind in (NoticeKind.FIRED, NoticeKind.ENQUEUED):
                self._observers.tell(
                    Notice(
                        kind=kind,
                        job_id=request.id,
                        task=request.task,
                        queue=request.queue,
                        schedule=row.name,
                    )
                )

    async def _prune(self) -> None:
        if self._options.retention_s is None or self._now() < self._prune_at:
            return
        self._prune_at = self._now() + PRUNE_INTERVAL_S  # also if it fails
        assert self._term is not None
        pruning = self._schedules.prune(
            self._options.retention_s, PRUNE_LIMIT, leader=self._leader, term=self._term
        )
        if await self._answered(pruning) == PRUNE_LIMIT:
            self._prune_at = self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _is_soon(one: DueSchedule, read: DueSchedules) -> bool:
    """Tell whether a schedule is not due yet, but was read because it is about to be."""
    return one.row.due_at is not None and one.row.due_at > read.now


def _can_be_early(one: DueSchedule) -> bool:
    """Tell whether nothing can change before it is due what becomes of the tick."""
    return all(job.state not in LIVE for job in one.recent) and call_of(one.row).once is None


def _queued_early(planned: Planned, due_at: datetime) -> Planned:
    requests = tuple(
        with_(request, run_at=due_at, early_s=EARLY_S) for request in planned.plan.requests
    )
    return Planned(with_(planned.plan, requests=requests), planned.cancels)


def _held_for(row: ScheduleRow, error: Exception) -> ScheduleRow:
    why = f"{type(error).__name__}: {error}"[:WHY_CHARS_MAX]
    return held(row, why.replace("\0", "\ufffd"))  # PostgreSQL has no place for it


def _missed(fire: Fire) -> Notice:
    return Notice(
        kind=NoticeKind.MISFIRED,
        schedule=fire.schedule,
        count=fire.count,
        message=None if fire.reason is None else str(fire.reason),
    )
