CREATE TABLE windlass_migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
;
CREATE TABLE windlass_jobs (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    task        TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT,
    priority    INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
    attempt     INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    losses      INTEGER NOT NULL DEFAULT 0,
    fence       INTEGER NOT NULL DEFAULT 0,
    worker      TEXT,
    created_at  INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    expires_at  INTEGER,
    started_at  INTEGER,
    ended_at    INTEGER,
    resolved_at INTEGER,
    unique_key  TEXT,
    retry_of    TEXT,
    error_type  TEXT,
    payload     BLOB    NOT NULL,
    result      BLOB,
    error       BLOB, headers BLOB, lane TEXT, limits TEXT, held_by TEXT, fingerprint INTEGER, upstream INTEGER, downstream INTEGER, result_until INTEGER, kind TEXT, run_lane TEXT,
    -- OR where one would write IN: SQLite builds a table for each IN of each statement.
    CHECK (state = 'queued' OR state = 'running' OR state = 'succeeded' OR state = 'scheduled'
           OR state = 'failed' OR state = 'cancelled' OR state = 'waiting' OR state = 'held'
           OR state = 'skipped'),
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state = 'succeeded' OR state = 'failed' OR state = 'cancelled' OR state = 'skipped')
           = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX windlass_jobs_due ON windlass_jobs (due_at) WHERE state = 'scheduled';
CREATE INDEX windlass_jobs_worker ON windlass_jobs (worker) WHERE worker IS NOT NULL;
CREATE INDEX windlass_jobs_expires ON windlass_jobs (expires_at)
    WHERE expires_at IS NOT NULL AND state IN ('waiting', 'scheduled', 'queued', 'held');
CREATE INDEX windlass_jobs_dead ON windlass_jobs (id)
    WHERE state = 'failed' AND resolved_at IS NULL;
CREATE INDEX windlass_jobs_ended ON windlass_jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE UNIQUE INDEX windlass_jobs_unique ON windlass_jobs (task, unique_key)
    WHERE unique_key IS NOT NULL
      AND state IN ('waiting', 'scheduled', 'queued', 'held', 'running');
