package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	cutEvents = 20_000 // so many events are cut in one transaction, or a journey
	cutTraces = 2000   // and so many journeys at most
)

const (
	// tenantsStored jumps from one tenant to the next by the index.
	tenantsStored = `
WITH RECURSIVE t AS (
    (SELECT tenant_id FROM %[1]s ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT n.tenant_id FROM %[1]s n WHERE n.tenant_id > t.tenant_id ORDER BY n.tenant_id LIMIT 1) FROM t WHERE t.tenant_id IS NOT NULL
)
SELECT tenant_id FROM t WHERE tenant_id IS NOT NULL`

	ofRule = `tenant_id = $1 AND updated_at < $2 AND (kind = $3 OR $3 = '' AND kind <> ALL ($4::text[]))`

	// chained is how many rows a trace has in event_store.
	chained = `(chain_seq - chain_removed + chain_before)`

	countOver = `SELECT count(*), coalesce(sum(` + chained + `), 0)::bigint FROM traces WHERE ` + ofRule + ` AND updated_at >= $5`

	nextOver = `
SELECT correlation_id, updated_at, ` + chained + ` FROM traces
WHERE ` + ofRule + ` AND (updated_at, correlation_id) > ($5, $6)
ORDER BY updated_at, correlation_id LIMIT $7`

	lockOver = `
SELECT correlation_id, ` + chained + ` FROM traces
WHERE ` + ofRule + ` AND correlation_id = ANY ($5::text[]) ORDER BY correlation_id FOR UPDATE`

	rowsOfTraces = `
SELECT e.correlation_id, e.uid, e.chain_epoch, e.received_at >= $3
FROM event_store e JOIN unnest($2::text[]) AS k (correlation_id) USING (correlation_id)
WHERE e.tenant_id = $1`

	hashesOfEpochs = `
SELECT e.tenant_id, e.chain_epoch, e.chain_hash, k.correlation_id IS NOT NULL
FROM event_store e LEFT JOIN unnest($3::text[]) AS k (correlation_id) USING (correlation_id)
WHERE e.tenant_id = $1 AND e.chain_epoch = ANY ($2::bigint[])
ORDER BY e.tenant_id, e.chain_epoch, e.chain_hash`

	// What a row can be searched by is told by the row, and by what was decided about its code.
	deleteFacets = `
DELETE FROM trace_facets f USING (
    SELECT DISTINCT e.correlation_id, x.facet
    FROM event_store e
    CROSS JOIN LATERAL (SELECT e.milestone UNION SELECT split_part(code_meaning(e.tenant_id, e.source, e.event_type), '/', 1) WHERE e.milestone = 'unknown')
        AS m (milestone)
    CROSS JOIN LATERAL event_facets(e.source, e.event_type, e.kind, e.classifier, m.milestone, e.details::jsonb) AS x (facet)
    WHERE e.uid = ANY ($2::uuid[]) AND e.uid BETWEEN $3 AND $4 AND e.tenant_id = $1
) g WHERE f.tenant_id = $1 AND f.correlation_id = g.correlation_id AND f.facet = g.facet`

	deleteRows   = `DELETE FROM event_store WHERE tenant_id = $1 AND uid = ANY ($2::uuid[]) AND uid BETWEEN $3 AND $4`
	deletePeople = `DELETE FROM personal_data WHERE tenant_id = $1 AND uid = ANY ($2::uuid[])`
	deleteOver   = `DELETE FROM traces WHERE tenant_id = $1 AND correlation_id = ANY ($2::text[])`
)

// timeSpan is a span of time, with its end left out; zero for no bound.
type timeSpan struct{ from, to time.Time }

// rows cuts the journeys that are over row by row, those left out whose last event was received in a span that waits for its partition
// to be dropped.
func (w *retainer) rows(ctx context.Context, waiting []timeSpan) error {
	rows, err := w.store.pool.Query(ctx, fmt.Sprintf(tenantsStored, "traces"))
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	for _, tenant := range tenants {
		rules := w.policy.of(tenant)
		for _, rule := range rules.all() {
			if rule.days == 0 {
				continue
			}
			c := rowCutter{retainer: w, tenant: tenant, rule: rule, kinds: append([]string{}, slices.Sorted(maps.Keys(rules.kinds))...)}
			for _, span := range outside(waiting) {
				if err := c.span(ctx, span); err != nil {
					return fmt.Errorf("cut rows of tenant %s: %w", tenant, err)
				}
			}
		}
	}
	return nil
}

