"""Runs and steps of the store in memory."""

from collections import Counter
from collections.abc import Collection, Mapping

from windlass.model.jobs import JobId, State
from windlass.model.runs import STEPS_PAGE_MAX, Step
from windlass.stores.memory_rows import MemoryData


class MemoryRuns:
    """The ``Runs`` of a store in memory."""

    def __init__(self, data: MemoryData) -> None:
        self._data = data

    async def steps(
        self,
        run: JobId,
        *,
        limit: int,
        after: JobId | None = None,
        states: Collection[State] | None = None,
    ) -> list[Step]:
        """List the steps of a run, the oldest id first; ``after`` pages on."""
        assert 1 <= limit <= STEPS_PAGE_MAX
        found = [
            self._step(job_id)
            for job_id in sorted(self._ids(run))
            if (after is None or job_id > after)
            and (states is None or self._data.jobs[job_id].state in states)
        ]
        return found[:limit]

    async def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        return Counter(self._data.jobs[job_id].state for job_id in self._ids(run))

    def _ids(self, run: JobId) -> list[JobId]:
        return [job_id for job_id, step in self._data.steps.items() if step.run == run]

    def _step(self, job_id: JobId) -> Step:
        of, job = self._data.steps[job_id], self._data.jobs[job_id]
        waits = self._data.waits.get(job_id)
        return Step(
            run=of.run,
            name=of.name,
            nth=of.nth,
            print=of.print,
            job_id=job_id,
            task=job.task,
            queue=job.queue,
            state=job.state,
            reason=job.reason,
            attempt=job.attempt,
            started_at=job.started_at,
            ended_at=job.ended_at,
            error_type=job.error_type,
            rule=None if waits is None else waits[0],
            turn=self._data.turns.get(job_id),
        )
