"""Jobs: the row, the request that makes it, and the claim a worker holds on it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NewType

import msgspec
from msgspec import UNSET, UnsetType

from windlass.errors import PayloadTooLarge
from windlass.model.once import Once

JobId = NewType("JobId", str)
WorkerId = NewType("WorkerId", str)

PRIORITY_MIN, PRIORITY_MAX = -100, 100
NAME_LENGTH_MAX = 200
UNIQUE_KEY_LENGTH_MAX = 500
HEADERS_BYTES_MAX = 8_192
ENQUEUE_BATCH_MAX = 10_000
CLAIM_BATCH_MAX = 1_000


class State(StrEnum):
    """Who must move the job next."""

    WAITING = "waiting"  # other jobs, a signal, a sensor's trigger
    SCHEDULED = "scheduled"  # the clock
    QUEUED = "queued"  # any worker
    HELD = "held"  # an operator, or a limit
    RUNNING = "running"  # the lease holder
    SUCCEEDED = "succeeded"  # nobody, ever
    FAILED = "failed"  # nobody; until retried or discarded it is a dead letter
    CANCELLED = "cancelled"  # nobody, ever
    SKIPPED = "skipped"  # nobody, ever


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED})
LIVE = frozenset(State) - TERMINAL


class Reason(StrEnum):
    """Why the job is in its state; each state has its own set (``lifecycle.REASONS``)."""

    UPSTREAM = "upstream"
    SIGNAL = "signal"
    TRIGGER = "trigger"
    CHILDREN = "children"
    DELAY = "delay"
    RETRY = "retry"
    SNOOZE = "snooze"
    TIMER = "timer"
    UNKNOWN_TASK = "unknown_task"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    DIVERGED = "diverged"
    CANCEL_REQUESTED = "cancel_requested"
    ERROR = "error"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    POISON = "poison"
    LOST = "lost"
    BRANCH = "branch"
    RULE = "rule"


class RunKind(StrEnum):
    """What a job is a run of, if it is one."""

    DAG = "dag"
    WORKFLOW = "workflow"


class Rule(StrEnum):
    """Of which ends of the jobs that it waits for a job starts; ``core.rules`` says the rest.

    *Failed* stands for all that ended badly: failed and cancelled.
    """

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_SKIPPED = "all_skipped"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"


class StepOf(msgspec.Struct, frozen=True, gc=False):
    """That a job is a step: the ``nth`` of its name in a run.

    print: of the call, where a later one is compared with it; "" where none is.
    """

    run: JobId
    name: str
    nth: int = 0
    print: str = ""


class Edge(msgspec.Struct, frozen=True, gc=False):
    """That one job waits for another, and which of its arguments the result becomes.

    slot:     the name of the parameter; None only waits.
    position: place in the list that the parameter is given; None: it is given the result.
    """

    parent: JobId
    slot: str | None = None
    position: int | None = None


class Input(msgspec.Struct, frozen=True):
    """What a job gets from one that it waited for, which has succeeded.

    expired_at: when the time of the result was over, if it is gone for that.
    """

    parent: JobId
    task: str
    slot: str | None
    position: int | None
    result: bytes | None
    expired_at: datetime | None = None


class JobRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row to insert; the store's clock turns durations into instants.

    delay_s, run_at:       at most one is given; neither means at once.
    early_s:               it is queued so long before it is due; who claims it waits for that.
    expires_s, expires_at: at most one is given; past it the job never starts.
    unique_key:            unique per task among live jobs; None means no limit.
    retry_of:              the failed job that this one repeats.
    headers:               texts by name for middleware, as JSON; see ``with_headers``.
    lane, limits:          the id of its lane and the lane's limits (``model.limits``), or neither.
    after:                 it waits for these, until all of them have succeeded;
    rule:                  or as this says.
    kind:                  what it is a run of; None: it is a plain job.
    step:                  the run that it is a step of.
    once:                  how it becomes one with earlier calls of its key.
    fingerprint:           of the code that made the payload (``core.fingerprint``).
    """

    id: JobId
    task: str
    queue: str
    payload: bytes
    priority: int = 0
    delay_s: float = 0.0
    run_at: datetime | None = None
    early_s: float = 0.0
    expires_s: float | None = None
    expires_at: datetime | None = None
    unique_key: str | None = None
    retry_of: JobId | None = None
    headers: bytes | None = None
    lane: str | None = None
    limits: str | None = None
    fingerprint: int | None = None

    after: tuple[Edge, ...] = ()
    rule: Rule | None = None
    kind: RunKind | None = None
    step: StepOf | None = None
    once: Once | None = None

    @property
    def upstream(self) -> int | None:
        """How many jobs must still succeed; None if it waits for none, 0 if a rule decides."""
        if not self.after:
            return None
        return 0 if self.rule is not None else len({edge.parent for edge in self.after})

    def with_headers(self, headers: Mapping[str, str]) -> "JobRequest":
        """Return the request with these headers over those that it has; "" takes one away.

        Raises: PayloadTooLarge, for more than HEADERS_BYTES_MAX in all.
        """
        merged = {**headers_of(self.headers), **headers}
        kept = {name: text for name, text in merged.items() if text}
        encoded = msgspec.json.encode(kept) if kept else None
        if encoded is not None and len(encoded) > HEADERS_BYTES_MAX:
            raise PayloadTooLarge(self.task, "headers", len(encoded), HEADERS_BYTES_MAX)
        return msgspec.structs.replace(self, headers=encoded)


