package tracking

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// resolution says which of the events of a journey count, once corrections and revisions have been taken into account. It
// does not depend on the order in which the events came.
type resolution struct {
	// events are distinct by UID and in canonical order.
	events []*Event
	// voided and superseded run parallel to events.
	voided, superseded []bool
	// corrected says that the events hold corrections, or several with one source and event id.
	corrected bool
	// conflict says that one source used an event id and revision for different occurrences.
	conflict bool
}

// sourceID is what identifies an occurrence across its revisions: CloudEvents' source and id.
type sourceID struct{ source, id string }

// counts reports whether the event at i stands and has something to say of its own; a pure void has not.
func (r *resolution) counts(i int) bool {
	e := r.events[i]
	return !r.voided[i] && !r.superseded[i] && (e.Corrects == nil || e.Corrects.Kind == Replace)
}

// resolve finds what counts, in three steps: of several events with one UID one is kept; of several with one source and
// event id the highest revision stands; what a standing correction of the same source names is out.
func resolve(events []*Event) *resolution {
	r := &resolution{events: distinct(events)}
	r.voided = make([]bool, len(r.events))
	r.superseded = make([]bool, len(r.events))

	current := make(map[sourceID]int, len(r.events))
	for i, e := range r.events {
		r.corrected = r.corrected || e.Corrects != nil
		if e.EventID == "" {
			continue
		}
		key := sourceID{e.Source, e.EventID}
		j, taken := current[key]
		if !taken {
			current[key] = i
			continue
		}
		r.corrected = true
		if supersedes(e, r.events[j]) {
			current[key], r.superseded[j] = i, true
		} else {
			r.superseded[i] = true
		}
	}
	if !r.corrected {
		return r
	}
	r.findConflicts()
	r.void(current)
	return r
}

// distinct returns the events in canonical order, one a UID. An event without a UID has not been through ingest and is
// taken as it is.
func distinct(events []*Event) []*Event {
	list := make([]*Event, 0, len(events))
	for _, e := range events {
		if e != nil {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, compareEvents)
	seen := make(map[uuid.UUID]struct{}, len(list))
	return slices.DeleteFunc(list, func(e *Event) bool {
		if e.UID == uuid.Nil {
			return false
		}
		_, again := seen[e.UID]
		seen[e.UID] = struct{}{}
		return again
	})
}

// compareEvents is the canonical order of a trace: (occurred_at, rank, received_at, uid), and then whatever tells events
// without a UID apart.
func compareEvents(a, b *Event) int {
	if c := compareMoments(momentOf(a), momentOf(b)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(a.Source, b.Source), cmp.Compare(a.EventID, b.EventID), cmp.Compare(a.Revision, b.Revision),
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.AggregateID, b.AggregateID), bytes.Compare(a.Payload, b.Payload),
	)
}

// supersedes reports whether a stands in the place of b, which has the same source and event id: by revision; then, since
// senders without revisions retract an event under its own id (the CBV's ErrorDeclaration), a correction stands above what
// it corrects; then the first received stands.
func supersedes(a, b *Event) bool {
	if a.Revision != b.Revision {
		return a.Revision > b.Revision
	}
	if (a.Corrects != nil) != (b.Corrects != nil) {
		return a.Corrects != nil
	}
	if c := a.ReceivedAt.Compare(b.ReceivedAt); c != 0 {
		return c < 0
	}
	return compareEvents(a, b) < 0
}

// findConflicts looks for events that share source, event id and revision and yet differ in what happened.
func (r *resolution) findConflicts() {
	type version struct {
		sourceID
		revision int64
	}
	first := make(map[version]*Event, len(r.events))
	for _, e := range r.events {
		if e.EventID == "" || e.Corrects != nil {
			continue
		}
		v := version{sourceID{e.Source, e.EventID}, e.Revision}
		other, taken := first[v]
		if !taken {
			first[v] = e
			continue
		}
		if other.Type != e.Type || other.AggregateID != e.AggregateID || !other.OccurredAt.Equal(e.OccurredAt) {
			r.conflict = true
			return
		}
	}
}

// void marks what standing corrections take out. Corrections may themselves be corrected, so those that nobody names are
// settled first, then those whose correctors are all settled, and so on. Corrections that name each other in a circle are
// broken open at the first of them in canonical order.
func (r *resolution) void(current map[sourceID]int) {
	targets := make(map[int][]int)   // correction -> the current events it names
	attackers := make(map[int][]int) // correction -> the corrections that name it
	var open []int
	for i, e := range r.events {
		if e.Corrects == nil || r.superseded[i] {
			continue
		}
		open = append(open, i)
		for _, id := range e.Corrects.EventIDs {
			j, ok := current[sourceID{e.Source, id}]
			if !ok || j == i {
				continue
			}
			targets[i] = append(targets[i], j)
			if r.events[j].Corrects != nil {
				attackers[j] = append(attackers[j], i)
			}
		}
	}

	settled := make(map[int]bool, len(open))
	settle := func(i int) {
		settled[i] = true
		for _, j := range targets[i] {
			if !settled[j] { // only in a circle: what was settled first stands
				r.voided[j] = true
			}
		}
	}
	for len(open) > 0 {
		before := len(open)
		open = slices.DeleteFunc(open, func(i int) bool {
			if r.voided[i] {
				return true
			}
			for _, a := range attackers[i] {
				if !r.voided[a] {
					return false // a standing attacker would have voided i, so this one is still open
				}
			}
			settle(i)
			return true
		})
		if len(open) == before {
			settle(open[0])
			open = open[1:]
		}
	}
	r.voidRevisions(current)
}

// voidRevisions extends what is said of the current revision of an event to its earlier ones, and has a correction that
// names its own id take out the events that had that id before.
func (r *resolution) voidRevisions(current map[sourceID]int) {
	for i, e := range r.events {
		if !r.superseded[i] {
			continue
		}
		j := current[sourceID{e.Source, e.EventID}]
		winner := r.events[j]
		r.voided[i] = r.voided[j] || winner.Corrects != nil && slices.Contains(winner.Corrects.EventIDs, e.EventID)
	}
}
