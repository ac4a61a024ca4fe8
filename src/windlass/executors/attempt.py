"""One attempt of a task's code, from its payload to its outcome, wherever it runs."""

import asyncio
from typing import Any

from windlass.core.context import Context, enter_context, is_cancelled
from windlass.core.continuation import Continuation
from windlass.core.tasks import TaskSpec, outcome_told
from windlass.errors import AttemptTimeout
from windlass.model.jobs import Claim
from windlass.model.outcomes import Outcome, Succeeded


def _returned(spec: TaskSpec, value: Any) -> Outcome:
    if isinstance(value, Continuation):
        return value.continued()
    return Succeeded(spec.result_of(value))


def attempt_plain(spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
    """Call a plain function; whatever it raises, SystemExit too, is its outcome."""
    enter_context(context)
    try:
        args, kwargs = spec.signature.decode(claim.payload, claim.fingerprint)
        value = spec.function(*args, **kwargs)
        return _returned(spec, value)
    except BaseException as error:
        return _ended_by(spec, error, context)


async def attempt_async(spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
    """Await an async function; whatever it raises is its outcome.

    Raises: CancelledError, only if the asyncio task that awaits this was itself cancelled.
    """
    enter_context(context)
    try:
        args, kwargs = spec.signature.decode(claim.payload, claim.fingerprint)
        value = await spec.function(*args, **kwargs)
        return _returned(spec, value)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        return _ended_by(spec, error, context)


async def attempt_limited(
    spec: TaskSpec, claim: Claim, context: Context, limit_s: float
) -> Outcome:
    """Do as ``attempt_async``, and end the function ``limit_s`` seconds after its start.

    Code that returns a value in spite of being stopped has succeeded.
    """
    enter_context(context)
    limit = asyncio.timeout(limit_s)
    try:
        args, kwargs = spec.signature.decode(claim.payload, claim.fingerprint)
        async with limit:
            value: Any = await spec.function(*args, **kwargs)
        return _returned(spec, value)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        if limit.expired():
            late = AttemptTimeout(spec.name, limit_s)
            late.__cause__ = error  # it shows where the code was
            return _ended_by(spec, late, context)
        return _ended_by(spec, error, context)


def _ended_by(spec: TaskSpec, error: BaseException, context: Context) -> Outcome:
    frames = 1 if spec.needs is None else 2  # what injects is ours too
    return outcome_told(spec, error, context, skip_frames=frames)
