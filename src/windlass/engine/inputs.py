"""What an attempt is given before its code runs, by other jobs; and runs that only have to end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from windlass.core.capture import error_info
from windlass.core.context import Context
from windlass.core.inputs import own_result, with_inputs
from windlass.core.lifecycle import OWN_RESULT
from windlass.core.references import is_reference
from windlass.core.tasks import TaskSpec
from windlass.engine.cancelling import cancel_job, cancel_steps
from windlass.engine.large_results import LargeResults
from windlass.errors import JobNotFound, StepsFailed, UnavailableError, WorkersLost
from windlass.model.jobs import Claim, Finished, Input, Job, JobId, Reason, RunKind, State
from windlass.model.outcomes import Cancelled, Failed, Outcome, Succeeded
from windlass.model.runs import STEPS_PAGE_MAX, History, RecordedStep, Step
from windlass.ports import Store

log = logging.getLogger("windlass.worker")

AGAIN_S = 1.0

T = TypeVar("T")


class Inputs:
    """Brings the results of other jobs to an attempt.

    losses_max: a workflow that has lost so many workers is ended instead.
    """

    def __init__(
        self, store: Store, specs: Mapping[str, TaskSpec], large: LargeResults, losses_max: int
    ) -> None:
        self._losses_max = losses_max
        self._store = store
        self._specs = specs
        self._large = large

    async def given(
        self, spec: TaskSpec, claim: Claim, context: Context
    ) -> tuple[Claim, Outcome | None]:
        """Return the claim with what other jobs give it; or its outcome, if that is known.

        context: of the attempt; that of a workflow is given its history.
        Raises:  BadArguments, ResultExpired, LargeResultLost, LargeResultsOff, JobNotFound.
        """
        if spec.kind is RunKind.WORKFLOW:
            run = await self._lasting(claim, lambda: self._job(claim.job_id))
            if run.losses >= self._losses_max:  # it kills its workers: its code runs no more
                error = error_info(WorkersLost(spec.name, run.losses))
                return claim, Failed(error, reason=Reason.POISON, retryable=False)
            context.history = await self._lasting(claim, lambda: self._history_of(run))
        if not claim.has_inputs:
            return claim, None
        inputs = await self._lasting(claim, lambda: self._inputs_of(claim.job_id))
        if spec.kind is RunKind.DAG:
            tally = await self._lasting(claim, lambda: self._store.runs.tally(claim.job_id))
            if tally:  # it went on as its steps, and all of them have ended
                return claim, await self._ended_run(spec, claim, tally, inputs)
        if any(one.slot == OWN_RESULT for one in inputs):
            return claim, Succeeded(own_result(spec, self._specs, inputs))
        return with_inputs(spec, self._specs, claim, inputs), None

    async def cancel(self, claim: Claim, job_ids: Sequence[JobId]) -> None:
        """Cancel steps that a run does not need any more, or ask them to stop."""
        for job_id in job_ids:
            await self._lasting(claim, partial(cancel_job, self._store, job_id, claim.task))

    async def end_steps(self, claim: Claim) -> None:
        """Cancel what is left of a run that ends by an error: no step outlives its run."""
        await self._lasting(claim, partial(cancel_steps, self._store, claim.job_id, claim.task))

    async def _job(self, job_id: JobId) -> Job:
        job = await self._store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def _history_of(self, run: Job) -> History:
        steps: list[Step] = []
        while page := await self._store.runs.steps(
            run.id, limit=STEPS_PAGE_MAX, after=steps[-1].job_id if steps else None
        ):
            steps += page
        ended = [step.job_id for step in steps if step.ended_at is not None]
        ends: dict[JobId, Finished] = {}
        for start in range(0, len(ended), STEPS_PAGE_MAX):
            ends |= await self._store.results(ended[start : start + STEPS_PAGE_MAX])
        for job_id in [one for one, end in ends.items() if is_reference(end.result)]:
            ends[job_id] = await self._large.whole(ends[job_id])
        recorded = (RecordedStep(step, ends.get(step.job_id)) for step in steps)
        return History(run.created_at, tuple(recorded))

    async def _ended_run(
        self, spec: TaskSpec, claim: Claim, tally: Mapping[State, int], inputs: Sequence[Input]
    ) -> Outcome:
        if failed := tally.get(State.FAILED):
            first = await self._lasting(claim, lambda: self._first_failed(claim.job_id))
            error = StepsFailed(spec.name, failed, sum(tally.values()), first)
            return Failed(error_info(error), retryable=False)
        if tally.get(State.CANCELLED):
            return Cancelled()
        if not any(one.slot == OWN_RESULT for one in inputs):
            return Succeeded(None)
        return Succeeded(own_result(spec, self._specs, inputs))

    async def _first_failed(self, run: JobId) -> str:
        """Say which step failed first of itself, and not because of another."""
        failed = await self._store.runs.steps(run, limit=STEPS_PAGE_MAX, states=[State.FAILED])
        causes = [step for step in failed if step.reason is not Reason.UPSTREAM] or failed
        first = min(causes, key=lambda step: (step.ended_at, step.job_id))
        error = f"{first.reason} ({first.error_type})" if first.error_type else str(first.reason)
        return f"{first.name!r} (job {first.job_id}): {error}"

    async def _inputs_of(self, job_id: JobId) -> list[Input]:
        return await self._large.whole_inputs(await self._store.inputs(job_id))

    async def _lasting(self, claim: Claim, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer: an outage is no failure of the job."""
        while True:
            try:
                return await ask()
            except UnavailableError as error:
                log.warning("job %s waits for its inputs: %s", claim.job_id, error)
                await asyncio.sleep(AGAIN_S)
