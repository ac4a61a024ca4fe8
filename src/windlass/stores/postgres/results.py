"""Results: how ended jobs are looked up by those who wait, and dropped when their time is over."""

FIND_RESULTS = """
SELECT id, task, state, reason, result, error, CASE WHEN result IS NULL THEN result_until END
  FROM windlass_jobs
 WHERE id = ANY ($1::text[]) AND ended_at IS NOT NULL
"""

# Index: windlass_jobs_results.  Not while a job that waited for it may still ask for it: one probe
# for each that is late (of NOT EXISTS the planner would hash all edges there are).
DROP_RESULTS = """
WITH late AS MATERIALIZED (
    SELECT id FROM windlass_jobs
     WHERE result_until <= now() AND result_until IS NOT NULL AND result IS NOT NULL
       AND (downstream IS NULL OR (
              SELECT true FROM windlass_edges AS edge JOIN windlass_jobs AS child
                  ON child.id = edge.child_id
               WHERE edge.parent_id = windlass_jobs.id AND child.ended_at IS NULL
               LIMIT 1) IS NULL)
     ORDER BY result_until
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), dropped AS (
    UPDATE windlass_jobs AS job SET result = NULL FROM late WHERE job.id = late.id RETURNING 1
)
SELECT count(*) FROM dropped
"""
