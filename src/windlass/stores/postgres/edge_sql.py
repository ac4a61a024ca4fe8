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

# Edge: running -> waiting; or -> cancelled, where that was asked for.  Returns which.  A run leaves
# its lane: nothing that waits for a lane may keep it from its end.  What came so far does not kill
# its workers.
CONTINUE_JOB = """
UPDATE windlass_jobs
   SET state = CASE WHEN reason = 'cancel_requested' THEN 'cancelled' ELSE 'waiting' END,
       ended_at = CASE WHEN reason = 'cancel_requested' THEN now() END,
       reason = CASE WHEN reason = 'cancel_requested' THEN NULL ELSE 'children' END,
       upstream = CASE WHEN reason = 'cancel_requested' THEN upstream ELSE $3 END,
       run_lane = CASE WHEN kind IS NOT NULL THEN coalesce(lane, run_lane) END,
       lane = CASE WHEN kind IS NULL OR reason = 'cancel_requested' THEN lane END,
       attempt = $4, failures = $5, losses = 0, worker = NULL, expires_at = NULL
 WHERE id = $1 AND state = 'running' AND fence = $2
RETURNING state
"""

# Where one job stands for several that were to be inserted.
EXPECT_PARENTS = "UPDATE windlass_jobs SET upstream = $2 WHERE id = $1"

# A job that goes on awaits only these of the jobs for which it waited before.  Returns to which
# of them it has an edge, and the place of the next edge.
TURN_EDGES = """
WITH turned AS (
    UPDATE windlass_edges SET awaited = NOT awaited
     WHERE child_id = $1 AND awaited <> (parent_id = ANY ($2::text[]))
)
SELECT coalesce(array_agg(parent_id) FILTER (WHERE parent_id = ANY ($2)), '{}'),
       coalesce(max(place) + 1, 0)
  FROM windlass_edges
 WHERE child_id = $1
"""

FIND_EDGES = """
SELECT parent_id, slot, position FROM windlass_edges
 WHERE child_id = $1 AND parent_id = ANY ($2::text[])
"""

# Whoever settles one of these from now on looks for its children.  ``downstream`` is NULL where
# nobody waits for a job, false where all need its success, true where some wait by a rule (or
# where it was marked before there were rules).  Locked in the order of their ids.
MARK_PARENTS = """
WITH parent AS MATERIALIZED (
    SELECT job.id, by_rule
      FROM unnest($1::text[], $2::bool[]) AS awaited (id, by_rule)
      JOIN windlass_jobs AS job ON job.id = awaited.id
     ORDER BY job.id
       FOR UPDATE OF job
)
UPDATE windlass_jobs AS job SET downstream = coalesce(job.downstream, false) OR by_rule
  FROM parent
 WHERE job.id = parent.id
RETURNING job.id
"""

# What follows reaches its rows by their ids; the planner knows nothing of how far down the edges
# go, and would read whole tables, or compile the statement.
PLAN_BY_ID = """
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off
"""

FIND_ENDED_PARENTS = """
SELECT id, task, state, error_type, CASE WHEN error_type = $2 THEN error END, true, downstream
  FROM windlass_jobs
 WHERE id = ANY ($1::text[]) AND downstream IS NOT NULL AND ended_at IS NOT NULL
"""

# The same of those that have ended because another did: nearly all below them has been told.  Not
# what was linked to them meanwhile, so it is looked for once more, now that their rows are locked.
FIND_ENDED_BELOW = """
SELECT id, task, state, error_type, CASE WHEN error_type = $2 THEN error END,
       (SELECT true
          FROM windlass_edges AS edge JOIN windlass_jobs AS child ON child.id = edge.child_id
         WHERE edge.parent_id = ended.id AND edge.awaited
           AND child.state = 'waiting' AND child.upstream > 0
         LIMIT 1) IS NOT NULL,
       downstream
  FROM windlass_jobs AS ended
 WHERE id = ANY ($1::text[]) AND downstream IS NOT NULL
"""

# Edge: waiting -> waiting | scheduled | queued.  Who waits by a rule has no ``upstream`` left, and
# is not touched.  Index: windlass_edges_parent, primary key.
LET_GO = """
WITH freed AS MATERIALIZED (
    SELECT child_id, count(*)::int AS parents
      FROM (SELECT DISTINCT child_id, parent_id FROM windlass_edges
             WHERE parent_id = ANY ($1::text[]) AND awaited
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

# Edge: waiting -> failed | cancelled, all the way down, as far as successes are waited for: who
# waits by a rule is told of these ends afterwards.  OFFSET 0: the edges are looked up for each
# parent, whatever the statistics say.  Index: windlass_edges_parent, primary key.
GIVE_UP = """
WITH RECURSIVE doomed (id, after, error) AS (
    SELECT edge.child_id, bad.after, bad.error
      FROM unnest($1::text[], $2::text[], $3::bytea[]) AS bad (id, after, error)
           CROSS JOIN LATERAL (
          SELECT child_id FROM windlass_edges WHERE parent_id = bad.id AND awaited
          OFFSET 0) AS edge
     WHERE ($4::text[] IS NULL OR edge.child_id = ANY ($4))
       AND (SELECT state = 'waiting' AND upstream > 0
              FROM windlass_jobs WHERE id = edge.child_id)
     UNION
    SELECT edge.child_id, doomed.after, doomed.error
      FROM doomed CROSS JOIN LATERAL (
          SELECT child_id FROM windlass_edges WHERE parent_id = doomed.id AND awaited
          OFFSET 0) AS edge
     WHERE (SELECT state = 'waiting' AND upstream > 0
              FROM windlass_jobs WHERE id = edge.child_id)
), once AS MATERIALIZED (
    SELECT DISTINCT ON (id) id, after, error FROM doomed ORDER BY id, after, error
)
UPDATE windlass_jobs AS job
   SET state = once.after, reason = CASE once.after WHEN 'failed' THEN 'upstream' END,
       ended_at = now(), error = once.error, error_type = $5
  FROM once
 WHERE job.id = once.id AND job.state = 'waiting' AND job.upstream > 0
RETURNING job.id, once.error, job.downstream IS NOT NULL
"""

LIST_INPUTS = """
SELECT edge.parent_id, parent.task, edge.slot, edge.position, parent.result,
       CASE WHEN parent.result IS NULL THEN parent.result_until END
  FROM windlass_edges AS edge JOIN windlass_jobs AS parent ON parent.id = edge.parent_id
 WHERE edge.child_id = $1 AND edge.slot IS NOT NULL
 ORDER BY edge.place
"""
