package tracking

import "github.com/rastrohq/rastro/internal/cborwire"

// A state is read and written with every event that is stored, so that reflection over its fields would be a good part of what storing
// costs. What follows writes the bytes that the CBOR library writes for a fold, which a test holds it to.

type stateWriter []byte

func (w *stateWriter) head(major byte, n uint64) { *w = cborwire.AppendHead(*w, major, n) }

func (w *stateWriter) int(n int64) { *w = cborwire.AppendInt(*w, n) }

func (w *stateWriter) text(s string) { *w = cborwire.AppendText(*w, s) }

func (w *stateWriter) bytes(b []byte) { *w = cborwire.AppendBytes(*w, b) }

func (w *stateWriter) bool(b bool) {
	if b {
		*w = append(*w, cborwire.True)
	} else {
		*w = append(*w, cborwire.False)
	}
}

// list writes the head of a list; it returns false for a nil one, which is null.
func (w *stateWriter) list(n int, null bool) bool {
	if null {
		*w = append(*w, cborwire.Null)
		return false
	}
	w.head(cborwire.Array, uint64(n)) //nolint:gosec // A length.
	return true
}

func (w *stateWriter) moment(m *moment) {
	w.head(cborwire.Array, 4)
	w.int(m.At)
	w.int(int64(m.Rank))
	w.int(m.Received)
	w.bytes(m.UID[:])
}

func (w *stateWriter) sighting(s *sighting) {
	w.head(cborwire.Array, 2)
	w.moment(&s.When)
	w.text(s.Word)
}

func (w *stateWriter) sightings(all sightings) {
	if !w.list(len(all), all == nil) {
		return
	}
	for i := range all {
		w.sighting(&all[i])
	}
}

func (w *stateWriter) instant(i *instant) {
	w.head(cborwire.Array, 2)
	w.int(i.At)
	w.bool(i.Set)
}

func (w *stateWriter) frame(f *frame) {
	w.head(cborwire.Array, 5)
	w.int(int64(f.Count))
	w.moment(&f.First)
	w.moment(&f.Last)
	w.sighting(&f.Aggregate)
	w.sighting(&f.Kind)
}

func (w *stateWriter) estimate(e *estimate) {
	w.head(cborwire.Array, 4)
	w.bool(e.Set)
	w.bool(e.Delivery)
	w.int(e.Received)
	w.int(e.At)
}

func (w *stateWriter) buckets(all buckets) {
	if !w.list(len(all), all == nil) {
		return
	}
	for i := range all {
		b := &all[i]
		w.head(cborwire.Array, 7)
		w.text(string(b.Milestone))
		w.int(b.First)
		w.int(b.Last)
		w.int(int64(b.Count))
		w.int(int64(b.Pieces))
		w.int(int64(b.Most))
		w.bool(b.Whole)
	}
}

func (w *stateWriter) leg(l *leg) {
	w.head(cborwire.Array, 14)
	for _, s := range [...]string{l.Key, l.Flight, l.Mode, l.Carrier, l.Number, l.Date} {
		w.text(s)
	}
	for _, s := range [...]*sighting{&l.Origin, &l.Destination, &l.Left, &l.ArrivedAt} {
		w.sighting(s)
	}
	w.int(l.First)
	w.int(l.Last)
	w.text(string(l.Furthest))
	w.buckets(l.Steps)
}

func (w *stateWriter) part(p *part) {
	w.head(cborwire.Array, 4)
	w.text(p.ID)
	w.int(int64(p.Count))
	w.head(cborwire.Array, 4)
	w.moment(&p.Last.When)
	w.bool(p.Last.Set)
	w.text(p.Last.Type)
	w.text(string(p.Last.Milestone))
	c := &p.Course
	w.head(cborwire.Array, 8)
	w.buckets(c.Milestones)
	w.buckets(c.Loose)
	if w.list(len(c.Legs), c.Legs == nil) {
		for i := range c.Legs {
			w.leg(&c.Legs[i])
		}
	}
	w.int(int64(c.Total))
	w.sightings(c.Troubles)
	w.sightings(c.Cleared)
	w.instant(&c.Progress)
	w.instant(&c.LastPhase)
}

func (w *stateWriter) whereabouts(at *Whereabouts) {
	texts := [...]string{at.IATA, at.ICAO, at.UNLocode, at.GLN, at.Name, at.Facility}
	named := [...]struct{ name, value string }{{"city", at.City}, {"country", at.Country}, {"time_zone", at.TimeZone}}
	n := uint64(0)
	for _, s := range texts {
		n += one(s != "")
	}
	for _, s := range named {
		n += one(s.value != "")
	}
	w.head(cborwire.Map, n+one(at.Lat != nil)+one(at.Lon != nil))
	for i, s := range texts {
		if s != "" {
			w.head(cborwire.Uint, uint64(i)+1)
			w.text(s)
		}
	}
	for i, f := range [...]*float64{at.Lat, at.Lon} {
		if f != nil {
			w.head(cborwire.Uint, uint64(len(texts)+i)+1)
			*w = cborwire.AppendFloat(*w, *f)
		}
	}
	for _, s := range named {
		if s.value != "" {
			w.text(s.name)
			w.text(s.value)
		}
	}
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// fold writes a state's fold.
func (w *stateWriter) fold(f *fold) {
	w.head(cborwire.Map, 6+one(f.Tenant != "")+one(f.Correlation != "")+one(f.Inexact)+one(f.Conflict)+one(f.Events != 0)+one(f.Voided != 0)+
		one(f.Unknown != 0)+one(f.Updated != 0)+one(len(f.Keys) > 0)+one(len(f.Bloom) > 0)+one(f.Located)+one(len(f.Parts) > 0)+one(f.Rest != nil))
	for i, s := range [...]string{f.Tenant, f.Correlation} {
		if s != "" {
			w.head(cborwire.Uint, uint64(i)+1)
			w.text(s)
		}
	}
	for i, b := range [...]bool{f.Inexact, f.Conflict} {
		if b {
			w.head(cborwire.Uint, uint64(i)+3)
			w.bool(true)
		}
	}
	for i, n := range [...]int64{int64(f.Events), int64(f.Voided), int64(f.Unknown), f.Updated} {
		if n != 0 {
			w.head(cborwire.Uint, uint64(i)+5)
			w.int(n)
		}
	}
	for i, b := range [...][]byte{f.Keys, f.Bloom} {
		if len(b) > 0 {
			w.head(cborwire.Uint, uint64(i)+9)
			w.bytes(b)
		}
	}
	for i, part := range [...]*frame{&f.Actual, &f.Foreseen, &f.Out} {
		w.head(cborwire.Uint, uint64(i)+12)
		w.frame(part)
	}
	w.head(cborwire.Uint, 15)
	w.moment(&f.Where)
	w.head(cborwire.Uint, 16)
	w.whereabouts(&f.Location)
	if f.Located {
		w.head(cborwire.Uint, 17)
		w.bool(true)
	}
	w.head(cborwire.Uint, 18)
	w.estimate(&f.Estimate)
	if len(f.Parts) > 0 {
		w.head(cborwire.Uint, 19)
		w.head(cborwire.Array, uint64(len(f.Parts)))
		for i := range f.Parts {
			w.part(&f.Parts[i])
		}
	}
	if f.Rest != nil {
		w.head(cborwire.Uint, 20)
		w.part(f.Rest)
	}
}
