"""Handles: jobs as their enqueuer holds them, and what they need of an app."""

from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from windlass.config import Settings
from windlass.core.lifecycle import decode_error
from windlass.core.retry import Delay, seconds_of
from windlass.core.serializers import Formats
from windlass.core.tasks import TaskSpec
from windlass.engine.client import Client
from windlass.errors import BadResult, JobCancelled, JobFailed, ResultExpired
from windlass.model.jobs import Finished, Job, JobId, JobRequest, State
from windlass.model.outcomes import ErrorInfo
from windlass.model.progress import Progress

R = TypeVar("R")
T = TypeVar("T")
H = TypeVar("H")


class Follower(Protocol[H]):
    """A call that can wait for a job: ``task.bind(…)``."""

    def request_after(self, parent: JobId) -> JobRequest:
        """Make the request of a job that waits for this one."""
        ...

    def handle(self, job_id: JobId) -> "JobHandle[H]":
        """Return the handle of the job that was made of it."""
        ...


class Enqueuer(Protocol):
    """What a task needs of its app."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    @property
    def formats(self) -> Formats:
        """The formats that can be read."""
        ...

    def new_job_id(self) -> JobId:
        """Make the id of a job to be."""
        ...

    def enqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store requests; blocks until durable."""
        ...

    def blocking(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Ask the client something, from code that has no event loop."""
        ...

    def blocking_each(self, ask: Callable[[Client], AsyncGenerator[T, None]]) -> Iterator[T]:
        """Yield what the client yields, to code that has no event loop."""
        ...

    def wait_for(self, job_id: JobId, timeout_s: float | None) -> Finished:
        """Block until a job has ended."""
        ...

    def whole(self, finished: Finished) -> Finished:
        """Return how a job ended with its result, also a large one; blocks."""
        ...

    async def aenqueue_requests(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Store requests; returns once they are durable."""
        ...

    def enqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store requests inside of the caller's transaction."""
        ...

    async def aenqueue_requests_in(
        self, connection: object, requests: Sequence[JobRequest]
    ) -> list[JobId]:
        """Store requests inside of the caller's transaction."""
        ...

    async def client(self) -> Client:
        """Return the running loop's client."""
        ...

    def gather(self, jobs: "Iterable[JobHandle[H]]", timeout: Delay | None = None) -> list[H]:
        """Block until all jobs have ended, and return their values."""
        ...

    async def agather(
        self, jobs: "Iterable[JobHandle[H]]", timeout: Delay | None = None
    ) -> list[H]:
        """Wait until all jobs have ended, and return their values."""
        ...


class JobHandle(Generic[R]):
    """A job as its enqueuer holds it: an id, and the way to its result."""

    def __init__(self, app: Enqueuer, job_id: JobId, spec: TaskSpec | None) -> None:
        self._app = app
        self._spec = spec
        self.id = job_id

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    def result(self, timeout: Delay | None = None) -> R:
        """Wait for the job's end and return its value.

        timeout: None waits as long as it takes.
        Raises:  JobFailed (with the remote traceback), JobCancelled, ResultExpired,
                 ResultTimeout, BadResult, UnknownSerializer, PickleRefused; of a large result
                 LargeResultLost, LargeResultsOff, BlobsUnavailable.
        """
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        return self.value_of(self._app.whole(self._app.wait_for(self.id, timeout_s)))

    async def aresult(self, timeout: Delay | None = None) -> R:
        """Wait for the job's end and return its value; see :meth:`result`."""
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        client = await self._app.client()
        ended = await client.wait([self.id], timeout_s=timeout_s, known=True)
        return self.value_of(await client.whole(ended[self.id]))

    def job(self) -> Job:
        """Return the job as it stands in the store."""
        return self._app.blocking(lambda client: client.get(self.id))

    async def ajob(self) -> Job:
        """Return the job as it stands in the store."""
        return await (await self._app.client()).get(self.id)

    def then(self, call: "Follower[H]") -> "JobHandle[H]":
        """Store a call that waits for this job and is given its result; blocks until durable.

        If this job ends badly, so does the new one.   Raises: BadArguments, NotEncodable, ….
        """
        [job_id] = self._app.enqueue_requests([call.request_after(self.id)])
        return call.handle(job_id)

    async def athen(self, call: "Follower[H]") -> "JobHandle[H]":
        """Store a call that waits for this job; returns once it is durable."""
        [job_id] = await self._app.aenqueue_requests([call.request_after(self.id)])
        return call.handle(job_id)

    def progress(self) -> Progress | None:
        """Return what the job's code said last of how far it is; None if it said nothing."""
        return self._app.blocking(lambda client: client.progress(self.id))

    async def aprogress(self) -> Progress | None:
        """Return what the job's code said last of how far it is; None if it said nothing."""
        return await (await self._app.client()).progress(self.id)

    def watch(self, timeout: Delay | None = None) -> Iterator[Progress]:
        """Yield what the job's code says of how far it is, live, until the job has ended.

        Begins with what was said last before; in quick succession only the newest is shown.
        timeout: for all of it; None waits as long as it takes.
        Raises:  ResultTimeout, JobNotFound.  How the job ended, :meth:`result` tells.
        """
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        return self._app.blocking_each(
            lambda client: client.each_progress(self.id, timeout_s=timeout_s)
        )

    async def awatch(self, timeout: Delay | None = None) -> AsyncGenerator[Progress, None]:
        """Yield what the job's code says of how far it is; see :meth:`watch`."""
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        each = (await self._app.client()).each_progress(self.id, timeout_s=timeout_s)
        try:
            async for progress in each:
                yield progress
        finally:
            await each.aclose()

    def cancel(self) -> State:
        """Cancel the job, or ask it to stop if it runs; return its state after that."""
        return self._app.blocking(lambda client: client.cancel(self.id))

    async def acancel(self) -> State:
        """Cancel the job, or ask it to stop if it runs; return its state after that."""
        return await (await self._app.client()).cancel(self.id)

    def value_of(self, finished: Finished) -> R:
        """Return the value of this job's end, or raise what its end means.

        finished: with its result: see ``Client.whole``.
        """
        raise_unless_succeeded(finished)
        value: R = (
            self._plain_value(finished)
            if self._spec is None
            else self._spec.signature.decode_result(finished.result)
        )
        return value

    def _plain_value(self, finished: Finished) -> Any:
        try:
            return self._app.formats.decode_plain(finished.result)
        except msgspec.DecodeError as error:
            raise BadResult(finished.task, str(error)) from error


def raise_unless_succeeded(finished: Finished) -> None:
    """Raise what a job's end means for those who wait for its value."""
    match finished.state:
        case State.SUCCEEDED if finished.expired_at is not None:
            raise ResultExpired(finished.job_id, finished.task, finished.expired_at)
        case State.SUCCEEDED:
            return
        case State.CANCELLED | State.SKIPPED:
            raise JobCancelled(finished.job_id, finished.task)
        case _:
            error = decode_error(finished.error) if finished.error else ErrorInfo("", "")
            raise JobFailed(
                finished.job_id,
                finished.task,
                str(finished.reason),
                error.type,
                error.message,
                error.traceback,
            )


class GroupHandle(Generic[R]):
    """The jobs of a group, in its order, as their enqueuer holds them."""

    def __init__(self, app: Enqueuer, jobs: "Sequence[JobHandle[R]]") -> None:
        self._app = app
        self.jobs = tuple(jobs)

    def result(self, timeout: Delay | None = None) -> list[R]:
        """Wait for all jobs and return their values in the order of the group.

        timeout: for all of them together; None waits as long as it takes.
        Raises:  JobFailed or JobCancelled, of the first in that order; ResultTimeout.
        """
        return self._app.gather(self.jobs, timeout)

    async def aresult(self, timeout: Delay | None = None) -> list[R]:
        """Wait for all jobs and return their values; see :meth:`result`."""
        return await self._app.agather(self.jobs, timeout)
