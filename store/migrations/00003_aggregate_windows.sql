-- +goose Up

-- The windows of time in which stages aggregate events, from the first event of each until a while after what came of it was
-- sent.
CREATE TABLE aggregate_windows (
    id           bytea       PRIMARY KEY, -- a digest of pipeline, stage, tenant, key and span
    tenant_id    text        COLLATE "C" NOT NULL,
    pipeline     text        COLLATE "C" NOT NULL,
    stage        text        COLLATE "C" NOT NULL,
    window_start timestamptz NOT NULL,
    window_end   timestamptz NOT NULL,    -- exclusive
    closes_at    timestamptz NOT NULL,
    about        bytea       NOT NULL,    -- the stage's own
    closed_at    timestamptz,             -- nobody joins from then on
    holder       uuid,                    -- who is sending what came of it,
    held_until   timestamptz,             -- and until when nobody else does
    sent_at      timestamptz
) WITH (fillfactor = 80);

CREATE INDEX aggregate_windows_due ON aggregate_windows (pipeline, stage, closes_at, id) WHERE sent_at IS NULL;
CREATE INDEX aggregate_windows_sent ON aggregate_windows (pipeline, stage, sent_at) WHERE sent_at IS NOT NULL;

-- Which events are in a window, and what each brings to it. Each is there once, however often it is delivered.
CREATE TABLE aggregate_members (
    window_id bytea NOT NULL,
    uid       uuid  NOT NULL,
    value     bytea NOT NULL, -- the stage's own
    PRIMARY KEY (window_id, uid)
);

-- Tenants see their own windows, as they do all else that names them (00002_tenancy).
GRANT SELECT ON aggregate_windows TO rastro_query;
ALTER TABLE aggregate_windows ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON aggregate_windows FOR SELECT TO rastro_query
    USING (tenant_id = current_setting('rastro.tenant_id', true));

-- +goose Down
DROP TABLE aggregate_members, aggregate_windows;
