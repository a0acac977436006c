package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/tracking"
)

const (
	partEvents  = 20_000 // about so many events make a part
	fetchEvents = 2000   // of the events of a part so many are fetched at a time
	foldTraces  = 500    // so many traces are compared and written at a time
)

// replayPart is what is rebuilt in one snapshot: a range of keys, or traces by name.
type replayPart struct {
	after, upTo *traceKey // after is exclusive, upTo inclusive; nil for no bound
	named       []traceKey
}

const (
	sampleKeys = `
SELECT tenant_id, correlation_id FROM event_store TABLESAMPLE SYSTEM (%f) WHERE ($1 = '' OR tenant_id = $1)
ORDER BY tenant_id, correlation_id`
	storeSize = `
SELECT coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'event_store'::regclass`
	countTraces = `SELECT count(*) FROM traces WHERE ($1 = '' OR tenant_id = $1)`
	touchedKeys = `
DECLARE touched NO SCROLL CURSOR FOR SELECT DISTINCT tenant_id, correlation_id FROM event_store
WHERE uid >= $2 AND uid <= $3 AND ($1 = '' OR tenant_id = $1)`
	rowsIn     = `SELECT count(*) FROM traces t WHERE ($1 = '' OR t.tenant_id = $1)`
	bereftRows = `
SELECT t.tenant_id, t.correlation_id, t.status, t.chain_seq - t.chain_removed + t.chain_before FROM traces t WHERE ($1 = '' OR t.tenant_id = $1)%s AND NOT EXISTS (
    SELECT FROM event_store e WHERE e.tenant_id = t.tenant_id AND e.correlation_id = t.correlation_id)`
	bytesAnEvent = 500   // about, in the table
	mostSamples  = 50000 // keys that the ranges are cut at
)

