-- +goose Up

-- What traces and events are searched by that is not a column: the codes of a place, the carrier and the flight of an event. Go's facetsOf says the
-- same, and a test holds the two together. Whatever is an empty text counts as absent.

-- +goose StatementBegin
CREATE FUNCTION event_places(details jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[details->'location'->>'iata', details->'location'->>'icao', details->'location'->>'unlocode', details->'location'->>'gln',
        details->'enrichment'->'place'->>'iata', details->'location'->>'name']
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION event_carrier(details jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN details->'enrichment'->'airline'->>'iata' <> ''
            AND details->'enrichment'->'airline'->>'icao' = upper(coalesce(details->'transport', details->'enrichment'->'transport')->>'carrier' COLLATE "C")
        THEN details->'enrichment'->'airline'->>'iata'
        ELSE upper(coalesce(details->'transport', details->'enrichment'->'transport')->>'carrier' COLLATE "C") END
$$;
-- +goose StatementEnd

-- A flight is carrier and number without leading zeros: LA2047.
-- +goose StatementBegin
CREATE FUNCTION event_flight(details jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(event_carrier(details), '')
        || nullif(ltrim(upper(coalesce(details->'transport', details->'enrichment'->'transport')->>'number' COLLATE "C"), '0'), '')
$$;
-- +goose StatementEnd

-- Which traces ever had an event of which source, type, kind, milestone, place, carrier, flight. Rows are only ever added, when an event
-- brings what its trace did not have: an update of a trace costs nothing here. They need no time, because a value is looked for in
-- two ways: few traces have it, and these are read, or many have, and the traces are read in the order that is asked for and looked up here.
CREATE TABLE trace_facets (
    tenant_id      text COLLATE "C" NOT NULL,
    facet          text COLLATE "C" NOT NULL, -- a letter, a colon and the value: see store/facets.go
    correlation_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, facet, correlation_id)
);

GRANT SELECT ON trace_facets TO rastro_query;
ALTER TABLE trace_facets ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON trace_facets FOR SELECT TO rastro_query
    USING (tenant_id = current_setting('rastro.tenant_id', true));

-- A value too long for an index is known by its digest.
-- +goose StatementBegin
CREATE FUNCTION event_facets(source text, event_type text, kind text, classifier text, milestone text, details jsonb) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT DISTINCT letter || ':' || CASE WHEN octet_length(value) > 200 THEN 'sha256:' || encode(sha256(convert_to(value, 'UTF8')), 'hex')
        ELSE value END COLLATE "C"
    FROM (VALUES ('s', source), ('t', event_type), ('k', kind), (CASE classifier WHEN 'actual' THEN 'm' ELSE 'e' END, milestone),
        ('c', event_carrier(details)), ('f', event_flight(details))) AS v (letter, value) WHERE value <> ''
    UNION
    SELECT 'l:' || CASE WHEN octet_length(value) > 200 THEN 'sha256:' || encode(sha256(convert_to(value, 'UTF8')), 'hex')
        ELSE value END COLLATE "C"
    FROM unnest(event_places(details)) AS v (value) WHERE value <> ''
$$;
-- +goose StatementEnd

INSERT INTO trace_facets (tenant_id, facet, correlation_id)
SELECT DISTINCT e.tenant_id, f.facet, e.correlation_id
FROM event_store e, event_facets(e.source, e.event_type, e.kind, e.classifier, e.milestone, e.details::jsonb) AS f (facet)
WHERE octet_length(e.tenant_id) + octet_length(e.correlation_id) <= 2000;

-- Lists of traces and of events, in the orders that they can be asked for.
CREATE INDEX traces_first ON traces (tenant_id, first_event_at, correlation_id);
CREATE INDEX traces_updated ON traces (tenant_id, updated_at, correlation_id);
CREATE INDEX traces_status ON traces (tenant_id, status, last_event_at, correlation_id);
CREATE INDEX traces_exception ON traces (tenant_id, last_event_at, correlation_id) WHERE exception <> '';
CREATE INDEX traces_anomaly ON traces (tenant_id, last_event_at, correlation_id) WHERE anomalies <> '[]';
DROP INDEX traces_recent;
CREATE INDEX traces_recent ON traces (tenant_id, last_event_at, correlation_id); -- read in either direction, ties included

CREATE INDEX event_store_received ON event_store (tenant_id, received_at, uid);
CREATE INDEX event_store_occurred ON event_store (tenant_id, occurred_at, uid);

-- Events that a stage dropped on purpose and that are copies of none: what became of them is asked for by their uid.
CREATE TABLE drops (
    uid            uuid        NOT NULL,
    pipeline       text        COLLATE "C" NOT NULL,
    tenant_id      text        COLLATE "C" NOT NULL,
    stage          text        COLLATE "C" NOT NULL,
    code           text        COLLATE "C" NOT NULL,
    message        text        NOT NULL,
    source         text        COLLATE "C" NOT NULL,
    event_type     text        COLLATE "C" NOT NULL,
    correlation_id text        COLLATE "C" NOT NULL,
    received_at    timestamptz NOT NULL,
    dropped_at     timestamptz NOT NULL,
    PRIMARY KEY (uid, pipeline)
);

CREATE INDEX drops_old ON drops (received_at);

GRANT SELECT ON drops TO rastro_query;
ALTER TABLE drops ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON drops FOR SELECT TO rastro_query
    USING (tenant_id = current_setting('rastro.tenant_id', true));

-- +goose Down
DROP TABLE drops, trace_facets;
DROP INDEX event_store_received, event_store_occurred, traces_first, traces_updated, traces_status, traces_exception, traces_anomaly, traces_recent;
CREATE INDEX traces_recent ON traces (tenant_id, last_event_at DESC, correlation_id);
DROP FUNCTION event_facets, event_flight, event_carrier, event_places;
