-- +goose Up
-- Digests of the rows of trace_facets that a trace has for sure, eight bytes each and sorted: see store/facets.go. They stand beside the
-- state, which is read and written with every event anyway, so that what is known of a trace need not be looked up in an index value
-- by value. NULL knows of none.
ALTER TABLE traces ADD COLUMN facets_known bytea;

-- +goose Down
ALTER TABLE traces DROP COLUMN facets_known;
