"""The app: the user's registry of tasks, bound to a store."""

import asyncio
import os
import random
import threading
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from windlass.assembly import (
    Assembly,
    SchedulerAssembly,
    SchedulerPlan,
    Scheduling,
    WorkerPlan,
)
from windlass.config import load_settings, masked_url, override_settings
from windlass.core.address import address_of
from windlass.core.dependencies import Overrides, name_of
from windlass.core.error_observers import ErrorObserver, ErrorObservers
from windlass.core.ids import JobIds
from windlass.core.middleware import EnqueueMiddleware, enqueue_through
from windlass.core.names import check_name
from windlass.core.references import is_reference
from windlass.core.retry import Delay, seconds_of
from windlass.core.serializers import Formats, Serializer, check_serializer
from windlass.core.tasks import TaskSpec
from windlass.dags import faults_of_dags
from windlass.engine.client import Client, in_batches
from windlass.engine.large_results import LargeResults
from windlass.engine.observers import Observer, Observers
from windlass.engine.scheduler import Scheduler
from windlass.engine.worker import Worker
from windlass.errors import BadOption, OtherStoreInChild
from windlass.handles import Enqueuer, JobHandle, raise_unless_succeeded
from windlass.joining import check_joinable, drive_joined, refuse_awaited
from windlass.lifetimes import Lifetimes
from windlass.model.health import Health
from windlass.model.jobs import Finished, JobId, JobRequest
from windlass.model.notices import Notice, NoticeKind
from windlass.operations import Operations
from windlass.plugins import is_embedded, make_joiner, make_large_results, make_store
from windlass.portal import Portal, drive, loop_is_running
from windlass.ports import Joiner, Store
from windlass.registry import Registry
from windlass.router import Router
from windlass.runs import AppRuns
from windlass.schedules import AppSchedules, drafts_of
from windlass.stepping import check_store_is_open
from windlass.tasks import AnyTask, check_requests
from windlass.workflows import TIMER_SPEC

