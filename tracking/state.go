package tracking

import (
	"encoding/binary"
	"slices"
	"sort"
	"strings"
)

// Bounds of a State and of the Summary that comes of it.
const (
	maxAggregates = 100
	maxLegs       = 64
	maxPartLegs   = 512  // legs of all parts together
	maxKeys       = 256  // event ids remembered one by one; beyond, in a Bloom filter
	bloomBytes    = 8192 // 0.5% false alarms at 5,000 events
	bloomHashes   = 4
	maxTroubles   = 16 // kinds of trouble, or of their end, that a course remembers: those that occurred last
)

// ExceptionCleared is the Enrichment.Exception of an event that ends whatever trouble was open before it, as "found" does. With a
// colon and the name of a trouble after it, as in "cleared:missing", it ends only that: what was found may still be held by customs.
const ExceptionCleared = "cleared"

// Clears reports whether an exception is the end of trouble, and of which; of whatever is open when that is empty.
func Clears(exception string) (trouble string, ok bool) {
	rest, ok := strings.CutPrefix(exception, ExceptionCleared)
	switch {
	case !ok:
		return "", false
	case rest == "":
		return "", true
	case rest[0] == ':':
		return rest[1:], true
	default:
		return "", false
	}
}

// State is the compact, bounded form of a fold in progress, stored with a trace so that a new event costs no re-read of the
// journey. The zero value is a journey without events. Everything it keeps is a minimum, a maximum, a sum over distinct
// events or a set, so that the order in which events are applied does not matter.
type State struct{ data fold }

// fold is what a State keeps. The keys are those of its CBOR form, of stateVersion.
type fold struct {
	Tenant      string `cbor:"1,keyasint,omitempty"`
	Correlation string `cbor:"2,keyasint,omitempty"`
	// Inexact is set for good once the events need resolve.
	Inexact  bool `cbor:"3,keyasint,omitempty"`
	Conflict bool `cbor:"4,keyasint,omitempty"`

	Events  int   `cbor:"5,keyasint,omitempty"`
	Voided  int   `cbor:"6,keyasint,omitempty"`
	Unknown int   `cbor:"7,keyasint,omitempty"`
	Updated int64 `cbor:"8,keyasint,omitempty"`

	// Keys holds hashes of the event ids seen, four bytes each and sorted, or a Bloom filter of them when they are many.
	Keys  []byte `cbor:"9,keyasint,omitempty"`
	Bloom []byte `cbor:"10,keyasint,omitempty"`

	// Actual, Foreseen and Out frame the actual events that count, the plans and estimates that do, and what does not count.
	Actual   frame `cbor:"12,keyasint"`
	Foreseen frame `cbor:"13,keyasint"`
	Out      frame `cbor:"14,keyasint"`

	Where    moment      `cbor:"15,keyasint"`
	Location Whereabouts `cbor:"16,keyasint"`
	Located  bool        `cbor:"17,keyasint,omitempty"`
	Estimate estimate    `cbor:"18,keyasint"`

	// Parts holds maxAggregates aggregates of the counted events, sorted: the journey itself and the smallest of the others. Rest
	// sums up what is left.
	Parts []part `cbor:"19,keyasint,omitempty"`
	Rest  *part  `cbor:"20,keyasint,omitempty"`
}

// instant is the latest of some times, in microseconds since the Unix epoch; Set is false when there was none.
type instant struct {
	_   struct{} `cbor:",toarray"`
	At  int64
	Set bool
}

func (i *instant) latest(at int64) {
	if !i.Set || at > i.At {
		i.At, i.Set = at, true
	}
}

// frame is where some of the events begin and end.
type frame struct {
	_           struct{} `cbor:",toarray"`
	Count       int
	First, Last moment
	Aggregate   sighting
	Kind        sighting
}

func (f *frame) add(e *Event, when moment) {
	if f.Count == 0 || compareMoments(when, f.First) < 0 {
		f.First = when
	}
	if f.Count == 0 || compareMoments(when, f.Last) > 0 {
		f.Last = when
	}
	f.Count++
	f.Aggregate.earliest(when, e.AggregateID)
	f.Kind.earliest(when, string(e.Kind))
}

// estimate is when delivery or, failing that, arrival is foreseen. The one received last stands; of those received
// together, the one that lies furthest ahead.
type estimate struct {
	_        struct{} `cbor:",toarray"`
	Set      bool
	Delivery bool
	Received int64
	At       int64
}

func (s *estimate) offer(o estimate) {
	switch {
	case !s.Set:
	case o.Delivery != s.Delivery:
		if !o.Delivery {
			return
		}
	case o.Received != s.Received:
		if o.Received < s.Received {
			return
		}
	case o.At <= s.At:
		return
	}
	*s = o
}

