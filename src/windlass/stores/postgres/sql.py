"""Every statement of the store, complete, as it can be prepared in psql.

``edge`` says which move a statement makes, ``index`` which one it needs to stay fast with
millions of rows.  Wake-ups are sent in the transaction that makes their reason, so they
arrive if and only if it commits; they are hints all the same.
"""

CHANNEL = "windlass"

# -- enqueue -----------------------------------------------------------------

# Edge: -> queued | scheduled.  Returns how many rows were inserted.
INSERT_JOBS = """
WITH new AS (
    INSERT INTO windlass_jobs (id, task, queue, state, reason, priority, created_at, due_at,
                               expires_at, unique_key, retry_of, payload, headers, lane, limits,
                               fingerprint, upstream, kind)
    SELECT id, task, queue,
           CASE WHEN upstream IS NOT NULL THEN 'waiting' WHEN is_due THEN 'queued'
                ELSE 'scheduled' END,
           CASE WHEN upstream IS NOT NULL THEN 'upstream' WHEN is_due THEN NULL
                ELSE 'delay' END,
           priority, now(), due_at, expires_at, unique_key, retry_of, payload, headers, lane,
           limits, fingerprint, upstream, kind
      FROM (SELECT id, task, queue, priority, unique_key, retry_of, payload, headers, lane,
                   limits, fingerprint, upstream, kind,
                   coalesce(run_at, now() + make_interval(secs => delay_s)) AS due_at,
                   coalesce(run_at, now() + make_interval(secs => delay_s))
                       <= now() + make_interval(secs => early_s) AS is_due,
                   coalesce(expires_at, now() + make_interval(secs => expires_s)) AS expires_at
              FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::float8[],
                          $6::timestamptz[], $7::float8[], $8::timestamptz[], $9::text[],
                          $10::text[], $11::bytea[], $12::bytea[], $13::text[], $14::text[],
                          $15::int[], $16::int[], $17::float8[], $18::text[])
                AS request (id, task, queue, priority, delay_s, run_at, expires_s, expires_at,
                            unique_key, retry_of, payload, headers, lane, limits,
                            fingerprint, upstream, early_s, kind)) AS due
    ON CONFLICT DO NOTHING
    RETURNING queue, state, retry_of
), resolved AS (
    UPDATE windlass_jobs AS job SET resolved_at = now()
      FROM new
     WHERE job.id = new.retry_of AND job.state = 'failed' AND job.resolved_at IS NULL
)
SELECT (SELECT count(*) FROM new),
       (SELECT count(pg_notify('windlass', topic))
          FROM (SELECT DISTINCT CASE state WHEN 'queued' THEN 'queue:' || queue
                                           ELSE 'clock' END AS topic
                  FROM new WHERE state <> 'waiting') AS topics)
"""

# The same for jobs that are due now and have nothing special, a fifth faster.
INSERT_PLAIN_JOBS = """
WITH new AS (
    INSERT INTO windlass_jobs (id, task, queue, state, priority, created_at, due_at, payload,
                               fingerprint)
    SELECT id, task, queue, 'queued', priority, now(), now(), payload, fingerprint
      FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bytea[], $6::int[])
        AS request (id, task, queue, priority, payload, fingerprint)
    ON CONFLICT DO NOTHING
    RETURNING queue
)
SELECT count(pg_notify('windlass', 'queue:' || queue))
  FROM (SELECT DISTINCT queue FROM new) AS queues
"""

# The same for calls of one task, in one queue with one priority: again a fifth faster.
INSERT_PLAIN_JOBS_OF_TASK = """
WITH new AS (
    INSERT INTO windlass_jobs (id, task, queue, state, priority, created_at, due_at, payload,
                               fingerprint)
    SELECT id, $2, $3, 'queued', $4, now(), now(), payload, $6
      FROM unnest($1::text[], $5::bytea[]) AS request (id, payload)
    ON CONFLICT DO NOTHING
    RETURNING queue
)
SELECT count(pg_notify('windlass', 'queue:' || queue))
  FROM (SELECT DISTINCT queue FROM new) AS queues
"""

