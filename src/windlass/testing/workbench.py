"""The workbench: an app under test on a store of its own, with a clock that the test moves."""

import asyncio
import functools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from windlass import App, AttemptCall, Job, JobFilter, JobHandle, Outcome, Proceed, State, Task
from windlass.app import Stage
from windlass.core.tasks import TaskSpec
from windlass.engine.worker import Worker
from windlass.errors import BadArguments, BadOption, WouldDeadlock
from windlass.model.jobs import Claim, JobId, WorkerId
from windlass.model.outcomes import Transition
from windlass.portal import loop_is_running
from windlass.stores.sqlite import SqliteStore
from windlass.testing.clock import FakeClock

T = TypeVar("T")
Delay = float | timedelta

LOOK_S = 0.002  # how soon a worker that has nothing to do is seen to have nothing to do
SWEEP_LIMIT, LIST_LIMIT = 1_000, 1_000
QUICK = {
    "poll_interval_s": 0.01,
    "sweep_interval_s": 0.05,
    "recycle_after_jobs": 0,
    "recycle_above_bytes": 0,
}


class Workbench:
    """An app whose jobs run when a test says so, on time that passes when the test says so.

    app:    the app under test; its settings hold, but not its store and place of large results.
    folder: where these are instead; an empty one.
    clock:  where the store has its time from.

    The store is a SQLite file of its own, and the worker a real one: payloads are encoded, checked
    and decoded, retries, limits, middleware, dependencies and the lifespan are those of production.
    Only the isolation is not: what would run in a child process runs on a thread here, without
    its timeout.
    """

    def __init__(self, app: App, folder: Path, clock: FakeClock | None = None) -> None:
        self.app = app
        self.clock = FakeClock() if clock is None else clock
        self._folder = folder.resolve()
        self._path = self._folder / "windlass-workbench.db"
        self._traffic = _Traffic()
        self._faults: defaultdict[str, deque[BaseException]] = defaultdict(deque)

    @contextmanager
    def running(self) -> Iterator["Workbench"]:
        """Have the app on this bench within a block."""
        settings: dict[str, Any] = dict(QUICK)
        if self.app.settings.large_results:
            settings["large_results"] = (self._folder / "large-results").as_uri()
        with self.app.staged(Stage(self._make_store, self._as_run), **settings):
            self.app.schedules.sync()  # they count from now on
            yield self

    # -- running what is due -------------------------------------------------

    def drain(self) -> int:
        """Run what is due, and what that makes due, until nothing is; return how many attempts.

        What is delayed, or will be retried later, stays until ``advance``.
        """
        return self._blocking(self.adrain)

    async def adrain(self) -> int:
        """Run what is due until nothing is; see :meth:`drain`."""
        begun = self._traffic.begun
        async with self._working() as working, self._store() as store:
            while not await self._is_quiet(store, working):
                pass
        return self._traffic.begun - begun

    def advance(self, by: Delay) -> None:
        """Move the clock on; what has come due by then runs with the next ``drain``.

        Raises: BadOption, for time that goes back.
        """
        self.clock.advance(_forward_s(by))

    def run_for(self, time: Delay) -> int:
        """Drain, again and again, at each instant at which something is due within ``time``.

        So each retry and each tick of a schedule has its own time; ``advance`` jumps over them, as
        the clock of a machine does that was switched off.
        """
        return self._blocking(lambda: self.arun_for(time))

    async def arun_for(self, time: Delay) -> int:
        """Drain at each instant at which something is due within ``time``; see ``run_for``."""
        ends_at = self.clock.now() + timedelta(seconds=_forward_s(time))
        attempts = await self.adrain()
        while (left_s := (ends_at - self.clock.now()).total_seconds()) > 0:
            async with self._store() as store:
                due_s = [await self._next_sweep_s(store), await _next_tick_s(store)]
            step_s = min([left_s, *(each for each in due_s if each is not None)])
            self.clock.advance(max(step_s, 0.001))  # what is due needs a clock that is not behind
            attempts += await self.adrain()
        return attempts

    # -- failures ------------------------------------------------------------

    def fail_next(self, task: Task[..., Any, Any], *errors: BaseException) -> None:
        """Have the next attempts of a task raise these errors instead of running its code.

        What becomes of the job is what the task's retry policy says of them.
        """
        self._faults[task.name].extend(errors)

    async def _inject(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        if faults := self._faults[call.spec.name]:
            raise faults.popleft()
        return await proceed(call)

    # -- what there is -------------------------------------------------------

    def enqueued(self, task: Task[..., Any, Any], /, **arguments: Any) -> list[JobHandle[Any]]:
        """Return the jobs of a task, oldest first, that were given these arguments, and others.

        The arguments are compared as the task would get them.  Jobs that have ended count too.
        """
        jobs = [job for job in self.jobs(task=task.name) if _was_given(task.spec, job, arguments)]
        return [JobHandle(self.app, job.id, task.spec) for job in jobs]

    def jobs(self, *states: State, task: str | None = None) -> list[Job]:
        """Return the jobs, oldest first; of these states only, if any are named."""
        where = JobFilter(states=states or None, task=task)
        page = self.app.operations.jobs(where, limit=LIST_LIMIT)
        found = list(page)
        while len(page) == LIST_LIMIT:
            page = self.app.operations.jobs(where, limit=LIST_LIMIT, before=page[-1].id)
            found += page
        return found[::-1]

    # -- within --------------------------------------------------------------

    def _as_run(self, spec: TaskSpec) -> TaskSpec:
        isolation = spec.isolation
        if isolation == "process":
            isolation = "loop" if spec.is_async else "thread"
        around = (*spec.around_attempt, self._inject)
        return replace(spec, isolation=isolation, around_attempt=around)

    def _make_store(self) -> "_WatchedStore":
        return _WatchedStore(self._path, self.clock, self._traffic)

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[SqliteStore]:
        store = self._make_store()
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[asyncio.Task[None]]:
        workers: list[Worker] = []
        working = asyncio.create_task(self.app.run_worker(on_ready=workers.append, scheduler=True))
        try:
            yield working
        finally:
            for worker in workers:
                worker.stop()
            await working

    async def _is_quiet(self, store: SqliteStore, working: asyncio.Task[None]) -> bool:
        """Tell whether nothing runs, nothing is due, and a look for work has found none."""
        traffic = self._traffic
        begun = traffic.begun
        is_due = await self._next_sweep_s(store) == 0 or await _next_tick_s(store) == 0
        looks = traffic.looks
        while traffic.empty_since <= looks:  # begun after it was seen what is due
            if working.done():
                working.result()
                raise RuntimeError("the worker of the bench has stopped")
            await asyncio.sleep(LOOK_S)
            if traffic.open:
                return False
        return not is_due and traffic.begun == begun

    async def _next_sweep_s(self, store: SqliteStore) -> float | None:
        """Make the moves of the clock; return in how many seconds there are more, 0 for now."""
        swept = await store.sweep(SWEEP_LIMIT, self.app.settings.losses_max)
        moved = swept.promoted + swept.rescued + swept.poisoned + swept.expired + swept.lifted
        return 0 if moved else swept.next_due_s

    def _blocking(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if loop_is_running():
            raise WouldDeadlock

        async def run() -> T:
            try:
                return await work()
            finally:
                await self.app.aclose()  # what tasks have opened in this loop

        return asyncio.run(run())


class _Traffic:
    """What the workers of a bench have claimed and settled.

    open:        what is claimed and not settled yet, by job and fence.
    looks:       claims begun, by number.
    empty_since: the number of the last one that found nothing.
    """

    def __init__(self) -> None:
        self.begun = self.looks = self.empty_since = 0
        self.open: set[tuple[JobId, int]] = set()


class _WatchedStore(SqliteStore):
    """A store that counts what passes through it."""

    def __init__(self, path: Path, clock: FakeClock, traffic: _Traffic) -> None:
        super().__init__(path, synchronous="normal", clock=clock)
        self._traffic = traffic

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        """Move queued jobs to running; they are open until they are settled."""
        self._traffic.looks += 1
        look = self._traffic.looks
        claims = await super().claim(worker, queues, limit)
        self._traffic.begun += len(claims)
        self._traffic.open |= {(claim.job_id, claim.fence) for claim in claims}
        if not claims:
            self._traffic.empty_since = look
        return claims

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Write how attempts ended."""
        applied = await super().settle(transitions)
        ended = (one for one in transitions if one.after is not State.RUNNING)
        self._traffic.open -= {(one.job_id, one.fence) for one in ended}
        return applied


async def _next_tick_s(store: SqliteStore) -> float | None:
    due = await store.schedules.due(1)
    return 0 if due.schedules else due.next_due_s


def _was_given(spec: TaskSpec, job: Job, arguments: dict[str, Any]) -> bool:
    if not arguments:
        return True
    try:
        call = spec.signature.decode(job.payload, job.fingerprint)
    except BadArguments:  # it waits for what other jobs will give it
        return False
    given = spec.signature.bound(*call)
    return all(name in given and given[name] == value for name, value in arguments.items())


def _forward_s(time: Delay) -> float:
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if seconds < 0:
        raise BadOption("time", time, "must not be negative: the clock of a bench goes forward")
    return seconds


def closing(app: App, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return a coroutine test that closes, in its own loop, what the app has opened there."""

    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        try:
            await test(*args, **kwargs)
        finally:
            await app.aclose()

    return run
