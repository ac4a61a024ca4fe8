"""A world by seed: workers, clients and operators on one store, and all that befalls them."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

from tests.simulation.faults import Faults, FlakyStore
from tests.simulation.invariants import LOSSES_MAX, Book, WatchedData, check_end
from tests.simulation.loop import VirtualLoop
from tests.simulation.tasks import RARE, make_specs
from windlass.core.ids import JobIds
from windlass.core.tasks import Isolation, TaskSpec
from windlass.engine.client import Client
from windlass.engine.worker import Worker, WorkerOptions
from windlass.errors import JobNotFailed, JobNotFound, ResultTimeout, StoreUnavailable
from windlass.executors.loop import LoopExecutor
from windlass.model.jobs import JobFilter, JobId, JobRequest, State, WorkerId
from windlass.model.workers import WorkerInfo
from windlass.ports import Executor, Store
from windlass.stores.memory import MemoryStore

TROUBLE_S, PEACE_S = 40.0, 600.0
LEASE_S = 3.0
OPTIONS = WorkerOptions(
    slots=4,
    lease_s=LEASE_S,
    renew_s=1.0,
    poll_s=0.5,
    sweep_s=0.5,
    shutdown_s=1.0,
    losses_max=LOSSES_MAX,
    unknown_task_delay_s=0.5,
    claim_batch=3,
)
MakeStore = Callable[..., MemoryStore]


class SimulatedProcess:
    """One worker process."""

    def __init__(self, worker: Worker, store: FlakyStore, task: "asyncio.Task[None]") -> None:
        self.worker = worker
        self.store = store
        self.task = task


class World:
    """Everything that one seed decides."""

    trouble_s, peace_s = TROUBLE_S, PEACE_S

    def __init__(self, seed: int, loop: VirtualLoop, make_store: MakeStore) -> None:
        self.chance = random.Random(seed)
        self.loop = loop
        self.book = Book()
        self.data = WatchedData(loop)
        self.faults = Faults(
            refused=self.chance.choice([0, 0.02, 0.1]),
            unanswered=self.chance.choice([0, 0.02, 0.1]),
            slow=self.chance.choice([0, 0.005, 0.03]),
            lost_ring=self.chance.choice([0, 0.3, 1.0]),
            false_ring=self.chance.choice([0, 0.1]),
        )
        self._make_store = make_store
        self._new_id = JobIds(lambda: round(loop.time() * 1e9), self.chance.getrandbits)
        self._specs = make_specs(self.book)
        self._processes: list[SimulatedProcess] = []
        self._clients: list[asyncio.Task[None]] = []

    async def live(self) -> None:
        """Trouble, then peace, then the reckoning."""
        for _ in range(self.chance.randint(1, 3)):
            self._start_process()
        actors = [self._enqueue(), self._operate(), self._befall(), self._wait()]
        self._clients = [asyncio.create_task(actor) for actor in actors]
        await asyncio.gather(*self._clients)
        self.faults.stop()
        self._start_process(knows_all=True)
        await self._until_idle()
        check_end(self.data, self.book)

    def reckon(self) -> None:
        """Check what is to be checked when the loop stands still."""

    def end(self) -> None:
        """Let every task of the world come to its end."""
        self.faults.over = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def digest(self) -> str:
        """Return a fingerprint of all that happened."""
        return hashlib.sha256("\n".join(self.data.trace).encode()).hexdigest()

    # -- processes -----------------------------------------------------------

    def _connect(self) -> FlakyStore:
        store = self._make_store(self.loop, data=self.data, amnesty=False)
        return FlakyStore(store, self.faults, self.chance, LEASE_S)

    def _start_process(self, *, knows_all: bool = False) -> None:
        store = self._connect()
        knows_rare = knows_all or self.chance.random() < 0.5
        specs: dict[str, TaskSpec] = {
            name: spec for name, spec in self._specs.items() if knows_rare or name != RARE
        }
        worker = Worker(
            cast(Store, store),
            specs,
            self._executors(),
            OPTIONS,
            new_info=self._new_info,
            chance=self.chance.random,
        )
        task = asyncio.create_task(worker.run())
        self._processes.append(SimulatedProcess(worker, store, task))

    def _executors(self) -> Mapping[Isolation, Executor]:
        return {"loop": LoopExecutor()}

    def _new_info(self) -> WorkerInfo:
        worker_id = WorkerId(f"{self.chance.getrandbits(32):08x}")
        return WorkerInfo(id=worker_id, host="h", pid=1, queues=("default",), slots=4)

    async def _befall(self) -> None:
        """Kill and stop processes, and start others, until the trouble is over."""
        while self.loop.time() < self.trouble_s:
            await asyncio.sleep(self.chance.uniform(1.0, 8.0))
            alive = [p for p in self._processes if not p.task.done() and not p.store.killed]
            match self.chance.choice(["kill", "stop", "hurry", "start"]):
                case "kill" if alive:
                    self._kill(self.chance.choice(alive))
                case "stop" if alive:
                    self.chance.choice(alive).worker.stop()
                case "hurry" if alive:
                    self.chance.choice(alive).worker.hurry()
                case "start" if len(alive) < 4:
                    self._start_process()
            if not any(not p.task.done() and not p.store.killed for p in self._processes):
                self._start_process()

    def _kill(self, process: SimulatedProcess) -> None:
        """Cut a process off: what it does from now on reaches nobody, as after SIGKILL."""
        process.store.kill()

    # -- clients -------------------------------------------------------------

    async def _enqueue(self) -> None:
        client = Client(cast(Store, self._connect()))
        while self.loop.time() < self.trouble_s:
            requests = [self._request() for _ in range(self.chance.choice([1, 1, 1, 3]))]
            self.book.acknowledged.update(await self._insist(lambda r=requests: client.enqueue(r)))  # type: ignore[misc]
            await asyncio.sleep(self.chance.uniform(0.1, 2.5))

    def _request(self) -> JobRequest:
        chance = self.chance
        seconds = chance.choice([0.0, 0.01, 0.1, 0.5, 1.0, LEASE_S * 1.7])
        return JobRequest(
            id=self._new_id(),
            task=chance.choice(list(self._specs)),
            queue="default",
            payload=b'{"seconds":%g}' % seconds,
            priority=chance.choice([0, 0, 5, -5]),
            delay_s=chance.choice([0.0, 0.0, 0.0, 1.0, 4.0]),
            expires_s=chance.choice([None, None, None, 3.0]),
            unique_key=chance.choice([None, None, None, "one", "two"]),
        )

    async def _insist(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Repeat a request as it is until it is answered."""
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.1)

    async def _operate(self) -> None:
        """Cancel, retry and discard what an operator happens to look at."""
        client = Client(cast(Store, self._connect()))
        while self.loop.time() < self.trouble_s:
            await asyncio.sleep(self.chance.uniform(0.5, 4.0))
            try:
                await self._act(client)
            except (StoreUnavailable, JobNotFailed):
                continue

    async def _act(self, client: Client) -> None:
        jobs = await client.jobs(JobFilter(), limit=20)
        if not jobs:
            return
        job = self.chance.choice(jobs)
        match self.chance.choice(["cancel", "retry", "discard"]):
            case "cancel":
                await client.cancel(job.id)
            case "retry" if job.state is State.FAILED:
                await client.retry(job.id, self._new_id())
            case "discard":
                await client.discard([job.id])

    async def _wait(self) -> None:
        """Wait for results, and see that what is told is what the store holds."""
        client = Client(cast(Store, self._connect()))
        while self.loop.time() < self.trouble_s:
            await asyncio.sleep(self.chance.uniform(0.5, 3.0))
            if not self.book.acknowledged:
                continue
            job_id: JobId = self.chance.choice(sorted(self.book.acknowledged))
            try:
                finished = (await client.wait([job_id], timeout_s=5.0))[job_id]
            except (ResultTimeout, StoreUnavailable):
                continue
            except JobNotFound as error:
                raise AssertionError(f"acknowledged and gone: {job_id}") from error
            assert finished.state is self.data.jobs[job_id].state
        await client.close()

    async def _until_idle(self) -> None:
        client = Client(self._make_store(self.loop, data=self.data, amnesty=False))
        end = self.loop.time() + self.peace_s
        while not await client.idle() and self.loop.time() < end:
            await asyncio.sleep(1.0)


