"""Backfills in the database: what was asked for, and the job of each tick."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from windlass.model.backfills import Backfill, BackfillId, BackfillRequest
from windlass.model.jobs import JobRequest, State
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.marks import insert_any
from windlass.stores.postgres.rows import Row

# Index: windlass_fires_started; the primary key of the items, for each backfill of the schedule.
LIST_STARTED = """
SELECT started.job_id, started.fire_at, jobs.state
  FROM (SELECT job_id, fire_at FROM windlass_fires
         WHERE schedule = $1 AND job_id IS NOT NULL AND fire_at >= $2 AND fire_at < $3
         UNION ALL
        SELECT item.job_id, item.fire_at
          FROM windlass_backfills AS backfill
          JOIN windlass_backfill_items AS item ON item.backfill = backfill.id
         WHERE backfill.schedule = $1 AND item.fire_at >= $2 AND item.fire_at < $3) AS started
  LEFT JOIN windlass_jobs AS jobs ON jobs.id = started.job_id
 ORDER BY started.fire_at, started.job_id LIMIT $4
"""

KEEP_BACKFILL = """
INSERT INTO windlass_backfills (id, schedule, version, actor, asked, created_at)
VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT (id) DO NOTHING
"""

# Locked: who cancels it waits until what is being added is there.
LOCK_BACKFILL = "SELECT cancelled_at IS NULL FROM windlass_backfills WHERE id = $1 FOR UPDATE"

ADD_ITEMS = """
INSERT INTO windlass_backfill_items (backfill, fire_at, job_id)
SELECT $1, fire_at, job_id FROM unnest($2::timestamptz[], $3::text[]) AS item (fire_at, job_id)
ON CONFLICT (backfill, fire_at) DO NOTHING
RETURNING job_id
"""

STAND_FOR = "UPDATE windlass_backfill_items SET job_id = $1 WHERE backfill = $2 AND job_id = $3"

LIST_BACKFILLS = """
SELECT backfill.asked, backfill.created_at, backfill.cancelled_at,
       (SELECT array_agg(ROW (state, count))
          FROM (SELECT jobs.state, count(*) AS count
                  FROM windlass_backfill_items AS item
                  LEFT JOIN windlass_jobs AS jobs ON jobs.id = item.job_id
                 WHERE item.backfill = backfill.id GROUP BY jobs.state) AS counted)
  FROM windlass_backfills AS backfill
 WHERE $2::text IS NULL OR backfill.schedule = $2
 ORDER BY backfill.created_at DESC, backfill.id DESC LIMIT $1
"""

LIST_JOBS = """
SELECT item.fire_at, item.job_id, jobs.state
  FROM windlass_backfill_items AS item
  LEFT JOIN windlass_jobs AS jobs ON jobs.id = item.job_id
 WHERE item.backfill = $1 ORDER BY item.fire_at
"""

END_BACKFILL = """
UPDATE windlass_backfills SET cancelled_at = coalesce(cancelled_at, now()) WHERE id = $1
RETURNING id
"""

# Those of which no job is kept any more, and then what has no items.
PRUNE_ITEMS = """
DELETE FROM windlass_backfill_items WHERE backfill IN (
    SELECT id FROM windlass_backfills AS backfill
     WHERE created_at < now() - make_interval(secs => $1)
       AND NOT EXISTS (SELECT 1 FROM windlass_backfill_items AS item
                         JOIN windlass_jobs AS job ON job.id = item.job_id
                        WHERE item.backfill = backfill.id)
     LIMIT 10)
"""

PRUNE_BACKFILLS = """
DELETE FROM windlass_backfills
 WHERE created_at < now() - make_interval(secs => $1)
   AND NOT EXISTS (SELECT 1 FROM windlass_backfill_items AS item
                    WHERE item.backfill = windlass_backfills.id)
"""

_requests = msgspec.json.Decoder(BackfillRequest)


async def add(
    connection: Connection,
    request: BackfillRequest,
    jobs: Sequence[tuple[datetime, JobRequest]],
) -> None:
    """Keep a backfill, and insert jobs for ticks of it that have none yet."""
    async with connection.transaction():
        asked = msgspec.json.encode(request).decode()
        facts = (request.id, request.schedule, request.version, request.actor, asked)
        await connection.execute(KEEP_BACKFILL, *facts)
        if not jobs or not await connection.fetchval(LOCK_BACKFILL, request.id):
            return
        columns = [fire_at for fire_at, _ in jobs], [job.id for _, job in jobs]
        rows = await connection.fetch(ADD_ITEMS, request.id, *columns)
        added = {job_id for (job_id,) in rows}
        new = [job for _, job in jobs if job.id in added]
        for job, job_id in zip(new, await insert_any(connection, new), strict=True):
            if job_id != job.id:  # a live job with its unique key stands for it
                await connection.execute(STAND_FOR, job_id, request.id, job.id)


async def end(connection: Connection, backfill: BackfillId) -> bool:
    """Mark a backfill as cancelled.  False if there is none."""
    return bool(await connection.fetch(END_BACKFILL, backfill))


def backfill_from(row: Row) -> Backfill:
    """Return the backfill of a row of ``LIST_BACKFILLS``."""
    asked, created_at, cancelled_at, counted = row
    jobs = {None if state is None else State(state): count for state, count in counted or ()}
    return Backfill(
        request=_requests.decode(asked),
        created_at=created_at,
        cancelled_at=cancelled_at,
        jobs=jobs,
    )
