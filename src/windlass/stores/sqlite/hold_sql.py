"""The statements about holds, as in ``sql.py``."""

ADD_HOLD = """
INSERT INTO windlass_holds (id, reason, actor, why, queue, task, key, arguments, created_at,
                            expires_at)
SELECT :id, :reason, :actor, :why, :queue, :task, :key, :arguments, :now, :expires_at
 WHERE (SELECT count(*) FROM windlass_holds) < :most
ON CONFLICT DO NOTHING
"""

IS_HOLD = "SELECT 1 FROM windlass_holds WHERE id = :id"

# In force at this instant.
FIND_HOLDS = """
SELECT id, reason, queue, task, key, arguments FROM windlass_holds
 WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > ?)
 ORDER BY created_at, id
"""

LIST_HOLDS = """
SELECT id, reason, actor, why, queue, task, key, arguments, created_at, expires_at,
       (SELECT count(*) FROM windlass_jobs
         WHERE state = 'held' AND held_by IS NOT NULL AND held_by = windlass_holds.id)
  FROM windlass_holds
 WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
 ORDER BY created_at, id
"""

# Edge: queued -> held.
HOLD_JOB = """
UPDATE windlass_jobs SET state = 'held', reason = :reason, held_by = :hold WHERE id = :id
"""

END_HOLD = """
UPDATE windlass_holds SET ended_at = :now
 WHERE id = :id AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
RETURNING queue
"""

END_EXPIRED_HOLDS = """
UPDATE windlass_holds SET ended_at = :now WHERE ended_at IS NULL AND expires_at <= :now
RETURNING queue
"""

# Index: windlass_jobs_held, from the ended holds.
FIND_LIFTED = """
SELECT windlass_jobs.id, windlass_jobs.queue
  FROM windlass_holds JOIN windlass_jobs ON windlass_jobs.held_by = windlass_holds.id
 WHERE windlass_holds.ended_at IS NOT NULL AND windlass_jobs.state = 'held'
   AND windlass_jobs.held_by IS NOT NULL
 LIMIT :limit
"""

# Edge: held -> queued.
LIFT_JOB = """
UPDATE windlass_jobs SET state = 'queued', reason = NULL, held_by = NULL WHERE id = :id
"""

FORGET_HOLDS = """
DELETE FROM windlass_holds
 WHERE ended_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs
                    WHERE state = 'held' AND held_by IS NOT NULL AND held_by = windlass_holds.id)
"""
