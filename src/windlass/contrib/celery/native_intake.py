"""From Celery's calls to calls of an app's own tasks; each under its idempotency key."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from windlass import App, Task, WindlassError
from windlass.contrib.celery.brokers import Delivery
from windlass.contrib.celery.follow_ups import FollowUp, follow_ups_of
from windlass.contrib.celery.intake import Origin
from windlass.contrib.celery.messages import CeleryCall, Unfit
from windlass.core.ids import job_id_from
from windlass.errors import TaskNotFound
from windlass.model.jobs import PRIORITY_MAX, PRIORITY_MIN, Edge, JobId, JobRequest

AnyTask = Task[Any, Any, Any]

_ID_BITS = 74


@dataclass(frozen=True, slots=True)
class Planned:
    """The jobs of one call: the first with the key, and those that wait for it, parents first."""

    first: JobRequest
    rest: tuple[JobRequest, ...]
    loses_time_limit: bool

    def rest_after(self, first_id: JobId) -> list[JobRequest]:
        """Return the jobs that wait, under ids which are the same however often this is asked.

        first_id: the id that the first job has: an earlier delivery may have made it.
        """
        made_ms = int(first_id[:8] + first_id[9:13], 16)
        ids = {self.first.id: first_id}
        requests = []
        for n, request in enumerate(self.rest):
            bits = int.from_bytes(sha256(f"{first_id}/{n}".encode()).digest()) % 2**_ID_BITS
            ids[request.id] = job_id_from(made_ms, bits)
            after = tuple(replace(edge, parent=ids[edge.parent]) for edge in request.after)
            requests.append(replace(request, id=ids[request.id], after=after))
        return requests


class NativeIntake:
    """Plans the jobs of calls of an app's own tasks.

    names: the task, or its name, for each Celery name under which the app has none.
    """

    def __init__(self, app: App, names: Mapping[str, AnyTask | str]) -> None:
        self._app = app
        self._tasks = {
            name: app.task_named(task) if isinstance(task, str) else task
            for name, task in names.items()
        }

    @property
    def app(self) -> App:
        """The app whose jobs they are."""
        return self._app

    @property
    def origin(self) -> Origin:
        """Where the messages are: an app says nothing of that."""
        return Origin()

    def task(self, name: str) -> AnyTask:
        """Return the task for a Celery name.  Raises: Unfit."""
        if name in self._tasks:
            return self._tasks[name]
        try:
            return self._app.task_named(name)
        except TaskNotFound as error:
            raise Unfit(str(error)) from None

    def planned(self, call: CeleryCall, delivery: Delivery) -> Planned:
        """Return the jobs of a call; nothing is stored.

        delivery: its urgency is added to the task's own priority.
        Raises:   Unfit.
        """
        follow_ups = follow_ups_of(call)
        task = self.task(call.task)
        if task.spec.once is not None:
            raise Unfit(f"task {task.name!r} has a `once` rule: which call is it, the same again?")
        priority = min(max(task.spec.priority + delivery.urgency, PRIORITY_MIN), PRIORITY_MAX)
        try:
            using = task.using(
                run_at=call.run_at,
                expires=call.expires_at,
                priority=priority,
                idempotency_key=f"celery:{call.id}",
            )
            first = using.prepare(*call.args, **call.kwargs)
            rest = tuple(self._rest(follow_ups, first.id))
        except WindlassError as error:
            raise Unfit(str(error)) from error
        return Planned(first, rest, call.has_time_limit)

    def _rest(self, follow_ups: Sequence[FollowUp], parent: JobId) -> Iterator[JobRequest]:
        waiting = [(parent, follow_up) for follow_up in follow_ups]
        while waiting:
            parent, follow_up = waiting.pop()
            request = _after(self.task(follow_up.task), parent, follow_up)
            yield request
            waiting += [(request.id, then) for then in follow_up.then]


def _after(task: AnyTask, parent: JobId, follow_up: FollowUp) -> JobRequest:
    """Make the request of a call that waits.  Raises: Unfit, WindlassError."""
    if not follow_up.gets_result:
        edges = (Edge(parent),)
        return task.prepare_after(edges, None, tuple(follow_up.args), dict(follow_up.kwargs))
    slot, *names = _positional(task)
    if len(follow_up.args) > len(names):
        raise Unfit(f"what follows it, {task.name!r}, takes fewer arguments")
    given = dict(zip(names, follow_up.args, strict=False))
    if twice := sorted({slot, *given} & follow_up.kwargs.keys()):
        raise Unfit(f"what follows it, {task.name!r}, is given {', '.join(twice)} twice")
    return task.prepare_after((Edge(parent, slot),), slot, (), {**given, **follow_up.kwargs})


def _positional(task: AnyTask) -> list[str]:
    """Return the parameters that a result, and arguments behind it, can fill by name."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(task.spec.function).parameters
    names = [
        name
        for name in task.spec.signature.names
        if name in parameters and parameters[name].kind is kind
    ]
    if not names or names[0] != task.spec.signature.names[0]:
        raise Unfit(f"what follows it, {task.name!r}, has no first parameter for the result")
    return names
