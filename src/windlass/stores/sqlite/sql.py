"""Every statement of the store, complete, as it can be run in a shell.

Named parameters; instants and durations in microseconds.  ``edge`` says which move a
statement makes, ``index`` which one it needs to stay fast with millions of rows.
"""

# -- enqueue -----------------------------------------------------------------

# Edge: -> queued | scheduled | waiting.
INSERT_JOB = """
INSERT INTO windlass_jobs (id, task, queue, state, reason, priority, created_at, due_at,
                           expires_at, unique_key, retry_of, payload, headers, lane, limits,
                           fingerprint, upstream, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""

# Who stands in the way of an insert: the same id, or a live job with the same key.
FIND_HOLDER = """
SELECT id FROM windlass_jobs WHERE id = :id
UNION ALL
SELECT id FROM windlass_jobs
 WHERE task = :task AND unique_key = :unique_key AND unique_key IS NOT NULL
   AND state IN ('waiting', 'scheduled', 'queued', 'held', 'running')
LIMIT 1
"""

# -- claim -------------------------------------------------------------------

HAS_LEASE = """
SELECT 1 FROM windlass_workers WHERE id = :worker AND ended_at IS NULL AND lease_until > :now
"""

# Index: windlass_jobs_claim, in its own order: no sort.
FIND_CLAIMABLE = """
SELECT -priority, due_at, id, seq, fence + 1, attempt + 1, failures, task, queue, payload,
       headers, lane, fingerprint, upstream IS NOT NULL, limits
  FROM windlass_jobs
 WHERE state = 'queued' AND lane IS NULL AND queue = ?
   AND (expires_at IS NULL OR expires_at > ?)
 ORDER BY queue, priority DESC, due_at, id
 LIMIT ?
"""

# The next lane of a queue that has queued jobs, and its limits.  Index: windlass_jobs_lanes.
FIND_LANE = """
SELECT lane, limits FROM windlass_jobs
 WHERE state = 'queued' AND lane IS NOT NULL AND queue = ? AND lane > ?
 ORDER BY queue, lane
 LIMIT 1
"""

# Index: windlass_jobs_lanes, in its own order: no sort.
FIND_CLAIMABLE_OF_LANE = """
SELECT -priority, due_at, id, seq, fence + 1, attempt + 1, failures, task, queue, payload,
       headers, lane, fingerprint, upstream IS NOT NULL, limits
  FROM windlass_jobs
 WHERE state = 'queued' AND lane IS NOT NULL AND queue = ? AND lane = ?
   AND (expires_at IS NULL OR expires_at > ?)
 ORDER BY queue, lane, priority DESC, due_at, id
 LIMIT ?
"""

# What runs, and the runs that have begun and left their lane.  Indexes: windlass_jobs_in_lanes,
# no more rows than the fleet has slots; windlass_jobs_run_lanes, no more than the limits let begin.
COUNT_IN_LANES = """
SELECT limits, count(*) FROM windlass_jobs
 WHERE state = 'running' AND lane IS NOT NULL
 GROUP BY lane
UNION ALL
SELECT limits, count(*) FROM windlass_jobs
 WHERE run_lane IS NOT NULL AND ended_at IS NULL
 GROUP BY run_lane
"""

LIST_IN_LANES = """
SELECT id, limits FROM windlass_jobs WHERE state = 'running' AND lane IS NOT NULL
UNION ALL
SELECT id, limits FROM windlass_jobs WHERE run_lane IS NOT NULL AND ended_at IS NULL
"""

FIND_PACE = "SELECT name, key, full_at_us FROM windlass_paces WHERE name = ? AND key = ?"

KEEP_PACE = """
INSERT INTO windlass_paces (name, key, full_at_us) VALUES (?, ?, ?)
ON CONFLICT (name, key) DO UPDATE SET full_at_us = excluded.full_at_us
"""

# Edge: queued -> running.  One statement for all: half the time of one for each.
CLAIM_JOBS = """
UPDATE windlass_jobs
   SET state = 'running', reason = NULL, fence = fence + 1, attempt = attempt + 1,
       worker = ?, started_at = ?
 WHERE seq IN (SELECT value FROM json_each(?))
"""

# Index: windlass_jobs_worker.
LIST_HELD = """
SELECT id, fence, attempt, failures, task, queue, payload, headers, lane, fingerprint,
       upstream IS NOT NULL, due_at
  FROM windlass_jobs
 WHERE worker = :worker
 ORDER BY id
