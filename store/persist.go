package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/tracking"
)

// Persisted is what became of one event.
type Persisted struct {
	// Inserted says that this call stored the event and advanced its trace. It is false for an event that was stored before.
	Inserted bool
	// Refused is why the database will never take the event; nil when it did.
	Refused error
}

// Persist stores events and advances their traces (Invariant 6), each in one transaction, of which a large batch takes several at the
// same time. It returns one result an event, in order. Data that the database refuses is found out by halving the batch, so that its mates are stored. An error means that
// nothing is known of the events whose result is zero: the same call may be repeated, for all of them.
func (s *Store) Persist(ctx context.Context, events []*tracking.Event) ([]Persisted, error) {
	results := make([]Persisted, len(events))
	rows := make([]eventRow, 0, len(events))
	first := make(map[uuid.UUID]int, len(events))
	for i, e := range events {
		if _, repeated := first[e.UID]; repeated {
			continue
		}
		first[e.UID] = i
		row, err := rowOf(e)
		if err != nil {
			results[i].Refused = err
			continue
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b eventRow) int { return bytes.Compare(a.UID[:], b.UID[:]) })
	err := s.persistShards(ctx, rows, func(row eventRow, result Persisted) { results[first[row.UID]] = result })
	for i, e := range events {
		if at := first[e.UID]; at != i {
			results[i].Refused = results[at].Refused // The first of them was inserted, if any was.
		}
	}
	if err != nil {
		return results, fmt.Errorf("persist %d events: %w", len(rows), err)
	}
	return results, nil
}

const (
	// maxShards is how many transactions a large batch is stored in at the same time, each on a connection of its own: while the
	// database works for some, the folds of others advance.
	maxShards = 4
	// shardEvents is how many events are worth a transaction of their own.
	shardEvents = 250
)

