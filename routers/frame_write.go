package routers

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/rastrohq/rastro/internal/cborwire"
	"github.com/rastrohq/rastro/tracking"
)

// Every hop encodes every event, so that reflection over its fields would be a large part of what the engine costs. What follows
// writes the bytes that the CBOR library writes for tracking.Event, which a test holds it to; what few events have it leaves to the
// library.

func appendText(to []byte, key byte, s string) []byte { return cborwire.AppendText(append(to, key), s) }

// appendSome appends a text that is left out when it is empty.
func appendSome(to []byte, key byte, s string) []byte {
	if s == "" {
		return to
	}
	return appendText(to, key, s)
}

func appendInt(to []byte, key byte, n int64) []byte { return cborwire.AppendInt(append(to, key), n) }

func appendFloat(to []byte, key byte, f float64) []byte {
	return cborwire.AppendFloat(append(to, key), f)
}

func appendBinary(to []byte, key byte, b []byte) []byte {
	return cborwire.AppendBytes(append(to, key), b)
}

func appendInstant(to []byte, key byte, at time.Time) []byte {
	if at.IsZero() {
		return append(to, key, cborwire.Null)
	}
	to = append(to, key, cborwire.Text|24, 0)
	before := len(to)
	to = at.AppendFormat(to, time.RFC3339Nano)
	n := len(to) - before
	if n < 24 {
		to[before-2] = cborwire.Text | byte(n) //nolint:gosec // An instant is some 30 bytes long.
		return append(to[:before-1], to[before:]...)
	}
	to[before-1] = byte(n) //nolint:gosec // As above.
	return to
}

