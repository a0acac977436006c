package tracking

import (
	"cmp"
	"slices"
	"strings"
)

// leg sums up the actual events that name one flight, voyage or truck.
type leg struct {
	_   struct{} `cbor:",toarray"`
	Key string
	// Flight is the part of Key without the date; empty for a leg known only by its route.
	Flight                               string
	Mode, Carrier, Number, Date          string
	Origin, Destination, Left, ArrivedAt sighting
	First, Last                          int64
	// Furthest is the furthest phase that an event naming the leg has reached.
	Furthest Milestone
	// Steps sums up the events of leg-bound milestones; the first of them is when the leg begins.
	Steps buckets
}

// travel adds an event to the leg it names. It returns false when the event names none.
func (c *course) travel(e *Event, when moment, b bucket) bool {
	l, ok := legOf(e)
	if !ok {
		return false
	}
	station := stationOf(e)
	l.First, l.Last, l.Furthest = b.First, b.Last, b.Milestone
	if b.Milestone.Rank() > Delivered.Rank() {
		l.Furthest = ""
	}
	if b.Milestone.legBound() {
		l.Steps = buckets{b}
		if b.Milestone == Arrived {
			l.ArrivedAt.latest(when, station)
		} else {
			l.Left.earliest(when, station)
		}
	}
	if t := e.Leg(); t != nil {
		l.Origin.earliest(when, code(t.Origin))
		l.Destination.latest(when, code(t.Destination))
	}
	c.addLeg(l)
	return true
}

// addLeg adds to the legs, which are sorted by their keys.
func (c *course) addLeg(l leg) {
	at, found := slices.BinarySearchFunc(c.Legs, l.Key, func(l leg, key string) int { return strings.Compare(l.Key, key) })
	if found {
		c.Legs[at].merge(l)
	} else {
		c.Legs = slices.Insert(c.Legs, at, l)
	}
}

// legOf returns the leg that an event names, without its events. A leg is a carrier's number on a date or, without a
// number, a route on a date.
func legOf(e *Event) (leg, bool) {
	t := e.Leg()
	if t == nil {
		return leg{}, false
	}
	l := leg{Mode: t.Mode, Carrier: code(t.Carrier), Number: code(t.Number), Date: strings.TrimSpace(t.Date)}
	if l.Carrier == "" {
		if flight, ok := ParseFlight(l.Number); ok {
			l.Carrier, l.Number = flight.Carrier, flight.Number+flight.Suffix
		}
	}
	if a := e.Enrichment.Airline; a != nil && a.IATA != "" && a.ICAO != "" && a.ICAO == l.Carrier {
		l.Carrier = a.IATA // so that LAN2047 and LA2047 are one flight
	}
	origin, destination := code(t.Origin), code(t.Destination)
	switch {
	case l.Number != "":
		number := strings.TrimLeft(l.Number, "0")
		if number == "" {
			number = "0"
		}
		l.Number = number
		l.Flight = l.Carrier + " " + number
		l.Key = l.Flight + " " + l.Date
	case origin != "" || destination != "":
		l.Key = "/" + origin + "-" + destination + " " + l.Carrier + " " + l.Date
	default:
		return leg{}, false
	}
	return l, true
}

func code(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }

// stationOf is a code for where an event took place, the same for all ways to write one place that we know of.
func stationOf(e *Event) string {
	if p := e.Enrichment.Place; p != nil && p.IATA != "" {
		return p.IATA
	}
	if l := e.Location; l != nil {
		return code(cmp.Or(l.IATA, l.UNLocode, l.ICAO, l.GLN, l.Facility, l.Name))
	}
	return ""
}

func (l *leg) merge(o leg) {
	l.Mode, l.Carrier, l.Date = max(l.Mode, o.Mode), max(l.Carrier, o.Carrier), max(l.Date, o.Date)
	l.Number = max(l.Number, o.Number)
	l.Origin.earliest(o.Origin.When, o.Origin.Word)
	l.Destination.latest(o.Destination.When, o.Destination.Word)
	l.Left.earliest(o.Left.When, o.Left.Word)
	l.ArrivedAt.latest(o.ArrivedAt.When, o.ArrivedAt.Word)
	l.First, l.Last = min(l.First, o.First), max(l.Last, o.Last)
	if o.Furthest.Rank() > l.Furthest.Rank() {
		l.Furthest = o.Furthest
	}
	for _, b := range o.Steps {
		l.Steps.add(b)
	}
}

// begun returns when the thing was first loaded on, departed with or arrived by the leg; false when so far it is only
// booked or handled for it.
func (l *leg) begun() (int64, bool) {
	if len(l.Steps) == 0 {
		return 0, false
	}
	at := l.Steps[0].First
	for _, b := range l.Steps[1:] {
		at = min(at, b.First)
	}
	return at, true
}

// start is when the leg begins or, until it does, when it was first heard of.
func (l *leg) start() int64 {
	if at, ok := l.begun(); ok {
		return at
	}
	return l.First
}

// moved returns when the thing last left by the leg or first arrived by it. A second report of an arrival may come long
// after the thing went on, so it does not count. The leg must have begun.
func (l *leg) moved() int64 {
	at, set := int64(0), false
	for _, b := range l.Steps {
		t := b.Last
		if b.Milestone == Arrived {
			t = b.First
		}
		if !set || t > at {
			at, set = t, true
		}
	}
	return at
}

func (l *leg) from() string { return cmp.Or(l.Origin.Word, l.Left.Word) }
func (l *leg) to() string   { return cmp.Or(l.Destination.Word, l.ArrivedAt.Word) }

func compareLegs(a, b leg) int {
	return cmp.Or(cmp.Compare(a.start(), b.start()), strings.Compare(a.Key, b.Key))
}

// status is the phase of the journey on this leg, at most Arrived: what comes after implies arrival.
func (l *leg) status() Milestone {
	switch rank := l.Furthest.Rank(); {
	case rank == 0:
		return Unknown
	case rank > Arrived.Rank():
		return Arrived
	default:
		return l.Furthest
	}
}

func (l *leg) transport() Transport {
	return Transport{
		Mode: l.Mode, Carrier: l.Carrier, Number: l.Number, Date: l.Date, Origin: l.from(), Destination: l.to(),
	}
}

// inOrder returns the legs in the order of the journey. A flight that some events name without its date is taken for the
// one of that number which lies nearest in time.
func inOrder(legs []leg) []leg {
	out := make([]leg, 0, len(legs))
	var undated []leg
	for _, l := range legs {
		l.Steps = slices.Clone(l.Steps)
		if l.Flight != "" && l.Date == "" {
			undated = append(undated, l)
		} else {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, compareLegs)
	nearest := make([]int, len(undated)) // chosen before any is merged, so that their order does not matter
	for u := range undated {
		nearest[u] = -1
		var best int64
		for i := range out {
			if out[i].Flight != undated[u].Flight {
				continue
			}
			gap := out[i].start() - undated[u].start()
			if gap = max(gap, -gap); nearest[u] < 0 || gap < best {
				nearest[u], best = i, gap
			}
		}
	}
	for u, i := range nearest {
		if i < 0 {
			out = append(out, undated[u])
		} else {
			out[i].merge(undated[u])
		}
	}
	slices.SortFunc(out, compareLegs)
	return out
}
