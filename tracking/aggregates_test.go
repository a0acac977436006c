package tracking_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// of has an event be about an aggregate; itself is the journey.
func of(aggregate string) option {
	return func(e *tracking.Event) {
		if e.AggregateID = aggregate; aggregate == itself {
			e.AggregateID = e.CorrelationID
		}
	}
}

const itself = "itself"

func TestSeveralAggregates(t *testing.T) {
	type statuses = map[string]tracking.Milestone
	none := tracking.Milestone("")
	leg1, leg2 := on("LA", "2047", "LIM", "SCL"), on("LA", "501", "SCL", "EZE")
	for name, test := range map[string]struct {
		tell      func(s *story)
		status    tracking.Milestone
		furthest  tracking.Milestone
		exception string
		anomalies []string
		each      statuses
	}{
		"the first of two bags is delivered": {
			tell:   func(s *story) { s.add(1, arrived, of("A")); s.add(1, arrived, of("B")); s.add(5, delivered, of("A")) },
			status: arrived, furthest: delivered, each: statuses{"A": delivered, "B": arrived},
		},
		"both are": {
			tell:   func(s *story) { s.add(5, delivered, of("A")); s.add(6, delivered, of("B")) },
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": delivered},
		},
		"the journey itself is": {
			tell:   func(s *story) { s.add(1, loaded, of("A")); s.add(2, arrived, of("B")); s.add(6, delivered, of(itself)) },
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": delivered},
		},
		"a hop behind": {
			tell: func(s *story) {
				s.add(1, arrived, of("A"), leg1)
				s.add(1, arrived, of("B"), leg1)
				s.add(2, loaded, of("A"), leg2)
			},
			status: arrived, furthest: loaded, each: statuses{"A": loaded, "B": arrived},
		},
		"legs that the journey names are legs of each": {
			tell: func(s *story) {
				s.add(1, loaded, of("A"), leg1)
				s.add(2, loaded, of("B"), leg1)
				s.add(3, inTransit, of(itself), leg1)
				s.add(4, arrived, of("B"), leg1)
			},
			status: inTransit, furthest: arrived, each: statuses{"A": inTransit, "B": arrived},
		},
		"a late departure of the one that was delivered": {
			tell: func(s *story) {
				s.add(9, delivered, of("A"))
				s.add(9, delivered, of("B"))
				s.add(4, inTransit, of("A"), leg1)
			},
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": delivered},
		},
		"one moves after the other was delivered": {
			tell: func(s *story) {
				s.add(5, delivered, of("A"))
				s.add(9, inTransit, of("B"), leg1)
			},
			status: inTransit, furthest: delivered, each: statuses{"A": delivered, "B": inTransit},
		},
		"one moves after itself was delivered": {
			tell: func(s *story) {
				s.add(5, delivered, of("A"))
				s.add(6, delivered, of("B"))
				s.add(9, inTransit, of("B"), leg1)
			},
			status: delivered, furthest: delivered, anomalies: []string{tracking.PostTerminal}, each: statuses{"A": delivered, "B": delivered},
		},
		"one is lost": {
			tell:   func(s *story) { s.add(9, delivered, of("A")); s.add(5, lost, of("B")) },
			status: lost, furthest: delivered, each: statuses{"A": delivered, "B": lost},
		},
		"one is cancelled": {
			tell:   func(s *story) { s.add(5, delivered, of("A")); s.add(9, cancelled, of("B")) },
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": cancelled},
		},
		"all are cancelled": {
			tell:   func(s *story) { s.add(5, cancelled, of("A")); s.add(9, cancelled, of("B")) },
			status: cancelled, furthest: announced, each: statuses{"A": cancelled, "B": cancelled},
		},
		"progress of one does not end the trouble of the other": {
			tell: func(s *story) {
				s.add(1, accepted, of("A"))
				s.add(1, accepted, of("B"))
				s.add(2, none, exception("missing"), of("A"))
				s.add(3, loaded, of("B"))
			},
			status: accepted, furthest: loaded, exception: "missing", each: statuses{"A": accepted, "B": loaded},
		},
		"one that is only missed": {
			tell:   func(s *story) { s.add(1, delivered, of("A")); s.add(2, none, exception("missing"), of("B")) },
			status: announced, furthest: delivered, exception: "missing", each: statuses{"A": delivered, "B": unknown},
		},
		"one that is only planned": {
			tell: func(s *story) {
				s.add(1, delivered, of("A"))
				s.add(2, announced, classified(tracking.Planned), of("B"))
			},
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": unknown},
		},
		"one of which only unknown codes and remarks are known": {
			tell: func(s *story) {
				s.add(1, delivered, of("A"))
				s.add(2, unknown, of("B"))
				s.add(3, tracking.None, of("B"))
			},
			status: delivered, furthest: delivered, each: statuses{"A": delivered, "B": unknown},
		},
		"one whose events were voided": {
			tell: func(s *story) {
				s.add(1, delivered, of("A"))
				s.add(2, loaded, of("B"))
				s.add(3, none, of("B"), corrects(tracking.Void, "e2"))
			},
			status: delivered, furthest: delivered, each: statuses{"A": delivered},
		},
		"pieces are counted over containers": {
			tell: func(s *story) {
				s.add(1, accepted, of(itself), pieces(10, 10))
				s.add(2, arrived, of("PMC1"), pieces(4, 10))
				s.add(3, arrived, of("PMC2"), pieces(6, 10))
				s.add(4, delivered, of("PMC1"), pieces(4, 10))
			},
			status: arrived, furthest: delivered, each: statuses{"PMC1": delivered, "PMC2": arrived},
		},
		"all pieces of all containers": {
			tell: func(s *story) {
				s.add(2, delivered, of("PMC1"), pieces(4, 10))
				s.add(3, delivered, of("PMC2"), pieces(6, 10))
			},
			status: delivered, furthest: delivered, each: statuses{"PMC1": delivered, "PMC2": delivered},
		},
		"each bag counts itself": {
			tell: func(s *story) {
				s.add(2, delivered, of("A"), pieces(1, 1))
				s.add(3, loaded, of("B"), pieces(1, 1))
			},
			status: loaded, furthest: delivered, each: statuses{"A": delivered, "B": loaded},
		},
		"each counts its own pieces, of one of which a part is delivered": {
			tell: func(s *story) {
				s.add(1, arrived, of("A"), pieces(2, 2))
				s.add(2, delivered, of("A"), pieces(1, 2))
				s.add(3, delivered, of("B"), pieces(1, 1))
				s.add(4, delivered, of("C"), pieces(1, 1))
			},
			status: arrived, furthest: delivered, each: statuses{"A": arrived, "B": delivered, "C": delivered},
		},
		"of one, only a part was ever heard of": {
			tell: func(s *story) {
				s.add(2, delivered, of("A"), pieces(1, 2))
				s.add(3, delivered, of("B"), pieces(1, 1))
				s.add(4, delivered, of("C"), pieces(1, 1))
			},
			status: announced, furthest: delivered, each: statuses{"A": announced, "B": delivered, "C": delivered},
		},
		"pieces of a known number, told one by one": {
			tell: func(s *story) {
				s.add(1, accepted, of(itself), pieces(2, 2))
				s.add(2, delivered, of("A"))
				s.add(3, arrived, of("B"))
			},
			status: arrived, furthest: delivered, each: statuses{"A": delivered, "B": arrived},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			test.tell(s)
			trace := tracking.Fold(s.events)
			require.Equal(t, test.status, trace.Status)
			require.Equal(t, test.furthest, trace.Furthest)
			require.Equal(t, test.exception, trace.Exception)
			require.Equal(t, test.anomalies, trace.Anomalies)
			each := statuses{}
			for _, a := range trace.ByAggregate {
				if a.AggregateID != trace.CorrelationID {
					each[a.AggregateID] = a.Status
				}
			}
			require.Equal(t, test.each, each)
		})
	}
}

