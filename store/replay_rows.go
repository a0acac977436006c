package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/tracking"
)

var insertShadow = `
INSERT INTO traces_replay (` + foldColumns + `, had_version)
SELECT tenant_id, correlation_id, aggregate_id, aggregates::jsonb, kind, status, exception, anomalies::jsonb, first_event_at, last_event_at,
    estimated_at, last_place, event_count, voided_count, unknown_count, pieces_total, pieces_delivered, state, updated_at, had_version
FROM (` + sent(sentFold+`, had_version text`) + `) AS r
ON CONFLICT (tenant_id, correlation_id) DO NOTHING`

const (
	// readRows reads rows with the lists as text.
	readRows = `
SELECT ` + foldColumns + `, traces.xmin::text FROM traces JOIN unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id) USING (tenant_id, correlation_id)`

	// Whoever writes a row gives it another xmin, so that a row with the one it had is the row that it was.
	lockDifferent = `
SELECT r.tenant_id, r.correlation_id, t.xmin::text IS DISTINCT FROM r.had_version
FROM traces t JOIN traces_replay r USING (tenant_id, correlation_id)
WHERE (r.tenant_id, r.correlation_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY t.tenant_id, t.correlation_id FOR UPDATE OF t`

	nextDifferent = `
SELECT tenant_id, correlation_id FROM traces_replay WHERE (tenant_id, correlation_id) > ($1, $2) AND bereft = $4
ORDER BY tenant_id, correlation_id LIMIT $3`

	// makeTraces makes the rows that are missing.
	makeTraces = `
INSERT INTO traces (tenant_id, correlation_id)
SELECT tenant_id, correlation_id FROM unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id)
ORDER BY tenant_id COLLATE "C", correlation_id COLLATE "C"
ON CONFLICT DO NOTHING`

	// restoreHeads gives rows that were missing the heads of their chains.
	restoreHeads = `
UPDATE traces t SET chain_seq = e.seq, chain_hash = e.hash, chain_before = e.before
FROM (
    SELECT tenant_id, correlation_id, coalesce(max(chain_seq), 0) AS seq, count(*) FILTER (WHERE chain_seq IS NULL) AS before,
        (array_agg(chain_hash ORDER BY chain_seq DESC) FILTER (WHERE chain_seq IS NOT NULL))[1] AS hash
    FROM event_store JOIN unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id) USING (tenant_id, correlation_id)
    GROUP BY tenant_id, correlation_id
) e
WHERE t.tenant_id = e.tenant_id AND t.correlation_id = e.correlation_id AND t.chain_seq = 0 AND t.chain_before = 0`

	insertBereft = `
INSERT INTO traces_replay (tenant_id, correlation_id, bereft) SELECT *, true FROM unnest($1::text[], $2::text[])`

	// A row goes only when its chain says that it has no events: that it never had any, or that retention removed them all. Any other is
	// the evidence by which an audit knows that events are gone.
	//
	// It must not go while Persist, which has found it to be there, waits for its lock: the table is locked against writers for
	// the moment that removing some takes. Persist holds the table from before it looks: see holdTraces.
	lockTraceTable = `LOCK TABLE traces IN SHARE ROW EXCLUSIVE MODE`
	removeBereft   = `
DELETE FROM traces t USING unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id)
WHERE t.tenant_id = k.tenant_id AND t.correlation_id = k.correlation_id AND t.chain_seq - t.chain_removed + t.chain_before = 0 AND NOT EXISTS (
    SELECT FROM event_store e WHERE e.tenant_id = t.tenant_id AND e.correlation_id = t.correlation_id)`

	swapRows = `
UPDATE traces t SET
    aggregate_id = r.aggregate_id, aggregates = r.aggregates, kind = r.kind, status = r.status, exception = r.exception,
    anomalies = r.anomalies, first_event_at = r.first_event_at, last_event_at = r.last_event_at,
    estimated_at = r.estimated_at, last_place = r.last_place, event_count = r.event_count, voided_count = r.voided_count,
    unknown_count = r.unknown_count, pieces_total = r.pieces_total, pieces_delivered = r.pieces_delivered, state = r.state,
    updated_at = r.updated_at
FROM traces_replay r JOIN unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id) USING (tenant_id, correlation_id)
WHERE t.tenant_id = r.tenant_id AND t.correlation_id = r.correlation_id`
)

// modelRow is a row of traces as it stands.
type modelRow struct {
	values  [17]string // of foldColumns without the key
	version string     // xmin: which transaction wrote the row
}

