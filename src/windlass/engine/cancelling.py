"""Cancel one job, whatever it does meanwhile."""

from windlass.core.lifecycle import after_cancel
from windlass.errors import JobNotFound
from windlass.model.jobs import JobId, State
from windlass.ports import Store


async def cancel_job(store: Store, job_id: JobId, actor: str) -> tuple[State, bool]:
    """Cancel a job that has not started; ask one that runs to stop.

    Returns: the state after, and whether this call brought it about.
    Raises:  JobNotFound.
    """
    while True:
        job = await store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        transition = after_cancel(job, actor)
        if transition is None:
            return job.state, False
        [applied] = await store.settle([transition])
        if applied:
            return transition.after, True
        # the job moved between the look and the write: look again
