"""The store of a PostgreSQL database.  No rule lives here: check, one statement, decode."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from windlass.core.admission import PLAIN, Place, holders_of
from windlass.core.lifecycle import SETTLE_MOVES
from windlass.errors import SchemaMissing, SchemaTooNew, TooManyHolds
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
from windlass.model.topics import DONE, queue_topic
from windlass.model.workers import Lease, Swept, WorkerInfo, WorkerRow
from windlass.ports import Bell
from windlass.stores.bell import Alarm
from windlass.stores.postgres import (
    edge_sql,
    hold_sql,
    migrations,
    progress,
    results,
    sql,
)
from windlass.stores.postgres.claiming import Claiming, paces_of
from windlass.stores.postgres.connection import Connection, Pool
from windlass.stores.postgres.edges import continue_as, insert_keyed, insert_linked
from windlass.stores.postgres.events import write_events
from windlass.stores.postgres.listener import Listener
from windlass.stores.postgres.marks import PRUNE_MARKS, insert_once
from windlass.stores.postgres.rows import (
    Row,
    columns_of_task,
    event_from_row,
    finished_from_row,
    hold_from_row,
    insert_columns,
    insert_values,
    is_keyed,
    is_of_one_task,
    is_plain,
    job_from_row,
    letters_from_row,
    plain_columns,
    plain_values,
    settle_columns,
    worker_from_row,
)
from windlass.stores.postgres.runs import PostgresRuns
from windlass.stores.postgres.schedules import PostgresSchedules
from windlass.stores.postgres.telling import advance

SECOND_US = 1_000_000
SUSPECT_AGAIN_S = 0.4  # a silent worker is looked at again after this time


class PostgresStore:
    """A ``Store`` in one database, for any number of processes and machines.

    url:       ``postgresql://user:password@host:port/database``; a transaction pooler may stand
               between.
    pool_size: connections at most, besides one that listens.
    """

    def __init__(self, url: str, *, pool_size: int = 4) -> None:
        self._pool = Pool(url, pool_size)
        self._listener = Listener(self._pool)
        self._is_gated = False  # whether the last claim saw limits or holds
        self._last_place: Place = PLAIN  # whose turn it was in the last claim
        self._alarm = Alarm(self._listener.ring)
        self.runs = PostgresRuns(self._pool)
        self.schedules = PostgresSchedules(self._pool)

    @property
    def url(self) -> str:
        """Where this is, without the password."""
        return self._pool.url

    # -- opening -------------------------------------------------------------

    async def open(self) -> None:
        """Connect and check the schema."""
        await self._pool.open()
        try:
            version = await self._pool.run(_schema_version)
            if version < migrations.NEWEST:
                raise SchemaMissing(self.url, version, migrations.NEWEST)
            self._refuse_newer(version)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of every connection.  Idempotent."""
        self._alarm.close()
        await self._listener.close()
        await self._pool.close()

    async def migrate(self) -> list[int]:
        """Bring the schema to this version; return the numbers of the migrations applied."""
        await self._pool.open()
        try:
            self._refuse_newer(await self._pool.run(_schema_version))
            return await self._pool.run(_migrate)
        except BaseException:
            await self.close()
            raise

    def _refuse_newer(self, version: int) -> None:
        if version > migrations.NEWEST:
            raise SchemaTooNew(self.url, version, migrations.NEWEST)

    async def _fetch(self, statement: str, *values: Any) -> list[Row]:
        async def fetch(connection: Connection) -> list[Row]:
            if not self._pool.is_pooled:
                rows: list[Row] = await connection.fetch(statement, *values)
                return rows
            # A pooler may change the server between preparing and running, but not within.
            async with connection.transaction():
                return list(await connection.fetch(statement, *values))

        return await self._pool.run(fetch)

    # -- enqueue -------------------------------------------------------------

    async def enqueue(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs, all or none; return the id of each, in the order given."""
        assert len(requests) <= ENQUEUE_BATCH_MAX
        if not requests:
            return []
        if any(request.after for request in requests):
            return await self._pool.run(lambda connection: insert_linked(connection, requests))
        if any(request.once is not None for request in requests):
            return await self._pool.run(lambda connection: insert_once(connection, requests))
        if any(map(is_keyed, requests)):
            return await self._pool.run(lambda connection: insert_keyed(connection, requests))
        # Only the same id can stand in the way, and then it is the same request again.
        if all(map(is_plain, requests)):
            if len(requests) == 1:
                await self._fetch(sql.INSERT_PLAIN_JOB, *plain_values(requests[0]))
            elif is_of_one_task(requests):
                await self._fetch(sql.INSERT_PLAIN_JOBS_OF_TASK, *columns_of_task(requests))
            else:
                await self._fetch(sql.INSERT_PLAIN_JOBS, *plain_columns(requests))
        elif len(requests) == 1:
            await self._fetch(sql.INSERT_JOB, *insert_values(requests[0]))
        else:
            await self._fetch(sql.INSERT_JOBS, *insert_columns(requests))
        return [request.id for request in requests]

    # -- claim ---------------------------------------------------------------

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        """Move up to ``limit`` queued jobs of ``queues`` to running under ``worker``."""
        assert 1 <= limit <= CLAIM_BATCH_MAX
        if not queues:
            return []
        claiming = Claiming(worker, queues, limit, self._last_place)
        gated = self._is_gated
        claimed = await self._pool.run(claiming.gated if gated else claiming.plain)
        self._is_gated, self._last_place = claimed.is_gated, claimed.place
        if claimed.wake_in_us is not None:
            for queue in queues:
                self._alarm.set(queue_topic(queue), claimed.wake_in_us / SECOND_US)
        if claimed.is_gated and not gated and len(claimed.claims) < limit:
            rest = await self.claim(worker, queues, limit - len(claimed.claims))
            return claimed.claims + rest
        return claimed.claims

    async def held(self, worker: WorkerId) -> list[Claim]:
        """Return what ``worker`` runs, as the store has it."""
        return [Claim(*row) for row in map(tuple, await self._fetch(sql.LIST_HELD, worker))]

    # -- settle --------------------------------------------------------------

    async def settle(self, transitions: Sequence[Transition]) -> list[bool]:
        """Apply each transition whose ``(job_id, before, fence)`` still stands."""
        applied = [False] * len(transitions)
        first: dict[JobId, int] = {}
        again = []  # one statement moves a row once: a job named twice takes two rounds
        for position, step in enumerate(transitions):
            if (step.before, step.after) not in SETTLE_MOVES:
                continue
            if first.setdefault(step.job_id, position) != position:
                again.append(position)
        # Locks are taken in the order of ids, so that two batches never wait for each other.
        order = [first[job_id] for job_id in sorted(first)]
        for position in [p for p in order if transitions[p].after_children]:
            order.remove(position)
            go_on = partial(continue_as, step=transitions[position])
            applied[position] = await self._pool.run(go_on)
        told = [p for p in order if _is_told(transitions[p])]
        plain = [p for p in order if not _is_told(transitions[p])]
        for positions, settle in ((plain, self._settle_plain), (told, self._settle_told)):
            steps = [transitions[position] for position in positions]
            for done in await settle(steps) if steps else ():
                applied[positions[done - 1]] = True
        if again:
            answers = await self.settle([transitions[position] for position in again])
            for position, answer in zip(again, answers, strict=True):
                applied[position] = answer
        return applied

    async def _settle_plain(self, steps: Sequence[Transition]) -> Sequence[int]:
        [[found, _]] = await self._fetch(sql.SETTLE_JOBS, *settle_columns(steps), False)
        applied = list(found or ())
        left = sorted(set(range(1, len(steps) + 1)).difference(applied))
        if left:  # another holder has won; or others wait for the job
            linked = await self._settle_told([steps[position - 1] for position in left])
            applied += [left[position - 1] for position in linked]
        return applied

    async def _settle_told(self, steps: Sequence[Transition]) -> Sequence[int]:
        """Settle with an event for what is told, and with all that waits for the jobs."""

        async def settle(connection: Connection) -> Sequence[int]:
            async with connection.transaction():
                ids = [step.job_id for step in steps]
                rows = await connection.fetch(sql.HOLD_JOBS, ids)
                held = {job_id: worker for job_id, worker, _ in rows}
                columns = settle_columns(steps)
                [[applied, _]] = await connection.fetch(sql.SETTLE_JOBS, *columns, True)
                done = [steps[position - 1] for position in applied or ()]
                await write_events(
                    connection,
                    [
                        (s.job_id, s.before, held[s.job_id], s.actor, s.error)
                        for s in done
                        if _is_told(s)
                    ],
                )
                parents = [job_id for job_id, _, is_parent in rows if is_parent]
                if parents:
                    await advance(connection, parents)
            return applied or ()

        return await self._pool.run(settle)

    # -- leases --------------------------------------------------------------

    async def renew(self, worker: WorkerInfo, lease_s: float) -> Lease:
        """Extend, or first create, the lease of ``worker`` to now + ``lease_s``."""
        key = await self._listener.hold_lock(worker.id)
        queues = list(worker.queues)
        [[held, cancels, drains]] = await self._fetch(
            sql.RENEW_LEASE, worker.id, worker.host, worker.pid, queues, worker.slots, lease_s, key
        )
        if not held:
            return Lease(held=False)
        return Lease(held=True, cancels=tuple(cancels), drains=drains)

    async def leave(self, worker: WorkerId) -> None:
        """End the lease of ``worker`` now; what it still runs counts as lost.  Idempotent."""
        await self._fetch(sql.END_LEASE, worker)
        await self._listener.drop_lock(worker)

    async def workers(self) -> list[WorkerRow]:
        """Return the workers whose lease has not been found ended."""
        return [worker_from_row(row) for row in await self._fetch(sql.LIST_WORKERS)]

    # -- sweep ---------------------------------------------------------------

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        """Make the clock's moves, at most ``limit`` of each kind."""
        [[has_work, has_lifted, _]] = await self._fetch(sql.LOOK)
        if not has_work and not has_lifted:
            [[due_s, suspects]] = await self._fetch(sql.NEXT_DUE)
            return Swept(next_due_s=_next_s(due_s, suspects))

        async def sweep(connection: Connection) -> Swept:
            await connection.execute(sql.BEGIN)
            await connection.execute(sql.END_LEASES)
            await connection.execute(sql.MARK_SILENT)
            late = await connection.fetch(sql.EXPIRE_JOBS, limit)
            lost = await connection.fetch(sql.RESCUE_JOBS, limit, losses_max)
            lifted, opened = await _lift(connection, limit) if has_lifted else (0, set())
            due = await connection.fetch(sql.PROMOTE_JOBS, limit)
            moved = [*late, *lost]
            await write_events(
                connection, [(job_id, before, worker) for job_id, before, worker, *_ in moved]
            )
            ended = [row[0] for row in moved if row[3] in TERMINAL]
            if ended:
                await advance(connection, ended)
            topics = {queue_topic(queue) for (queue,) in due} | opened
            topics |= {DONE if row[3] in TERMINAL else queue_topic(row[4]) for row in moved}
            await connection.execute(sql.NOTIFY, sorted(topics))
            [[due_s, suspects]] = await connection.fetch(sql.NEXT_DUE)
            await connection.execute("COMMIT")
            poisoned = sum(row[3] == State.FAILED for row in lost)
            return Swept(
                promoted=len(due),
                rescued=len(lost) - poisoned,
                poisoned=poisoned,
                expired=len(late),
                lifted=lifted,
                next_due_s=_next_s(due_s, suspects),
            )

        return await self._pool.run(sweep)

    # -- bells ---------------------------------------------------------------

    def listen(self, topics: Collection[str]) -> Bell:
        """Subscribe to wake-ups about ``topics``."""
        return self._listener.listen(topics)

    # -- reading -------------------------------------------------------------

    async def inputs(self, job_id: JobId) -> list[Input]:
        """Return what the jobs that this one waited for give it, in the order of its edges."""
        return [Input(*row) for row in await self._fetch(edge_sql.LIST_INPUTS, job_id)]

    async def results(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Finished]:
        """Return how those of ``job_ids`` which have ended did end."""
        rows = await self._fetch(results.FIND_RESULTS, list(job_ids))
        return {row[0]: finished_from_row(row) for row in rows}

    async def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if there is none of this id."""
        rows = await self._fetch(sql.GET_JOB, job_id)
        return job_from_row(rows[0]) if rows else None

    async def jobs(self, where: JobFilter, *, limit: int, before: JobId | None = None) -> list[Job]:
        """List jobs, newest id first; ``before`` pages on from the last id of a page."""
        kinds = None if where.kinds is None else list(where.kinds)
        more: tuple[Any, ...] = ()
        if where.run is not None:
            statement, more = sql.LIST_STEP_JOBS, (kinds, where.run)
        elif kinds is not None:
            statement, more = sql.LIST_RUNS, (kinds,)
        else:
            statement = sql.LIST_JOBS
        rows = await self._fetch(
            statement,
            before,
            None if where.states is None else list(where.states),
            where.task,
            where.queue,
            where.error_type,
            where.unresolved,
            limit,
            where.fingerprint is not UNSET,
            None if where.fingerprint is UNSET else where.fingerprint,
            *more,
        )
        return [job_from_row(row) for row in rows]

    async def holders(self, limits: Limits) -> list[Holder]:
        """Say of each cap and pace what it lets through, and who has it now."""

        async def look(connection: Connection) -> list[Holder]:
            async with connection.transaction():
                running = map(tuple, await connection.fetch(sql.LIST_IN_LANES))
                paces = await paces_of(connection, [limits])
                return holders_of(limits, running, paces, await connection.fetchval(sql.NOW_US))

        return await self._pool.run(look)

    # -- holds ---------------------------------------------------------------

    async def hold(self, request: HoldRequest) -> None:
        """Keep jobs from starting, from now on; what runs goes on."""
        arguments = request.arguments
        [[stands]] = await self._fetch(
            hold_sql.ADD_HOLD,
            request.id,
            request.reason,
            request.actor,
            request.why,
            request.queue,
            request.task,
            request.key,
            None if arguments is None else msgspec.json.encode(arguments).decode(),
            request.expires_s,
            HOLDS_MAX,
        )
        if not stands:
            raise TooManyHolds(HOLDS_MAX)

    async def lift(self, hold_id: HoldId, actor: str) -> bool:
        """End a hold; sweeps queue again what it held.  False if it is not in force."""
        [[ended, _]] = await self._fetch(hold_sql.END_HOLD, hold_id)
        return bool(ended)

    async def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        return [hold_from_row(row) for row in await self._fetch(hold_sql.LIST_HOLDS)]

    # -- progress ------------------------------------------------------------

    async def report_progress(self, reports: Sequence[ProgressReport]) -> list[bool]:
        """Keep how far attempts are, each only while its job runs under its fence."""
        assert len(reports) <= REPORT_BATCH_MAX
        rows = await self._fetch(progress.KEEP_PROGRESS, *progress.report_columns(reports))
        return progress.kept_of(rows, reports)

    async def progress(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Progress]:
        """Return what those of the jobs that ever said how far they are said last."""
        rows = await self._fetch(progress.FIND_PROGRESS, list(job_ids))
        return {row[0]: progress.progress_from_row(row) for row in rows}

    # -- looking and cleaning up ---------------------------------------------

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        rows = await self._fetch(sql.COUNT_JOBS)
        return {(queue, State(state)): count for queue, state, count in rows}

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint."""
        return [Backlog(*row) for row in await self._fetch(sql.GROUP_BACKLOG)]

    async def dead_letters(self, *, limit: int) -> list[DeadLetters]:
        """Group the failed jobs that nobody has resolved, by task, error and reason."""
        return [letters_from_row(row) for row in await self._fetch(sql.GROUP_DEAD_LETTERS, limit)]

    async def resolve(self, job_ids: Sequence[JobId], actor: str) -> list[bool]:
        """Discard dead letters: mark them resolved, each with an event.  No state changes."""

        async def resolve(connection: Connection) -> set[str]:
            async with connection.transaction():
                rows = await connection.fetch(sql.RESOLVE_JOBS, list(job_ids))
                resolved = {job_id for (job_id,) in rows}
                acts = [(job_id, State.FAILED, None, actor) for job_id in sorted(resolved)]
                await write_events(connection, acts)
            return resolved

        resolved = await self._pool.run(resolve)
        seen: set[str] = set()
        answer = []
        for job_id in job_ids:  # named twice, it is resolved once
            answer.append(job_id in resolved and job_id not in seen)
            seen.add(job_id)
        return answer

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the events of a job, oldest first."""
        return [event_from_row(row) for row in await self._fetch(sql.LIST_EVENTS, job_id)]

    async def drain(self, worker: WorkerId) -> bool:
        """Have a worker told, with its next renewal, to stop gracefully.  False if it is gone."""
        return bool(await self._fetch(sql.DRAIN_WORKER, worker))

    async def delete(self, job_ids: Sequence[JobId]) -> int:
        """Delete those of the jobs which have ended, with their events; count them."""
        [[deleted]] = await self._fetch(sql.DELETE_ENDED, list(job_ids))
        return int(deleted)

    async def expire_results(self, limit: int) -> int:
        """Drop up to ``limit`` results whose time is over; count them."""
        [[dropped]] = await self._fetch(results.DROP_RESULTS, limit)
        return int(dropped)

    async def prune(self, older_than_s: float, limit: int) -> int:
        """Delete up to ``limit`` jobs that ended that long ago (dead letters stay)."""
        [[pruned]] = await self._fetch(sql.PRUNE_JOBS, older_than_s, limit)
        await self._fetch(sql.PRUNE_WORKERS)
        await self._fetch(sql.PRUNE_PACES)
        await self._fetch(PRUNE_MARKS)
        return int(pruned)


def _is_told(step: Transition) -> bool:
    return step.error is not None or step.actor is not None


async def _lift(connection: Connection, limit: int) -> tuple[int, set[str]]:
    """Queue again what ended holds held; return how many, and which topics that rings."""
    # No claim that still saw a hold may set jobs aside for it once it is forgotten.
    await connection.execute(sql.LOCK_GATE)
    ended = await connection.fetch(hold_sql.END_EXPIRED_HOLDS)
    lifted = await connection.fetch(hold_sql.LIFT_JOBS, limit)
    await write_events(connection, [(job_id, State.HELD, None) for job_id, _ in lifted])
    await connection.execute(hold_sql.FORGET_HOLDS)
    queues = {queue for (queue,) in ended if queue} | {queue for _, queue in lifted}
    return len(lifted), {queue_topic(queue) for queue in queues}


async def _schema_version(connection: Connection) -> int:
    async with connection.transaction():
        if not await connection.fetchval(migrations.HAS_JOURNAL):
            return 0
        return int(await connection.fetchval(migrations.APPLIED))


async def _migrate(connection: Connection) -> list[int]:
    applied = []
    for migration in migrations.MIGRATIONS:
        async with connection.transaction():
            await connection.execute(migrations.LOCK)
            await connection.execute(migrations.JOURNAL)
            # Looked up under the lock: another process may have been quicker.
            if await connection.fetchval(migrations.APPLIED) < migration.number:
                await connection.execute(migration.script)
                await connection.execute(migrations.RECORD, migration.number, migration.name)
                applied.append(migration.number)
    return applied


def _next_s(due_s: float | None, suspects: bool) -> float | None:
    waits = [max(0.0, due_s)] if due_s is not None else []
    waits += [SUSPECT_AGAIN_S] if suspects else []
    return min(waits, default=None)
