package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// requireTrace checks that a trace, its row and its state are what its events fold to.
func requireTrace(t testing.TB, s *Store, events []*tracking.Event) {
	t.Helper()
	want := tracking.Fold(events)
	got, err := s.Trace(t.Context(), events[0].TenantID, events[0].CorrelationID)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got, sameEvent))

	var encoded []byte
	var state tracking.State
	var count, voided int
	var status string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT state, event_count, voided_count, status FROM traces
		WHERE tenant_id = $1 AND correlation_id = $2`, events[0].TenantID, events[0].CorrelationID).
		Scan(&encoded, &count, &voided, &status))
	require.NoError(t, state.UnmarshalBinary(encoded))
	require.Empty(t, cmp.Diff(want.Summary, state.Summary(), sameEvent))
	require.Equal(t, want.EventCount, count)
	require.Equal(t, want.VoidedCount, voided)
	require.Equal(t, string(want.Status), status)
}

// Invariant 6: only a newly inserted row advances its trace.
func TestPersistOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	a, b := newEvent("acme", "c1", "e1"), newEvent("acme", "c2", "e2")
	results, err := s.Persist(t.Context(), []*tracking.Event{a, b, a})
	require.NoError(t, err)
	require.Equal(t, []Persisted{{Inserted: true}, {Inserted: true}, {}}, results)

	c := newEvent("acme", "c1", "e3")
	results, err = s.Persist(t.Context(), []*tracking.Event{b, c, a})
	require.NoError(t, err)
	require.Equal(t, []Persisted{{}, {Inserted: true}, {}}, results)
	results, err = s.Persist(t.Context(), []*tracking.Event{b, c, a})
	require.NoError(t, err)
	require.Equal(t, make([]Persisted, 3), results)

	requireTrace(t, s, []*tracking.Event{a, c})
	requireTrace(t, s, []*tracking.Event{b})
	results, err = s.Persist(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, results)
}

func TestPersistCorrectionsAndRevisions(t *testing.T) {
	t.Parallel()
	s := open(t)
	loaded, delivered := newEvent("acme", "c1", "e1"), newEvent("acme", "c1", "e2")
	delivered.Enrichment.Milestone, delivered.OccurredAt = tracking.Delivered, delivered.OccurredAt.Add(time.Minute)
	revised := newEvent("acme", "c1", "e1")
	revised.Revision, revised.Enrichment.Milestone = 1, tracking.InTransit
	void := newEvent("acme", "c1", "e3")
	void.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"e2"}, Reason: "did_not_occur"}
	all := []*tracking.Event{loaded, delivered, revised, void}
	for i, e := range all {
		persistAll(t, s, e)
		requireTrace(t, s, all[:i+1])
	}
}

func TestPersistRebuildsAStateItCannotRead(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, second := newEvent("acme", "c1", "e1"), newEvent("acme", "c1", "e2")
	persistAll(t, s, first)
	_, err := s.pool.Exec(t.Context(), `UPDATE traces SET state = '\x00'`)
	require.NoError(t, err)
	persistAll(t, s, second)
	requireTrace(t, s, []*tracking.Event{first, second})
}

func TestPersistRefusesOnlyWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	s := open(t)
	random := make([]byte, 9000)
	for i := range random {
		random[i] = byte('a' + rand.IntN(26))
	}
	poison := map[int]func(*tracking.Event){
		1:  func(e *tracking.Event) { e.Source = "nul \x00" },
		4:  func(e *tracking.Event) { e.Location = &tracking.Location{Name: "nul \x00"} },
		7:  func(e *tracking.Event) { e.Payload = json.RawMessage(`{"cut":`) },
		8:  func(e *tracking.Event) { e.Payload = json.RawMessage("\"\xff\"") },
		11: func(e *tracking.Event) { e.CorrelationID = string(random) },
		12: func(e *tracking.Event) { e.Quantity = &tracking.Quantity{Weight: math.NaN()} },
		13: func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.AddDate(300000, 0, 0) },
		19: func(e *tracking.Event) { e.AggregateID = "broken \xc3\x28" },
	}
	var events, sound []*tracking.Event
	for i := range 20 {
		e := newEvent("acme", fmt.Sprint("c", i%3), fmt.Sprint("e", i))
		if spoil := poison[i]; spoil != nil {
			spoil(e)
		} else if i%3 == 0 {
			sound = append(sound, e)
		}
		events = append(events, e)
	}
	events = append(events, events[1]) // The same again is refused again.
	poison[20] = poison[1]
	results, err := s.Persist(t.Context(), events)
	require.NoError(t, err)
	for i, result := range results {
		if poison[i] != nil {
			require.Error(t, result.Refused, "event %d", i)
			require.False(t, result.Inserted)
			continue
		}
		require.NoError(t, result.Refused, "event %d", i)
		require.True(t, result.Inserted, "event %d", i)
	}
	require.Equal(t, 12, get[int](t, s, "SELECT count(*) FROM event_store"))
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM traces"))
	requireTrace(t, s, sound)
}

// A large batch is stored in several transactions at once, and what becomes of each event is what would in one.
func TestPersistLargeBatch(t *testing.T) {
	t.Parallel()
	s := open(t)
	const repeats = 100
	byTrace := journeys(rand.New(rand.NewPCG(3, 4)), 60, 20)
	var events []*tracking.Event
	for _, of := range byTrace {
		events = append(events, of...)
	}
	require.Greater(t, len(events), maxShards*shardEvents, "it is worth all shards")
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	poison := newEvent("tenant0", "c0", "poison")
	poison.Source = "nul \x00"
	events = append(append(events, poison), events[:repeats]...)
	results, err := s.Persist(t.Context(), events)
	require.NoError(t, err)
	for i, result := range results {
		if events[i] == poison {
			require.Error(t, result.Refused)
			require.False(t, result.Inserted)
			continue
		}
		require.NoError(t, result.Refused, "event %d", i)
		require.Equal(t, i < len(events)-repeats, result.Inserted, "event %d", i)
	}
	require.Equal(t, len(events)-repeats-1, get[int](t, s, "SELECT count(*) FROM event_store"))
	for _, of := range byTrace {
		requireTrace(t, s, of)
	}
	results, err = s.Persist(t.Context(), events[:len(events)-repeats-1])
	require.NoError(t, err)
	require.Equal(t, make([]Persisted, len(results)), results, "the same again changes nothing")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Persist(ctx, events)
	require.ErrorIs(t, err, context.Canceled)
}

func TestPersistLeavesNoTraceWithoutEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	persistAll(t, s, e)
	moved := *e
	moved.CorrelationID = "c2"
	other := newEvent("acme", "c3", "e2")
	results, err := s.Persist(t.Context(), []*tracking.Event{&moved, other})
	require.NoError(t, err)
	require.Equal(t, []Persisted{{}, {Inserted: true}}, results)
	require.Equal(t, "c1,c3", get[string](t, s, "SELECT string_agg(correlation_id, ',' ORDER BY correlation_id) FROM traces"))
}

func TestPersistFailsWhole(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := s.Persist(ctx, []*tracking.Event{e})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []Persisted{{}}, results)

	_, err = s.pool.Exec(t.Context(), "ALTER TABLE traces RENAME TO away")
	require.NoError(t, err)
	_, err = s.Persist(t.Context(), []*tracking.Event{e})
	require.Equal(t, "42P01", sqlState(err), "an error that is not the data's is not the event's fault")
	_, err = s.pool.Exec(t.Context(), "ALTER TABLE away RENAME TO traces")
	require.NoError(t, err)
	persistAll(t, s, e)
}

// journeys makes events of several journeys that overtake, repeat and correct each other.
func journeys(random *rand.Rand, traces, each int) map[string][]*tracking.Event {
	start := time.Now().UTC().Truncate(time.Microsecond).Add(-24 * time.Hour)
	byTrace := map[string][]*tracking.Event{}
	for c := range traces {
		correlation := fmt.Sprint("c", c)
		for i := range each {
			e := newEvent(fmt.Sprint("tenant", c%2), correlation, fmt.Sprint("e", i))
			e.OccurredAt = start.Add(time.Duration(random.IntN(600)) * time.Minute)
			e.Enrichment.Milestone = tracking.Milestones()[random.IntN(10)]
			e.AggregateID = fmt.Sprint("bag", random.IntN(3))
			if c%3 == 0 && i%10 == 9 { // Every third journey has corrections and revisions.
				e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{fmt.Sprint("e", random.IntN(i))}}
			}
			if c%3 == 0 && i%10 == 5 {
				e.EventID, e.Revision = fmt.Sprint("e", random.IntN(i)), int64(i)
			}
			byTrace[correlation] = append(byTrace[correlation], e)
		}
	}
	return byTrace
}

// Invariant 6, under contention: workers persist the same events, each in an order and in batches of its own.
func TestPersistConcurrently(t *testing.T) {
	t.Parallel()
	s := open(t)
	const workers = 8
	byTrace := journeys(rand.New(rand.NewPCG(1, 2)), 12, 30)
	var all []*tracking.Event
	for _, events := range byTrace {
		all = append(all, events...)
	}
	inserted := make([]map[uuid.UUID]int, workers)
	errs := make(chan error, workers)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			mine := append(slices.Clone(all), all[:len(all)/4]...)
			random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			inserted[w] = map[uuid.UUID]int{}
			<-begin
			for len(mine) > 0 {
				n := min(len(mine), 1+random.IntN(60))
				results, err := s.Persist(context.Background(), mine[:n])
				if err != nil {
					errs <- err
					return
				}
				for i, result := range results {
					if result.Refused != nil {
						errs <- result.Refused
					}
					if result.Inserted {
						inserted[w][mine[i].UID]++
					}
				}
				mine = mine[n:]
			}
		})
	}
	close(begin)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	total := map[uuid.UUID]int{}
	for _, by := range inserted {
		for uid, n := range by {
			total[uid] += n
		}
	}
	require.Len(t, total, len(all))
	for _, n := range total {
		require.Equal(t, 1, n, "each event is inserted once")
	}
	require.Equal(t, len(all), get[int](t, s, "SELECT count(*) FROM event_store"))
	for _, events := range byTrace {
		requireTrace(t, s, events)
	}
}

// A row is written where it is once it is locked: whoever held it while we waited has put another version of it elsewhere.
func TestPersistWritesTheRowThatAnotherHasMoved(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, second := newEvent("acme", "c", "1"), newEvent("acme", "c", "2")
	persistAll(t, s, first)
	place := func() string { return get[string](t, s, "SELECT ctid::text FROM traces") }
	before := place()

	other, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = other.Rollback(context.Background()) }()
	_, err = other.Exec(t.Context(), "UPDATE traces SET last_place = last_place")
	require.NoError(t, err)
	persisted := make(chan error, 1)
	go func() {
		_, err := s.Persist(context.Background(), []*tracking.Event{second})
		persisted <- err
	}()
	require.Eventually(t, func() bool {
		return get[bool](t, s, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))")
	}, 30*time.Second, 5*time.Millisecond, "persist waits for the row")
	require.NoError(t, other.Commit(t.Context()))
	moved := place()
	require.NotEqual(t, before, moved)
	require.NoError(t, <-persisted)
	require.NotEqual(t, moved, place())
	requireTrace(t, s, []*tracking.Event{first, second})
}

// TestPersistNewTracesInOppositeOrder has two workers make the same new traces, each in the other's reverse order.
func TestPersistNewTracesInOppositeOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	const rounds, traces = 30, 60
	for round := range rounds {
		errs := make(chan error, 2)
		begin := make(chan struct{})
		for worker := range cap(errs) {
			events := make([]*tracking.Event, traces)
			for i := range events { // The uids rise with i, and rows go by their uids.
				c := i
				if worker == 1 {
					c = traces - 1 - i
				}
				events[i] = newEvent("acme", fmt.Sprint("c", round, "-", c), fmt.Sprint("e", worker))
			}
			go func() {
				<-begin
				_, err := s.Persist(t.Context(), events)
				errs <- err
			}()
		}
		close(begin)
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
	}
	require.Equal(t, rounds*traces, get[int](t, s, "SELECT count(*) FROM traces WHERE event_count = 2"))
}

func TestAggregatesAndPlaces(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	e.Location = &tracking.Location{IATA: "LIM"}
	e.AggregateID = "odd \x1f \" id"
	e.Quantity = &tracking.Quantity{Pieces: 2, TotalPieces: 10}
	persistAll(t, s, e)
	require.Equal(t, e.AggregateID, get[string](t, s, "SELECT aggregates ->> 0 FROM traces"))
	require.Equal(t, "LIM", get[string](t, s, "SELECT last_place FROM traces"))
	require.Equal(t, 10, get[int](t, s, "SELECT pieces_total FROM traces"))
	requireTrace(t, s, []*tracking.Event{e})
	require.False(t, strings.Contains(get[string](t, s, "SELECT anomalies::text FROM traces"), "null"))
}