func TestPiecesOfAggregates(t *testing.T) {
	type counts = map[tracking.Milestone]int
	for name, test := range map[string]struct {
		tell    func(s *story)
		total   int
		reached counts
	}{
		"told one by one": {
			tell: func(s *story) {
				s.add(1, accepted, of(itself), pieces(2, 2))
				s.add(2, delivered, of("A"))
				s.add(3, arrived, of("B"))
			},
			total: 2, reached: counts{accepted: 2, arrived: 1, delivered: 1},
		},
		"each counts itself": {
			tell: func(s *story) {
				s.add(2, delivered, of("A"), pieces(1, 1))
				s.add(3, loaded, of("B"), pieces(1, 1))
				s.add(4, loaded, of("C"), pieces(1, 1))
			},
			total: 3, reached: counts{loaded: 2, delivered: 1},
		},
		"over containers": {
			tell: func(s *story) {
				s.add(2, delivered, of("PMC1"), pieces(4, 10))
				s.add(3, arrived, of("PMC2"), pieces(6, 10))
			},
			total: 10, reached: counts{arrived: 6, delivered: 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			test.tell(s)
			trace := tracking.Fold(s.events)
			require.Equal(t, &tracking.Pieces{Total: test.total, ByMilestone: test.reached}, trace.Pieces)
		})
	}
}

