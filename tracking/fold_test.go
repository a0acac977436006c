package tracking_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

func TestPieces(t *testing.T) {
	type counts = map[tracking.Milestone]int
	a, b := on("LA", "1", "LIM", "MIA"), on("LA", "2", "LIM", "MIA")
	c, d := on("LA", "3", "MIA", "JFK"), on("LA", "4", "MIA", "JFK")
	for name, test := range map[string]struct {
		tell    func(s *story)
		status  tracking.Milestone
		reached counts
	}{
		"two of ten delivered": {
			tell:   func(s *story) { s.add(1, accepted, pieces(10, 10)); s.add(5, delivered, pieces(2, 10)) },
			status: accepted, reached: counts{accepted: 10, delivered: 2},
		},
		"two of ten delivered, and nothing else known": {
			tell:   func(s *story) { s.add(5, delivered, pieces(2, 10)) },
			status: announced, reached: counts{delivered: 2},
		},
		"two and eight delivered": {
			tell:   func(s *story) { s.add(5, delivered, pieces(2, 10)); s.add(6, delivered, pieces(8, 10)) },
			status: delivered, reached: counts{delivered: 10},
		},
		"two delivered twice by re-sending": {
			tell: func(s *story) {
				s.add(5, delivered, pieces(5, 10))
				s.add(5, delivered, pieces(5, 10), revised("e1", 0))
			},
			status: announced, reached: counts{delivered: 5},
		},
		"two arrivals without a leg": {
			tell:   func(s *story) { s.add(5, arrived, pieces(2, 10)); s.add(6, arrived, pieces(8, 10)) },
			status: arrived, reached: counts{arrived: 10},
		},
		"two arrivals by one flight": {
			tell:   func(s *story) { s.add(5, arrived, a, pieces(2, 10)); s.add(6, arrived, a, pieces(8, 10)) },
			status: arrived, reached: counts{arrived: 10},
		},
		"two arrivals by two flights of which only the number is known": {
			tell: func(s *story) {
				s.add(5, arrived, on("LA", "1", "", ""), pieces(2, 10))
				s.add(6, arrived, on("LA", "2", "", ""), pieces(8, 10))
			},
			status: arrived, reached: counts{arrived: 10},
		},
		"all departed by one flight, and a part of them arrives by another": {
			tell: func(s *story) {
				s.add(1, inTransit, a, pieces(10, 10))
				s.add(5, arrived, a, pieces(2, 10))
				s.add(6, arrived, on("LA", "2", "", "MIA"), pieces(8, 10))
			},
			status: arrived, reached: counts{inTransit: 10, arrived: 10},
		},
		"all departed, and a part has arrived": {
			tell:   func(s *story) { s.add(1, inTransit, a, pieces(10, 10)); s.add(5, arrived, a, pieces(2, 10)) },
			status: inTransit, reached: counts{inTransit: 10, arrived: 2},
		},
		"no quantity means all": {
			tell:   func(s *story) { s.add(1, accepted, pieces(10, 10)); s.add(5, delivered) },
			status: delivered, reached: counts{accepted: 10, delivered: 10},
		},
		"split, one part in the air": {
			tell:   func(s *story) { s.add(1, accepted, pieces(10, 10)); s.add(5, inTransit, a, pieces(4, 10)) },
			status: accepted, reached: counts{accepted: 10, inTransit: 4},
		},
		"split, both in the air, one arrived": {
			tell: func(s *story) {
				s.add(1, accepted, pieces(10, 10))
				s.add(5, inTransit, a, pieces(4, 10))
				s.add(7, inTransit, b, pieces(6, 10))
				s.add(6, arrived, a, pieces(4, 10))
			},
			status: inTransit, reached: counts{accepted: 10, inTransit: 10, arrived: 4},
		},
		"split, the flight's arrival says no number": {
			tell: func(s *story) {
				s.add(5, inTransit, a, pieces(4, 10))
				s.add(7, inTransit, b, pieces(6, 10))
				s.add(6, arrived, a)
			},
			status: inTransit, reached: counts{inTransit: 10, arrived: 4},
		},
		"split, departure of one part untold": {
			tell: func(s *story) {
				s.add(5, inTransit, a, pieces(4, 10))
				s.add(8, arrived, b, pieces(6, 10))
			},
			status: inTransit, reached: counts{inTransit: 4, arrived: 6},
		},
		"split over two hops, the first part a hop ahead": {
			tell: func(s *story) {
				s.add(1, accepted, pieces(10, 10))
				s.add(2, inTransit, a, pieces(4, 10))
				s.add(3, arrived, a, pieces(4, 10))
				s.add(4, inTransit, c, pieces(4, 10))
				s.add(5, arrived, c, pieces(4, 10))
				s.add(6, inTransit, b, pieces(6, 10))
				s.add(7, arrived, b, pieces(6, 10))
			},
			status: arrived, reached: counts{accepted: 10, inTransit: 10, arrived: 10},
		},
		"split over two hops, all arrived at the end": {
			tell: func(s *story) {
				s.add(2, inTransit, a, pieces(4, 10))
				s.add(4, inTransit, c, pieces(4, 10))
				s.add(5, arrived, c, pieces(4, 10))
				s.add(6, inTransit, b, pieces(6, 10))
				s.add(8, inTransit, d, pieces(6, 10))
				s.add(9, arrived, d, pieces(6, 10))
				s.add(10, delivered, pieces(6, 10))
			},
			status: arrived, reached: counts{inTransit: 10, arrived: 10, delivered: 6},
		},
		"together to the hub, split after": {
			tell: func(s *story) {
				s.add(2, arrived, a, pieces(10, 10))
				s.add(4, inTransit, c, pieces(4, 10))
			},
			status: arrived, reached: counts{arrived: 10, inTransit: 4},
		},
		"some returned": {
			tell:   func(s *story) { s.add(2, arrived, a, pieces(10, 10)); s.add(4, returned, pieces(1, 10)) },
			status: arrived, reached: counts{arrived: 10, returned: 1},
		},
		"counts that overflow": {
			tell: func(s *story) {
				s.add(2, arrived, a, pieces(1<<62, 1<<62))
				s.add(3, arrived, a, pieces(1<<62, 1<<62))
			},
			status: arrived, reached: counts{arrived: 1_000_000_000},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			test.tell(s)
			trace := tracking.Fold(s.events)
			require.Equal(t, test.status, trace.Status)
			require.NotNil(t, trace.Pieces)
			require.Equal(t, test.reached, trace.Pieces.ByMilestone)
		})
	}
}

