"""Middleware: the user's code around an enqueue and around an attempt, and how it is chained.

A middleware is ``async def (call, proceed) -> answer``: what stands before ``await
proceed(call)`` happens before, what follows happens after.  Or it is a generator ``def
(call)`` which yields the call, is given the answer there, and may return another one; it
must not block.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from windlass.core.context import Context, is_cancelled
from windlass.core.tasks import TaskSpec, outcome_told
from windlass.errors import BadMiddleware, MiddlewareBroke
from windlass.model.jobs import Claim, JobId, JobRequest
from windlass.model.outcomes import Outcome

C = TypeVar("C")
A = TypeVar("A")
Proceed = Callable[[C], Awaitable[A]]
Middleware = Callable[[C, Proceed[C, A]], Awaitable[A]] | Callable[[C], Generator[C, A, Any]]


@dataclass(frozen=True, slots=True)
class EnqueueCall:
    """Requests on their way to the store, in one round trip."""

    requests: tuple[JobRequest, ...]


@dataclass(frozen=True, slots=True)
class AttemptCall:
    """An attempt that is about to run."""

    spec: TaskSpec
    claim: Claim
    context: Context


EnqueueMiddleware = Middleware[EnqueueCall, Sequence[JobId]]
AttemptMiddleware = Middleware[AttemptCall, Outcome]


def check_middleware(middleware: Any) -> Any:
    """Return a middleware of one of the two shapes.  Raises: BadMiddleware."""
    if not callable(middleware):
        raise BadMiddleware(repr(middleware), "it cannot be called")
    if not _is_generator(middleware) and not _is_async(middleware):
        raise BadMiddleware(
            _name(middleware),
            "it must be `async def (call, proceed)`, or a generator `def (call)` that yields",
        )
    wanted = 1 if _is_generator(middleware) else 2
    try:
        inspect.signature(middleware).bind(*range(wanted))
    except TypeError as error:
        arguments = "(call)" if wanted == 1 else "(call, proceed)"
        raise BadMiddleware(_name(middleware), f"it must take {arguments}: {error}") from None
    return middleware


def chained(middlewares: Sequence[Any], innermost: "Proceed[C, A]") -> "Proceed[C, A]":
    """Return what runs the first middleware around the second, and so on inwards.  Pure."""
    for middleware in reversed(middlewares):
        link = _through_generator if _is_generator(middleware) else _through_async
        innermost = functools.partial(link, middleware, innermost)
    return innermost


async def attempt_through(
    middlewares: Sequence[Any], call: AttemptCall, run: "Proceed[AttemptCall, Outcome]"
) -> Outcome:
    """Run an attempt inside its middleware; whatever that raises is the attempt's failure.

    Raises: CancelledError, only if the asyncio task that awaits this was itself cancelled.
    """
    try:
        outcome = await chained(middlewares, run)(call)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        return outcome_told(call.spec, error, call.context, skip_frames=0)
    if not isinstance(outcome, Outcome):
        why = f"it returned {outcome!r}, not what proceed() had returned"
        broke = MiddlewareBroke(_name(middlewares[0]), why)
        return outcome_told(call.spec, broke, call.context, skip_frames=0)
    return outcome


async def enqueue_through(
    middlewares: Sequence[Any],
    of_tasks: Mapping[str, Sequence[Any]],
    requests: Sequence[JobRequest],
    store: "Proceed[Sequence[JobRequest], Sequence[JobId]]",
) -> list[JobId]:
    """Store requests inside the app's middleware and, within it, each task's own.

    However many tasks there are, the requests go to the store in one round trip.
    """

    async def innermost(call: EnqueueCall) -> Sequence[JobId]:
        return await store(call.requests)

    proceed = innermost
    for task, own in of_tasks.items():
        proceed = functools.partial(_through_own, task, own, proceed)
    call = EnqueueCall(tuple(requests))
    ids = await chained(middlewares, proceed)(call)
    name = _name(middlewares[0]) if middlewares else f"of the tasks {', '.join(of_tasks)}"
    _check_ids(name, call, ids)
    return list(ids)


async def _through_own(
    task: str,
    middlewares: Sequence[Any],
    inner: "Proceed[EnqueueCall, Sequence[JobId]]",
    call: EnqueueCall,
) -> Sequence[JobId]:
    """Show a task's middleware its own requests only; the others go along."""
    places = [n for n, request in enumerate(call.requests) if request.task == task]
    if not places:
        return await inner(call)
    ids: dict[int, JobId] = {}

    async def proceed(own: EnqueueCall) -> Sequence[JobId]:
        if len(own.requests) != len(places):
            why = f"it proceeds with {len(own.requests)} requests and was given {len(places)}"
            raise MiddlewareBroke(_name(middlewares[0]), why)
        merged = list(call.requests)
        for n, request in zip(places, own.requests, strict=True):
            merged[n] = request
        ids.update(enumerate(await inner(EnqueueCall(tuple(merged)))))
        return [ids[n] for n in places]

    own = EnqueueCall(tuple(call.requests[n] for n in places))
    own_ids = await chained(middlewares, proceed)(own)
    _check_ids(_name(middlewares[0]), own, own_ids)
    others = sorted(set(range(len(call.requests))) - set(places))
    if others and not ids:  # it did not proceed, and must not stop the others
        stored = await inner(EnqueueCall(tuple(call.requests[n] for n in others)))
        ids.update(zip(others, stored, strict=True))
    ids.update(zip(places, own_ids, strict=True))
    return [ids[n] for n in range(len(call.requests))]