# The same for one of them; a fifth faster than INSERT_JOB.
INSERT_PLAIN_JOB = """
INSERT INTO windlass_jobs (id, task, queue, state, priority, created_at, due_at, payload,
                           fingerprint)
VALUES ($1, $2, $3, 'queued', $4, now(), now(), $5, $6)
ON CONFLICT DO NOTHING
RETURNING pg_notify('windlass', 'queue:' || queue)
"""

# For one request of any kind.  Returns whether it was inserted.
INSERT_JOB = """
WITH new AS (
    INSERT INTO windlass_jobs (id, task, queue, state, reason, priority, created_at, due_at,
                               expires_at, unique_key, payload, headers, lane, limits,
                               fingerprint, kind)
    SELECT $1, $2, $3,
           CASE WHEN due_at <= now() THEN 'queued' ELSE 'scheduled' END,
           CASE WHEN due_at <= now() THEN NULL ELSE 'delay' END,
           $4, now(), due_at, coalesce($8, now() + make_interval(secs => $7)), $9, $10,
           $11, $12, $13, $14, $15
      FROM (SELECT coalesce($6::timestamptz, now() + make_interval(secs => $5)) AS due_at) AS due
    ON CONFLICT DO NOTHING
    RETURNING queue, state
)
SELECT count(*),
       count(pg_notify('windlass', CASE state WHEN 'queued' THEN 'queue:' || queue
                                              ELSE 'clock' END))
  FROM new
"""

# Who stands in the way of each insert: the same id, or a live job with the same key.
FIND_HOLDERS = """
SELECT coalesce(
           (SELECT job.id FROM windlass_jobs AS job WHERE job.id = request.id),
           (SELECT job.id FROM windlass_jobs AS job
             WHERE job.task = request.task AND job.unique_key = request.unique_key
               AND job.unique_key IS NOT NULL
               AND job.state IN ('waiting', 'scheduled', 'queued', 'held', 'running')))
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
    AS request (id, task, unique_key, position)
 ORDER BY position
"""

# -- transactions ------------------------------------------------------------

# Who stops inside of a transaction must not hold up the others: the server ends it.
BEGIN_LIMITED = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '2s'"

# The server's own limit counts from the end of a statement.  Who has sent a statement and not yet
# its arguments is not idle, and holds what the ones before it have locked; so it bears a name.
NAMED = "SET LOCAL application_name = 'windlass transaction'"

BEGIN = f"{BEGIN_LIMITED}; {NAMED}"

END_STALLED = """
SELECT count(pg_terminate_backend(pid))
  FROM pg_stat_activity
 WHERE application_name = 'windlass transaction'
   AND datname = current_database() AND usename = current_user
   AND state = 'active' AND wait_event = 'ClientRead'
   AND state_change < clock_timestamp() - interval '2 s'
"""

# -- claim -------------------------------------------------------------------

# With stale statistics the planner would sort the whole backlog for each claim; these
# forbid it that, for one transaction.  What is forbidden counts as so dear that the statement
# would be compiled each time.  A worker that stops inside of it blocks nobody long: it has locked
# nothing before its statement, and after that it is idle.
BEGIN_CLAIM = f"""
{BEGIN_LIMITED};
SET LOCAL enable_sort = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
"""