// plan cuts what is to be rebuilt into parts.
func (w *replayer) plan(ctx context.Context, conn *pgxpool.Conn, emit func(replayPart) error) error {
	if !w.From.IsZero() || !w.To.IsZero() {
		return w.planByTime(ctx, conn, emit)
	}
	var size, total int64
	var keys []traceKey
	err := inSnapshot(ctx, conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, countTraces, w.Tenant).Scan(&total); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, storeSize).Scan(&size); err != nil {
			return err
		}
		percent := min(100, max(0.001, 100*mostSamples/float64(max(size/bytesAnEvent, 1))))
		rows, err := tx.Query(ctx, fmt.Sprintf(sampleKeys, percent), w.Tenant)
		if err != nil {
			return err
		}
		// Of so many events each key stands for, one bound for every part.
		step, n := max(1, int(float64(w.partEvents)*percent/100)), 0
		var key traceKey
		_, err = pgx.ForEachRow(rows, []any{&key.tenant, &key.correlation}, func() error {
			if n++; n%step == 0 && (len(keys) == 0 || keys[len(keys)-1] != key) {
				keys = append(keys, key)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("cut the traces into parts: %w", err)
	}
	w.mu.Lock()
	w.total = total
	w.mu.Unlock()
	var after *traceKey
	for i := range keys {
		if err := emit(replayPart{after: after, upTo: &keys[i]}); err != nil {
			return err
		}
		after = &keys[i]
	}
	return emit(replayPart{after: after})
}

// planByTime finds the traces of which an event of the time is in the store by now, in one snapshot. Those that get their first such
// event later are the business of Persist, which folds it into a row that it makes or locks.
func (w *replayer) planByTime(ctx context.Context, conn *pgxpool.Conn, emit func(replayPart) error) error {
	from, to := uuid.Nil, uuid.Max
	if !w.From.IsZero() {
		from = firstUUIDv7(w.From)
	}
	if !w.To.IsZero() {
		to = before(firstUUIDv7(w.To))
	}
	err := inSnapshot(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, touchedKeys, w.Tenant, from, to); err != nil {
			return err
		}
		for {
			rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM touched", foldTraces))
			if err != nil {
				return err
			}
			var named []traceKey
			var key traceKey
			if _, err := pgx.ForEachRow(rows, []any{&key.tenant, &key.correlation}, func() error {
				named = append(named, key)
				return nil
			}); err != nil || len(named) == 0 {
				return err
			}
			if err := emit(replayPart{named: named}); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("find the traces of a time: %w", err)
	}
	return nil
}

// before returns the uid right before another, which is not the first.
func before(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

// rebuildPart folds, compares and writes the traces of a part.
func (w *replayer) rebuildPart(ctx context.Context, part replayPart) error {
	return inSnapshot(ctx, w.store.pool, func(tx pgx.Tx) error {
		if part.named != nil {
			return w.rebuildNamed(ctx, tx, part.named)
		}
		found, err := w.rebuildRange(ctx, tx, part)
		if err != nil {
			return err
		}
		return w.findBereft(ctx, tx, part, found)
	})
}

func (w *replayer) rebuildNamed(ctx context.Context, tx pgx.Tx, names []traceKey) error {
	byTrace, err := eventsOf(ctx, tx, names)
	if err != nil {
		return err
	}
	batch := make([][]*tracking.Event, 0, len(byTrace))
	for _, key := range names {
		if events := byTrace[key]; len(events) > 0 {
			batch = append(batch, events)
		}
	}
	_, err = w.compareAndWrite(ctx, tx, batch)
	return err
}

// rebuildRange rebuilds the traces of a range of keys. It returns how many of them have a row.
func (w *replayer) rebuildRange(ctx context.Context, tx pgx.Tx, part replayPart) (rows int, err error) {
	where, args := part.where()
	sql := "DECLARE replayed NO SCROLL CURSOR FOR SELECT " + eventColumns + " FROM event_store WHERE ($1 = '' OR tenant_id = $1)" + where +
		" ORDER BY tenant_id, correlation_id"
	if _, err := tx.Exec(ctx, sql, append([]any{w.Tenant}, args...)...); err != nil {
		return 0, fmt.Errorf("read events: %w", err)
	}
	var batch [][]*tracking.Event // of one trace each; that of the last may go on
	for {
		fetched, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM replayed", fetchEvents))
		if err != nil {
			return 0, fmt.Errorf("read events: %w", err)
		}
		events, err := pgx.CollectRows(fetched, scanEvent)
		if err != nil {
			return 0, fmt.Errorf("read events: %w", err)
		}
		for _, e := range events {
			if n := len(batch) - 1; n >= 0 && keyOf(batch[n][0]) == keyOf(e) {
				batch[n] = append(batch[n], e)
			} else {
				batch = append(batch, []*tracking.Event{e})
			}
		}
		whole := len(batch) - 1
		if len(events) == 0 {
			whole = len(batch)
		} else if whole < foldTraces {
			continue
		}
		n, err := w.compareAndWrite(ctx, tx, batch[:whole])
		if rows += n; err != nil || len(events) == 0 {
			return rows, err
		}
		batch = slices.Clone(batch[whole:])
	}
}

// findBereft tells of the rows of a range that have no event. They are looked for only when there are more rows than were found to
// have some. Of those that had events by their chains it tells how many are gone: these rows are the evidence of it.
func (w *replayer) findBereft(ctx context.Context, tx pgx.Tx, part replayPart, found int) error {
	where, args := part.where()
	args = append([]any{w.Tenant}, args...)
	var there int
	if err := tx.QueryRow(ctx, rowsIn+where, args...).Scan(&there); err != nil {
		return fmt.Errorf("count traces: %w", err)
	}
	if there == found {
		return nil
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(bereftRows, where), args...)
	if err != nil {
		return fmt.Errorf("find traces without events: %w", err)
	}
	var bereft []traceKey
	var differences []TraceDifference
	var key traceKey
	var status string
	var gone, kept int64
	if _, err := pgx.ForEachRow(rows, []any{&key.tenant, &key.correlation, &status, &gone}, func() error {
		bereft = append(bereft, key)
		field := FieldDifference{Field: "row", Had: status}
		if gone != 0 {
			kept++
			field = FieldDifference{Field: "events", Had: strconv.FormatInt(gone, 10), Now: "0"}
		}
		differences = append(differences, TraceDifference{TenantID: key.tenant, CorrelationID: key.correlation, Fields: []FieldDifference{field}})
		return nil
	}); err != nil {
		return fmt.Errorf("find traces without events: %w", err)
	}
	if !w.DryRun {
		for some := range slices.Chunk(bereft, foldTraces) {
			if _, err := w.store.pool.Exec(ctx, insertBereft, tenantsOf(some), correlationsOf(some)); err != nil {
				return fmt.Errorf("write traces without events: %w", err)
			}
		}
	}
	w.settle(ReplayReport{Bereft: int64(len(bereft)), Kept: kept}, differences)
	return nil
}

func (p replayPart) where() (sql string, args []any) {
	var text strings.Builder
	if p.after != nil {
		args = append(args, p.after.tenant, p.after.correlation)
		text.WriteString(" AND (tenant_id, correlation_id) > ($2, $3)")
	}
	if p.upTo != nil {
		args = append(args, p.upTo.tenant, p.upTo.correlation)
		fmt.Fprintf(&text, " AND (tenant_id, correlation_id) <= ($%d, $%d)", len(args), len(args)+1)
	}
	return text.String(), args
}

func keyOf(e *tracking.Event) traceKey { return traceKey{e.TenantID, e.CorrelationID} }
