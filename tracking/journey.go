package tracking

import (
	"cmp"
	"slices"
)

// hop is one step of a journey by transport: a leg, or several legs that carry parts of one consignment side by side.
type hop struct {
	// begun is when the first of its legs began, and moved when the thing last left by one of them or first arrived by it.
	begun, moved int64
	// partial says that it carries fewer than all pieces, as far as is known.
	partial bool
	size    int
	from    map[string]bool
	to      map[string]bool
	// stated and implied count the pieces that reached each leg-bound milestone: as events say, and with what they imply (a
	// piece that arrived has departed).
	stated, implied map[Milestone]int
}

// position is a phase at one place in the journey and the pieces known to have come so far.
type position struct {
	// hop is 0 before transport begins, 2i at hop i and 2i+1 on an unnamed leg after hop i.
	hop       int
	milestone Milestone
	pieces    int
}

// journey is what a course comes to.
type journey struct {
	status Milestone
	// phase is the status but for how the journey ended, at is its place in the journey, and front that of the part which is
	// furthest ahead.
	phase     Milestone
	at, front position
	// ending is how the journey ended and ended since when; empty while it has not.
	ending Milestone
	ended  int64
	// reached counts pieces by milestone.
	reached map[Milestone]int
	// movedOn says that the thing moved on after its journey had ended.
	movedOn bool
}

// furthest is the phase that the part which is furthest ahead has come to; empty when there is none.
func (j *journey) furthest() Milestone { return j.front.milestone }

// journey works out how far the thing has come, of which there are total pieces. legs are those of the course in order.
//
// Positions are ordered by hop, then by rank. Within a hop the phase is therefore monotonic, and a later hop opens it
// again. Hops are ordered by when they last moved the thing rather than by when they began, so that hearing late of a scan
// for another flight does not undo an arrival that followed it. A milestone between legs (transfer, available, out for
// delivery) and a leg-bound one that names no leg belong to the last hop that had begun when they last occurred. The status
// is the furthest position that all pieces are known to have come to, unless the journey has ended.
func (c *course) journey(legs []leg, total int) journey {
	if len(c.Milestones) == 0 {
		return journey{status: Unknown, phase: Unknown, reached: map[Milestone]int{}, at: nowhere, front: nowhere}
	}
	hops := c.hops(legs, total)
	positions := c.positions(hops, total)
	at := furthest(positions, total)
	j := journey{status: at.milestone, phase: at.milestone, at: at, front: at, reached: c.reached(hops, total)}
	if len(positions) > 0 {
		j.front = positions[0]
	}
	if ending, since, ok := c.ending(total); ok {
		j.status, j.ending, j.ended = ending, ending, since
		j.movedOn = c.LastPhase.Set && c.LastPhase.At > since
	}
	return j
}

// hops groups the legs that have begun. Each leg is a hop of its own, unless it carries only a part of the pieces, or a part is all
// that has arrived by it: then it is one with other such legs that leave from, or go to, the same place or, where that cannot be compared, as many as
// together carry no more than all pieces.
func (c *course) hops(legs []leg, total int) []hop {
	var hops []hop
	for i := range legs {
		l := &legs[i]
		begun, ok := l.begun()
		if !ok {
			continue
		}
		size := l.size(total)
		h := -1
		partial := size < total || l.arrivedInPart(total)
		if partial {
			h = slices.IndexFunc(hops, func(h hop) bool { return h.partial && h.takes(l, size, total) })
		}
		if h < 0 {
			h = len(hops)
			hops = append(hops, hop{
				begun: begun, moved: l.moved(), partial: partial, from: map[string]bool{}, to: map[string]bool{},
				stated: map[Milestone]int{}, implied: map[Milestone]int{},
			})
		}
		hops[h].add(l, size, total)
	}
	slices.SortStableFunc(hops, func(a, b hop) int { return cmp.Compare(a.moved, b.moved) })
	return hops
}

// size is the number of pieces that travel on the leg: all of them, unless its events say otherwise.
func (l *leg) size(total int) int {
	size := 0
	for i := range l.Steps {
		size = max(size, min(l.Steps[i].Pieces, total))
	}
	if size == 0 {
		return total
	}
	return size
}

// arrivedInPart reports whether fewer than all pieces are known to have arrived by the leg, whatever was said to depart with it: the
// rest may come by another.
func (l *leg) arrivedInPart(total int) bool {
	b := l.Steps.get(Arrived)
	return b.Count > 0 && !b.Whole && b.Pieces < total
}

func (h *hop) takes(l *leg, size, total int) bool {
	from, to := l.from(), l.to()
	if from != "" && h.from[from] || to != "" && h.to[to] {
		return true
	}
	compare := from != "" && len(h.from) > 0 || to != "" && len(h.to) > 0
	onward := from != "" && h.to[from] || to != "" && h.from[to]
	return !compare && !onward && h.size+size <= total
}

