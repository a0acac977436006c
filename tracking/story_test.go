package tracking_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

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

func marshal(t require.TestingT, v any) []byte {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}