def headers_of(encoded: bytes | None) -> dict[str, str]:
    """Return headers as the texts that they are; none from what cannot be read."""
    if encoded is None:
        return {}
    try:
        return msgspec.json.decode(encoded, type=dict[str, str])
    except msgspec.DecodeError:
        return {}


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a worker holds: the right to write this job's outcome under ``fence``.

    attempt:  executions begun, this one included.
    failures: attempts that ended in an error so far; the retry budget counts these.
    lane:     the id of the lane it came from; None if nothing limits it.
    has_inputs: whether jobs that it waited for may give it arguments.
    due_in_s: how long after the claim it is due; None: it is.
    batch:    the first job of those that one attempt runs together; None: it runs alone.
    """

    job_id: JobId
    fence: int
    attempt: int
    failures: int
    task: str
    queue: str
    payload: bytes
    headers: bytes | None = None
    lane: str | None = None
    fingerprint: int | None = None
    has_inputs: bool = False
    due_in_s: float | None = None
    batch: JobId | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the store holds it.  Instants are aware, in UTC."""

    id: JobId
    task: str
    queue: str
    state: State
    reason: Reason | None
    priority: int
    attempt: int
    failures: int
    losses: int
    fence: int
    worker: WorkerId | None
    payload: bytes
    result: bytes | None
    error: bytes | None
    error_type: str | None
    unique_key: str | None
    retry_of: JobId | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    resolved_at: datetime | None
    headers: bytes | None = None
    lane: str | None = None
    limits: str | None = None
    held_by: str | None = None
    fingerprint: int | None = None
    upstream: int | None = None
    result_until: datetime | None = None
    kind: RunKind | None = None


class Finished(msgspec.Struct, frozen=True):
    """How a terminal job ended: all that a waiter needs.

    expired_at: when the time of its result was over; None if it is there, or there was none.
    """

    job_id: JobId
    task: str
    state: State
    reason: Reason | None
    result: bytes | None
    error: bytes | None
    expired_at: datetime | None = None


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a listing is about; a field that is not given does not narrow it.

    fingerprint: None are the jobs of which none is known.
    kinds:       only runs of these kinds.
    run:         only the steps of this run.
    """

    states: tuple[State, ...] | None = None
    task: str | None = None
    queue: str | None = None
    error_type: str | None = None
    unresolved: bool = False  # only dead letters: failed, neither retried nor discarded
    fingerprint: int | UnsetType | None = UNSET
    kinds: tuple[RunKind, ...] | None = None
    run: JobId | None = None


class Backlog(msgspec.Struct, frozen=True):
    """Live jobs of one task in one queue whose payloads were made by the same code."""

    task: str
    queue: str
    fingerprint: int | None
    count: int


class DeadLetters(msgspec.Struct, frozen=True):
    """Dead letters of one task that ended with one kind of error."""

    task: str
    error_type: str
    reason: Reason
    count: int
    first_at: datetime
    last_at: datetime
    sample: JobId


class Event(msgspec.Struct, frozen=True):
    """One append-only line of a job's history (failures and operator acts)."""

    job_id: JobId
    seq: int
    at: datetime
    before: State
    after: State
    reason: Reason | None
    attempt: int
    fence: int
    worker: WorkerId | None
    actor: str | None
    error: bytes | None
