"""The router: tasks of a module of their own, for an app to include."""

from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from windlass.config import Settings
from windlass.core.retry import Delay
from windlass.core.serializers import Formats
from windlass.core.tasks import TaskSpec
from windlass.engine.client import Client
from windlass.errors import BadMiddleware, BadOption, BadTask, NotIncluded
from windlass.handles import Enqueuer, JobHandle
from windlass.model.jobs import Finished, JobId, JobRequest
from windlass.registry import Registry
from windlass.tasks import AnyTask

T = TypeVar("T")


class Home(Enqueuer, Protocol):
    """What a router needs of the app which includes it."""

    @property
    def specs(self) -> Mapping[str, TaskSpec]:
        """The definitions of its tasks, by name."""
        ...

    def adopt(self, spec: TaskSpec, task: AnyTask) -> None:
        """Take in a task.  Raises: BadTask."""
        ...


class Router(Registry):
    """Tasks that are defined before, or far from, their app; they work once it includes them.

    queue: where the jobs of its tasks wait that name no queue of their own.
    Its middleware stands inside that of the app and outside of a task's own.
    """

    def __init__(self, *, queue: str = "default") -> None:
        super().__init__(queue)
        self._app: Home | None = None

    def join(self, app: Home) -> None:
        """Give all tasks, now and later, to an app.  For ``App.include``."""
        if self._app is not None:
            raise BadOption("router", self, "it is already included in an app")
        for name in self._specs:
            if name in app.specs:  # looked for first, so that no half is taken in
                raise BadTask(name, "the app has a task of this name already; pass name=…")
        for name, spec in self._specs.items():
            app.adopt(self._in_middleware(spec), self._tasks[name])
        self._app = app

    def adopt(self, spec: TaskSpec, task: AnyTask) -> None:
        """Take in a task, and hand it on if there is an app.  Raises: BadTask."""
        if self._app is not None:
            self._app.adopt(self._in_middleware(spec), task)
        self._enter(spec, task)

    def _admitted(self, middleware: Any) -> Any:
        if self._app is not None:
            raise BadMiddleware(repr(middleware), "register it before its router is included")
        return super()._admitted(middleware)

    def _enqueuer(self) -> Enqueuer:
        return self

    def _in_middleware(self, spec: TaskSpec) -> TaskSpec:
        return replace(
            spec,
            around_attempt=(*self._around_attempt, *spec.around_attempt),
            around_enqueue=(*self._around_enqueue, *spec.around_enqueue),
        )

    # -- what its tasks ask of their app -------------------------------------

    @property
    def _home(self) -> Home:
        if self._app is None:
            raise NotIncluded
        return self._app

    @property
    def settings(self) -> Settings:
        """The settings of the app."""
        return self._home.settings

    @property
    def formats(self) -> Formats:
        """The formats of the app."""
        return self._home.formats

    def new_job_id(self) -> JobId:
        """Make the id of a job to be."""
        return self._home.new_job_id()

    def enqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store requests; blocks until durable."""
        return self._home.enqueue_requests(requests)

    async def aenqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store requests; returns once they are durable."""
        return await self._home.aenqueue_requests(requests)

    def enqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store requests inside of the caller's transaction."""
        return self._home.enqueue_requests_in(connection, requests)

    async def aenqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store requests inside of the caller's transaction."""
        return await self._home.aenqueue_requests_in(connection, requests)

    def blocking(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Ask the client something, from code that has no event loop."""
        return self._home.blocking(ask)

    def blocking_each(self, ask: Callable[[Client], AsyncGenerator[T, None]]) -> Iterator[T]:
        """Yield what the client yields, to code that has no event loop."""
        return self._home.blocking_each(ask)

    def wait_for(self, job_id: JobId, timeout_s: float | None) -> Finished:
        """Block until a job has ended."""
        return self._home.wait_for(job_id, timeout_s)

    def whole(self, finished: Finished) -> Finished:
        """Return how a job ended with its result, also a large one."""
        return self._home.whole(finished)

    def gather(self, jobs: Iterable[JobHandle[T]], timeout: Delay | None = None) -> list[T]:
        """Block until all jobs have ended, and return their values."""
        return self._home.gather(jobs, timeout)

    async def agather(self, jobs: Iterable[JobHandle[T]], timeout: Delay | None = None) -> list[T]:
        """Wait until all jobs have ended, and return their values."""
        return await self._home.agather(jobs, timeout)

    async def client(self) -> Client:
        """Return the running loop's client."""
        return await self._home.client()