// outside returns the spans between others.
func outside(spans []timeSpan) []timeSpan {
	slices.SortFunc(spans, func(a, b timeSpan) int { return a.from.Compare(b.from) })
	var between []timeSpan
	var from time.Time
	for _, s := range spans {
		if from.Before(s.from) {
			between = append(between, timeSpan{from, s.from})
		}
		from = s.to
	}
	return append(between, timeSpan{from: from})
}

// rowCutter cuts what a tenant keeps no longer by one rule.
type rowCutter struct {
	*retainer

	tenant string
	rule   retentionRule
	kinds  []string // that have rules of their own
}

// args are those of ofRule, with its time no later than the end of a span.
func (c *rowCutter) args(to time.Time, more ...any) []any {
	before := c.rule.before
	if !to.IsZero() && to.Before(before) {
		before = to
	}
	return append([]any{c.tenant, before, c.rule.kind, c.kinds}, more...)
}

// overTrace is a journey that seems to be over.
type overTrace struct {
	correlation string
	last        time.Time
	rows        int64
}

// span cuts the journeys whose last event was received in a span.
func (c *rowCutter) span(ctx context.Context, span timeSpan) error {
	if !span.from.IsZero() && !span.from.Before(c.rule.before) {
		return nil
	}
	if c.DryRun {
		var traces, events int64
		from := cmp.Or(instant(span.from), &time.Time{})
		if err := c.longRead(ctx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, countOver, c.args(span.to, from)...).Scan(&traces, &events)
		}); err != nil || traces == 0 {
			return err
		}
		c.cutDone(c.tenant, c.rule, "", traces, events)
		return nil
	}
	last := overTrace{last: span.from.Add(-time.Microsecond)}
	if span.from.IsZero() {
		last.last = time.Time{}.Add(-time.Microsecond)
	}
	for {
		var found []overTrace
		if err := c.longRead(ctx, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, nextOver, c.args(span.to, last.last, last.correlation, cutTraces)...)
			if err != nil {
				return err
			}
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t overTrace, err error) {
				err = row.Scan(&t.correlation, &t.last, &t.rows)
				return t, err
			})
			return err
		}); err != nil {
			return fmt.Errorf("find journeys that are over: %w", err)
		}
		if len(found) == 0 {
			return nil
		}
		found = upToEvents(found, int64(c.batchEvents))
		last = found[len(found)-1]
		if err := c.cutTraces(ctx, column(found, func(t overTrace) string { return t.correlation })); err != nil {
			return err
		}
		c.progress("", c.tenant)
	}
}

// upToEvents returns the first traces, which have so many events together, or the first one.
func upToEvents(found []overTrace, events int64) []overTrace {
	for i := range found {
		if events -= found[i].rows; events <= 0 {
			return found[:i+1]
		}
	}
	return found
}

// longRead reads for as long as it takes.
func (w *retainer) longRead(ctx context.Context, read func(pgx.Tx) error) error {
	return inSnapshot(ctx, w.store.pool, read)
}

// errUnsound says that epochs were found not to be as they were sealed; what is in them is kept.
var errUnsound = errors.New("rows are not those that were sealed")

// cutTraces cuts journeys in one transaction, those left out that are not over after all, or not as they were stored.
func (c *rowCutter) cutTraces(ctx context.Context, correlations []string) error {
	for {
		var count RetentionCount
		err := pgx.BeginFunc(ctx, c.store.pool, func(tx pgx.Tx) (err error) {
			count, err = c.cutIn(ctx, tx, correlations)
			return err
		})
		if errors.Is(err, errUnsound) {
			continue // without what is in those epochs
		}
		if err == nil && count.Traces > 0 {
			c.cutDone(c.tenant, c.rule, "", count.Traces, count.Events)
		}
		return err
	}
}

func (c *rowCutter) cutIn(ctx context.Context, tx pgx.Tx, correlations []string) (count RetentionCount, err error) {
	if err := cutWork(ctx, tx); err != nil {
		return count, err
	}
	// Before any trace is locked: who seals waits for writers, who wait for traces.
	if _, err := tx.Exec(ctx, auditLock); err != nil {
		return count, err
	}
	traces, err := c.lock(ctx, tx, correlations)
	if err != nil || len(traces) == 0 {
		return count, err
	}
	names := slices.Sorted(maps.Keys(traces))
	seals, err := c.reseal(ctx, tx, traces, names)
	if err != nil {
		return count, err
	}
	var uids []uuid.UUID
	for _, name := range names {
		uids = append(uids, traces[name].uids...)
	}
	count = RetentionCount{TenantID: c.tenant, Kind: c.rule.kind, Days: c.rule.days, Before: c.rule.before,
		Traces: int64(len(names)), Events: int64(len(uids))}
	if err := c.noteCut(ctx, tx, count, seals); err != nil {
		return count, err
	}
	return count, deleteTracesWith(ctx, tx, c.tenant, names, uids)
}

