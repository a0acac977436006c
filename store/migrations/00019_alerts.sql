-- +goose Up

-- What is wrong, and since when: one row an alert, which is a kind and what it is about. Those of the whole system belong to no tenant, and
-- have an empty one. A row is of the last time that it was wrong: it stays for a while after that is over.
CREATE TABLE alerts (
    tenant_id   text             COLLATE "C" NOT NULL,
    id          text             COLLATE "C" NOT NULL,
    kind        text             COLLATE "C" NOT NULL,
    pipeline    text             COLLATE "C" NOT NULL, -- what it is about: that which is not empty, as in the four below
    stage       text             COLLATE "C" NOT NULL,
    topic       text             COLLATE "C" NOT NULL,
    source      text             COLLATE "C" NOT NULL,
    reason      text             COLLATE "C" NOT NULL,
    severity    text             COLLATE "C" NOT NULL CHECK (severity IN ('critical', 'warning', 'notice')),
    value       double precision NOT NULL,
    threshold   double precision NOT NULL,
    base        double precision NOT NULL, -- what the value was when it began: of what is wrong only when it grows
    since       timestamptz      NOT NULL,
    fired_at    timestamptz,               -- NULL while it has not lasted for long enough
    seen_at     timestamptz      NOT NULL, -- when it was found last
    resolved_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK (resolved_at IS NULL OR fired_at IS NOT NULL)
) WITH (fillfactor = 50);

-- Alerts that somebody does not want to hear of for a while. A silence holds for the tenant that it was made for.
CREATE TABLE alert_silences (
    tenant_id text        COLLATE "C" NOT NULL,
    alert_id  text        COLLATE "C" NOT NULL,
    at        timestamptz NOT NULL,
    until     timestamptz NOT NULL,
    who       text        NOT NULL, -- for people
    reason    text        NOT NULL, -- in their words
    PRIMARY KEY (tenant_id, alert_id)
);

-- The processes that look for alerts take turns. It is one row, and nobody's data.
CREATE TABLE alert_turns (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    taken_at  timestamptz NOT NULL, -- when a process set out to look
    looked_at timestamptz NOT NULL  -- of when the alerts are
);

-- Tenants see their own, as they do all else that names them (00002_tenancy).
-- +goose StatementBegin
DO $$
DECLARE
    confined text;
BEGIN
    FOREACH confined IN ARRAY ARRAY['alerts', 'alert_silences'] LOOP
        EXECUTE format('GRANT SELECT ON %I TO rastro_query', confined);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', confined);
        EXECUTE format('CREATE POLICY tenant ON %I FOR SELECT TO rastro_query '
            || 'USING (tenant_id = current_setting(''rastro.tenant_id'', true))', confined);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE alert_turns, alert_silences, alerts;
