"""What the tests of the executors share: a claim on a task, and how one attempt is run."""

from itertools import count
from typing import Any

import msgspec

from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.model.jobs import Claim, JobId
from windlass.model.outcomes import Failed, Outcome, Succeeded
from windlass.ports import Executor

_NUMBERS = count(1)


async def run(executor: Executor, spec: TaskSpec, **arguments: Any) -> Outcome:
    """Run one attempt of a task."""
    claim = make_claim(spec, **arguments)
    return await executor.run(spec, claim, Context(claim))


def make_claim(spec: TaskSpec, **arguments: Any) -> Claim:
    """Return a claim on a job with these arguments."""
    payload = msgspec.json.encode(arguments)
    return Claim(JobId(f"job-{next(_NUMBERS)}"), 1, 1, 0, spec.name, "default", payload)


def value_of(outcome: Outcome) -> Any:
    """Return what the attempt returned."""
    assert isinstance(outcome, Succeeded), outcome
    return None if outcome.result is None else msgspec.json.decode(outcome.result)


def error_of(outcome: Outcome) -> Failed:
    """Return how the attempt failed."""
    assert isinstance(outcome, Failed), outcome
    return outcome