// lockedTrace is a journey whose row is locked, with its rows of event_store.
type lockedTrace struct {
	rows   int64 // that it should have
	uids   []uuid.UUID
	epochs map[int64]bool
	goesOn bool
}

// lock locks journeys and reads what rows they have. It leaves out those that are not to be cut.
func (c *rowCutter) lock(ctx context.Context, tx pgx.Tx, correlations []string) (map[string]*lockedTrace, error) {
	rows, err := tx.Query(ctx, lockOver, c.args(time.Time{}, correlations)...)
	if err != nil {
		return nil, fmt.Errorf("lock journeys: %w", err)
	}
	traces := make(map[string]*lockedTrace, len(correlations))
	var correlation string
	var expected int64
	if _, err := pgx.ForEachRow(rows, []any{&correlation, &expected}, func() error {
		traces[correlation] = &lockedTrace{rows: expected, epochs: map[int64]bool{}}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("lock journeys: %w", err)
	}
	rows, err = tx.Query(ctx, rowsOfTraces, c.tenant, slices.Sorted(maps.Keys(traces)), c.rule.before)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	var uid uuid.UUID
	var epoch *int64
	var young bool
	if _, err := pgx.ForEachRow(rows, []any{&correlation, &uid, &epoch, &young}, func() error {
		t := traces[correlation]
		t.uids = append(t.uids, uid)
		t.goesOn = t.goesOn || young
		if epoch != nil {
			t.epochs[*epoch] = true
		}
		epoch = nil
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	maps.DeleteFunc(traces, func(correlation string, t *lockedTrace) bool { return !c.cuts(correlation, t) })
	return traces, nil
}

// cuts reports whether a journey is to be cut.
func (c *rowCutter) cuts(correlation string, t *lockedTrace) bool {
	if t.goesOn {
		return false
	}
	if c.AcceptFindings {
		return true
	}
	if int64(len(t.uids)) != t.rows || t.rows == 0 {
		c.find(c.tenant, correlation, keptForCount, len(t.uids), t.rows)
		return false
	}
	for epoch := range t.epochs {
		if c.unsound[sealedEpoch{c.tenant, epoch}] {
			return false
		}
	}
	return true
}

// reseal returns the seals of what will be left of the epochs that journeys were written in.
func (c *rowCutter) reseal(ctx context.Context, tx pgx.Tx, traces map[string]*lockedTrace, names []string) ([]Seal, error) {
	epochs := map[sealedEpoch]bool{}
	for _, t := range traces {
		for epoch := range t.epochs {
			epochs[sealedEpoch{c.tenant, epoch}] = true
		}
	}
	last, err := lastSealsOf(ctx, tx, epochs)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	numbers := make([]int64, 0, len(last))
	for at := range last {
		numbers = append(numbers, at.epoch)
	}
	rows, err := tx.Query(ctx, hashesOfEpochs, c.tenant, numbers, names)
	if err != nil {
		return nil, fmt.Errorf("read hashes: %w", err)
	}
	seals, unsound, err := reseal(rows, last)
	if err != nil {
		return nil, err
	}
	if len(unsound) > 0 && !c.AcceptFindings {
		c.keep(unsound)
		return nil, errUnsound
	}
	return seals, nil
}

// deleteTracesWith deletes journeys of a tenant and their rows of event_store, which noteCut has announced.
func deleteTracesWith(ctx context.Context, tx pgx.Tx, tenant string, names []string, uids []uuid.UUID) error {
	if len(uids) > 0 {
		slices.SortFunc(uids, func(a, b uuid.UUID) int { return cmp.Compare(string(a[:]), string(b[:])) })
		first, last := uids[0], uids[len(uids)-1]
		if _, err := tx.Exec(ctx, deleteFacets, tenant, uids, first, last); err != nil {
			return fmt.Errorf("delete what journeys are found by: %w", err)
		}
		if _, err := tx.Exec(ctx, deletePeople, tenant, uids); err != nil {
			return fmt.Errorf("delete personal data: %w", err)
		}
		tag, err := tx.Exec(ctx, deleteRows, tenant, uids, first, last)
		if err == nil && tag.RowsAffected() != int64(len(uids)) {
			err = fmt.Errorf("%d rows were deleted of %d", tag.RowsAffected(), len(uids))
		}
		if err != nil {
			return fmt.Errorf("delete rows: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, deleteOver, tenant, names); err != nil {
		return fmt.Errorf("delete journeys: %w", err)
	}
	return nil
}