// persistShards stores rows in as many transactions at once as they are worth. The events of a trace are in one of them, so that they
// never wait for each other. It calls settle for different rows at the same time. When some fail, the others have stored theirs.
func (s *Store) persistShards(ctx context.Context, rows []eventRow, settle func(eventRow, Persisted)) error {
	n := min(maxShards, len(rows)/shardEvents)
	if n < 2 {
		return s.persist(ctx, rows, settle)
	}
	seed := maphash.MakeSeed()
	shards := make([][]eventRow, n)
	for _, row := range rows {
		at := maphash.Comparable(seed, traceKey{row.TenantID, row.CorrelationID}) % uint64(n)
		shards[at] = append(shards[at], row)
	}
	errs := make([]error, n)
	var group sync.WaitGroup
	for i, shard := range shards {
		group.Go(func() { errs[i] = s.persist(ctx, shard, settle) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// persist stores rows in one transaction or, when the database refuses some of their data, each half by itself.
func (s *Store) persist(ctx context.Context, rows []eventRow, settle func(eventRow, Persisted)) error {
	if len(rows) == 0 {
		return nil
	}
	inserted, err := s.persistTogether(ctx, rows)
	switch {
	case err == nil:
		for _, row := range rows {
			settle(row, Persisted{Inserted: inserted[row.UID]})
		}
		return nil
	case !refusesData(err):
		return err
	case len(rows) == 1:
		settle(rows[0], Persisted{Refused: err})
		return nil
	default:
		half := len(rows) / 2
		if err := s.persist(ctx, rows[:half], settle); err != nil {
			return err
		}
		return s.persist(ctx, rows[half:], settle)
	}
}

// refusesData reports whether an error lies in the data, so that no repetition will help: SQLSTATE classes 22 (data exception)
// and 23 (integrity constraint violation), and 54000, which is what an index answers to a value too long for it.
func refusesData(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || state == "54000"
}

// traceKey identifies a trace.
type traceKey struct{ tenant, correlation string }

// touched is a trace that a batch may advance.
type touched struct {
	state  tracking.State
	head   chainHead
	events []*tracking.Event // newly inserted
	facets knownFacets
	// locked says that there is a row, which is locked, and place where. Where there is none, it is inserted with the events.
	locked bool
	place  pgtype.TID
	// rebuild says that the state must be made from all events.
	rebuild bool
}

// errOvertaken says that another transaction made a trace, or stored an event under another trace, between two steps of ours.
var errOvertaken = errors.New("another transaction stored the same at the same time")

// persistAttempts is how often a batch is tried that is overtaken. A second time is rare: it sees what the first one met.
const persistAttempts = 8

// persistTogether stores rows in one transaction, which it repeats when it is overtaken. It returns the uids that it inserted.
func (s *Store) persistTogether(ctx context.Context, rows []eventRow) (map[uuid.UUID]bool, error) {
	for attempt := 1; ; attempt++ {
		inserted, err := s.persistOnce(ctx, rows, attempt > 1)
		if attempt == persistAttempts || !errors.Is(err, errOvertaken) {
			return inserted, err
		}
	}
}

// persistOnce stores rows in one transaction of two round trips, or three when a trace must be rebuilt. With wary it counts with facets
// that are there though their traces do not know them.
func (s *Store) persistOnce(ctx context.Context, rows []eventRow, wary bool) (map[uuid.UUID]bool, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	people, err := s.peopleOf(ctx, column(rows, holderOf))
	if err != nil {
		return nil, err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("get connection: %w", err)
	}
	defer conn.Release()
	defer abandon(ctx, conn)

	before, err := lockAndLook(ctx, conn, rows, people)
	if err != nil {
		return nil, err
	}
	fresh := slices.DeleteFunc(slices.Clone(rows), func(row eventRow) bool { return before.stored[row.UID] })
	inserted := make(map[uuid.UUID]bool, len(fresh))
	if len(fresh) == 0 {
		return inserted, nil // Nothing to commit; abandon ends the transaction.
	}
	for _, row := range fresh {
		inserted[row.UID] = true
		t := before.traces[traceKey{row.TenantID, row.CorrelationID}]
		t.events = append(t.events, before.meanings.of(row))
	}
	chain(fresh, before.traces, before.epoch)
	for _, t := range before.traces {
		t.apply()
	}
	if err := rebuild(ctx, conn, before.traces); err != nil {
		return nil, err
	}
	err = writeBack(ctx, conn, fresh, before.traces, wary, func(batch *pgx.Batch) error {
		if err := people.store(batch, rows, inserted); err != nil {
			return err
		}
		queueUnmapped(batch, fresh)
		return nil
	})
	switch {
	case sqlState(err) == "23505": // A trace was made, the uid has come to be stored under a trace that we did not lock, or a facet was there.
		return nil, errOvertaken
	case err != nil:
		return nil, err
	}
	s.traceChanged()
	return inserted, nil
}

// apply advances the state by the new events, as far as that is exact.
func (t *touched) apply() {
	for _, e := range t.events {
		t.rebuild = t.rebuild || !t.state.Apply(e)
	}
}

// What there is of the traces is locked first, in the order of the keys; rows that are missing are inserted with what the events come
// to, in the order of the keys as well, where a concurrent maker of the same row is waited for, and has then overtaken us. Whoever
// waits in the second step holds up nobody in the second step who comes before it, and nobody in the first step holds anything of the
// second, so there is no circle to deadlock in. Events come last, when their traces are ours: what is stored of a trace then stays so,
// and its chain is ours to continue.
const (
	// holdTraces keeps rows from being removed while they are found to be there, and not locked yet: see lockTraceTable.
	holdTraces = `LOCK TABLE traces IN ROW EXCLUSIVE MODE`

	lockTraces = `
SELECT t.tenant_id, t.correlation_id, t.state, t.chain_seq, t.chain_hash, t.facets_known, t.ctid
FROM traces t JOIN unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id)
    ON t.tenant_id = k.tenant_id AND t.correlation_id = k.correlation_id
ORDER BY t.tenant_id, t.correlation_id
FOR UPDATE OF t`

	// The bounds tell the planner which months to look in.
	findStored = `
SELECT uid FROM event_store WHERE uid = ANY ($1) AND uid BETWEEN $2 AND $3`
)

// looked is what a batch finds before it.
type looked struct {
	traces map[traceKey]*touched
	stored map[uuid.UUID]bool
	epoch  int64
	// meanings is what was decided about codes that nothing knew when the events were enriched.
	meanings meanings
}

// lockAndLook opens the transaction: it joins the epoch, locks the traces that rows belong to, reads their states and heads, and
// looks which rows are stored. Rows are sorted by their uids.
func lockAndLook(ctx context.Context, conn *pgxpool.Conn, rows []eventRow, people *people) (looked, error) {
	found := looked{traces: make(map[traceKey]*touched, len(rows)), stored: map[uuid.UUID]bool{}, meanings: meanings{}}
	var tenants, correlations []string
	for _, row := range rows {
		key := traceKey{row.TenantID, row.CorrelationID}
		if found.traces[key] == nil {
			found.traces[key] = &touched{}
			tenants, correlations = append(tenants, key.tenant), append(correlations, key.correlation)
		}
	}
	var key traceKey
	var state, facets []byte
	var place pgtype.TID
	var head chainHead
	var uid uuid.UUID
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	found.meanings.queue(&batch, rows)
	batch.Queue(holdTraces)
	batch.Queue("SELECT audit_epoch_join()").QueryRow(func(row pgx.Row) error { return row.Scan(&found.epoch) })
	if err := people.queue(&batch); err != nil {
		return looked{}, err
	}
	batch.Queue(lockTraces, tenants, correlations).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&key.tenant, &key.correlation, &state, &head.seq, &head.hash, &facets, &place}, func() error {
			t := found.traces[key]
			// A state of another version of the fold cannot be read, and is made anew.
			t.rebuild = t.state.UnmarshalBinary(state) != nil
			t.head, t.facets, t.locked, t.place = head, knownFacets(facets), true, place
			head.hash, facets = nil, nil
			return nil
		})
		return err
	})
	uids := column(rows, func(r eventRow) uuid.UUID { return r.UID })
	batch.Queue(findStored, uids, uids[0], uids[len(uids)-1]).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&uid}, func() error {
			found.stored[uid] = true
			return nil
		})
		return err
	})
	if err := send(ctx, conn, &batch); err != nil {
		return looked{}, err
	}
	return found, nil
}

