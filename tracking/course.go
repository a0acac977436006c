package tracking

import (
	"cmp"
	"slices"
	"strings"
)

// course sums up what actual events say of the way of one thing, or of several together.
type course struct {
	_ struct{} `cbor:",toarray"`
	// Milestones sums up every event with a milestone, Loose those that are bound to a leg and name none.
	Milestones, Loose buckets
	// Legs are sorted by their keys.
	Legs []leg
	// Total is the largest number of pieces that an event spoke of.
	Total int
	// Troubles are the exceptions by when each was last reported, Cleared those that were said to be over, "" for all of them.
	Troubles, Cleared sightings
	Progress          instant
	LastPhase         instant
}

// add adds an actual event.
func (c *course) add(e *Event, when moment) {
	milestone, exception := e.Enrichment.Milestone, e.Enrichment.Exception
	if q := e.Quantity; q != nil {
		c.Total = max(c.Total, min(max(q.Pieces, q.TotalPieces), maxPieces))
	}
	trouble, clears := Clears(exception)
	switch {
	case clears:
		c.Cleared.latest(when, trouble)
	case exception != "":
		c.Troubles.latest(when, exception)
	}
	rank := milestone.Rank()
	if rank == 0 {
		return
	}
	if rank < Delivered.Rank() {
		c.LastPhase.latest(when.At)
	}
	if rank >= Accepted.Rank() && rank <= Delivered.Rank() && (exception == "" || clears) {
		c.Progress.latest(when.At)
	}
	b := bucketOf(e)
	c.Milestones.add(b)
	if !c.travel(e, when, b) && milestone.legBound() {
		c.Loose.add(b)
	}
}

// merge adds what o sums up. c comes to share nothing with o.
func (c *course) merge(o *course) {
	for _, b := range o.Milestones {
		c.Milestones.add(b)
	}
	for _, b := range o.Loose {
		c.Loose.add(b)
	}
	for _, l := range o.Legs {
		l.Steps = slices.Clone(l.Steps)
		c.addLeg(l)
	}
	c.Total = max(c.Total, o.Total)
	for _, s := range o.Troubles {
		c.Troubles.latest(s.When, s.Word)
	}
	for _, s := range o.Cleared {
		c.Cleared.latest(s.When, s.Word)
	}
	for _, pair := range [][2]*instant{{&c.Progress, &o.Progress}, {&c.LastPhase, &o.LastPhase}} {
		if pair[1].Set {
			pair[0].latest(pair[1].At)
		}
	}
}

// says reports whether the events say anything of how far the thing has come or what became of it.
func (c *course) says() bool { return len(c.Milestones) > 0 || len(c.Troubles) > 0 }

// trouble is the latest exception that no later event has ended: one that clears it, at the same time or later, or one of
// progress, which must be later.
func (c *course) trouble() sighting {
	var latest sighting
	for _, s := range c.Troubles {
		if at := s.When.At; !c.cleared(at, s.Word) && (!c.Progress.Set || c.Progress.At <= at) {
			latest.latest(s.When, s.Word)
		}
	}
	return latest
}

// cleared reports whether a trouble of some time, by one of its names, was said to be over then or later.
func (c *course) cleared(at int64, names ...string) bool {
	return slices.ContainsFunc(c.Cleared, func(s sighting) bool {
		return s.When.At >= at && (s.Word == "" || slices.Contains(names, s.Word))
	})
}

// most is the largest number of pieces that an event with a milestone gave as those it is about.
func (c *course) most() int {
	most := 0
	for i := range c.Milestones {
		most = max(most, c.Milestones[i].Most)
	}
	return most
}

// uncounted reports whether an event with a milestone gave no number of pieces.
func (c *course) uncounted() bool {
	return slices.ContainsFunc(c.Milestones, func(b bucket) bool { return b.Whole })
}

// part sums up the actual events of one aggregate. An aggregate that is only foreseen has a part without events.
type part struct {
	_      struct{} `cbor:",toarray"`
	ID     string
	Count  int
	Last   lastEvent
	Course course
}

