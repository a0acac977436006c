-- +goose Up

-- How redrives end besides by the store: dropped by a stage, or out of a pipeline that does not store. What passed may yet be stored
-- by another pipeline, and so is looked after for a while.
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check CHECK (state IN ('open', 'redriving', 'stored', 'passed', 'dropped', 'superseded', 'discarded'));
DROP INDEX dead_letters_check;
CREATE INDEX dead_letters_check ON dead_letters (next_check_at) WHERE state IN ('redriving', 'passed') AND next_check_at IS NOT NULL;

-- +goose Down
UPDATE dead_letters SET state = 'discarded' WHERE state IN ('passed', 'dropped');
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check CHECK (state IN ('open', 'redriving', 'stored', 'superseded', 'discarded'));
DROP INDEX dead_letters_check;
CREATE INDEX dead_letters_check ON dead_letters (next_check_at) WHERE state = 'redriving' AND next_check_at IS NOT NULL;
