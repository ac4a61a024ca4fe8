"""The statements about jobs that wait by a rule, as in ``sql.py``."""

# A wait anew replaces the one before it.
KEEP_WAIT = """
INSERT INTO windlass_waits (job_id, rule, parents) VALUES (?, ?, ?)
ON CONFLICT (job_id) DO UPDATE
   SET rule = excluded.rule, parents = excluded.parents,
       succeeded = 0, failed = 0, cancelled = 0, skipped = 0
"""

COUNT_END = """
UPDATE windlass_waits
   SET succeeded = succeeded + (:how = 'succeeded'), failed = failed + (:how = 'failed'),
       cancelled = cancelled + (:how = 'cancelled'), skipped = skipped + (:how = 'skipped')
 WHERE job_id = :id
RETURNING rule, parents, succeeded, failed, cancelled, skipped,
          (SELECT state = 'waiting' AND upstream = 0 FROM windlass_jobs WHERE id = :id)
"""

# Edge: waiting -> scheduled | queued.
START_WAITING = """
UPDATE windlass_jobs
   SET state = CASE WHEN due_at > :now THEN 'scheduled' ELSE 'queued' END,
       reason = CASE WHEN due_at > :now THEN 'delay' END
 WHERE id = :id AND state = 'waiting' AND upstream = 0
RETURNING state, queue
"""

# Edge: waiting -> failed | cancelled | skipped.
END_WAITING = """
UPDATE windlass_jobs
   SET state = :after, reason = :reason, ended_at = :now, error = coalesce(:error, error),
       error_type = coalesce(:error_type, error_type)
 WHERE id = :id AND state = 'waiting' AND upstream = 0
RETURNING downstream, task, state, error_type, error
"""

# The first of those that a job waited for which ended so.  Index: the primary key of the edges.
FIND_CAUSE = """
SELECT parent.id, NULL, parent.task, parent.state, parent.error_type, parent.error
  FROM windlass_edges AS edge JOIN windlass_jobs AS parent ON parent.id = edge.parent_id
 WHERE edge.child_id = ? AND edge.awaited AND parent.state = ?
 ORDER BY parent.id
 LIMIT 1
"""

DELETE_WAIT = "DELETE FROM windlass_waits WHERE job_id = ?"
