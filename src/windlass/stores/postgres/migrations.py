"""The schema, as numbered steps that only go forward.

Each step runs in one transaction with its own line in ``windlass_migrations``, under a lock
that makes other processes wait.  A step that was released is never edited.
"""

from windlass.stores.migration import Migration

# Any number will do, as long as every Windlass takes the same.
LOCK = "SELECT pg_advisory_xact_lock(8241995117093821301)"

JOURNAL = """
CREATE TABLE IF NOT EXISTS windlass_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

HAS_JOURNAL = "SELECT to_regclass('windlass_migrations') IS NOT NULL"

APPLIED = "SELECT coalesce(max(number), 0) FROM windlass_migrations"

RECORD = "INSERT INTO windlass_migrations (number, name) VALUES ($1, $2)"


FIRST = """
CREATE TABLE windlass_jobs (
    id          text COLLATE "C" PRIMARY KEY,
    task        text COLLATE "C" NOT NULL,
    queue       text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'scheduled', 'queued',
                    'held', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
    reason      text COLLATE "C",
    priority    smallint NOT NULL CHECK (priority BETWEEN -100 AND 100),
    attempt     integer NOT NULL DEFAULT 0,
    failures    integer NOT NULL DEFAULT 0,
    losses      integer NOT NULL DEFAULT 0,
    fence       bigint NOT NULL DEFAULT 0,
    worker      text COLLATE "C",
    created_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    expires_at  timestamptz,
    started_at  timestamptz,
    ended_at    timestamptz,
    resolved_at timestamptz,
    unique_key  text COLLATE "C",
    retry_of    text COLLATE "C",
    error_type  text COLLATE "C",
    payload     bytea NOT NULL,
    result      bytea,
    error       bytea,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled', 'skipped')) = (ended_at IS NOT NULL))
);
-- Rows are updated twice in their life and then stay: room on the page keeps the first
-- update beside the row, and dead versions are cleared before they slow the claim.
ALTER TABLE windlass_jobs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0);

CREATE INDEX windlass_jobs_claim ON windlass_jobs (queue, priority DESC, due_at, id)
    WHERE state = 'queued';
CREATE INDEX windlass_jobs_due ON windlass_jobs (due_at) WHERE state = 'scheduled';
CREATE INDEX windlass_jobs_worker ON windlass_jobs (worker) WHERE state = 'running';
CREATE INDEX windlass_jobs_expires ON windlass_jobs (expires_at)
    WHERE expires_at IS NOT NULL AND state IN ('waiting', 'scheduled', 'queued', 'held');
CREATE INDEX windlass_jobs_dead ON windlass_jobs (id)
    WHERE state = 'failed' AND resolved_at IS NULL;
CREATE INDEX windlass_jobs_ended ON windlass_jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE UNIQUE INDEX windlass_jobs_unique ON windlass_jobs (task, unique_key)
    WHERE unique_key IS NOT NULL
      AND state IN ('waiting', 'scheduled', 'queued', 'held', 'running');

CREATE FUNCTION windlass_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a job cannot move from % to %', OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END
$$;
-- The two moves of the happy path stand first: the list is read from its head.
CREATE TRIGGER windlass_jobs_move BEFORE UPDATE OF state ON windlass_jobs FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('queued', 'running'), ('running', 'succeeded'),
        ('waiting', 'scheduled'), ('waiting', 'queued'), ('waiting', 'held'),
        ('waiting', 'cancelled'), ('waiting', 'skipped'), ('waiting', 'failed'),
        ('scheduled', 'queued'), ('scheduled', 'held'),
        ('scheduled', 'cancelled'), ('scheduled', 'failed'),
        ('queued', 'held'),
        ('queued', 'cancelled'), ('queued', 'failed'),
        ('held', 'waiting'), ('held', 'scheduled'), ('held', 'queued'),
        ('held', 'cancelled'), ('held', 'failed'),
        ('running', 'waiting'), ('running', 'scheduled'), ('running', 'queued'),
        ('running', 'held'), ('running', 'failed'),
        ('running', 'cancelled'), ('running', 'skipped')))
    EXECUTE FUNCTION windlass_refuse_move();