func TestSummary(t *testing.T) {
	s := &story{}
	lima := &tracking.Place{IATA: "LIM", ICAO: "SPJC", Name: "Jorge Chávez", City: "Lima", Country: "PE", Lat: -12, Lon: -77, TimeZone: "America/Lima"}
	s.add(60, accepted, func(e *tracking.Event) {
		e.Location, e.Enrichment.Place = &tracking.Location{ICAO: "SPIM", Facility: "T1"}, lima
		e.Kind, e.AggregateID = tracking.Baggage, "BAG002"
	})
	s.add(90, inTransit, on("LA", "2047", "LIM", "SCL"))
	s.add(30, "", at("XXX"), func(e *tracking.Event) { e.Type = "QQQ" })
	s.add(300, delivered, classified(tracking.Estimated))
	s.add(200, delivered, classified(tracking.Planned))
	s.add(999, arrived, classified(tracking.Planned))
	trace := tracking.Fold(s.events)

	lat, lon := -12.0, -77.0
	require.Equal(t, tracking.Summary{
		TenantID: "latam", CorrelationID: "045-12345675", AggregateID: "BAG001", Aggregates: []string{"BAG001", "BAG002"},
		ByAggregate: []tracking.AggregateStatus{
			{AggregateID: "BAG001", Status: inTransit, Milestone: inTransit, EventCount: 2, LastEvent: &tracking.LastEvent{
				UID: s.events[1].UID, Type: "in_transit", Milestone: inTransit, At: day.Add(90 * time.Minute),
			}},
			{AggregateID: "BAG002", Status: accepted, Milestone: accepted, EventCount: 1, LastEvent: &tracking.LastEvent{
				UID: s.events[0].UID, Type: "accepted", Milestone: accepted, At: day.Add(time.Hour),
			}},
		},
		Kind: tracking.Baggage, Status: accepted, Furthest: inTransit,
		Milestones: []tracking.MilestoneReached{
			{Milestone: accepted, FirstAt: day.Add(time.Hour), LastAt: day.Add(time.Hour), Count: 1},
			{Milestone: inTransit, FirstAt: day.Add(90 * time.Minute), LastAt: day.Add(90 * time.Minute), Count: 1},
		},
		FirstEventAt: day.Add(30 * time.Minute), LastEventAt: day.Add(90 * time.Minute),
		LastLocation: &tracking.Whereabouts{
			Location: tracking.Location{IATA: "LIM", ICAO: "SPJC", Facility: "T1", Name: "Jorge Chávez", Lat: &lat, Lon: &lon},
			City:     "Lima", Country: "PE", TimeZone: "America/Lima",
		},
		EventCount: 6, UnknownCount: 1,
		Legs: []tracking.LegStatus{{
			Transport: tracking.Transport{Mode: "air", Carrier: "LA", Number: "2047", Date: "2026-06-20", Origin: "LIM", Destination: "SCL"},
			Status:    inTransit, FirstAt: day.Add(90 * time.Minute), LastAt: day.Add(90 * time.Minute),
		}},
		EstimatedAt: new(day.Add(200 * time.Minute)),
		UpdatedAt:   day.Add(24*time.Hour + 6*time.Second),
	}, trace.Summary)
	require.Equal(t, "e3", trace.Events[0].EventID)
	require.True(t, trace.Events[0].Late)
	require.False(t, trace.Events[1].Late)

	wire := map[string]any{}
	require.NoError(t, json.Unmarshal(marshal(t, trace), &wire))
	require.Equal(t, "accepted", wire["status"])
	first := wire["events"].([]any)[0].(map[string]any)
	require.Equal(t, "QQQ", first["event_type"])
	require.Equal(t, true, first["late"])
}