// Apply adds an event that the state has not seen. It returns false when the state cannot tell what the event does: it
// corrects others, or shares its source and event id with another. The state is then of no use for a Summary: the caller
// must put Rebuild(all events) in its place. Once a journey has held corrections or revisions Apply always returns false.
//
// An event applied twice is noticed too, and answered with false. Apply on a state of more than some ten thousand events
// may return false without need, which costs a Rebuild and nothing else.
func (s *State) Apply(e *Event) (exact bool) {
	f := &s.data
	if f.Inexact {
		return false
	}
	if e.Corrects != nil || !f.remember(e) {
		f.Inexact = true
		return false
	}
	f.store(e)
	f.count(e)
	if f.tooManyLegs() {
		f.Inexact = true
	}
	return !f.Inexact
}

// Rebuild folds all events of a journey into a state.
func Rebuild(events []*Event) State { return rebuild(resolve(events)) }

func rebuild(r *resolution) State {
	f := fold{Inexact: r.corrected, Conflict: r.conflict}
	for i, e := range r.events {
		if !f.Inexact {
			f.remember(e)
		}
		f.store(e)
		if r.counts(i) {
			f.count(e)
			continue
		}
		f.Out.add(e, momentOf(e))
		if r.voided[i] || r.superseded[i] {
			f.Voided++
		}
	}
	if f.tooManyLegs() {
		f.Inexact = true
		f.keepLastLegs()
	}
	if f.Inexact {
		f.Keys, f.Bloom = nil, nil
	}
	return State{f}
}

// store notes what is true of every stored event.
func (f *fold) store(e *Event) {
	if f.Events == 0 || e.ReceivedAt.UnixMicro() > f.Updated {
		f.Updated = e.ReceivedAt.UnixMicro()
	}
	f.Events++
	f.Tenant, f.Correlation = e.TenantID, e.CorrelationID
}

// count adds an event that counts.
func (f *fold) count(e *Event) {
	when := momentOf(e)
	p := f.part(e.AggregateID)
	milestone := e.Enrichment.Milestone
	if milestone.Rank() == 0 && milestone != None && e.Enrichment.Exception == "" {
		f.Unknown++
	}
	if e.Classifier != Actual && e.Classifier != "" {
		f.Foreseen.add(e, when)
		if e.Classifier != Requested && (milestone == Delivered || milestone == Arrived) {
			f.Estimate.offer(estimate{Set: true, Delivery: milestone == Delivered, Received: when.Received, At: when.At})
		}
		return
	}
	f.Actual.add(e, when)
	f.locate(e, when)
	p.Last.offer(lastEvent{When: when, Type: e.Type, Milestone: milestone})
	p.Count++
	p.Course.add(e, when)
}

func (f *fold) locate(e *Event, when moment) {
	w, ok := whereabouts(e)
	if ok && (!f.Located || compareMoments(when, f.Where) > 0) {
		f.Where, f.Location, f.Located = when, w, true
	}
}

// remember adds the event's id to those seen. It returns false when the id was there, or may have been.
func (f *fold) remember(e *Event) bool {
	h := eventHash(e)
	if len(f.Bloom) == bloomBytes {
		return addToBloom(f.Bloom, h)
	}
	n := len(f.Keys) / 4
	at := sort.Search(n, func(i int) bool { return binary.BigEndian.Uint32(f.Keys[4*i:]) >= h })
	if at < n && binary.BigEndian.Uint32(f.Keys[4*at:]) == h {
		return false
	}
	var key [4]byte
	binary.BigEndian.PutUint32(key[:], h)
	f.Keys = slices.Insert(f.Keys, 4*at, key[:]...)
	if n+1 > maxKeys {
		f.Bloom = make([]byte, bloomBytes)
		for i := 0; i < len(f.Keys); i += 4 {
			addToBloom(f.Bloom, binary.BigEndian.Uint32(f.Keys[i:]))
		}
		f.Keys = nil
	}
	return true
}

// addToBloom sets the bits of a hash and returns false when all of them were set.
func addToBloom(bloom []byte, hash uint32) (added bool) {
	x := uint64(hash)
	for range bloomHashes {
		// splitmix64: https://prng.di.unimi.it/splitmix64.c
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		bit := z % (8 * bloomBytes)
		if mask := byte(1) << (bit % 8); bloom[bit/8]&mask == 0 {
			bloom[bit/8] |= mask
			added = true
		}
	}
	return added
}

// eventHash is FNV-1a of what identifies an event across its deliveries and revisions, folded to 32 bits.
func eventHash(e *Event) uint32 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	mix := func(b byte) { h = (h ^ uint64(b)) * prime }
	if e.EventID == "" {
		for _, b := range e.UID {
			mix(b)
		}
	} else {
		for i := range len(e.Source) {
			mix(e.Source[i])
		}
		mix(0)
		for i := range len(e.EventID) {
			mix(e.EventID[i])
		}
	}
	return uint32(h>>32) ^ uint32(h&0xffffffff)
}