# Edge: queued -> running.  Index: windlass_jobs_claim, in its own order: no sort.
# Where a hold has to be looked at job by job, this claims nothing: the gated claim does.
CLAIM_JOBS = """
WITH mine AS MATERIALIZED (
    SELECT id FROM windlass_jobs
     WHERE state = 'queued' AND lane IS NULL AND queue = $2
       AND (expires_at IS NULL OR expires_at > now())
       AND NOT EXISTS (SELECT 1 FROM windlass_standing_holds AS hold
                        WHERE hold.queue = $2 OR NOT is_whole_queue)
     ORDER BY queue, priority DESC, due_at, id
     LIMIT $3
       FOR UPDATE SKIP LOCKED
)
UPDATE windlass_jobs AS job
   SET state = 'running', reason = NULL, fence = fence + 1, attempt = attempt + 1,
       worker = $1, started_at = now()
  FROM mine
 WHERE job.id = mine.id
   AND EXISTS (SELECT 1 FROM windlass_workers
                WHERE id = $1 AND ended_at IS NULL AND lease_until > now())
RETURNING job.priority, job.due_at, job.id, fence, attempt, failures, task, queue, payload,
          headers, lane, fingerprint, upstream IS NOT NULL,
          CASE WHEN job.due_at > now()
               THEN extract(epoch FROM job.due_at - clock_timestamp())::float8 END,
          EXISTS (SELECT 1 FROM windlass_jobs AS other
                   WHERE other.state = 'queued' AND other.lane IS NOT NULL
                     AND other.queue = $2)
       OR EXISTS (SELECT 1 FROM windlass_standing_holds WHERE NOT is_whole_queue)
"""

# The same for several queues, which are one line.  A row that was locked and not taken is
# free again at the end of the transaction.
CLAIM_JOBS_OF_QUEUES = """
WITH heads AS MATERIALIZED (
    SELECT head.id, head.priority, head.due_at
      FROM (SELECT name FROM unnest($2::text[]) AS asked (name)
             WHERE NOT EXISTS (SELECT 1 FROM windlass_standing_holds AS hold
                                WHERE hold.queue = name OR NOT is_whole_queue)) AS line
           CROSS JOIN LATERAL (
          SELECT id, priority, due_at FROM windlass_jobs
           WHERE state = 'queued' AND lane IS NULL AND queue = line.name
             AND (expires_at IS NULL OR expires_at > now())
           ORDER BY queue, priority DESC, due_at, id
           LIMIT $3
             FOR UPDATE SKIP LOCKED) AS head
), mine AS MATERIALIZED (
    SELECT id FROM heads ORDER BY priority DESC, due_at, id LIMIT $3
)
UPDATE windlass_jobs AS job
   SET state = 'running', reason = NULL, fence = fence + 1, attempt = attempt + 1,
       worker = $1, started_at = now()
  FROM mine
 WHERE job.id = mine.id
   AND EXISTS (SELECT 1 FROM windlass_workers
                WHERE id = $1 AND ended_at IS NULL AND lease_until > now())
RETURNING job.priority, job.due_at, job.id, fence, attempt, failures, task, queue, payload,
          headers, lane, fingerprint, upstream IS NOT NULL,
          CASE WHEN job.due_at > now()
               THEN extract(epoch FROM job.due_at - clock_timestamp())::float8 END,
          EXISTS (SELECT 1 FROM windlass_jobs AS other
                   WHERE other.state = 'queued' AND other.lane IS NOT NULL
                     AND other.queue = ANY ($2))
       OR EXISTS (SELECT 1 FROM windlass_standing_holds WHERE NOT is_whole_queue)
"""

# Whether a claim must look at limits or holds.  Index: windlass_jobs_lanes.
IS_GATED = """
SELECT EXISTS (SELECT 1 FROM windlass_jobs
                WHERE state = 'queued' AND lane IS NOT NULL AND queue = ANY ($1::text[]))
    OR EXISTS (SELECT 1 FROM windlass_standing_holds WHERE NOT is_whole_queue)
"""

# One at a time looks at limits and holds; the plain claims go on beside it.
LOCK_GATE = "SELECT pg_advisory_xact_lock(1464421957, 1)"

BEGIN_GATED_CLAIM = f"{BEGIN_CLAIM}; {NAMED}; {LOCK_GATE}"

