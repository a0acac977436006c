package tracking

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// stateReader reads what stateWriter writes. At anything else it gives up, and the CBOR library reads, or says what is wrong.
type stateReader struct {
	rest []byte
	odd  bool
}

func (r *stateReader) fail() { r.odd, r.rest = true, nil }

func (r *stateReader) head(major byte) uint64 {
	if len(r.rest) == 0 || r.rest[0]&0xe0 != major {
		r.fail()
		return 0
	}
	info := r.rest[0] & 0x1f
	r.rest = r.rest[1:]
	if info < 24 {
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.rest) < size {
		r.fail()
		return 0
	}
	var wide [8]byte
	copy(wide[8-size:], r.rest[:size])
	r.rest = r.rest[size:]
	return binary.BigEndian.Uint64(wide[:])
}

// array reads the head of an array of so many items.
func (r *stateReader) array(n uint64) {
	if r.head(cborArray) != n {
		r.fail()
	}
}

// list reads the head of a list; it returns false for null. There are no more items than bytes.
func (r *stateReader) list() (n int, ok bool) {
	if len(r.rest) > 0 && r.rest[0] == cborNull {
		r.rest = r.rest[1:]
		return 0, false
	}
	length := r.head(cborArray)
	if length > uint64(len(r.rest)) {
		r.fail()
		return 0, false
	}
	return int(length), !r.odd //nolint:gosec // It is no larger than a slice.
}

func (r *stateReader) int() int64 {
	if len(r.rest) > 0 && r.rest[0]&0xe0 == cborNint {
		if n := r.head(cborNint); n <= math.MaxInt64 {
			return ^int64(n)
		}
		r.fail()
		return 0
	}
	n := r.head(cborUint)
	if n > math.MaxInt64 {
		r.fail()
		return 0
	}
	return int64(n)
}

func (r *stateReader) str(major byte) []byte {
	n := r.head(major)
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *stateReader) text() string {
	b := r.str(cborText)
	if !utf8.Valid(b) {
		r.fail()
	}
	return string(b)
}

func (r *stateReader) bytes() []byte { return bytes.Clone(r.str(cborBytes)) }

func (r *stateReader) bool() bool {
	if len(r.rest) == 0 || r.rest[0] != cborTrue && r.rest[0] != cborFalse {
		r.fail()
		return false
	}
	b := r.rest[0] == cborTrue
	r.rest = r.rest[1:]
	return b
}

func (r *stateReader) float() *float64 {
	if len(r.rest) < 9 || r.rest[0] != cborDouble {
		r.fail()
		return nil
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(r.rest[1:]))
	r.rest = r.rest[9:]
	return &f
}

func (r *stateReader) moment(m *moment) {
	r.array(4)
	m.At, m.Rank, m.Received = r.int(), int(r.int()), r.int()
	if b := r.str(cborBytes); len(b) != len(m.UID) {
		r.fail()
	} else {
		copy(m.UID[:], b)
	}
}

func (r *stateReader) sighting(s *sighting) {
	r.array(2)
	r.moment(&s.When)
	s.Word = r.text()
}

func (r *stateReader) sightings() sightings {
	n, ok := r.list()
	if !ok {
		return nil
	}
	all := make(sightings, n)
	for i := range all {
		if r.sighting(&all[i]); r.odd {
			return nil
		}
	}
	return all
}

func (r *stateReader) instant(i *instant) {
	r.array(2)
	i.At, i.Set = r.int(), r.bool()
}

func (r *stateReader) frame(f *frame) {
	r.array(5)
	f.Count = int(r.int())
	r.moment(&f.First)
	r.moment(&f.Last)
	r.sighting(&f.Aggregate)
	r.sighting(&f.Kind)
}

func (r *stateReader) buckets() buckets {
	n, ok := r.list()
	if !ok {
		return nil
	}
	all := make(buckets, n)
	for i := range all {
		b := &all[i]
		r.array(7)
		b.Milestone = Milestone(r.text())
		b.First, b.Last = r.int(), r.int()
		b.Count, b.Pieces, b.Most = int(r.int()), int(r.int()), int(r.int())
		if b.Whole = r.bool(); r.odd {
			return nil
		}
	}
	return all
}

