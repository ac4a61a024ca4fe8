"""Protocols (layer 2): what the engine asks of a store, of blobs, an executor and a clock.

``Broker`` is what a client and a worker need; ``Store`` adds what must be
remembered.  Every adapter passes ``windlass.testing.contracts`` unchanged.

The four verbs that write a job's state are ``enqueue``, ``claim``, ``settle`` and
``sweep``.  Every other method reads, or writes something that is not a state.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.model.backfills import Backfill, BackfillId, BackfillJob, BackfillRequest
from windlass.model.blobs import Blob
from windlass.model.holds import Hold, HoldId, HoldRequest
from windlass.model.jobs import (
    Backlog,
    Claim,
    DeadLetters,
    Event,
    Finished,
    Input,
    Job,
    JobFilter,
    JobId,
    JobRequest,
    State,
    WorkerId,
)
from windlass.model.limits import Holder, Limits
from windlass.model.outcomes import Outcome, Transition
from windlass.model.progress import Progress, ProgressReport
from windlass.model.runs import Step
from windlass.model.schedules import (
    DueSchedules,
    Fire,
    FoundSchedules,
    Leadership,
    RecentJob,
    SchedulePlan,
    Status,
)
from windlass.model.workers import Lease, Swept, WorkerInfo, WorkerRow


class Clock(Protocol):
    """The wall clock of an embedded store; a server's store uses the server's."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class Bell(Protocol):
    """A subscription to wake-ups.  A ring before ``wait`` is kept, rings are merged."""

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until a ring or for ``timeout_s``; tell whether it rang.

        Hints only: a ring may be missed or be false, so callers look for themselves.
        """
        ...

    def ring(self) -> None:
        """Wake who waits here, or who will wait next."""
        ...

    def close(self) -> None:
        """Stop listening.  Idempotent."""
        ...


class Broker(Protocol):
    """Carries jobs from clients to workers."""

    @property
    def url(self) -> str:
        """Where this is, without secrets; for messages."""
        ...

    async def open(self) -> None:
        """Connect and check the schema.

        Raises: StoreUnavailable, SchemaMissing, SchemaTooNew, StoreCorrupt, StoreReadOnly.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection, thread and file.  Idempotent."""
        ...

    async def enqueue(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs, all or none; return the id of each, in the order given.

        requests:  at most ENQUEUE_BATCH_MAX.
        Repeats:   the same request again (same id) changes nothing; with an idempotency key but
                   another task or other arguments it raises KeyConflict.
        Unique:    where a live job of the same task holds the ``unique_key``, nothing is
                   inserted and that job's id is returned.
        Once:      a call becomes one with an earlier one of its key as ``core.once`` decides; then
                   nothing is inserted, and that one's id is returned.
        After:     a job that names others waits for them; if one ended badly, so does it.  With a
                   ``rule`` that decides (``core.rules``) whether it starts, or how it ends.
        Steps:     a job that is a step of a run is listed as such (``Runs``).
        retry_of:  the failed job named is marked resolved in the same transaction.
        Durable:   as the store's sync setting says, before this returns.
        Cost:      one round trip.
        Raises:    JobNotFound, for a job to wait for that does not exist;
                   StoreUnavailable; then all or nothing was inserted: try again.
        """
        ...

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        """Move up to ``limit`` queued jobs of ``queues`` to running under ``worker``.

        limit:   1 <= limit <= CLAIM_BATCH_MAX; fewer, or none, is normal.
        Order:   priority (higher first), then due_at, then id.  Lanes take turns at equal
                 priority; jobs without a lane are together one of them.
        Holds:   what a hold keeps from starting moves to held instead, with an event.
        Batches: jobs that run together come together, and count as one for ``limit``.
        Limits:  no job starts over a cap or before a pace of its lane (``core.admission``);
                 when a pace lets the next one start, the bell of its queue rings here.
        Effect:  fence + 1, attempt + 1.
        Expired: a job past ``expires_at`` is never claimed.
        Races:   no two callers get the same job; neither waits for the other.  A worker
                 without a live lease gets nothing.
        Raises:  StoreUnavailable; whether something was claimed all the same, ``held`` tells.
        """
        ...

    async def held(self, worker: WorkerId) -> list[Claim]:
        """Return what ``worker`` runs, as the store has it.  A read; for after an outage."""
        ...

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Apply each transition whose ``(job_id, before, fence)`` still stands.

        Returns:  True for each that was applied, in the order given; a False means
                  that a newer holder won, or the job has ended (``StaleError`` is the
                  caller's to raise).
        Edges:    jobs that wait for one that succeeds are let go, in the same transaction, once
                  it was the last; those that wait for one that ends badly end too: failed
                  with the reason ``upstream``, or cancelled, and so on down.  Who waits by a rule
                  is told each end, and let go, given up or skipped as ``core.rules`` decides.
        Goes on:  with ``after_children`` the job waits for those: none that has ended already is
                  missed, and a wait by a rule replaces the one that the job had before.  A run
                  with a lane leaves it then, and counts for its limits until it has ended.
        Cancel:   a running job with a cancel request that would be scheduled or queued
                  again is cancelled instead.
        Events:   one is written, in the same transaction, for each transition that has
                  an error or an actor.
        Repeats:  applying the same transition again returns False and changes nothing.
        Moves:    a move that is not in ``lifecycle.SETTLE_MOVES`` is refused: False.
        Cost:     one statement per batch.
        """
        ...

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        """Extend, or first create, the lease of ``worker`` to now + ``lease_s``.

        A worker whose lease was found ended by a sweep is not held any more: it must
        begin again under a new id.
        """
        ...

    async def leave(self, worker: WorkerId) -> None:
        """End the lease of ``worker`` now; what it still runs counts as lost.  Idempotent."""
        ...

    def listen(self, topics: Collection[str]) -> Bell:
        """Subscribe to wake-ups about ``topics`` (``model.topics``)."""
        ...

    async def inputs(self, job_id: JobId) -> list[Input]:
        """Return what the jobs that this one waited for give it, in the order of its edges.

        Those that give it nothing (an edge without a slot) are not among them.
        """
        ...

    async def results(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Finished]:
        """Return how those of ``job_ids`` which have ended did end."""
        ...


class Schedules(Protocol):
    """Keeps schedules, the outcome of each tick, and who leads.

    A row is written under a guard: its revision must be the one from which the write was
    made.  So an edit and a fire never overwrite each other.  No rule lives here.
    """

    async def find(self, names: Sequence[str]) -> FoundSchedules:
        """Return the schedules of these names that there are, removed ones too."""
        ...

    async def page(
        self, *, limit: int, after: str = "", status: Status | None = None
    ) -> FoundSchedules:
        """List schedules by name, all or those of a status; removed ones only if asked for.

        after: pages on from the last name of a page.
        """
        ...

    async def save(self, plans: Sequence[SchedulePlan]) -> list[bool]:
        """Write edits, each with its outcomes and jobs, if its row is what it was made from.

        plans:   at most SAVE_BATCH_MAX; a row of revision 1 must not exist yet.
        Returns: True for each that was written, in the order given.
        """
        ...

    async def due(self, limit: int, ahead_s: float = 0.0) -> DueSchedules:
        """Return what is due, the longest due first, or when the next one will be.

        ahead_s: also what will be due within this time.
        """
        ...

    async def fire(self, plans: Sequence[SchedulePlan], *, leader: str, term: int) -> list[bool]:
        """Write plans, each if its row is what it was made from, while ``leader`` leads.

        plans:   at most FIRE_BATCH_MAX.
        Once:    a tick that has its outcome gets no second, and starts no second job.
        Cost:    one transaction for all; a stopped leader holds it open for 2 s at most (SQLite:
                 until it ends or goes on).
        Raises:  LeaderLost, StoreUnavailable; with nothing written.
        """
        ...

    async def fires(self, name: str, *, limit: int, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first; ``before`` pages on."""
        ...

    async def started(
        self, name: str, since: datetime, until: datetime, limit: int
    ) -> list[RecentJob]:
        """Return the jobs that ticks of a range have started, also by backfills, oldest first.

        until: not included.
        """
        ...

    async def add_backfill(
        self, request: BackfillRequest, jobs: Sequence[tuple[datetime, JobRequest]]
    ) -> None:
        """Keep a backfill, or add to it, and insert jobs for ticks of it that have none yet.

        jobs: at most BACKFILL_BATCH_MAX.   Repeats: the same again changes nothing.
        Race: of one that was cancelled meanwhile nothing is inserted.
        """
        ...

    async def backfills(self, *, limit: int, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first."""
        ...

    async def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        ...

    async def end_backfill(self, backfill: BackfillId) -> bool:
        """Mark a backfill as cancelled: nothing is added to it any more.  False if there is none.

        Its jobs are left as they are.
        """
        ...

    async def lead(self, candidate: str, lease_s: float) -> Leadership:
        """Lead for ``lease_s`` from now, go on leading, or learn who does.

        lease_s: at most LEADER_LEASE_S_MAX.
        """
        ...

    async def resign(self, leader: str) -> None:
        """End the lease of a leader now, and wake who waits for it.  Idempotent."""
        ...

    async def leader(self) -> Leadership | None:
        """Return who leads, or led last; None if nobody ever did."""
        ...

    async def prune(self, older_than_s: float, limit: int, *, leader: str, term: int) -> int:
        """Forget up to ``limit`` outcomes that were written that long ago; count them.

        Backfills of that age are forgotten with their last job.
        Raises: LeaderLost, StoreUnavailable; with nothing forgotten.
        """
        ...


class Runs(Protocol):
    """Says which jobs are steps of a run.  A run is a job itself; both are written as jobs are."""

    async def steps(
        self,
        run: JobId,
        *,
        limit: int,
        after: JobId | None = None,
        states: Collection[State] | None = None,
    ) -> list[Step]:
        """List the steps of a run, the oldest id first; ``after`` pages on from the last one's id.

        limit:  1 <= limit <= STEPS_PAGE_MAX.
        states: only those whose job is in one of these.
        """
        ...

    async def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        ...


class Store(Broker, Protocol):
    """A broker that also remembers: it keeps the truth."""

    @property
    def runs(self) -> Runs:
        """The runs that it keeps."""
        ...

    @property
    def schedules(self) -> Schedules:
        """The schedules that it keeps."""
        ...

    async def migrate(self) -> list[int]:
        """Bring the schema to this version; return the numbers of the migrations applied.

        Safe to run from many processes at once, and again after a kill at any point.
        """
        ...

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        """Make the clock's moves, at most ``limit`` of each kind.

        scheduled and due      -> queued
        running, lease ended   -> queued, losses + 1; failed(poison) once ``losses`` reaches
                                  ``losses_max``; cancelled if that was requested.  Each
                                  writes an event.  A workflow's run is always queued: who
                                  claims it ends its steps, and then the run.
        not started, expired   -> failed(expired), with an event.
        held, the hold ended   -> queued, with an event.  A hold past its expiry ends here.
        """
        ...

    async def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if there is none of this id."""
        ...

    async def jobs(self, where: JobFilter, *, limit: int, before: JobId | None = None) -> list[Job]:
        """List jobs, newest id first; ``before`` pages on from the last id of a page."""
        ...

    async def holders(self, limits: Limits) -> list[Holder]:
        """Say of each cap and pace what it lets through, and who has it now."""
        ...

    async def hold(self, request: HoldRequest) -> None:
        """Keep jobs from starting, from now on; what runs goes on.

        A job that would be claimed and fits steps aside, into ``held``; jobs of a queue
        that is held as a whole stay queued and are not claimed.  Idempotent by its id.
        Raises: TooManyHolds, above HOLDS_MAX.
        """
        ...

    async def lift(self, hold_id: HoldId, actor: str) -> bool:
        """End a hold; sweeps queue again what it held.  False if it is not in force."""
        ...

    async def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        ...

    async def report_progress(self, reports: Sequence[ProgressReport]) -> list[bool]:
        """Keep how far attempts are, each only while its job runs under its fence.

        reports:  at most REPORT_BATCH_MAX; of one attempt, one.
        Returns:  True for each that was kept, in the order given; a False means that a newer
                  holder won, or that the job has ended.
        Cost:     one statement per batch, beside the jobs: their rows are not written.
        """
        ...

    async def progress(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Progress]:
        """Return what those of the jobs that ever said how far they are said last."""
        ...

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state.  Cost: a scan of live jobs; finished ones too."""
        ...

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint, sorted by these; None comes first.

        Cost: as ``counts``.
        """
        ...

    async def dead_letters(self, *, limit: int) -> list[DeadLetters]:
        """Group the failed jobs that nobody has resolved, by task, error and reason."""
        ...

    async def resolve(self, job_ids: Sequence[JobId], actor: str) -> list[bool]:
        """Discard dead letters: mark them resolved, each with an event.  No state changes.

        Returns: False for each that is no unresolved failed job.
        """
        ...

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the events of a job, oldest first."""
        ...

    async def workers(self) -> list[WorkerRow]:
        """Return the workers whose lease has not been found ended."""
        ...

    async def drain(self, worker: WorkerId) -> bool:
        """Have a worker told, with its next renewal, to stop gracefully.  False if it is gone."""
        ...

    async def delete(self, job_ids: Sequence[JobId]) -> int:
        """Delete those of the jobs which have ended, with their events; count them."""
        ...

    async def expire_results(self, limit: int) -> int:
        """Drop up to ``limit`` results whose time is over, the first first; count them.

        No state changes; the row says until when the result was kept.
        """
        ...

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Delete up to ``limit`` jobs that ended that long ago (dead letters stay); count them."""
        ...


class Joiner(Protocol):
    """Enqueues into a store over connections of the callers', inside of their transactions."""

    @property
    def is_open(self) -> bool:
        """Whether it knows which database is the store's."""
        ...

    async def open(self) -> None:
        """Learn which database is the store's; keeps no connection.

        Raises: StoreUnavailable, SchemaMissing, BadStoreUrl.
        """
        ...

    async def enqueue(self, connection: object, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs that exist if and only if the caller commits; return the id of each.

        requests:   at most ENQUEUE_BATCH_MAX; none waits for others, or becomes one with others
                    by a rule of time.
        Repeats, unique: as for ``Broker.enqueue``.
        Suspends:   only if the connection is one whose statements are awaited.
        Cost:       one round trip; one or two more for the first use of a connection.
        Raises:     CannotJoin, with nothing written; what the caller's driver raises.
        """
        ...


class Blobs(Protocol):
    """Keeps bytes by key, beside the store: what is too large for a row.

    Each method raises BlobsUnavailable for whatever keeps it from an answer.
    """

    @property
    def url(self) -> str:
        """Where this is, without secrets; for messages."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Keep a blob; returns once it is durable.  Whole or not at all; replaces another."""
        ...

    async def get(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the first ``limit_bytes`` of a blob; None if there is none."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs.  Idempotent: those that are gone are no error."""
        ...

    def list(self, space: str) -> AsyncGenerator[Sequence[Blob], None]:
        """Yield the blobs whose keys begin with ``space/``, page by page, in any order.

        What is put or deleted meanwhile may be there or not.
        """
        ...


class Executor(Protocol):
    """Where an attempt's code runs."""

    async def start(self) -> None:
        """Make ready.  Called once, before the first ``run``."""
        ...

    async def stop(self) -> None:
        """End everything that still runs, and every child.  Idempotent."""
        ...

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt to its end and say how it ended.

        Time limit: enforced here, as a ``Failed`` with reason ``timeout``.
        Cancelling: the caller cancels the asyncio task that awaits this; async code stops at
                    its next await, a process is killed, a thread is only asked.  Then this
                    raises CancelledError, and nothing of the attempt is left but a thread.
        Raises:     nothing else; whatever the code raises is an outcome.
        """
        ...