# The lanes of a queue that have queued jobs, behind one of them, and their limits: a probe of
# the index windlass_jobs_lanes for each.
FIND_LANES = """
WITH RECURSIVE found (lane, limits) AS (
    (SELECT lane, limits FROM windlass_jobs
      WHERE state = 'queued' AND lane IS NOT NULL AND queue = $1 AND lane > $2
      ORDER BY queue, lane
      LIMIT 1)
    UNION ALL
    SELECT next.lane, next.limits
      FROM found CROSS JOIN LATERAL (
          SELECT lane, limits FROM windlass_jobs
           WHERE state = 'queued' AND lane IS NOT NULL AND queue = $1 AND lane > found.lane
           ORDER BY queue, lane
           LIMIT 1) AS next
)
SELECT lane, limits FROM found WHERE $3::text IS NULL OR lane <= $3 LIMIT $4
"""

# What counts for the limits of its lane: what runs in it, and a run that has left it and has not
# ended.  Indexes: windlass_jobs_in_lanes, windlass_jobs_run_lanes; no more rows than the fleet
# has slots, and begun runs.
IN_LANES = """
SELECT id, limits, lane FROM windlass_jobs WHERE state = 'running' AND lane IS NOT NULL
 UNION ALL
SELECT id, limits, run_lane FROM windlass_jobs WHERE run_lane IS NOT NULL AND ended_at IS NULL
"""

COUNT_IN_LANES = f"""
SELECT min(limits), count(*) FROM ({IN_LANES}) AS counted GROUP BY lane
"""  # noqa: S608

LIST_IN_LANES = f"SELECT id, limits FROM ({IN_LANES}) AS counted"  # noqa: S608

FIND_PACES = """
SELECT pace.name, pace.key, pace.full_at_us
  FROM unnest($1::text[], $2::text[]) AS wanted (name, key)
  JOIN windlass_paces AS pace ON pace.name = wanted.name AND pace.key = wanted.key
"""

KEEP_PACES = """
INSERT INTO windlass_paces (name, key, full_at_us)
SELECT name, key, full_at_us
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS pace (name, key, full_at_us)
ON CONFLICT (name, key) DO UPDATE SET full_at_us = excluded.full_at_us
"""

# In the instant of this transaction, which is also that of its claims.
NOW_US = "SELECT (extract(epoch FROM now()) * 1000000)::bigint"

# Heads of the line without a lane, with their payloads if asked.  Index: windlass_jobs_claim.
FIND_CLAIMABLE = """
SELECT head.id, head.priority, (extract(epoch FROM head.due_at) * 1000000)::bigint, line.name,
       NULL::text, head.task, CASE WHEN $3::bool THEN head.payload END, NULL::text
  FROM unnest($1::text[]) AS line (name) CROSS JOIN LATERAL (
      SELECT id, priority, due_at, task, payload FROM windlass_jobs
       WHERE state = 'queued' AND lane IS NULL AND queue = line.name
         AND (expires_at IS NULL OR expires_at > now())
       ORDER BY queue, priority DESC, due_at, id
       LIMIT $2
         FOR UPDATE SKIP LOCKED) AS head
"""

# Heads of lanes, so many of each.  Index: windlass_jobs_lanes, in its own order.
FIND_CLAIMABLE_OF_LANES = """
SELECT head.id, head.priority, (extract(epoch FROM head.due_at) * 1000000)::bigint, line.queue,
       line.lane, head.task, CASE WHEN $4::bool THEN head.payload END, head.limits
  FROM unnest($1::text[], $2::text[], $3::int[]) AS line (queue, lane, heads)
       CROSS JOIN LATERAL (
      SELECT id, priority, due_at, task, payload, limits FROM windlass_jobs
       WHERE state = 'queued' AND lane IS NOT NULL AND queue = line.queue AND lane = line.lane
         AND (expires_at IS NULL OR expires_at > now())
       ORDER BY queue, lane, priority DESC, due_at, id
       LIMIT line.heads) AS head
"""

# Edge: queued -> running, of the jobs that were admitted.  Index: the primary key.
CLAIM_ADMITTED = """
UPDATE windlass_jobs AS job
   SET state = 'running', reason = NULL, fence = fence + 1, attempt = attempt + 1,
       worker = $1, started_at = now()
 WHERE job.id = ANY ($2::text[]) AND state = 'queued'
   AND EXISTS (SELECT 1 FROM windlass_workers
                WHERE id = $1 AND ended_at IS NULL AND lease_until > now())
RETURNING job.id, fence, attempt, failures, task, queue, payload, headers, lane,
          fingerprint, upstream IS NOT NULL,
          CASE WHEN job.due_at > now()
               THEN extract(epoch FROM job.due_at - clock_timestamp())::float8 END
"""