func (h *hop) add(l *leg, size, total int) {
	if from := l.from(); from != "" {
		h.from[from] = true
	}
	if to := l.to(); to != "" {
		h.to[to] = true
	}
	h.moved = max(h.moved, l.moved())
	h.size = min(h.size+size, total)
	implied := 0
	for _, m := range []Milestone{Arrived, InTransit, Loaded} {
		b := l.Steps.get(m)
		n := b.reached(total, size)
		h.stated[m] = min(h.stated[m]+n, total)
		if b.Count > 0 {
			implied = max(implied, n)
			h.implied[m] = min(h.implied[m]+implied, total)
		} else if implied > 0 && h.partial {
			h.implied[m] = min(h.implied[m]+implied, total)
		}
	}
}

// positions lists the phases reached, in no order.
func (c *course) positions(hops []hop, total int) []position {
	var list []position
	add := func(at int, m Milestone, pieces int) {
		for i := range list {
			if list[i].hop == at && list[i].milestone == m {
				list[i].pieces = min(list[i].pieces+pieces, total)
				return
			}
		}
		list = append(list, position{at, m, pieces})
	}
	for i := range hops {
		for m, pieces := range hops[i].implied {
			add(2*(i+1), m, pieces)
		}
	}
	last := 2 * len(hops)
	settled := false // whether the thing has come further than arrival by the last hop
	for i := range c.Milestones {
		b := &c.Milestones[i]
		m := b.Milestone
		switch {
		case m.legBound() || m.Rank() > Delivered.Rank():
		case m.Rank() < Loaded.Rank():
			add(0, m, b.reached(total, total))
		case m == Delivered:
			add(last+2, m, b.reached(total, total))
		default:
			by := b.Last
			if m == Transfer {
				by-- // what departs at the very time of its transfer has been transferred before
			}
			at := 2 * begunBy(hops, by)
			settled = settled || at == last && m.Rank() >= Available.Rank()
			add(at, m, b.reached(total, total))
		}
	}
	for i := range c.Loose {
		b := &c.Loose[i]
		at := 2 * begunBy(hops, b.Last)
		if at == last && !settled && c.reopens(b, total) {
			at++
		}
		add(at, b.Milestone, b.reached(total, total))
	}
	return list
}

func comparePositions(a, b position) int {
	return cmp.Or(cmp.Compare(a.hop, b.hop), cmp.Compare(a.milestone.Rank(), b.milestone.Rank()))
}

// nowhere is before every position.
var nowhere = position{hop: -1}

// begunBy counts the hops that had begun at a time.
func begunBy(hops []hop, at int64) int {
	n := 0
	for i := range hops {
		if hops[i].begun <= at {
			n = i + 1
		}
	}
	return n
}

// reopens reports whether a departure without a leg begins an unnamed one: it does when it follows the last arrival, for
// what has arrived can only leave with something else. Parts of a consignment come and go at will, so there it says nothing.
func (c *course) reopens(b *bucket, total int) bool {
	if b.Milestone == Arrived || c.partial(total) {
		return false
	}
	arrived, transfer := c.Milestones.get(Arrived), c.Milestones.get(Transfer)
	if arrived.Count == 0 && transfer.Count == 0 {
		return false
	}
	return (arrived.Count == 0 || b.Last > arrived.Last) && (transfer.Count == 0 || b.Last > transfer.Last)
}

// partial reports whether some milestone was only reached part by part.
func (c *course) partial(total int) bool {
	return slices.ContainsFunc(c.Milestones, func(b bucket) bool { return !b.Whole && b.Most < total })
}

// furthest is the status of a journey that has not ended: the furthest phase that all pieces have come to. While there is
// none, all that is known of all pieces is that they were announced.
func furthest(positions []position, total int) position {
	slices.SortFunc(positions, func(a, b position) int { return comparePositions(b, a) })
	known := 0
	for _, p := range positions {
		if known = max(known, p.pieces); known >= total && p.milestone != Delivered {
			return p
		}
	}
	return position{hop: -1, milestone: Announced}
}

// ending returns how the journey ended and when that ending began to stand. The latest ending by occurrence stands, and
// delivery is one of them; being found undoes a loss. An ending counts when it is true of all pieces.
func (c *course) ending(total int) (ending Milestone, at int64, ok bool) {
	var last int64
	for i := range c.Milestones { // in order, so that the last of several at one time stands
		b := &c.Milestones[i]
		if !b.Milestone.Terminal() || b.reached(total, total) < total {
			continue
		}
		if b.Milestone == Lost && c.cleared(b.Last, string(Lost), "missing") {
			continue
		}
		if ok && b.Last < last {
			continue
		}
		ending, last, at, ok = b.Milestone, b.Last, b.Last, true
		if b.Milestone == Delivered && (b.Whole || b.Most >= total) {
			at = b.First
		}
	}
	return ending, at, ok
}

// reached counts the pieces that have come to each milestone at least once.
func (c *course) reached(hops []hop, total int) map[Milestone]int {
	out := make(map[Milestone]int, len(c.Milestones))
	for i := range c.Milestones {
		b := &c.Milestones[i]
		if !b.Milestone.legBound() {
			out[b.Milestone] = b.reached(total, total)
			continue
		}
		most := 0
		for h := range hops {
			most = max(most, hops[h].stated[b.Milestone])
		}
		loose := c.Loose.get(b.Milestone)
		out[b.Milestone] = min(most+loose.reached(total, total), total)
	}
	return out
}
