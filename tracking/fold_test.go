package tracking_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

var day = time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC)

// story writes events by the minute; each line is received in the order it is written unless it says otherwise.
type story struct {
	events []*tracking.Event
}

type option func(*tracking.Event)

func (s *story) add(minute int, milestone tracking.Milestone, options ...option) *tracking.Event {
	n := len(s.events) + 1
	e := &tracking.Event{
		TenantID: "latam", Source: "dcs", EventID: fmt.Sprintf("e%d", n), CorrelationID: "045-12345675", AggregateID: "BAG001",
		Type: string(milestone), Classifier: tracking.Actual,
		OccurredAt: day.Add(time.Duration(minute) * time.Minute), ReceivedAt: day.Add(24*time.Hour + time.Duration(n)*time.Second),
		Enrichment: tracking.Enrichment{Milestone: milestone},
	}
	binary.BigEndian.PutUint32(e.UID[:], uint32(n))
	for _, o := range options {
		o(e)
	}
	s.events = append(s.events, e)
	return e
}

func on(carrier, number, origin, destination string) option {
	return func(e *tracking.Event) {
		e.Transport = &tracking.Transport{
			Mode: "air", Carrier: carrier, Number: number, Date: "2026-06-20", Origin: origin, Destination: destination,
		}
	}
}

func pieces(n, total int) option {
	return func(e *tracking.Event) { e.Quantity = &tracking.Quantity{Pieces: n, TotalPieces: total} }
}

func at(iata string) option {
	return func(e *tracking.Event) { e.Location = &tracking.Location{IATA: iata} }
}

func exception(code string) option {
	return func(e *tracking.Event) { e.Enrichment.Exception = code }
}

func classified(c tracking.Classifier) option {
	return func(e *tracking.Event) { e.Classifier = c }
}

func revised(id string, revision int64) option {
	return func(e *tracking.Event) { e.EventID, e.Revision = id, revision }
}

func corrects(kind tracking.CorrectionKind, ids ...string) option {
	return func(e *tracking.Event) { e.Corrects = &tracking.Correction{Kind: kind, EventIDs: ids} }
}

const (
	announced  = tracking.Announced
	accepted   = tracking.Accepted
	processing = tracking.Processing
	loaded     = tracking.Loaded
	inTransit  = tracking.InTransit
	arrived    = tracking.Arrived
	transfer   = tracking.Transfer
	available  = tracking.Available
	outFor     = tracking.OutForDelivery
	delivered  = tracking.Delivered
	returned   = tracking.Returned
	cancelled  = tracking.Cancelled
	lost       = tracking.Lost
	unknown    = tracking.Unknown
)

