"""Outcomes: how an attempt ended.  Transitions: the state change that follows."""

import msgspec

from windlass.model.jobs import Edge, JobId, JobRequest, Reason, Rule, State


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception as plain data, with its chain of causes folded into ``traceback``.

    details: what a middleware adds for its own readers, as text of its own making.
    """

    type: str
    message: str
    traceback: str = ""
    details: str = ""


class Succeeded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The attempt returned; ``result`` is the encoded value."""

    result: bytes | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The attempt raised, or was stopped at its time limit.

    retryable: whether the task's policy covers this error at all.
    after_s:   the delay which the attempt itself asked for, instead of the policy's.
    """

    error: ErrorInfo
    reason: Reason = Reason.ERROR
    retryable: bool = True
    after_s: float | None = None


class Snoozed(msgspec.Struct, frozen=True, tag=True):
    """The attempt asked to be run again later, at no cost to its retries."""

    delay_s: float


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """The attempt ended because it, or an operator, asked for the job's cancel."""

    message: str = ""


class Released(msgspec.Struct, frozen=True, tag=True):
    """Its worker stops and gives the job back, at no cost to its retries.

    started: whether the code had begun; if not, the attempt is not counted.
    """

    started: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """This worker does not know the task: the job is left for one which does."""

    delay_s: float


class Continued(msgspec.Struct, frozen=True, tag=True):
    """The attempt handed its job on: the job's result will be that of the last of these jobs.

    ends:    the jobs whose results count.
    is_list: whether the result is the list of theirs, or that of the only one.
    waits:   further jobs to wait for, of these or made before.
    rule:    when the job is let go; None: once all have succeeded.
    cancels: jobs that nobody needs any more: to be cancelled before this is written.
    turns:   of steps whose ends this attempt was the first to see: as the how-manieth.
    """

    requests: tuple[JobRequest, ...]
    ends: tuple[JobId, ...]
    is_list: bool = False
    waits: tuple[JobId, ...] = ()
    rule: Rule | None = None
    cancels: tuple[JobId, ...] = ()
    turns: tuple[tuple[JobId, int], ...] = ()


class Diverged(msgspec.Struct, frozen=True, tag=True):
    """The code of a run does not do any more what it did: an operator must look."""

    error: ErrorInfo


Outcome = Succeeded | Failed | Snoozed | Cancelled | Released | Unknown | Continued | Diverged


class Transition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One guarded write: applied only to ``(job_id, before, fence)`` as they stand.

    ``attempt`` and ``failures`` are the row's new values.  ``delay_s`` counts from
    the store's now and only for ``after`` in {queued, scheduled}.  ``actor`` names
    the operator whose act this is; with it, or with an error, an event row is
    written in the same transaction.  ``result_ttl_s`` counts from the store's now; after it
    the result may be dropped.  ``children`` are inserted with it, and the job waits for those
    that ``after_children`` names: until all have succeeded, or as ``rule`` says.  ``turns`` are
    kept with the steps that they name.
    """

    job_id: JobId
    fence: int
    before: State
    after: State
    attempt: int
    failures: int
    reason: Reason | None = None
    delay_s: float = 0.0
    result: bytes | None = None
    error: bytes | None = None
    error_type: str | None = None
    actor: str | None = None
    result_ttl_s: float | None = None
    children: tuple[JobRequest, ...] = ()
    after_children: tuple[Edge, ...] = ()
    rule: Rule | None = None
    turns: tuple[tuple[JobId, int], ...] = ()