func TestKnownCodesOfNoPhaseAreNotUnknown(t *testing.T) {
	s := &story{}
	s.add(1, accepted)
	s.add(2, tracking.None, func(e *tracking.Event) { e.Type = "DOC" })
	s.add(3, unknown)
	trace := tracking.Fold(s.events)
	require.Equal(t, accepted, trace.Status)
	require.Equal(t, 1, trace.UnknownCount)
	require.Equal(t, 3, trace.EventCount)
	require.Len(t, trace.Milestones, 1)
}

// Of a thing on a journey of many, delivered means that all of them are, in whatever order the news of them comes.
func TestDeliveredWhenAllAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{}
		bags := rapid.IntRange(2, 6).Draw(t, "bags")
		for b := range bags {
			s.add(1, accepted, of(fmt.Sprint("B", b)))
		}
		for b := range bags {
			order := rapid.Permutation(s.events).Draw(t, "order")
			require.Equal(t, accepted, tracking.Fold(order).Status, "%d of %d delivered", b, bags)
			s.add(2+b, delivered, of(fmt.Sprint("B", b)))
		}
		require.Equal(t, delivered, tracking.Fold(rapid.Permutation(s.events).Draw(t, "order")).Status)
	})
}

// What is said of the journey counts for it wherever its id stands among those of more things than are told apart.
func TestTheJourneyIsAlwaysToldApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{}
		for i := range rapid.IntRange(95, 105).Draw(t, "things") {
			s.add(i, arrived, of(fmt.Sprintf("B%03d", i)))
		}
		s.add(999, delivered, of(rapid.SampledFrom([]string{itself, ""}).Draw(t, "journey")))
		s.add(999, delivered, of(itself))
		correlation := rapid.SampledFrom([]string{"A", "B050x", "Z"}).Draw(t, "correlation")
		for _, e := range s.events {
			if e.AggregateID == e.CorrelationID {
				e.AggregateID = correlation
			}
			e.CorrelationID = correlation
		}
		trace := tracking.Fold(s.events)
		require.Equal(t, delivered, trace.Status)
		require.Contains(t, trace.Aggregates, correlation)
		require.True(t, slices.IsSorted(trace.Aggregates))

		var state tracking.State
		for _, e := range rapid.Permutation(s.events).Draw(t, "order") {
			require.True(t, state.Apply(e))
		}
		requireSameState(t, tracking.Rebuild(s.events), state)
	})
}

func requireSameState(t require.TestingT, want, got tracking.State) {
	wanted, err := want.MarshalBinary()
	require.NoError(t, err)
	have, err := got.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, wanted, have)
}

