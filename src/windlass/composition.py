"""Composition: jobs that wait for other jobs, and are given their results.

``chain``, ``group``, ``chord`` and ``map`` are put together from calls of tasks
(``task.bind(…)``), unfold into jobs and the edges between them, and are stored in one piece.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from windlass.core.continuation import Continuation
from windlass.core.tasks import TaskSpec
from windlass.errors import BadComposition
from windlass.handles import Enqueuer, GroupHandle, JobHandle
from windlass.model.jobs import Edge, JobId, JobRequest
from windlass.model.outcomes import Continued

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Ends = JobId | tuple[JobId, ...]  # of one job, or of several side by side


class Unfolding:
    """The jobs of a composition, parents before children."""

    def __init__(self) -> None:
        self.requests: list[JobRequest] = []
        self._has_once = self._has_edges = False

    def add(self, request: JobRequest) -> JobId:
        """Take in a job; return its id.

        Raises: BadComposition, for calls that become one with others beside calls that wait.
        """
        self.requests.append(request)
        self._has_once = self._has_once or request.once is not None
        self._has_edges = self._has_edges or bool(request.after)
        if self._has_once and self._has_edges:
            raise BadComposition("a call", request.task, "a task with `once` has no place in it")
        return request.id


class Composition(Continuation, Generic[R_co]):
    """Something to enqueue that may be more than one job.  ``R``: what its result is."""

    def continued(self) -> Continued:
        """Return the jobs, for a task that goes on as them."""
        unfolding = Unfolding()
        ends = self.unfold(unfolding, None)
        for request in unfolding.requests:
            if request.once is None:
                continue
            if request.once.kind == "key":
                why = "a call that a job goes on as takes no idempotency key: it is made once"
            else:  # what became of it would stand for other calls, or another call for it
                why = "a job cannot go on as a task with `once`: enqueue it inside of the job"
            raise BadComposition("a call", request.task, why)
        if isinstance(ends, tuple):
            return Continued(tuple(unfolding.requests), ends, is_list=True)
        return Continued(tuple(unfolding.requests), (ends,))

    @property
    @abstractmethod
    def app(self) -> Enqueuer:
        """What stores its jobs."""

    @abstractmethod
    def unfold(self, into: Unfolding, after: Ends | None) -> Ends:
        """Add the jobs, which wait for ``after``; return those which nothing within waits for."""


class Preparer(Protocol):
    """What a call needs of its task."""

    @property
    def app(self) -> Enqueuer:
        """What stores its jobs."""
        ...

    @property
    def spec(self) -> TaskSpec:
        """Its definition."""
        ...

    @property
    def prepare(self) -> Callable[..., JobRequest]:
        """Check a call and make its request."""
        ...

    def prepare_after(
        self,
        edges: tuple[Edge, ...],
        slot: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> JobRequest:
        """Check a call that waits for other jobs and make its request."""
        ...


class Call(Composition[R_co]):
    """A call of a task that may lack arguments: those come from the jobs before it.

    The result of the job before it becomes the first parameter that has no argument and no
    default; behind a group this is the list of the results.  Without such a parameter the call
    only waits.
    """

    def __init__(self, task: Preparer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task = task
        self._args, self._kwargs = args, kwargs
        self._slot = task.spec.signature.first_missing(args, kwargs)

    @property
    def app(self) -> Enqueuer:
        """What stores its job."""
        return self.task.app

    def handle(self, job_id: JobId) -> JobHandle[R_co]:
        """Return the handle of the job that was made of it."""
        return JobHandle(self.app, job_id, self.task.spec)

    def request_after(self, parent: JobId) -> JobRequest:
        """Make the request of a job that waits for this one."""
        unfolding = Unfolding()
        self.unfold(unfolding, parent)
        return unfolding.requests[0]

    def unfold(self, into: Unfolding, after: Ends | None) -> JobId:
        """Add the job.  Raises: BadArguments, if an argument is missing that nothing gives."""
        if after is None:
            return into.add(self.task.prepare(*self._args, **self._kwargs))
        edges = _edges(after, self._slot)
        return into.add(self.task.prepare_after(edges, self._slot, self._args, self._kwargs))

    def enqueue(self) -> "JobHandle[R_co]":
        """Store the job; blocks until it is durable.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, StoreUnavailable.
        """
        return self.handle(_stored_one(self))

    async def aenqueue(self) -> "JobHandle[R_co]":
        """Store the job; returns once it is durable."""
        return self.handle(await _astored_one(self))


class Chain(Composition[R_co]):
    """One after the other, each given the result of the one before."""

    def __init__(self, steps: "Sequence[Composition[Any]]", last: "Call[R_co]") -> None:
        self._steps = steps
        self._last = last

    @property
    def app(self) -> Enqueuer:
        """What stores its jobs."""
        return self._last.app

    def unfold(self, into: Unfolding, after: Ends | None) -> JobId:
        """Add the jobs in their order."""
        for step in self._steps:
            after = step.unfold(into, after)
        return self._last.unfold(into, after)

    def enqueue(self) -> "JobHandle[R_co]":
        """Store all jobs; return the last one's handle.  Blocks until they are durable.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, StoreUnavailable.
        """
        return self._last.handle(_stored_one(self))

    async def aenqueue(self) -> "JobHandle[R_co]":
        """Store all jobs; return the last one's handle once they are durable."""
        return self._last.handle(await _astored_one(self))