CREATE TABLE windlass_moves (
    before TEXT NOT NULL,
    after  TEXT NOT NULL,
    PRIMARY KEY (before, after)
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_workers (
    id          TEXT    PRIMARY KEY,
    host        TEXT    NOT NULL,
    pid         INTEGER NOT NULL,
    queues      TEXT    NOT NULL,
    slots       INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_us    INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    ended_at    INTEGER
, drain_at INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_events (
    job_id  TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    before  TEXT    NOT NULL,
    after   TEXT    NOT NULL,
    reason  TEXT,
    attempt INTEGER NOT NULL,
    fence   INTEGER NOT NULL,
    worker  TEXT,
    actor   TEXT,
    error   BLOB,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_sweeps (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    swept_at INTEGER
) STRICT;
CREATE INDEX windlass_jobs_claim ON windlass_jobs (queue, priority DESC, due_at, id)
    WHERE state = 'queued' AND lane IS NULL;
CREATE INDEX windlass_jobs_lanes ON windlass_jobs (queue, lane, priority DESC, due_at, id)
    WHERE state = 'queued' AND lane IS NOT NULL;
CREATE INDEX windlass_jobs_in_lanes ON windlass_jobs (lane)
    WHERE state = 'running' AND lane IS NOT NULL;
CREATE TABLE windlass_paces (
    name       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    full_at_us INTEGER NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_paces_full ON windlass_paces (full_at_us);
CREATE INDEX windlass_jobs_held ON windlass_jobs (held_by)
    WHERE state = 'held' AND held_by IS NOT NULL;
CREATE TABLE windlass_holds (
    id         TEXT    PRIMARY KEY,
    reason     TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    queue      TEXT,
    task       TEXT,
    key        TEXT,
    arguments  TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_edges (
    child_id  TEXT    NOT NULL,
    place     INTEGER NOT NULL,
    parent_id TEXT    NOT NULL,
    slot      TEXT,
    position  INTEGER, awaited INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (child_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_edges_parent ON windlass_edges (parent_id);
CREATE TABLE windlass_marks (
    name     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    job_id   TEXT    NOT NULL,
    since_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_marks_until ON windlass_marks (until_us);
CREATE INDEX windlass_jobs_results ON windlass_jobs (result_until)
    WHERE result_until IS NOT NULL AND result IS NOT NULL;
CREATE TABLE windlass_progress (
    job_id   TEXT    PRIMARY KEY,
    fence    INTEGER NOT NULL,
    fraction REAL    NOT NULL CHECK (fraction BETWEEN 0 AND 1),
    message  TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_schedules (
    name         TEXT    PRIMARY KEY,
    version      INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    status       TEXT    NOT NULL
                 CHECK (status IN ('active', 'paused', 'held', 'ended', 'removed')),
    why          TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    rule         TEXT    NOT NULL,
    call         TEXT    NOT NULL,
    declared     TEXT    NOT NULL,
    task         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    anchor_at    INTEGER NOT NULL,
    cursor_at    INTEGER NOT NULL,
    skip_until   INTEGER,
    next_at      INTEGER,
    due_at       INTEGER,
    look_back    INTEGER NOT NULL,
    started      INTEGER NOT NULL,
    misfires     INTEGER NOT NULL,
    last_fire_at INTEGER,
    last_job_id  TEXT,
    last_late_s  REAL,
    CHECK (due_at IS NULL OR status = 'active')
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_schedules_due ON windlass_schedules (due_at, name)
    WHERE due_at IS NOT NULL;
CREATE TABLE windlass_fires (
    schedule   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    fire_at    INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    count      INTEGER NOT NULL CHECK (count > 0),
    reason     TEXT,
    job_id     TEXT,
    PRIMARY KEY (schedule, version, fire_at),
    CHECK ((reason IS NULL) = (job_id IS NOT NULL)),
    CHECK (until_at >= fire_at AND (count = 1 OR job_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_fires_started ON windlass_fires (schedule, fire_at, job_id)
    WHERE job_id IS NOT NULL;
CREATE INDEX windlass_fires_decided ON windlass_fires (decided_at);
CREATE TABLE windlass_leaders (
    role     TEXT    PRIMARY KEY,
    leader   TEXT    NOT NULL,
    term     INTEGER NOT NULL,
    until_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_backfills (
    id           TEXT    PRIMARY KEY,
    schedule     TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    asked        TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    cancelled_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_backfills_schedule ON windlass_backfills (schedule, created_at);
CREATE TABLE windlass_backfill_items (
    backfill TEXT    NOT NULL,
    fire_at  INTEGER NOT NULL,
    job_id   TEXT    NOT NULL,
    PRIMARY KEY (backfill, fire_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_jobs_runs ON windlass_jobs (id) WHERE kind IS NOT NULL;
CREATE INDEX windlass_jobs_run_lanes ON windlass_jobs (run_lane)
    WHERE run_lane IS NOT NULL AND ended_at IS NULL;
CREATE TABLE windlass_waits (
    job_id    TEXT    PRIMARY KEY,
    rule      TEXT    NOT NULL,
    parents   INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    skipped   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE windlass_steps (
    job_id TEXT    PRIMARY KEY,
    run_id TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    nth    INTEGER NOT NULL,
    print  TEXT    NOT NULL,
    turn   INTEGER,
    UNIQUE (run_id, name, nth)
) STRICT, WITHOUT ROWID;
CREATE INDEX windlass_steps_run ON windlass_steps (run_id, job_id);
CREATE TRIGGER windlass_jobs_move BEFORE UPDATE OF state ON windlass_jobs
    WHEN NEW.state <> OLD.state AND NOT EXISTS (
        SELECT 1 FROM windlass_moves WHERE before = OLD.state AND after = NEW.state)
BEGIN
    SELECT RAISE(ABORT, 'a job cannot make this move');
END;
INSERT INTO windlass_migrations VALUES (1, 'jobs, workers, events', 1795297909719480);
INSERT INTO windlass_migrations VALUES (2, 'headers of jobs', 1795297909721435);
INSERT INTO windlass_migrations VALUES (3, 'limits, holds, fingerprints, edges, marks, progress', 1795297909724853);
INSERT INTO windlass_migrations VALUES (4, 'schedules, fires, leaders, backfills', 1795297909725848);
INSERT INTO windlass_migrations VALUES (5, 'runs, steps, waits by a rule', 1795297909727732);
INSERT INTO windlass_moves VALUES ('held', 'cancelled');
INSERT INTO windlass_moves VALUES ('held', 'failed');
INSERT INTO windlass_moves VALUES ('held', 'queued');
INSERT INTO windlass_moves VALUES ('held', 'scheduled');
INSERT INTO windlass_moves VALUES ('held', 'waiting');
INSERT INTO windlass_moves VALUES ('queued', 'cancelled');
INSERT INTO windlass_moves VALUES ('queued', 'failed');
INSERT INTO windlass_moves VALUES ('queued', 'held');
INSERT INTO windlass_moves VALUES ('queued', 'running');
INSERT INTO windlass_moves VALUES ('queued', 'scheduled');
INSERT INTO windlass_moves VALUES ('running', 'cancelled');
INSERT INTO windlass_moves VALUES ('running', 'failed');
INSERT INTO windlass_moves VALUES ('running', 'held');
INSERT INTO windlass_moves VALUES ('running', 'queued');
INSERT INTO windlass_moves VALUES ('running', 'scheduled');
INSERT INTO windlass_moves VALUES ('running', 'skipped');
INSERT INTO windlass_moves VALUES ('running', 'succeeded');
INSERT INTO windlass_moves VALUES ('running', 'waiting');
INSERT INTO windlass_moves VALUES ('scheduled', 'cancelled');
INSERT INTO windlass_moves VALUES ('scheduled', 'failed');
INSERT INTO windlass_moves VALUES ('scheduled', 'held');
INSERT INTO windlass_moves VALUES ('scheduled', 'queued');
INSERT INTO windlass_moves VALUES ('waiting', 'cancelled');
INSERT INTO windlass_moves VALUES ('waiting', 'failed');
INSERT INTO windlass_moves VALUES ('waiting', 'held');
INSERT INTO windlass_moves VALUES ('waiting', 'queued');
INSERT INTO windlass_moves VALUES ('waiting', 'scheduled');
INSERT INTO windlass_moves VALUES ('waiting', 'skipped');
INSERT INTO windlass_sweeps VALUES (1, NULL);
