"""The statements about jobs that wait by a rule, as in ``sql.py``.

Each end must be counted once for each wait that it is awaited by, and a wait may be replaced by
another (``KEEP_WAITS``) at the moment at which one of its jobs ends.  Two locks order that:

- Who adds an edge locks the parent's row (``edge_sql.MARK_PARENTS``), as whoever ends the parent
  does.  Either the parent has ended when the edge is there, and the adder, who looks for that,
  counts it; or whoever ends it looks afterwards, and sees the edge.
- An edge that was there before may be awaited anew, without that lock.  So whoever counts, and
  whoever keeps a wait, locks the row of the wait first, and reads what has ended, and what is
  awaited, in a later statement.  If the counter comes first, it counts for the wait before,
  commits, and then the job that waits anew finds the parent ended; if it comes second, the parent
  had not ended for the other, and it counts for the new wait.
"""

# A wait anew replaces the one before it.
KEEP_WAITS = """
INSERT INTO windlass_waits (job_id, rule, parents)
SELECT job_id, rule, parents
  FROM unnest($1::text[], $2::text[], $3::int[]) AS wait (job_id, rule, parents)
ON CONFLICT (job_id) DO UPDATE
   SET rule = excluded.rule, parents = excluded.parents,
       succeeded = 0, failed = 0, cancelled = 0, skipped = 0
"""

# In the order of their ids, so that two batches hardly ever wait for each other.  Also of those
# that do not await any of these now: a transaction that has them do so may not be over yet.
# Index: windlass_edges_parent, primary key.
LOCK_WAITS = """
SELECT job_id FROM windlass_waits
 WHERE job_id IN (SELECT child_id FROM windlass_edges
                   WHERE parent_id = ANY ($1::text[])
                     AND ($2::text[] IS NULL OR child_id = ANY ($2)))
 ORDER BY job_id
   FOR UPDATE
"""

# Returns the counts as they are now, and whether the job still waits.  OFFSET 0: the edges are
# looked up for each parent, whatever the statistics say.  Index: windlass_edges_parent, primary
# key.
COUNT_ENDS = """
WITH told AS MATERIALIZED (
    SELECT child_id,
           count(*) FILTER (WHERE state = 'succeeded')::int AS succeeded,
           count(*) FILTER (WHERE state = 'failed')::int AS failed,
           count(*) FILTER (WHERE state = 'cancelled')::int AS cancelled,
           count(*) FILTER (WHERE state = 'skipped')::int AS skipped
      FROM (SELECT DISTINCT edge.child_id, ended.id, ended.state
              FROM unnest($1::text[], $2::text[]) AS ended (id, state)
                   CROSS JOIN LATERAL (
                  SELECT child_id FROM windlass_edges
                   WHERE parent_id = ended.id AND awaited
                  OFFSET 0) AS edge
             WHERE edge.child_id = ANY ($3::text[])) AS told_once
     GROUP BY child_id
)
UPDATE windlass_waits AS wait
   SET succeeded = wait.succeeded + told.succeeded, failed = wait.failed + told.failed,
       cancelled = wait.cancelled + told.cancelled, skipped = wait.skipped + told.skipped
  FROM told
 WHERE wait.job_id = told.child_id
RETURNING (SELECT state = 'waiting' AND upstream = 0 FROM windlass_jobs WHERE id = wait.job_id),
          wait.job_id, rule, parents, wait.succeeded, wait.failed, wait.cancelled, wait.skipped
"""

# The first of those that each job waits for which ended in that way.
# Index: the primary keys.
FIND_CAUSES = """
SELECT first.child_id,
       cause.id, cause.task, cause.state, cause.error_type,
       CASE WHEN cause.error_type = $3 THEN cause.error END
  FROM (SELECT decided.child_id, min(parent.id) AS id
          FROM unnest($1::text[], $2::text[]) AS decided (child_id, state)
          JOIN windlass_edges AS edge ON edge.child_id = decided.child_id
          JOIN windlass_jobs AS parent ON parent.id = edge.parent_id
         WHERE edge.awaited AND parent.state = decided.state
         GROUP BY decided.child_id) AS first
  JOIN windlass_jobs AS cause ON cause.id = first.id
"""

# Edge: waiting -> scheduled | queued | failed | cancelled | skipped.  Index: the primary key.
DECIDE_WAITING = """
UPDATE windlass_jobs AS job
   SET state = CASE WHEN after = 'queued' AND due_at > now() THEN 'scheduled' ELSE after END,
       reason = CASE after WHEN 'failed' THEN 'upstream' WHEN 'skipped' THEN 'rule'
                           WHEN 'queued' THEN CASE WHEN due_at > now() THEN 'delay' END END,
       ended_at = CASE WHEN after <> 'queued' THEN now() END,
       error = coalesce(decided.error, job.error),
       error_type = CASE WHEN decided.error IS NULL THEN job.error_type ELSE $4 END
  FROM unnest($1::text[], $2::text[], $3::bytea[]) AS decided (id, after, error)
 WHERE job.id = decided.id AND job.state = 'waiting' AND job.upstream = 0
RETURNING job.id, job.state, job.queue, decided.error
"""
