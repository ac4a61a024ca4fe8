"""The store of one SQLite file.  No rule lives here: check, one statement, decode."""

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec
from msgspec import UNSET
from msgspec.structs import replace as with_

from windlass.core.admission import PLAIN, Place, holders_of
from windlass.core.holds import open_queues, standing_of
from windlass.core.lifecycle import SETTLE_MOVES
from windlass.errors import SqliteOpenTwice, TooManyHolds
from windlass.model.holds import HOLDS_MAX, Hold, HoldId, HoldRequest
from windlass.model.jobs import (
    CLAIM_BATCH_MAX,
    ENQUEUE_BATCH_MAX,
    TERMINAL,
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
from windlass.model.outcomes import Transition
from windlass.model.progress import REPORT_BATCH_MAX, Progress, ProgressReport
from windlass.model.topics import DONE, queue_topic, worker_topic
from windlass.model.workers import Lease, Swept, WorkerInfo, WorkerRow
from windlass.ports import Bell, Clock
from windlass.stores.bell import Alarm
from windlass.stores.claims import due_after, due_from
from windlass.stores.sqlite import edge_sql, hold_sql, progress, runs, sql, wait_sql
from windlass.stores.sqlite.bells import Switchboard
from windlass.stores.sqlite.claiming import Claiming, paces_of
from windlass.stores.sqlite.connection import migrate, open_connection, translated
from windlass.stores.sqlite.copies import is_open_twice
from windlass.stores.sqlite.edges import advance, continue_as, insert_linked, is_linked
from windlass.stores.sqlite.inserting import insert_one
from windlass.stores.sqlite.marks import DELETE_MARKS, insert_once
from windlass.stores.sqlite.rows import (
    QUEUE_SEPARATOR,
    SECOND_US,
    claim_from_row,
    event_from_row,
    finished_from_row,
    hold_from_row,
    input_from_row,
    insert_row,
    job_from_row,
    letters_from_row,
    us_from,
    us_of,
    wall_clock_us,
    worker_from_row,
)
from windlass.stores.sqlite.schedules import SqliteSchedules
from windlass.stores.sqlite.sweeping import (
    Sweep,
    is_idle,
    topic_of,
    topics_of_lifted,
    write_event,
)
from windlass.stores.sqlite.writer import Operation, Transaction, Writer, loop_is_running

T = TypeVar("T")

TOMBSTONE_US = 86_400 * SECOND_US


class SqliteStore:
    """A ``Store`` in one file, for any number of processes of one machine and one user.

    path:        the file; made, with its tables, when it is opened.
    synchronous: ``full`` keeps what was acknowledged through a power cut; ``normal`` keeps it
                 through a crash of the process only, and writes several times as fast.
    Without a running event loop no method suspends: see ``portal.drive``.
    """

    def __init__(
        self, path: str | Path, *, synchronous: str = "full", clock: Clock | None = None
    ) -> None:
        self._path = Path(path)
        self._synchronous = synchronous
        self._now = wall_clock_us if clock is None else lambda: us_from(clock.now())
        self._switchboard = Switchboard(self._path)
        self._writer: Writer | None = None
        self._reader: apsw.Connection | None = None
        self._reader_lock = threading.Lock()
        self._swept_at = 0
        self._last_place: Place = PLAIN  # whose turn it was in the last claim
        self._alarm = Alarm(lambda topic: self._switchboard.ring_here([topic]))
        self.runs = runs.SqliteRuns(self._scan)
        self.schedules = SqliteSchedules(self._write, self._read, self._now)

    @property
    def url(self) -> str:
        """Where this is."""
        return f"sqlite:///{self._path}"

    # -- opening -------------------------------------------------------------

    async def open(self) -> None:
        """Open the file, and bring its schema up to date."""
        await self.migrate()

    async def migrate(self) -> list[int]:
        """Bring the schema to this version; return the numbers of the migrations applied."""
        if loop_is_running():
            return await asyncio.to_thread(self._open)
        return self._open()

    async def close(self) -> None:
        """Let go of the file, the thread and the bells.  Idempotent."""
        self._alarm.close()
        self._switchboard.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _open(self) -> list[int]:
        if self._writer is not None:
            return []
        connection = open_connection(self._path, self.url, self._synchronous)
        try:
            applied = migrate(connection, self.url)
            if is_open_twice(self._path):
                raise SqliteOpenTwice(self.url)
            self._reader = open_connection(self._path, self.url, self._synchronous)
        except BaseException:
            connection.close()
            raise
        self._writer = Writer(
            connection,
            self.url,
            now=self._now,
            announce=self._switchboard.ring,
            commit_waits=self._synchronous != "normal",
        )
        return applied

    async def _write(self, operation: Operation[T]) -> T:
        writer = self._writer
        assert writer is not None, "open() comes first"
        if loop_is_running():
            return await writer.submit(operation)
        return writer.run(operation)

    def _read(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        assert self._reader is not None, "open() comes first"
        with self._reader_lock, translated(self.url):
            return self._reader.execute(statement, values).fetchall()

    def _look_up(self, statement: str, job_ids: Sequence[JobId]) -> list[tuple[Any, ...]]:
        """Read what a statement says of each job."""
        assert self._reader is not None, "open() comes first"
        with self._reader_lock, translated(self.url):
            ids = ((job_id,) for job_id in job_ids)
            rows: list[tuple[Any, ...]] = self._reader.executemany(statement, ids).fetchall()
        return rows

    async def _scan(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Read what may take long: not on the event loop."""
        read = partial(self._read, statement, **values)
        return await asyncio.to_thread(read) if loop_is_running() else read()

    # -- enqueue -------------------------------------------------------------

    async def enqueue(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs, all or none; return the id of each, in the order given."""
        assert len(requests) <= ENQUEUE_BATCH_MAX
        return await self._write(partial(_insert, requests))

    # -- claim ---------------------------------------------------------------

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        """Move up to ``limit`` queued jobs of ``queues`` to running under ``worker``."""
        assert 1 <= limit <= CLAIM_BATCH_MAX
        # A look first, on the reader: who finds nothing takes no lock and writes nothing.
        if not self._has_claimable(queues):
            return []
        claimed = await self._write(Claiming(worker, queues, limit, self._last_place))
        self._last_place = claimed.place
        if claimed.wake_in_us is not None:
            for queue in queues:
                self._alarm.set(queue_topic(queue), claimed.wake_in_us / SECOND_US)
        return due_after(claimed.claims, (self._now() - claimed.now) / SECOND_US)

    def _has_claimable(self, queues: Sequence[str]) -> bool:
        now = self._now()
        assert self._reader is not None, "open() comes first"
        with self._reader_lock, translated(self.url):
            execute = self._reader.execute
            rows: list[Any] = execute(hold_sql.FIND_HOLDS, (now,)).fetchall()
            holds = [standing_of(*row) for row in rows]
            return any(
                execute(sql.FIND_CLAIMABLE, (queue, now, 1)).fetchall()
                or execute(sql.FIND_LANE, (queue, "")).fetchall()
                for queue in open_queues(holds, queues)
            )

    async def held(self, worker: WorkerId) -> list[Claim]:
        """Return what ``worker`` runs, as the store has it."""
        now = self._now()
        return [
            due_from(claim_from_row(row[:-1]), (row[-1] - now) / SECOND_US)
            for row in self._read(sql.LIST_HELD, worker=worker)
        ]

    # -- settle --------------------------------------------------------------

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Apply each transition whose ``(job_id, before, fence)`` still stands."""
        return await self._write(partial(_settle, transitions))

    # -- leases --------------------------------------------------------------

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        """Extend, or first create, the lease of ``worker`` to now + ``lease_s``."""
        return await self._write(partial(_renew, worker, us_of(lease_s)))

    async def leave(self, worker: WorkerId) -> None:
        """End the lease of ``worker`` now; what it still runs counts as lost.  Idempotent."""
        await self._write(
            lambda transaction: transaction.execute(
                sql.END_LEASE, {"worker": worker, "now": transaction.now}
            )
        )

    async def workers(self) -> list[WorkerRow]:
        """Return the workers whose lease has not been found ended."""
        return [worker_from_row(row) for row in self._read(sql.LIST_WORKERS)]

    # -- sweep ---------------------------------------------------------------

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        """Make the clock's moves, at most ``limit`` of each kind."""
        now = self._now()
        [look] = self._read(sql.LOOK, now=now)
        swept_at, self._swept_at = self._swept_at, now
        if not is_idle(look, now):
            return await self._write(Sweep(limit, losses_max, swept_at, advance))
        next_due = look[2]
        return Swept(next_due_s=None if next_due is None else (next_due - now) / SECOND_US)

    # -- bells ---------------------------------------------------------------

    def listen(self, topics: Collection[str]) -> Bell:
        """Subscribe to wake-ups about ``topics``."""
        return self._switchboard.listen(topics)

    # -- reading -------------------------------------------------------------

    async def inputs(self, job_id: JobId) -> list[Input]:
        """Return what the jobs that this one waited for give it, in the order of its edges."""
        rows = await self._scan(edge_sql.LIST_INPUTS, id=job_id)
        return [input_from_row(row) for row in rows]

    async def results(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Finished]:
        """Return how those of ``job_ids`` which have ended did end."""
        rows = self._look_up(sql.FIND_RESULT, job_ids)
        return {row[0]: finished_from_row(row) for row in rows}

    async def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if there is none of this id."""
        rows = self._read(sql.GET_JOB, id=job_id)
        return job_from_row(rows[0]) if rows else None

    async def jobs(self, where: JobFilter, *, limit: int, before: JobId | None = None) -> list[Job]:
        """List jobs, newest id first; ``before`` pages on from the last id of a page."""
        states = None if where.states is None else msgspec.json.encode(where.states).decode()
        kinds = None if where.kinds is None else msgspec.json.encode(where.kinds).decode()
        of_kinds = sql.LIST_JOBS if kinds is None else sql.LIST_RUNS
        rows = await self._scan(
            of_kinds if where.run is None else sql.LIST_STEP_JOBS,
            run=where.run,
            before=before,
            states=states,
            kinds=kinds,
            task=where.task,
            queue=where.queue,
            error_type=where.error_type,
            unresolved=where.unresolved,
            by_fingerprint=where.fingerprint is not UNSET,
            fingerprint=None if where.fingerprint is UNSET else where.fingerprint,
            limit=limit,
        )
        return [job_from_row(row) for row in rows]

    async def holders(self, limits: Limits) -> list[Holder]:
        """Say of each cap and pace what it lets through, and who has it now."""
        assert self._reader is not None, "open() comes first"
        running = self._read(sql.LIST_IN_LANES)
        with self._reader_lock, translated(self.url):
            paces = paces_of(self._reader.execute, limits)
        return holders_of(limits, running, paces, self._now())

    # -- holds ---------------------------------------------------------------

    async def hold(self, request: HoldRequest) -> None:
        """Keep jobs from starting, from now on; what runs goes on."""
        await self._write(partial(_hold, request))

    async def lift(self, hold_id: HoldId, actor: str) -> bool:
        """End a hold; sweeps queue again what it held.  False if it is not in force."""
        return await self._write(partial(_lift, hold_id))

    async def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        return [hold_from_row(row) for row in self._read(hold_sql.LIST_HOLDS, now=self._now())]

    # -- progress ------------------------------------------------------------

    async def report_progress(self, reports: Sequence[ProgressReport]) -> list[bool]:
        """Keep how far attempts are, each only while its job runs under its fence."""
        assert len(reports) <= REPORT_BATCH_MAX
        return await self._write(partial(progress.keep, reports))

    async def progress(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Progress]:
        """Return what those of the jobs that ever said how far they are said last."""
        rows = self._look_up(progress.FIND_PROGRESS, job_ids)
        return {row[0]: progress.progress_from_row(row) for row in rows}

    # -- looking and cleaning up ---------------------------------------------

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        rows = await self._scan(sql.COUNT_JOBS)
        return {(queue, State(state)): count for queue, state, count in rows}

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint."""
        return [Backlog(*row) for row in await self._scan(sql.GROUP_BACKLOG)]

    async def dead_letters(self, *, limit: int) -> list[DeadLetters]:
        """Group the failed jobs that nobody has resolved, by task, error and reason."""
        rows = await self._scan(sql.GROUP_DEAD_LETTERS, limit=limit)
        return [letters_from_row(row) for row in rows]

    async def resolve(self, job_ids: Sequence[JobId], actor: str) -> list[bool]:
        """Discard dead letters: mark them resolved, each with an event.  No state changes."""
        return await self._write(partial(_resolve, job_ids, actor))

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the events of a job, oldest first."""
        return [event_from_row(row) for row in self._read(sql.LIST_EVENTS, id=job_id)]

    async def drain(self, worker: WorkerId) -> bool:
        """Have a worker told, with its next renewal, to stop gracefully.  False if it is gone."""
        return await self._write(partial(_drain, worker))

    async def delete(self, job_ids: Sequence[JobId]) -> int:
        """Delete those of the jobs which have ended, with their events; count them."""
        return await self._write(partial(_delete_ended, job_ids))

    async def expire_results(self, limit: int) -> int:
        """Drop up to ``limit`` results whose time is over; count them."""
        # Looked up on the reader: a store with nothing late is not written.
        if not self._read(sql.HAS_LATE_RESULTS, now=self._now()):
            return 0
        return await self._write(partial(_expire_results, limit))

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Delete up to ``limit`` jobs that ended that long ago (dead letters stay)."""
        horizon = self._now() - us_of(older_than_s)
        # Looked up on the reader: a store with nothing old is not written.
        if not self._read(sql.FIND_OLD, horizon=horizon, limit=1):
            return 0
        return await self._write(partial(_prune, us_of(older_than_s), limit))


# -- operations: each runs inside one transaction ----------------------------


def _insert(requests: Sequence[JobRequest], transaction: Transaction) -> list[JobId]:
    if len(requests) == 1 and not is_linked(requests[0]):
        return [insert_once(requests[0], transaction)]
    if any(map(is_linked, requests)):
        return insert_linked(requests, transaction)
    if any(request.once is not None for request in requests):
        return [insert_once(request, transaction) for request in requests]
    if all(request.unique_key is None and request.retry_of is None for request in requests):
        rows = [insert_row(request, transaction.now) for request in requests]
        transaction.executemany(sql.INSERT_JOB, rows)
        transaction.topics.update(filter(None, {topic_of(row[3], row[2], None) for row in rows}))
        return [request.id for request in requests]
    return [insert_one(request, transaction) for request in requests]


def _settle(transitions: Sequence[Transition], transaction: Transaction) -> list[bool]:
    return [_settle_one(transition, transaction) for transition in transitions]


def _settle_one(step: Transition, transaction: Transaction) -> bool:
    if (step.before, step.after) not in SETTLE_MOVES:
        return False
    if step.after_children:
        # Where a cancel was asked for, it is cancelled, and no child is made.
        off = with_(step, after=State.CANCELLED, reason=None, children=(), after_children=())
        return continue_as(step, transaction) or _end_if_asked(off, transaction)
    if step.error is None and step.actor is None:
        return _move(step, transaction)
    facts = {"id": step.job_id, "before": step.before, "fence": step.fence}
    held = transaction.execute(sql.FIND_HELD, facts).fetchall()
    if not held or not _move(step, transaction):
        return False
    write_event(transaction, step.job_id, step.before, held[0][0], step.actor, step.error)
    return True


def _end_if_asked(step: Transition, transaction: Transaction) -> bool:
    asked = transaction.execute(sql.FIND_CANCEL, (step.job_id, step.fence)).fetchall()
    return bool(asked) and _end(step, transaction)


def _move(step: Transition, transaction: Transaction) -> bool:
    if step.after in TERMINAL:
        return _end(step, transaction)
    rows = transaction.execute(
        sql.MOVE_JOB,
        {
            "again": step.after in (State.SCHEDULED, State.QUEUED),
            "after": step.after,
            "reason": step.reason,
            "now": transaction.now,
            "delay": us_of(step.delay_s),
            "attempt": step.attempt,
            "failures": step.failures,
            "result": step.result,
            "error": step.error,
            "error_type": step.error_type,
            "id": step.job_id,
            "before": step.before,
            "fence": step.fence,
        },
    ).fetchall()
    for state, queue, worker, downstream in rows:
        transaction.topics.update(filter(None, [topic_of(state, queue, worker)]))
        if downstream and state in TERMINAL:
            advance(transaction, step.job_id)
    return bool(rows)


def _end(step: Transition, transaction: Transaction) -> bool:
    facts = (
        step.after,
        step.reason,
        step.attempt,
        step.failures,
        step.result,
        step.error,
        step.error_type,
        transaction.now,
        None if step.result_ttl_s is None else transaction.now + us_of(step.result_ttl_s),
        step.job_id,
        step.before,
        step.fence,
    )
    transaction.topics.add(DONE)
    transaction.execute(sql.END_JOB, facts)
    if transaction.changes():
        return True
    transaction.execute(sql.END_PARENT, facts)
    if not transaction.changes():
        return False
    advance(transaction, step.job_id)
    return True


def _renew(worker: WorkerInfo, lease: int, transaction: Transaction) -> Lease:
    transaction.execute(
        sql.RENEW_LEASE,
        {
            "worker": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "queues": QUEUE_SEPARATOR.join(worker.queues),
            "slots": worker.slots,
            "now": transaction.now,
            "lease": lease,
        },
    )
    if not transaction.changes():
        return Lease(held=False)
    cancels = transaction.execute(sql.FIND_CANCELS, {"worker": worker.id}).fetchall()
    drains = transaction.execute(sql.IS_TO_DRAIN, {"worker": worker.id}).fetchall()
    ids = tuple(job_id for (job_id,) in cancels)
    return Lease(held=True, cancels=ids, drains=bool(drains))


def _drain(worker: WorkerId, transaction: Transaction) -> bool:
    transaction.execute(sql.DRAIN_WORKER, {"worker": worker, "now": transaction.now})
    transaction.topics.add(worker_topic(worker))
    return bool(transaction.changes())


def _resolve(job_ids: Sequence[JobId], actor: str, transaction: Transaction) -> list[bool]:
    resolved = []
    for job_id in job_ids:
        transaction.execute(sql.RESOLVE_JOB, {"id": job_id, "now": transaction.now})
        resolved.append(bool(transaction.changes()))
        if resolved[-1]:
            write_event(transaction, job_id, State.FAILED, None, actor, None)
    return resolved


def _hold(request: HoldRequest, transaction: Transaction) -> None:
    expires_at = None
    if request.expires_s is not None:
        expires_at = transaction.now + us_of(request.expires_s)
    arguments = request.arguments
    facts = {
        "id": request.id,
        "reason": request.reason,
        "actor": request.actor,
        "why": request.why,
        "queue": request.queue,
        "task": request.task,
        "key": request.key,
        "arguments": None if arguments is None else msgspec.json.encode(arguments).decode(),
        "now": transaction.now,
        "expires_at": expires_at,
        "most": HOLDS_MAX,
    }
    transaction.execute(hold_sql.ADD_HOLD, facts)
    if (
        not transaction.changes()
        and not transaction.execute(hold_sql.IS_HOLD, {"id": request.id}).fetchall()
    ):
        raise TooManyHolds(HOLDS_MAX)


def _lift(hold_id: HoldId, transaction: Transaction) -> bool:
    facts = {"id": hold_id, "now": transaction.now}
    ended = transaction.execute(hold_sql.END_HOLD, facts).fetchall()
    transaction.topics.update(topics_of_lifted(queue for (queue,) in ended))
    return bool(ended)


def _delete(ids: Sequence[tuple[JobId]], transaction: Transaction) -> None:
    transaction.executemany(sql.DELETE_EVENTS, ids)
    transaction.executemany(edge_sql.DELETE_EDGES, ids)
    transaction.executemany(wait_sql.DELETE_WAIT, ids)
    transaction.executemany(runs.DELETE_STEP, ids)
    transaction.executemany(progress.DELETE_PROGRESS, ids)
    transaction.executemany(sql.DELETE_JOB, ids)


def _delete_ended(job_ids: Sequence[JobId], transaction: Transaction) -> int:
    ids = ((job_id,) for job_id in dict.fromkeys(job_ids))
    ended = transaction.executemany(sql.FIND_ENDED, ids).fetchall()
    _delete(ended, transaction)
    return len(ended)


def _expire_results(limit: int, transaction: Transaction) -> int:
    transaction.execute(sql.DROP_RESULTS, {"now": transaction.now, "limit": limit})
    return transaction.changes()


def _prune(older_than: int, limit: int, transaction: Transaction) -> int:
    horizon = transaction.now - older_than
    old = transaction.execute(sql.FIND_OLD, {"horizon": horizon, "limit": limit}).fetchall()
    _delete(old, transaction)
    tombstones = {"horizon": transaction.now - TOMBSTONE_US}
    transaction.execute(sql.DELETE_WORKERS, tombstones)
    transaction.execute(sql.DELETE_PACES, {"now": transaction.now})
    transaction.execute(DELETE_MARKS, {"now": transaction.now})
    return len(old)
