package tracking

import (
	"cmp"
	"slices"
)

// outcome is what a fold comes to.
type outcome struct {
	status, furthest Milestone
	exception        string
	pieces           *Pieces
	things           []AggregateStatus
	anomalies        []string
}

// thing is an aggregate that events say something of, with what they say of the journey it is on.
type thing struct {
	*journey
	own *course
	// course is own and that of the journey.
	course *course
	// total is the number of pieces that the thing is.
	total int
}

// outcome works out how far the journey has come, of which whole sums up everything and legs are the legs in order.
//
// Where the pieces of a consignment are counted, the pieces decide; they may be spread over several aggregates, such as the
// containers they fly in. Where they are not, each aggregate is a thing of its own, and what is said of the journey itself
// holds for each of them.
func (f *fold) outcome(whole *course, legs []leg) outcome {
	j := whole.journey(legs, max(whole.Total, 1))
	o := outcome{status: j.status, furthest: j.furthest(), exception: whole.trouble().Word}
	if whole.Total > 0 && len(whole.Milestones) > 0 {
		o.pieces = &Pieces{Total: whole.Total, ByMilestone: j.reached}
	}
	movedOn := j.movedOn
	var journeyItself course
	things := f.things(whole, &journeyItself)
	if len(things) > 1 {
		o.exception = latestTrouble(things)
		if !countPieces(things, whole.Total) {
			o.status, o.furthest = statusOf(things)
			o.pieces = piecesOf(things, whole.Total, j.reached, &journeyItself)
			movedOn = slices.ContainsFunc(things, func(t thing) bool { return t.movedOn })
		}
	}
	o.things = f.aggregates(things, &journeyItself, o)
	if f.Conflict {
		o.anomalies = append(o.anomalies, IDConflict)
	}
	if movedOn {
		o.anomalies = append(o.anomalies, PostTerminal)
	}
	return o
}

// isJourney reports whether what is said of an aggregate is said of the whole journey.
func (f *fold) isJourney(id string) bool { return id == "" || id == f.Correlation }

// things lists the aggregates that events say something of, in the order of Parts; what has no part of its own is one thing, at
// the end. When there are several, journeyItself comes to sum up what is said of the whole journey.
func (f *fold) things(whole, journeyItself *course) []thing {
	var own []*course
	for i := range f.Parts {
		if p := &f.Parts[i]; !f.isJourney(p.ID) && p.Course.says() {
			own = append(own, &p.Course)
		}
	}
	rest := f.Rest != nil && f.Rest.Course.says()
	if rest {
		own = append(own, &f.Rest.Course)
	}
	if len(own) < 2 {
		return nil // the whole says it all
	}
	for i := range f.Parts {
		if f.isJourney(f.Parts[i].ID) {
			journeyItself.merge(&f.Parts[i].Course)
		}
	}
	list := make([]thing, len(own))
	for i, c := range own {
		t := thing{own: c, course: c, total: c.most()}
		if whole.Total < len(own) {
			t.total = c.Total
		}
		if t.total == 0 {
			t.total = max(whole.Total, 1)
		}
		if journeyItself.says() {
			t.course = &course{}
			t.course.merge(journeyItself)
			t.course.merge(c)
		}
		j := t.course.journey(inOrder(t.course.Legs), t.total)
		t.journey = &j
		list[i] = t
	}
	if rest {
		list[len(list)-1].stayOpen(journeyItself)
	}
	return list
}

// stayOpen has the things that are not told apart end only when the journey itself does: that one of them was delivered does not
// say that all were.
func (t *thing) stayOpen(journeyItself *course) {
	j := journeyItself.journey(inOrder(journeyItself.Legs), max(journeyItself.Total, 1))
	if j.ending == "" {
		t.status, t.ending, t.movedOn = t.phase, "", false
	}
}

// countPieces reports whether the number of pieces tells how far several things together have come: when there is at least one
// for each of them, and no event of theirs was without a number.
func countPieces(things []thing, total int) bool {
	return total >= len(things) && !slices.ContainsFunc(things, func(t thing) bool { return t.own.uncounted() })
}

