"""The worker: claims jobs for its free slots, runs them, and settles how they ended.

Five loops share one store: the lease keeper renews, the claimer fills slots, the settler
writes outcomes in groups, the progress writer what attempts say meanwhile, upkeep makes the
clock's moves.  A wake-up that is
lost costs one poll interval; a store that is gone costs the time it is gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from windlass.core.batches import Together
from windlass.core.capture import error_info
from windlass.core.context import Context
from windlass.core.lifecycle import after_attempt
from windlass.core.middleware import AttemptCall, attempt_through
from windlass.core.tasks import Isolation, TaskSpec, outcome_of, retry_delay_s
from windlass.engine.eager import start_task
from windlass.engine.inputs import Inputs
from windlass.engine.instants import Instants
from windlass.engine.large_results import Ends, LargeResults
from windlass.engine.lease import LeaseKeeper
from windlass.engine.observers import Observers
from windlass.engine.pools import Pools
from windlass.engine.progress import ProgressWriter
from windlass.engine.settler import Settler
from windlass.engine.stop import Stop
from windlass.engine.upkeep import Upkeep
from windlass.engine.watchdog import Watchdog
from windlass.engine.worker_notices import of_claim, of_end, of_progress
from windlass.errors import ConfigurationError, TaskError, UnavailableError, UsageError
from windlass.model.jobs import CLAIM_BATCH_MAX, Claim, JobId, RunKind
from windlass.model.notices import ENDS, Notice, NoticeKind, kind_of
from windlass.model.outcomes import (
    Cancelled,
    Continued,
    Diverged,
    Failed,
    Outcome,
    Released,
    Transition,
    Unknown,
)
from windlass.model.progress import ProgressReport
from windlass.model.topics import queue_topic
from windlass.model.workers import WorkerInfo
from windlass.ports import Bell, Executor, Store

log = logging.getLogger("windlass.worker")

RESTART_S = 1.0
DEAF_S = 5.0
BURST_POLL_S = 0.1
NOBODY = Observers()


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker behaves.  Seconds and counts; the settings of the same names say more.

    jobs_max: after so many jobs it retires; None for no end.
    burst: it stops when nothing runs and there is nothing that it could start.
    thread_slots, process_slots: places of these pools; None for as many as ``slots``.
    """

    queues: tuple[str, ...] = ("default",)
    slots: int = 16
    lease_s: float = 15.0
    renew_s: float = 5.0
    poll_s: float = 1.0
    sweep_s: float = 1.0
    shutdown_s: float = 30.0
    losses_max: int = 3
    unknown_task_delay_s: float = 5.0
    claim_batch: int = CLAIM_BATCH_MAX
    retention_s: float | None = None
    progress_s: float = 0.25
    jobs_max: int | None = None
    burst: bool = False
    thread_slots: int | None = None
    process_slots: int | None = None

    @property
    def places(self) -> Mapping[Isolation, int | None]:
        """The places of each pool that may be narrow."""
        return {"thread": self.thread_slots, "process": self.process_slots}


class Running:
    """One attempt in progress, and the reason for which it was stopped, if it was."""

    __slots__ = ("began_at", "claim", "context", "due_at", "spec", "stopped", "task", "together")

    def __init__(self, claim: Claim, spec: TaskSpec, began_at: float, context: Context) -> None:
        self.claim = claim
        self.spec = spec
        self.began_at = began_at
        self.context = context
        self.task: asyncio.Task[None] | None = None
        self.stopped: Outcome | None = None
        self.due_at: float | None = None  # not before this instant; None: at once
        self.together: Together | None = None  # where it runs several jobs

    @property
    def claims(self) -> Sequence[Claim]:
        """The claims of all jobs that it runs."""
        return [self.claim] if self.together is None else self.together.claims


