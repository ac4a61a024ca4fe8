"""The statements about holds, as in ``sql.py``."""

ADD_HOLD = """
WITH new AS (
    INSERT INTO windlass_holds (id, reason, actor, why, queue, task, key, arguments, created_at,
                                expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, now(), now() + make_interval(secs => $9::float8)
     WHERE (SELECT count(*) FROM windlass_holds) < $10
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT EXISTS (SELECT 1 FROM new) OR EXISTS (SELECT 1 FROM windlass_holds WHERE id = $1)
"""

FIND_HOLDS = """
SELECT id, reason, queue, task, key, arguments FROM windlass_standing_holds
 ORDER BY created_at, id
"""

LIST_HOLDS = """
SELECT id, reason, actor, why, queue, task, key, arguments, created_at, expires_at,
       (SELECT count(*) FROM windlass_jobs
         WHERE state = 'held' AND held_by IS NOT NULL AND held_by = windlass_holds.id)
  FROM windlass_holds
 WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > now())
 ORDER BY created_at, id
"""

# Edge: queued -> held.  Index: the primary key.
SET_ASIDE = """
UPDATE windlass_jobs AS job SET state = 'held', reason = aside.reason, held_by = aside.hold
  FROM unnest($1::text[], $2::text[], $3::text[]) AS aside (id, reason, hold)
 WHERE job.id = aside.id AND job.state = 'queued'
RETURNING job.id
"""

END_HOLD = """
WITH ended AS (
    UPDATE windlass_holds SET ended_at = now()
     WHERE id = $1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    RETURNING queue
)
SELECT (SELECT count(*) FROM ended),
       (SELECT count(pg_notify('windlass', topic))
          FROM (SELECT 'clock' AS topic FROM ended
                 UNION SELECT 'queue:' || queue FROM ended WHERE queue IS NOT NULL) AS topics)
"""

END_EXPIRED_HOLDS = """
UPDATE windlass_holds SET ended_at = now() WHERE ended_at IS NULL AND expires_at <= now()
RETURNING queue
"""

# Edge: held -> queued.  Index: windlass_jobs_held, from the ended holds.
LIFT_JOBS = """
WITH lifted AS MATERIALIZED (
    SELECT job.id FROM windlass_holds AS hold
      JOIN windlass_jobs AS job ON job.held_by = hold.id
     WHERE hold.ended_at IS NOT NULL AND job.state = 'held' AND job.held_by IS NOT NULL
     LIMIT $1
       FOR UPDATE OF job SKIP LOCKED
)
UPDATE windlass_jobs AS job SET state = 'queued', reason = NULL, held_by = NULL
  FROM lifted
 WHERE job.id = lifted.id
RETURNING job.id, job.queue
"""

FORGET_HOLDS = """
DELETE FROM windlass_holds
 WHERE ended_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs
                    WHERE state = 'held' AND held_by IS NOT NULL AND held_by = windlass_holds.id)
"""
