"""Calls that become one with earlier calls: looked up, decided and written in one transaction."""

from collections.abc import Sequence

from msgspec.structs import replace as with_

from windlass.core.once import (
    Insert,
    Keep,
    Mark,
    Replace,
    Standing,
    decide,
    refuse_other_body,
    refuse_other_call,
)
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.topics import CLOCK
from windlass.stores.postgres import sql
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.edges import insert_keyed
from windlass.stores.postgres.rows import insert_columns, is_keyed

Known = dict[tuple[str, str], tuple[Mark, Standing | None]]  # by name and key

# Whoever enqueues by the same key waits here for the other's transaction.  In the order given, so
# that two batches never wait for each other.
LOCK_KEYS = """
SELECT pg_advisory_xact_lock(1464421958, hashtext(name || chr(31) || key))
  FROM unnest($1::text[], $2::text[]) AS asked (name, key)
"""

FIND_MARKS = """
SELECT mark.name, mark.key,
       mark.job_id, mark.since_us, mark.until_us, job.state, job.attempt, job.payload
  FROM unnest($1::text[], $2::text[]) AS asked (name, key)
  JOIN windlass_marks AS mark ON mark.name = asked.name AND mark.key = asked.key
  LEFT JOIN windlass_jobs AS job ON job.id = mark.job_id
"""

HAVE_ANY = "SELECT 1 FROM windlass_jobs WHERE id = ANY ($1::text[]) LIMIT 1"

KEEP_MARKS = """
INSERT INTO windlass_marks (name, key, job_id, since_us, until_us)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
ON CONFLICT (name, key) DO UPDATE
   SET job_id = excluded.job_id, since_us = excluded.since_us, until_us = excluded.until_us
"""

# Edge: none; the job keeps its state.  Its call is replaced by a newer one, unless it has just
# been claimed.
REPLACE_CALL = """
UPDATE windlass_jobs
   SET payload = $2, headers = $3, fingerprint = $4, lane = $5, limits = $6,
       due_at = CASE WHEN $7::float8 IS NOT NULL AND state = 'scheduled'
                     THEN now() + make_interval(secs => $7) ELSE due_at END
 WHERE id = $1 AND attempt = 0 AND state IN ('waiting', 'scheduled', 'queued', 'held')
RETURNING id
"""

# A mark whose time is over, and whose job waits no more, decides nothing; that of an idempotency
# key stays as long as the job.
PRUNE_MARKS = """
DELETE FROM windlass_marks
 WHERE until_us <= (extract(epoch FROM now()) * 1000000)::bigint
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs
                    WHERE id = job_id
                      AND (ended_at IS NULL OR windlass_marks.name LIKE 'key:%'))
"""


async def insert_once(connection: Connection, requests: Sequence[JobRequest]) -> list[JobId]:
    """Insert jobs, or let earlier ones of their keys stand for them."""
    async with connection.transaction():
        marks = sorted({(r.once.name, r.once.key) for r in requests if r.once})
        names, keys = map(list, zip(*marks, strict=True))
        await connection.fetch(LOCK_KEYS, names, keys)
        if len(requests) > 1 and all(r.once is not None and r.once.kind == "key" for r in requests):
            ids = await _insert_by_keys(connection, requests, names, keys)
            if ids is not None:
                return ids
        return [await _insert_one(connection, request) for request in requests]


async def insert_any(connection: Connection, requests: Sequence[JobRequest]) -> list[JobId]:
    """Insert jobs that wait for no others, within a transaction; return who stands for each."""
    if any(request.once is not None for request in requests):
        return await insert_once(connection, requests)
    if any(map(is_keyed, requests)):
        return await insert_keyed(connection, requests)
    await connection.fetch(sql.INSERT_JOBS, *insert_columns(requests))
    return [request.id for request in requests]


async def _insert_by_keys(
    connection: Connection, requests: Sequence[JobRequest], names: list[str], keys: list[str]
) -> list[JobId] | None:
    """Insert jobs with idempotency keys in a few statements.

    Returns: None, with nothing done, if some of these very jobs are there already, or twice here.
    """
    new_ids = [request.id for request in requests]
    if len(set(new_ids)) < len(new_ids) or await connection.fetch(HAVE_ANY, new_ids):
        return None
    now_us = await connection.fetchval(sql.NOW_US)
    known = await _look(connection, names, keys)
    new: list[JobRequest] = []
    fresh: list[tuple[str, str, JobId, int, int]] = []
    ids: list[JobId] = []
    for request in requests:
        once = request.once
        assert once is not None
        mark, standing = known.get((once.name, once.key), (None, None))
        decision = decide(once, request.id, mark, standing, now_us)
        refuse_other_body(request, decision, standing)
        mark = decision.mark
        ids.append(mark.job_id)
        if isinstance(decision, Insert):
            new.append(request)
            fresh.append((once.name, once.key, mark.job_id, mark.since_us, mark.until_us))
            waits = Standing(State.QUEUED, has_begun=False, payload=request.payload)
            known[once.name, once.key] = mark, waits
    if new:
        await insert_keyed(connection, new)
        await _keep(connection, fresh)
    return ids


async def _insert_one(connection: Connection, request: JobRequest) -> JobId:
    once = request.once
    if once is None:
        [job_id] = await insert_keyed(connection, [request])
        return job_id
    for task, payload in await connection.fetch(sql.FIND_CALL, request.id):
        refuse_other_call(request, task, payload)
        return request.id  # the same request again
    now_us = await connection.fetchval(sql.NOW_US)
    known = await _look(connection, [once.name], [once.key])
    mark, standing = known.get((once.name, once.key), (None, None))
    decision = decide(once, request.id, mark, standing, now_us)
    refuse_other_body(request, decision, standing)
    if isinstance(decision, Replace) and not await _replaced(connection, request, decision):
        # A worker was quicker: the job has begun with the call before this one.
        begun = Standing(State.RUNNING, has_begun=True)
        decision = decide(once, request.id, mark, begun, now_us)
    match decision:
        case Insert(delay_us):
            delay_s = request.delay_s + delay_us / 1e6
            await insert_keyed(connection, [with_(request, delay_s=delay_s)])
        case Replace():
            await connection.execute(sql.NOTIFY, [CLOCK])
        case Keep():
            pass
    kept = decision.mark
    await _keep(connection, [(once.name, once.key, kept.job_id, kept.since_us, kept.until_us)])
    return kept.job_id


async def _look(connection: Connection, names: list[str], keys: list[str]) -> Known:
    """Return the marks of these names and keys that there are, and the jobs that they name."""
    known: Known = {}
    for name, key, job_id, since_us, until_us, state, attempt, payload in await connection.fetch(
        FIND_MARKS, names, keys
    ):
        standing = None if state is None else Standing(State(state), attempt > 0, payload)
        known[name, key] = Mark(job_id, since_us, until_us), standing
    return known


async def _keep(connection: Connection, marks: Sequence[tuple[str, str, JobId, int, int]]) -> None:
    await connection.fetch(KEEP_MARKS, *map(list, zip(*marks, strict=True)))


async def _replaced(connection: Connection, request: JobRequest, decision: Replace) -> bool:
    delay_s = None if decision.delay_us is None else decision.delay_us / 1e6
    rows = await connection.fetch(
        REPLACE_CALL,
        decision.mark.job_id,
        request.payload,
        request.headers,
        request.fingerprint,
        request.lane,
        request.limits,
        delay_s,
    )
    return bool(rows)
