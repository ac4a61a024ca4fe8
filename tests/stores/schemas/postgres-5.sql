CREATE FUNCTION public.windlass_refuse_move() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'a job cannot move from % to %', OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END
$$;
CREATE TABLE public.windlass_backfill_items (
    backfill text NOT NULL COLLATE pg_catalog."C",
    fire_at timestamp with time zone NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.windlass_backfills (
    id text NOT NULL COLLATE pg_catalog."C",
    schedule text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    actor text NOT NULL,
    asked text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    cancelled_at timestamp with time zone
);
CREATE TABLE public.windlass_edges (
    child_id text NOT NULL COLLATE pg_catalog."C",
    place integer NOT NULL,
    parent_id text NOT NULL COLLATE pg_catalog."C",
    slot text COLLATE pg_catalog."C",
    "position" integer,
    awaited boolean DEFAULT true NOT NULL
);
CREATE TABLE public.windlass_events (
    job_id text NOT NULL COLLATE pg_catalog."C",
    seq integer NOT NULL,
    at timestamp with time zone NOT NULL,
    before text NOT NULL COLLATE pg_catalog."C",
    after text NOT NULL COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    attempt integer NOT NULL,
    fence bigint NOT NULL,
    worker text COLLATE pg_catalog."C",
    actor text,
    error bytea
);
CREATE TABLE public.windlass_fires (
    schedule text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    fire_at timestamp with time zone NOT NULL,
    until_at timestamp with time zone NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    reason text COLLATE pg_catalog."C",
    job_id text COLLATE pg_catalog."C",
    CONSTRAINT windlass_fires_check CHECK (((reason IS NULL) = (job_id IS NOT NULL))),
    CONSTRAINT windlass_fires_check1 CHECK (((until_at >= fire_at) AND ((count = 1) OR (job_id IS NULL)))),
    CONSTRAINT windlass_fires_count_check CHECK ((count > 0))
);
CREATE TABLE public.windlass_holds (
    id text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    actor text NOT NULL,
    why text NOT NULL,
    queue text COLLATE pg_catalog."C",
    task text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    arguments text,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    ended_at timestamp with time zone
);
CREATE TABLE public.windlass_jobs (
    id text NOT NULL COLLATE pg_catalog."C",
    task text NOT NULL COLLATE pg_catalog."C",
    queue text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    priority smallint NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    losses integer DEFAULT 0 NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    worker text COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    resolved_at timestamp with time zone,
    unique_key text COLLATE pg_catalog."C",
    retry_of text COLLATE pg_catalog."C",
    error_type text COLLATE pg_catalog."C",
    payload bytea NOT NULL,
    result bytea,
    error bytea,
    headers bytea,
    lane text COLLATE pg_catalog."C",
    limits text COLLATE pg_catalog."C",
    held_by text COLLATE pg_catalog."C",
    fingerprint integer,
    upstream integer,
    downstream boolean,
    result_until timestamp with time zone,
    kind text COLLATE pg_catalog."C",
    run_lane text COLLATE pg_catalog."C",
    CONSTRAINT windlass_jobs_check CHECK (((state = 'running'::text) = (worker IS NOT NULL))),
    CONSTRAINT windlass_jobs_check1 CHECK (((state = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text, 'skipped'::text])) = (ended_at IS NOT NULL))),
    CONSTRAINT windlass_jobs_priority_check CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
    CONSTRAINT windlass_jobs_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'scheduled'::text, 'queued'::text, 'held'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text, 'skipped'::text])))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='10000', autovacuum_analyze_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.windlass_leaders (
    role text NOT NULL COLLATE pg_catalog."C",
    leader text NOT NULL COLLATE pg_catalog."C",
    term bigint NOT NULL,
    until_at timestamp with time zone NOT NULL
);
CREATE TABLE public.windlass_marks (
    name text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    job_id text NOT NULL COLLATE pg_catalog."C",
    since_us bigint NOT NULL,
    until_us bigint NOT NULL
);
CREATE TABLE public.windlass_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.windlass_paces (
    name text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    full_at_us bigint NOT NULL
);
CREATE TABLE public.windlass_progress (
    job_id text NOT NULL COLLATE pg_catalog."C",
    fence bigint NOT NULL,
    fraction double precision NOT NULL,
    message text NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT windlass_progress_fraction_check CHECK (((fraction >= (0)::double precision) AND (fraction <= (1)::double precision)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.windlass_schedules (
    name text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    revision bigint NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    why text NOT NULL,
    origin text NOT NULL,
    rule text NOT NULL,
    call text NOT NULL,
    declared text NOT NULL,
    task text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    anchor_at timestamp with time zone NOT NULL,
    cursor_at timestamp with time zone NOT NULL,
    skip_until timestamp with time zone,
    next_at timestamp with time zone,
    due_at timestamp with time zone,
    look_back integer NOT NULL,
    started bigint NOT NULL,
    misfires bigint NOT NULL,
    last_fire_at timestamp with time zone,
    last_job_id text COLLATE pg_catalog."C",
    last_late_s double precision,
    CONSTRAINT windlass_schedules_check CHECK (((due_at IS NULL) OR (status = 'active'::text))),
    CONSTRAINT windlass_schedules_status_check CHECK ((status = ANY (ARRAY['active'::text, 'paused'::text, 'held'::text, 'ended'::text, 'removed'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
CREATE TABLE public.windlass_workers (
    id text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL,
    pid integer NOT NULL,
    queues text[] NOT NULL,
    slots integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    lock_key integer,
    silent_at timestamp with time zone,
    ended_at timestamp with time zone,
    drain_at timestamp with time zone
);
CREATE VIEW public.windlass_silent_workers AS
 SELECT windlass_workers.id
   FROM public.windlass_workers
  WHERE ((windlass_workers.ended_at IS NULL) AND (windlass_workers.lock_key IS NOT NULL) AND ((now() - pg_postmaster_start_time()) > '00:00:05'::interval) AND (NOT (EXISTS ( SELECT 1
           FROM pg_locks
          WHERE ((pg_locks.locktype = 'advisory'::text) AND (pg_locks.classid = (1464421956)::oid) AND (pg_locks.objsubid = 2) AND (pg_locks.objid = (windlass_workers.lock_key)::oid) AND pg_locks.granted AND (pg_locks.database = ( SELECT pg_database.oid
                   FROM pg_database
                  WHERE (pg_database.datname = current_database()))))))));
CREATE VIEW public.windlass_standing_holds AS
 SELECT windlass_holds.id,
    windlass_holds.reason,
    windlass_holds.queue,
    windlass_holds.task,
    windlass_holds.key,
    windlass_holds.arguments,
    windlass_holds.created_at,
    ((windlass_holds.queue IS NOT NULL) AND (windlass_holds.task IS NULL) AND (windlass_holds.key IS NULL) AND (windlass_holds.arguments IS NULL)) AS is_whole_queue
   FROM public.windlass_holds
  WHERE ((windlass_holds.ended_at IS NULL) AND ((windlass_holds.expires_at IS NULL) OR (windlass_holds.expires_at > now())));
CREATE TABLE public.windlass_steps (
    job_id text NOT NULL COLLATE pg_catalog."C",
    run_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    nth integer NOT NULL,
    print text NOT NULL,
    turn integer
);
CREATE TABLE public.windlass_waits (
    job_id text NOT NULL COLLATE pg_catalog."C",
    rule text NOT NULL COLLATE pg_catalog."C",
    parents integer NOT NULL,
    succeeded integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    skipped integer DEFAULT 0 NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');
ALTER TABLE ONLY public.windlass_backfill_items
    ADD CONSTRAINT windlass_backfill_items_pkey PRIMARY KEY (backfill, fire_at);
ALTER TABLE ONLY public.windlass_backfills
    ADD CONSTRAINT windlass_backfills_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.windlass_edges
    ADD CONSTRAINT windlass_edges_pkey PRIMARY KEY (child_id, place);
ALTER TABLE ONLY public.windlass_events
    ADD CONSTRAINT windlass_events_pkey PRIMARY KEY (job_id, seq);
ALTER TABLE ONLY public.windlass_fires
    ADD CONSTRAINT windlass_fires_pkey PRIMARY KEY (schedule, version, fire_at);
ALTER TABLE ONLY public.windlass_holds
    ADD CONSTRAINT windlass_holds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.windlass_jobs
    ADD CONSTRAINT windlass_jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.windlass_leaders
    ADD CONSTRAINT windlass_leaders_pkey PRIMARY KEY (role);
ALTER TABLE ONLY public.windlass_marks
    ADD CONSTRAINT windlass_marks_pkey PRIMARY KEY (name, key);
ALTER TABLE ONLY public.windlass_migrations
    ADD CONSTRAINT windlass_migrations_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.windlass_paces
    ADD CONSTRAINT windlass_paces_pkey PRIMARY KEY (name, key);
ALTER TABLE ONLY public.windlass_progress
    ADD CONSTRAINT windlass_progress_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY public.windlass_schedules
    ADD CONSTRAINT windlass_schedules_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.windlass_steps
    ADD CONSTRAINT windlass_steps_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY public.windlass_steps
    ADD CONSTRAINT windlass_steps_run_id_name_nth_key UNIQUE (run_id, name, nth);
ALTER TABLE ONLY public.windlass_waits
    ADD CONSTRAINT windlass_waits_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY public.windlass_workers
    ADD CONSTRAINT windlass_workers_pkey PRIMARY KEY (id);
CREATE INDEX windlass_backfills_schedule ON public.windlass_backfills USING btree (schedule, created_at);
CREATE INDEX windlass_edges_parent ON public.windlass_edges USING btree (parent_id);
CREATE INDEX windlass_fires_decided ON public.windlass_fires USING brin (decided_at);
CREATE INDEX windlass_fires_started ON public.windlass_fires USING btree (schedule, fire_at, job_id) WHERE (job_id IS NOT NULL);
CREATE INDEX windlass_jobs_claim ON public.windlass_jobs USING btree (queue, priority DESC, due_at, id) WHERE ((state = 'queued'::text) AND (lane IS NULL));
CREATE INDEX windlass_jobs_dead ON public.windlass_jobs USING btree (id) WHERE ((state = 'failed'::text) AND (resolved_at IS NULL));
CREATE INDEX windlass_jobs_due ON public.windlass_jobs USING btree (due_at) WHERE (state = 'scheduled'::text);
CREATE INDEX windlass_jobs_ended ON public.windlass_jobs USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX windlass_jobs_expires ON public.windlass_jobs USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (state = ANY (ARRAY['waiting'::text, 'scheduled'::text, 'queued'::text, 'held'::text])));
CREATE INDEX windlass_jobs_held ON public.windlass_jobs USING btree (held_by) WHERE ((state = 'held'::text) AND (held_by IS NOT NULL));
CREATE INDEX windlass_jobs_in_lanes ON public.windlass_jobs USING btree (lane) WHERE ((state = 'running'::text) AND (lane IS NOT NULL));
CREATE INDEX windlass_jobs_lanes ON public.windlass_jobs USING btree (queue, lane, priority DESC, due_at, id) WHERE ((state = 'queued'::text) AND (lane IS NOT NULL));
CREATE INDEX windlass_jobs_results ON public.windlass_jobs USING btree (result_until) WHERE ((result_until IS NOT NULL) AND (result IS NOT NULL));
CREATE INDEX windlass_jobs_run_lanes ON public.windlass_jobs USING btree (run_lane) WHERE ((run_lane IS NOT NULL) AND (ended_at IS NULL));
CREATE INDEX windlass_jobs_runs ON public.windlass_jobs USING btree (id) WHERE (kind IS NOT NULL);
CREATE UNIQUE INDEX windlass_jobs_unique ON public.windlass_jobs USING btree (task, unique_key) WHERE ((unique_key IS NOT NULL) AND (state = ANY (ARRAY['waiting'::text, 'scheduled'::text, 'queued'::text, 'held'::text, 'running'::text])));
CREATE INDEX windlass_jobs_worker ON public.windlass_jobs USING btree (worker) WHERE (state = 'running'::text);
CREATE INDEX windlass_marks_until ON public.windlass_marks USING btree (until_us);
CREATE INDEX windlass_paces_full ON public.windlass_paces USING btree (full_at_us);
CREATE INDEX windlass_schedules_due ON public.windlass_schedules USING btree (due_at, name) WHERE (due_at IS NOT NULL);
CREATE INDEX windlass_steps_run ON public.windlass_steps USING btree (run_id, job_id);
CREATE TRIGGER windlass_jobs_move BEFORE UPDATE OF state ON public.windlass_jobs FOR EACH ROW WHEN (((new.state <> old.state) AND (((((((((((((((((((((((((((((old.state <> 'queued'::text) OR (new.state <> 'running'::text)) AND ((old.state <> 'running'::text) OR (new.state <> 'succeeded'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'scheduled'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'queued'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'held'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'skipped'::text))) AND ((old.state <> 'waiting'::text) OR (new.state <> 'failed'::text))) AND ((old.state <> 'scheduled'::text) OR (new.state <> 'queued'::text))) AND ((old.state <> 'scheduled'::text) OR (new.state <> 'held'::text))) AND ((old.state <> 'scheduled'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'scheduled'::text) OR (new.state <> 'failed'::text))) AND ((old.state <> 'queued'::text) OR (new.state <> 'scheduled'::text))) AND ((old.state <> 'queued'::text) OR (new.state <> 'held'::text))) AND ((old.state <> 'queued'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'queued'::text) OR (new.state <> 'failed'::text))) AND ((old.state <> 'held'::text) OR (new.state <> 'waiting'::text))) AND ((old.state <> 'held'::text) OR (new.state <> 'scheduled'::text))) AND ((old.state <> 'held'::text) OR (new.state <> 'queued'::text))) AND ((old.state <> 'held'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'held'::text) OR (new.state <> 'failed'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'waiting'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'scheduled'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'queued'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'held'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'failed'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'skipped'::text))))) EXECUTE FUNCTION public.windlass_refuse_move();
ALTER TABLE ONLY public.windlass_progress
    ADD CONSTRAINT windlass_progress_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.windlass_jobs(id) ON DELETE CASCADE;
INSERT INTO public.windlass_migrations (number, name, applied_at) VALUES (1, 'jobs, workers, events', '2026-11-21 21:51:50.576475+00');
INSERT INTO public.windlass_migrations (number, name, applied_at) VALUES (2, 'headers of jobs', '2026-11-21 21:51:50.593377+00');
INSERT INTO public.windlass_migrations (number, name, applied_at) VALUES (3, 'limits, holds, fingerprints, edges, marks, progress', '2026-11-21 21:51:50.594839+00');
INSERT INTO public.windlass_migrations (number, name, applied_at) VALUES (4, 'schedules, fires, leaders, backfills', '2026-11-21 21:51:50.609907+00');
INSERT INTO public.windlass_migrations (number, name, applied_at) VALUES (5, 'runs, steps, waits by a rule', '2026-11-21 21:51:50.620139+00');
