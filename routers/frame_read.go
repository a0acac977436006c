package routers

import (
	"bytes"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/rastrohq/rastro/internal/cborwire"
	"github.com/rastrohq/rastro/tracking"
)

// eventReader reads events that stand behind each other as appendEvent writes them. Neighbours have much in common, and what they have
// in common is kept once. Whatever else CBOR may hold it leaves to the library, which reads it or says what is wrong: the two
// never differ on what both read.
type eventReader struct {
	cborwire.Reader
	dec cbor.DecMode

	last *tracking.Event
	// The last of each, as it was encoded.
	location, quantity, transport, enrichment []byte
	zone                                      *time.Location
	offset                                    int
}

func newEventReader(dec cbor.DecMode, frame []byte) *eventReader {
	return &eventReader{Reader: cborwire.Reader{Rest: frame}, dec: dec, last: &tracking.Event{}, zone: time.UTC}
}

// next reads an event. The zone of its time is named by its offset alone, whatever zone this process runs in.
func (r *eventReader) next() (*tracking.Event, error) {
	begin := r.Rest
	e := new(tracking.Event)
	r.event(e)
	if r.Odd {
		r.Odd, e = false, new(tracking.Event)
		var err error
		if r.Rest, err = r.dec.UnmarshalFirst(begin, e); err != nil {
			return nil, err
		}
		e.OccurredAt, e.ReceivedAt = fixZone(e.OccurredAt), e.ReceivedAt.UTC()
		r.location, r.quantity, r.transport, r.enrichment = nil, nil, nil, nil // of an event that is not the last any more
	}
	r.last = e
	return e, nil
}

func (r *eventReader) instant() time.Time {
	b := r.String(cborwire.Text)
	at, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		r.Fail()
		return time.Time{}
	}
	return at
}

// zoned is fixZone; neighbours share their zone.
func (r *eventReader) zoned(at time.Time) time.Time {
	_, offset := at.Zone()
	if offset == 0 {
		return at.UTC()
	}
	if offset != r.offset {
		r.zone, r.offset = time.FixedZone("", offset), offset
	}
	return at.In(r.zone)
}

// fields reads a map with small unsigned keys, each at most once.
func (r *eventReader) fields(read func(key uint64)) {
	n, seen := r.Head(cborwire.Map), uint64(0)
	for ; n > 0 && !r.Odd; n-- {
		key := r.Head(cborwire.Uint)
		if key > 63 || seen&(1<<key) != 0 {
			r.Fail()
			return
		}
		seen |= 1 << key
		read(key)
	}
}

// again reports whether the item that was read last comes once more, and passes over it.
func (r *eventReader) again(item []byte) bool {
	if len(item) == 0 || !bytes.HasPrefix(r.Rest, item) {
		return false
	}
	r.Rest = r.Rest[len(item):]
	return true
}

// read returns what of an item has been read since.
func (r *eventReader) read(begin []byte) []byte { return begin[:len(begin)-len(r.Rest)] }

func (r *eventReader) rare(to any) {
	rest, err := r.dec.UnmarshalFirst(r.Rest, to)
	if err != nil {
		r.Fail()
		return
	}
	r.Rest = rest
}

func (r *eventReader) event(e *tracking.Event) {
	last := r.last
	r.fields(func(key uint64) {
		switch key {
		case 1:
			r.Fill(e.UID[:])
		case 2:
			e.TenantID = r.Text(last.TenantID)
		case 3:
			e.Source = r.Text(last.Source)
		case 4:
			e.EventID = r.Text("")
		case 5:
			e.Revision = r.Int()
		case 6:
			e.CorrelationID = r.Text(last.CorrelationID)
		case 7:
			e.AggregateID = r.Text(e.CorrelationID)
		case 8:
			e.Kind = tracking.Kind(r.Text(string(last.Kind)))
		case 9:
			e.Type = r.Text(last.Type)
		case 10:
			e.Classifier = tracking.Classifier(r.Text(string(last.Classifier)))
		case 11:
			e.OccurredAt = r.zoned(r.instant())
		case 12:
			e.TimeQuality = tracking.TimeQuality(r.Text(string(last.TimeQuality)))
		case 13:
			e.ReceivedAt = r.instant().UTC()
		case 18:
			e.Payload = r.Bytes()
		case 21:
			r.Fill(e.Span[:])
		default:
			r.parts(key, e)
		}
	})
}