// statusOf is the phase of the thing that is furthest behind. When the journeys of all things have ended it is how they ended: delivered
// when all were that were not cancelled, else the latest of the other endings.
func statusOf(things []thing) (status, ahead Milestone) {
	last, front := -1, 0
	var ending *thing
	for i := range things {
		t := &things[i]
		if comparePositions(t.front, things[front].front) > 0 {
			front = i
		}
		if t.ending == "" {
			if last < 0 || comparePositions(t.at, things[last].at) < 0 {
				last = i
			}
			continue
		}
		if ending == nil || compareEndings(t, ending) > 0 {
			ending = t
		}
	}
	ahead = things[front].furthest()
	if last < 0 {
		return ending.ending, ahead
	}
	if things[last].status == Unknown { // there is trouble with it, and nothing is known besides
		return Announced, ahead
	}
	return things[last].status, ahead
}

// compareEndings orders endings by how much they matter to whoever waits for all things.
func compareEndings(a, b *thing) int {
	weight := func(m Milestone) int {
		switch m {
		case Cancelled:
			return 0
		case Delivered:
			return 1
		default:
			return 2
		}
	}
	return cmp.Or(cmp.Compare(weight(a.ending), weight(b.ending)), cmp.Compare(a.ended, b.ended), cmp.Compare(a.ending.order(), b.ending.order()))
}

func latestTrouble(things []thing) string {
	var latest sighting
	for i := range things {
		trouble := things[i].course.trouble()
		latest.latest(trouble.When, trouble.Word)
	}
	return latest.Word
}

// piecesOf counts the pieces of things that do not all give their number, or that each count their own. A thing that gives no
// number is one piece at least.
func piecesOf(things []thing, total int, milestones map[Milestone]int, journeyItself *course) *Pieces {
	if total == 0 || len(milestones) == 0 {
		return nil
	}
	sum := 0
	for i := range things {
		sum = min(sum+things[i].number(), maxPieces)
	}
	out := &Pieces{Total: max(total, sum), ByMilestone: make(map[Milestone]int, len(milestones))}
	said := journeyItself.journey(inOrder(journeyItself.Legs), max(journeyItself.Total, 1)).reached
	for m := range milestones {
		n, all := 0, true
		for i := range things {
			t := &things[i]
			switch {
			case t.reached[m] >= t.total:
				n += t.number()
			case t.own.Total > 0:
				n, all = n+t.reached[m], false
			default:
				all = false
			}
		}
		if n = min(max(n, said[m]), out.Total); all {
			n = out.Total
		}
		out.ByMilestone[m] = n
	}
	return out
}

// number is how many pieces the thing itself says that it is; 1 when it says nothing.
func (t *thing) number() int {
	if t.own.Total == 0 {
		return 1
	}
	return t.total
}

// aggregates lists what there is to say of each aggregate. The only thing of a journey has the status of the journey.
func (f *fold) aggregates(things []thing, journeyItself *course, o outcome) []AggregateStatus {
	list := make([]AggregateStatus, len(f.Parts))
	several := len(things) > 1
	for i := range f.Parts {
		p := &f.Parts[i]
		a := AggregateStatus{AggregateID: p.ID, Status: Unknown, EventCount: p.Count}
		if p.Last.Set {
			a.LastEvent = &LastEvent{UID: p.Last.When.UID, Type: p.Last.Type, Milestone: p.Last.Milestone, At: microTime(p.Last.When.At)}
		}
		switch {
		case !p.Course.says():
		case !several:
			a.Status, a.Milestone, a.Exception = o.status, o.furthest, o.exception
		case f.isJourney(p.ID):
			j := journeyItself.journey(inOrder(journeyItself.Legs), max(journeyItself.Total, 1))
			a.Status, a.Milestone, a.Exception = j.status, j.furthest(), journeyItself.trouble().Word
		default:
			t := &things[0]
			things = things[1:]
			a.Status, a.Milestone, a.Exception = t.status, t.furthest(), t.course.trouble().Word
		}
		list[i] = a
	}
	return list
}
