package pipeline

import (
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// Outcome is what becomes of an event at a stage.
type Outcome uint8

// The four outcomes. The zero value is Pass.
const (
	// Pass hands the event to the next stage.
	Pass Outcome = iota
	// Drop ends the event on purpose, as with a duplicate: counted and acknowledged.
	Drop
	// Reject ends an event that will never be right: it is dead-lettered.
	Reject
	// Retry has the event go round again, with backoff; its batch mates go on.
	Retry
)

// String returns the outcome as metrics and logs name it.
func (o Outcome) String() string {
	switch o {
	case Pass:
		return "pass"
	case Drop:
		return "drop"
	case Reject:
		return "reject"
	case Retry:
		return "retry"
	default:
		return "unknown"
	}
}

// Reason says why an event was dropped or rejected.
type Reason struct {
	// Code is short and stable, for counting: "duplicate", "schema", "future".
	Code string `json:"code" cbor:"1,keyasint"`
	// Message is for people: what is wrong and, where it can be known, what would be right.
	Message string `json:"message" cbor:"2,keyasint,omitempty"`
	// Field is the JSON pointer of the offending part of the event, where there is one.
	Field string `json:"field,omitempty" cbor:"3,keyasint,omitempty"`
	// Of is the UID of the event that this one is a copy of, where it is a duplicate; otherwise zero.
	Of uuid.UUID `json:"of,omitzero" cbor:"4,keyasint,omitzero"`
}

// Verdict is the outcome of one event at one stage.
type Verdict struct {
	Outcome Outcome
	// Reason is set for Drop and Reject.
	Reason Reason
	// Err is set for Retry: what stood in the way.
	Err error
	// After is set for a Retry that knows when to try again; otherwise the stage's backoff says.
	After time.Duration
}

// Route is where an event goes that passes a stage. The zero Route is to the next stage.
type Route struct {
	// Topics get a copy of the event each, as it is when the stage returns.
	Topics []string
	// Stage is the name of a later stage of the pipeline where the event goes on; empty for the next one.
	Stage string
	// Leave says that the event does not go on in its pipeline: only the copies do, in theirs. Without Topics it goes nowhere,
	// so that a stage that means to end an event drops it instead.
	Leave bool
}

// Batch is up to a few hundred events on their way through a stage, in order of arrival. Indices are stable: a settled
// event keeps its place.
//
// Invariant 1: every event of a batch ends with exactly one outcome, and the first verdict stands.
type Batch struct {
	events   []*tracking.Event
	verdicts []Verdict
	settled  int
	emitted  map[int][]*tracking.Event
	routes   map[int]Route
}

// NewBatch makes a batch of events, all of them pending.
func NewBatch(events []*tracking.Event) *Batch {
	return &Batch{events: events, verdicts: make([]Verdict, len(events))}
}

// Len returns the number of events, settled ones included.
func (b *Batch) Len() int { return len(b.events) }

// PendingLen returns the number of events not yet dropped, rejected or retried.
func (b *Batch) PendingLen() int { return len(b.events) - b.settled }

// Event returns the event at index i.
func (b *Batch) Event(i int) *tracking.Event { return b.events[i] }

// Verdict returns what has been decided of the event at index i; an event nobody settled passes.
func (b *Batch) Verdict(i int) Verdict { return b.verdicts[i] }

// Pending iterates over the events not yet dropped, rejected or retried, with their indices.
func (b *Batch) Pending() iter.Seq2[int, *tracking.Event] {
	return func(yield func(int, *tracking.Event) bool) {
		for i, event := range b.events {
			if b.verdicts[i].Outcome == Pass && !yield(i, event) {
				return
			}
		}
	}
}

// Drop ends the event at index i on purpose. A verdict already given stands.
func (b *Batch) Drop(i int, reason Reason) { b.settle(i, Verdict{Outcome: Drop, Reason: reason}) }

// Reject ends the event at index i as one that will never be right. A verdict already given stands.
func (b *Batch) Reject(i int, reason Reason) { b.settle(i, Verdict{Outcome: Reject, Reason: reason}) }

// Retry has the event at index i go round again because of err. A verdict already given stands.
func (b *Batch) Retry(i int, err error) { b.settle(i, Verdict{Outcome: Retry, Err: err}) }

// RetryAfter has the event at index i go round again because of err, but not before a while. A verdict already given stands.
func (b *Batch) RetryAfter(i int, err error, after time.Duration) {
	b.settle(i, Verdict{Outcome: Retry, Err: err, After: after})
}

// Replace has another version of the event at index i go on in its place, as when a field is mapped. Whose delivery it is
// stays what it is: the UID, the tenant, the time of receipt and the span are those of the event it replaces, and its personal data
// too unless the other has some. An event that is settled is not replaced. The event that was given to the stage is not changed: it is what
// is tried again, or dead-lettered.
func (b *Batch) Replace(i int, event *tracking.Event) {
	if b.verdicts[i].Outcome != Pass {
		return
	}
	now := b.events[i]
	event.UID, event.TenantID, event.ReceivedAt, event.Span = now.UID, now.TenantID, now.ReceivedAt, now.Span
	if event.Personal == nil {
		event.Personal = now.Personal
	}
	b.events[i] = event
}

// Emit has new events go on right behind the event at index i, which led to them, and settles with it: its frame is
// acknowledged only after they are through as well. They come about only if that event passes or is dropped: one that is
// retried leads to them again, and so each must have a UID that is the same every time (tracking.DeriveUID).
func (b *Batch) Emit(i int, events ...*tracking.Event) {
	if b.emitted == nil {
		b.emitted = map[int][]*tracking.Event{}
	}
	b.emitted[i] = append(b.emitted[i], events...)
}

// Emitted returns the events that the one at index i led to.
func (b *Batch) Emitted(i int) []*tracking.Event {
	if o := b.verdicts[i].Outcome; o == Pass || o == Drop {
		return b.emitted[i]
	}
	return nil
}

// Route says where the event at index i goes if it passes. The stage's config must name the topics and stages among its
// Destinations.
func (b *Batch) Route(i int, route Route) {
	if b.routes == nil {
		b.routes = map[int]Route{}
	}
	b.routes[i] = route
}

// RouteOf returns where the event at index i goes if it passes.
func (b *Batch) RouteOf(i int) Route { return b.routes[i] }

// RetryPending has every event not yet settled go round again because of err.
func (b *Batch) RetryPending(err error) {
	for i := range b.Pending() {
		b.Retry(i, err)
	}
}

// with returns the batch with further events, and what has been decided of them, at its end.
func (b *Batch) with(settled []*Work) *Batch {
	all := NewBatch(slices.Clone(b.events))
	copy(all.verdicts, b.verdicts)
	all.settled, all.emitted, all.routes = b.settled+len(settled), b.emitted, b.routes
	for _, w := range settled {
		all.events, all.verdicts = append(all.events, w.Event), append(all.verdicts, w.Verdict)
	}
	return all
}

// scrub keeps secrets out of what is said of the events.
func (b *Batch) scrub(secrets *Secrets) {
	if secrets == nil || b.settled == 0 {
		return
	}
	for i := range b.verdicts {
		v := &b.verdicts[i]
		v.Reason.Message, v.Err = secrets.Scrub(v.Reason.Message), secrets.ScrubError(v.Err)
	}
}

// reset takes back what was done for the event at index i, which is given.
func (b *Batch) reset(i int, event *tracking.Event) {
	b.events[i] = event
	delete(b.emitted, i)
	delete(b.routes, i)
}

// adopt takes over what became, in a batch of its own, of the event at index i.
func (b *Batch) adopt(i int, single *Batch) {
	b.events[i] = single.events[0]
	b.Emit(i, single.emitted[0]...)
	b.Route(i, single.RouteOf(0))
	b.settle(i, single.Verdict(0))
}

func (b *Batch) settle(i int, verdict Verdict) {
	if b.verdicts[i].Outcome != Pass || verdict.Outcome == Pass {
		return
	}
	b.verdicts[i] = verdict
	b.settled++
}