// compareAndWrite folds traces, compares them with their rows, and keeps those that differ. It returns how many have a row.
func (w *replayer) compareAndWrite(ctx context.Context, tx pgx.Tx, batch [][]*tracking.Event) (there int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	rebuilt := make([]traceRow, len(batch))
	done := ReplayReport{Traces: int64(len(batch))}
	for i, of := range batch {
		state := tracking.Rebuild(of)
		row, err := traceRowOf(&state)
		if err != nil {
			return 0, fmt.Errorf("encode trace: %w", err)
		}
		rebuilt[i] = row
		done.Events += int64(len(of))
	}
	stored, err := readStored(ctx, tx, rebuilt)
	if err != nil {
		return 0, err
	}
	var differences []TraceDifference
	var different []traceRow
	var had []*string
	for _, row := range rebuilt {
		old, there := stored[traceKey{row.TenantID, row.CorrelationID}]
		fields := compareRows(old, row, there)
		if len(fields) == 0 {
			continue
		}
		differences = append(differences, TraceDifference{TenantID: row.TenantID, CorrelationID: row.CorrelationID, Fields: fields})
		different = append(different, row)
		if there {
			had = append(had, &old.version)
		} else {
			had = append(had, nil)
			done.Missing++
		}
	}
	if len(different) > 0 && !w.DryRun {
		if _, err := w.store.pool.Exec(ctx, insertShadow, append(foldArgs(different), had)...); err != nil {
			return 0, fmt.Errorf("write rebuilt traces: %w", err)
		}
	}
	w.settle(done, differences)
	return len(stored), nil
}

func readStored(ctx context.Context, tx pgx.Tx, of []traceRow) (map[traceKey]*modelRow, error) {
	rows, err := tx.Query(ctx, readRows,
		column(of, func(r traceRow) string { return r.TenantID }), column(of, func(r traceRow) string { return r.CorrelationID }))
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	found := make(map[traceKey]*modelRow, len(of))
	var key traceKey
	var r traceRow
	var kind, status, place string
	var aggregates, anomalies []string
	var first, last, estimated *time.Time
	var total, delivered *int
	var version string
	_, err = pgx.ForEachRow(rows, []any{
		&key.tenant, &key.correlation, &r.AggregateID, &aggregates, &kind, &status, &r.Exception, &anomalies, &first, &last, &estimated,
		&place, &r.EventCount, &r.VoidedCount, &r.UnknownCount, &total, &delivered, &r.state, &r.UpdatedAt, &version,
	}, func() error {
		found[key] = &modelRow{version: version, values: [17]string{
			r.AggregateID, listText(aggregates), kind, status, r.Exception, listText(anomalies), timeText(first), timeText(last),
			timeText(estimated), place, strconv.Itoa(r.EventCount), strconv.Itoa(r.VoidedCount), strconv.Itoa(r.UnknownCount),
			numberText(total), numberText(delivered), string(r.state), timeText(&r.UpdatedAt),
		}}
		aggregates, anomalies = nil, nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	return found, nil
}

func listText(list []string) string { return strings.Join(list, ", ") }

func timeText(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func numberText[N int | int32](n *N) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// compareRows lists the columns in which a row differs from its rebuilt self.
func compareRows(old *modelRow, row traceRow, there bool) []FieldDifference {
	if !there {
		return []FieldDifference{{Field: "row", Now: string(row.Status)}}
	}
	now := [17]string{
		row.AggregateID, listText(row.Aggregates), string(row.Kind), string(row.Status), row.Exception, listText(row.Anomalies),
		timeText(instant(row.FirstEventAt)), timeText(instant(row.LastEventAt)), timeText(row.EstimatedAt), row.lastPlace(),
		strconv.Itoa(row.EventCount), strconv.Itoa(row.VoidedCount), strconv.Itoa(row.UnknownCount),
		numberText(row.pieces(func(p *tracking.Pieces) int { return p.Total })),
		numberText(row.pieces(func(p *tracking.Pieces) int { return p.ByMilestone[tracking.Delivered] })),
		string(row.state), timeText(instant(row.UpdatedAt)),
	}
	names := strings.Split(foldColumns, ",")[2:]
	var fields []FieldDifference
	for i := range now {
		if old.values[i] == now[i] {
			continue
		}
		d := FieldDifference{Field: strings.TrimSpace(names[i]), Had: old.values[i], Now: now[i]}
		if d.Field == "state" {
			d.Had, d.Now = stateText(d.Had), stateText(d.Now)
		}
		fields = append(fields, d)
	}
	return fields
}

// stateText stands for a state, which nobody can read.
func stateText(state string) string {
	digest := sha256.Sum256([]byte(state))
	return fmt.Sprintf("%d bytes, sha256 %x…", len(state), digest[:4])
}

// swap puts the rebuilt rows in the place of those in use, some at a time in the order of their keys, which is the order in which
// Persist locks them, and then removes the rows that have no events.
func (w *replayer) swap(ctx context.Context, conn *pgxpool.Conn) error {
	if err := eachDifferent(ctx, conn, false, w.swapSome); err != nil {
		return fmt.Errorf("swap traces: %w", err)
	}
	if err := eachDifferent(ctx, conn, true, w.removeSome); err != nil {
		return fmt.Errorf("remove traces without events: %w", err)
	}
	return nil
}

// eachDifferent goes through the rebuilt rows, or through those without events.
func eachDifferent(ctx context.Context, conn *pgxpool.Conn, bereft bool,
	each func(ctx context.Context, conn *pgxpool.Conn, tenants, correlations []string) error,
) error {
	var last traceKey
	for {
		rows, err := conn.Query(ctx, nextDifferent, last.tenant, last.correlation, foldTraces, bereft)
		if err != nil {
			return fmt.Errorf("read rebuilt traces: %w", err)
		}
		var tenants, correlations []string
		_, err = pgx.ForEachRow(rows, []any{&last.tenant, &last.correlation}, func() error {
			tenants, correlations = append(tenants, last.tenant), append(correlations, last.correlation)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read rebuilt traces: %w", err)
		}
		if len(tenants) == 0 {
			return nil
		}
		if err := each(ctx, conn, tenants, correlations); err != nil {
			return err
		}
	}
}

func (w *replayer) removeSome(ctx context.Context, conn *pgxpool.Conn, tenants, correlations []string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Writers wait behind us while we wait, so that is cut short.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '3s'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockTraceTable); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, removeBereft, tenants, correlations)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.report.Changed += tag.RowsAffected()
		w.mu.Unlock()
		return nil
	})
}