R = TypeVar("R")
T = TypeVar("T")
OB = TypeVar("OB", bound=Observer)
EO = TypeVar("EO", bound=ErrorObserver)


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands in for the real world while an app is tested.

    make_store: makes an unopened embedded store; each is another way to the same rows.
    as_run:     returns the definition with which the attempts of a task are run.
    """

    make_store: Callable[[], Store]
    as_run: Callable[[TaskSpec], TaskSpec]


_apps: "weakref.WeakSet[App]" = weakref.WeakSet()
_left_to_parents: list[object] = []


class App(Registry, Lifetimes):
    """A registry of tasks, and the way to the store that keeps their jobs.

    store:    a URL, ``sqlite:///file.db`` or ``postgresql://…``; without it the setting
              ``store`` decides (WINDLASS_STORE, windlass.toml, then sqlite:///windlass.db).
    settings: any other setting by its name.

    Making an app opens nothing: the store is opened with the first use in each event
    loop, and closed by ``close``/``aclose`` or at the end of ``session()``.
    """

    def __init__(self, store: str | None = None, **settings: Any) -> None:
        overrides = {**settings, **({} if store is None else {"store": store})}
        self.settings, self.setting_sources = load_settings(overrides, os.environ, Path.cwd())
        self._is_embedded = is_embedded(self.settings.store)
        Registry.__init__(self)
        Lifetimes.__init__(self)
        self._around_enqueue_of: dict[str, Sequence[EnqueueMiddleware]] = {}
        self._observers = Observers()
        self._overrides = Overrides()
        self._error_observers = ErrorObservers()
        self._stage: Stage | None = None
        self._kept_to: str | None = None
        self._formats = Formats(self.settings.serializer, {}, self.settings.pickle_key)
        self._begin()
        _apps.add(self)

    def _begin(self) -> None:
        """Take up what belongs to this process alone."""
        self._sessions: dict[asyncio.AbstractEventLoop, asyncio.Task[_Session]] = {}
        self._portal = Portal()
        self._inline: _Session | None = None
        self._joiner: Joiner | None = None
        self._inline_lock = threading.Lock()
        self._job_ids = JobIds(time.time_ns, random.Random().getrandbits)

    def _leave_to_parent(self) -> None:
        """Begin anew in a forked child; what is open belongs to its parent.

        Nothing of it may be closed here, not even by the garbage collector: a connection
        that two processes close, or share, is broken for both.
        """
        _left_to_parents.append((self._sessions, self._portal, self._inline))
        self._begin()

    def use_store(self, url: str) -> None:
        """Take another store than the settings say; before the first use of this app."""
        self.settings = replace(self.settings, store=url)
        self._is_embedded = is_embedded(url)
        self.setting_sources["store"] = "argument"

    def keep_to_store(self, url: str) -> None:
        """Refuse any store but this one, a worker's: for its child processes.

        url: without its password, which only the worker knows.
        """
        self._kept_to = url

    def use_settings(self, **settings: Any) -> None:
        """Take other settings than the sources say; before the first use of this app.

        Raises: BadSetting, UnknownSetting.
        """
        self.settings, self.setting_sources = override_settings(
            self.settings, self.setting_sources, settings
        )

    @contextmanager
    def staged(self, stage: Stage, **settings: Any) -> Iterator[None]:
        """Work on a stage, under other settings, within a block: for tests.

        What was open before is neither used nor closed within it.   Raises: BadSetting, ….
        """
        before = self.settings, self.setting_sources, self._is_embedded, self._stage
        opened = self._sessions, self._portal, self._inline
        self.use_settings(**settings)
        self._stage, self._is_embedded = stage, True
        self._begin()
        try:
            yield
        finally:
            self.close()
            self.settings, self.setting_sources, self._is_embedded, self._stage = before
            self._sessions, self._portal, self._inline = opened

    # -- registering ---------------------------------------------------------

    def include(self, router: Router) -> None:
        """Take in the tasks of a router, also those which it will get later.

        Raises: BadTask, for a name that is taken; BadOption, for another app's router.
        """
        router.join(self)

    def adopt(self, spec: TaskSpec, task: AnyTask) -> None:
        """Take in a task, of its own or of a router.  Raises: BadTask."""
        spec.signature.use(self._formats)
        spec = replace(
            spec,
            result_limit_bytes=self.settings.result_limit_bytes,
            needs=spec.needs and spec.needs.under(self._overrides),
            error_observers=self._error_observers,
        )
        self._enter(spec, task)
        task.spec = spec
        if spec.around_enqueue:
            self._around_enqueue_of[spec.name] = spec.around_enqueue

    @property
    def formats(self) -> Formats:
        """The formats that this app reads and writes."""
        return self._formats

    def add_serializer(self, serializer: Serializer) -> None:
        """Know one more format, which the setting ``serializer`` or a task may name.

        Call it before the tasks are defined or included.
        Raises: BadOption, for a name that is taken, or a lack of ``dumps`` or ``loads``.
        """
        checked = check_serializer(serializer)
        own = self._formats.own
        if checked.name in own:
            raise BadOption("serializer", serializer, f"there is one named {checked.name!r}")
        self._formats = replace(self._formats, own={**own, checked.name: checked})
        for spec in self._specs.values():
            spec.signature.use(self._formats)

    @contextmanager
    def override(self, dependency: Callable[..., Any], other: Callable[..., Any]) -> Iterator[None]:
        """Replace a dependency in the attempts that begin within a block: for tests.

        other:  may itself depend on others.  Blocks nest, and each restores what was before.
        Where:  in the workers of this app in this process, but not in child processes.
        Raises: BadOption, if no task depends on it; BadTask, if the other cannot stand there.
        """
        needs = [spec.needs for spec in self._specs.values() if spec.needs is not None]
        if not any(each.include(dependency) for each in needs):
            why = "no task of this app depends on it"
            raise BadOption("dependency", name_of(dependency), why)
        with self._overrides.replaced(dependency, other):
            for each in needs:
                each.plan()
            yield

    def _enqueuer(self) -> Enqueuer:
        return self

    def observe(self, observer: OB) -> OB:
        """Tell an observer each notice of jobs and workers; may be a decorator.

        ``def (notice: Notice) -> None``: called where it happens, in an event loop or in the
        enqueuer's thread, so it must be quick.  What it raises is logged; it changes nothing.
        Its attribute ``kinds``, if it has one, says which ``NoticeKind``s it wants; else all.
        Raises: BadOption, for what is no kind.
        """
        self._observers.add(observer)
        return observer

    def observe_errors(self, observer: EO) -> EO:
        """Tell an observer each unexpected exception of an attempt; may be a decorator.

        ``def (error: BaseException, context: Context) -> None``: called where it was raised, in
        the attempt's thread, event loop or child process, while the frames with their locals are
        still there; so it must be quick.  ``Retry``, ``Snooze`` and ``Cancel`` are not told.  What
        it raises is logged; it changes nothing.
        """
        self._error_observers.add(observer)
        return observer

    def new_job_id(self) -> JobId:
        """Return an id for a job to be; ids made later sort later."""
        return self._job_ids()

    # -- enqueueing ----------------------------------------------------------

    def enqueue_many(self, requests: Iterable[JobRequest]) -> list[JobHandle[Any]]:
        """Store thousands of prepared calls in one round trip; blocks until durable.

        Order:  handles stand in the order of ``requests`` (see ``Task.prepare``).
        Raises: BadOption, for what is no request; then nothing is stored.
        """
        checked = check_requests(requests)
        return self._handles(checked, self.enqueue_requests(checked))

    async def aenqueue_many(self, requests: Iterable[JobRequest]) -> list[JobHandle[Any]]:
        """Store thousands of prepared calls in one round trip; returns once durable."""
        checked = check_requests(requests)
        return self._handles(checked, await self.aenqueue_requests(checked))

    def enqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store prepared calls and return only their ids; blocks until durable."""
        if self._around_enqueue or self._around_enqueue_of:
            return self._portal.call(lambda: self.aenqueue_requests(requests))
        ids = self.blocking(lambda client: client.enqueue(requests))
        self._tell_enqueued(requests, ids)
        return ids

    async def aenqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store prepared calls and return only their ids, once they are durable."""
        ids = await self._through_middleware(requests, (await self.client()).enqueue)
        self._tell_enqueued(requests, ids)
        return ids

    def enqueue_many_in(
        self, connection: object, requests: Iterable[JobRequest]
    ) -> list[JobHandle[Any]]:
        """Store prepared calls with the caller's transaction: if and when it commits, they exist.

        connection: of psycopg, sqlite3, apsw, SQLAlchemy (also a session) or Django, to the
                    store's database or file; a transaction is open on it, or begins by itself.
        Cost:       one round trip over it; two more for the first time.
        Raises:     CannotJoin, with nothing stored; what the driver raises: then roll back.
        """
        checked = check_requests(requests)
        return self._handles(checked, self.enqueue_requests_in(connection, checked))

    async def aenqueue_many_in(
        self, connection: object, requests: Iterable[JobRequest]
    ) -> list[JobHandle[Any]]:
        """Store prepared calls with the caller's transaction: if and when it commits, they exist.

        connection: also an async one, of asyncpg, psycopg or SQLAlchemy.
        Others:     see :meth:`enqueue_many_in`.
        """
        checked = check_requests(requests)
        return self._handles(checked, await self.aenqueue_requests_in(connection, checked))

    def enqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store prepared calls with the caller's transaction and return only their ids."""
        joiner = self._joiner_for(connection, requests)
        refuse_awaited(connection)
        if not joiner.is_open:
            self._portal.call(joiner.open)
        enqueue = partial(in_batches, partial(joiner.enqueue, connection))
        return drive_joined(self._through_middleware(requests, enqueue))

    async def aenqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store prepared calls with the caller's transaction and return only their ids."""
        joiner = self._joiner_for(connection, requests)
        if not joiner.is_open:
            await joiner.open()
        enqueue = partial(in_batches, partial(joiner.enqueue, connection))
        return await self._through_middleware(requests, enqueue)

    def _joiner_for(self, connection: object, requests: Sequence[JobRequest]) -> Joiner:
        check_store_is_open()
        check_joinable(connection, requests)
        if self._joiner is None:
            self._joiner = make_joiner(self.settings.store)
        return self._joiner

    async def _through_middleware(
        self,
        requests: Sequence[JobRequest],
        enqueue: Callable[[Sequence[JobRequest]], Awaitable[Sequence[JobId]]],
    ) -> list[JobId]:
        if self._around_enqueue or self._around_enqueue_of:
            own, of_tasks = self._around_enqueue, self._around_enqueue_of
            return await enqueue_through(own, of_tasks, requests, enqueue)
        return list(await enqueue(requests))

    def _tell_enqueued(self, requests: Sequence[JobRequest], ids: Sequence[JobId]) -> None:
        if not self._observers.want(NoticeKind.ENQUEUED):
            return
        for request, job_id in zip(requests, ids, strict=True):
            if request.id == job_id:  # else a live job with its unique key stood in the way
                kind, task, queue = NoticeKind.ENQUEUED, request.task, request.queue
                self._observers.tell(Notice(kind=kind, job_id=job_id, task=task, queue=queue))

    def job(self, job_id: str) -> JobHandle[Any]:
        """Return a handle for a job known by its id; blocks.

        Its result is plain data unless its task is registered here.
        Raises: JobNotFound.
        """
        found = self.blocking(lambda client: client.get(JobId(job_id)))
        return JobHandle(self, found.id, self._specs.get(found.task))

    def gather(self, jobs: Iterable[JobHandle[R]], timeout: Delay | None = None) -> list[R]:
        """Block until all jobs have ended, and return their values in the order given.

        timeout: for all of them together; None waits as long as it takes.
        Raises:  JobFailed, JobCancelled or ResultExpired, of the first in that order;
                 ResultTimeout.
        """
        held = list(jobs)
        return self._portal.call(lambda: self.agather(held, timeout))

    async def agather(self, jobs: Iterable[JobHandle[R]], timeout: Delay | None = None) -> list[R]:
        """Wait until all jobs have ended; see :meth:`gather`."""
        held = list(jobs)
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        ids = [job.id for job in held]
        client = await self.client()
        ended = await client.wait(ids, timeout_s=timeout_s, known=True)
        if any(is_reference(each.result) for each in ended.values()):
            for job in held:  # before anything large is fetched in vain
                raise_unless_succeeded(ended[job.id])
            ended = await client.whole_all(ended)
        return [job.value_of(ended[job.id]) for job in held]

    def as_completed(
        self, jobs: Iterable[JobHandle[R]], timeout: Delay | None = None
    ) -> Iterator[JobHandle[R]]:
        """Yield the jobs as they end, however they end; ``result()`` of each is there at once.

        timeout: for all of them together; None waits as long as it takes.
        Raises:  ResultTimeout, when the time is over; the jobs go on.
        """
        return self._blocking_each(self.aas_completed(jobs, timeout))

    async def aas_completed(
        self, jobs: Iterable[JobHandle[R]], timeout: Delay | None = None
    ) -> AsyncGenerator[JobHandle[R], None]:
        """Yield the jobs as they end; see :meth:`as_completed`."""
        held = {job.id: job for job in jobs}
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        each = (await self.client()).each_ended(list(held), timeout_s=timeout_s)
        try:
            async for finished in each:
                yield held[finished.job_id]
        finally:
            await each.aclose()

    def wait_for(self, job_id: JobId, timeout_s: float | None) -> Finished:
        """Block until a job has ended.  Raises: ResultTimeout."""

        async def wait() -> Finished:
            client = await self.client()
            return (await client.wait([job_id], timeout_s=timeout_s, known=True))[job_id]

        return self._portal.call(wait)

    def whole(self, finished: Finished) -> Finished:
        """Return how a job ended with its result, also a large one; blocks."""
        if not is_reference(finished.result):
            return finished

        async def fetch() -> Finished:
            return await (await self.client()).whole(finished)

        return self._portal.call(fetch)

    def blocking_each(self, ask: Callable[[Client], AsyncGenerator[T, None]]) -> Iterator[T]:
        """Yield what the client yields, to code that has no event loop; blocks."""

        async def each() -> AsyncGenerator[T, None]:
            asked = ask(await self.client())
            try:
                async for one in asked:
                    yield one
            finally:
                await asked.aclose()

        return self._blocking_each(each())

    def _blocking_each(self, each: AsyncGenerator[T, None]) -> Iterator[T]:
        try:
            while True:
                one = self._portal.call(lambda: anext(each, None))
                if one is None:
                    return
                yield one
        finally:
            self._portal.call(each.aclose)

    def _handles(
        self, requests: Sequence[JobRequest], ids: Sequence[JobId]
    ) -> list[JobHandle[Any]]:
        specs = self._specs
        return [
            JobHandle(self, job_id, specs.get(request.task))
            for request, job_id in zip(requests, ids, strict=True)
        ]

    @property
    def operations(self) -> Operations:
        """What operators do: look at jobs, retry dead letters, pause, drain; each call blocks.

        Within an event loop ``await app.client()`` has the same.
        """
        return Operations(self)

    @property
    def schedules(self) -> AppSchedules:
        """The schedules: those beside tasks, and those made at run time; each call blocks."""
        return AppSchedules(self, self._tasks.values)

    @property
    def runs(self) -> AppRuns:
        """The runs of DAGs and workflows, and their steps; each call blocks."""
        return AppRuns(self)

    # -- sessions ------------------------------------------------------------

    async def client(self) -> Client:
        """Return the client of the running loop, opening the store at the first call.

        Raises: StoreUnavailable, SchemaMissing, StoreCorrupt, ….
        """
        check_store_is_open()
        loop = asyncio.get_running_loop()
        opening = self._sessions.get(loop)
        if opening is None:
            for ended in [other for other in list(self._sessions) if other.is_closed()]:
                del self._sessions[ended]
            opening = self._sessions[loop] = loop.create_task(self._open())
        try:
            session = opening.result() if opening.done() else await asyncio.shield(opening)
        except BaseException:
            if opening.done():
                self._sessions.pop(loop, None)  # so that the next call tries again
            raise
        return session.client

    async def aclose(self) -> None:
        """Close what this app opened in the running loop.  Idempotent."""
        opening = self._sessions.pop(asyncio.get_running_loop(), None)
        if opening is not None:
            await (await opening).close()

    def close(self) -> None:
        """Close what the blocking calls opened.  Idempotent."""
        with self._inline_lock:
            inline, self._inline = self._inline, None
        if inline is not None:
            drive(inline.close())
        if self._portal.is_running:
            self._portal.call(self.aclose)
            self._portal.stop()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        """Open the store for a block of async code, and close it at its end."""
        try:
            yield await self.client()
        finally:
            await self.aclose()

    def blocking(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Run one request of the client for code that has no event loop; blocks."""
        check_store_is_open()
        if self._is_embedded and not loop_is_running():
            return drive(ask(self._inline_client()))

        async def call() -> T:
            return await ask(await self.client())

        return self._portal.call(call)

    def migrate(self) -> list[int]:
        """Bring the store's schema to this version; return the migrations applied; blocks.

        Raises: SchemaTooNew, StoreUnavailable, ….
        """
        if self._is_embedded and not loop_is_running():
            return drive(self.amigrate())
        return self._portal.call(self.amigrate)

    async def amigrate(self) -> list[int]:
        """Bring the store's schema to this version; return the migrations applied."""
        store = self._make_store()
        try:
            return await store.migrate()
        finally:
            await store.close()

    async def _open(self) -> "_Session":
        store = self._make_store()
        await store.open()
        return _Session(store, make_large_results(self.settings, store.url))

    def _make_store(self) -> Store:
        if self._stage is not None:
            return self._stage.make_store()
        if self._kept_to is not None and self._kept_to != masked_url(self.settings.store):
            raise OtherStoreInChild(self._kept_to, masked_url(self.settings.store))
        return make_store(self.settings.store, self.settings)

    def _inline_client(self) -> Client:
        inline = self._inline
        if inline is None:
            with self._inline_lock:
                inline = self._inline = self._inline or drive(self._open())
        return inline.client

    # -- working -------------------------------------------------------------

    async def run_worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        target: str | None = None,
        on_ready: Callable[[Worker], None] | None = None,
        health: str | None = None,
        on_health: Sequence[Callable[[Health], None]] = (),
        scheduler: bool = False,
        burst: bool = False,
    ) -> None:
        """Run a worker in the running loop until it is stopped.

        It also returns when one of the settings ``recycle_…`` asks for a fresh process.

        queues:   default: the setting ``queues``, and those which the app's tasks name.
        target:   ``module:attribute`` of this app; tasks with ``isolation="process"`` need it.
        on_ready: called with the worker before it begins: the way to its ``stop``.
        health:   ``HOST:PORT``, or ``PORT`` for loopback, of the health endpoint.
        on_health: called every half second, in a thread, with the health of the process.
        scheduler: it fires schedules too, whenever no other scheduler leads.
        burst:    it stops by itself when all it began has ended and nothing is left to start.
        Raises:   what the start of a part raises; then no part is left running.
        """
        plan = WorkerPlan(
            settings=self.settings,
            make_store=self._make_store,
            specs=self._specs_as_run,
            queues=self.queues(queues),
            slots=self.settings.concurrency if concurrency is None else concurrency,
            target=target,
            observers=self._observers,
            resources=self._held_lifespan,
            services=self._held_services if self._stage is None else nullcontext,
            address=None if health is None else address_of("health", health),
            on_ready=on_ready,
            on_health=on_health,
            scheduling=self._scheduling() if scheduler else None,
            burst=burst,
        )
        await Assembly(plan).run()

    async def run_scheduler(
        self,
        *,
        on_ready: Callable[[Scheduler], None] | None = None,
        health: str | None = None,
        on_health: Sequence[Callable[[Health], None]] = (),
    ) -> None:
        """Fire schedules, whenever no other scheduler leads, until it is stopped; run no job.

        At its start the schedules that stand beside the tasks become the stored ones.
        on_ready: called with the scheduler before it begins: the way to its ``stop``.
        Others:   as for a worker.
        """
        plan = SchedulerPlan(
            settings=self.settings,
            make_store=self._make_store,
            observers=self._observers,
            address=None if health is None else address_of("health", health),
            on_ready=on_ready,
            on_health=on_health,
            scheduling=self._scheduling(),
        )
        await SchedulerAssembly(plan).run()

    def _scheduling(self) -> Scheduling:
        drafts, tasks = drafts_of(self._tasks.values()), frozenset(self._tasks)
        return Scheduling(drafts, tasks, self.new_job_id)

    def queues(self, asked: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the queues which a worker of this app serves."""
        if asked:
            return tuple(dict.fromkeys(check_name("queue", name) for name in asked))
        named = (spec.queue for spec in self._specs.values())
        return tuple(dict.fromkeys([*self.settings.queues, *named]))

    def _specs_as_run(self) -> Mapping[str, TaskSpec]:
        for fault in faults_of_dags(self.dags, self._tasks):
            raise fault  # at the start, not in a run
        specs = {**self._specs_in_middleware(), TIMER_SPEC.name: TIMER_SPEC}
        if self._stage is None:
            return specs
        return {name: self._stage.as_run(spec) for name, spec in specs.items()}

    def _specs_in_middleware(self) -> Mapping[str, TaskSpec]:
        """Return the tasks with the app's middleware around their own."""
        around = tuple(self._around_attempt)
        if not around:
            return self._specs
        return {
            name: replace(spec, around_attempt=around + spec.around_attempt)
            for name, spec in self._specs.items()
        }


class _Session:
    """An open store and its client, in one event loop."""

    def __init__(self, store: Store, large: LargeResults) -> None:
        self._store = store
        self.client = Client(store, large)

    async def close(self) -> None:
        await self.client.close()
        await self._store.close()


def _leave_all_to_parent() -> None:
    for app in list(_apps):
        app._leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_leave_all_to_parent)