CREATE TABLE windlass_workers (
    id          text COLLATE "C" PRIMARY KEY,
    host        text NOT NULL,
    pid         integer NOT NULL,
    queues      text[] NOT NULL,
    slots       integer NOT NULL,
    started_at  timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    lock_key    integer,
    silent_at   timestamptz,
    ended_at    timestamptz
);

-- A worker whose session has gone lost its advisory lock: the hint that it was killed.  Just
-- after a restart of the server nobody has a lock yet.  1464421956 is "WIND" in ASCII.
CREATE VIEW windlass_silent_workers AS
SELECT id FROM windlass_workers
 WHERE ended_at IS NULL AND lock_key IS NOT NULL
   AND now() - pg_postmaster_start_time() > interval '5 s'
   AND NOT EXISTS (SELECT 1 FROM pg_locks
                    WHERE locktype = 'advisory' AND classid = 1464421956 AND objsubid = 2
                      AND objid = lock_key::oid AND granted
                      AND database = (SELECT oid FROM pg_database
                                       WHERE datname = current_database()));

CREATE TABLE windlass_events (
    job_id  text COLLATE "C" NOT NULL,
    seq     integer NOT NULL,
    at      timestamptz NOT NULL,
    before  text COLLATE "C" NOT NULL,
    after   text COLLATE "C" NOT NULL,
    reason  text COLLATE "C",
    attempt integer NOT NULL,
    fence   bigint NOT NULL,
    worker  text COLLATE "C",
    actor   text,
    error   bytea,
    PRIMARY KEY (job_id, seq)
);
"""

HEADERS = "ALTER TABLE windlass_jobs ADD COLUMN headers bytea"

LIMITS = """
ALTER TABLE windlass_jobs ADD COLUMN lane text COLLATE "C", ADD COLUMN limits text COLLATE "C";

-- Jobs under limits stand in lines of their own, where they hold up nobody else.
DROP INDEX windlass_jobs_claim;
CREATE INDEX windlass_jobs_claim ON windlass_jobs (queue, priority DESC, due_at, id)
    WHERE state = 'queued' AND lane IS NULL;
CREATE INDEX windlass_jobs_lanes ON windlass_jobs (queue, lane, priority DESC, due_at, id)
    WHERE state = 'queued' AND lane IS NOT NULL;
CREATE INDEX windlass_jobs_in_lanes ON windlass_jobs (lane)
    WHERE state = 'running' AND lane IS NOT NULL;

CREATE TABLE windlass_paces (
    name       text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    full_at_us bigint NOT NULL,
    PRIMARY KEY (name, key)
);
CREATE INDEX windlass_paces_full ON windlass_paces (full_at_us);
"""

OPERATORS = """
ALTER TABLE windlass_jobs ADD COLUMN held_by text COLLATE "C";
CREATE INDEX windlass_jobs_held ON windlass_jobs (held_by)
    WHERE state = 'held' AND held_by IS NOT NULL;

CREATE TABLE windlass_holds (
    id         text COLLATE "C" PRIMARY KEY,
    reason     text COLLATE "C" NOT NULL,
    actor      text NOT NULL,
    why        text NOT NULL,
    queue      text COLLATE "C",
    task       text COLLATE "C",
    key        text COLLATE "C",
    arguments  text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at   timestamptz
);

-- Those in force.  A whole queue is held by leaving it out of the claims.
CREATE VIEW windlass_standing_holds AS
SELECT id, reason, queue, task, key, arguments, created_at,
       queue IS NOT NULL AND task IS NULL AND key IS NULL AND arguments IS NULL AS is_whole_queue
  FROM windlass_holds
 WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > now());