func TestStatus(t *testing.T) {
	none := tracking.Milestone("")
	leg1, leg2 := on("LA", "2047", "LIM", "SCL"), on("LA", "501", "SCL", "EZE")
	for name, test := range map[string]struct {
		tell      func(s *story)
		status    tracking.Milestone
		exception string
		anomalies []string
	}{
		"nothing maps": {tell: func(s *story) { s.add(1, none); s.add(2, unknown) }, status: unknown},
		"plans alone move nothing": {
			tell:   func(s *story) { s.add(1, arrived, classified(tracking.Estimated)) },
			status: unknown,
		},
		"furthest of a leg": {
			tell:   func(s *story) { s.add(1, loaded, leg1); s.add(2, inTransit, leg1); s.add(3, arrived, leg1) },
			status: arrived,
		},
		"monotonic within a leg": {
			tell:   func(s *story) { s.add(1, inTransit, leg1); s.add(2, arrived, leg1); s.add(3, loaded, leg1) },
			status: arrived,
		},
		"a late departure fills history": {
			tell:   func(s *story) { s.add(1, accepted); s.add(9, arrived, leg1); s.add(5, inTransit, leg1) },
			status: arrived,
		},
		"a new leg opens loaded to arrived again": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(2, transfer); s.add(3, loaded, leg2) },
			status: loaded,
		},
		"out for delivery, then flown on": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(2, outFor); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"the first leg reported after the second": {
			tell:   func(s *story) { s.add(10, inTransit, leg2); s.add(5, arrived, leg1); s.add(1, inTransit, leg1) },
			status: inTransit,
		},
		"booking both legs does not begin them": {
			tell: func(s *story) {
				s.add(1, announced, leg1)
				s.add(1, announced, leg2)
				s.add(3, inTransit, leg1)
			},
			status: inTransit,
		},
		"an arrival after a stray scan for another flight": {
			tell:   func(s *story) { s.add(1, loaded, leg1); s.add(5, arrived, leg1); s.add(2, loaded, leg2) },
			status: arrived,
		},
		"an arrival reported again after the next departure": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(5, inTransit, leg2); s.add(6, arrived, leg1) },
			status: inTransit,
		},
		"a leg-bound event without a leg belongs to the latest": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(3, inTransit, leg2); s.add(5, arrived) },
			status: arrived,
		},
		"a leg-bound event without a leg, before the latest leg": {
			tell:   func(s *story) { s.add(2, arrived); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"a departure without a leg after the last arrival is a new leg": {
			tell:   func(s *story) { s.add(1, inTransit); s.add(2, arrived); s.add(3, inTransit) },
			status: inTransit,
		},
		"but not at the time of the arrival": {
			tell:   func(s *story) { s.add(1, inTransit); s.add(2, arrived); s.add(2, inTransit) },
			status: arrived,
		},
		"nor after out for delivery": {
			tell:   func(s *story) { s.add(2, arrived); s.add(3, outFor); s.add(4, inTransit) },
			status: outFor,
		},
		"a transfer at the time of the next departure is over": {
			tell:   func(s *story) { s.add(1, arrived, leg1); s.add(3, transfer); s.add(3, inTransit, leg2) },
			status: inTransit,
		},
		"the flight's date and designator in other ways": {
			tell: func(s *story) {
				s.add(1, arrived, leg1)
				s.add(2, inTransit, leg2)
				s.add(4, arrived, func(e *tracking.Event) { e.Transport = &tracking.Transport{Number: "LA0501"} })
			},
			status: arrived,
		},
		"delivered": {tell: func(s *story) { s.add(1, accepted); s.add(2, delivered) }, status: delivered},
		"late departure after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(3, inTransit, leg1) },
			status: delivered,
		},
		"departure that occurs after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(6, inTransit, leg1) },
			status: delivered, anomalies: []string{tracking.PostTerminal},
		},
		"returned after delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(8, returned) },
			status: returned,
		},
		"returned before delivery": {
			tell:   func(s *story) { s.add(5, delivered); s.add(4, returned) },
			status: delivered,
		},
		"the latest ending stands": {
			tell:   func(s *story) { s.add(7, returned); s.add(5, cancelled); s.add(6, lost) },
			status: returned,
		},
		"lost, then delivered":  {tell: func(s *story) { s.add(9, delivered); s.add(5, lost) }, status: delivered},
		"lost, then found":      {tell: func(s *story) { s.add(1, accepted); s.add(5, lost); s.add(6, none, exception("cleared")) }, status: accepted},
		"found, then lost":      {tell: func(s *story) { s.add(1, accepted); s.add(7, lost); s.add(6, none, exception("cleared")) }, status: lost},
		"exception":             {tell: func(s *story) { s.add(1, accepted); s.add(5, none, exception("on_hold")) }, status: accepted, exception: "on_hold"},
		"latest exception":      {tell: func(s *story) { s.add(7, none, exception("missing")); s.add(5, none, exception("on_hold")) }, status: unknown, exception: "missing"},
		"progress ends trouble": {tell: func(s *story) { s.add(6, loaded, leg1); s.add(5, none, exception("on_hold")) }, status: loaded},
		"progress at the same time does not": {
			tell:   func(s *story) { s.add(5, loaded, leg1); s.add(5, none, exception("on_hold")) },
			status: loaded, exception: "on_hold",
		},
		"found at the same time does": {
			tell:   func(s *story) { s.add(5, none, exception("cleared")); s.add(5, none, exception("missing")) },
			status: unknown,
		},
		"a milestone that is itself trouble": {
			tell:   func(s *story) { s.add(4, loaded, leg1); s.add(5, processing, exception("offloaded")) },
			status: loaded, exception: "offloaded",
		},
		"a later revision": {
			tell:   func(s *story) { s.add(5, delivered, revised("x", 2)); s.add(5, arrived, revised("x", 7)) },
			status: arrived,
		},
		"an older revision after the newer": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 7)); s.add(5, delivered, revised("x", 2)) },
			status: arrived,
		},
		"the same id twice": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 0)); s.add(5, arrived, revised("x", 0)) },
			status: arrived,
		},
		"one id for two occurrences": {
			tell:   func(s *story) { s.add(5, arrived, revised("x", 0)); s.add(6, delivered, revised("x", 0)) },
			status: arrived, anomalies: []string{tracking.IDConflict},
		},
		"voided":        {tell: func(s *story) { s.add(1, accepted); s.add(5, delivered); s.add(6, none, corrects(tracking.Void, "e2")) }, status: accepted},
		"voided before": {tell: func(s *story) { s.add(6, none, corrects(tracking.Void, "e3")); s.add(1, accepted); s.add(5, delivered) }, status: accepted},
		"replaced": {tell: func(s *story) {
			s.add(1, accepted)
			s.add(5, delivered)
			s.add(5, arrived, corrects(tracking.Replace, "e2"))
		}, status: arrived},
		"a void that is voided": {
			tell: func(s *story) {
				s.add(7, none, corrects(tracking.Void, "e4"))
				s.add(1, accepted)
				s.add(5, delivered)
				s.add(6, none, corrects(tracking.Void, "e3"))
			},
			status: delivered,
		},
		"another source cannot void": {
			tell: func(s *story) {
				s.add(5, delivered)
				s.add(6, none, corrects(tracking.Void, "e1")).Source = "other"
			},
			status: delivered,
		},
		"retracted under its own id": {
			tell: func(s *story) {
				s.add(1, accepted)
				s.add(5, delivered)
				s.add(6, none, revised("e2", 0), corrects(tracking.Void, "e2"))
			},
			status: accepted,
		},
		"retracted, then an older revision": {
			tell: func(s *story) {
				s.add(1, accepted)
				s.add(6, none, revised("x", 3), corrects(tracking.Void, "x"))
				s.add(5, delivered, revised("x", 2))
			},
			status: accepted,
		},
		"two corrections in a circle": {
			tell: func(s *story) {
				s.add(1, accepted, corrects(tracking.Replace, "e2"))
				s.add(2, delivered, corrects(tracking.Replace, "e1"))
			},
			status: accepted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			test.tell(s)
			trace := tracking.Fold(s.events)
			require.Equal(t, test.status, trace.Status)
			require.Equal(t, test.exception, trace.Exception)
			require.Equal(t, test.anomalies, trace.Anomalies)
		})
	}
}

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
		Kind: tracking.Baggage, Status: inTransit,
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
	require.Equal(t, "in_transit", wire["status"])
	first := wire["events"].([]any)[0].(map[string]any)
	require.Equal(t, "QQQ", first["event_type"])
	require.Equal(t, true, first["late"])
}

