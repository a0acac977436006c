package store

import (
	"context"
	"fmt"
	"slices"
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
	// named are the traces that events between two uids belong to; those are left out that have an event of the replay's time before.
	named []traceKey
	since uuid.UUID
}

const (
	sampleKeys = `
SELECT tenant_id, correlation_id FROM event_store TABLESAMPLE SYSTEM (%f) WHERE ($1 = '' OR tenant_id = $1)
ORDER BY tenant_id, correlation_id`
	storeSize = `
SELECT coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'event_store'::regclass`
	countTraces = `SELECT count(*) FROM traces WHERE ($1 = '' OR tenant_id = $1)`
	touchedKeys = `
SELECT uid, tenant_id, correlation_id FROM event_store
WHERE uid > $2 AND uid < $3 AND ($1 = '' OR tenant_id = $1) ORDER BY uid LIMIT $4`
	bytesAnEvent = 500   // about, in the table
	mostSamples  = 50000 // keys that the ranges are cut at
)

// plan cuts what is to be rebuilt into parts.
func (w *replayer) plan(ctx context.Context, conn *pgxpool.Conn, emit func(replayPart) error) error {
	if !w.From.IsZero() || !w.To.IsZero() {
		return w.planByTime(ctx, emit)
	}
	var size, total int64
	var keys []traceKey
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
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
		step, n := max(1, int(partEvents*percent/100)), 0
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

// planByTime goes through the events of a time in the order of their uids.
func (w *replayer) planByTime(ctx context.Context, emit func(replayPart) error) error {
	last, end := w.bounds()
	for {
		part := replayPart{since: last}
		seen := map[traceKey]bool{}
		n := 0
		err := w.store.snapshot(ctx, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, touchedKeys, w.Tenant, last, end, fetchEvents)
			if err != nil {
				return err
			}
			var key traceKey
			_, err = pgx.ForEachRow(rows, []any{&last, &key.tenant, &key.correlation}, func() error {
				if n++; !seen[key] {
					seen[key] = true
					part.named = append(part.named, key)
				}
				return nil
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("find the traces of a time: %w", err)
		}
		if n == 0 {
			return nil
		}
		if err := emit(part); err != nil {
			return err
		}
	}
}

// bounds returns the uids that those of the replay's time lie between.
func (w *replayer) bounds() (from, to uuid.UUID) {
	to = uuid.Max
	if !w.From.IsZero() {
		from = before(firstUUIDv7(w.From))
	}
	if !w.To.IsZero() {
		to = firstUUIDv7(w.To)
	}
	return from, to
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
	if part.named != nil {
		for names := range slices.Chunk(part.named, foldTraces) {
			if err := w.rebuildNamed(ctx, names, part.since); err != nil {
				return err
			}
		}
		return nil
	}
	return w.store.snapshot(ctx, func(tx pgx.Tx) error {
		where, args := part.where()
		sql := "DECLARE replayed NO SCROLL CURSOR FOR SELECT " + eventColumns + " FROM event_store WHERE ($1 = '' OR tenant_id = $1)" + where +
			" ORDER BY tenant_id, correlation_id"
		if _, err := tx.Exec(ctx, sql, append([]any{w.Tenant}, args...)...); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		var batch [][]*tracking.Event // of one trace each; that of the last may go on
		for {
			rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM replayed", fetchEvents))
			if err != nil {
				return fmt.Errorf("read events: %w", err)
			}
			events, err := pgx.CollectRows(rows, scanEvent)
			if err != nil {
				return fmt.Errorf("read events: %w", err)
			}
			for _, e := range events {
				if n := len(batch) - 1; n >= 0 && keyOf(batch[n][0]) == keyOf(e) {
					batch[n] = append(batch[n], e)
				} else {
					batch = append(batch, []*tracking.Event{e})
				}
			}
			if len(events) == 0 {
				return w.compareAndWrite(ctx, tx, batch)
			}
			if len(batch) > foldTraces {
				whole := len(batch) - 1
				if err := w.compareAndWrite(ctx, tx, batch[:whole]); err != nil {
					return err
				}
				batch = slices.Clone(batch[whole:])
			}
		}
	})
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

// rebuildNamed rebuilds those of some traces that have no event of the replay's time up to since: what has was rebuilt before.
func (w *replayer) rebuildNamed(ctx context.Context, names []traceKey, since uuid.UUID) error {
	from, _ := w.bounds()
	return w.store.snapshot(ctx, func(tx pgx.Tx) error {
		byTrace, err := eventsOf(ctx, tx, names)
		if err != nil {
			return err
		}
		batch := make([][]*tracking.Event, 0, len(byTrace))
		for _, key := range names {
			earlier := func(e *tracking.Event) bool {
				return compareUIDs(e.UID, from) > 0 && compareUIDs(e.UID, since) <= 0
			}
			if events := byTrace[key]; len(events) > 0 && !slices.ContainsFunc(events, earlier) {
				batch = append(batch, events)
			}
		}
		return w.compareAndWrite(ctx, tx, batch)
	})
}

func keyOf(e *tracking.Event) traceKey { return traceKey{e.TenantID, e.CorrelationID} }

func compareUIDs(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) }
