"""A world of runs: DAGs and workflows under workers that crash, stop, stand still and come back."""

import asyncio
from collections.abc import Mapping
from contextvars import copy_context
from datetime import timedelta
from typing import Any, cast

from tests.simulation.run_invariants import RunData, check_acknowledged
from tests.simulation.run_plans import (
    NUMBERS,
    DagPlan,
    Node,
    StepPlan,
    random_dag,
    random_program,
    register_dag,
    register_flow,
)
from tests.simulation.run_reckoning import Reckoning
from tests.simulation.run_tasks import RunBook, SimulatedApp, register_tasks
from tests.simulation.schedule_world import SWEEP_S, SimulatedScheduler
from tests.simulation.world import LEASE_S, World
from windlass import Schedule, chain, every, group
from windlass.composition import Composition, Unfolding
from windlass.core.context import Context
from windlass.core.occasion import occasion_of
from windlass.core.tasks import Isolation, TaskSpec
from windlass.engine.client import Client
from windlass.engine.scheduler import Scheduler, SchedulerOptions
from windlass.engine.schedules import ScheduleClient
from windlass.errors import (
    HoldNotFound,
    JobNotFailed,
    JobNotWaiting,
    StoreUnavailable,
)
from windlass.executors.attempt import attempt_plain
from windlass.executors.loop import LoopExecutor
from windlass.model.holds import HoldId
from windlass.model.jobs import LIVE, TERMINAL, Claim, JobFilter, JobRequest, RunKind, State
from windlass.model.outcomes import Outcome
from windlass.model.schedules import Overlap, ScheduleDraft
from windlass.ports import Executor, Store
from windlass.workflows import TIMER_SPEC

TROUBLE_S, PEACE_S = 25.0, 900.0
SMALL_DAG = DagPlan(
    (
        StepPlan("sure", 1, 0.1, "run", (), (), None),
        StepPlan("sure", None, 0.0, None, (0,), (), None),
    ),
    1,
    None,
)
SMALL_FLOW = Node("seq", inner=(Node("step", 1, 0.1, "sure"), Node("step", 2, 0.0, "flaky")))


ACTS = ("run", "run", "step", "step", "all", "retry", "move", "hold", "purge")


