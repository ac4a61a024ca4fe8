"""One worker, put together: its components, in the order in which they start."""

import asyncio
import logging
import math
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from windlass.config import Settings
from windlass.core.tasks import Isolation, TaskSpec
from windlass.engine.blob_upkeep import BlobUpkeep
from windlass.engine.components import Components
from windlass.engine.instants import Instants
from windlass.engine.observers import Observers
from windlass.engine.recycle import MemoryBound
from windlass.engine.scheduler import Scheduler, SchedulerOptions
from windlass.engine.schedules import ScheduleClient
from windlass.engine.watch import Watch
from windlass.engine.watchdog import Watchdog
from windlass.engine.worker import Worker, WorkerOptions
from windlass.executors.usage import rss_bytes
from windlass.model.health import Health
from windlass.model.jobs import JobId, WorkerId
from windlass.model.schedules import ScheduleDraft
from windlass.model.workers import WorkerInfo
from windlass.plugins import (
    make_executors,
    make_large_results,
    with_dependencies,
)
from windlass.ports import Executor, Store

log = logging.getLogger("windlass.scheduler")

SPIN_S = 0.002  # of a processor, for each second in which something is due at an instant


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What a scheduler needs of its app.

    drafts: the schedules that stand beside the tasks.   tasks: the names of all tasks.
    """

    drafts: Sequence[ScheduleDraft]
    tasks: Collection[str]
    new_job_id: Callable[[], JobId]


async def made_scheduler(
    store: Store,
    settings: Settings,
    scheduling: Scheduling,
    observers: Observers,
    watchdog: Watchdog,
) -> Scheduler:
    """Make the schedules of the code the stored ones, and a scheduler for them."""
    synced = await ScheduleClient(store).sync(scheduling.drafts, scheduling.tasks)
    for change, names in msgspec.structs.asdict(synced).items():
        if names:
            log.info("schedules %s: %s", change, ", ".join(names))
    options = SchedulerOptions(
        lease_s=settings.scheduler_lease_s,
        sweep_s=settings.scheduler_sweep_s,
        retention_s=settings.retention_s,
    )
    return Scheduler(
        store,
        options,
        leader=secrets.token_hex(8),
        new_job_id=scheduling.new_job_id,
        knows=scheduling.tasks.__contains__,
        observers=observers,
        watchdog=watchdog,
        instants=Instants(time.monotonic, SPIN_S),
    )


@dataclass(frozen=True, slots=True)
class SchedulerPlan:
    """The configuration of one scheduler without a worker; the fields are those of a worker."""

    settings: Settings
    make_store: Callable[[], Store]
    observers: Observers
    address: tuple[str, int] | None
    on_ready: Callable[[Scheduler], object] | None
    on_health: Sequence[Callable[[Health], object]]
    scheduling: Scheduling


class SchedulerAssembly:
    """A scheduler with all it stands on.  Start: watch, store, scheduler.   Stop: the reverse."""

    def __init__(self, plan: SchedulerPlan) -> None:
        self._plan = plan
        self.components = Components(
            [
                ("watch", self._watched),
                ("store", self._opened_store),
                ("scheduler", self._made_scheduler),
            ]
        )

    async def run(self) -> None:
        """Start all parts, fire schedules until the scheduler is stopped, and stop all parts."""
        async with self.components:
            await self._scheduler.run()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        plan = self._plan
        self._watchdog = Watchdog(stall_s=plan.settings.stall_limit_s)
        watch = Watch(
            self._watchdog,
            address=plan.address,
            blocked_s=plan.settings.blocked_warning_s,
            tell=plan.on_health,
        )
        async with watch:
            yield

    @asynccontextmanager
    async def _opened_store(self) -> AsyncIterator[None]:
        async with opened_store(self._plan.make_store) as self._store:
            self._watchdog.lease_held(math.inf)  # it is ready also while another leads
            yield

    @asynccontextmanager
    async def _made_scheduler(self) -> AsyncIterator[None]:
        plan = self._plan
        self._scheduler = await made_scheduler(
            self._store, plan.settings, plan.scheduling, plan.observers, self._watchdog
        )
        if plan.on_ready is not None:
            plan.on_ready(self._scheduler)
        yield


@asynccontextmanager
async def opened_store(make: Callable[[], Store]) -> AsyncIterator[Store]:
    """Hold a store open."""
    store = make()
    try:
        await store.open()
        yield store
    finally:
        await store.close()


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The configuration of one worker: the component on which all others stand.

    make_store: makes the store, unopened.
    specs:     returns the tasks, in the app's middleware.
    resources: holds what the attempts share, and yields it.
    services:  holds what the worker does besides.
    address:   of the health endpoint; None for none.
    on_ready:  called with the worker before it begins.
    on_health: called again and again, in a thread, with the health of the process.
    scheduling: it fires schedules too; None: it does not.
    """

    settings: Settings
    make_store: Callable[[], Store]
    specs: Callable[[], Mapping[str, TaskSpec]]
    queues: tuple[str, ...]
    slots: int
    target: str | None
    observers: Observers
    resources: Callable[[], AbstractAsyncContextManager[Any]]
    services: Callable[[], AbstractAsyncContextManager[None]]
    address: tuple[str, int] | None
    on_ready: Callable[[Worker], object] | None
    on_health: Sequence[Callable[[Health], object]]
    scheduling: Scheduling | None = None
    burst: bool = False


