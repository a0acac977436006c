-- +goose Up

-- The stages that stand still because somebody paused them, and who did and why. A stage that runs has no row. It is nobody's data: who
-- pauses a stage holds up all tenants' events, and what was done stands in ops_audit, of no tenant.
CREATE TABLE stage_controls (
    pipeline  text        COLLATE "C" NOT NULL,
    stage     text        COLLATE "C" NOT NULL,
    paused_by text        NOT NULL, -- as the issuer knows them
    name      text        NOT NULL, -- for people; may be empty
    reason    text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, stage)
);

-- Nothing is granted to the query role; were it, no policy lets it see a row.
ALTER TABLE stage_controls ENABLE ROW LEVEL SECURITY;

-- Whether the process that says so has the stage stand still.
ALTER TABLE stage_processes ADD COLUMN paused boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE stage_processes DROP COLUMN paused;
DROP TABLE stage_controls;
