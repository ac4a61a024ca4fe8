"""The statements about jobs that wait for others, as in ``sql.py``."""

# Returns the new ones: none for a request that is repeated.
ADD_EDGES = """
INSERT INTO windlass_edges (child_id, place, parent_id, slot, position)
SELECT child_id, place, parent_id, slot, position
  FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::int[])
    AS edge (child_id, place, parent_id, slot, position)
ON CONFLICT DO NOTHING
RETURNING child_id
"""

# Edge: running -> waiting; or -> cancelled, where that was asked for.  Returns which.
CONTINUE_JOB = """
UPDATE windlass_jobs
   SET state = CASE WHEN reason = 'cancel_requested' THEN 'cancelled' ELSE 'waiting' END,
       ended_at = CASE WHEN reason = 'cancel_requested' THEN now() END,
       reason = CASE WHEN reason = 'cancel_requested' THEN NULL ELSE 'children' END,
       upstream = CASE WHEN reason = 'cancel_requested' THEN upstream ELSE $3 END,
       worker = NULL
 WHERE id = $1 AND state = 'running' AND fence = $2
RETURNING state
"""

NEXT_PLACE = "SELECT coalesce(max(place) + 1, 0) FROM windlass_edges WHERE child_id = $1"

# Whoever settles one of these from now on looks for its children.
MARK_PARENTS = """
UPDATE windlass_jobs SET downstream = true
 WHERE id IN (SELECT id FROM windlass_jobs WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE)
RETURNING id
"""

FIND_ENDED_PARENTS = """
SELECT id, task, state, error_type FROM windlass_jobs
 WHERE id = ANY ($1::text[]) AND downstream IS NOT NULL AND ended_at IS NOT NULL
"""

# Edge: waiting -> waiting | scheduled | queued.  Index: windlass_edges_parent, primary key.
LET_GO = """
WITH freed AS MATERIALIZED (
    SELECT child_id, count(*)::int AS parents
      FROM (SELECT DISTINCT child_id, parent_id FROM windlass_edges
             WHERE parent_id = ANY ($1::text[])
               AND ($2::text[] IS NULL OR child_id = ANY ($2))) AS edge
     GROUP BY child_id
     ORDER BY child_id
)
UPDATE windlass_jobs AS job
   SET upstream = upstream - parents,
       state = CASE WHEN upstream > parents THEN 'waiting' WHEN due_at > now() THEN 'scheduled'
                    ELSE 'queued' END,
       reason = CASE WHEN upstream > parents THEN 'upstream' WHEN due_at > now() THEN 'delay' END,
       due_at = CASE WHEN upstream > parents THEN due_at ELSE greatest(due_at, now()) END
  FROM freed
 WHERE job.id = freed.child_id AND job.state = 'waiting' AND job.upstream >= parents
RETURNING job.state, job.queue
"""

# Edge: waiting -> failed | cancelled, all the way down.  Index: windlass_edges_parent.
GIVE_UP = """
WITH RECURSIVE doomed (id, after, error) AS (
    SELECT edge.child_id, bad.after, bad.error
      FROM unnest($1::text[], $2::text[], $3::bytea[]) AS bad (id, after, error)
      JOIN windlass_edges AS edge ON edge.parent_id = bad.id
     WHERE $4::text[] IS NULL OR edge.child_id = ANY ($4)
     UNION
    SELECT edge.child_id, doomed.after, doomed.error
      FROM doomed JOIN windlass_edges AS edge ON edge.parent_id = doomed.id
), once AS MATERIALIZED (
    SELECT DISTINCT ON (id) id, after, error FROM doomed ORDER BY id, after, error
)
UPDATE windlass_jobs AS job
   SET state = once.after, reason = CASE once.after WHEN 'failed' THEN 'upstream' END,
       ended_at = now(), error = once.error, error_type = $5
  FROM once
 WHERE job.id = once.id AND job.state = 'waiting'
RETURNING job.id, once.error
"""

LIST_INPUTS = """
SELECT edge.parent_id, parent.task, edge.slot, edge.position, parent.result,
       CASE WHEN parent.result IS NULL THEN parent.result_until END
  FROM windlass_edges AS edge JOIN windlass_jobs AS parent ON parent.id = edge.parent_id
 WHERE edge.child_id = $1
 ORDER BY edge.place
"""
