-- +goose Up

-- What is hashed must be what is stored: json keeps its bytes, jsonb does not. This rewrites the table.
ALTER TABLE event_store ALTER COLUMN details TYPE json USING details::json;

-- Every row is a link in the chain of its trace: see store/chain.go. Rows of before have none, and are counted in traces.
ALTER TABLE event_store
    ADD COLUMN chain_epoch bigint, -- of audit_epochs: the seal that the row is in
    ADD COLUMN chain_seq   bigint, -- its place in the trace, from 1 on
    ADD COLUMN chain_prev  bytea,  -- the hash of the row before it in the trace
    ADD COLUMN chain_hash  bytea;  -- SHA-256 of all columns but this one

-- Rows are written epoch by epoch, so that a few bytes a hundred pages are enough to find those of one.
CREATE INDEX event_store_epoch ON event_store USING brin (chain_epoch) WITH (pages_per_range = 32, autosummarize = on);

-- The heads of the chains.
ALTER TABLE traces
    ADD COLUMN chain_seq     bigint  NOT NULL DEFAULT 0, -- of the last row
    ADD COLUMN chain_hash    bytea,                      -- of the last row; NULL when there was none
    ADD COLUMN chain_before  integer NOT NULL DEFAULT 0, -- rows of the trace that are of before the chain
    ADD COLUMN chain_removed bigint  NOT NULL DEFAULT 0; -- rows of the chain that retention removed

UPDATE traces t SET chain_before = e.events
FROM (SELECT tenant_id, correlation_id, count(*) AS events FROM event_store GROUP BY tenant_id, correlation_id) e
WHERE t.tenant_id = e.tenant_id AND t.correlation_id = e.correlation_id;

-- The time is cut in epochs. Rows carry the epoch that was under way when they were written, and once it is over and the last
-- writer in it has ended, no row is added to it any more: it can be sealed.
CREATE TABLE audit_epochs (
    epoch     bigint      PRIMARY KEY,
    begun_at  timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz,
    sealed_at timestamptz
);
INSERT INTO audit_epochs (epoch) VALUES (1);

-- audit_epoch_join returns the epoch under way and keeps it from being sealed until the transaction ends. It looks a second time
-- because the epoch may have ended before it was locked.
-- +goose StatementBegin
CREATE FUNCTION audit_epoch_join() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    joined bigint;
    latest bigint;
BEGIN
    SELECT max(epoch) INTO joined FROM audit_epochs;
    LOOP
        PERFORM pg_advisory_xact_lock_shared(hashtext('rastro.epoch'), joined::int);
        SELECT max(epoch) INTO latest FROM audit_epochs;
        EXIT WHEN latest = joined;
        joined := latest;
    END LOOP;
    RETURN joined;
END
$$;
-- +goose StatementEnd

-- What the rows of a tenant were when an epoch was sealed, and what retention left of them later. The entries of a tenant are a
-- chain of their own, of which the last can be kept elsewhere.
CREATE TABLE audit_seals (
    tenant_id text        COLLATE "C" NOT NULL,
    number    bigint      NOT NULL, -- from 1 on
    kind      text        COLLATE "C" NOT NULL CHECK (kind IN ('seal', 'cut')),
    epoch     bigint      NOT NULL,
    begun_at  timestamptz NOT NULL, -- of the epoch
    ended_at  timestamptz NOT NULL,
    sealed_at timestamptz NOT NULL,
    events    bigint      NOT NULL,
    digest    bytea       NOT NULL, -- SHA-256 of their hashes, sorted
    prev      bytea       NOT NULL,
    hash      bytea       NOT NULL, -- SHA-256 of all columns but this one
    PRIMARY KEY (tenant_id, number)
);
CREATE INDEX audit_seals_epoch ON audit_seals (epoch, tenant_id, number);
CREATE UNIQUE INDEX audit_seals_once ON audit_seals (tenant_id, epoch) WHERE kind = 'seal';

-- +goose StatementBegin
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['audit_seals'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION audit_refuse()', confined);
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', confined);
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit_seals, audit_epochs;
DROP FUNCTION audit_refuse, audit_epoch_join;
ALTER TABLE traces DROP COLUMN chain_seq, DROP COLUMN chain_hash, DROP COLUMN chain_before, DROP COLUMN chain_removed;
DROP INDEX event_store_epoch;
ALTER TABLE event_store DROP COLUMN chain_epoch, DROP COLUMN chain_seq, DROP COLUMN chain_prev, DROP COLUMN chain_hash;
ALTER TABLE event_store ALTER COLUMN details TYPE jsonb USING details::jsonb;
