package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// refoldEvents is how many events with a code are seen to in one transaction. Of as many traces, at most, all events are read.
const refoldEvents = 200

const (
	// Whoever works on a job holds it for one transaction: when it dies, another goes on from where it was.
	takeCodeJob = `
SELECT id, tenant_id, code, sources, after_uid, upto_uid FROM code_jobs WHERE state = 'running' ORDER BY created_at, id LIMIT 1
FOR UPDATE SKIP LOCKED`

	nextDecided = `
SELECT uid, correlation_id FROM event_store WHERE ` + decidedEvents + ` AND uid > $4 AND uid <= $5 ORDER BY uid LIMIT $6`

	lockRefolded = `
SELECT correlation_id, status || '/' || exception, facets_known FROM traces WHERE tenant_id = $1 AND correlation_id = ANY($2::text[])
ORDER BY tenant_id, correlation_id FOR UPDATE`

	countRefolded = `
SELECT count(*) FROM traces t JOIN unnest($2::text[], $3::text[]) AS b (correlation_id, standing) USING (correlation_id)
WHERE t.tenant_id = $1 AND t.status || '/' || t.exception <> b.standing`

	knowFacets = `
UPDATE traces t SET facets_known = k.known FROM unnest($2::text[], $3::bytea[]) AS k (correlation_id, known)
WHERE t.tenant_id = $1 AND t.correlation_id = k.correlation_id`

	noteRefolded = `
UPDATE code_jobs SET after_uid = $2, done = done + $3, traces = traces + $4, changed = changed + $5,
    state = CASE WHEN $6 THEN 'done' ELSE state END, finished_at = CASE WHEN $6 THEN now() END
WHERE id = $1`
)

// refoldJob is a job as it is worked on.
type refoldJob struct {
	id           uuid.UUID
	tenant, code string
	sources      []string
	after, upTo  uuid.UUID
}

// RefoldCodes goes on with a job that folds traces anew, for one transaction. It returns false when there is none that nobody else works
// on.
func (s *Store) RefoldCodes(ctx context.Context) (worked bool, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var j refoldJob
		err := tx.QueryRow(ctx, takeCodeJob).Scan(&j.id, &j.tenant, &j.code, &j.sources, &j.after, &j.upTo)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		worked = true
		return j.goOn(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("fold the traces of a code anew: %w", err)
	}
	if worked {
		s.traceChanged()
	}
	return worked, nil
}

func (j refoldJob) goOn(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, nextDecided, j.tenant, j.code, j.sources, j.after, j.upTo, refoldEvents)
	if err != nil {
		return fmt.Errorf("find events: %w", err)
	}
	var uid uuid.UUID
	var correlation string
	var correlations []string
	events := 0
	if _, err := pgx.ForEachRow(rows, []any{&uid, &correlation}, func() error {
		events, j.after = events+1, uid
		correlations = append(correlations, correlation)
		return nil
	}); err != nil {
		return fmt.Errorf("find events: %w", err)
	}
	slices.Sort(correlations)
	traces, changed, err := refoldTraces(ctx, tx, j.tenant, slices.Compact(correlations))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, noteRefolded, j.id, j.after, events, traces, changed, events < refoldEvents)
	return err
}

// refoldTraces locks traces in the order in which Persist does and folds them anew. It returns how many it folded, and of how many the
// standing is another. Rows that are missing are left to a replay.
func refoldTraces(ctx context.Context, tx pgx.Tx, tenant string, correlations []string) (folded, changed int, err error) {
	if len(correlations) == 0 {
		return 0, 0, nil
	}
	rows, err := tx.Query(ctx, lockRefolded, tenant, correlations)
	if err != nil {
		return 0, 0, fmt.Errorf("lock traces: %w", err)
	}
	var keys []traceKey
	var before []string
	var known []byte
	traces := map[traceKey]*touched{}
	key, standing := traceKey{tenant: tenant}, ""
	if _, err := pgx.ForEachRow(rows, []any{&key.correlation, &standing, &known}, func() error {
		keys, before = append(keys, key), append(before, standing)
		traces[key] = &touched{locked: true, facets: known}
		known = nil
		return nil
	}); err != nil {
		return 0, 0, fmt.Errorf("lock traces: %w", err)
	}
	if len(keys) == 0 {
		return 0, 0, nil
	}
	byTrace, err := refold(ctx, tx, keys)
	if err != nil {
		return 0, 0, err
	}
	for key, events := range byTrace {
		traces[key].events = events
	}
	if err := refacet(ctx, tx, tenant, traces); err != nil {
		return 0, 0, err
	}
	if _, err := tx.Exec(ctx, noteChanges, tenantsOf(keys), correlationsOf(keys)); err != nil {
		return 0, 0, fmt.Errorf("note changes: %w", err)
	}
	if err := tx.QueryRow(ctx, countRefolded, tenant, correlationsOf(keys), before).Scan(&changed); err != nil {
		return 0, 0, fmt.Errorf("count traces: %w", err)
	}
	return len(keys), changed, nil
}

// refacet has traces found by what the codes of their events mean by now.
func refacet(ctx context.Context, tx pgx.Tx, tenant string, traces map[traceKey]*touched) error {
	facets, _ := newFacets(traces)
	if len(facets) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, insertUnknownFacets, facetArgs(facets)...); err != nil {
		return fmt.Errorf("write facets: %w", err)
	}
	var correlations []string
	var known [][]byte
	for key, t := range traces {
		correlations, known = append(correlations, key.correlation), append(known, t.facets)
	}
	if _, err := tx.Exec(ctx, knowFacets, tenant, correlations, known); err != nil {
		return fmt.Errorf("write facets: %w", err)
	}
	return nil
}
