"""Tasks as users hold them: still plain functions, and also something to enqueue."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, Never, ParamSpec, Protocol, TypeVar, overload

from msgspec.structs import replace as with_

from windlass.composition import Call, Group, group
from windlass.core.names import check_name, choice
from windlass.core.retry import Delay, instant_of, seconds_of
from windlass.core.signature import Upcaster
from windlass.core.tasks import TaskSpec, check_options, check_priority
from windlass.errors import BadComposition, BadOption, NotInRun
from windlass.handles import Enqueuer, JobHandle
from windlass.model.jobs import UNIQUE_KEY_LENGTH_MAX, Edge, JobRequest, Rule
from windlass.model.limits import Lane
from windlass.model.once import once_by_key
from windlass.stepping import PLAIN_STEP, StepOptions, stepping

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")
U = TypeVar("U", bound=Upcaster)

RuleName = Literal[
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_skipped",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "always",
]

OPTIONS = ("delay", "run_at", "expires", "priority", "queue", "unique_key", "idempotency_key")


@dataclass(frozen=True, slots=True)
class EnqueueOptions:
    """What ``using`` may set; until then the task's own options."""

    queue: str
    priority: int
    expires_s: float | None
    expires_at: datetime | None = None
    delay_s: float = 0.0
    run_at: datetime | None = None
    unique_key: str | None = None
    idempotency_key: str | None = None


