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
    job, state, did = await _cancel_alone(store, job_id, actor)
    if job.kind is not None:
        # Behind a workflow, since its function would look at how its steps ended, and go on; and
        # also when it had ended: who cancelled it may have died before its steps were.
        did |= await cancel_steps(store, job_id, actor)
    return state, did


async def cancel_steps(store: Store, run: JobId, actor: str) -> bool:
    """Cancel the steps of a run that are live, and theirs; tell whether there was anything to do.

    A list of the runs that are left, and no recursion: they may stand deep in one another.
    """
    did = False
    left = [run]
    while left:
        did |= await _cancel_steps_of(store, left.pop(), actor, left)
    return did


async def _cancel_alone(store: Store, job_id: JobId, actor: str) -> tuple[Job, State, bool]:
    """Cancel a job without its steps; leave a DAG's run to them, where it has any."""
    while True:
        job = await store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        if job.kind is RunKind.DAG and job.state in LIVE and await store.runs.tally(job_id):
            return job, job.state, False
        transition = None if _is_asked(job) else after_cancel(job, actor)
        if transition is None:
            return job, job.state, False
        [applied] = await store.settle([transition])
        if applied:
            return job, transition.after, True
        # the job moved between the look and the write: look again


async def _cancel_steps_of(store: Store, run: JobId, actor: str, found: list[JobId]) -> bool:
    """Cancel the steps of one run; add the runs among them to ``found``.

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
                found.append(job.id)
                did |= (await _cancel_alone(store, job.id, actor))[2]
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
