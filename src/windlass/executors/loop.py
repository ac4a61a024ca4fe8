"""Async functions on the worker's own event loop."""

from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.executors.attempt import attempt_async, attempt_limited
from windlass.model.jobs import Claim
from windlass.model.outcomes import Outcome


class LoopExecutor:
    """Awaits the function in the asyncio task that awaits ``run``: no task or timer of its own."""

    async def start(self) -> None:
        """Make ready: there is nothing to do."""

    async def stop(self) -> None:
        """End everything: whoever awaits ``run`` cancels it, so nothing is left."""

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt to its end and say how it ended."""
        if spec.timeout_s is None:
            return await attempt_async(spec, claim.payload, context)
        return await attempt_limited(spec, claim.payload, context, spec.timeout_s)
