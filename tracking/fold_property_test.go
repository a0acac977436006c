package tracking_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/trackingtest"
)

// journeys draws events of one journey from small pools, so that ids, times and legs collide. Corrections and revisions
// come only when messy.
func journeys(messy bool) *rapid.Generator[[]*tracking.Event] {
	return rapid.Custom(func(t *rapid.T) []*tracking.Event {
		milestones := append(tracking.Milestones(), tracking.Unknown, tracking.None, "")
		n := rapid.IntRange(0, 14).Draw(t, "events")
		events := make([]*tracking.Event, n)
		for i := range events {
			e := &tracking.Event{
				UID: uuid.UUID{byte(i + 1)}, TenantID: "t", CorrelationID: "c", EventID: fmt.Sprintf("e%d", i),
				Source:      rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"),
				AggregateID: rapid.SampledFrom([]string{"p1", "p2", "c"}).Draw(t, "aggregate"),
				Kind:        rapid.SampledFrom([]tracking.Kind{"", tracking.Cargo, tracking.Parcel}).Draw(t, "kind"),
				Classifier: rapid.SampledFrom([]tracking.Classifier{
					tracking.Actual, tracking.Actual, tracking.Actual, "", tracking.Estimated, tracking.Requested,
				}).Draw(t, "classifier"),
				OccurredAt: day.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "occurred")) * time.Hour),
				ReceivedAt: day.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "received")) * time.Hour),
			}
			e.Enrichment.Milestone = rapid.SampledFrom(milestones).Draw(t, "milestone")
			e.Enrichment.Exception = rapid.SampledFrom([]string{"", "", "", "on_hold", "missing", "cleared", "cleared:missing"}).Draw(t, "exception")
			if rapid.Bool().Draw(t, "transported") {
				e.Transport = &tracking.Transport{
					Carrier: rapid.SampledFrom([]string{"", "LA"}).Draw(t, "carrier"),
					Number:  rapid.SampledFrom([]string{"1", "2", "LA1", ""}).Draw(t, "number"),
					Date:    rapid.SampledFrom([]string{"2026-06-20", "2026-06-21", ""}).Draw(t, "date"),
					Origin:  rapid.SampledFrom([]string{"LIM", "SCL", ""}).Draw(t, "origin"),
				}
			}
			if rapid.Bool().Draw(t, "counted") {
				e.Quantity = &tracking.Quantity{
					Pieces:      rapid.IntRange(0, 4).Draw(t, "pieces"),
					TotalPieces: rapid.SampledFrom([]int{0, 4}).Draw(t, "total"),
				}
			}
			if rapid.Bool().Draw(t, "located") {
				e.Location = &tracking.Location{IATA: rapid.SampledFrom([]string{"LIM", "SCL", ""}).Draw(t, "place")}
			}
			if messy && rapid.Bool().Draw(t, "mess") {
				e.EventID = fmt.Sprintf("e%d", rapid.IntRange(0, n).Draw(t, "id"))
				e.Revision = int64(rapid.IntRange(0, 2).Draw(t, "revision"))
				if rapid.Bool().Draw(t, "correction") {
					ids := rapid.SliceOfN(rapid.IntRange(0, n), 1, 3).Draw(t, "ids")
					kind := rapid.SampledFrom([]tracking.CorrectionKind{tracking.Void, tracking.Replace}).Draw(t, "correction kind")
					e.Corrects = &tracking.Correction{Kind: kind}
					for _, id := range ids {
						e.Corrects.EventIDs = append(e.Corrects.EventIDs, fmt.Sprintf("e%d", id))
					}
				}
			}
			events[i] = e
		}
		return events
	})
}

// Invariant 10.
func TestFoldOfAnyOrderAndDuplication(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := journeys(true).Draw(t, "events")
		want := marshal(t, tracking.Fold(events))
		again := events
		if len(events) > 0 {
			again = append(again, rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "again")...)
		}
		got := marshal(t, tracking.Fold(rapid.Permutation(again).Draw(t, "order")))
		require.Equal(t, string(want), string(got))
	})
}

// The same of what carriers send, which makes sense more often than what is drawn at random.
func TestFoldOfWhatCarriersSend(t *testing.T) {
	world := trackingtest.World{Tenants: []string{"t"}, Begin: day}
	statuses := map[tracking.Milestone]int{}
	rapid.Check(t, func(t *rapid.T) {
		all := world.Events().Draw(t, "events")
		for _, one := range all {
			events := slices.DeleteFunc(slices.Clone(all), func(e *tracking.Event) bool { return e.CorrelationID != one.CorrelationID })
			want := tracking.Fold(events)
			statuses[want.Status]++
			again := append(slices.Clone(events), rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "again")...)
			order := rapid.Permutation(again).Draw(t, "order")
			require.Equal(t, string(marshal(t, want)), string(marshal(t, tracking.Fold(order))))
			requireSameState(t, tracking.Rebuild(events), tracking.Rebuild(order))
		}
	})
	for _, status := range []tracking.Milestone{accepted, inTransit, arrived, delivered, outFor} {
		require.Positive(t, statuses[status], "%s is drawn", status)
	}
}

func TestFoldOfVoidedIsFoldWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := journeys(false).Filter(func(l []*tracking.Event) bool { return len(l) > 1 }).Draw(t, "events")
		gone := rapid.IntRange(0, len(events)-1).Draw(t, "gone")
		without := append(append([]*tracking.Event{}, events[:gone]...), events[gone+1:]...)
		void := &tracking.Event{
			UID: uuid.UUID{0xff}, TenantID: "t", CorrelationID: "c", Source: events[gone].Source, EventID: "void",
			Classifier: tracking.Actual, OccurredAt: day.Add(100 * time.Hour), ReceivedAt: day.Add(-time.Hour),
			Corrects: &tracking.Correction{Kind: tracking.Void, EventIDs: []string{events[gone].EventID}},
		}
		want := tracking.Fold(without).Summary
		got := tracking.Fold(rapid.Permutation(append(events, void)).Draw(t, "order")).Summary
		require.Equal(t, want.VoidedCount+1, got.VoidedCount)
		require.Equal(t, want.EventCount+2, got.EventCount)
		got.VoidedCount, got.EventCount, got.UpdatedAt = want.VoidedCount, want.EventCount, want.UpdatedAt
		require.Equal(t, string(marshal(t, want)), string(marshal(t, got)))
	})
}

func TestApplyAgreesWithFold(t *testing.T) {
	for name, messy := range map[string]bool{"plain": false, "messy": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				events := rapid.Permutation(journeys(messy).Draw(t, "events")).Draw(t, "order")
				var state tracking.State
				for i, e := range events {
					if !state.Apply(e) {
						if !messy {
							t.Fatalf("event %d needed a rebuild", i)
						}
						state = tracking.Rebuild(events[:i+1])
					}
					if rapid.Bool().Draw(t, "stored") {
						state = roundTrip(t, state)
					}
					require.Equal(t,
						string(marshal(t, tracking.Fold(events[:i+1]).Summary)), string(marshal(t, state.Summary())), "after event %d", i)
				}
			})
		})
	}
}

func roundTrip(t require.TestingT, state tracking.State) tracking.State {
	data, err := state.MarshalBinary()
	require.NoError(t, err)
	var back tracking.State
	require.NoError(t, back.UnmarshalBinary(data))
	again, err := back.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, data, again)
	return back
}

// Progress, once known, is never taken back by hearing of more that happened before it.
func TestEarlierEventsDoNotDowngrade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &story{}
		leg := on("LA", "1", "LIM", "SCL")
		last := rapid.SampledFrom([]tracking.Milestone{arrived, delivered, available, returned}).Draw(t, "last")
		s.add(100, last, leg)
		for range rapid.IntRange(0, 6).Draw(t, "late") {
			s.add(rapid.IntRange(0, 99).Draw(t, "minute"),
				rapid.SampledFrom([]tracking.Milestone{announced, accepted, processing, loaded, inTransit}).Draw(t, "milestone"),
				rapid.SampledFrom([]option{leg, on("LA", "0", "CUZ", "LIM"), func(*tracking.Event) {}}).Draw(t, "leg"))
			require.Equal(t, last, tracking.Fold(s.events).Status)
		}
	})
}

// A consignment is split into parts that go the same way, each at its own pace and on flights of its own or shared ones. At
// any time the status is the phase of the part that is furthest behind, and delivered only when all parts are.
func TestSplitConsignment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		route := []string{"LIM", "MIA", "JFK", "LHR"}[:rapid.IntRange(2, 4).Draw(t, "stations")]
		parts := rapid.SliceOfN(rapid.IntRange(1, 5), 2, 3).Draw(t, "parts")
		total := 0
		for _, n := range parts {
			total += n
		}
		steps := 2*(len(route)-1) + 1 // departure and arrival of each hop, and delivery
		flights := make([][]string, len(parts))
		for p := range parts {
			for h := range len(route) - 1 {
				flights[p] = append(flights[p], fmt.Sprintf("%d%d", h+1, rapid.IntRange(0, p).Draw(t, "flight")))
			}
		}

		s := &story{}
		s.add(0, accepted, pieces(total, total))
		done := make([]int, len(parts))
		for minute := 1; minute <= steps*len(parts); minute++ {
			var moving []int
			for p := range parts {
				if done[p] < steps {
					moving = append(moving, p)
				}
			}
			p := rapid.SampledFrom(moving).Draw(t, "part")
			h := done[p] / 2
			switch {
			case done[p] == steps-1:
				s.add(minute, delivered, pieces(parts[p], total))
			case done[p]%2 == 0:
				s.add(minute, inTransit, on("LA", flights[p][h], route[h], route[h+1]), pieces(parts[p], total))
			default:
				s.add(minute, arrived, on("LA", flights[p][h], route[h], route[h+1]), pieces(parts[p], total))
			}
			done[p]++

			want := accepted
			switch least := slices.Min(done); {
			case least == steps:
				want = delivered
			case least > 0 && least%2 == 1 && least < steps:
				want = inTransit
			case least > 0:
				want = arrived
			}
			order := rapid.Permutation(s.events).Draw(t, "order")
			require.Equal(t, want, tracking.Fold(order).Status, "after %v of %v on %v", done, parts, flights)
		}
	})
}