DROP TRIGGER windlass_jobs_move ON windlass_jobs;
CREATE TRIGGER windlass_jobs_move BEFORE UPDATE OF state ON windlass_jobs FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('queued', 'running'), ('running', 'succeeded'),
        ('waiting', 'scheduled'), ('waiting', 'queued'), ('waiting', 'held'),
        ('waiting', 'cancelled'), ('waiting', 'skipped'), ('waiting', 'failed'),
        ('scheduled', 'queued'), ('scheduled', 'held'),
        ('scheduled', 'cancelled'), ('scheduled', 'failed'),
        ('queued', 'scheduled'), ('queued', 'held'),
        ('queued', 'cancelled'), ('queued', 'failed'),
        ('held', 'waiting'), ('held', 'scheduled'), ('held', 'queued'),
        ('held', 'cancelled'), ('held', 'failed'),
        ('running', 'waiting'), ('running', 'scheduled'), ('running', 'queued'),
        ('running', 'held'), ('running', 'failed'),
        ('running', 'cancelled'), ('running', 'skipped')))
    EXECUTE FUNCTION windlass_refuse_move();

ALTER TABLE windlass_workers ADD COLUMN drain_at timestamptz;
"""

FINGERPRINT = "ALTER TABLE windlass_jobs ADD COLUMN fingerprint integer"

EDGES = """
ALTER TABLE windlass_jobs ADD COLUMN upstream integer, ADD COLUMN downstream boolean;

CREATE TABLE windlass_edges (
    child_id  text COLLATE "C" NOT NULL,
    place     integer NOT NULL,
    parent_id text COLLATE "C" NOT NULL,
    slot      text COLLATE "C",
    position  integer,
    PRIMARY KEY (child_id, place)
);
CREATE INDEX windlass_edges_parent ON windlass_edges (parent_id);
"""

MARKS = """
CREATE TABLE windlass_marks (
    name     text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    job_id   text COLLATE "C" NOT NULL,
    since_us bigint NOT NULL,
    until_us bigint NOT NULL,
    PRIMARY KEY (name, key)
);
CREATE INDEX windlass_marks_until ON windlass_marks (until_us);
"""

RESULTS = """
ALTER TABLE windlass_jobs ADD COLUMN result_until timestamptz;
CREATE INDEX windlass_jobs_results ON windlass_jobs (result_until)
    WHERE result_until IS NOT NULL AND result IS NOT NULL;

CREATE TABLE windlass_progress (
    job_id   text COLLATE "C" PRIMARY KEY REFERENCES windlass_jobs (id) ON DELETE CASCADE,
    fence    bigint NOT NULL,
    fraction float8 NOT NULL CHECK (fraction BETWEEN 0 AND 1),
    message  text NOT NULL,
    at       timestamptz NOT NULL
);
-- Written again and again: half of each page is room for the next version, beside the last.
ALTER TABLE windlass_progress SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
"""

SCHEDULES = """
CREATE TABLE windlass_schedules (
    name         text COLLATE "C" PRIMARY KEY,
    version      integer NOT NULL,
    revision     bigint NOT NULL,
    status       text COLLATE "C" NOT NULL
                 CHECK (status IN ('active', 'paused', 'held', 'ended', 'removed')),
    why          text NOT NULL,
    origin       text NOT NULL,
    rule         text NOT NULL,
    call         text NOT NULL,
    declared     text NOT NULL,
    task         text COLLATE "C" NOT NULL,
    created_at   timestamptz NOT NULL,
    anchor_at    timestamptz NOT NULL,
    cursor_at    timestamptz NOT NULL,
    skip_until   timestamptz,
    next_at      timestamptz,
    due_at       timestamptz,
    look_back    integer NOT NULL,
    started      bigint NOT NULL,
    misfires     bigint NOT NULL,
    last_fire_at timestamptz,
    last_job_id  text COLLATE "C",
    last_late_s  float8,
    CHECK (due_at IS NULL OR status = 'active')
);
CREATE INDEX windlass_schedules_due ON windlass_schedules (due_at, name)
    WHERE due_at IS NOT NULL;
