-- +goose Up

-- What became of a dead letter since its event was rejected. `at` is when it was rejected last, `attempts` counts all that there
-- were, `event` stays as it was received first.
ALTER TABLE dead_letters
    ADD COLUMN id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN state         text        COLLATE "C" NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'redriving', 'stored', 'superseded', 'discarded')),
    ADD COLUMN changed_at    timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN redrives      integer     NOT NULL DEFAULT 0,
    ADD COLUMN redriven_at   timestamptz,
    ADD COLUMN next_check_at timestamptz, -- when to look next whether the event is stored; NULL: that would say nothing
    ADD COLUMN job_id        uuid,        -- of the job that redrove or discarded it last
    ADD CONSTRAINT dead_letters_id UNIQUE (id);

DROP INDEX dead_letters_recent;
CREATE INDEX dead_letters_recent ON dead_letters (tenant_id, at DESC, id DESC);
CREATE INDEX dead_letters_state ON dead_letters (tenant_id, state, at DESC, id DESC);
CREATE INDEX dead_letters_check ON dead_letters (next_check_at) WHERE state = 'redriving' AND next_check_at IS NOT NULL;
CREATE INDEX dead_letters_job ON dead_letters (job_id, state) WHERE job_id IS NOT NULL;

-- The story of each letter, from its first rejection on.
CREATE TABLE dead_letter_history (
    letter_id uuid        NOT NULL REFERENCES dead_letters (id) ON DELETE CASCADE,
    seq       bigint      GENERATED ALWAYS AS IDENTITY,
    tenant_id text        COLLATE "C" NOT NULL,
    at        timestamptz NOT NULL,
    what      text        COLLATE "C" NOT NULL, -- rejected, redriven, stored, superseded, discarded, failed
    who       text        NOT NULL DEFAULT '',  -- did it; empty when nobody did
    job_id    uuid,
    code      text        NOT NULL DEFAULT '',
    message   text        NOT NULL DEFAULT '',
    field     text        NOT NULL DEFAULT '',
    attempts  integer     NOT NULL DEFAULT 0,
    trace_id  text        NOT NULL DEFAULT '',
    PRIMARY KEY (letter_id, seq)
);

-- A job does a thing to a letter once, however often it is taken over.
CREATE UNIQUE INDEX dead_letter_history_once ON dead_letter_history (letter_id, job_id, what) WHERE job_id IS NOT NULL;

INSERT INTO dead_letter_history (letter_id, tenant_id, at, what, code, message, field, attempts, trace_id)
SELECT id, tenant_id, at, 'rejected', code, message, field, attempts, trace_id FROM dead_letters;

-- A job redrives or discards the letters that a filter matched when it was asked for. One process at a time works on it: the
-- one that holds it, as long as it says so in time.
CREATE TABLE dead_letter_jobs (
    id           uuid             PRIMARY KEY,
    tenant_id    text             COLLATE "C" NOT NULL,
    action       text             COLLATE "C" NOT NULL CHECK (action IN ('redrive', 'discard')),
    filter       jsonb            NOT NULL,
    reason       text             NOT NULL,
    rate         double precision NOT NULL CHECK (rate > 0), -- letters a second, at most
    who          text             NOT NULL,
    created_at   timestamptz      NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    cancelled_at timestamptz, -- when it was asked to stop
    state        text             COLLATE "C" NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    total        integer          NOT NULL,
    redriven     integer          NOT NULL DEFAULT 0,
    discarded    integer          NOT NULL DEFAULT 0,
    skipped      integer          NOT NULL DEFAULT 0,
    failed       integer          NOT NULL DEFAULT 0,
    trouble      text             NOT NULL DEFAULT '', -- why it does not get on, while it does not
    holder       uuid,
    held_until   timestamptz,
    CHECK (redriven + discarded + skipped + failed <= total)
) WITH (fillfactor = 50);

CREATE INDEX dead_letter_jobs_recent ON dead_letter_jobs (tenant_id, created_at DESC, id DESC);
CREATE INDEX dead_letter_jobs_free ON dead_letter_jobs (created_at) WHERE state = 'running';

CREATE TABLE dead_letter_job_items (
    job_id    uuid    NOT NULL REFERENCES dead_letter_jobs (id) ON DELETE CASCADE,
    ordinal   integer NOT NULL, -- the letter that was rejected first comes first
    letter_id uuid    NOT NULL,
    tenant_id text    COLLATE "C" NOT NULL,
    state     text    COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'done')),
    result    text    COLLATE "C" NOT NULL DEFAULT '', -- redriven, discarded, skipped, failed
    detail    text    NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, letter_id)
) WITH (fillfactor = 70);

CREATE INDEX dead_letter_job_items_left ON dead_letter_job_items (job_id, state, ordinal) WHERE state <> 'done';
CREATE INDEX dead_letter_job_items_noted ON dead_letter_job_items (job_id) WHERE detail <> '';

-- Who did what to the system. Nothing in it is changed or removed.
CREATE TABLE ops_audit (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text        COLLATE "C" NOT NULL, -- whose data it was done to
    at        timestamptz NOT NULL DEFAULT now(),
    subject   text        NOT NULL, -- as the issuer knows them
    name      text        NOT NULL, -- for people
    client    text        NOT NULL, -- the program that they used
    action    text        COLLATE "C" NOT NULL, -- such as dead_letters.redrive
    filter    jsonb       NOT NULL, -- what it was done to
    count     integer     NOT NULL, -- how many that were
    reason    text        NOT NULL, -- in their words
    job_id    uuid
);

CREATE INDEX ops_audit_recent ON ops_audit (tenant_id, id DESC);

-- +goose StatementBegin
CREATE FUNCTION ops_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ops_audit is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER ops_audit_append_only BEFORE UPDATE OR DELETE ON ops_audit FOR EACH ROW EXECUTE FUNCTION ops_audit_refuse();
CREATE TRIGGER ops_audit_no_truncate BEFORE TRUNCATE ON ops_audit FOR EACH STATEMENT EXECUTE FUNCTION ops_audit_refuse();

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['dead_letter_history', 'dead_letter_jobs', 'dead_letter_job_items', 'ops_audit'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE ops_audit, dead_letter_job_items, dead_letter_jobs, dead_letter_history;
DROP FUNCTION ops_audit_refuse;
DROP INDEX dead_letters_job, dead_letters_check, dead_letters_state, dead_letters_recent;
ALTER TABLE dead_letters DROP COLUMN id, DROP COLUMN state, DROP COLUMN changed_at, DROP COLUMN redrives,
    DROP COLUMN redriven_at, DROP COLUMN next_check_at, DROP COLUMN job_id;
CREATE INDEX dead_letters_recent ON dead_letters (tenant_id, at DESC);
