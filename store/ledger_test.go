package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is said of events in any order, in pieces and repeatedly is counted once, and the books balance.
func TestLedgerCountsEveryBitOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		pipeline := fmt.Sprintf("p%d", run)
		type event struct {
			frame  uuid.UUID
			n      int
			tenant string
		}
		frames := []uuid.UUID{uuid.New(), uuid.New()}
		come, ended := map[event]uint8{}, map[event]uint8{} // bits: received, emitted; passed, duplicates, dropped, rejected
		kinds := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) LedgerMark {
			n := rapid.IntRange(0, 130).Draw(r, "n")
			e := event{rapid.SampledFrom(frames).Draw(r, "frame"), n, []string{"a", "b"}[n%2]}
			m := LedgerMark{Frame: e.frame, Part: int32(n / 64), TenantID: e.tenant}
			kind := rapid.IntRange(0, 5).Draw(r, "kind")
			*[]*uint64{&m.Received, &m.Emitted, &m.Passed, &m.Duplicates, &m.Dropped, &m.Rejected}[kind] |= 1 << (n % 64)
			if kind < 2 {
				come[e] |= 1 << kind
			} else {
				ended[e] |= 1 << (kind - 2)
			}
			return m
		}), 1, 60)
		marks := kinds.Draw(r, "marks")
		for len(marks) > 0 {
			n := rapid.IntRange(1, len(marks)).Draw(r, "cut")
			for range rapid.IntRange(1, 2).Draw(r, "times") {
				require.NoError(r, s.AddLedger(t.Context(), pipeline, marks[:n], nil))
			}
			marks = marks[n:]
		}
		for _, tenant := range []string{"a", "b"} {
			want := Balance{Pipeline: pipeline}
			for e, bits := range come {
				if e.tenant != tenant {
					continue
				}
				want.Received += int64(bits & 1)
				want.Emitted += int64(bits >> 1)
				if bits == 3 { // both ways in: never so, but it would be counted as two
					want.InFlight++
				}
				if ended[e] == 0 {
					want.InFlight++
				}
			}
			for e, bits := range ended {
				if e.tenant != tenant {
					continue
				}
				endings := int64(bits&1) + int64(bits>>1&1) + int64(bits>>2&1) + int64(bits>>3&1)
				want.Passed += int64(bits & 1)
				want.Duplicates += int64(bits >> 1 & 1)
				want.Dropped += int64(bits >> 2 & 1)
				want.DeadLettered += int64(bits >> 3 & 1)
				want.Twice += endings - 1
				if come[e] == 0 {
					want.Unreceived++
				}
			}
			balances, err := s.Balance(t.Context(), tenant)
			require.NoError(r, err)
			got := Balance{Pipeline: pipeline}
			for _, b := range balances {
				if b.Pipeline == pipeline {
					got = b
				}
			}
			require.Equal(r, want, got)
		}
	})
}

