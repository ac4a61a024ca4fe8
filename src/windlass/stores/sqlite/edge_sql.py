"""The statements about jobs that wait for others, as in ``sql.py``."""

ADD_EDGE = """
INSERT INTO windlass_edges (child_id, place, parent_id, slot, position) VALUES (?, ?, ?, ?, ?)
"""

MARK_PARENT = "UPDATE windlass_jobs SET downstream = 1 WHERE id = ? RETURNING state"

FIND_ENDED_PARENT = """
SELECT downstream, task, state, error_type, error FROM windlass_jobs WHERE id = ?
"""

# Index: windlass_edges_parent.
FIND_CHILDREN = "SELECT DISTINCT child_id FROM windlass_edges WHERE parent_id = ? AND awaited"

# A job that goes on awaits none of those for which it waited before, unless it says so again.
END_AWAITING = "UPDATE windlass_edges SET awaited = 0 WHERE child_id = ?"

AWAIT_AGAIN = """
UPDATE windlass_edges SET awaited = 1
 WHERE child_id = ? AND parent_id = ? AND slot IS ? AND position IS ?
RETURNING 1
"""

# Edge: running -> waiting.  A run leaves its lane, and counts for it from then on.  What came so
# far does not kill its workers.
CONTINUE_JOB = """
UPDATE windlass_jobs
   SET state = 'waiting', reason = 'children', worker = NULL, upstream = 0,
       attempt = :attempt, failures = :failures, losses = 0, expires_at = NULL,
       run_lane = CASE WHEN kind IS NOT NULL THEN coalesce(lane, run_lane) END,
       lane = CASE WHEN kind IS NULL THEN lane END
 WHERE id = :id AND state = 'running' AND fence = :fence
   AND (reason IS NULL OR reason <> 'cancel_requested')
"""

EXPECT_PARENTS = "UPDATE windlass_jobs SET upstream = ? WHERE id = ?"

NEXT_PLACE = "SELECT coalesce(max(place) + 1, 0) FROM windlass_edges WHERE child_id = ?"

# Edge: waiting -> waiting | scheduled | queued.
LET_GO = """
UPDATE windlass_jobs
   SET upstream = upstream - 1,
       state = CASE WHEN upstream > 1 THEN 'waiting' WHEN due_at > :now THEN 'scheduled'
                    ELSE 'queued' END,
       reason = CASE WHEN upstream > 1 THEN 'upstream' WHEN due_at > :now THEN 'delay' END,
       due_at = CASE WHEN upstream > 1 THEN due_at ELSE max(due_at, :now) END
 WHERE id = :id AND state = 'waiting' AND upstream > 0
RETURNING state, queue
"""

# Edge: waiting -> failed | cancelled.
GIVE_UP = """
UPDATE windlass_jobs
   SET state = :after, reason = :reason, ended_at = :now, error = :error,
       error_type = :error_type
 WHERE id = :id AND state = 'waiting' AND upstream > 0
RETURNING downstream, task, state, error_type, error
"""

LIST_INPUTS = """
SELECT edge.parent_id, parent.task, edge.slot, edge.position, parent.result,
       CASE WHEN parent.result IS NULL THEN parent.result_until END
  FROM windlass_edges AS edge JOIN windlass_jobs AS parent ON parent.id = edge.parent_id
 WHERE edge.child_id = :id AND edge.slot IS NOT NULL
 ORDER BY edge.place
"""

DELETE_EDGES = "DELETE FROM windlass_edges WHERE child_id = ?"
