"""The statements about schedules, their outcomes, and who leads."""

SCHEDULE_COLUMNS = """name, version, revision, status, why, origin, rule, call, declared, task,
       created_at, anchor_at, cursor_at, skip_until, next_at, due_at, look_back,
       started, misfires, last_fire_at, last_job_id, last_late_s"""

SCHEDULE_ROWS = """
    unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
           $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[],
           $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
           $17::int[], $18::bigint[], $19::bigint[], $20::timestamptz[], $21::text[], $22::float8[])
        AS edited (name, version, revision, status, why, origin, rule, call, declared, task,
                   created_at, anchor_at, cursor_at, skip_until, next_at, due_at, look_back,
                   started, misfires, last_fire_at, last_job_id, last_late_s)"""

# The instant comes first in each row, and there is a row even where nothing is found.
FIND_SCHEDULES = f"""
SELECT clock_timestamp(), {SCHEDULE_COLUMNS}
  FROM (SELECT 1) AS one LEFT JOIN windlass_schedules ON name = ANY ($1::text[])
 ORDER BY name
"""  # noqa: S608

LIST_SCHEDULES = f"""
SELECT clock_timestamp(), {SCHEDULE_COLUMNS}
  FROM (SELECT 1) AS one
  LEFT JOIN (SELECT * FROM windlass_schedules
              WHERE name > $1 AND CASE WHEN $3::text IS NULL THEN status <> 'removed'
                                       ELSE status = $3 END
              ORDER BY name LIMIT $2) AS page ON true
 ORDER BY name
"""  # noqa: S608

ADD_SCHEDULES = f"""
INSERT INTO windlass_schedules ({SCHEDULE_COLUMNS})
SELECT {SCHEDULE_COLUMNS} FROM {SCHEDULE_ROWS}
ON CONFLICT (name) DO NOTHING
RETURNING name
"""  # noqa: S608

# Edits: all of the rows, where nobody has written them since they were read.  Locked in the
# order of their names, so that two batches never wait for each other.
EDIT_SCHEDULES = f"""
WITH locked AS (
    SELECT name, revision FROM windlass_schedules
     WHERE name = ANY ($1::text[]) ORDER BY name FOR UPDATE
)
UPDATE windlass_schedules AS stored
   SET version = edited.version, revision = edited.revision, status = edited.status,
       why = edited.why, origin = edited.origin, rule = edited.rule, call = edited.call,
       declared = edited.declared, task = edited.task, created_at = edited.created_at,
       anchor_at = edited.anchor_at, cursor_at = edited.cursor_at,
       skip_until = edited.skip_until, next_at = edited.next_at, due_at = edited.due_at,
       look_back = edited.look_back, started = edited.started, misfires = edited.misfires,
       last_fire_at = edited.last_fire_at, last_job_id = edited.last_job_id,
       last_late_s = edited.last_late_s
  FROM {SCHEDULE_ROWS}, locked
 WHERE stored.name = edited.name AND locked.name = edited.name
   AND locked.revision = edited.revision - 1
RETURNING stored.name
"""  # noqa: S608

# Fires: what they move on, under the same guard.  The rows come in the order of their names, so
# that two batches hardly ever wait for each other; where they do, one of them is tried again.
ADVANCE_SCHEDULES = """
UPDATE windlass_schedules AS stored
   SET revision = moved.revision, status = moved.status, why = moved.why,
       cursor_at = moved.cursor_at, skip_until = moved.skip_until, next_at = moved.next_at,
       due_at = moved.due_at, started = moved.started, misfires = moved.misfires,
       last_fire_at = moved.last_fire_at, last_job_id = moved.last_job_id,
       last_late_s = moved.last_late_s
  FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[],
              $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::bigint[],
              $10::bigint[], $11::timestamptz[], $12::text[], $13::float8[])
         AS moved (name, revision, status, why, cursor_at, skip_until, next_at, due_at, started,
                   misfires, last_fire_at, last_job_id, last_late_s)
 WHERE stored.name = moved.name AND stored.revision = moved.revision - 1
RETURNING stored.name
"""