func count(given ...bool) uint64 {
	n := uint64(0)
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

// Keys above 23 take two bytes; an event has none.
const eventFields = 10 // that are always there

func appendEvent(to []byte, enc cbor.EncMode, e *tracking.Event) ([]byte, error) {
	enriched := !e.Enrichment.IsZero()
	to = cborwire.AppendHead(to, cborwire.Map, eventFields+count(e.Revision != 0, e.Kind != "", e.TimeQuality != "", e.Location != nil, e.Quantity != nil,
		e.Transport != nil, e.Corrects != nil, len(e.Payload) > 0, enriched, e.Personal != nil, e.Span != tracking.SpanContext{}))
	to = appendBinary(to, 1, e.UID[:])
	to = appendText(to, 2, e.TenantID)
	to = appendText(to, 3, e.Source)
	to = appendText(to, 4, e.EventID)
	if e.Revision != 0 {
		to = appendInt(to, 5, e.Revision)
	}
	to = appendText(to, 6, e.CorrelationID)
	to = appendText(to, 7, e.AggregateID)
	to = appendSome(to, 8, string(e.Kind))
	to = appendText(to, 9, e.Type)
	to = appendText(to, 10, string(e.Classifier))
	to = appendInstant(to, 11, e.OccurredAt)
	to = appendSome(to, 12, string(e.TimeQuality))
	to = appendInstant(to, 13, e.ReceivedAt)
	if e.Location != nil {
		to = appendLocation(append(to, 14), e.Location)
	}
	if e.Quantity != nil {
		to = appendQuantity(append(to, 15), e.Quantity)
	}
	if e.Transport != nil {
		to = appendTransport(append(to, 16), e.Transport)
	}
	var err error
	if e.Corrects != nil {
		if to, err = appendRare(append(to, 17), enc, e.Corrects); err != nil {
			return nil, err
		}
	}
	if len(e.Payload) > 0 {
		to = appendBinary(to, 18, e.Payload)
	}
	if enriched {
		if to, err = appendEnrichment(append(to, 19), enc, &e.Enrichment); err != nil {
			return nil, err
		}
	}
	if e.Personal != nil {
		if to, err = appendRare(append(to, 20), enc, e.Personal); err != nil {
			return nil, err
		}
	}
	if e.Span != (tracking.SpanContext{}) {
		to = appendBinary(to, 21, e.Span[:])
	}
	return to, nil
}

// appendRare appends what few events have, as the library writes it.
func appendRare(to []byte, enc cbor.EncMode, value any) ([]byte, error) {
	encoded, err := enc.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return append(to, encoded...), nil
}

func appendLocation(to []byte, l *tracking.Location) []byte {
	to = cborwire.AppendHead(to, cborwire.Map, count(l.IATA != "", l.ICAO != "", l.UNLocode != "", l.GLN != "", l.Name != "", l.Facility != "", l.Lat != nil, l.Lon != nil))
	to = appendSome(to, 1, l.IATA)
	to = appendSome(to, 2, l.ICAO)
	to = appendSome(to, 3, l.UNLocode)
	to = appendSome(to, 4, l.GLN)
	to = appendSome(to, 5, l.Name)
	to = appendSome(to, 6, l.Facility)
	if l.Lat != nil {
		to = appendFloat(to, 7, *l.Lat)
	}
	if l.Lon != nil {
		to = appendFloat(to, 8, *l.Lon)
	}
	return to
}

func appendQuantity(to []byte, q *tracking.Quantity) []byte {
	to = cborwire.AppendHead(to, cborwire.Map, count(q.Pieces != 0, q.TotalPieces != 0, q.Weight != 0, q.WeightUnit != ""))
	if q.Pieces != 0 {
		to = appendInt(to, 1, int64(q.Pieces))
	}
	if q.TotalPieces != 0 {
		to = appendInt(to, 2, int64(q.TotalPieces))
	}
	if q.Weight != 0 {
		to = appendFloat(to, 3, q.Weight)
	}
	return appendSome(to, 4, q.WeightUnit)
}

func appendTransport(to []byte, t *tracking.Transport) []byte {
	to = cborwire.AppendHead(to, cborwire.Map, count(t.Mode != "", t.Carrier != "", t.Number != "", t.Date != "", t.Origin != "", t.Destination != ""))
	to = appendSome(to, 1, t.Mode)
	to = appendSome(to, 2, t.Carrier)
	to = appendSome(to, 3, t.Number)
	to = appendSome(to, 4, t.Date)
	to = appendSome(to, 5, t.Origin)
	return appendSome(to, 6, t.Destination)
}

func appendEnrichment(to []byte, enc cbor.EncMode, e *tracking.Enrichment) ([]byte, error) {
	to = cborwire.AppendHead(to, cborwire.Map, count(e.Milestone != "", e.Exception != "", e.Place != nil, e.Airline != nil, e.Transport != nil, len(e.Attributes) > 0))
	to = appendSome(to, 1, string(e.Milestone))
	to = appendSome(to, 2, e.Exception)
	if p := e.Place; p != nil {
		to = cborwire.AppendHead(append(to, 3), cborwire.Map, 4+count(p.ICAO != "", p.City != "", p.Country != "", p.TimeZone != ""))
		to = appendText(to, 1, p.IATA)
		to = appendSome(to, 2, p.ICAO)
		to = appendText(to, 3, p.Name)
		to = appendSome(to, 4, p.City)
		to = appendSome(to, 5, p.Country)
		to = appendFloat(to, 6, p.Lat)
		to = appendFloat(to, 7, p.Lon)
		to = appendSome(to, 8, p.TimeZone)
	}
	if a := e.Airline; a != nil {
		to = cborwire.AppendHead(append(to, 4), cborwire.Map, 1+count(a.IATA != "", a.ICAO != "", a.Prefix != ""))
		to = appendSome(to, 1, a.IATA)
		to = appendSome(to, 2, a.ICAO)
		to = appendSome(to, 3, a.Prefix)
		to = appendText(to, 4, a.Name)
	}
	if e.Transport != nil {
		to = appendTransport(append(to, 5), e.Transport)
	}
	if len(e.Attributes) > 0 {
		return appendRare(append(to, 6), enc, e.Attributes)
	}
	return to, nil
}