def _check_ids(name: str, call: EnqueueCall, ids: Any) -> None:
    if not isinstance(ids, Sequence) or len(ids) != len(call.requests):
        why = f"it returned {ids!r}, not the id of each of {len(call.requests)} requests"
        raise MiddlewareBroke(name, why)


async def _through_async(middleware: Any, inner: "Proceed[C, A]", call: C) -> A:
    answer: A = await middleware(call, _once(middleware, inner))
    return answer


async def _through_generator(middleware: Any, inner: "Proceed[C, A]", call: C) -> A:
    steps = middleware(call)
    try:
        call = next(steps)
    except StopIteration as stop:  # it answers by itself
        answer: A = stop.value
        return answer
    try:
        answer = await inner(call)
    except BaseException as error:
        given = _last_step(middleware, steps, functools.partial(steps.throw, error))
        if given is None:
            raise
        answer = given
    else:
        given = _last_step(middleware, steps, functools.partial(steps.send, answer))
        answer = answer if given is None else given
    return answer


def _last_step(middleware: Any, steps: Generator[Any, Any, Any], resume: Callable[[], Any]) -> Any:
    try:
        resume()
    except StopIteration as stop:
        return stop.value
    steps.close()
    raise MiddlewareBroke(_name(middleware), "it yields twice")


def _once(middleware: Any, inner: "Proceed[C, A]") -> "Proceed[C, A]":
    has_proceeded = False

    async def proceed(call: C) -> A:
        nonlocal has_proceeded
        if has_proceeded:
            raise MiddlewareBroke(_name(middleware), "it calls proceed() twice")
        has_proceeded = True
        return await inner(call)

    return proceed


def _is_generator(middleware: Any) -> bool:
    return _is_kind(inspect.isgeneratorfunction, middleware)


def _is_async(middleware: Any) -> bool:
    return _is_kind(inspect.iscoroutinefunction, middleware)


def _is_kind(test: Callable[[Any], bool], middleware: Any) -> bool:
    return test(middleware) or test(getattr(middleware, "__call__", None))  # noqa: B004


def _name(middleware: Any) -> str:
    return getattr(middleware, "__qualname__", None) or type(middleware).__qualname__
