// Package trackingtest draws events as carriers send them, for property tests of whatever stores or folds them: journeys of bags, of
// cargo in parts and of parcels, of which some events are late, repeated, foreseen, unknown, without a zone of their own, from clocks
// that are wrong, revised or voided; and any way in which such events may come to be written.
//
// Whatever is drawn depends on the seed of the test alone, so that a failure can be had again (-rapid.seed).
package trackingtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// World is what drawn events have in common.
type World struct {
	// Tenants own the events. The same identifiers occur with each of them, of different things.
	Tenants []string
	// Begin is when the first things begin to move.
	Begin time.Time
	// Run tells the UIDs of this set from those of others that may lie beside it. It does not change their order.
	Run uint64
	// Plain leaves out what says something of other events: corrections, revisions and repetitions under the same id.
	Plain bool
}

// Events draws the events of a few journeys of each tenant: one event at least. Each has a UID and an event id.
func (w World) Events() *rapid.Generator[[]*tracking.Event] {
	return rapid.Custom(func(t *rapid.T) []*tracking.Event {
		all := make([]*tracking.Event, 0, 16*len(w.Tenants))
		for _, tenant := range w.Tenants {
			var own []*tracking.Event
			for range rapid.IntRange(1, 2).Draw(t, "journeys") {
				j := &journey{t: t, tenant: tenant, at: w.Begin.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "minute")) * time.Minute)}
				rapid.SampledFrom([]func(*journey){(*journey).bags, (*journey).cargo, (*journey).parcel}).Draw(t, "trade")(j)
				own = append(own, j.events...)
			}
			own = lose(t, own)
			disorder(t, own)
			for i, e := range own {
				e.EventID = fmt.Sprint("e", i)
			}
			if !w.Plain {
				correct(t, own)
			}
			all = append(all, own...)
		}
		for i, e := range all {
			e.UID = w.uid(e.ReceivedAt, i)
		}
		return all
	})
}

// uid returns a UUIDv7 (RFC 9562, 5.7) of the time of receipt. Those of one millisecond are not in the order of n.
func (w World) uid(received time.Time, n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(received.UnixMilli())<<16|7<<12|uint64(n*1597&0xfff))
	binary.BigEndian.PutUint64(id[8:], 2<<62|w.Run&(1<<62-1))
	return id
}

// lose takes some events away, which were never sent.
func lose(t *rapid.T, events []*tracking.Event) []*tracking.Event {
	left := slices.DeleteFunc(slices.Clone(events), func(*tracking.Event) bool { return rapid.IntRange(0, 9).Draw(t, "lost") == 0 })
	if len(left) == 0 {
		return events[:1]
	}
	return left
}

// disorder has the events of each source told by its own clock, and received when they come.
func disorder(t *rapid.T, events []*tracking.Event) {
	type clock struct {
		wrong, exact time.Duration
		zone         *time.Location
	}
	clocks := map[string]clock{}
	for _, e := range events {
		c, known := clocks[e.Source]
		if !known {
			c = clock{
				wrong: rapid.SampledFrom([]time.Duration{0, 0, 0, 7 * time.Minute, -90 * time.Second, 26 * time.Hour}).Draw(t, "skew"),
				exact: rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second, time.Minute, time.Hour}).Draw(t, "resolution"),
				zone: rapid.SampledFrom([]*time.Location{
					time.UTC, time.FixedZone("", -5*3600), time.FixedZone("", 5*3600+1800),
				}).Draw(t, "zone"),
			}
			clocks[e.Source] = c
		}
		late := time.Duration(rapid.IntRange(0, 30).Draw(t, "late")) * time.Second
		switch rapid.IntRange(0, 9).Draw(t, "delay") {
		case 0:
			late *= 3600
		case 1: // with others, in one request
			e.ReceivedAt = e.ReceivedAt.Truncate(30 * time.Minute)
		}
		e.ReceivedAt = e.ReceivedAt.Add(late)
		e.OccurredAt = e.OccurredAt.Add(c.wrong).Truncate(c.exact).In(c.zone)
	}
}

// correct makes some events say something of others: mostly of the same source and journey, as it should be.
func correct(t *rapid.T, events []*tracking.Event) {
	for i, e := range events {
		what := rapid.IntRange(0, 15).Draw(t, "correction")
		if what > 6 {
			continue
		}
		other := events[rapid.IntRange(0, len(events)-1).Draw(t, "other")]
		if rapid.IntRange(0, 4).Draw(t, "related") > 0 {
			e.Source, e.CorrelationID = other.Source, other.CorrelationID
		}
		switch what {
		case 0: // a revision of it, of whatever says more, or less
			e.EventID, e.Revision = other.EventID, int64(rapid.IntRange(0, 2).Draw(t, "revision"))
		case 1: // it once more, as a sender repeats it
			uid, received := e.UID, e.ReceivedAt
			*e = *other.Clone()
			e.UID, e.ReceivedAt = uid, received
		case 2, 3:
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{other.EventID}, Reason: "did_not_occur"}
		case 4: // withdrawn under its own id, as EPCIS does
			e.EventID, e.Revision = other.EventID, other.Revision
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{other.EventID}, Reason: "incorrect_data"}
		case 5:
			ids := []string{other.EventID, fmt.Sprint("e", i+1), "never sent"}
			e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: ids[:rapid.IntRange(1, 3).Draw(t, "named")], Reason: "incorrect_data"}
		case 6: // the same id again, for another occurrence
			e.EventID = other.EventID
		}
	}
}

// payload is what a sender may have sent: kept byte for byte, odd spaces and all.
func payload(t *rapid.T) json.RawMessage {
	return rapid.SampledFrom([]json.RawMessage{
		nil, json.RawMessage(`{}`), json.RawMessage(`{"belt":  4,"ñ": "\u00e9"}`), json.RawMessage(`[1.50, 1e3]`),
	}).Draw(t, "payload")
}
