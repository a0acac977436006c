-- +goose Up

-- Every event ever persisted, for ever as it was: see event_store_refuse. The uid is a UUIDv7 and so begins with its time, which
-- is why months can be partitions of it and why the primary key needs nothing else to be unique. Text that is compared by
-- machines only sorts by its bytes.
CREATE TABLE event_store (
    uid                uuid        PRIMARY KEY,
    tenant_id          text        COLLATE "C" NOT NULL,
    correlation_id     text        COLLATE "C" NOT NULL,
    aggregate_id       text        COLLATE "C" NOT NULL,
    source             text        COLLATE "C" NOT NULL,
    event_id           text        COLLATE "C" NOT NULL,
    revision           bigint      NOT NULL,
    kind               text        COLLATE "C" NOT NULL,
    event_type         text        COLLATE "C" NOT NULL,
    classifier         text        COLLATE "C" NOT NULL,
    milestone          text        COLLATE "C" NOT NULL,
    time_quality       text        COLLATE "C" NOT NULL,
    occurred_at        timestamptz NOT NULL,
    utc_offset_minutes smallint    NOT NULL, -- of the zone that the sender wrote occurred_at in
    received_at        timestamptz NOT NULL,
    payload            json,                 -- not jsonb: kept byte for byte
    details            jsonb                 -- location, quantity, transport, corrects, enrichment
) PARTITION BY RANGE (uid);

CREATE INDEX event_store_trace ON event_store (tenant_id, correlation_id);
CREATE INDEX event_store_aggregate ON event_store (tenant_id, aggregate_id, occurred_at);

-- What no month takes is kept here, and moved when its month comes to be.
CREATE TABLE event_store_default PARTITION OF event_store DEFAULT;

-- +goose StatementBegin
CREATE FUNCTION event_store_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_store is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Correct an event by a later event; retention drops whole partitions.';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER event_store_append_only BEFORE UPDATE OR DELETE ON event_store
    FOR EACH ROW EXECUTE FUNCTION event_store_refuse();
-- Statement triggers are not inherited by partitions: each gets its own when it is made.
CREATE TRIGGER event_store_no_truncate BEFORE TRUNCATE ON event_store
    FOR EACH STATEMENT EXECUTE FUNCTION event_store_refuse();
CREATE TRIGGER event_store_no_truncate BEFORE TRUNCATE ON event_store_default
    FOR EACH STATEMENT EXECUTE FUNCTION event_store_refuse();

-- One row a journey: what a list of traces shows and is searched by, and the state of the fold. Its events stay in event_store.
CREATE TABLE traces (
    tenant_id        text        COLLATE "C" NOT NULL,
    correlation_id   text        COLLATE "C" NOT NULL,
    aggregate_id     text        COLLATE "C" NOT NULL DEFAULT '',
    aggregates       jsonb       NOT NULL DEFAULT '[]',
    kind             text        COLLATE "C" NOT NULL DEFAULT '',
    status           text        COLLATE "C" NOT NULL DEFAULT 'unknown',
    exception        text        COLLATE "C" NOT NULL DEFAULT '',
    anomalies        jsonb       NOT NULL DEFAULT '[]',
    first_event_at   timestamptz,
    last_event_at    timestamptz,
    estimated_at     timestamptz,
    last_place       text        NOT NULL DEFAULT '', -- IATA code, UN/LOCODE or name
    event_count      integer     NOT NULL DEFAULT 0,
    voided_count     integer     NOT NULL DEFAULT 0,
    unknown_count    integer     NOT NULL DEFAULT 0,
    pieces_total     integer,
    pieces_delivered integer,
    state            bytea,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, correlation_id)
) WITH (fillfactor = 80);

CREATE INDEX traces_recent ON traces (tenant_id, last_event_at DESC, correlation_id);

-- Which delivery came first with a business key. A partition a day, dropped whole.
CREATE TABLE dedupe_claims (
    key        bytea       NOT NULL,
    day        date        NOT NULL, -- of claimed_at, UTC
    uid        uuid        NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (key, day)
) PARTITION BY RANGE (day);

-- Events that will never be right, with their original bytes: not json, because what is wrong may be just that.
CREATE TABLE dead_letters (
    uid            uuid        NOT NULL,
    pipeline       text        COLLATE "C" NOT NULL,
    stage          text        COLLATE "C" NOT NULL,
    tenant_id      text        COLLATE "C" NOT NULL,
    code           text        COLLATE "C" NOT NULL,
    message        text        NOT NULL,
    field          text        NOT NULL,
    source         text        NOT NULL,
    event_type     text        NOT NULL,
    correlation_id text        NOT NULL,
    attempts       integer     NOT NULL,
    event          bytea       NOT NULL,
    trace_id       text        NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (uid, pipeline, stage)
);

CREATE INDEX dead_letters_recent ON dead_letters (tenant_id, at DESC);

-- What became of events, by the minute.
CREATE TABLE stage_stats (
    tenant_id text        COLLATE "C" NOT NULL,
    minute    timestamptz NOT NULL,
    pipeline  text        COLLATE "C" NOT NULL,
    stage     text        COLLATE "C" NOT NULL,
    outcome   text        COLLATE "C" NOT NULL,
    events    bigint      NOT NULL,
    PRIMARY KEY (tenant_id, minute, pipeline, stage, outcome)
);

-- The sums of stage_stats since the beginning, so that reading them does not take longer year by year.
CREATE TABLE stage_totals (
    tenant_id text        COLLATE "C" NOT NULL,
    pipeline  text        COLLATE "C" NOT NULL,
    stage     text        COLLATE "C" NOT NULL,
    outcome   text        COLLATE "C" NOT NULL,
    events    bigint      NOT NULL,
    PRIMARY KEY (tenant_id, pipeline, stage, outcome)
) WITH (fillfactor = 50);

CREATE TABLE tenant_tracking_settings (
    tenant_id         text             COLLATE "C" PRIMARY KEY,
    name              text             NOT NULL,
    country           text             NOT NULL, -- ISO 3166-1 alpha-2
    event_types       text[]           NOT NULL, -- empty: any
    sources           text[]           NOT NULL, -- empty: any
    retention_days    integer          NOT NULL CHECK (retention_days >= 0),
    max_payload_bytes integer          NOT NULL CHECK (max_payload_bytes >= 0),
    rate_per_second   double precision NOT NULL CHECK (rate_per_second >= 0),
    active            boolean          NOT NULL,
    preferences       jsonb            NOT NULL,
    updated_at        timestamptz      NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE tenant_tracking_settings, stage_totals, stage_stats, dead_letters, dedupe_claims, traces, event_store;
DROP FUNCTION event_store_refuse;