func (w *replayer) swapSome(ctx context.Context, conn *pgxpool.Conn, tenants, correlations []string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Rows that are missing are made, and are then like any other. What there is is locked before, as Persist does.
		for _, sql := range []string{lockTraces, makeTraces, restoreHeads} {
			if _, err := tx.Exec(ctx, sql, tenants, correlations); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, lockDifferent, tenants, correlations)
		if err != nil {
			return err
		}
		var stale, sound []traceKey
		var key traceKey
		var changed bool
		if _, err := pgx.ForEachRow(rows, []any{&key.tenant, &key.correlation, &changed}, func() error {
			if changed {
				stale = append(stale, key)
			} else {
				sound = append(sound, key)
			}
			return nil
		}); err != nil {
			return err
		}
		if len(sound) > 0 {
			if _, err := tx.Exec(ctx, swapRows, tenantsOf(sound), correlationsOf(sound)); err != nil {
				return err
			}
		}
		if _, err := refold(ctx, tx, stale); err != nil {
			return err
		}
		w.mu.Lock()
		w.report.Changed += int64(len(sound) + len(stale))
		w.report.Refolded += int64(len(stale))
		w.mu.Unlock()
		return nil
	})
}

// refold folds traces anew whose rows are locked, and writes them. It returns their events.
func refold(ctx context.Context, tx pgx.Tx, keys []traceKey) (map[traceKey][]*tracking.Event, error) {
	if len(keys) == 0 {
		return map[traceKey][]*tracking.Event{}, nil
	}
	byTrace, err := eventsOf(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	folded := make([]traceRow, 0, len(byTrace))
	for _, events := range byTrace {
		state := tracking.Rebuild(events)
		row, err := traceRowOf(&state)
		if err != nil {
			return nil, fmt.Errorf("encode trace: %w", err)
		}
		folded = append(folded, row)
	}
	slices.SortFunc(folded, func(a, b traceRow) int { return bytes.Compare([]byte(a.CorrelationID), []byte(b.CorrelationID)) })
	if _, err := tx.Exec(ctx, updateFold, foldArgs(folded)...); err != nil {
		return nil, fmt.Errorf("write traces: %w", err)
	}
	return byTrace, nil
}

// eventsOf reads all events of traces.
func eventsOf(ctx context.Context, tx pgx.Tx, keys []traceKey) (map[traceKey][]*tracking.Event, error) {
	rows, err := tx.Query(ctx, readTraces, tenantsOf(keys), correlationsOf(keys))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	byTrace := make(map[traceKey][]*tracking.Event, len(keys))
	for _, e := range events {
		byTrace[keyOf(e)] = append(byTrace[keyOf(e)], e)
	}
	return byTrace, nil
}

func tenantsOf(keys []traceKey) []string {
	return column(keys, func(k traceKey) string { return k.tenant })
}
func correlationsOf(keys []traceKey) []string {
	return column(keys, func(k traceKey) string { return k.correlation })
}