# Index: windlass_jobs_worker.
LIST_HELD = """
SELECT id, fence, attempt, failures, task, queue, payload, headers, lane, fingerprint,
       upstream IS NOT NULL,
       CASE WHEN due_at > now() THEN extract(epoch FROM due_at - clock_timestamp())::float8 END
  FROM windlass_jobs
 WHERE state = 'running' AND worker = $1
 ORDER BY id
"""

# -- settle ------------------------------------------------------------------

# Edge: any move of settle.  Index: the primary key, and nothing else: a join on the worker
# or the state would be quadratic in the batch.  A running job with a cancel request that
# would be scheduled or queued again is cancelled.  Jobs for which others wait are left alone,
# unless that is asked for.  Returns the positions applied.
SETTLE_JOBS = """
WITH moved AS (
    UPDATE windlass_jobs AS job
       SET state = CASE WHEN job.reason = 'cancel_requested' AND again THEN 'cancelled'
                        ELSE after END,
           reason = CASE WHEN job.reason = 'cancel_requested' AND again THEN NULL
                         ELSE step.reason END,
           ended_at = CASE WHEN ends OR (job.reason = 'cancel_requested' AND again)
                           THEN now() END,
           due_at = CASE WHEN again AND job.reason IS DISTINCT FROM 'cancel_requested'
                         THEN now() + make_interval(secs => delay_s) ELSE job.due_at END,
           attempt = step.attempt,
           failures = step.failures,
           worker = CASE WHEN after = 'running' THEN job.worker END,
           held_by = NULL,
           result = step.result,
           error = coalesce(step.error, job.error),
           error_type = coalesce(step.error_type, job.error_type),
           result_until = now() + make_interval(secs => result_ttl_s)
      FROM (SELECT *, after IN ('scheduled', 'queued') AS again,
                   after IN ('succeeded', 'failed', 'cancelled', 'skipped') AS ends
              FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::int[],
                          $6::int[], $7::text[], $8::float8[], $9::bytea[], $10::bytea[],
                          $11::text[], $12::float8[]) WITH ORDINALITY
                AS step (id, fence, before, after, attempt, failures, reason, delay_s, result,
                         error, error_type, result_ttl_s, position)) AS step
     WHERE job.id = step.id AND job.state = step.before AND job.fence = step.fence
       AND (after <> 'running' OR (job.reason IS NULL AND step.reason = 'cancel_requested'))
       AND (job.downstream IS NULL OR $13)
    RETURNING position, job.state, job.queue, job.worker
)
SELECT (SELECT array_agg(position) FROM moved),
       (SELECT count(pg_notify('windlass', topic))
          FROM (SELECT DISTINCT CASE state WHEN 'queued' THEN 'queue:' || queue
                                           WHEN 'scheduled' THEN 'clock'
                                           WHEN 'running' THEN 'worker:' || worker
                                           WHEN 'waiting' THEN NULL
                                           WHEN 'held' THEN NULL
                                           ELSE 'done' END AS topic
                  FROM moved) AS topics
         WHERE topic IS NOT NULL)
"""

# Locks the rows in the order of their ids, and keeps who held each of them.
HOLD_JOBS = """
SELECT job.id, job.worker, job.downstream IS NOT NULL
  FROM windlass_jobs AS job
 WHERE job.id = ANY ($1::text[])
 ORDER BY job.id
   FOR UPDATE
"""

