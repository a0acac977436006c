-- +goose Up

-- What became of documents that were captured over the EPCIS interface. The events themselves are the broker's and then event_store's;
-- this is only what the sender is told of them, and is forgotten after a while.
CREATE TABLE captures (
    tenant_id   text        COLLATE "C" NOT NULL,
    id          uuid        NOT NULL,
    carrier     text        COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    behaviour   text        COLLATE "C" NOT NULL, -- what was to become of the others when one was refused: rollback, or proceed
    accepted    integer     NOT NULL,
    rejected    integer     NOT NULL,
    errors      text        NOT NULL,             -- a JSON array, as it is told; text, because what it quotes may hold NUL
    PRIMARY KEY (tenant_id, id)
);

CREATE INDEX captures_listed ON captures (tenant_id, carrier, created_at, id);
CREATE INDEX captures_old ON captures (created_at);

-- Tenants see their own, as they do all else that names them (00002_tenancy).
ALTER TABLE captures ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON captures FOR SELECT TO rastro_query USING (tenant_id = current_setting('rastro.tenant_id', true));
GRANT SELECT ON captures TO rastro_query;

-- +goose Down
DROP TABLE captures;