// parts reads the parts of an event that have fields of their own.
func (r *eventReader) parts(key uint64, e *tracking.Event) {
	begin := r.Rest
	switch key {
	case 14:
		e.Location = &tracking.Location{}
		if r.last.Location != nil && r.again(r.location) {
			*e.Location = *r.last.Location
			e.Location.Lat, e.Location.Lon = clonePointer(e.Location.Lat), clonePointer(e.Location.Lon)
			return
		}
		r.locationOf(e.Location)
		r.location = r.read(begin)
	case 15:
		e.Quantity = &tracking.Quantity{}
		if r.last.Quantity != nil && r.again(r.quantity) {
			*e.Quantity = *r.last.Quantity
			return
		}
		r.quantityOf(e.Quantity)
		r.quantity = r.read(begin)
	case 16:
		e.Transport = &tracking.Transport{}
		if r.last.Transport != nil && r.again(r.transport) {
			*e.Transport = *r.last.Transport
			return
		}
		r.transportOf(e.Transport)
		r.transport = r.read(begin)
	case 17:
		r.rare(&e.Corrects)
	case 19:
		if !r.last.Enrichment.IsZero() && r.again(r.enrichment) {
			e.Enrichment = cloneEnrichment(&r.last.Enrichment)
			return
		}
		r.enrichmentOf(&e.Enrichment)
		if r.enrichment = nil; e.Enrichment.Attributes == nil {
			r.enrichment = r.read(begin)
		}
	case 20:
		r.rare(&e.Personal)
	default:
		r.Fail()
	}
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// cloneEnrichment copies an enrichment without attributes.
func cloneEnrichment(e *tracking.Enrichment) tracking.Enrichment {
	c := *e
	c.Place, c.Airline, c.Transport = clonePointer(e.Place), clonePointer(e.Airline), clonePointer(e.Transport)
	return c
}

func (r *eventReader) locationOf(l *tracking.Location) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			l.IATA = r.Text("")
		case 2:
			l.ICAO = r.Text("")
		case 3:
			l.UNLocode = r.Text("")
		case 4:
			l.GLN = r.Text("")
		case 5:
			l.Name = r.Text("")
		case 6:
			l.Facility = r.Text("")
		case 7:
			l.Lat = r.FloatPointer()
		case 8:
			l.Lon = r.FloatPointer()
		default:
			r.Fail()
		}
	})
}

func (r *eventReader) quantityOf(q *tracking.Quantity) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			q.Pieces = int(r.Int())
		case 2:
			q.TotalPieces = int(r.Int())
		case 3:
			q.Weight = r.Float()
		case 4:
			q.WeightUnit = r.Text("")
		default:
			r.Fail()
		}
	})
}

func (r *eventReader) transportOf(t *tracking.Transport) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			t.Mode = r.Text("")
		case 2:
			t.Carrier = r.Text("")
		case 3:
			t.Number = r.Text("")
		case 4:
			t.Date = r.Text("")
		case 5:
			t.Origin = r.Text("")
		case 6:
			t.Destination = r.Text("")
		default:
			r.Fail()
		}
	})
}

func (r *eventReader) enrichmentOf(e *tracking.Enrichment) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			e.Milestone = tracking.Milestone(r.Text(string(r.last.Enrichment.Milestone)))
		case 2:
			e.Exception = r.Text("")
		case 3:
			e.Place = &tracking.Place{}
			r.placeOf(e.Place)
		case 4:
			e.Airline = &tracking.Airline{}
			r.airlineOf(e.Airline)
		case 5:
			e.Transport = &tracking.Transport{}
			r.transportOf(e.Transport)
		case 6:
			r.rare(&e.Attributes)
		default:
			r.Fail()
		}
	})
}

func (r *eventReader) placeOf(p *tracking.Place) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			p.IATA = r.Text("")
		case 2:
			p.ICAO = r.Text("")
		case 3:
			p.Name = r.Text("")
		case 4:
			p.City = r.Text("")
		case 5:
			p.Country = r.Text("")
		case 6:
			p.Lat = r.Float()
		case 7:
			p.Lon = r.Float()
		case 8:
			p.TimeZone = r.Text("")
		default:
			r.Fail()
		}
	})
}

func (r *eventReader) airlineOf(a *tracking.Airline) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			a.IATA = r.Text("")
		case 2:
			a.ICAO = r.Text("")
		case 3:
			a.Prefix = r.Text("")
		case 4:
			a.Name = r.Text("")
		default:
			r.Fail()
		}
	})
}

// decodeEvents reads the events of a frame.
func (c *Codec) decodeEvents(frame []byte) ([]*tracking.Event, error) {
	var events []*tracking.Event
	for r := newEventReader(c.dec, frame); len(r.Rest) > 0; {
		e, err := r.next()
		if err != nil {
			return nil, fmt.Errorf("decode frame: item %d: %w", len(events), err)
		}
		events = append(events, e)
	}
	return events, nil
}
