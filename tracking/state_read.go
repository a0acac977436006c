package tracking

import "github.com/rastrohq/rastro/internal/cborwire"

// stateReader reads what stateWriter writes. At anything else it gives up, and the CBOR library reads, or says what is wrong.
type stateReader struct{ cborwire.Reader }

// array reads the head of an array of so many items.
func (r *stateReader) array(n uint64) {
	if r.Head(cborwire.Array) != n {
		r.Fail()
	}
}

// list reads the head of a list; it returns false for null. There are no more items than bytes.
func (r *stateReader) list() (n int, ok bool) {
	if len(r.Rest) > 0 && r.Rest[0] == cborwire.Null {
		r.Rest = r.Rest[1:]
		return 0, false
	}
	length := r.Head(cborwire.Array)
	if length > uint64(len(r.Rest)) {
		r.Fail()
		return 0, false
	}
	return int(length), !r.Odd //nolint:gosec // It is no larger than a slice.
}

func (r *stateReader) bool() bool {
	if len(r.Rest) == 0 || r.Rest[0] != cborwire.True && r.Rest[0] != cborwire.False {
		r.Fail()
		return false
	}
	b := r.Rest[0] == cborwire.True
	r.Rest = r.Rest[1:]
	return b
}

func (r *stateReader) moment(m *moment) {
	r.array(4)
	m.At, m.Rank, m.Received = r.Int(), int(r.Int()), r.Int()
	r.Fill(m.UID[:])
}

func (r *stateReader) sighting(s *sighting) {
	r.array(2)
	r.moment(&s.When)
	s.Word = r.Text("")
}

func (r *stateReader) sightings() sightings {
	n, ok := r.list()
	if !ok {
		return nil
	}
	all := make(sightings, n)
	for i := range all {
		if r.sighting(&all[i]); r.Odd {
			return nil
		}
	}
	return all
}

func (r *stateReader) instant(i *instant) {
	r.array(2)
	i.At, i.Set = r.Int(), r.bool()
}

func (r *stateReader) frame(f *frame) {
	r.array(5)
	f.Count = int(r.Int())
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
		b.Milestone = Milestone(r.Text(""))
		b.First, b.Last = r.Int(), r.Int()
		b.Count, b.Pieces, b.Most = int(r.Int()), int(r.Int()), int(r.Int())
		if b.Whole = r.bool(); r.Odd {
			return nil
		}
	}
	return all
}

func (r *stateReader) leg(l *leg) {
	r.array(14)
	for _, s := range [...]*string{&l.Key, &l.Flight, &l.Mode, &l.Carrier, &l.Number, &l.Date} {
		*s = r.Text("")
	}
	for _, s := range [...]*sighting{&l.Origin, &l.Destination, &l.Left, &l.ArrivedAt} {
		r.sighting(s)
	}
	l.First, l.Last, l.Furthest = r.Int(), r.Int(), Milestone(r.Text(""))
	l.Steps = r.buckets()
}

func (r *stateReader) part(p *part) {
	r.array(4)
	p.ID, p.Count = r.Text(""), int(r.Int())
	r.array(4)
	r.moment(&p.Last.When)
	p.Last.Set, p.Last.Type, p.Last.Milestone = r.bool(), r.Text(""), Milestone(r.Text(""))
	c := &p.Course
	r.array(8)
	c.Milestones, c.Loose = r.buckets(), r.buckets()
	if n, ok := r.list(); ok {
		c.Legs = make([]leg, 0, min(n, maxLegs))
		for ; n > 0 && !r.Odd; n-- {
			var l leg
			r.leg(&l)
			c.Legs = append(c.Legs, l)
		}
	}
	c.Total = int(r.Int())
	c.Troubles, c.Cleared = r.sightings(), r.sightings()
	r.instant(&c.Progress)
	r.instant(&c.LastPhase)
}

func (r *stateReader) whereabouts(at *Whereabouts) {
	last := uint64(0) // keys come in their order, numbers first, as they are written
	for n := r.Head(cborwire.Map); n > 0 && !r.Odd; n-- {
		key := uint64(0)
		if r.Comes(cborwire.Text) {
			switch string(r.String(cborwire.Text)) {
			case "city":
				key = 9
			case "country":
				key = 10
			case "time_zone":
				key = 11
			}
		} else if key = r.Head(cborwire.Uint); key > 8 {
			key = 0
		}
		if key <= last {
			r.Fail()
			return
		}
		switch last = key; key {
		case 7:
			at.Lat = r.FloatPointer()
		case 8:
			at.Lon = r.FloatPointer()
		default:
			*[...]*string{&at.IATA, &at.ICAO, &at.UNLocode, &at.GLN, &at.Name, &at.Facility, nil, nil, &at.City, &at.Country, &at.TimeZone}[key-1] = r.Text("")
		}
	}
}

// fold reads the fold of a state, to its end.
func (r *stateReader) fold(f *fold) (ok bool) {
	last := uint64(0)
	for n := r.Head(cborwire.Map); n > 0 && !r.Odd; n-- {
		key := r.Head(cborwire.Uint)
		if key <= last {
			r.Fail()
			break
		}
		last = key
		r.field(key, f)
	}
	return !r.Odd && len(r.Rest) == 0
}

func (r *stateReader) field(key uint64, f *fold) {
	switch key {
	case 1:
		f.Tenant = r.Text("")
	case 2:
		f.Correlation = r.Text("")
	case 3:
		f.Inexact = r.bool()
	case 4:
		f.Conflict = r.bool()
	case 5:
		f.Events = int(r.Int())
	case 6:
		f.Voided = int(r.Int())
	case 7:
		f.Unknown = int(r.Int())
	case 8:
		f.Updated = r.Int()
	case 9:
		f.Keys = r.Bytes()
	case 10:
		f.Bloom = r.Bytes()
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
		e.Set, e.Delivery, e.Received, e.At = r.bool(), r.bool(), r.Int(), r.Int()
	case 19:
		n, ok := r.list()
		if !ok {
			r.Fail()
			return
		}
		f.Parts = make([]part, 0, min(n, maxAggregates))
		for ; n > 0 && !r.Odd; n-- {
			var p part
			r.part(&p)
			f.Parts = append(f.Parts, p)
		}
	case 20:
		f.Rest = &part{}
		r.part(f.Rest)
	default:
		r.Fail()
	}
}
