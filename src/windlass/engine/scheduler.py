"""The scheduler: sleeps until a schedule is due, decides what becomes of its ticks, writes it.

Any number of schedulers may run; one leads, under a lease and a term which each of its writes
proves.  A wake-up that is lost costs a sweep; a leader that is lost costs its lease.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from windlass.core.planner import Planned, plan
from windlass.core.schedules import held, retried
from windlass.engine.client import Client
from windlass.engine.observers import Observers
from windlass.engine.watchdog import Watchdog
from windlass.errors import JobNotFound, LeaderLost, UnavailableError
from windlass.model.jobs import JobId
from windlass.model.notices import Notice, NoticeKind
from windlass.model.schedules import (
    FIRE_BATCH_MAX,
    SAVE_BATCH_MAX,
    DueSchedule,
    DueSchedules,
    Fire,
    SchedulePlan,
    Status,
)
from windlass.model.topics import SCHEDULES
from windlass.ports import Bell, Store

log = logging.getLogger("windlass.scheduler")

MARGIN = 0.1  # the share of a lease at its end that is never trusted
RENEWALS = 3  # in each lease
AGAIN_S = 0.2  # after an outage
DUE_MAX = 5 * FIRE_BATCH_MAX  # read at once, so that planning and writing can overlap
BREATHE_EACH = 32  # plans, about a millisecond: then whoever else is in this loop has a turn
PRUNE_LIMIT = 1_000
PRUNE_INTERVAL_S = 60.0
TOLD = (NoticeKind.FIRED, NoticeKind.MISFIRED, NoticeKind.ENQUEUED)
NOBODY = Observers()


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
    ) -> None:
        self._store = store
        self._schedules = store.schedules
        self._client = Client(store)
        self._options = options
        self._leader = leader
        self._new_job_id = new_job_id
        self._knows = knows
        self._observers = observers
        self._is_observed = observers.want(*TOLD)
        self._watchdog = watchdog or Watchdog()
        self._pulse = self._watchdog.pulse("schedules")
        self._stop = asyncio.Event()
        self._idle: asyncio.Task[object] | None = None
        self._term: int | None = None
        self._trusted_until = 0.0
        self._renew_at = 0.0
        self._prune_at = 0.0
        self._standby_s = 0.0  # how long another may lead, before this one asks again

    @property
    def leads(self) -> bool:
        """Whether it leads, as far as it can trust its lease."""
        return self._term is not None and self._now() < self._trusted_until

    def stop(self) -> None:
        """Begin nothing more, and hand over."""
        self._stop.set()
        if self._idle is not None:
            self._idle.cancel()

    async def run(self) -> None:
        """Lead whenever nobody else does, and fire what is due, until ``stop``."""
        bell = self._store.listen([SCHEDULES])
        try:
            while not self._stop.is_set():
                await self._turn(bell)
        finally:
            bell.close()
            await self._client.close()
            await self._resign()

    async def _turn(self, bell: Bell) -> None:
        """Do what is to be done now, or wait for it; on any doubt, step down."""
        try:
            pause_s = await self._serve() if await self._lead() else self._standby_s
        except (UnavailableError, TimeoutError) as error:
            log.warning("scheduling waits: %s", error)
            self._watchdog.lease_in_doubt()
            self._step_down()
            pause_s = AGAIN_S
        except LeaderLost as error:
            log.warning("%s", error)
            self._step_down()
            pause_s = 0.0
        except Exception:
            log.exception("the scheduler failed; it begins again")
            self._step_down()
            pause_s = AGAIN_S
        self._pulse.beat(pause_s)
        if pause_s > 0:
            await self._pause(lambda: bell.wait(pause_s))

    # -- leading -------------------------------------------------------------

    async def _lead(self) -> bool:
        """Hold the lease; False while another does."""
        if self._term is not None and self._now() < min(self._renew_at, self._trusted_until):
            return True
        sent_at = self._now()
        lease_s = self._options.lease_s
        async with asyncio.timeout(lease_s):
            leadership = await self._schedules.lead(self._leader, lease_s)
        self._watchdog.store_answers()
        if not leadership.is_led:
            if self._term is not None:
                log.warning("scheduler %s leads now", leadership.leader)
            self._term = None
            self._standby_s = min(leadership.left_s + 0.01, self._options.sweep_s)
            return False
        self._trusted_until = sent_at + lease_s * (1 - MARGIN)
        self._renew_at = sent_at + lease_s / RENEWALS
        is_new, self._term = self._term != leadership.term, leadership.term
        if is_new:
            log.info("scheduler %s leads in term %d", self._leader, leadership.term)
            await self._look_at_held_again()
        return True

    def _step_down(self) -> None:
        self._term = None

    async def _resign(self) -> None:
        if self._term is None:
            return
        self._term = None
        with suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(self._options.lease_s):
                await self._schedules.resign(self._leader)

    async def _look_at_held_again(self) -> None:
        """Let each schedule that was held be planned for once more: what held it may be gone."""
        after = ""
        while True:
            page = await self._schedules.page(limit=SAVE_BATCH_MAX, after=after, status=Status.HELD)
            again = [row for row in map(retried, page.rows) if row is not None]
            if again:
                await self._schedules.save([SchedulePlan(row) for row in again])
            if len(page.rows) < SAVE_BATCH_MAX:
                return
            after = page.rows[-1].name

    # -- firing --------------------------------------------------------------

    async def _serve(self) -> float:
        """Fire what is due; return after how many seconds there is more to do."""
        due = await self._schedules.due(DUE_MAX)
        if due.schedules:
            await self._fire_all(due)
            return 0.0
        await self._prune()
        next_s = self._options.sweep_s if due.next_due_s is None else due.next_due_s
        left_s = self._renew_at - self._now()
        return max(0.0, min(next_s, left_s, self._options.sweep_s))

    async def _fire_all(self, due: DueSchedules) -> None:
        """Write what becomes of what is due; while one batch is written, the next is planned."""
        writing: asyncio.Task[None] | None = None
        try:
            for start in range(0, len(due.schedules), FIRE_BATCH_MAX):
                planned = await self._planned(due.schedules[start : start + FIRE_BATCH_MAX], due)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(planned))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _planned(self, some: Sequence[DueSchedule], due: DueSchedules) -> list[Planned]:
        planned = []
        for n, each in enumerate(some):
            planned.append(self._plan(each, due))
            if n % BREATHE_EACH == 0:
                await asyncio.sleep(0)
        return planned

    async def _write(self, planned: Sequence[Planned]) -> None:
        for batch in _batches(planned):
            for job_id in (job_id for one in batch for job_id in one.cancels):
                with suppress(JobNotFound):
                    await self._client.cancel(job_id, actor="schedule")
            await self._fire([one.plan for one in batch])

    def _plan(self, each: DueSchedule, due: DueSchedules) -> Planned:
        try:
            return plan(each, due.now, self._new_job_id, self._knows)
        except Exception as error:  # one that breaks must not hold up the others
            log.exception("schedule %s cannot be planned for, and is held", each.row.name)
            return Planned(SchedulePlan(held(each.row, f"{type(error).__name__}: {error}")))

    async def _fire(self, plans: Sequence[SchedulePlan]) -> None:
        term = self._term
        if term is None or not await self._lead() or self._term != term:
            raise LeaderLost(self._leader, term or 0)
        async with asyncio.timeout(max(0.0, self._trusted_until - self._now())):
            fired = await self._schedules.fire(plans, leader=self._leader, term=term)
        for each, is_fired in zip(plans, fired, strict=True):
            if is_fired:
                self._announce(each)

    def _announce(self, written: SchedulePlan) -> None:
        row = written.row
        if row.status in (Status.HELD, Status.PAUSED):
            log.error("schedule %s is %s: %s", row.name, row.status, row.why)
        if not self._is_observed:
            return
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
        pruned = await self._schedules.prune(self._options.retention_s, PRUNE_LIMIT)
        if pruned < PRUNE_LIMIT:
            self._prune_at = self._now() + PRUNE_INTERVAL_S

    # -- waiting -------------------------------------------------------------

    async def _pause(self, wait: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Await something that a stop may break off; never a write in flight."""
        if self._stop.is_set():
            return
        self._idle = asyncio.ensure_future(wait())
        try:
            await self._idle
        except asyncio.CancelledError:
            if not self._stop.is_set():  # it was this loop that was cancelled
                self._idle.cancel()
                raise
        finally:
            self._idle = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _batches(planned: Sequence[Planned]) -> list[list[Planned]]:
    """Part plans so that no transaction starts more jobs than it may."""
    batches: list[list[Planned]] = []
    size = FIRE_BATCH_MAX
    for one in planned:
        weight = max(1, len(one.plan.requests))
        if size + weight > FIRE_BATCH_MAX:
            batches.append([])
            size = 0
        batches[-1].append(one)
        size += weight
    return batches


def _missed(fire: Fire) -> Notice:
    return Notice(
        kind=NoticeKind.MISFIRED,
        schedule=fire.schedule,
        count=fire.count,
        message=None if fire.reason is None else str(fire.reason),
    )
