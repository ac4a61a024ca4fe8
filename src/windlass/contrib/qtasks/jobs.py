"""Tasks of qtasks as jobs of Windlass: stored, found, and waited for."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from windlass import (
    App,
    Job,
    JobHandle,
    JobId,
    JobNotFound,
    ResultExpired,
    ResultTimeout,
    Router,
    State,
)
from windlass import Task as NativeTask
from windlass.contrib.front_ends.places import Place
from windlass.contrib.qtasks.found import found_task, stored_task
from windlass.contrib.qtasks.logs import Logger
from windlass.contrib.qtasks.plain import native_priority, plain_call
from windlass.contrib.qtasks.results import Task
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.core.names import nearest
from windlass.core.retry import seconds_of
from windlass.model.jobs import JobRequest

PRIORITY = "qtasks-priority"  # the header of a job whose priority is not that of its task


class Owner(Protocol):
    """The app whose tasks these are.

    broker_url: what it was told, where that is no URL of a store.
    """

    name: str
    windlass_app: App
    tasks: dict[str, TaskExecSchema]
    log: Logger
    broker_url: str | None


class Jobs:
    """The tasks of one app in the store of its Windlass app, in a queue of the app's name."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._app = owner.windlass_app
        self._place = Place(lambda level, line: owner.log.log(level, line))
        self._unknown: set[str] = set()

    def say_where(self) -> None:
        """Say in one line of the log where the jobs are kept, at the first use."""
        url = self._owner.broker_url
        self._place.tell(self._app, [url] if url else [])

    # -- storing -------------------------------------------------------------

    def store(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], priority: int | None
    ) -> Task:
        """Store a call; blocks until it is durable."""
        request = self._request(name, args, kwargs, priority)
        self._app.enqueue_requests([request])
        return stored_task(request, args, kwargs).bind(self._owner)

    async def astore(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], priority: int | None
    ) -> Task:
        """Store a call; returns once it is durable."""
        request = self._request(name, args, kwargs, priority)
        await self._app.aenqueue_requests([request])
        return stored_task(request, args, kwargs).bind(self._owner)

    def _request(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], priority: int | None
    ) -> JobRequest:
        self.say_where()
        known = self._owner.tasks.get(name)
        if known is None:
            self._say_unknown(name)
        usual = known.priority if known else 0
        priority = usual if priority is None else priority
        call = plain_call(name, args, kwargs)
        request = self._native(name).using(priority=native_priority(priority)).prepare(*call)
        return request if priority == usual else request.with_headers({PRIORITY: str(priority)})

    def _say_unknown(self, name: str) -> None:
        """Say, once for each name, that a job will wait for a worker with other code."""
        if name in self._unknown:
            return
        self._unknown.add(name)
        near = nearest(name, self._owner.tasks)
        hint = f" (did you mean {near!r}?)" if near else ""
        self._owner.log.warning(
            f"no task {name!r} is known here{hint}: its job waits for a worker that knows it"
        )

    def _native(self, name: str) -> NativeTask[..., Any, Any]:
        """Return the task of Windlass; for a name that is not known here, one as it will be."""
        if name in self._app.specs:
            return self._app.task_named(name)
        spec = Router(queue=self._owner.name).task(name=name)(_elsewhere).spec
        spec.signature.use(self._app.formats)
        return NativeTask(self._app, spec)

    # -- finding -------------------------------------------------------------

    def find(self, uuid: UUID | str) -> Task | None:
        """Return a task as it stands; None if this app has none of this id; blocks."""
        self.say_where()
        try:
            job = self._app.operations.get(_id_of(uuid))
        except JobNotFound:
            return None
        handle = self._handle(job)
        value = message = None
        if job.state is State.SUCCEEDED:
            value = _value_of(handle)
        elif job.state is State.CANCELLED and (said := handle.progress()) is not None:
            message = said.message
        return self._found(job, value, message)

    async def afind(self, uuid: UUID | str) -> Task | None:
        """Return a task as it stands; None if this app has none of this id."""
        self.say_where()
        try:
            job = await (await self._app.client()).get(_id_of(uuid))
        except JobNotFound:
            return None
        handle = self._handle(job)
        value = message = None
        if job.state is State.SUCCEEDED:
            value = await _avalue_of(handle)
        elif job.state is State.CANCELLED and (said := await handle.aprogress()) is not None:
            message = said.message
        return self._found(job, value, message)

    def _handle(self, job: Job) -> JobHandle[Any]:
        return JobHandle(self._app, job.id, self._native(job.task).spec)

    def _found(self, job: Job, value: Any, message: str | None) -> Task | None:
        if job.queue != self._owner.name:
            return None  # of another app in the same store
        signature = self._native(job.task).spec.signature
        args, kwargs = signature.decode(job.payload, job.fingerprint)
        known = self._owner.tasks.get(job.task)
        found = found_task(job, signature.bound(args, kwargs), known, value, message)
        return found.bind(self._owner)

    # -- waiting -------------------------------------------------------------

    def wait(self, uuid: UUID | str, timeout: float | None, log: Logger) -> Task | None:
        """Return a task once it has ended; None, with a line in the log, if it did not; blocks."""
        timeout_s = _seconds(timeout)
        if self.find(uuid) is None:
            log.warning(f"Task {uuid} not found!")
            return None
        try:
            self._app.wait_for(_id_of(uuid), timeout_s)
        except ResultTimeout:
            log.warning(f"Task timed out after {timeout} seconds!")
            return None
        return self.find(uuid)

    async def await_(self, uuid: UUID | str, timeout: float | None, log: Logger) -> Task | None:
        """Return a task once it has ended; None, with a line in the log, if it did not."""
        timeout_s = _seconds(timeout)
        if await self.afind(uuid) is None:
            log.warning(f"Task {uuid} not found!")
            return None
        try:
            client = await self._app.client()
            await client.wait([_id_of(uuid)], timeout_s=timeout_s, known=True)
        except ResultTimeout:
            log.warning(f"Task timed out after {timeout} seconds!")
            return None
        return await self.afind(uuid)


def _elsewhere(args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Stand for a function that this process does not have; never called."""


def _id_of(uuid: UUID | str) -> JobId:
    return JobId(str(uuid if isinstance(uuid, UUID) else UUID(uuid)))


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else seconds_of("timeout", timeout)


def _value_of(handle: JobHandle[Any]) -> Any:
    try:
        return handle.result()
    except ResultExpired:
        return None


async def _avalue_of(handle: JobHandle[Any]) -> Any:
    try:
        return await handle.aresult()
    except ResultExpired:
        return None