class SimulatedThreads:
    """Runs plain functions in callbacks of the loop, which come late and end later."""

    def __init__(self, world: World) -> None:
        self._loop = world.loop
        self._chance = world.chance

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt outside of any asyncio task, as a thread would."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        inside = copy_context()

        def end(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        def begin() -> None:
            if not future.cancelled():
                outcome = inside.run(attempt_plain, spec, claim, context)
                self._loop.call_later(self._time(), end, outcome)

        self._loop.call_later(self._time(), begin, context=copy_context())
        return await future

    def _time(self) -> float:
        return self._chance.choice([0.0, 0.0, 0.001, 0.05, 0.3])


class RunWorld(World):
    """Everything that one seed decides about runs."""

    trouble_s, peace_s = TROUBLE_S, PEACE_S
    lags_s = (0.0, 0.0, 2.0)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.book: RunBook = RunBook()
        self._app = SimulatedApp(self._new_id)
        register_tasks(self._app, self.book)
        self._dags: dict[str, DagPlan] = {}
        self._programs: dict[str, Node] = {}
        self._declare_runs()
        specs = {TIMER_SPEC.name: TIMER_SPEC, **self._app.specs}
        self._specs = specs
        self.reckoning = Reckoning(self._app, self.book, self._dags, self._programs)
        lag_s = self.chance.choice(self.lags_s)
        lag = lambda: timedelta(seconds=self.chance.uniform(0.0, lag_s))  # noqa: E731
        self.data: RunData = RunData(self.loop, lag, self.reckoning.ended)
        self.reckoning.data = self.data
        self._schedulers: list[SimulatedScheduler] = []

    def _declare_runs(self) -> None:
        chance = self.chance
        self._add_dag("small_dag", SMALL_DAG)
        self._add_flow("small_flow", SMALL_FLOW)
        for n in range(chance.randint(1, 4)):
            if chance.random() < 0.5:
                runs = [*self._dags, *self._programs]
                self._add_dag(f"dag{n}", random_dag(chance, runs))
            else:
                flows, dags = list(self._programs), list(self._dags)
                self._add_flow(f"flow{n}", random_program(chance, flows, dags))

    def _add_dag(self, name: str, plan: DagPlan) -> None:
        register_dag(self._app, name, plan)
        self._dags[name] = plan

    def _add_flow(self, name: str, program: Node) -> None:
        register_flow(self._app, name, program, self.chance.choice([None, None, 1, 2]))
        self._programs[name] = program

    async def live(self) -> None:
        """Trouble, then peace, then the reckoning."""
        for _ in range(self.chance.randint(1, 3)):
            self._start_process()
        names = [f"schedule{n}" for n in range(self.chance.choice([0, 0, 1, 2]))]
        schedules = ScheduleClient(self._make_store(self.loop, data=self.data, amnesty=False))
        for name in names:
            await schedules.put(self._draft(name))
            self._start_scheduler()
        actors = [self._enqueue(), self._operate(), self._befall(), self._stand_still()]
        await asyncio.gather(*map(asyncio.create_task, actors))
        self.faults.stop()
        for name in names:
            await schedules.remove(name)
        await self._clear_queues()
        self._start_process(knows_all=True)
        await self._until_idle()
        self._check_end()
        await self.reckoning.collect(self._make_store(self.loop, data=self.data, amnesty=False))

    def reckon(self) -> None:
        """Check what needs no loop."""
        self.reckoning.replay()

    def _check_end(self) -> None:
        for job in self.data.jobs.values():
            assert job.state in TERMINAL, f"{job.id} ({job.task}) is stuck in {job.state} (I12)"
        missing = self.book.acknowledged - set(self.data.jobs) - self.data.dropped
        assert not missing, f"acknowledged and gone: {missing}"
        assert not self.book.begun_twice, f"began twice under one fence: {self.book.begun_twice}"
        self.reckoning.check_keys()

    # -- processes -----------------------------------------------------------

    def _executors(self) -> Mapping[Isolation, Executor]:
        return {"loop": LoopExecutor(), "thread": SimulatedThreads(self)}

    async def _stand_still(self) -> None:
        """Pause processes, alone or all of them at once; they come back late."""
        while self.loop.time() < self.trouble_s:
            await asyncio.sleep(self.chance.uniform(1.0, 8.0))
            seconds = self.chance.uniform(0.2, 3.0) * LEASE_S
            alive = [each for each in self._processes if not each.task.done()]
            if self.chance.random() < 0.2:
                self.loop.jump(seconds)
            elif alive:
                self.chance.choice(alive).store.pause(seconds)

    # -- schedules -----------------------------------------------------------

    def _draft(self, name: str) -> ScheduleDraft:
        chance = self.chance
        rule = Schedule(every(chance.choice([1.0, 4.0])), overlap=chance.choice(list(Overlap)))
        call = self._app.task_named(chance.choice([*self._dags, *self._programs])).prepare(1)
        return ScheduleDraft(name=name, rule=rule.rule, call=call, origin="sim")

    def _start_scheduler(self) -> None:
        store = self._connect()
        scheduler = Scheduler(
            cast(Store, store),
            SchedulerOptions(lease_s=LEASE_S, sweep_s=SWEEP_S),
            leader=f"{self.chance.getrandbits(32):08x}",
            new_job_id=self._new_id,
            knows=self._specs.__contains__,
        )
        self._schedulers.append(SimulatedScheduler(scheduler, store))

    async def _clear_queues(self) -> None:
        """Cancel the runs of ticks that have not begun: one after the other would take long."""
        client = Client(self._make_store(self.loop, data=self.data, amnesty=False))
        for job in self.data.in_state(State.QUEUED):
            if job.attempt == 0 and occasion_of(job.headers) and job.id not in self.data.steps:
                await client.cancel(job.id)

    # -- clients -------------------------------------------------------------

    async def _enqueue(self) -> None:
        client = Client(cast(Store, self._connect()))
        while self.loop.time() < self.trouble_s:
            requests = self._some_requests()
            self.book.acknowledged.update(await self._insist(lambda r=requests: client.enqueue(r)))  # type: ignore[misc]
            await asyncio.sleep(self.chance.uniform(0.3, 6.0))

    def _some_requests(self) -> list[JobRequest]:
        """Return a run, several, or a chain or a chord of runs and plain jobs."""
        chance = self.chance
        run = self._app.task_named(chance.choice([*self._dags, *self._programs]))
        other = self._app.task_named(chance.choice([*self._dags, *self._programs]))
        joined = self._app.task_named("joined")
        number, second = chance.randrange(NUMBERS), chance.randrange(NUMBERS)
        match chance.choice(["plain"] * 6 + ["more", "chain", "chord", "goes_on"]):
            case "more":
                return [run.prepare(number), run.prepare(second), other.prepare(number)]
            case "chain":
                return _unfolded(chain(run.bind(number), joined.bind(number=1), other.bind(second)))
            case "chord":
                both = group(run.bind(number), other.bind(second))
                return _unfolded(both.then(joined.bind(number=2)))
            case "goes_on":
                return [self._app.task_named("goes_on").prepare(chance.randrange(1000))]
            case _:
                using = run.using(
                    priority=chance.choice([0, 0, 5]), delay=chance.choice([0.0, 0.0, 2.0])
                )
                expires = chance.choice([None, None, None, 1.0, 4.0])
                return [
                    (using if expires is None else using.using(expires=expires)).prepare(number)
                ]

    async def _operate(self) -> None:
        """Cancel, retry, move and hold what an operator happens to look at."""
        client = Client(cast(Store, self._connect()))
        is_rash = self.chance.choice([False, True])
        while self.loop.time() < self.trouble_s:
            await asyncio.sleep(self.chance.uniform(0.3, 3.0) * (1 if is_rash else 10))
            try:
                await self._act(client)
            except (StoreUnavailable, JobNotFailed, JobNotWaiting, HoldNotFound):
                continue

    async def _act(self, client: Client) -> None:
        chance = self.chance
        match chance.choice(ACTS):
            case "run":
                found = await client.runs.page(limit=10, states=sorted(LIVE))
                if found:
                    run = chance.choice(found)
                    await client.cancel(run.id)
                    check_acknowledged(self.data, run.id)
            case "step":
                found = await client.jobs(JobFilter(states=tuple(sorted(LIVE))), limit=30)
                if found:
                    await client.cancel(chance.choice(found).id)
            case "all" if chance.random() < 0.2:
                await client.cancel_all(JobFilter(kinds=(chance.choice(list(RunKind)),)))
            case "retry":
                found = await client.jobs(JobFilter(states=(State.FAILED,)), limit=10)
                if found:
                    await client.retry(chance.choice(found).id, self._new_id())
            case "move":
                states = (State.SCHEDULED, State.QUEUED)
                found = await client.jobs(JobFilter(states=states), limit=10)
                if found:
                    delay = chance.choice([0.0, 1.5])
                    await client.reschedule(chance.choice(found).id, delay)
            case "purge":
                await client.purge(JobFilter(states=(chance.choice(sorted(TERMINAL)),)))
            case "hold":
                task = chance.choice(sorted(self._specs))
                hold_id = HoldId(self._new_id())
                await client.pause(hold_id, task=task, expires=chance.uniform(0.5, 4.0))


def _unfolded(composition: Composition[Any]) -> list[JobRequest]:
    unfolding = Unfolding()
    composition.unfold(unfolding, None)
    return unfolding.requests
