"""Runs as a client looks at them.  They are jobs: what is done to them is done to jobs."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

from windlass.errors import JobNotFound
from windlass.model.jobs import Job, JobFilter, JobId, RunKind, State
from windlass.model.runs import STEPS_PAGE_MAX, Step
from windlass.ports import Store

RUNS_PAGE_MAX = 1_000


class RunClient:
    """Lists runs and their steps.  Belongs to the loop of its client."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self,
        *,
        limit: int = 50,
        before: JobId | None = None,
        name: str | None = None,
        kind: RunKind | None = None,
        states: Sequence[State] | None = None,
    ) -> list[Job]:
        """List runs, the newest first; ``before`` continues after the last id of a page.

        name: only those of this DAG or workflow.
        """
        where = JobFilter(
            task=name,
            kinds=tuple(RunKind) if kind is None else (kind,),
            states=None if states is None else tuple(states),
        )
        return await self._store.jobs(where, limit=min(limit, RUNS_PAGE_MAX), before=before)

    async def get(self, run: JobId) -> Job:
        """Return the job of a run as it stands.  Raises: JobNotFound, also for a plain job."""
        job = await self._store.get(run)
        if job is None or job.kind is None:
            raise JobNotFound(run)
        return job

    async def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        return await self._store.runs.tally(run)

    async def steps(
        self, run: JobId, *, states: Collection[State] | None = None
    ) -> AsyncGenerator[Step, None]:
        """Yield the steps of a run, or those in some states, the oldest first, page by page."""
        after: JobId | None = None
        while page := await self._store.runs.steps(
            run, limit=STEPS_PAGE_MAX, after=after, states=states
        ):
            for step in page:
                yield step
            after = page[-1].job_id
