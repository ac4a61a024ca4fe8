"""What operators do, for code that has no event loop: each call blocks until it is done."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from windlass.core.operations import Changes
from windlass.core.retry import Delay
from windlass.core.why import Why
from windlass.engine.client import Client
from windlass.model.holds import Hold, HoldId
from windlass.model.jobs import DeadLetters, Event, Job, JobFilter, JobId, Reason, State, WorkerId
from windlass.model.workers import WorkerRow

T = TypeVar("T")


class Home(Protocol):
    """What operations need of their app."""

    def blocking(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Ask the client something, from code that has no event loop."""
        ...

    def new_job_id(self) -> JobId:
        """Make the id of a job to be."""
        ...


class Operations:
    """Looks at jobs and acts on them; the same as the methods of ``Client``, but blocking.

    actor: who stands in the history for what is done.
    """

    def __init__(self, app: Home, actor: str = "operator") -> None:
        self._app = app
        self._actor = actor

    # -- single jobs ---------------------------------------------------------

    def get(self, job_id: JobId) -> Job:
        """Return a job as it stands.  Raises: JobNotFound."""
        return self._app.blocking(lambda client: client.get(job_id))

    def why(self, job_id: JobId) -> Why:
        """Tell why a job does not run, or that it does.  Raises: JobNotFound."""
        return self._app.blocking(lambda client: client.why(job_id, datetime.now(UTC)))

    def events(self, job_id: JobId) -> list[Event]:
        """Return the history of a job's failures and of what operators did to it."""
        return self._app.blocking(lambda client: client.events(job_id))

    def cancel(self, job_id: JobId) -> State:
        """Cancel a job, or ask it to stop if it runs; return its state after that."""
        return self._app.blocking(lambda client: client.cancel(job_id, actor=self._actor))

    def reschedule(self, job_id: JobId, delay: Delay = 0.0) -> State:
        """Have a job that has not started start after ``delay``.  Raises: JobNotWaiting."""
        return self._app.blocking(
            lambda client: client.reschedule(job_id, delay, actor=self._actor)
        )

    def retry(self, job_id: JobId, *, changes: Changes | None = None) -> JobId:
        """Enqueue a failed job once more; return the new id.  Raises: JobNotFailed."""
        new_id = self._app.new_job_id()
        return self._app.blocking(
            lambda client: client.retry(job_id, new_id, changes=changes, actor=self._actor)
        )

    def discard(self, job_ids: list[JobId]) -> list[bool]:
        """Take failed jobs off the dead letters; False for each that was none."""
        return self._app.blocking(lambda client: client.discard(job_ids, actor=self._actor))

    # -- many jobs -----------------------------------------------------------

    def jobs(
        self, where: JobFilter | None = None, *, limit: int = 50, before: JobId | None = None
    ) -> list[Job]:
        """List jobs, newest first; ``before`` continues after the last id of a page."""
        return self._app.blocking(lambda client: client.jobs(where, limit=limit, before=before))

    def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        return self._app.blocking(lambda client: client.counts())

    def dead_letters(self, *, limit: int = 100) -> list[DeadLetters]:
        """Group the unresolved failed jobs by task, error and reason, the most first."""
        return self._app.blocking(lambda client: client.dead_letters(limit=limit))

    def cancel_all(self, where: JobFilter) -> int:
        """Cancel all jobs that fit, or ask them to stop; return how many that was."""
        return self._app.blocking(lambda client: client.cancel_all(where, actor=self._actor))

    def reschedule_all(self, where: JobFilter, delay: Delay = 0.0) -> int:
        """Reschedule all jobs that fit and have not started; return how many that was."""
        return self._app.blocking(
            lambda client: client.reschedule_all(where, delay, actor=self._actor)
        )

    def retry_all(self, where: JobFilter, *, changes: Changes | None = None) -> int:
        """Retry all dead letters that fit, changed or not; return how many that was."""
        new_id = self._app.new_job_id
        return self._app.blocking(
            lambda client: client.retry_all(where, new_id, changes=changes, actor=self._actor)
        )

    def discard_all(self, where: JobFilter) -> int:
        """Take all failed jobs that fit off the dead letters; return how many that was."""
        return self._app.blocking(lambda client: client.discard_all(where, actor=self._actor))

    def purge(self, where: JobFilter) -> int:
        """Delete all jobs that fit and have ended, dead letters too; return how many."""
        return self._app.blocking(lambda client: client.purge(where))

    # -- holds and workers ---------------------------------------------------

    def pause(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        expires: Delay | None = None,
        why: str = "",
        reason: Reason = Reason.PAUSED,
    ) -> Hold:
        """Keep jobs from starting until they are resumed; see ``Client.pause``."""
        hold_id = HoldId(self._app.new_job_id())
        return self._app.blocking(
            lambda client: client.pause(
                hold_id,
                queue=queue,
                task=task,
                key=key,
                arguments=arguments,
                expires=expires,
                why=why,
                reason=reason,
                actor=self._actor,
            )
        )

    def resume(self, hold_id: HoldId) -> None:
        """End a hold: what it kept from starting is queued again.  Raises: HoldNotFound."""
        self._app.blocking(lambda client: client.resume(hold_id, actor=self._actor))

    def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        return self._app.blocking(lambda client: client.holds())

    def workers(self) -> list[WorkerRow]:
        """Return the workers that hold a lease."""
        return self._app.blocking(lambda client: client.workers())

    def drain(self, worker: WorkerId) -> None:
        """Have a worker end what it runs, claim no more, and stop.  Raises: WorkerNotFound."""
        self._app.blocking(lambda client: client.drain(worker))