const readTraces = `
SELECT ` + eventColumns + `
FROM event_store JOIN unnest($1::text[], $2::text[]) AS k (tenant_id, correlation_id) USING (tenant_id, correlation_id)`

// rebuild makes the states that could not be advanced from all events of their traces: those that are stored, and the new ones.
func rebuild(ctx context.Context, conn *pgxpool.Conn, traces map[traceKey]*touched) error {
	var tenants, correlations []string
	for key, t := range traces {
		if t.rebuild && len(t.events) > 0 {
			tenants, correlations = append(tenants, key.tenant), append(correlations, key.correlation)
		}
	}
	if len(tenants) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, readTraces, tenants, correlations)
	if err != nil {
		return fmt.Errorf("read traces to rebuild: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return fmt.Errorf("read traces to rebuild: %w", err)
	}
	byTrace := make(map[traceKey][]*tracking.Event, len(tenants))
	for _, e := range events {
		key := traceKey{e.TenantID, e.CorrelationID}
		byTrace[key] = append(byTrace[key], e)
	}
	for i := range tenants {
		key := traceKey{tenants[i], correlations[i]}
		traces[key].state = tracking.Rebuild(append(byTrace[key], traces[key].events...))
	}
	return nil
}

// writeBack inserts the events, writes the rows of the traces that advanced, does what else is to be done, and commits.
func writeBack(
	ctx context.Context, conn *pgxpool.Conn, events []eventRow, traces map[traceKey]*touched, wary bool, also func(*pgx.Batch) error,
) error {
	facets, known := newFacets(traces)
	rows := make([]traceRow, 0, len(traces))
	for _, t := range traces {
		if len(t.events) == 0 {
			continue
		}
		row, err := traceRowOf(&t.state)
		if err != nil {
			return fmt.Errorf("encode trace: %w", err)
		}
		row.head, row.facets, row.fresh, row.place = t.head, t.facets, !t.locked, t.place
		rows = append(rows, row)
	}
	slices.SortFunc(rows, compareRowKeys)
	fresh, advanced := split(rows, func(r traceRow) bool { return r.fresh })
	var batch pgx.Batch
	batch.Queue(keepPlans)
	if len(fresh) > 0 {
		batch.Queue(insertTraces, traceArgs(fresh)...)
	}
	batch.Queue(insertEvents, insertArgs(events)...)
	if len(advanced) > 0 {
		batch.Queue(updateTraces, append(traceArgs(advanced), placesOf(advanced))...)
	}
	switch {
	case len(facets) == 0:
	case wary || !known:
		batch.Queue(insertUnknownFacets, facetArgs(facets)...)
	default:
		batch.Queue(insertFacets, facetArgs(facets)...)
	}
	batch.Queue(noteChanges, changed(rows)...)
	if err := also(&batch); err != nil {
		return err
	}
	batch.Queue("COMMIT")
	return send(ctx, conn, &batch)
}

// split returns the rows of which something is true, and the others, in their order.
func split[R any](rows []R, is func(R) bool) (those, others []R) {
	for _, r := range rows {
		if is(r) {
			those = append(those, r)
		} else {
			others = append(others, r)
		}
	}
	return those, others
}
