-- +goose Up

-- What identifies a code however it is written: case and spaces round it do not matter. A digest, because codes may be longer than an
-- index takes.
-- +goose StatementBegin
CREATE FUNCTION code_key(code text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT substr(sha256(convert_to(lower(btrim(code) COLLATE "C"), 'UTF8')), 1, 16)
$$;
-- +goose StatementEnd

-- Codes that nothing knew when their events were stored. Of one code there are several rows, of which each connection has its own as a
-- rule: two that store events with the same code do not wait for each other.
CREATE TABLE unmapped_codes (
    tenant_id text        COLLATE "C" NOT NULL,
    code_key  bytea       NOT NULL,
    place_key bytea       NOT NULL, -- of source and kind
    slot      smallint    NOT NULL,
    source    text        COLLATE "C" NOT NULL,
    kind      text        COLLATE "C" NOT NULL,
    code      text        COLLATE "C" NOT NULL, -- as it was sent first
    count     bigint      NOT NULL,
    first_at  timestamptz NOT NULL, -- received
    last_at   timestamptz NOT NULL,
    samples   uuid[]      NOT NULL, -- some of the last events
    PRIMARY KEY (tenant_id, code_key, place_key, slot)
) WITH (fillfactor = 70);

-- What was decided about such codes: what they mean, or that they are of no interest. Events stay as they are; whoever folds them reads
-- this beside. It holds for a source and those below it, as acme is above acme/lim; the narrowest counts.
CREATE TABLE code_meanings (
    tenant_id  text        COLLATE "C" NOT NULL,
    code_key   bytea       NOT NULL,
    source     text        COLLATE "C" NOT NULL,
    code       text        COLLATE "C" NOT NULL,
    carrier    text        COLLATE "C" NOT NULL,
    dismissed  boolean     NOT NULL,
    milestone  text        COLLATE "C" NOT NULL, -- empty: only an exception
    exception  text        COLLATE "C" NOT NULL,
    reason     text        NOT NULL,
    who        text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, code_key, source)
);

-- What the code of an event means that nothing knew when it was stored, as MILESTONE/EXCEPTION; NULL when that was not decided.
-- +goose StatementBegin
CREATE FUNCTION code_meaning(tenant text, of_source text, of_code text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN NOT m.dismissed THEN m.milestone || '/' || m.exception END FROM code_meanings m
    WHERE m.tenant_id = tenant AND m.code_key = code_key(of_code) AND (of_source = m.source OR starts_with(of_source, m.source || '/'))
    ORDER BY length(m.source) DESC LIMIT 1
$$;
-- +goose StatementEnd

-- The traces of a code are folded anew, some at a time.
CREATE TABLE code_jobs (
    id          uuid        PRIMARY KEY,
    tenant_id   text        COLLATE "C" NOT NULL,
    carrier     text        COLLATE "C" NOT NULL,
    code        text        COLLATE "C" NOT NULL,
    sources     text[]      NOT NULL,
    action      text        COLLATE "C" NOT NULL CHECK (action IN ('apply', 'dismiss')),
    milestone   text        COLLATE "C" NOT NULL,
    exception   text        COLLATE "C" NOT NULL,
    reason      text        NOT NULL,
    who         text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    state       text        COLLATE "C" NOT NULL CHECK (state IN ('running', 'done')),
    total       bigint      NOT NULL,           -- events with the code
    done        bigint      NOT NULL DEFAULT 0, -- of them
    traces      bigint      NOT NULL DEFAULT 0, -- folded anew
    changed     bigint      NOT NULL DEFAULT 0, -- of them, with another status or trouble than before
    after_uid   uuid        NOT NULL,
    upto_uid    uuid        NOT NULL
);
CREATE INDEX code_jobs_running ON code_jobs (created_at, id) WHERE state = 'running';
CREATE INDEX code_jobs_recent ON code_jobs (tenant_id, created_at);

-- By which the events are found that have a code.
CREATE INDEX event_store_unknown ON event_store (tenant_id, code_key(event_type), uid) WHERE milestone = 'unknown';

INSERT INTO unmapped_codes (tenant_id, code_key, place_key, slot, source, kind, code, count, first_at, last_at, samples)
SELECT tenant_id, code_key(event_type), sha256(convert_to(source || E'\x01' || kind, 'UTF8')), -1, source, kind, min(event_type),
    count(*), min(received_at), max(received_at), (array_agg(uid ORDER BY uid DESC))[1:5]
FROM event_store WHERE milestone = 'unknown' GROUP BY tenant_id, code_key(event_type), source, kind;

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['unmapped_codes', 'code_meanings', 'code_jobs'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX event_store_unknown;
DROP FUNCTION code_meaning;
DROP TABLE code_jobs, code_meanings, unmapped_codes;
DROP FUNCTION code_key;
