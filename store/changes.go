package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// ChangePosition is a place in the order of changes: a transaction, such that all changes of the transactions before it are known.
type ChangePosition uint64

// TraceChange says which traces of a tenant a transaction has changed.
type TraceChange struct {
	ID       int64
	Position ChangePosition
	TenantID string
	// CorrelationIDs are the traces; none says that any of the tenant's may have changed, as by a replay.
	CorrelationIDs []string
}

// ChangeFeed is what TraceChanges returns.
type ChangeFeed struct {
	Changes []TraceChange
	// Next is where to go on reading. What lies before it will not change any more.
	Next ChangePosition
	// At is the database's clock.
	At time.Time
	// More says that there are changes that were not read for their number.
	More bool
}

// noteChanges notes in the transaction of persist which traces it has changed.
const noteChanges = `
INSERT INTO trace_changes (tenant_id, correlation_ids)
SELECT tenant_id, array_agg(correlation_id) FROM unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id) GROUP BY tenant_id`

// maxChanges bounds the transactions that are read at once.
const maxChanges = 500

const readChanges = `
SELECT s.horizon::text::bigint, now(), c.id, c.xid::text::bigint, c.tenant_id, c.correlation_ids
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) s
LEFT JOIN LATERAL (
    SELECT id, xid, tenant_id, correlation_ids FROM trace_changes
    WHERE xid >= $1::text::xid8 AND id <> ALL ($2::bigint[]) ORDER BY xid, id LIMIT $3) c ON true
ORDER BY c.xid, c.id`

// TraceChanges returns the changes of all tenants' traces from a position on, but for those with an id in seen: changes of
// transactions that were faster than an older one lie behind Next, and are read again. It reads with the rights of the owner and
// is for whoever hands on to each tenant what is theirs, and nothing but that there is something to be read as that tenant.
func (s *Store) TraceChanges(ctx context.Context, from ChangePosition, seen []int64) (ChangeFeed, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if seen == nil {
		seen = []int64{}
	}
	rows, err := s.pool.Query(ctx, readChanges, fmt.Sprint(uint64(from)), seen, maxChanges)
	if err != nil {
		return ChangeFeed{}, fmt.Errorf("read changes: %w", err)
	}
	var feed ChangeFeed
	var horizon uint64
	var id *int64
	var xid *uint64
	var tenant *string
	var correlations []string
	_, err = pgx.ForEachRow(rows, []any{&horizon, &feed.At, &id, &xid, &tenant, &correlations}, func() error {
		if id != nil {
			feed.Changes = append(feed.Changes, TraceChange{*id, ChangePosition(*xid), *tenant, correlations})
			correlations = nil
		}
		return nil
	})
	if err != nil {
		return ChangeFeed{}, fmt.Errorf("read changes: %w", err)
	}
	feed.Next, feed.At = ChangePosition(horizon), feed.At.UTC()
	if feed.More = len(feed.Changes) == maxChanges; feed.More {
		feed.Next = min(feed.Next, feed.Changes[maxChanges-1].Position)
	}
	return feed, nil
}

// ChangeHorizon returns the position before which all changes are known by now, and the database's clock.
func (s *Store) ChangeHorizon(ctx context.Context) (at ChangePosition, now time.Time, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, now()").Scan((*uint64)(&at), &now)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read the position of changes: %w", err)
	}
	return at, now.UTC(), nil
}

// ChangedSince returns which traces of a tenant have changed since a position, each once; false when too many transactions have
// changed any, or one may have changed all.
func (s *Store) ChangedSince(ctx context.Context, tenant string, from ChangePosition) (correlations []string, ok bool, err error) {
	found, err := readAs(ctx, s, tenant, pgx.RowTo[[]string], `
SELECT correlation_ids FROM trace_changes WHERE tenant_id = $1 AND xid >= $2::text::xid8 ORDER BY xid, id LIMIT $3`,
		tenant, fmt.Sprint(uint64(from)), maxChanges)
	if err != nil {
		return nil, false, fmt.Errorf("read changes of a tenant: %w", err)
	}
	all := slices.ContainsFunc(found, func(some []string) bool { return len(some) == 0 })
	correlations = slices.Concat(found...)
	slices.Sort(correlations)
	return slices.Compact(correlations), !all && len(found) < maxChanges, nil
}

// TraceSummary is a trace in brief, as its row has it.
type TraceSummary struct {
	CorrelationID   string     `json:"correlation_id" doc:"The journey"`
	AggregateID     string     `json:"aggregate_id" doc:"The thing of its first event"`
	Kind            string     `json:"kind,omitempty" doc:"baggage, cargo, parcel, passenger or equipment"`
	Status          string     `json:"status" doc:"The milestone that it has reached"`
	Exception       string     `json:"exception,omitempty" doc:"The trouble that is open, if any"`
	FirstEventAt    *time.Time `json:"first_event_at,omitempty" doc:"When its first event occurred"`
	LastEventAt     *time.Time `json:"last_event_at,omitempty" doc:"When its last event occurred"`
	EstimatedAt     *time.Time `json:"estimated_at,omitempty" doc:"When delivery or arrival is foreseen"`
	LastPlace       string     `json:"last_place,omitempty" doc:"Where it was last"`
	EventCount      int        `json:"event_count" doc:"How many events it has"`
	VoidedCount     int        `json:"voided_count,omitempty" doc:"How many of them no longer count"`
	UnknownCount    int        `json:"unknown_count,omitempty" doc:"How many have a code that is not known"`
	PiecesTotal     *int       `json:"pieces_total,omitempty" doc:"How many pieces there are"`
	PiecesDelivered *int       `json:"pieces_delivered,omitempty" doc:"How many of them are delivered"`
	UpdatedAt       time.Time  `json:"updated_at" doc:"When its last event was received"`
}