"""

# -- settle ------------------------------------------------------------------

# Edge: any -> a terminal state.  Index: the unique one on id.
END_JOB = """
UPDATE windlass_jobs
   SET state = ?, reason = ?, attempt = ?, failures = ?, worker = NULL, result = ?,
       error = coalesce(?, error), error_type = coalesce(?, error_type), ended_at = ?,
       result_until = ?
 WHERE id = ? AND state = ? AND fence = ? AND downstream IS NULL
"""

# The same for a job for which others wait.
END_PARENT = """
UPDATE windlass_jobs
   SET state = ?, reason = ?, attempt = ?, failures = ?, worker = NULL, result = ?,
       error = coalesce(?, error), error_type = coalesce(?, error_type), ended_at = ?,
       result_until = ?
 WHERE id = ? AND state = ? AND fence = ? AND downstream IS NOT NULL
"""

# Edge: any -> a live state; running with a cancel request, to be scheduled or queued
# again -> cancelled.
MOVE_JOB = """
UPDATE windlass_jobs
   SET state = CASE WHEN reason = 'cancel_requested' AND :again THEN 'cancelled'
                    ELSE :after END,
       reason = CASE WHEN reason = 'cancel_requested' AND :again THEN NULL ELSE :reason END,
       ended_at = CASE WHEN reason = 'cancel_requested' AND :again THEN :now END,
       due_at = CASE WHEN :again AND reason IS NOT 'cancel_requested' THEN :now + :delay
                     ELSE due_at END,
       attempt = :attempt,
       failures = :failures,
       worker = CASE WHEN :after = 'running' THEN worker END,
       held_by = NULL,
       result = :result,
       error = coalesce(:error, error),
       error_type = coalesce(:error_type, error_type)
 WHERE id = :id AND state = :before AND fence = :fence
   AND (:after <> 'running' OR (reason IS NULL AND :reason = 'cancel_requested'))
RETURNING state, queue, worker, downstream
"""

# The worker that held the job is read before the row forgets it.
FIND_HELD = "SELECT worker FROM windlass_jobs WHERE id = :id AND state = :before AND fence = :fence"

FIND_CANCEL = """
SELECT 1 FROM windlass_jobs
 WHERE id = ? AND fence = ? AND state = 'running' AND reason = 'cancel_requested'
"""

WRITE_EVENT = """
INSERT INTO windlass_events (job_id, seq, at, before, after, reason, attempt, fence, worker,
                             actor, error)
SELECT id, 1 + (SELECT coalesce(max(seq), 0) FROM windlass_events WHERE job_id = :id),
       :now, :before, state, reason, attempt, fence, :worker, :actor, :error
  FROM windlass_jobs
 WHERE id = :id
"""

# -- leases ------------------------------------------------------------------

# Nothing happens to a row that a sweep has ended.
RENEW_LEASE = """
INSERT INTO windlass_workers (id, host, pid, queues, slots, started_at, lease_us, lease_until)
VALUES (:worker, :host, :pid, :queues, :slots, :now, :lease, :now + :lease)
ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, pid = excluded.pid, queues = excluded.queues,
       slots = excluded.slots, lease_us = excluded.lease_us, lease_until = excluded.lease_until
 WHERE ended_at IS NULL
"""

# Index: windlass_jobs_worker.
FIND_CANCELS = """
SELECT id FROM windlass_jobs
 WHERE worker = :worker AND reason = 'cancel_requested'
 ORDER BY id
"""

IS_TO_DRAIN = "SELECT 1 FROM windlass_workers WHERE id = :worker AND drain_at IS NOT NULL"

DRAIN_WORKER = """
UPDATE windlass_workers SET drain_at = :now WHERE id = :worker AND ended_at IS NULL
"""

END_LEASE = """
UPDATE windlass_workers SET ended_at = :now, lease_until = :now
 WHERE id = :worker AND ended_at IS NULL
"""

LIST_WORKERS = """
SELECT id, host, pid, queues, slots,
       (SELECT count(*) FROM windlass_jobs WHERE worker = windlass_workers.id),
       started_at, lease_until
  FROM windlass_workers
 WHERE ended_at IS NULL
 ORDER BY started_at, id
"""

# -- sweep -------------------------------------------------------------------

# What a sweep would find: read before anything is locked, so that an idle store is not
# written.  Indexes: windlass_jobs_due, _expires, _worker.
LOOK = """
SELECT (SELECT swept_at FROM windlass_sweeps),
       (SELECT min(lease_us) FROM windlass_workers WHERE ended_at IS NULL),
       (SELECT min(due_at) FROM windlass_jobs WHERE state = 'scheduled'),
       EXISTS (SELECT 1 FROM windlass_workers WHERE ended_at IS NULL AND lease_until <= :now),
       EXISTS (SELECT 1 FROM windlass_workers JOIN windlass_jobs
                   ON worker = windlass_workers.id
                WHERE windlass_workers.ended_at IS NOT NULL),
       EXISTS (SELECT 1 FROM windlass_jobs
                WHERE expires_at <= :now AND expires_at IS NOT NULL
                  AND state IN ('waiting', 'scheduled', 'queued', 'held')),
       EXISTS (SELECT 1 FROM windlass_holds WHERE ended_at IS NOT NULL OR expires_at <= :now)