# What has been done to each row of a batch, as the row is now.
WRITE_EVENTS = """
INSERT INTO windlass_events (job_id, seq, at, before, after, reason, attempt, fence, worker,
                             actor, error)
SELECT job.id,
       1 + (SELECT coalesce(max(seq), 0) FROM windlass_events WHERE job_id = job.id),
       now(), act.before, job.state, job.reason, job.attempt, job.fence, act.worker, act.actor,
       act.error
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    AS act (id, before, worker, actor, error)
  JOIN windlass_jobs AS job ON job.id = act.id
"""

# -- leases ------------------------------------------------------------------

# Nothing happens to a row that a sweep has ended.
RENEW_LEASE = """
WITH lease AS (
    INSERT INTO windlass_workers AS worker
           (id, host, pid, queues, slots, started_at, lease_until, lock_key)
    VALUES ($1, $2, $3, $4, $5, now(), now() + make_interval(secs => $6), $7)
    ON CONFLICT (id) DO UPDATE
       SET host = excluded.host, pid = excluded.pid, queues = excluded.queues,
           slots = excluded.slots, lease_until = excluded.lease_until,
           lock_key = excluded.lock_key, silent_at = NULL
     WHERE worker.ended_at IS NULL
    RETURNING id
)
SELECT EXISTS (SELECT 1 FROM lease),
       (SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM windlass_jobs
         WHERE state = 'running' AND worker = $1 AND reason = 'cancel_requested'),
       EXISTS (SELECT 1 FROM windlass_workers WHERE id = $1 AND drain_at IS NOT NULL)
"""

DRAIN_WORKER = """
UPDATE windlass_workers SET drain_at = now() WHERE id = $1 AND ended_at IS NULL
RETURNING pg_notify('windlass', 'worker:' || id)
"""

END_LEASE = """
UPDATE windlass_workers SET ended_at = now(), lease_until = now()
 WHERE id = $1 AND ended_at IS NULL
"""

LIST_WORKERS = """
SELECT id, host, pid, queues, slots,
       (SELECT count(*) FROM windlass_jobs
         WHERE state = 'running' AND worker = windlass_workers.id),
       started_at, lease_until
  FROM windlass_workers
 WHERE ended_at IS NULL
 ORDER BY started_at, id
"""

# -- sweep -------------------------------------------------------------------

# What a sweep would find: a read, so that an idle store is not written.
# Indexes: windlass_jobs_due, _expires, _worker.
LOOK = f"""
SELECT EXISTS (SELECT 1 FROM windlass_jobs WHERE state = 'scheduled' AND due_at <= now())
    OR EXISTS (SELECT 1 FROM windlass_workers WHERE ended_at IS NULL AND lease_until <= now())
    OR EXISTS (SELECT 1 FROM windlass_silent_workers)
    OR EXISTS (SELECT 1 FROM windlass_workers JOIN windlass_jobs
                   ON state = 'running' AND worker = windlass_workers.id
                WHERE windlass_workers.ended_at IS NOT NULL)
    OR EXISTS (SELECT 1 FROM windlass_jobs
                WHERE expires_at <= now() AND expires_at IS NOT NULL
                  AND state IN ('waiting', 'scheduled', 'queued', 'held')),
       EXISTS (SELECT 1 FROM windlass_holds WHERE ended_at IS NOT NULL OR expires_at <= now()),
       ({END_STALLED})
"""  # noqa: S608

# A lease that is over; or a worker that was silent long enough to have connected again.
END_LEASES = """
UPDATE windlass_workers SET ended_at = now()
 WHERE id IN (SELECT id FROM windlass_workers
               WHERE ended_at IS NULL
                 AND (lease_until <= now()
                      OR (silent_at <= now() - interval '400 ms'
                          AND id IN (SELECT id FROM windlass_silent_workers)))
                 FOR UPDATE SKIP LOCKED)
"""

MARK_SILENT = """
UPDATE windlass_workers SET silent_at = now()
 WHERE id IN (SELECT worker.id
                FROM windlass_workers AS worker
                JOIN windlass_silent_workers AS silent ON silent.id = worker.id
               WHERE worker.ended_at IS NULL AND worker.silent_at IS NULL
                 FOR UPDATE OF worker SKIP LOCKED)
"""