// TraceSummaries returns the traces of a tenant with the correlations given, in their order. What is not there is left out.
func (s *Store) TraceSummaries(ctx context.Context, tenant string, correlations []string) ([]TraceSummary, error) {
	found, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[TraceSummary], `
SELECT correlation_id, aggregate_id, kind, status, exception, first_event_at, last_event_at, estimated_at, last_place, event_count,
    voided_count, unknown_count, pieces_total, pieces_delivered, updated_at
FROM traces WHERE tenant_id = $1 AND correlation_id = ANY ($2) ORDER BY correlation_id`, tenant, correlations)
	if err != nil {
		return nil, fmt.Errorf("read summaries of traces: %w", err)
	}
	for i := range found {
		t := &found[i]
		inUTC(&t.UpdatedAt, t.FirstEventAt, t.LastEventAt, t.EstimatedAt)
	}
	return found, nil
}

// changeRetention is how long changes can be read.
const changeRetention = time.Hour

// PruneChanges removes changes that are more than an hour old. Call it every few minutes; several processes may do so at once.
func (s *Store) PruneChanges(ctx context.Context, now time.Time) error {
	return s.pruneByAge(ctx, "trace_changes", "at", now.Add(-changeRetention))
}

// pruneByAge removes rows piece by piece, so that nobody waits long for one. The names come from here.
func (s *Store) pruneByAge(ctx context.Context, table, column string, before time.Time) error {
	sql := fmt.Sprintf("DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %[1]s WHERE %[2]s < $1 LIMIT $2))", table, column)
	for {
		tag, err := s.exec(ctx, sql, before, pruneChunk)
		if err != nil {
			return fmt.Errorf("prune %s: %w", table, err)
		}
		if tag.RowsAffected() < pruneChunk {
			return nil
		}
	}
}

// changeChannel is where is told that traces have changed. That is all that is told: what has is to be read.
const changeChannel = "rastro_traces"

// notify wakes all who Listen. It is told outside of the transactions that change traces: PostgreSQL has those that notify commit
// one after the other, under a lock of the whole database.
func (s *Store) notify(ctx context.Context) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if _, err := s.pool.Exec(ctx, "SELECT pg_notify('"+changeChannel+"', '')"); err != nil {
		return fmt.Errorf("notify of changes: %w", err)
	}
	return nil
}

// traceChanged has Announce tell that there are changes.
func (s *Store) traceChanged() {
	select {
	case s.changes <- struct{}{}:
	default: // It is to tell already.
	}
}

// Announce tells all who Listen, at most once in a while, that Persist has changed traces, until ctx ends. What a process that is
// killed has not told anymore is found by those who look for themselves. Errors go to failed, once an outage.
func (s *Store) Announce(ctx context.Context, while time.Duration, failed func(error)) {
	failing := false
	for {
		select {
		case <-s.changes:
		case <-ctx.Done():
			return
		}
		err := s.notify(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			failed(err)
		}
		failing = err != nil
		select {
		case <-time.After(while):
		case <-ctx.Done():
			return
		}
	}
}

// Listen calls wake once it listens, and then whenever a process announces changes, until ctx ends or the connection breaks.
// It takes a connection of its own beside the pool's. A read replica cannot be listened to: the store must be the primary's. Nor
// can a pooler that shares connections between transactions; who gets no notifications has to look by itself every so often.
func (s *Store) Listen(ctx context.Context, wake func()) error {
	return s.listen(ctx, changeChannel, wake)
}

func (s *Store) listen(ctx context.Context, channel string, wake func()) (err error) {
	connecting, cancel := s.within(ctx)
	defer cancel()
	conn, err := connectAlone(connecting, s.pool)
	if err != nil {
		return fmt.Errorf("connect to listen: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if e := conn.Close(closing); err == nil && ctx.Err() == nil {
			err = e
		}
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	wake()
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			wake()
		case errors.Is(err, context.DeadlineExceeded):
			if err := s.checkListening(ctx, conn); err != nil {
				return err
			}
		default:
			return fmt.Errorf("wait for notifications: %w", err)
		}
	}
}

// listenCheck is how long no notification may come before the connection is looked after.
const listenCheck = 30 * time.Second

// checkListening finds out whether a silent connection is still one.
func (s *Store) checkListening(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("wait for notifications: %w", err)
	}
	return nil
}

// changed returns the arguments of noteChanges, in the order of the rows.
func changed(rows []traceRow) []any {
	return []any{
		column(rows, func(r traceRow) string { return r.TenantID }),
		column(rows, func(r traceRow) string { return r.CorrelationID }),
	}
}