// Several processes write one ledger at once.
func TestLedgerWritersTakeTurns(t *testing.T) {
	t.Parallel()
	s := open(t)
	frames := make([]LedgerMark, 200)
	for i := range frames {
		frames[i] = LedgerMark{Frame: uuid.New(), TenantID: []string{"a", "b"}[i%2], Received: 0xff, Passed: 0x7f}
	}
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			for at := range 10 {
				from := (at*20 + w*40) % 200
				if err := s.AddLedger(t.Context(), "p", frames[from:from+20], nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for _, tenant := range []string{"a", "b"} {
		balances, err := s.Balance(t.Context(), tenant)
		require.NoError(t, err)
		require.Equal(t, []Balance{{Pipeline: "p", Received: 800, Passed: 700, InFlight: 100}}, balances)
		require.False(t, balances[0].Settled())
	}
}

// What is complete and old is forgotten, what is in flight is not, and the balance stays as it is.
func TestPruneLedgerKeepsTheBalance(t *testing.T) {
	t.Parallel()
	s := open(t)
	complete := LedgerMark{Frame: uuid.New(), TenantID: "a", Received: 0b111, Passed: 0b001, Dropped: 0b010, Rejected: 0b100}
	open := LedgerMark{Frame: uuid.New(), TenantID: "a", Received: 0b11, Passed: 0b01}
	made := LedgerMark{Frame: uuid.New(), TenantID: "a", Emitted: 1, Passed: 1}
	now := time.Now()
	require.NoError(t, s.AddLedger(t.Context(), "p", []LedgerMark{complete, open, made}, []Duplicate{
		{UID: uuid.Must(uuid.NewV7()), TenantID: "a", ReceivedAt: now}, {UID: uuid.Must(uuid.NewV7()), TenantID: "a", ReceivedAt: now.AddDate(0, 0, -100)},
	}))
	want := []Balance{{Pipeline: "p", Received: 5, Emitted: 1, Passed: 3, Dropped: 1, DeadLettered: 1, InFlight: 1}}
	marks := func() int { return get[int](t, s, "SELECT count(*) FROM ledger_marks") }
	check := func(left, duplicates int) {
		t.Helper()
		require.Equal(t, left, marks())
		require.Equal(t, duplicates, get[int](t, s, "SELECT count(*) FROM duplicates"))
		balances, err := s.Balance(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, want, balances)
	}
	require.NoError(t, s.PruneLedger(t.Context(), now.AddDate(0, 0, ledgerDays-1)))
	check(3, 1)
	require.NoError(t, s.PruneLedger(t.Context(), now.AddDate(0, 0, ledgerDays+2)))
	check(1, 1)
	// The one that is left ends at last.
	require.NoError(t, s.AddLedger(t.Context(), "p", []LedgerMark{{Frame: open.Frame, TenantID: "a", Dropped: 0b10}}, nil))
	want[0].Dropped, want[0].InFlight = 2, 0
	check(1, 1)
}

func TestDuplicatesAreExplained(t *testing.T) {
	t.Parallel()
	s := open(t)
	start := time.Now().UTC().Truncate(time.Second)
	uid := func(at time.Time) uuid.UUID {
		id := firstUUIDv7(at)
		rnd := uuid.New()
		copy(id[9:], rnd[9:])
		return id
	}
	first, unknown := newEvent("a", "c1", "e1"), uid(start.Add(-time.Minute))
	first.UID, first.ReceivedAt, first.Source = uid(start), start, "LA"
	persistAll(t, s, first)
	copyOf := func(of uuid.UUID, source, correlation string, later time.Duration) Duplicate {
		return Duplicate{
			UID: uid(start.Add(later)), Of: of, TenantID: "a", Stage: "dedupe", Code: "duplicate", Source: source, EventID: "e1",
			EventType: "loaded", CorrelationID: correlation, ReceivedAt: start.Add(later),
		}
	}
	given := []Duplicate{
		copyOf(first.UID, "LA", "c1", time.Second), copyOf(first.UID, "LA", "c1", 3*time.Second), copyOf(first.UID, "HANDLER", "c1", 10*time.Second),
		copyOf(unknown, "LA", "c2", 0), copyOf(uuid.Nil, "LA", "c3", 20*time.Second),
	}
	for range 2 { // as after a redelivery
		require.NoError(t, s.AddLedger(t.Context(), "p", nil, given))
	}
	all, err := s.Duplicates(t.Context(), "a", DuplicateFilter{}, DuplicateCursor{}, 100)
	require.NoError(t, err)
	require.Len(t, all, 5)
	seconds := func(f float64) *float64 { return &f }
	require.Nil(t, all[0].Of)
	require.Nil(t, all[0].Later)
	require.Empty(t, all[0].How)
	require.Equal(t, ExplainedDuplicate{
		UID: given[2].UID, Of: &first.UID, Pipeline: "p", Stage: "dedupe", Code: "duplicate", Source: "HANDLER", EventID: "e1",
		EventType: "loaded", CorrelationID: "c1", ReceivedAt: start.Add(10 * time.Second), FirstSource: "LA", FirstAt: &start,
		Later: seconds(10), How: SecondSource,
	}, all[1])
	require.Equal(t, Resent, all[2].How)
	require.Equal(t, []any{"", "", 60.0}, []any{all[4].FirstSource, all[4].How, *all[4].Later}, "the first is not stored: its uid tells when it came")

	var paged []ExplainedDuplicate
	for after := (DuplicateCursor{}); ; after = paged[len(paged)-1].After() {
		page, err := s.Duplicates(t.Context(), "a", DuplicateFilter{}, after, 2)
		require.NoError(t, err)
		if paged = append(paged, page...); len(page) < 2 {
			break
		}
	}
	require.Equal(t, all, paged)
	for _, c := range []struct {
		filter DuplicateFilter
		want   int
	}{
		{DuplicateFilter{CorrelationID: "c1"}, 3},
		{DuplicateFilter{Source: "LA"}, 4},
		{DuplicateFilter{Since: start.Add(3 * time.Second), Until: start.Add(20 * time.Second)}, 2},
	} {
		found, err := s.Duplicates(t.Context(), "a", c.filter, DuplicateCursor{}, 100)
		require.NoError(t, err)
		require.Len(t, found, c.want, "%+v", c.filter)
	}
	bySource, err := s.DuplicatesBySource(t.Context(), "a", DuplicateFilter{})
	require.NoError(t, err)
	require.Equal(t, []DuplicateSource{
		{Source: "LA", Events: 4, Share: 0.8, MedianLater: seconds(3)},
		{Source: "HANDLER", Events: 1, Share: 0.2, SecondSource: 1, MedianLater: seconds(10)},
	}, bySource)
	copies, err := s.Copies(t.Context(), "a", []uuid.UUID{first.UID, given[0].UID})
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]int64{first.UID: 3}, copies)
	copies, err = s.Copies(t.Context(), "b", []uuid.UUID{first.UID})
	require.NoError(t, err)
	require.Empty(t, copies)
}