func TestEmptyTrace(t *testing.T) {
	trace := tracking.Fold(nil)
	require.Equal(t, unknown, trace.Status)
	require.Contains(t, string(marshal(t, trace)), `"aggregates":[]`)
	require.Contains(t, string(marshal(t, trace)), `"by_aggregate":[]`)
	require.Contains(t, string(marshal(t, trace)), `"milestones":[]`)
	require.Contains(t, string(marshal(t, trace)), `"legs":[]`)
	require.Contains(t, string(marshal(t, trace)), `"events":[]`)
}

func TestAnnotations(t *testing.T) {
	s := &story{}
	s.add(1, accepted)
	s.add(2, loaded, revised("x", 1))
	s.add(3, loaded, revised("x", 2))
	s.add(4, arrived)
	s.add(5, "", corrects(tracking.Void, "e4"))
	trace := tracking.Fold(s.events)
	require.Equal(t, 5, trace.EventCount)
	require.Equal(t, 2, trace.VoidedCount)
	require.Equal(t, loaded, trace.Status)
	var voided, superseded []int
	for i, e := range trace.Events {
		if e.Voided {
			voided = append(voided, i)
		}
		if e.Superseded {
			superseded = append(superseded, i)
		}
	}
	require.Equal(t, []int{3}, voided)
	require.Equal(t, []int{1}, superseded)
}

// A void of an id takes out all its revisions; of corrections in a circle those that were settled first stand.
func TestVoidedAnnotations(t *testing.T) {
	voided := func(s *story) map[string]bool {
		out := map[string]bool{}
		for _, e := range tracking.Fold(s.events).Events {
			out[e.Type] = e.Voided
		}
		return out
	}
	typed := func(name string) option { return func(e *tracking.Event) { e.Type = name } }
	s := &story{}
	s.add(1, loaded, revised("x", 1), typed("first"))
	s.add(1, loaded, revised("x", 2), typed("second"))
	s.add(2, "", corrects(tracking.Void, "x"), typed("void"))
	require.Equal(t, map[string]bool{"first": true, "second": true, "void": false}, voided(s))

	s = &story{}
	s.add(1, accepted, corrects(tracking.Replace, "e2"), typed("1"))
	s.add(2, accepted, corrects(tracking.Replace, "e3"), typed("2"))
	s.add(3, accepted, corrects(tracking.Replace, "e1"), typed("3"))
	require.Equal(t, map[string]bool{"1": false, "2": true, "3": false}, voided(s))
}

// However many troubles are heard of, those that occurred last are remembered, in whatever order they come.
func TestManyTroubles(t *testing.T) {
	const noPhase = tracking.None
	rapid.Check(t, func(t *rapid.T) {
		s := &story{}
		for i := range 40 {
			s.add(i+1, noPhase, exception(fmt.Sprintf("trouble_%02d", i)))
			s.add(50+i, noPhase, exception(fmt.Sprintf("cleared:trouble_%02d", 39-i)))
		}
		s.add(45, noPhase, exception("trouble_03"))
		s.add(100, noPhase, exception("missing"))
		s.add(99, noPhase, exception("customs"))
		s.add(101, noPhase, exception("cleared:missing"))
		shuffled := rapid.Permutation(s.events).Draw(t, "order")
		var state tracking.State
		for _, e := range shuffled {
			require.True(t, state.Apply(e))
		}
		require.Equal(t, "customs", state.Summary().Exception)
		data, err := state.MarshalBinary()
		require.NoError(t, err)
		require.Less(t, len(data), 8000)
	})
}

func TestClears(t *testing.T) {
	for exception, want := range map[string]string{"cleared": "true ", "cleared:missing": "true missing", "": "false ", "clearedx": "false ", "missing": "false "} {
		trouble, ok := tracking.Clears(exception)
		require.Equal(t, want, fmt.Sprintf("%t %s", ok, trouble), exception)
	}
}
