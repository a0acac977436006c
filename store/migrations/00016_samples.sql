-- +goose Up

-- Who looks at which stage just now: processors take samples of what it does to the tenant's events until then.
CREATE TABLE stage_watches (
    tenant_id text        COLLATE "C" NOT NULL,
    pipeline  text        COLLATE "C" NOT NULL,
    stage     text        COLLATE "C" NOT NULL,
    until     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, pipeline, stage)
);

-- The last samples of what a stage did to events, for who looks at it. What is personal is not in them.
CREATE TABLE stage_samples (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id      text        COLLATE "C" NOT NULL,
    pipeline       text        COLLATE "C" NOT NULL,
    stage          text        COLLATE "C" NOT NULL,
    at             timestamptz NOT NULL,
    uid            uuid        NOT NULL,
    correlation_id text        COLLATE "C" NOT NULL,
    source         text        COLLATE "C" NOT NULL,
    event_type     text        COLLATE "C" NOT NULL,
    outcome        text        COLLATE "C" NOT NULL,
    code           text        COLLATE "C" NOT NULL,
    message        text        NOT NULL,
    attempt        integer     NOT NULL,
    batch          integer     NOT NULL,
    took           bigint      NOT NULL, -- microseconds
    before         text        NOT NULL,
    after          text        NOT NULL
);

CREATE INDEX stage_samples_of ON stage_samples (tenant_id, pipeline, stage, id);
CREATE INDEX stage_samples_old ON stage_samples (at);

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['stage_watches', 'stage_samples'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE stage_samples, stage_watches;