Single = Call[R] | Chain[R]


class Group(Composition[list[R]]):
    """Side by side; each is given what comes before the group."""

    def __init__(self, members: "Sequence[Single[R]]") -> None:
        self._members = members

    @property
    def app(self) -> Enqueuer:
        """What stores its jobs."""
        return self._members[0].app

    def unfold(self, into: Unfolding, after: Ends | None) -> tuple[JobId, ...]:
        """Add the jobs of all members."""
        return tuple(member.unfold(into, after) for member in self._members)

    def then(self, body: "Call[R_co]") -> "Chain[R_co]":
        """Return the chord of this group and a body, which is given the list of its results."""
        return Chain([self], body)

    def enqueue(self) -> "GroupHandle[R]":
        """Store all jobs; blocks until they are durable.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, StoreUnavailable.
        """
        unfolding = Unfolding()
        ends = self.unfold(unfolding, None)
        ids = self.app.enqueue_requests(unfolding.requests)
        return self._handle(unfolding, ends, ids)

    async def aenqueue(self) -> "GroupHandle[R]":
        """Store all jobs; returns once they are durable."""
        unfolding = Unfolding()
        ends = self.unfold(unfolding, None)
        ids = await self.app.aenqueue_requests(unfolding.requests)
        return self._handle(unfolding, ends, ids)

    def _handle(
        self, unfolding: Unfolding, ends: Sequence[JobId], ids: Sequence[JobId]
    ) -> "GroupHandle[R]":
        stored = _stored_for(unfolding, ids)
        specs = [_last_call(member).task.spec for member in self._members]
        jobs = [
            JobHandle[R](self.app, stored[end], spec) for end, spec in zip(ends, specs, strict=True)
        ]
        return GroupHandle(self.app, jobs)


@overload
def chain(last: Call[R], /) -> Chain[R]: ...
@overload
def chain(first: Composition[Any], last: Call[R], /) -> Chain[R]: ...
@overload
def chain(first: Composition[Any], second: Composition[Any], last: Call[R], /) -> Chain[R]: ...
@overload
def chain(*steps: Composition[Any]) -> Chain[Any]: ...
def chain(*steps: Any) -> Chain[Any]:
    """Return calls to run one after the other, each given the result of the one before.

    A group among them runs side by side; the next call is given the list of its results.
    Raises: BadComposition, if the last is no call.
    """
    *earlier, last = _checked(steps, Composition, "chain")
    if not isinstance(last, Call):
        raise BadComposition("chain", last, "it must end with a call, such as task.bind()")
    return Chain(earlier, last)


def group(*members: Single[R]) -> Group[R]:
    """Return calls or chains to run side by side.  Raises: BadComposition."""
    return Group(_checked(members, Call | Chain, "group"))


def chord(members: Group[R] | Iterable[Single[R]], body: Call[R_co]) -> Chain[R_co]:
    """Return a group and a body, which runs when all of it has succeeded.

    The body is given the list of the results, in the order of the group.
    Raises: BadComposition.
    """
    before = members if isinstance(members, Group) else group(*members)
    return chain(before, body)


def continue_as(composition: Composition[R]) -> R:
    """Return what a task returns in order to go on as other jobs: their result will be its own.

    The job waits for them, holding no slot, and ends as they end.  To the type checker this is
    their result already.
    """
    return cast(R, composition)


def _checked(parts: Sequence[Any], kind: Any, what: str) -> Sequence[Any]:
    if not parts:
        raise BadComposition(what, None, "it is empty")
    for part in parts:
        if not isinstance(part, kind):
            raise BadComposition(what, part, "it must be a call: task.bind(…), or made of calls")
    return parts


def _edges(after: Ends, slot: str | None) -> tuple[Edge, ...]:
    if isinstance(after, tuple):
        return tuple(Edge(parent, slot, n) for n, parent in enumerate(after))
    return (Edge(after, slot, None),)


def _last_call(single: "Single[R]") -> Call[R]:
    return single if isinstance(single, Call) else single._last


def _stored_one(single: "Single[Any]") -> JobId:
    unfolding = Unfolding()
    end = single.unfold(unfolding, None)
    return _stored_for(unfolding, single.app.enqueue_requests(unfolding.requests))[end]


async def _astored_one(single: "Single[Any]") -> JobId:
    unfolding = Unfolding()
    end = single.unfold(unfolding, None)
    return _stored_for(unfolding, await single.app.aenqueue_requests(unfolding.requests))[end]


def _stored_for(unfolding: Unfolding, ids: Sequence[JobId]) -> dict[JobId, JobId]:
    """Return which job stands for each; another one's, where a unique key was taken."""
    return {request.id: job_id for request, job_id in zip(unfolding.requests, ids, strict=True)}