class Task(Generic[P, C, R]):
    """A registered function: call it as ever, or enqueue the call.

    ``P`` are its parameters, ``C`` what a plain call returns, ``R`` what a job results in
    (for an async function ``C`` is a coroutine of ``R``).
    """

    def __init__(
        self, app: Enqueuer, spec: TaskSpec, options: EnqueueOptions | None = None
    ) -> None:
        self._app = app
        self._options = options or EnqueueOptions(spec.queue, spec.priority, spec.expires_s)
        self.spec = spec
        functools.update_wrapper(self, spec.function)

    @property
    def app(self) -> Enqueuer:
        """What stores its jobs."""
        return self._app

    @property
    def name(self) -> str:
        """The name under which workers find the function."""
        return self.spec.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Call the function here and now, as if it were not a task.

        Where a DAG is declared, or a workflow runs, the call is a step of that.
        """
        where = stepping()
        result: C
        if where is None:
            result = self.spec.function(*args, **kwargs)
        else:
            result = where.call(self, PLAIN_STEP, args, kwargs)
        return result

    def __repr__(self) -> str:
        return f"<task {self.spec.name!r} on queue {self.spec.queue!r}>"

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> "JobHandle[R]":
        """Store a request to run this call; blocks until it is durable.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, StoreUnavailable.
        """
        [job_id] = self._app.enqueue_requests([self.prepare(*args, **kwargs)])
        return JobHandle(self._app, job_id, self.spec)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> "JobHandle[R]":
        """Store a request to run this call; returns once it is durable.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, StoreUnavailable.
        """
        [job_id] = await self._app.aenqueue_requests([self.prepare(*args, **kwargs)])
        return JobHandle(self._app, job_id, self.spec)

    def enqueue_in(
        self, connection: object, /, *args: P.args, **kwargs: P.kwargs
    ) -> "JobHandle[R]":
        """Store a request to run this call with the caller's transaction: if and when it commits.

        connection: see ``App.enqueue_many_in``, also for what it raises and what it costs.
        Raises:     CannotJoin, BadArguments, NotEncodable, PayloadTooLarge.
        """
        prepared = [self.prepare(*args, **kwargs)]
        [job_id] = self._app.enqueue_requests_in(connection, prepared)
        return JobHandle(self._app, job_id, self.spec)

    async def aenqueue_in(
        self, connection: object, /, *args: P.args, **kwargs: P.kwargs
    ) -> "JobHandle[R]":
        """Store a request to run this call with the caller's transaction: if and when it commits.

        connection: see ``App.enqueue_many_in``, also for what it raises and what it costs.
        Raises:     CannotJoin, BadArguments, NotEncodable, PayloadTooLarge.
        """
        prepared = [self.prepare(*args, **kwargs)]
        [job_id] = await self._app.aenqueue_requests_in(connection, prepared)
        return JobHandle(self._app, job_id, self.spec)

    def prepare(self, *args: P.args, **kwargs: P.kwargs) -> JobRequest:
        """Check the call and make its request, for ``enqueue_many``; nothing is stored.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey.
        """
        spec = self.spec
        lane = None
        if spec.lanes is not None:
            lane = spec.lanes.lane_of(spec.signature.bound(args, kwargs))
        limit_bytes = self._app.settings.payload_limit_bytes
        request = self._request(spec.signature.encode(args, kwargs, limit_bytes), lane)
        return request if spec.once is None else self._once(request, args, kwargs)

    def prepare_after(
        self,
        edges: tuple[Edge, ...],
        slot: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> JobRequest:
        """Check a call that waits for other jobs and make its request; for compositions.

        slot:   the parameter that they give; None if they give none.
        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey.
        """
        spec = self.spec
        if spec.once is not None:
            raise BadComposition("a call", spec.name, "a task with `once` cannot wait for others")
        if self._options.idempotency_key is not None:
            raise BadComposition("a call", spec.name, "one that waits takes no idempotency key")
        if slot is not None:
            self._check_given("a call")
        lane = None
        if spec.lanes is not None:
            lane = spec.lanes.lane_of(spec.signature.bound_partly(args, kwargs))
        limit_bytes = self._app.settings.payload_limit_bytes
        payload = spec.signature.encode_partly(args, kwargs, slot, limit_bytes)
        return self._request(payload, lane, edges)

    def prepare_step(
        self, given: dict[str, Any], edges: tuple[Edge, ...], rule: Rule | None
    ) -> JobRequest:
        """Check a call of which other jobs give some arguments, and make its request; for runs.

        given:  the other arguments, by name.
        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey, BadComposition.
        """
        self._check_step()
        spec, lane = self.spec, None
        if spec.lanes is not None:
            lane = spec.lanes.lane_of(spec.signature.with_defaults(given))
        slots = {edge.slot for edge in edges if edge.slot is not None}
        if slots:
            self._check_given("a step")
        limit_bytes = self._app.settings.payload_limit_bytes
        payload = spec.signature.encode_given(given, slots, limit_bytes)
        return with_(self._request(payload, lane, edges), rule=rule)

    def prepare_whole_step(self, *args: P.args, **kwargs: P.kwargs) -> JobRequest:
        """Check a call that nobody gives anything to, and make its request; for runs.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey, BadComposition.
        """
        self._check_step()
        return self.prepare(*args, **kwargs)

    def _check_step(self) -> None:
        """Refuse what could become one with another job.  Raises: BadComposition."""
        if self.spec.once is not None:
            raise BadComposition("a step", self.name, "a task with `once` cannot be one")
        options = self._options
        if options.unique_key is not None or options.idempotency_key is not None:
            raise BadComposition("a step", self.name, "it takes no unique_key or idempotency_key")

    def _check_given(self, what: str) -> None:
        """Refuse arguments of other jobs where jobs run together.  Raises: BadComposition."""
        if self.spec.lanes is not None and self.spec.lanes.is_batch:
            why = "a task with a Batch takes no results of other jobs: its jobs run together"
            raise BadComposition(what, self.name, why)

    def step(
        self,
        *,
        name: str | None = None,
        rule: RuleName | Rule | None = None,
        after: Sequence[object] = (),
    ) -> Callable[P, R]:
        """Return what makes a call of this task a step of the DAG that is declared.

        A plain call does so too; this one takes options, and for the type checker also the call
        of an async function is its result.
        name:   of the step; default: the name of the function.
        rule:   of which ends of those that it waits for it starts; default "all_success".
        after:  results of steps that it waits for, besides those that it is given.
        Raises: BadOption; BadDag, NotInRun, when it is called.
        """
        chosen = None if rule is None else choice("rule", rule, Rule)
        checked = None if name is None else check_name("name", name)
        options = StepOptions(checked, chosen, tuple(after))

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            where = stepping()
            if where is None or where.is_awaited:
                why = "step() makes steps where a DAG is declared; in a workflow, await astep()"
                raise NotInRun(self.name, why)
            result: R = where.call(self, options, args, kwargs)
            return result

        return call

    def astep(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Return a step of the workflow that runs, to be awaited for its result.

        A plain call does so too; for the type checker this is the way to await a task whose
        function is not async.  In plain code it calls the function when it is awaited.
        Raises: BadArguments, NotEncodable, PayloadTooLarge; NotInRun, where a DAG is declared.
        """
        where = stepping()
        if where is None:
            return self._called(*args, **kwargs)
        if not where.is_awaited:
            raise NotInRun(self.name, "astep() is awaited, in a workflow; a DAG takes step()")
        step: Coroutine[Any, Any, R] = where.call(self, PLAIN_STEP, args, kwargs)
        return step

    async def _called(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here, whether it is async or not."""
        returned: Any = self(*args, **kwargs)
        result: R = await returned if inspect.isawaitable(returned) else returned
        return result

    def _once(
        self, request: JobRequest, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> JobRequest:
        once = self.spec.once
        assert once is not None
        if request.unique_key is not None:
            raise BadOption("unique_key", request.unique_key, "the task says itself what is once")
        if request.once is not None:
            raise BadOption("idempotency_key", request.once.key, "the task says what is once")
        arguments = self.spec.signature.bound(args, kwargs)
        key, rule = once.unique_key_of(arguments), once.once_of(arguments)
        if rule is not None and (request.delay_s or request.run_at is not None):
            raise BadOption("delay", request.delay_s, f"the task's rule ({rule.kind}) says when")
        return with_(request, unique_key=key, once=rule)

    def _request(
        self, payload: bytes, lane: Lane | None, after: tuple[Edge, ...] = ()
    ) -> JobRequest:
        spec, options = self.spec, self._options
        key = options.idempotency_key
        return JobRequest(
            id=self._app.new_job_id(),
            task=spec.name,
            queue=options.queue,
            payload=payload,
            priority=options.priority,
            delay_s=options.delay_s,
            run_at=options.run_at,
            expires_s=options.expires_s,
            expires_at=options.expires_at,
            unique_key=options.unique_key,
            lane=None if lane is None else lane.id,
            limits=None if lane is None else lane.limits,
            after=after,
            once=None if key is None else once_by_key(spec.name, key),
            fingerprint=spec.signature.fingerprint,
            kind=spec.kind,
        )

    def upcaster(self, function: U) -> U:
        """Bring old arguments to the shape of this code; may be a decorator.

        ``def (arguments: dict[str, Any]) -> dict[str, Any]``: called by workers for payloads
        that were made by other code, or that do not decode.  All of a task's upcasters run, in
        the order registered, each on what the one before returned; so each must leave alone
        what is new already.  What it gets is plain data by the names of the parameters.
        What it raises is the attempt's failure.
        Raises: BadOption, for what is no plain function.
        """
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise BadOption("upcaster", function, "must be a plain function of one dict")
        self.spec.signature.upcasters.append(function)
        return function

    def bind(self, *args: Any, **kwargs: Any) -> Call[R]:
        """Return a call for ``chain``, ``group`` or ``chord``; arguments may be missing.

        The first parameter without argument and default is given the result of the job before.
        Raises: BadArguments, for arguments that do not fit.
        """
        return Call(self, args, kwargs)

    def map(self, values: Iterable[Any]) -> Group[R]:
        """Return a group of calls, one for each value as the first argument.

        Raises: BadComposition, for no values.
        """
        return group(*(self.bind(value) for value in values))

    def using(
        self,
        *,
        delay: Delay | None = None,
        run_at: datetime | None = None,
        expires: Delay | datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        unique_key: str | None = None,
        idempotency_key: str | None = None,
        **unknown: Never,
    ) -> "Task[P, C, R]":
        """Return this task with other options for its enqueues; the task itself is unchanged.

        delay:      time until it may start; or run_at: the instant (aware).  Not both.
        expires:    after this long, or at this instant, it does not start any more.
        priority:   -100 to 100, higher first.
        unique_key: while a live job of this task has the same key, no second one is made.
        idempotency_key: the same key again gives the same job, for as long as the store keeps
                    that; with other arguments it raises KeyConflict.  Not with unique_key.
        Raises:     BadOption.
        """
        check_options(unknown, OPTIONS)
        if delay is not None and run_at is not None:
            raise BadOption("run_at", run_at, "give either delay or run_at, not both")
        options = self._options
        if delay is not None:
            options = replace(options, delay_s=seconds_of("delay", delay), run_at=None)
        if run_at is not None:
            options = replace(options, run_at=instant_of("run_at", run_at), delay_s=0.0)
        if isinstance(expires, datetime):
            options = replace(options, expires_at=instant_of("expires", expires), expires_s=None)
        elif expires is not None:
            options = replace(options, expires_s=seconds_of("expires", expires), expires_at=None)
        if priority is not None:
            options = replace(options, priority=check_priority(priority))
        if queue is not None:
            options = replace(options, queue=check_name("queue", queue))
        if unique_key is not None:
            options = replace(options, unique_key=_key("unique_key", unique_key))
        if idempotency_key is not None:
            key = _key("idempotency_key", idempotency_key)
            options = replace(options, idempotency_key=key)
        if options.unique_key is not None and options.idempotency_key is not None:
            raise BadOption("idempotency_key", idempotency_key, "give either it or unique_key")
        return type(self)(self._app, self.spec, options)


class TaskDecorator(Protocol):
    """What ``@app.task(...)`` makes: it turns a function into a task of the same type."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Task[P, Coroutine[Any, Any, R], R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R, R]: ...


def check_requests(requests: Iterable[JobRequest]) -> list[JobRequest]:
    """Return what ``prepare`` made as a list.  Raises: BadOption."""
    checked = list(requests)
    for request in checked:
        if not isinstance(request, JobRequest):
            raise BadOption("requests", request, "must be made by task.prepare(…)")
    return checked


def _key(option: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= UNIQUE_KEY_LENGTH_MAX:
        raise BadOption(option, value, f"must be a text of 1 to {UNIQUE_KEY_LENGTH_MAX} characters")
    if not value.isprintable():  # no store keeps a NUL or half a surrogate pair
        raise BadOption(option, value, "must be printable")
    return value


AnyTask = Task[Any, Any, Any]
TaskFunction = Callable[..., Any]