-- Each fire writes its row anew, and moves it in the index.
ALTER TABLE windlass_schedules SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0);

-- One row for each tick, or for a span of ticks that were skipped for one reason.
CREATE TABLE windlass_fires (
    schedule   text COLLATE "C" NOT NULL,
    version    integer NOT NULL,
    fire_at    timestamptz NOT NULL,
    until_at   timestamptz NOT NULL,
    decided_at timestamptz NOT NULL,
    count      bigint NOT NULL CHECK (count > 0),
    reason     text COLLATE "C",
    job_id     text COLLATE "C",
    PRIMARY KEY (schedule, version, fire_at),
    CHECK ((reason IS NULL) = (job_id IS NOT NULL)),
    CHECK (until_at >= fire_at AND (count = 1 OR job_id IS NULL))
);
CREATE INDEX windlass_fires_started ON windlass_fires (schedule, fire_at, job_id)
    WHERE job_id IS NOT NULL;
CREATE INDEX windlass_fires_decided ON windlass_fires USING brin (decided_at);

CREATE TABLE windlass_leaders (
    role     text COLLATE "C" PRIMARY KEY,
    leader   text COLLATE "C" NOT NULL,
    term     bigint NOT NULL,
    until_at timestamptz NOT NULL
);

CREATE TABLE windlass_backfills (
    id           text COLLATE "C" PRIMARY KEY,
    schedule     text COLLATE "C" NOT NULL,
    version      integer NOT NULL,
    actor        text NOT NULL,
    asked        text NOT NULL,
    created_at   timestamptz NOT NULL,
    cancelled_at timestamptz
);
CREATE INDEX windlass_backfills_schedule ON windlass_backfills (schedule, created_at);

CREATE TABLE windlass_backfill_items (
    backfill text COLLATE "C" NOT NULL,
    fire_at  timestamptz NOT NULL,
    job_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (backfill, fire_at)
);
"""

RUNS = """
ALTER TABLE windlass_jobs ADD COLUMN kind text COLLATE "C", ADD COLUMN run_lane text COLLATE "C";
CREATE INDEX windlass_jobs_runs ON windlass_jobs (id) WHERE kind IS NOT NULL;
-- A run that has begun leaves its lane, and counts for its limits until it has ended.
CREATE INDEX windlass_jobs_run_lanes ON windlass_jobs (run_lane)
    WHERE run_lane IS NOT NULL AND ended_at IS NULL;

-- A job that goes on may wait for others than before: then these edges are only remembered.
ALTER TABLE windlass_edges ADD COLUMN awaited boolean NOT NULL DEFAULT true;

CREATE TABLE windlass_waits (
    job_id    text COLLATE "C" PRIMARY KEY,
    rule      text COLLATE "C" NOT NULL,
    parents   integer NOT NULL,
    succeeded integer NOT NULL DEFAULT 0,
    failed    integer NOT NULL DEFAULT 0,
    cancelled integer NOT NULL DEFAULT 0,
    skipped   integer NOT NULL DEFAULT 0
);
-- Each batch of ends writes the row of a large wait anew: room for that beside it.
ALTER TABLE windlass_waits SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0);

CREATE TABLE windlass_steps (
    job_id text COLLATE "C" PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    nth    integer NOT NULL,
    print  text NOT NULL,
    turn   integer,
    UNIQUE (run_id, name, nth)
);
CREATE INDEX windlass_steps_run ON windlass_steps (run_id, job_id);
"""

MIGRATIONS = (
    Migration(1, "jobs, workers, events", FIRST),
    Migration(2, "headers of jobs", HEADERS),
    Migration(
        3,
        "limits, holds, fingerprints, edges, marks, progress",
        ";\n".join((LIMITS, OPERATORS, FINGERPRINT, EDGES, MARKS, RESULTS)),
    ),
    Migration(4, "schedules, fires, leaders, backfills", SCHEDULES),
    Migration(5, "runs, steps, waits by a rule", RUNS),
)
NEWEST = MIGRATIONS[-1].number
