"""Backfills in the file: what was asked for, and the job of each tick."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from windlass.model.backfills import Backfill, BackfillId, BackfillRequest
from windlass.model.jobs import JobRequest, State
from windlass.stores.sqlite.marks import insert_once
from windlass.stores.sqlite.rows import Row, instant_from, us_from
from windlass.stores.sqlite.writer import Transaction

# Index: windlass_fires_started; the primary key of the items, for each backfill of the schedule.
LIST_STARTED = """
SELECT started.job_id, started.fire_at, jobs.state
  FROM (SELECT job_id, fire_at FROM windlass_fires
         WHERE schedule = :name AND job_id IS NOT NULL AND fire_at >= :since AND fire_at < :until
         UNION ALL
        SELECT item.job_id, item.fire_at
          FROM windlass_backfills AS backfill
          JOIN windlass_backfill_items AS item ON item.backfill = backfill.id
         WHERE backfill.schedule = :name
           AND item.fire_at >= :since AND item.fire_at < :until) AS started
  LEFT JOIN windlass_jobs AS jobs ON jobs.id = started.job_id
 ORDER BY started.fire_at, started.job_id LIMIT :limit
"""

KEEP_BACKFILL = """
INSERT INTO windlass_backfills (id, schedule, version, actor, asked, created_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

IS_CANCELLED = "SELECT 1 FROM windlass_backfills WHERE id = ? AND cancelled_at IS NOT NULL"

ADD_ITEM = """
INSERT INTO windlass_backfill_items (backfill, fire_at, job_id) VALUES (?, ?, ?)
ON CONFLICT (backfill, fire_at) DO NOTHING
"""

STAND_FOR = "UPDATE windlass_backfill_items SET job_id = ? WHERE backfill = ? AND fire_at = ?"

LIST_BACKFILLS = """
SELECT backfill.asked, backfill.created_at, backfill.cancelled_at,
       (SELECT json_group_array(json_array(state, count))
          FROM (SELECT jobs.state, count(*) AS count
                  FROM windlass_backfill_items AS item
                  LEFT JOIN windlass_jobs AS jobs ON jobs.id = item.job_id
                 WHERE item.backfill = backfill.id GROUP BY jobs.state))
  FROM windlass_backfills AS backfill
 WHERE :schedule IS NULL OR backfill.schedule = :schedule
 ORDER BY backfill.created_at DESC, backfill.id DESC LIMIT :limit
"""

LIST_JOBS = """
SELECT item.fire_at, item.job_id, jobs.state
  FROM windlass_backfill_items AS item
  LEFT JOIN windlass_jobs AS jobs ON jobs.id = item.job_id
 WHERE item.backfill = :id ORDER BY item.fire_at
"""

END_BACKFILL = """
UPDATE windlass_backfills SET cancelled_at = coalesce(cancelled_at, ?) WHERE id = ?
"""

# Those of which no job is kept any more, and then what has no items.
PRUNE_ITEMS = """
DELETE FROM windlass_backfill_items WHERE backfill IN (
    SELECT id FROM windlass_backfills AS backfill
     WHERE created_at < :before
       AND NOT EXISTS (SELECT 1 FROM windlass_backfill_items AS item
                         JOIN windlass_jobs AS job ON job.id = item.job_id
                        WHERE item.backfill = backfill.id)
     LIMIT 10)
"""

PRUNE_BACKFILLS = """
DELETE FROM windlass_backfills
 WHERE created_at < :before
   AND NOT EXISTS (SELECT 1 FROM windlass_backfill_items AS item
                    WHERE item.backfill = windlass_backfills.id)
"""

_requests = msgspec.json.Decoder(BackfillRequest)


def add(
    request: BackfillRequest,
    jobs: Sequence[tuple[datetime, JobRequest]],
    transaction: Transaction,
) -> None:
    """Keep a backfill, and insert jobs for ticks of it that have none yet."""
    asked = msgspec.json.encode(request).decode()
    facts = (request.id, request.schedule, request.version, request.actor, asked)
    transaction.execute(KEEP_BACKFILL, (*facts, transaction.now))
    if transaction.execute(IS_CANCELLED, (request.id,)).fetchall():
        return
    for fire_at, job in jobs:
        key = (request.id, us_from(fire_at))
        transaction.execute(ADD_ITEM, (*key, job.id))
        if not transaction.changes():
            continue
        job_id = insert_once(job, transaction)
        if job_id != job.id:  # a live job with its unique key stands for it
            transaction.execute(STAND_FOR, (job_id, *key))


def end(backfill: BackfillId, transaction: Transaction) -> bool:
    """Mark a backfill as cancelled.  False if there is none."""
    transaction.execute(END_BACKFILL, (transaction.now, backfill))
    return bool(transaction.changes())


def backfill_from(row: Row) -> Backfill:
    """Return the backfill of a row of ``LIST_BACKFILLS``."""
    asked, created_at, cancelled_at, counts = row
    counted: list[tuple[str | None, int]] = msgspec.json.decode(counts)
    return Backfill(
        request=_requests.decode(asked),
        created_at=instant_from(created_at),
        cancelled_at=None if cancelled_at is None else instant_from(cancelled_at),
        jobs={None if state is None else State(state): count for state, count in counted},
    )