"""

NEXT_DUE = "SELECT min(due_at) FROM windlass_jobs WHERE state = 'scheduled'"

LAST_SWEEP = "SELECT swept_at FROM windlass_sweeps"

MARK_SWEEP = "UPDATE windlass_sweeps SET swept_at = :now"

# Nobody swept for longer than a lease: the machine may have slept; nobody is judged.
GIVE_AMNESTY = """
UPDATE windlass_workers SET lease_until = :now + lease_us
 WHERE ended_at IS NULL AND :now - :swept_at > lease_us
"""

END_LEASES = """
UPDATE windlass_workers SET ended_at = :now WHERE ended_at IS NULL AND lease_until <= :now
"""

# Index: windlass_jobs_expires.
FIND_EXPIRED = """
SELECT id, state, queue FROM windlass_jobs
 WHERE expires_at <= :now AND expires_at IS NOT NULL
   AND state IN ('waiting', 'scheduled', 'queued', 'held')
 ORDER BY expires_at
 LIMIT :limit
"""

# Edge: waiting | scheduled | queued | held -> failed.
EXPIRE_JOB = """
UPDATE windlass_jobs SET state = 'failed', reason = 'expired', ended_at = :now WHERE id = :id
RETURNING downstream
"""

# Index: windlass_jobs_worker, from the ended workers.
FIND_LOST = """
SELECT windlass_jobs.id, windlass_jobs.worker
  FROM windlass_workers JOIN windlass_jobs ON windlass_jobs.worker = windlass_workers.id
 WHERE windlass_workers.ended_at IS NOT NULL
 LIMIT :limit
"""

_IS_POISON = "(losses + 1 >= :losses_max AND kind IS NOT 'workflow')"

# Edge: running -> cancelled | failed | queued.  A workflow's steps must end before it does: who
# claims it next ends them.
RESCUE_JOB = f"""
UPDATE windlass_jobs
   SET state = CASE WHEN reason = 'cancel_requested' THEN 'cancelled'
                    WHEN {_IS_POISON} THEN 'failed'
                    ELSE 'queued' END,
       reason = CASE WHEN reason = 'cancel_requested' THEN NULL
                     WHEN {_IS_POISON} THEN 'poison' END,
       ended_at = CASE WHEN reason = 'cancel_requested' OR {_IS_POISON} THEN :now END,
       losses = losses + 1,
       worker = NULL
 WHERE id = :id AND state = 'running'
RETURNING state, queue, downstream
"""  # noqa: S608

# Edge: scheduled -> queued.  Index: windlass_jobs_due.
PROMOTE_JOBS = """
UPDATE windlass_jobs SET state = 'queued', reason = NULL
 WHERE seq IN (SELECT seq FROM windlass_jobs
                WHERE state = 'scheduled' AND due_at <= :now
                ORDER BY due_at
                LIMIT :limit)
RETURNING queue
"""

# -- lookup ------------------------------------------------------------------

JOB_COLUMNS = """id, task, queue, state, reason, priority, attempt, failures, losses, fence, worker,
       payload, result, error, error_type, unique_key, retry_of, created_at, due_at, expires_at,
       started_at, ended_at, resolved_at, headers, lane, limits, held_by,
       fingerprint, upstream, result_until, kind"""

GET_JOB = f"SELECT {JOB_COLUMNS} FROM windlass_jobs WHERE id = :id"  # noqa: S608

FIND_CALL = "SELECT task, payload FROM windlass_jobs WHERE id = ?"

FIND_RESULT = """
SELECT id, task, state, reason, result, error, CASE WHEN result IS NULL THEN result_until END
  FROM windlass_jobs
 WHERE id = ? AND ended_at IS NOT NULL
