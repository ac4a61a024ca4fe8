"""Cancel one job, or all steps of a run, whatever they do meanwhile."""

from windlass.core.lifecycle import after_cancel
from windlass.errors import JobNotFound
from windlass.model.jobs import LIVE, Job, JobFilter, JobId, Reason, RunKind, State
from windlass.ports import Store

PAGE_MAX = 1_000


async def cancel_job(store: Store, job_id: JobId, actor: str) -> tuple[State, bool]:
    """Cancel a job that has not started; ask one that runs to stop; of a run, all its steps.

    Returns: the state after, and whether this call brought it about.  A DAG's run whose steps
             were cancelled ends by itself when the last of them has ended.
    Raises:  JobNotFound.
    """
    did = False
    while True:
        job = await store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        if job.kind is not None and job.state in LIVE and await store.runs.tally(job_id):
            did |= await cancel_steps(store, job_id, actor)
            if job.kind is RunKind.DAG:
                return job.state, did
        transition = None if _is_asked(job) else after_cancel(job, actor)
        if transition is None:
            return job.state, did
        [applied] = await store.settle([transition])
        if applied:
            return transition.after, True
        # the job moved between the look and the write: look again


async def cancel_steps(store: Store, run: JobId, actor: str) -> bool:
    """Cancel the steps of a run that are live; tell whether there was anything to do.

    The newest go first: so nobody is given up because one that it waits for was cancelled.
    """
    where = JobFilter(run=run, states=tuple(sorted(LIVE)))
    runs_asked: set[JobId] = set()
    did = False
    while True:
        is_quiet = True
        before: JobId | None = None
        while page := await store.jobs(where, limit=PAGE_MAX, before=before):
            before = page[-1].id
            for job in (job for job in page if job.kind is not None and job.id not in runs_asked):
                runs_asked.add(job.id)
                did |= (await cancel_job(store, job.id, actor))[1]
                is_quiet = False
            plain = (job for job in page if job.kind is None and not _is_asked(job))
            moves = [move for job in plain if (move := after_cancel(job, actor))]
            if moves:
                is_quiet = False
                did |= any(await store.settle(moves))
        if is_quiet:
            return did
        # steps may have started, or been added, meanwhile: look again


def _is_asked(job: Job) -> bool:
    return job.state is State.RUNNING and job.reason is Reason.CANCEL_REQUESTED