# Index: windlass_schedules_due, then windlass_fires_started for each that wants to look back.
FIND_DUE = f"""
SELECT now(), {SCHEDULE_COLUMNS}, recent
  FROM (SELECT * FROM windlass_schedules
         WHERE due_at <= now() + make_interval(secs => $2)
         ORDER BY due_at, name LIMIT $1) AS due
  LEFT JOIN LATERAL (
       SELECT array_agg(ROW (job_id, fire_at, state) ORDER BY fire_at DESC) AS recent
         FROM (SELECT fires.job_id, fires.fire_at, jobs.state
                 FROM windlass_fires AS fires
                 LEFT JOIN windlass_jobs AS jobs ON jobs.id = fires.job_id
                WHERE fires.schedule = due.name AND fires.job_id IS NOT NULL
                ORDER BY fires.fire_at DESC LIMIT due.look_back) AS newest) AS looked ON true
 ORDER BY due_at, name
"""  # noqa: S608

NEXT_DUE = """
SELECT now(),
       (SELECT extract(epoch FROM min(due_at) - now())::float8
          FROM windlass_schedules WHERE due_at IS NOT NULL)
"""

# The key of the table says it: one outcome for each tick, whoever leads.
ADD_FIRES = """
INSERT INTO windlass_fires
    (schedule, version, fire_at, until_at, decided_at, count, reason, job_id)
SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[],
                     $5::timestamptz[], $6::bigint[], $7::text[], $8::text[])
ON CONFLICT (schedule, version, fire_at) DO NOTHING
RETURNING job_id
"""

STAND_FOR = """
UPDATE windlass_fires SET job_id = $1 WHERE schedule = $2 AND version = $3 AND fire_at = $4
"""

# Index: the primary key, read backwards: a later version has later ticks.
LIST_FIRES = """
SELECT schedule, version, fire_at, until_at, decided_at, count, reason, job_id
  FROM windlass_fires
 WHERE schedule = $1 AND ($2::timestamptz IS NULL OR fire_at < $2)
 ORDER BY version DESC, fire_at DESC LIMIT $3
"""

# Index: windlass_fires_decided.
PRUNE_FIRES = """
WITH old AS (
    SELECT schedule, version, fire_at FROM windlass_fires
     WHERE decided_at < now() - make_interval(secs => $1) LIMIT $2
), pruned AS (
    DELETE FROM windlass_fires AS fires USING old
     WHERE fires.schedule = old.schedule AND fires.version = old.version
       AND fires.fire_at = old.fire_at
    RETURNING 1
)
SELECT count(*) FROM pruned
"""

PRUNE_SCHEDULES = """
DELETE FROM windlass_schedules
 WHERE status = 'removed'
   AND NOT EXISTS (SELECT 1 FROM windlass_fires WHERE schedule = name)
"""

# Fires reach their rows by name; without statistics the planner would read all schedules.
PLAN_BY_NAME = """
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off
"""

# Locked: no other can take the lead before this transaction has ended.
LOCK_TERM = """
SELECT 1 FROM windlass_leaders
 WHERE role = 'scheduler' AND leader = $1 AND term = $2 AND until_at > clock_timestamp()
   FOR UPDATE
"""

# The lease of another is respected, unless it ends later than any lease can: then the clock
# was set back, and nobody may live who took it.
# Who gives up on an answer leaves its statement behind, waiting in the server: not for long.
WAIT_SHORTLY = "SET LOCAL lock_timeout = '500ms'"

LEAD = """
INSERT INTO windlass_leaders AS stands (role, leader, term, until_at)
VALUES ('scheduler', $1, 1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (role) DO UPDATE
   SET term = stands.term + CASE WHEN stands.leader = excluded.leader THEN 0 ELSE 1 END,
       leader = excluded.leader,
       until_at = clock_timestamp() + make_interval(secs => $2)
 WHERE stands.leader = excluded.leader OR stands.until_at <= clock_timestamp()
    OR stands.until_at > clock_timestamp() + make_interval(secs => $3)
"""

FIND_LEADER = """
SELECT leader, term, extract(epoch FROM until_at - clock_timestamp())::float8
  FROM windlass_leaders WHERE role = 'scheduler'
"""

RESIGN = """
WITH resigned AS (
    UPDATE windlass_leaders SET until_at = clock_timestamp()
     WHERE role = 'scheduler' AND leader = $1 AND until_at > clock_timestamp()
    RETURNING 1
)
SELECT count(pg_notify('windlass', 'schedules')) FROM resigned
"""
