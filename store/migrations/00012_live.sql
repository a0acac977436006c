-- +goose Up

-- Which traces a transaction of persist has changed, a row a tenant: what live streams follow. It is kept for an hour. Rows are in
-- the order of xid, the transaction that wrote them: all below the oldest one that is still under way (pg_snapshot_xmin) are there
-- to be read, and none will be added any more. No sequence could tell that, since numbers are drawn before transactions commit.
CREATE TABLE trace_changes (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid             xid8        NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id       text        COLLATE "C" NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    correlation_ids text[]      NOT NULL
);

CREATE INDEX trace_changes_order ON trace_changes (xid, id);
CREATE INDEX trace_changes_old ON trace_changes (at);

-- How long stages took and how old events were, by the minute and process: what a process says of a minute replaces what it said
-- of it before. The histograms are those of internal/quantiles, and can be merged.
CREATE TABLE stage_times (
    tenant_id text        COLLATE "C" NOT NULL,
    minute    timestamptz NOT NULL,
    pipeline  text        COLLATE "C" NOT NULL,
    stage     text        COLLATE "C" NOT NULL,
    process   uuid        NOT NULL,
    events    bigint      NOT NULL,
    batches   bigint      NOT NULL, -- shared ones count for each tenant in them
    batched   bigint      NOT NULL, -- events in these batches, other tenants' included
    took      bytea       NOT NULL, -- by the stage, for the batch that an event was in
    age       bytea       NOT NULL, -- since the event was received, of those that passed
    PRIMARY KEY (tenant_id, minute, pipeline, stage, process)
);

CREATE INDEX stage_times_old ON stage_times (minute);

-- What came from each source, by the minute and process.
CREATE TABLE source_stats (
    tenant_id  text        COLLATE "C" NOT NULL,
    minute     timestamptz NOT NULL,
    source     text        COLLATE "C" NOT NULL,
    process    uuid        NOT NULL,
    stored     bigint      NOT NULL,
    rejected   bigint      NOT NULL,
    duplicates bigint      NOT NULL,
    unmapped   bigint      NOT NULL, -- stored, with a code that maps to neither a milestone nor an exception
    delay      bytea       NOT NULL, -- a histogram of how long after it occurred a stored event was received
    last_at    timestamptz NOT NULL, -- when the last of them was received
    PRIMARY KEY (tenant_id, minute, source, process)
);

CREATE INDEX source_stats_old ON source_stats (minute);

-- What processes say of the stages that they run, every few seconds. It is nobody's data.
CREATE TABLE stage_processes (
    process  uuid        NOT NULL,
    pipeline text        COLLATE "C" NOT NULL,
    stage    text        COLLATE "C" NOT NULL,
    breaker  text        COLLATE "C" NOT NULL CHECK (breaker IN ('closed', 'half-open', 'open')),
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (process, pipeline, stage)
) WITH (fillfactor = 50);

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['trace_changes', 'stage_times', 'source_stats'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE stage_processes, source_stats, stage_times, trace_changes;
