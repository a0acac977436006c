-- +goose Up

-- How many days the journeys of a kind are kept, by kind, where that is other than retention_days. 0: for ever.
ALTER TABLE tenant_tracking_settings ADD COLUMN retention_by_kind jsonb NOT NULL DEFAULT '{}';

-- Runs of retention. Nobody's data: a report counts what was cut of all tenants.
CREATE TABLE retention_runs (
    id          uuid        PRIMARY KEY,
    who         text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz, -- NULL: under way, or broken off
    report      jsonb
);

CREATE INDEX retention_runs_finished ON retention_runs (finished_at);

-- What retention cut, in the transaction that cut it.
CREATE TABLE retention_cuts (
    id         uuid        PRIMARY KEY,
    run_id     uuid        NOT NULL,
    tenant_id  text        COLLATE "C" NOT NULL,
    kind       text        COLLATE "C" NOT NULL, -- of the journeys; empty: those that the tenant has no rule of its own for
    before     timestamptz NOT NULL,             -- all of it was received before
    partition  text        COLLATE "C" NOT NULL, -- which was dropped; empty: rows were deleted
    traces     bigint      NOT NULL,
    events     bigint      NOT NULL,
    seals      bigint      NOT NULL,             -- how many seals say what is left, from
    first_seal bigint      NOT NULL,             -- this number on; 0 for none
    xid        xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX retention_cuts_recent ON retention_cuts (tenant_id, at);

-- Rows of event_store may be deleted by one who has noted, in the same transaction, that retention cuts them: whose they are, and
-- before when they were received. The note stays. Everything else is refused, as before.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_store_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('rastro.retention_cut', true) <> '' THEN
        PERFORM FROM retention_cuts c
        WHERE c.id = current_setting('rastro.retention_cut')::uuid AND c.xid = pg_current_xact_id()
            AND c.tenant_id = OLD.tenant_id AND OLD.received_at < c.before AND c.before < clock_timestamp();
        IF FOUND THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'event_store is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Correct an event by a later event; `rastro retain` removes what is over.';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON retention_cuts FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON retention_cuts FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Tenants see what was cut of theirs, as they do all else that names them (00002_tenancy).
GRANT SELECT ON retention_cuts TO rastro_query;
ALTER TABLE retention_cuts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON retention_cuts FOR SELECT TO rastro_query
    USING (tenant_id = current_setting('rastro.tenant_id', true));

-- What is old is looked for by its age.
CREATE INDEX stage_stats_old ON stage_stats (minute);
CREATE INDEX dead_letters_ended ON dead_letters (tenant_id, changed_at) WHERE state NOT IN ('open', 'redriving');

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_store_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_store is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Correct an event by a later event; retention drops whole partitions.';
END
$$;
-- +goose StatementEnd
DROP INDEX stage_stats_old, dead_letters_ended;
DROP TABLE retention_cuts, retention_runs;
ALTER TABLE tenant_tracking_settings DROP COLUMN retention_by_kind;