class Assembly:
    """A worker with all it stands on.

    Start: watch (health endpoint, systemd), store, large results, resources (the app's lifespan),
           services, dependencies, executors, scheduler, worker.   Stop: the reverse.
    A part may be replaced before the start; its place in the order stays.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._bound: MemoryBound | None = None
        self.components = Components(
            [
                ("watch", self._watched),
                ("store", self._opened_store),
                ("large results", self._kept_large_results),
                ("resources", self._held_resources),
                ("services", self._held_services),
                ("dependencies", self._shared_dependencies),
                ("executors", self._started_executors),
                ("scheduler", self._running_scheduler),
                ("worker", self._made_worker),
            ]
        )

    async def run(self) -> None:
        """Start all parts, work until the worker is stopped, and stop all parts."""
        async with self.components:
            await self._worker.run()

    # -- the parts -----------------------------------------------------------

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        plan = self._plan
        self._watchdog = Watchdog(stall_s=plan.settings.stall_limit_s)
        tell = [*plan.on_health]
        if plan.settings.recycle_above_bytes:
            self._bound = MemoryBound(plan.settings.recycle_above_bytes, rss_bytes)
            tell.append(self._bound.look)
        watch = Watch(
            self._watchdog,
            address=plan.address,
            blocked_s=plan.settings.blocked_warning_s,
            tell=tell,
        )
        async with watch:
            yield

    @asynccontextmanager
    async def _opened_store(self) -> AsyncIterator[None]:
        async with opened_store(self._plan.make_store) as self._store:
            yield

    @asynccontextmanager
    async def _kept_large_results(self) -> AsyncIterator[None]:
        self._large = make_large_results(self._plan.settings, self._store.url)
        blobs = self._large.blobs
        if blobs is None:
            yield
            return
        pulse = self._watchdog.pulse("large results")
        upkeep = BlobUpkeep(self._store, blobs, self._large.space, pulse)
        looking = asyncio.create_task(upkeep.run(), name="windlass-large-results")
        try:
            yield
        finally:
            pulse.rest()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    @asynccontextmanager
    async def _held_resources(self) -> AsyncIterator[None]:
        async with self._plan.resources() as self._state:
            yield

    @asynccontextmanager
    async def _held_services(self) -> AsyncIterator[None]:
        async with self._plan.services():
            yield

    @asynccontextmanager
    async def _shared_dependencies(self) -> AsyncIterator[None]:
        async with with_dependencies(self._plan.specs()) as self._specs:
            yield

    @asynccontextmanager
    async def _started_executors(self) -> AsyncIterator[None]:
        plan = self._plan
        made = make_executors(
            self._specs.values(), plan.settings, plan.slots, plan.target, os.environ
        )
        self._executors: Mapping[Isolation, Executor] = made
        async with AsyncExitStack() as stack:
            for executor in made.values():
                stack.push_async_callback(executor.stop)
                await executor.start()
            yield

    @asynccontextmanager
    async def _running_scheduler(self) -> AsyncIterator[None]:
        plan = self._plan
        if plan.scheduling is None:
            yield
            return
        scheduler = await made_scheduler(
            self._store, plan.settings, plan.scheduling, plan.observers, self._watchdog
        )
        running = asyncio.create_task(scheduler.run(), name="windlass-scheduler")
        try:
            yield
        finally:
            scheduler.stop()
            await running

    @asynccontextmanager
    async def _made_worker(self) -> AsyncIterator[None]:
        plan = self._plan
        self._worker = Worker(
            self._store,
            self._specs,
            self._executors,
            self._options(),
            new_info=self._new_info,
            chance=random.random,
            observers=plan.observers,
            state=self._state,
            watchdog=self._watchdog,
            instants=Instants(time.monotonic, SPIN_S),
            large=self._large,
        )
        if self._bound is not None:
            self._bound.ready(self._worker)
        if plan.on_ready is not None:
            plan.on_ready(self._worker)
        yield

    # -- from settings to the engine -----------------------------------------

    def _options(self) -> WorkerOptions:
        settings = self._plan.settings
        return WorkerOptions(
            queues=self._plan.queues,
            slots=self._plan.slots,
            lease_s=settings.lease_s,
            renew_s=settings.renew_s,
            poll_s=settings.poll_interval_s,
            sweep_s=settings.sweep_interval_s,
            shutdown_s=settings.shutdown_timeout_s,
            losses_max=settings.losses_max,
            unknown_task_delay_s=settings.unknown_task_delay_s,
            claim_batch=settings.claim_batch,
            retention_s=settings.retention_s,
            progress_s=settings.progress_interval_s,
            jobs_max=settings.recycle_after_jobs or None,
            burst=self._plan.burst,
            thread_slots=settings.thread_slots or None,
            process_slots=settings.process_slots or None,
        )

    def _new_info(self) -> WorkerInfo:
        return WorkerInfo(
            id=WorkerId(secrets.token_hex(8)),
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._plan.queues,
            slots=self._plan.slots,
        )