func TestEmptyTrace(t *testing.T) {
	trace := tracking.Fold(nil)
	require.Equal(t, unknown, trace.Status)
	require.Contains(t, string(marshal(t, trace)), `"aggregates":[]`)
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

func marshal(t require.TestingT, v any) []byte {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// journeys draws events of one journey from small pools, so that ids, times and legs collide. Corrections and revisions
// come only when messy.
func journeys(messy bool) *rapid.Generator[[]*tracking.Event] {
	return rapid.Custom(func(t *rapid.T) []*tracking.Event {
		milestones := append(tracking.Milestones(), tracking.Unknown, "")
		n := rapid.IntRange(0, 14).Draw(t, "events")
		events := make([]*tracking.Event, n)
		for i := range events {
			e := &tracking.Event{
				UID: uuid.UUID{byte(i + 1)}, TenantID: "t", CorrelationID: "c", EventID: fmt.Sprintf("e%d", i),
				Source:      rapid.SampledFrom([]string{"a", "b"}).Draw(t, "source"),
				AggregateID: rapid.SampledFrom([]string{"p1", "p2"}).Draw(t, "aggregate"),
				Kind:        rapid.SampledFrom([]tracking.Kind{"", tracking.Cargo, tracking.Parcel}).Draw(t, "kind"),
				Classifier: rapid.SampledFrom([]tracking.Classifier{
					tracking.Actual, tracking.Actual, tracking.Actual, "", tracking.Estimated, tracking.Requested,
				}).Draw(t, "classifier"),
				OccurredAt: day.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "occurred")) * time.Hour),
				ReceivedAt: day.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "received")) * time.Hour),
			}
			e.Enrichment.Milestone = rapid.SampledFrom(milestones).Draw(t, "milestone")
			e.Enrichment.Exception = rapid.SampledFrom([]string{"", "", "", "on_hold", "missing", "cleared"}).Draw(t, "exception")
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
