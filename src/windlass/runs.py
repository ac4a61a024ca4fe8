"""Runs of DAGs and workflows as users look at them; each call blocks."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from windlass.handles import Enqueuer
from windlass.model.jobs import Job, JobId, RunKind, State
from windlass.model.runs import Step


class AppRuns:
    """Lists the runs that an app's store keeps, and their steps.

    A run is a job: ``app.job(id)`` waits for it and cancels it, ``app.operations`` acts on it.
    Within an event loop ``(await app.client()).runs`` has the same.
    """

    def __init__(self, app: Enqueuer) -> None:
        self._app = app

    def page(
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
        return self._app.blocking(
            lambda client: client.runs.page(
                limit=limit, before=before, name=name, kind=kind, states=states
            )
        )

    def get(self, run: JobId) -> Job:
        """Return the job of a run as it stands.  Raises: JobNotFound, also for a plain job."""
        return self._app.blocking(lambda client: client.runs.get(run))

    def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        return self._app.blocking(lambda client: client.runs.tally(run))

    def steps(self, run: JobId, *, states: Collection[State] | None = None) -> Iterator[Step]:
        """Yield the steps of a run, or those in some states, the oldest first."""
        return self._app.blocking_each(lambda client: client.runs.steps(run, states=states))
