"""Which live jobs could not run with this code: what ``windlass check`` stops a deploy for."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from windlass.core.names import nearest
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec
from windlass.engine.client import Client
from windlass.errors import BadArguments
from windlass.model.jobs import LIVE, Backlog, Job, JobFilter, JobId, State

SAMPLE_MAX = 1_000
PAGE = 100
FAULTS_MAX = 20  # different ones of one group


@dataclass(frozen=True, slots=True)
class Misfit:
    """Live jobs of one task and queue which would fail, all for the same reason.

    jobs:      of this task and queue, made by the same code.
    looked_at: of these jobs, the newest; ``unfit`` of them would fail for this reason.
    field:     the path of the bad field; None where it is not about one.
    sample:    one of the unfit jobs; None where none was looked at.
    """

    task: str
    queue: str
    jobs: int
    looked_at: int
    unfit: int
    field: str | None
    reason: str
    sample: JobId | None


async def misfits(
    client: Client, specs: Mapping[str, TaskSpec], served: Collection[str]
) -> tuple[list[Misfit], list[Misfit]]:
    """Return the live jobs that would not run, and those which another app must know.

    Jobs that were made by this very code are not looked at.  A task that is unknown here counts
    as a misfit only in a queue that this app's workers serve: other queues may be another app's.
    """
    wrong: list[Misfit] = []
    foreign: list[Misfit] = []
    for group in await client.backlog():
        spec = specs.get(group.task)
        if spec is None:
            (wrong if group.queue in served else foreign).append(_unknown(group, specs))
        elif group.fingerprint != spec.signature.fingerprint:
            wrong += await _look(client, spec.signature, group)
    return wrong, foreign


def _unknown(group: Backlog, specs: Mapping[str, TaskSpec]) -> Misfit:
    near = nearest(group.task, specs)
    hint = f"; did you mean {near!r}?" if near else ""
    reason = f"the app has no such task{hint}"
    return Misfit(group.task, group.queue, group.count, 0, group.count, None, reason, None)


async def _look(client: Client, signature: Signature, group: Backlog) -> Iterator[Misfit]:
    """Decode samples of a group as a worker would."""
    looked_at = 0
    found: dict[tuple[str | None, str], list[JobId]] = {}
    last: JobId | None = None
    while looked_at < SAMPLE_MAX and (page := await _page(client, group, last)):
        for job in page:
            fault = _fault(signature, job)
            if fault is not None and (fault in found or len(found) < FAULTS_MAX):
                found.setdefault(fault, []).append(job.id)
        looked_at += len(page)
        last = page[-1].id
    return (
        Misfit(group.task, group.queue, group.count, looked_at, len(ids), *fault, ids[-1])
        for fault, ids in found.items()
    )


async def _page(client: Client, group: Backlog, before: JobId | None) -> list[Job]:
    where = JobFilter(
        states=tuple(state for state in State if state in LIVE),
        task=group.task,
        queue=group.queue,
        fingerprint=group.fingerprint,
    )
    return await client.jobs(where, limit=PAGE, before=before)


def _fault(signature: Signature, job: Job) -> tuple[str | None, str] | None:
    try:
        signature.decode(job.payload, job.fingerprint)
    except BadArguments as error:
        return error.field, error.why
    except Exception as error:  # of an upcaster too
        return None, f"{type(error).__name__}: {error}"
    return None