func (r *stateReader) leg(l *leg) {
	r.array(14)
	for _, s := range [...]*string{&l.Key, &l.Flight, &l.Mode, &l.Carrier, &l.Number, &l.Date} {
		*s = r.text()
	}
	for _, s := range [...]*sighting{&l.Origin, &l.Destination, &l.Left, &l.ArrivedAt} {
		r.sighting(s)
	}
	l.First, l.Last, l.Furthest = r.int(), r.int(), Milestone(r.text())
	l.Steps = r.buckets()
}

func (r *stateReader) part(p *part) {
	r.array(4)
	p.ID, p.Count = r.text(), int(r.int())
	r.array(4)
	r.moment(&p.Last.When)
	p.Last.Set, p.Last.Type, p.Last.Milestone = r.bool(), r.text(), Milestone(r.text())
	c := &p.Course
	r.array(8)
	c.Milestones, c.Loose = r.buckets(), r.buckets()
	if n, ok := r.list(); ok {
		c.Legs = make([]leg, 0, min(n, maxLegs))
		for ; n > 0 && !r.odd; n-- {
			var l leg
			r.leg(&l)
			c.Legs = append(c.Legs, l)
		}
	}
	c.Total = int(r.int())
	c.Troubles, c.Cleared = r.sightings(), r.sightings()
	r.instant(&c.Progress)
	r.instant(&c.LastPhase)
}

func (r *stateReader) whereabouts(at *Whereabouts) {
	last := uint64(0) // keys come in their order, numbers first, as they are written
	for n := r.head(cborMap); n > 0 && !r.odd; n-- {
		key := uint64(0)
		if len(r.rest) > 0 && r.rest[0]&0xe0 == cborText {
			switch string(r.str(cborText)) {
			case "city":
				key = 9
			case "country":
				key = 10
			case "time_zone":
				key = 11
			}
		} else if key = r.head(cborUint); key > 8 {
			key = 0
		}
		if key <= last {
			r.fail()
			return
		}
		switch last = key; key {
		case 7:
			at.Lat = r.float()
		case 8:
			at.Lon = r.float()
		default:
			*[...]*string{&at.IATA, &at.ICAO, &at.UNLocode, &at.GLN, &at.Name, &at.Facility, nil, nil, &at.City, &at.Country, &at.TimeZone}[key-1] = r.text()
		}
	}
}

// fold reads the fold of a state, to its end.
func (r *stateReader) fold(f *fold) (ok bool) {
	last := uint64(0)
	for n := r.head(cborMap); n > 0 && !r.odd; n-- {
		key := r.head(cborUint)
		if key <= last {
			r.fail()
			break
		}
		last = key
		r.field(key, f)
	}
	return !r.odd && len(r.rest) == 0
}

func (r *stateReader) field(key uint64, f *fold) {
	switch key {
	case 1:
		f.Tenant = r.text()
	case 2:
		f.Correlation = r.text()
	case 3:
		f.Inexact = r.bool()
	case 4:
		f.Conflict = r.bool()
	case 5:
		f.Events = int(r.int())
	case 6:
		f.Voided = int(r.int())
	case 7:
		f.Unknown = int(r.int())
	case 8:
		f.Updated = r.int()
	case 9:
		f.Keys = r.bytes()
	case 10:
		f.Bloom = r.bytes()
	case 12:
		r.frame(&f.Actual)
	case 13:
		r.frame(&f.Foreseen)
	case 14:
		r.frame(&f.Out)
	case 15:
		r.moment(&f.Where)
	case 16:
		r.whereabouts(&f.Location)
	case 17:
		f.Located = r.bool()
	case 18:
		r.array(4)
		e := &f.Estimate
		e.Set, e.Delivery, e.Received, e.At = r.bool(), r.bool(), r.int(), r.int()
	case 19:
		n, ok := r.list()
		if !ok {
			r.fail()
			return
		}
		f.Parts = make([]part, 0, min(n, maxAggregates))
		for ; n > 0 && !r.odd; n-- {
			var p part
			r.part(&p)
			f.Parts = append(f.Parts, p)
		}
	case 20:
		f.Rest = &part{}
		r.part(f.Rest)
	default:
		r.fail()
	}
}