TAKE_LOCK = "SELECT pg_try_advisory_lock(1464421956, $1)"
DROP_LOCK = "SELECT pg_advisory_unlock(1464421956, $1)"

# Edge: waiting | scheduled | queued | held -> failed.  Index: windlass_jobs_expires.
EXPIRE_JOBS = """
WITH late AS MATERIALIZED (
    SELECT id, state AS before FROM windlass_jobs
     WHERE expires_at <= now() AND expires_at IS NOT NULL
       AND state IN ('waiting', 'scheduled', 'queued', 'held')
     ORDER BY expires_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
)
UPDATE windlass_jobs AS job SET state = 'failed', reason = 'expired', ended_at = now()
  FROM late
 WHERE job.id = late.id
RETURNING job.id, late.before, NULL::text, job.state, job.queue
"""

_IS_POISON = "(losses + 1 >= $2 AND kind IS DISTINCT FROM 'workflow')"

# Edge: running -> cancelled | failed | queued.  Index: windlass_jobs_worker.  A workflow's steps
# must end before it does: who claims it next ends them.
RESCUE_JOBS = f"""
WITH lost AS MATERIALIZED (
    SELECT job.id, job.worker FROM windlass_workers AS worker
      JOIN windlass_jobs AS job ON job.state = 'running' AND job.worker = worker.id
     WHERE worker.ended_at IS NOT NULL
     LIMIT $1
       FOR UPDATE OF job SKIP LOCKED
)
UPDATE windlass_jobs AS job
   SET state = CASE WHEN reason = 'cancel_requested' THEN 'cancelled'
                    WHEN {_IS_POISON} THEN 'failed'
                    ELSE 'queued' END,
       reason = CASE WHEN reason = 'cancel_requested' THEN NULL
                     WHEN {_IS_POISON} THEN 'poison' END,
       ended_at = CASE WHEN reason = 'cancel_requested' OR {_IS_POISON} THEN now() END,
       losses = losses + 1,
       worker = NULL
  FROM lost
 WHERE job.id = lost.id AND job.state = 'running' AND job.worker = lost.worker
RETURNING job.id, 'running', lost.worker, job.state, job.queue
"""  # noqa: S608

# Edge: scheduled -> queued.  Index: windlass_jobs_due.
PROMOTE_JOBS = """
WITH due AS MATERIALIZED (
    SELECT id FROM windlass_jobs
     WHERE state = 'scheduled' AND due_at <= now()
     ORDER BY due_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
)
UPDATE windlass_jobs AS job SET state = 'queued', reason = NULL
  FROM due
 WHERE job.id = due.id
RETURNING job.queue
"""

NEXT_DUE = """
SELECT extract(epoch FROM min(due_at) - now())::float8,
       EXISTS (SELECT 1 FROM windlass_workers WHERE ended_at IS NULL AND silent_at IS NOT NULL)
  FROM windlass_jobs
 WHERE state = 'scheduled'
"""

NOTIFY = "SELECT pg_notify('windlass', topic) FROM unnest($1::text[]) AS topics (topic)"

# -- lookup ------------------------------------------------------------------

JOB_COLUMNS = """id, task, queue, state, reason, priority, attempt, failures, losses, fence, worker,
       payload, result, error, error_type, unique_key, retry_of, created_at, due_at, expires_at,
       started_at, ended_at, resolved_at, headers, lane, limits, held_by,
       fingerprint, upstream, result_until, kind"""

FIND_CALL = "SELECT task, payload FROM windlass_jobs WHERE id = $1"

GET_JOB = f"SELECT {JOB_COLUMNS} FROM windlass_jobs WHERE id = $1"  # noqa: S608

NARROWED = """($1::text IS NULL OR id < $1)
   AND ($2::text[] IS NULL OR state = ANY ($2))
   AND ($3::text IS NULL OR task = $3)
   AND ($4::text IS NULL OR queue = $4)
   AND ($5::text IS NULL OR error_type = $5)
   AND (NOT $6::bool OR (state = 'failed' AND resolved_at IS NULL))
   AND (NOT $8::bool OR fingerprint IS NOT DISTINCT FROM $9::int)"""