class _Defects(logging.Handler):
    """Collects what the engine logs with a traceback: in a simulation that is a defect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        if record.exc_info is not None:
            self.found.append(self.format(record))


W = TypeVar("W", bound=World)


def simulate(seed: int, make_store: MakeStore = MemoryStore) -> World:
    """Live through one seed.  Raises: AssertionError, where an invariant broke."""
    return simulate_in(World, seed, make_store)


def simulate_in(kind: type[W], seed: int, make_store: MakeStore = MemoryStore) -> W:
    """Live through one seed in a world of a kind.  Raises: AssertionError."""
    logger = logging.getLogger("windlass")
    defects = _Defects()
    loop = VirtualLoop()
    world = kind(seed, loop, make_store)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.addHandler(defects)
    try:
        loop.run_until_complete(world.live())
        world.reckon()
        assert not defects.found, defects.found[0]
    except Exception as error:
        for defect in defects.found[:1]:
            error.add_note(f"before that: {defect}")
        error.add_note("\n".join(world.data.trace[-15:]))
        error.add_note(f"replay: python -m tests.simulation {seed} --trace ({kind.__name__})")
        raise
    finally:
        world.end()
        logger.removeHandler(defects)
        logger.setLevel(level)
        logger.propagate = propagate
        loop.close()
    return world
