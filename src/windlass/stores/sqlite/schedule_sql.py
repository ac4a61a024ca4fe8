"""The statements about schedules, their outcomes, and who leads."""

SCHEDULE_COLUMNS = """name, version, revision, status, why, origin, rule, call, declared, task,
       created_at, anchor_at, cursor_at, skip_until, next_at, due_at, look_back,
       started, misfires, last_fire_at, last_job_id, last_late_s"""

FIND_SCHEDULE = f"SELECT {SCHEDULE_COLUMNS} FROM windlass_schedules WHERE name = :name"  # noqa: S608

LIST_SCHEDULES = f"""
SELECT {SCHEDULE_COLUMNS} FROM windlass_schedules
 WHERE name > :after AND CASE WHEN :status IS NULL THEN status <> 'removed'
                              ELSE status = :status END
 ORDER BY name LIMIT :limit
"""  # noqa: S608

ADD_SCHEDULE = f"""
INSERT INTO windlass_schedules ({SCHEDULE_COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO NOTHING
"""  # noqa: S608

# An edit: all of the row, if nobody has written it since it was read.
EDIT_SCHEDULE = f"""
UPDATE windlass_schedules
   SET ({SCHEDULE_COLUMNS})
     = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
 WHERE name = ? AND revision = ?
"""  # noqa: S608

# A fire: what it moves on, under the same guard.
ADVANCE_SCHEDULE = """
UPDATE windlass_schedules
   SET revision = ?, status = ?, why = ?, cursor_at = ?, skip_until = ?, next_at = ?, due_at = ?,
       started = ?, misfires = ?, last_fire_at = ?, last_job_id = ?, last_late_s = ?
 WHERE name = ? AND revision = ?
"""

# Index: windlass_schedules_due.
FIND_DUE = f"""
SELECT {SCHEDULE_COLUMNS} FROM windlass_schedules
 WHERE due_at <= :now ORDER BY due_at, name LIMIT :limit
"""  # noqa: S608

NEXT_DUE = "SELECT min(due_at) FROM windlass_schedules WHERE due_at IS NOT NULL"

# Index: windlass_fires_started.
FIND_RECENT = """
SELECT fires.job_id, fires.fire_at, jobs.state
  FROM windlass_fires AS fires LEFT JOIN windlass_jobs AS jobs ON jobs.id = fires.job_id
 WHERE fires.schedule = :name AND fires.job_id IS NOT NULL
 ORDER BY fires.fire_at DESC LIMIT :limit
"""

# The key of the table says it: one outcome for each tick, whoever leads.
ADD_FIRE = """
INSERT INTO windlass_fires
    (schedule, version, fire_at, until_at, decided_at, count, reason, job_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (schedule, version, fire_at) DO NOTHING
"""

STAND_FOR = """
UPDATE windlass_fires SET job_id = ? WHERE schedule = ? AND version = ? AND fire_at = ?
"""

# Index: the primary key, read backwards: a later version has later ticks.
LIST_FIRES = """
SELECT schedule, version, fire_at, until_at, decided_at, count, reason, job_id
  FROM windlass_fires
 WHERE schedule = :name AND (:before IS NULL OR fire_at < :before)
 ORDER BY version DESC, fire_at DESC LIMIT :limit
"""

# Index: windlass_fires_decided.
PRUNE_FIRES = """
DELETE FROM windlass_fires WHERE (schedule, version, fire_at) IN (
    SELECT schedule, version, fire_at FROM windlass_fires
     WHERE decided_at < :before ORDER BY decided_at LIMIT :limit)
"""

PRUNE_SCHEDULES = """
DELETE FROM windlass_schedules
 WHERE status = 'removed'
   AND NOT EXISTS (SELECT 1 FROM windlass_fires WHERE schedule = windlass_schedules.name)
"""

# The lease of another is respected, unless it ends later than any lease can: then the clock
# was set back, and nobody may live who took it.
LEAD = """
INSERT INTO windlass_leaders (role, leader, term, until_at)
VALUES ('scheduler', :candidate, 1, :now + :lease)
ON CONFLICT (role) DO UPDATE
   SET term = term + (leader <> excluded.leader), leader = excluded.leader,
       until_at = excluded.until_at
 WHERE leader = excluded.leader OR until_at <= :now OR until_at > :now + :lease_max
"""

FIND_LEADER = "SELECT leader, term, until_at FROM windlass_leaders WHERE role = 'scheduler'"

RESIGN = """
UPDATE windlass_leaders SET until_at = :now
 WHERE role = 'scheduler' AND leader = :leader AND until_at > :now
"""
