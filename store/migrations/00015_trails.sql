-- +goose Up

-- How events came through the stages: what each stage made of them, how long it took, and by which configuration. A row is about events
-- of a tenant that came the same way in the same batches and were received within a second. Kept for a month.
CREATE TABLE event_trails (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text        COLLATE "C" NOT NULL,
    pipeline  text        COLLATE "C" NOT NULL,
    first_at  timestamptz NOT NULL, -- when the first of them was received, as its uid tells
    last_at   timestamptz NOT NULL,
    uids      bytea       NOT NULL, -- 16 bytes each
    steps     jsonb       NOT NULL, -- see store.TrailStep
    noted_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX event_trails_received ON event_trails (tenant_id, first_at);
CREATE INDEX event_trails_old ON event_trails (noted_at);

GRANT SELECT ON event_trails TO rastro_query;
ALTER TABLE event_trails ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON event_trails FOR SELECT TO rastro_query
    USING (tenant_id = current_setting('rastro.tenant_id', true));

-- +goose Down
DROP TABLE event_trails;