class Worker:
    """Runs jobs until it is told to stop.

    Made in the loop in which it runs.
    store:     open, and bound to the running loop.
    executors: started, one for each isolation that a task of ``specs`` asks for.
    new_info:  makes the description of this worker under a fresh random id.
    chance:    a random number in [0, 1), for the jitter of retries.
    observers: told what happens to the jobs, and to this worker.
    state:     handed to each attempt in its context.
    watchdog:  told of each loop's progress, and of the lease.
    instants:  waits for the due time of what was claimed before it.
    large:     where results go that are too large for a row.
    """

    def __init__(
        self,
        store: Store,
        specs: Mapping[str, TaskSpec],
        executors: Mapping[Isolation, Executor],
        options: WorkerOptions,
        *,
        new_info: Callable[[], WorkerInfo],
        chance: Callable[[], float],
        observers: Observers = NOBODY,
        state: Any = None,
        watchdog: Watchdog | None = None,
        instants: Instants | None = None,
        large: LargeResults | None = None,
    ) -> None:
        self._store = store
        self._large = large or LargeResults()
        self._keeps_large = self._large.are_kept
        self._inputs = Inputs(store, specs, self._large, options.losses_max)
        self._watchdog = watchdog or Watchdog()
        self._pulse = self._watchdog.pulse("claim")
        self._instants = instants or Instants()
        self._specs = specs
        self._executors = executors
        self._options = options
        self._chance = chance
        self._state = state
        self._now = asyncio.get_running_loop().time
        self._observers = observers
        self._tells_of_claims = observers.want(NoticeKind.CLAIMED)
        self._tells_of_starts = observers.want(NoticeKind.STARTED)
        self._tells_of_ends = observers.want(*ENDS)
        self._ended: dict[tuple[JobId, int], tuple[Claim, float | None]] = {}  # for observers
        self._limited: set[JobId] = set()  # under limits, and not settled yet
        self._bell: Bell | None = None
        self._running: dict[JobId, Running] = {}
        self._pools = Pools(specs.values(), options.slots, options.places)
        self._pool_room = asyncio.Event()
        self._room = asyncio.Event()
        self._stop = Stop()
        self._patience_ends = asyncio.Event()
        self._hurry = asyncio.Event()
        self._doubt_ends_at: float | None = None
        self.jobs_started = self.jobs_done = 0
        self.has_backlog = False  # whether the last claim brought as much as there was room for
        self._progress = ProgressWriter(
            store,
            interval_s=options.progress_s,
            written=self._tell_of_progress if observers.want(NoticeKind.PROGRESSED) else None,
            pulse=self._watchdog.pulse("progress"),
        )
        self._note_progress = self._progress.note  # bound once, not for each attempt
        self._settler = self._make_settler()
        self._keeper = self._make_keeper(new_info)
        self._upkeep = self._make_upkeep()

    def _make_settler(self) -> Settler:
        return Settler(
            self._store,
            first=self._progress.write_last,
            settled=self._settled,
            pulse=self._watchdog.pulse("settle"),
        )

    def _make_keeper(self, new_info: Callable[[], WorkerInfo]) -> LeaseKeeper:
        return LeaseKeeper(
            self._store,
            new_info,
            lease_s=self._options.lease_s,
            renew_s=self._options.renew_s,
            on_cancel=self._cancel,
            on_lost=self._abandon,
            on_drain=self._drain,
            watchdog=self._watchdog,
        )

    def _make_upkeep(self) -> Upkeep:
        return Upkeep(
            self._store,
            sweep_s=self._options.sweep_s,
            losses_max=self._options.losses_max,
            retention_s=self._options.retention_s,
            on_lost=self._lost,
            pulse=self._watchdog.pulse("upkeep"),
        )

    @property
    def running(self) -> int:
        """How many attempts run at this moment."""
        return len(self._running)

    @property
    def slots(self) -> int:
        """How many attempts it runs at the same time."""
        return self._options.slots

    @property
    def is_retiring(self) -> bool:
        """Whether it claims no more, for whatever reason."""
        return self._stop.is_set()

    @property
    def makes_way(self) -> bool:
        """Whether it has retired, for another one to follow; one that was stopped has not."""
        return self._stop.is_set() and not self._patience_ends.is_set()

    def retire(self) -> None:
        """Claim no more; let what runs end, however long it takes, and stop."""
        self._watchdog.stopping()
        self._stop.set()

    def stop(self) -> None:
        """Claim no more; let what runs end within ``shutdown_s``, then release it."""
        self.retire()
        self._patience_ends.set()

    def hurry(self) -> None:
        """Stop without waiting: what runs is stopped and released at once."""
        self.stop()
        self._hurry.set()

    async def run(self) -> None:
        """Work until ``stop``; then settle what is left and give up the lease."""
        self._tell_of_worker(NoticeKind.WORKER_STARTED)
        keeper = self._spawn("lease", self._keeper.run)
        settler = self._spawn("settle", self._settler.run)
        upkeep = self._spawn("upkeep", self._upkeep.run)
        progress = self._spawn("progress", self._progress.run)
        claimer = self._spawn("claim", self._claim_until_stopped)
        try:
            await claimer
            await self._finish_running()
        finally:
            await self._release_running()
            await self._let_settle()
            await _end(upkeep, claimer, keeper, settler, progress)
            await self._leave()
            self._tell_of_worker(NoticeKind.WORKER_STOPPED)

    # -- claiming ------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        await self._rest(self._keeper.wait_held)
        if self._stop.is_set():
            return
        info = self._keeper.info
        log.info("worker %s serves %s", info.id, ", ".join(self._options.queues))
        bell = self._store.listen([queue_topic(name) for name in self._options.queues])
        self._bell = bell
        try:
            while not self._stop.is_set():
                was_busy = self._is_busy  # what ended since may have let others go
                is_there_more = await self._claim_once()
                self._pulse.beat(self._options.poll_s)
                if self._options.burst and not (is_there_more or was_busy or self._is_busy):
                    log.info("there is nothing left to start: the worker stops")
                    self.stop()
                elif not is_there_more:
                    await self._stop.pause(lambda: self._news(bell))
        finally:
            bell.close()

    @property
    def _is_busy(self) -> bool:
        return bool(self._running or len(self._settler))

    async def _news(self, bell: Bell) -> None:
        """Return when there may be more to claim: new jobs, or room in a pool that was full."""
        poll_s = BURST_POLL_S if self._options.burst else self._options.poll_s
        if not self._pools:
            await bell.wait(poll_s)
            return
        rung = asyncio.ensure_future(bell.wait(poll_s))
        freed = asyncio.ensure_future(self._pool_room.wait())
        try:
            await asyncio.wait({rung, freed}, return_when="FIRST_COMPLETED")
        finally:
            await _end(rung, freed)

    async def _claim_once(self) -> bool:
        """Fill the free slots; False if the queues hold no more than was taken."""
        free = self._options.slots - len(self._running)
        backlog = len(self._settler)
        if free <= 0 or backlog >= self._options.slots + CLAIM_BATCH_MAX:
            self._room.clear()
            await self._rest(self._room.wait)
            return True
        if not self._keeper.held:
            await self._rest(self._keeper.wait_held)
            await asyncio.sleep(0)  # the keeper may not yet know that its time is over
            return True
        if self._doubt_ends_at is not None:
            await self._take_unanswered(self._doubt_ends_at)
        is_there_more = False
        self._pool_room.clear()
        rooms = self._pools.room(self._options.queues)
        for queues, room in rooms:
            limit = self._limit(room)
            if limit <= 0:
                is_there_more = True
                break
            is_there_more |= await self._claim(queues, limit)
        asked = sum(len(queues) for queues, _ in rooms)
        self.has_backlog = is_there_more or asked < len(self._options.queues)
        return is_there_more

    def _limit(self, room: int | None) -> int:
        limit = min(self._options.slots - len(self._running), self._options.claim_batch)
        if room is not None:
            limit = min(limit, room)
        if self._options.jobs_max is not None:
            limit = min(limit, self._options.jobs_max - self.jobs_started)
        return 0 if self._stop.is_set() else limit

    async def _claim(self, queues: Sequence[str], limit: int) -> bool:
        """Claim from some queues; False if they hold no more than was taken."""
        worker = self._keeper.info.id
        try:
            claims = await self._store.claim(worker, queues, limit)
        except UnavailableError:
            self._doubt_ends_at = self._now() + self._options.lease_s
            raise
        self._take(claims, worker == self._keeper.info.id)
        return len(claims) >= limit

    async def _take_unanswered(self, doubt_ends_at: float) -> None:
        """Take what a claim gave us whose answer was lost: our lease would keep it for ever.

        A claim may take effect some time after its connection broke; so we ask until an
        answer is had that was asked for a whole lease later.
        """
        worker, asked_at = self._keeper.info.id, self._now()
        # What ends while we ask is still in the answer: only what was never here is new.
        running = (claim for one in self._running.values() for claim in one.claims)
        known = {(claim.job_id, claim.fence) for claim in running}
        known |= self._settler.fences
        held = await self._store.held(worker)
        new = [claim for claim in held if (claim.job_id, claim.fence) not in known]
        self._take(new, worker == self._keeper.info.id)
        if asked_at >= doubt_ends_at:
            self._doubt_ends_at = None

    def _take(self, claims: Sequence[Claim], still_held: bool) -> None:
        stopping = self._stop.is_set() or not still_held
        for claim in claims:
            if self._tells_of_claims:
                self._tell_of_claim(NoticeKind.CLAIMED, claim)
            if stopping:
                self._hand_over(claim, Released())
            elif claim.batch is None:
                self._start(claim)
            elif claim.batch == claim.job_id:
                self._start_batch([one for one in claims if one.batch == claim.batch])
        if self._options.jobs_max is not None and self.jobs_started >= self._options.jobs_max:
            log.info("the worker retires: it has begun %d jobs", self.jobs_started)
            self.retire()

    async def _rest(self, wait: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Await what is for others to bring about, however long it takes."""
        self._pulse.rest()
        await self._stop.pause(wait)
        self._pulse.beat()

    # -- running -------------------------------------------------------------

    def _start(self, claim: Claim) -> None:
        spec = self._specs.get(claim.task)
        if spec is None:
            log.warning("job %s: this worker knows no task %r", claim.job_id, claim.task)
            self._hand_over(claim, Unknown(self._options.unknown_task_delay_s))
            return
        self._begin(claim, spec, None)

    def _start_batch(self, claims: Sequence[Claim]) -> None:
        spec = self._specs.get(claims[0].task)
        if spec is None:
            for claim in claims:
                self._start(claim)
            return
        together = Together(spec.signature, claims, spec.result_limit_bytes)
        for claim, refusal in together.refused:
            self._hand_over(claim, refusal)
        if together.claim is not None:
            self._begin(together.claim, spec, together)

    def _begin(self, claim: Claim, spec: TaskSpec, together: Together | None) -> None:
        context = Context(claim, self._state, self._note_progress)
        running = Running(claim, spec, self._now() if self._tells_of_ends else 0.0, context)
        running.together = together
        if claim.due_in_s is not None:
            running.due_at = self._instants.now() + claim.due_in_s
        self._running[claim.job_id] = running
        self.jobs_started += 1 if together is None else len(together.claims)
        if self._pools.are_narrow:
            self._pools.enter(claim.queue, spec.isolation)
        if self._tells_of_starts:
            for one in running.claims:
                self._tell_of_claim(NoticeKind.STARTED, one)
        running.task = start_task(self._attempt(running))

    async def _attempt(self, running: Running) -> None:
        spec, claim = running.spec, running.claim
        outcome: Outcome | None = None
        kept: Ends | None = None
        try:
            if running.due_at is not None:
                await self._instants.until(running.due_at)
                running.began_at = self._now() if self._tells_of_ends else 0.0
            if claim.has_inputs or spec.kind is not None:
                claim, outcome = await self._inputs.given(spec, claim, running.context)
            if outcome is not None:
                pass  # it was handed on, and what it was handed on to has ended
            elif spec.around_attempt:
                call = AttemptCall(spec, claim, running.context)
                outcome = await attempt_through(spec.around_attempt, call, self._execute)
            else:
                outcome = await self._executors[spec.isolation].run(spec, claim, running.context)
            if isinstance(outcome, Continued) and outcome.cancels:
                await self._inputs.cancel(claim, outcome.cancels)
            elif spec.kind is RunKind.WORKFLOW and isinstance(outcome, Failed | Cancelled):
                await self._inputs.end_steps(claim)
            if self._keeps_large and self._large.must_take(outcome):
                kept = await self._large.kept(_ends(running, claim, outcome))
        except asyncio.CancelledError:
            outcome = running.stopped
        except (UsageError, ConfigurationError, TaskError) as error:  # what other jobs give
            outcome = outcome_of(spec, error)
        except Exception as error:  # an executor never raises; if one does, the job must not hang
            log.exception("job %s: the executor broke", claim.job_id)
            outcome = Failed(error_info(error))
        # A worker that lost its lease may already hold the same job under a newer fence.
        if self._running.get(claim.job_id) is running:
            del self._running[claim.job_id]
        self._room.set()
        if self._pools.are_narrow and self._pools.leave(spec.isolation):
            self._pool_room.set()
        if outcome is not None and running.together is None and kept is None:
            self._settle(running, claim, outcome)
        elif outcome is not None:
            for one, own in kept or _ends(running, claim, outcome):
                self._settle(running, one, own)
        elif self._tells_of_ends:  # its lease is gone; nothing is written of it
            seconds = self._now() - running.began_at
            self._tell_of_claim(NoticeKind.REFUSED, claim, seconds)

    async def _execute(self, call: AttemptCall) -> Outcome:
        """Run what stands inside all middleware."""
        return await self._executors[call.spec.isolation].run(call.spec, call.claim, call.context)

    def _settle(self, running: Running, claim: Claim, outcome: Outcome) -> None:
        spec = running.spec
        if running.context.last_progress is not None:
            self._progress.end(running.context)
        delay_s = None
        if isinstance(outcome, Failed):
            if running.context.cancel_requested:
                outcome = Cancelled()
            outcome, delay_s = retry_delay_s(spec, outcome, claim.failures, self._chance())
            if isinstance(outcome, Failed):
                soon_s = delay_s if outcome.after_s is None else outcome.after_s
                log.warning(
                    "job %s (%s) attempt %d: %s: %s%s",
                    claim.job_id,
                    claim.task,
                    claim.attempt,
                    outcome.error.type,
                    outcome.error.message,
                    "" if delay_s is None else f"; again in {soon_s:.3g} s",
                )
        if isinstance(outcome, Diverged):
            log.error("job %s (%s) is held: %s", claim.job_id, claim.task, outcome.error.message)
        self._hand_over(claim, outcome, delay_s, running.began_at, spec.result_ttl_s)

    def _hand_over(
        self,
        claim: Claim,
        outcome: Outcome,
        delay_s: float | None = None,
        began_at: float | None = None,
        result_ttl_s: float | None = None,
    ) -> None:
        spec = self._specs.get(claim.task)
        if claim.lane is not None or (spec is not None and spec.kind is not None):
            self._limited.add(claim.job_id)
        if self._tells_of_ends:
            seconds = None if began_at is None else self._now() - began_at
            self._ended[claim.job_id, claim.fence] = claim, seconds
        self._settler.add(after_attempt(claim, outcome, delay_s, result_ttl_s))

    def _cancel(self, job_ids: Sequence[JobId]) -> None:
        for job_id in job_ids:
            running = self._running.get(job_id)
            if running is not None and running.together is not None:
                continue  # it runs for other jobs too, and goes on
            if running is not None and not running.context.cancel_requested:
                running.context.ask_to_cancel()
                if running.spec.isolation != "thread":
                    _stop_attempt(running, Cancelled())

    def _drain(self) -> None:
        if not self._stop.is_set():
            log.info("an operator drains this worker: it claims no more, and stops")
            self.stop()

    def _abandon(self) -> None:
        """The lease is gone: stop everything, and write nothing of it."""
        for running in self._running.values():
            running.context.ask_to_cancel()
            _stop_attempt(running, None)
        self._running.clear()  # threads cannot be stopped; their late outcomes are refused by fence
        self._room.set()

    def _settled(self, batch: Sequence[Transition], applied: Sequence[bool]) -> None:
        self.jobs_done += len(batch)
        self._room.set()
        if self._limited:
            self._look_for_freed(batch)
        if self._tells_of_ends:
            for transition, was_applied in zip(batch, applied, strict=True):
                self._tell_of_end(transition, was_applied)

    def _look_for_freed(self, batch: Sequence[Transition]) -> None:
        """What ends under a limit lets another begin: look for it, also in a quiet queue."""
        freed = self._limited.intersection(transition.job_id for transition in batch)
        self._limited -= freed
        if freed and self._bell is not None:
            self._bell.ring()

    # -- observers -----------------------------------------------------------

    def _tell_of_claim(self, kind: NoticeKind, claim: Claim, seconds: float | None = None) -> None:
        self._observers.tell(of_claim(kind, claim, self._keeper.info.id, seconds))

    def _tell_of_progress(self, context: Context, report: ProgressReport) -> None:
        self._observers.tell(of_progress(context, report, self._keeper.info.id))

    def _tell_of_end(self, transition: Transition, was_applied: bool) -> None:
        told = self._ended.pop((transition.job_id, transition.fence), None)
        if told is None:  # an observer's bookkeeping must never hold up a write
            return
        claim, seconds = told
        kind = kind_of(transition) if was_applied else NoticeKind.REFUSED
        self._observers.tell(of_end(kind, transition, claim, self._keeper.info.id, seconds))

    def _tell_of_worker(self, kind: NoticeKind) -> None:
        self._observers.tell(Notice(kind=kind, worker=self._keeper.info.id))

    def _lost(self, count: int) -> None:
        self._observers.tell(Notice(kind=NoticeKind.LOST, count=count))

    # -- stopping ------------------------------------------------------------

    async def _finish_running(self) -> None:
        """Give what runs its time to end; a second signal cuts it short."""
        tasks = self._attempt_tasks()
        if not tasks:
            return
        due = asyncio.ensure_future(self._wait_for_patience_to_end(len(tasks)))
        ended = asyncio.ensure_future(asyncio.wait(tasks))
        await asyncio.wait({due, ended}, return_when="FIRST_COMPLETED")
        await _end(due, ended)

    async def _wait_for_patience_to_end(self, attempts: int) -> None:
        if not self._patience_ends.is_set():
            log.info("retiring: %d attempts run to their end", attempts)
            await self._patience_ends.wait()
        log.info("stopping: %d attempts have %g s to end", attempts, self._options.shutdown_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.shutdown_s):
                await self._hurry.wait()

    async def _release_running(self) -> None:
        for running in list(self._running.values()):
            running.context.ask_to_cancel()
            _stop_attempt(running, Released(started=True))
        tasks = self._attempt_tasks()
        if tasks:
            _, deaf = await asyncio.wait(tasks, timeout=DEAF_S)
            for task in deaf:
                log.error("an attempt ignores its cancellation and is left behind: %r", task)

    def _attempt_tasks(self) -> "list[asyncio.Task[None]]":
        return [running.task for running in self._running.values() if running.task is not None]

    async def _let_settle(self) -> None:
        try:
            async with asyncio.timeout(self._options.lease_s):
                await self._settler.drained()
        except TimeoutError:
            log.error("stopping with %d outcomes not written: no store", len(self._settler))

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(self._options.renew_s):
                await self._store.leave(self._keeper.info.id)
        except (UnavailableError, TimeoutError) as error:
            log.warning("the lease could not be given up: %s", error)

    # -- supervision ---------------------------------------------------------

    def _spawn(self, name: str, loop: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Run a loop; whatever it raises is told, and it begins again."""

        pulse = self._watchdog.pulse(name)

        async def supervised() -> None:
            pulse.beat()
            while True:
                try:
                    return await loop()
                except UnavailableError as error:
                    pulse.beat(RESTART_S)  # an outage is no lack of progress of ours
                    log.warning("%s waits: %s", name, error)
                except Exception:
                    log.exception("%s broke; it begins again in %g s", name, RESTART_S)
                if name == "claim" and self._stop.is_set():
                    return None
                await asyncio.sleep(RESTART_S)

        task = asyncio.create_task(supervised(), name=f"windlass-{name}")
        task.add_done_callback(lambda _: pulse.rest())
        return task


def _ends(running: Running, claim: Claim, outcome: Outcome | None) -> Ends:
    """Return what an outcome is for each job of an attempt."""
    if outcome is None:
        return []
    return [(claim, outcome)] if running.together is None else running.together.apart(outcome)


def _stop_attempt(running: Running, outcome: Outcome | None) -> None:
    running.stopped = outcome
    if running.task is not None:
        running.task.cancel()


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
