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

from windlass.core.capture import error_info
from windlass.core.context import Context
from windlass.core.tasks import TaskSpec, outcome_of
from windlass.errors import BadMiddleware, MiddlewareBroke
from windlass.model.jobs import Claim, JobId, JobRequest
from windlass.model.outcomes import Failed, Outcome

C = TypeVar("C")
A = TypeVar("A")
Proceed = Callable[[C], Awaitable[A]]
Middleware = (
    Callable[[C, Callable[[C], Awaitable[A]]], Awaitable[A]] | Callable[[C], Generator[C, A, Any]]
)


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
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return outcome_of(call.spec, error, skip_frames=0)
    except BaseException as error:
        return outcome_of(call.spec, error, skip_frames=0)
    if not isinstance(outcome, Outcome):
        why = f"it returned {outcome!r}, not what proceed() had returned"
        broke = MiddlewareBroke(_name(middlewares[0]), why)
        return Failed(error_info(broke, skip_frames=0), retryable=False)
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
    is_own = [request.task == task for request in call.requests]
    others: dict[int, JobId] = {}

    async def proceed(own: EnqueueCall) -> Sequence[JobId]:
        if len(own.requests) != sum(is_own):
            why = f"it proceeds with {len(own.requests)} requests and was given {sum(is_own)}"
            raise MiddlewareBroke(_name(middlewares[0]), why)
        replaced = iter(own.requests)
        merged = [
            next(replaced) if mine else request
            for request, mine in zip(call.requests, is_own, strict=True)
        ]
        ids = await inner(EnqueueCall(tuple(merged)))
        others.update({n: ids[n] for n, mine in enumerate(is_own) if not mine})
        return [job_id for job_id, mine in zip(ids, is_own, strict=True) if mine]

    if not any(is_own):
        return await inner(call)
    own = EnqueueCall(tuple(r for r, mine in zip(call.requests, is_own, strict=True) if mine))
    ids = await chained(middlewares, proceed)(own)
    _check_ids(_name(middlewares[0]), own, ids)
    if len(others) < len(is_own) - len(ids):  # it did not proceed, and must not stop the others
        rest = [n for n, mine in enumerate(is_own) if not mine]
        stored = await inner(EnqueueCall(tuple(call.requests[n] for n in rest)))
        others = dict(zip(rest, stored, strict=True))
    given = iter(ids)
    return [next(given) if mine else others[n] for n, mine in enumerate(is_own)]


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