// A journey of many things on many legs has a bounded state, the same by whatever way.
func TestStateOfManyThingsIsBounded(t *testing.T) {
	s := &story{}
	for i := range 120 {
		for l := range 60 {
			s.add(l*10, tracking.Milestones()[3+l%3], of(fmt.Sprintf("B%03d", i)), on("LA", fmt.Sprint(100+l), "LIM", "SCL"), at("LIM"),
				exception([]string{"", "on_hold"}[l%2]))
		}
	}
	rebuilt := tracking.Rebuild(s.events)
	data, err := rebuilt.MarshalBinary()
	require.NoError(t, err)
	t.Logf("%d bytes", len(data))
	require.Less(t, len(data), 256<<10)
	legs := rebuilt.Summary().Legs
	require.Len(t, legs, 5, "512 / 101 parts")
	require.Equal(t, "159", legs[4].Transport.Number)
	require.False(t, rebuilt.Apply((&story{}).add(1, arrived)), "it takes a rebuild from now on")

	// Up to the bound it takes none.
	var state tracking.State
	few := s.events[:0:0]
	for i := range 100 {
		for l := range 5 {
			few = append(few, s.events[i*60+l])
		}
	}
	for _, e := range few {
		require.True(t, state.Apply(e))
	}
	require.Len(t, state.Summary().Legs, 5)
	requireSameState(t, tracking.Rebuild(few), state)
}

// The trace as of a time is that of what had happened, plans that had been made by then included.
func TestFoldAsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := journeys(true).Draw(t, "events")
		require.Equal(t, tracking.Fold(events), tracking.FoldAsOf(events, day.Add(100*time.Hour)), "all has happened")
		require.Empty(t, tracking.FoldAsOf(events, day.Add(-time.Hour)).Events, "nothing has")
		at := day.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "at")) * time.Hour)
		shuffled := rapid.Permutation(events).Draw(t, "order")
		require.Equal(t, tracking.FoldAsOf(events, at), tracking.FoldAsOf(shuffled, at))

		plain := journeys(false).Draw(t, "plain events")
		had := slices.DeleteFunc(slices.Clone(plain), func(e *tracking.Event) bool {
			if e.Classifier == tracking.Actual || e.Classifier == "" {
				return e.OccurredAt.After(at)
			}
			return e.ReceivedAt.After(at)
		})
		require.Equal(t, tracking.Fold(had), tracking.FoldAsOf(plain, at))
	})
}

func TestFoldAsOfKnowsWhatWasCorrectedLater(t *testing.T) {
	s := &story{}
	s.add(1, accepted)
	s.add(5, delivered)
	s.add(9, "", corrects(tracking.Void, "e2"))
	estimate := s.add(60, delivered, classified(tracking.Estimated)) // of something to come
	estimate.ReceivedAt = day.Add(2 * time.Minute)
	trace := tracking.FoldAsOf(s.events, day.Add(6*time.Minute))
	require.Equal(t, accepted, trace.Status)
	require.Len(t, trace.Events, 3)
	require.Equal(t, estimate.OccurredAt, *trace.EstimatedAt)
	require.Nil(t, tracking.FoldAsOf(s.events, day.Add(time.Minute)).EstimatedAt)
}

// More things than are told apart: the journey is delivered when it is said of the journey, or of its pieces.
func TestManyAggregates(t *testing.T) {
	s := &story{}
	for i := range 150 {
		s.add(i, arrived, of(fmt.Sprintf("B%03d", i)))
		s.add(200+i, delivered, of(fmt.Sprintf("B%03d", i)))
	}
	s.add(340, arrived, of("B149")) // before it was delivered, and after others were
	trace := tracking.Fold(s.events)
	require.Equal(t, arrived, trace.Status)
	require.Empty(t, trace.Anomalies)
	require.Len(t, trace.ByAggregate, 100)
	require.Equal(t, delivered, trace.ByAggregate[99].Status)
	s.add(999, delivered, of(itself))
	require.Equal(t, delivered, tracking.Fold(s.events).Status)

	var state tracking.State
	for i := len(s.events) - 1; i >= 0; i-- {
		require.True(t, state.Apply(s.events[i]))
	}
	requireSameState(t, tracking.Rebuild(s.events), state)
}
