package routers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/rastrohq/rastro/tracking"
)

// eventReader reads events that stand behind each other as appendEvent writes them. Neighbours have much in common, and what they have
// in common is kept once. Whatever else CBOR may hold it leaves to the library, which reads it or says what is wrong: the two
// never differ on what both read.
type eventReader struct {
	dec  cbor.DecMode
	rest []byte
	odd  bool // something that is not read here has come

	last *tracking.Event
	// The last of each, as it was encoded.
	location, quantity, transport, enrichment []byte
	zone                                      *time.Location
	offset                                    int
}

func newEventReader(dec cbor.DecMode, frame []byte) *eventReader {
	return &eventReader{dec: dec, rest: frame, last: &tracking.Event{}, zone: time.UTC}
}

// next reads an event. The zone of its time is named by its offset alone, whatever zone this process runs in.
func (r *eventReader) next() (*tracking.Event, error) {
	begin := r.rest
	e := new(tracking.Event)
	r.event(e)
	if r.odd {
		r.odd, e = false, new(tracking.Event)
		var err error
		if r.rest, err = r.dec.UnmarshalFirst(begin, e); err != nil {
			return nil, err
		}
		e.OccurredAt, e.ReceivedAt = fixZone(e.OccurredAt), e.ReceivedAt.UTC()
		r.location, r.quantity, r.transport, r.enrichment = nil, nil, nil, nil // of an event that is not the last any more
	}
	r.last = e
	return e, nil
}

func (r *eventReader) fail() { r.odd, r.rest = true, nil }

// head reads the head of an item, which must be of a major type; it returns its argument.
func (r *eventReader) head(major byte) uint64 {
	if len(r.rest) == 0 || r.rest[0]&0xe0 != major {
		r.fail()
		return 0
	}
	info := r.rest[0] & 0x1f
	if info < 24 {
		r.rest = r.rest[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.rest) < 1+size {
		r.fail()
		return 0
	}
	var n uint64
	switch b := r.rest[1:]; size {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(b))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b))
	default:
		n = binary.BigEndian.Uint64(b)
	}
	r.rest = r.rest[1+size:]
	return n
}

// str reads a string of a major type.
func (r *eventReader) str(major byte) []byte {
	n := r.head(major)
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// text reads a text; it is known if it is the one given.
func (r *eventReader) text(known string) string {
	b := r.str(cborText)
	if string(b) == known {
		return known
	}
	if !utf8.Valid(b) {
		r.fail()
		return ""
	}
	return string(b)
}

func (r *eventReader) int() int64 {
	if len(r.rest) > 0 && r.rest[0]&0xe0 == cborNint {
		n := r.head(cborNint)
		if n > math.MaxInt64 {
			r.fail()
			return 0
		}
		return ^int64(n)
	}
	n := r.head(cborUint)
	if n > math.MaxInt64 {
		r.fail()
		return 0
	}
	return int64(n)
}

func (r *eventReader) float() float64 {
	if len(r.rest) < 9 || r.rest[0] != cborFloat {
		r.fail()
		return 0
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(r.rest[1:]))
	r.rest = r.rest[9:]
	return f
}

func (r *eventReader) floatPointer() *float64 {
	f := r.float()
	return &f
}

// bytes reads a copy of bytes: a frame is let go of when its events are read.
func (r *eventReader) bytes() []byte { return bytes.Clone(r.str(cborBytes)) }

func (r *eventReader) array(to []byte) {
	if b := r.str(cborBytes); len(b) != len(to) {
		r.fail()
	} else {
		copy(to, b)
	}
}

func (r *eventReader) instant() time.Time {
	b := r.str(cborText)
	at, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		r.fail()
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
	n, seen := r.head(cborMap), uint64(0)
	for ; n > 0 && !r.odd; n-- {
		key := r.head(cborUint)
		if key > 63 || seen&(1<<key) != 0 {
			r.fail()
			return
		}
		seen |= 1 << key
		read(key)
	}
}

// again reports whether the item that was read last comes once more, and passes over it.
func (r *eventReader) again(item []byte) bool {
	if len(item) == 0 || !bytes.HasPrefix(r.rest, item) {
		return false
	}
	r.rest = r.rest[len(item):]
	return true
}

// read returns what of an item has been read since.
func (r *eventReader) read(begin []byte) []byte { return begin[:len(begin)-len(r.rest)] }

func (r *eventReader) rare(to any) {
	rest, err := r.dec.UnmarshalFirst(r.rest, to)
	if err != nil {
		r.fail()
		return
	}
	r.rest = rest
}

func (r *eventReader) event(e *tracking.Event) {
	last := r.last
	r.fields(func(key uint64) {
		switch key {
		case 1:
			r.array(e.UID[:])
		case 2:
			e.TenantID = r.text(last.TenantID)
		case 3:
			e.Source = r.text(last.Source)
		case 4:
			e.EventID = r.text("")
		case 5:
			e.Revision = r.int()
		case 6:
			e.CorrelationID = r.text(last.CorrelationID)
		case 7:
			e.AggregateID = r.text(e.CorrelationID)
		case 8:
			e.Kind = tracking.Kind(r.text(string(last.Kind)))
		case 9:
			e.Type = r.text(last.Type)
		case 10:
			e.Classifier = tracking.Classifier(r.text(string(last.Classifier)))
		case 11:
			e.OccurredAt = r.zoned(r.instant())
		case 12:
			e.TimeQuality = tracking.TimeQuality(r.text(string(last.TimeQuality)))
		case 13:
			e.ReceivedAt = r.instant().UTC()
		case 18:
			e.Payload = r.bytes()
		case 21:
			r.array(e.Span[:])
		default:
			r.parts(key, e)
		}
	})
}

// parts reads the parts of an event that have fields of their own.
func (r *eventReader) parts(key uint64, e *tracking.Event) {
	begin := r.rest
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
		r.fail()
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
			l.IATA = r.text("")
		case 2:
			l.ICAO = r.text("")
		case 3:
			l.UNLocode = r.text("")
		case 4:
			l.GLN = r.text("")
		case 5:
			l.Name = r.text("")
		case 6:
			l.Facility = r.text("")
		case 7:
			l.Lat = r.floatPointer()
		case 8:
			l.Lon = r.floatPointer()
		default:
			r.fail()
		}
	})
}

