"""The notices of a worker, made of what it has at hand."""

from windlass.core.context import Context
from windlass.model.jobs import Claim, WorkerId
from windlass.model.notices import Notice, NoticeKind
from windlass.model.outcomes import Transition
from windlass.model.progress import ProgressReport


def of_claim(kind: NoticeKind, claim: Claim, worker: WorkerId, seconds: float | None) -> Notice:
    """Return the notice that something has happened to a claim."""
    return Notice(
        kind=kind,
        job_id=claim.job_id,
        task=claim.task,
        queue=claim.queue,
        attempt=claim.attempt,
        worker=worker,
        seconds=seconds,
    )


def of_progress(context: Context, report: ProgressReport, worker: WorkerId) -> Notice:
    """Return the notice of how far an attempt is."""
    return Notice(
        kind=NoticeKind.PROGRESSED,
        job_id=context.job_id,
        task=context.task,
        queue=context.queue,
        attempt=context.attempt,
        worker=worker,
        fraction=report.fraction,
        message=report.message,
    )


def of_end(
    kind: NoticeKind,
    transition: Transition,
    claim: Claim,
    worker: WorkerId,
    seconds: float | None,
) -> Notice:
    """Return the notice of how an attempt ended."""
    return Notice(
        kind=kind,
        job_id=claim.job_id,
        task=claim.task,
        queue=claim.queue,
        attempt=claim.attempt,
        worker=worker,
        seconds=seconds,
        reason=transition.reason,
        error_type=transition.error_type,
    )