// lastEvent is the latest of some events.
type lastEvent struct {
	_         struct{} `cbor:",toarray"`
	When      moment
	Set       bool
	Type      string
	Milestone Milestone
}

func (l *lastEvent) offer(o lastEvent) {
	c := cmp.Or(compareMoments(o.When, l.When), strings.Compare(o.Type, l.Type), strings.Compare(string(o.Milestone), string(l.Milestone)))
	if !l.Set || c > 0 {
		*l = o
		l.Set = true
	}
}

// part returns where the events of an aggregate are summed up. Which aggregates have a part of their own depends on the set of
// them only: what is said of the journey itself always has, and of the others one that is among the smallest of all was so at
// any time before.
func (f *fold) part(id string) *part {
	at, found := slices.BinarySearchFunc(f.Parts, id, func(p part, id string) int { return strings.Compare(p.ID, id) })
	if found {
		return &f.Parts[at]
	}
	if len(f.Parts) < maxAggregates {
		f.Parts = slices.Insert(f.Parts, at, part{ID: id})
		return &f.Parts[at]
	}
	out := len(f.Parts) - 1 // the largest that is not the journey's, which has two ids at most
	for f.isJourney(f.Parts[out].ID) {
		out--
	}
	if at > out && !f.isJourney(id) {
		return f.rest()
	}
	f.rest().absorb(&f.Parts[out])
	f.Parts = slices.Delete(f.Parts, out, out+1)
	if at > out {
		at--
	}
	f.Parts = slices.Insert(f.Parts, at, part{ID: id})
	return &f.Parts[at]
}

func (f *fold) rest() *part {
	if f.Rest == nil {
		f.Rest = &part{}
	}
	return f.Rest
}

func (p *part) absorb(o *part) {
	p.Count += o.Count
	if o.Last.Set {
		p.Last.offer(o.Last)
	}
	p.Course.merge(&o.Course)
}

// whole sums up the actual events of all aggregates. It may share its parts with f.
func (f *fold) whole() *course {
	if len(f.Parts) == 1 && f.Rest == nil {
		return &f.Parts[0].Course
	}
	var all course
	for i := range f.Parts {
		all.merge(&f.Parts[i].Course)
	}
	if f.Rest != nil {
		all.merge(&f.Rest.Course)
	}
	return &all
}

// courses lists the courses of all parts.
func (f *fold) courses() []*course {
	list := make([]*course, 0, len(f.Parts)+1)
	for i := range f.Parts {
		list = append(list, &f.Parts[i].Course)
	}
	if f.Rest != nil {
		list = append(list, &f.Rest.Course)
	}
	return list
}

// tooManyLegs reports whether the parts name more than maxLegs different legs, or more than maxPartLegs together.
func (f *fold) tooManyLegs() bool {
	sum := 0
	for i := range f.Parts {
		sum += len(f.Parts[i].Course.Legs)
	}
	if f.Rest != nil {
		sum += len(f.Rest.Course.Legs)
	}
	if sum <= maxLegs {
		return false
	}
	return sum > maxPartLegs || len(f.legCounts()) > maxLegs
}

// legCounts says of how many parts each leg is.
func (f *fold) legCounts() map[string]int {
	counts := make(map[string]int, maxLegs)
	for _, c := range f.courses() {
		for i := range c.Legs {
			counts[c.Legs[i].Key]++
		}
	}
	return counts
}

// keepLastLegs keeps those that began last, as many as the bounds allow.
func (f *fold) keepLastLegs() {
	legs, counts := slices.Clone(f.whole().Legs), f.legCounts()
	slices.SortFunc(legs, compareLegs)
	keep := make(map[string]bool, maxLegs)
	sum := 0
	for _, l := range slices.Backward(legs) {
		if sum += counts[l.Key]; len(keep) == maxLegs || sum > maxPartLegs {
			break
		}
		keep[l.Key] = true
	}
	for _, c := range f.courses() {
		c.Legs = slices.Clone(slices.DeleteFunc(c.Legs, func(l leg) bool { return !keep[l.Key] }))
	}
}
