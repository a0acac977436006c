-- +goose Up

-- What became of every event of a pipeline, a bit each: bit n of a mark is event 64 * part + n of the frame that the event first
-- came in, or the event itself when a stage made it (its uid stands for the frame then). Bits are only ever added, so that
-- what is said twice is said once. What a mark brings is in ledger_totals from the same transaction on: a mark that is complete
-- has no use but to recognise what is delivered again.
CREATE TABLE ledger_marks (
    tenant_id  text     COLLATE "C" NOT NULL,
    pipeline   text     COLLATE "C" NOT NULL,
    frame      uuid     NOT NULL,
    part       integer  NOT NULL,
    received   bigint   NOT NULL,
    emitted    bigint   NOT NULL, -- made by a stage of the pipeline
    passed     bigint   NOT NULL, -- out of the end of the pipeline, or by a route that leaves it
    duplicates bigint   NOT NULL, -- dropped as a copy of another event
    dropped    bigint   NOT NULL, -- dropped for any other reason
    rejected   bigint   NOT NULL, -- dead-lettered
    noted_on   date     NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    PRIMARY KEY (tenant_id, pipeline, frame, part)
) WITH (fillfactor = 70);

-- Never updated, so that marks can be updated in place.
CREATE INDEX ledger_marks_old ON ledger_marks (noted_on);

-- The sums of ledger_marks, those that are pruned included.
CREATE TABLE ledger_totals (
    tenant_id  text   COLLATE "C" NOT NULL,
    pipeline   text   COLLATE "C" NOT NULL,
    received   bigint NOT NULL,
    emitted    bigint NOT NULL,
    passed     bigint NOT NULL,
    duplicates bigint NOT NULL,
    dropped    bigint NOT NULL,
    rejected   bigint NOT NULL,
    twice      bigint NOT NULL, -- endings of events that had ended otherwise before
    unreceived bigint NOT NULL, -- events that ended and were never received
    PRIMARY KEY (tenant_id, pipeline)
) WITH (fillfactor = 50);

-- +goose StatementBegin
CREATE FUNCTION ledger_twice(passed bigint, duplicates bigint, dropped bigint, rejected bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT bit_count(passed::bit(64)) + bit_count(duplicates::bit(64)) + bit_count(dropped::bit(64)) + bit_count(rejected::bit(64))
        - bit_count((passed | duplicates | dropped | rejected)::bit(64))
$$;
-- +goose StatementEnd

-- Events that were dropped as copies of others.
CREATE TABLE duplicates (
    uid               uuid        NOT NULL,
    pipeline          text        COLLATE "C" NOT NULL,
    tenant_id         text        COLLATE "C" NOT NULL,
    of                uuid,       -- NULL when the stage did not say
    stage             text        COLLATE "C" NOT NULL,
    code              text        COLLATE "C" NOT NULL,
    source            text        COLLATE "C" NOT NULL,
    event_id          text        COLLATE "C" NOT NULL,
    event_type        text        COLLATE "C" NOT NULL,
    correlation_id    text        COLLATE "C" NOT NULL,
    received_at       timestamptz NOT NULL,
    first_received_at timestamptz, -- of the event that it is a copy of, as its uid tells
    PRIMARY KEY (uid, pipeline)
);

CREATE INDEX duplicates_recent ON duplicates (tenant_id, received_at DESC, uid DESC, pipeline DESC);
CREATE INDEX duplicates_journey ON duplicates (tenant_id, correlation_id);
CREATE INDEX duplicates_of ON duplicates (of);
CREATE INDEX duplicates_old ON duplicates (received_at);

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['ledger_marks', 'ledger_totals', 'duplicates'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE duplicates, ledger_totals, ledger_marks;
DROP FUNCTION ledger_twice;