"""

_FITS = """(:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
   AND (:task IS NULL OR task = :task)
   AND (:queue IS NULL OR queue = :queue)
   AND (:error_type IS NULL OR error_type = :error_type)
   AND (NOT :unresolved OR (state = 'failed' AND resolved_at IS NULL))
   AND (NOT :by_fingerprint OR fingerprint IS :fingerprint)"""

# Index: the unique one on id, read backwards.
LIST_JOBS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE (:before IS NULL OR id < :before)
   AND {_FITS}
 ORDER BY id DESC
 LIMIT :limit
"""  # noqa: S608

# Index: windlass_jobs_runs, read backwards.
LIST_RUNS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE (:before IS NULL OR id < :before)
   AND kind IS NOT NULL AND kind IN (SELECT value FROM json_each(:kinds))
   AND {_FITS}
 ORDER BY id DESC
 LIMIT :limit
"""  # noqa: S608

# Index: that of windlass_steps on its runs.
LIST_STEP_JOBS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE id IN (SELECT job_id FROM windlass_steps WHERE run_id = :run)
   AND (:before IS NULL OR id < :before)
   AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
   AND {_FITS}
 ORDER BY id DESC
 LIMIT :limit
"""  # noqa: S608

COUNT_JOBS = "SELECT queue, state, count(*) FROM windlass_jobs GROUP BY queue, state"

GROUP_BACKLOG = """
SELECT task, queue, fingerprint, count(*)
  FROM windlass_jobs
 WHERE state IN ('waiting', 'scheduled', 'queued', 'held', 'running')
 GROUP BY 1, 2, 3
 ORDER BY 1, 2, 3 NULLS FIRST
"""

# Index: windlass_jobs_dead.
GROUP_DEAD_LETTERS = """
SELECT task, coalesce(error_type, ''), reason, count(*), min(ended_at), max(ended_at), max(id)
  FROM windlass_jobs
 WHERE state = 'failed' AND resolved_at IS NULL
 GROUP BY 1, 2, 3
 ORDER BY 4 DESC, 1, 2, 3
 LIMIT :limit
"""

RESOLVE_JOB = """
UPDATE windlass_jobs SET resolved_at = :now
 WHERE id = :id AND state = 'failed' AND resolved_at IS NULL
"""

LIST_EVENTS = """
SELECT job_id, seq, at, before, after, reason, attempt, fence, worker, actor, error
  FROM windlass_events
 WHERE job_id = :id
 ORDER BY seq
"""

# -- results -----------------------------------------------------------------

# Index: windlass_jobs_results.  Not while a job that waited for it may still ask for it.
HAS_LATE_RESULTS = """
SELECT 1 FROM windlass_jobs
 WHERE result_until <= :now AND result_until IS NOT NULL AND result IS NOT NULL
   AND (downstream IS NULL OR NOT EXISTS (
        SELECT 1 FROM windlass_edges JOIN windlass_jobs AS child ON child.id = child_id
         WHERE parent_id = windlass_jobs.id AND child.ended_at IS NULL))
 LIMIT 1
"""

# Index: windlass_jobs_results.
DROP_RESULTS = """
UPDATE windlass_jobs SET result = NULL
 WHERE seq IN (SELECT seq FROM windlass_jobs
                WHERE result_until <= :now AND result_until IS NOT NULL AND result IS NOT NULL
                  AND (downstream IS NULL OR NOT EXISTS (
                       SELECT 1 FROM windlass_edges
                         JOIN windlass_jobs AS child ON child.id = child_id
                        WHERE parent_id = windlass_jobs.id AND child.ended_at IS NULL))
                ORDER BY result_until
                LIMIT :limit)
"""

# -- prune -------------------------------------------------------------------

# Index: windlass_jobs_ended.
FIND_OLD = """
SELECT id FROM windlass_jobs
 WHERE ended_at <= :horizon AND (state <> 'failed' OR resolved_at IS NOT NULL)
   AND (downstream IS NULL OR NOT EXISTS (
        SELECT 1 FROM windlass_edges JOIN windlass_jobs AS child ON child.id = child_id
         WHERE parent_id = windlass_jobs.id AND child.ended_at IS NULL))
 ORDER BY ended_at
 LIMIT :limit
"""

# Not while a job that waited for it may still ask for its result.
FIND_ENDED = """
SELECT id FROM windlass_jobs
 WHERE id = ? AND ended_at IS NOT NULL
   AND (downstream IS NULL OR NOT EXISTS (
        SELECT 1 FROM windlass_edges JOIN windlass_jobs AS child ON child.id = child_id
         WHERE parent_id = windlass_jobs.id AND child.ended_at IS NULL))
"""

DELETE_JOB = "DELETE FROM windlass_jobs WHERE id = ?"
DELETE_EVENTS = "DELETE FROM windlass_events WHERE job_id = ?"

# Full again: the same as never used.
DELETE_PACES = "DELETE FROM windlass_paces WHERE full_at_us <= :now"

# A worker that has run nothing for this long can do no harm under its old id.
DELETE_WORKERS = """
DELETE FROM windlass_workers
 WHERE ended_at <= :horizon
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs WHERE worker = windlass_workers.id)
"""
