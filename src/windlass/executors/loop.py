"""Async functions on the worker's own event loop."""

from datetime import timedelta

from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.executors.attempt import attempt_async, attempt_limited
from windlass.model.jobs import Claim
from windlass.model.outcomes import Outcome
from windlass.ports import Clock


class LoopExecutor:
    """Awaits the function in the asyncio task that awaits ``run``: no task or timer of its own.

    clock: tells attempts with a time limit when that will end.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock

    async def start(self) -> None:
        """Make ready: there is nothing to do."""

    async def stop(self) -> None:
        """End everything: whoever awaits ``run`` cancels it, so nothing is left."""

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt to its end and say how it ended."""
        if spec.timeout_s is None:
            return await attempt_async(spec, claim, context)
        if self._clock is not None:
            context.deadline = self._clock.now() + timedelta(seconds=spec.timeout_s)
        return await attempt_limited(spec, claim, context, spec.timeout_s)