func (r *eventReader) quantityOf(q *tracking.Quantity) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			q.Pieces = int(r.int())
		case 2:
			q.TotalPieces = int(r.int())
		case 3:
			q.Weight = r.float()
		case 4:
			q.WeightUnit = r.text("")
		default:
			r.fail()
		}
	})
}

func (r *eventReader) transportOf(t *tracking.Transport) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			t.Mode = r.text("")
		case 2:
			t.Carrier = r.text("")
		case 3:
			t.Number = r.text("")
		case 4:
			t.Date = r.text("")
		case 5:
			t.Origin = r.text("")
		case 6:
			t.Destination = r.text("")
		default:
			r.fail()
		}
	})
}

func (r *eventReader) enrichmentOf(e *tracking.Enrichment) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			e.Milestone = tracking.Milestone(r.text(string(r.last.Enrichment.Milestone)))
		case 2:
			e.Exception = r.text("")
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
			r.fail()
		}
	})
}

func (r *eventReader) placeOf(p *tracking.Place) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			p.IATA = r.text("")
		case 2:
			p.ICAO = r.text("")
		case 3:
			p.Name = r.text("")
		case 4:
			p.City = r.text("")
		case 5:
			p.Country = r.text("")
		case 6:
			p.Lat = r.float()
		case 7:
			p.Lon = r.float()
		case 8:
			p.TimeZone = r.text("")
		default:
			r.fail()
		}
	})
}

func (r *eventReader) airlineOf(a *tracking.Airline) {
	r.fields(func(key uint64) {
		switch key {
		case 1:
			a.IATA = r.text("")
		case 2:
			a.ICAO = r.text("")
		case 3:
			a.Prefix = r.text("")
		case 4:
			a.Name = r.text("")
		default:
			r.fail()
		}
	})
}

// decodeEvents reads the events of a frame.
func (c *Codec) decodeEvents(frame []byte) ([]*tracking.Event, error) {
	var events []*tracking.Event
	for r := newEventReader(c.dec, frame); len(r.rest) > 0; {
		e, err := r.next()
		if err != nil {
			return nil, fmt.Errorf("decode frame: item %d: %w", len(events), err)
		}
		events = append(events, e)
	}
	return events, nil
}
