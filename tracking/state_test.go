package tracking_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestApplyNeedsRebuild(t *testing.T) {
	plain := &story{}
	plain.add(1, accepted)
	for name, second := range map[string]func(s *story){
		"a correction":        func(s *story) { s.add(2, "", corrects(tracking.Void, "other")) },
		"a revision":          func(s *story) { s.add(1, loaded, revised("e1", 1)) },
		"the same id again":   func(s *story) { s.add(1, accepted, revised("e1", 0)) },
		"the same event":      func(s *story) { s.events = append(s.events, s.events[0]) },
		"an event without id": func(s *story) { s.events[0].EventID = ""; s.events = append(s.events, s.events[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			s.add(1, accepted)
			second(s)
			var state tracking.State
			require.True(t, state.Apply(s.events[0]))
			require.False(t, state.Apply(s.events[1]))
			require.False(t, state.Apply((&story{}).add(9, delivered, revised("new", 0))), "until it is rebuilt")
			state = tracking.Rebuild(s.events)
			require.Equal(t, string(marshal(t, tracking.Fold(s.events).Summary)), string(marshal(t, state.Summary())))
		})
	}
}

// Once a journey holds corrections or revisions, Apply says so for good; a re-delivery alone does not make it so.
func TestInexactIsSticky(t *testing.T) {
	s := &story{}
	s.add(1, accepted, revised("x", 1))
	s.add(1, accepted, revised("x", 2))
	state := roundTrip(t, tracking.Rebuild(s.events))
	require.False(t, state.Apply(s.add(3, loaded)))

	s = &story{}
	s.add(1, accepted)
	state = roundTrip(t, tracking.Rebuild(append(s.events, s.events[0])))
	require.True(t, state.Apply(s.add(3, loaded)))
}

// A version without a collision in its id needs no rebuild: senders that version by time give every event a revision.
func TestRevisionsOfOthersAreExact(t *testing.T) {
	s := &story{}
	var state tracking.State
	for i := range 20 {
		require.True(t, state.Apply(s.add(i, loaded, revised(fmt.Sprint(i), int64(1e15+i)))))
	}
}

func TestStateIsBounded(t *testing.T) {
	s := &story{}
	var state tracking.State
	rebuilds := 0
	for i := range 3000 {
		e := s.add(i, tracking.Milestones()[i%14], at(fmt.Sprintf("%03d", i%500)), exception([]string{"", "on_hold"}[i%2]))
		e.AggregateID = fmt.Sprintf("P%04d", (i*7919)%3000)
		if i%3 == 0 && i < 180 {
			on("LA", fmt.Sprint(i), "LIM", "SCL")(e)
		}
		if !state.Apply(e) {
			rebuilds++
			state = tracking.Rebuild(s.events)
		}
	}
	require.LessOrEqual(t, rebuilds, 30, "false alarms must be rare")
	data, err := state.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(data), 40<<10)
	summary := state.Summary()
	require.Len(t, summary.Aggregates, 100)
	require.True(t, slices.IsSorted(summary.Aggregates))
	require.Equal(t, "P0099", summary.Aggregates[99])
	require.Equal(t, 3000, summary.EventCount)
	require.Equal(t, string(marshal(t, tracking.Fold(s.events).Summary)), string(marshal(t, summary)))

	// An id from far back is still noticed.
	require.False(t, state.Apply(s.events[10]))
}

func TestManyLegs(t *testing.T) {
	s := &story{}
	for i := range 100 {
		s.add(i, inTransit, on("LA", fmt.Sprint(1000+i), "LIM", "SCL"))
	}
	want := string(marshal(t, tracking.Fold(s.events).Summary))
	require.Len(t, tracking.Fold(s.events).Legs, 64)
	require.Equal(t, "1099", tracking.Fold(s.events).Legs[63].Transport.Number)

	shuffled := slices.Clone(s.events)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var state tracking.State
	for i, e := range shuffled {
		if !state.Apply(e) {
			state = roundTrip(t, tracking.Rebuild(shuffled[:i+1]))
		}
	}
	require.Equal(t, want, string(marshal(t, state.Summary())))
}

func TestStateOfAnotherVersion(t *testing.T) {
	data, err := cbor.Marshal([]any{99, map[int]any{}})
	require.NoError(t, err)
	var state tracking.State
	require.ErrorIs(t, state.UnmarshalBinary(data), tracking.ErrStateVersion)

	require.Error(t, state.UnmarshalBinary([]byte{0xff}))
	damaged, err := cbor.Marshal([]any{3, map[int]any{9: []byte{1}}})
	require.NoError(t, err)
	require.ErrorContains(t, state.UnmarshalBinary(damaged), "damaged")

	require.NoError(t, state.UnmarshalBinary(nil))
	require.Equal(t, unknown, new(state.Summary()).Status)
}

func FuzzState(f *testing.F) {
	s := &story{}
	s.add(1, accepted, pieces(10, 10), at("LIM"))
	s.add(2, inTransit, on("LA", "2047", "LIM", "SCL"), pieces(4, 10))
	s.add(3, delivered, classified(tracking.Estimated))
	s.add(4, "", exception("on_hold"))
	for _, state := range []tracking.State{tracking.Rebuild(nil), tracking.Rebuild(s.events)} {
		data, err := state.MarshalBinary()
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		var state tracking.State
		if state.UnmarshalBinary(data) == nil {
			state.Apply(s.events[1])
			state.Summary()
		}
	})
}

func journeyOf(n int) []*tracking.Event {
	s := &story{}
	for i := range n {
		e := s.add(i, tracking.Milestones()[i%9], at("LIM"))
		if e.Enrichment.Milestone.Rank() >= loaded.Rank() {
			on("LA", fmt.Sprint(i/9), "LIM", "SCL")(e)
		}
	}
	return s.events
}

func BenchmarkApply(b *testing.B) {
	events := journeyOf(20)
	stored, err := new(tracking.Rebuild(events)).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	e := (&story{}).add(500, arrived, on("LA", "9", "SCL", "EZE"), at("EZE"))
	b.ReportAllocs()
	for b.Loop() {
		var state tracking.State
		if err := state.UnmarshalBinary(stored); err != nil {
			b.Fatal(err)
		}
		e.UID[15]++
		e.EventID = string(binary.BigEndian.AppendUint64(nil, uint64(e.UID[15])))
		state.Apply(e)
		_ = state.Summary()
		if _, err := state.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(stored)), "bytes/state")
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{20, 1000} {
		events := journeyOf(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tracking.Fold(events)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