# Index: the primary key, read backwards.
LIST_JOBS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE {NARROWED}
 ORDER BY id DESC
 LIMIT $7
"""  # noqa: S608

# Index: windlass_jobs_runs, read backwards.
LIST_RUNS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE {NARROWED}
   AND kind IS NOT NULL AND kind = ANY ($10::text[])
 ORDER BY id DESC
 LIMIT $7
"""  # noqa: S608

# Index: windlass_steps_run, read backwards.
LIST_STEP_JOBS = f"""
SELECT {JOB_COLUMNS}
  FROM windlass_jobs
 WHERE id IN (SELECT job_id FROM windlass_steps WHERE run_id = $11)
   AND {NARROWED}
   AND ($10::text[] IS NULL OR kind = ANY ($10))
 ORDER BY id DESC
 LIMIT $7
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
 LIMIT $1
"""

RESOLVE_JOBS = """
UPDATE windlass_jobs SET resolved_at = now()
 WHERE id = ANY ($1::text[]) AND state = 'failed' AND resolved_at IS NULL
RETURNING id
"""

LIST_EVENTS = """
SELECT job_id, seq, at, before, after, reason, attempt, fence, worker, actor, error
  FROM windlass_events
 WHERE job_id = $1
 ORDER BY seq
"""

# -- prune -------------------------------------------------------------------

# Index: windlass_jobs_ended.
PRUNE_JOBS = """
WITH old AS MATERIALIZED (
    SELECT id FROM windlass_jobs
     WHERE ended_at <= now() - make_interval(secs => $1)
       AND (state <> 'failed' OR resolved_at IS NOT NULL)
       AND (downstream IS NULL OR (
              SELECT true FROM windlass_edges AS edge JOIN windlass_jobs AS child
                  ON child.id = edge.child_id
               WHERE edge.parent_id = windlass_jobs.id AND child.ended_at IS NULL
               LIMIT 1) IS NULL)
     ORDER BY ended_at
     LIMIT $2
       FOR UPDATE SKIP LOCKED
), forgotten AS (
    DELETE FROM windlass_events USING old WHERE job_id = old.id
), loosened AS (
    DELETE FROM windlass_edges USING old WHERE child_id = old.id
), waited AS (
    DELETE FROM windlass_waits USING old WHERE job_id = old.id
), listed AS (
    DELETE FROM windlass_steps USING old WHERE job_id = old.id
), gone AS (
    DELETE FROM windlass_jobs AS job USING old WHERE job.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
"""

# Full again: the same as never used.
PRUNE_PACES = """
DELETE FROM windlass_paces WHERE full_at_us <= (extract(epoch FROM now()) * 1000000)::bigint
"""

# Not while a job that waited for it may still ask for its result.
DELETE_ENDED = """
WITH gone AS (
    DELETE FROM windlass_jobs
     WHERE id = ANY ($1::text[]) AND ended_at IS NOT NULL
       AND (downstream IS NULL OR (
              SELECT true FROM windlass_edges AS edge JOIN windlass_jobs AS child
                  ON child.id = edge.child_id
               WHERE edge.parent_id = windlass_jobs.id AND child.ended_at IS NULL
               LIMIT 1) IS NULL)
    RETURNING id
), forgotten AS (
    DELETE FROM windlass_events USING gone WHERE job_id = gone.id
), loosened AS (
    DELETE FROM windlass_edges USING gone WHERE child_id = gone.id
), waited AS (
    DELETE FROM windlass_waits USING gone WHERE job_id = gone.id
), listed AS (
    DELETE FROM windlass_steps USING gone WHERE job_id = gone.id
)
SELECT count(*) FROM gone
"""

# A worker that has run nothing for this long can do no harm under its old id.
PRUNE_WORKERS = """
DELETE FROM windlass_workers
 WHERE ended_at <= now() - interval '1 day'
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs
                    WHERE state = 'running' AND worker = windlass_workers.id)
"""
