package pipeline

import (
	"iter"
	"slices"

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
}

// Verdict is the outcome of one event at one stage.
type Verdict struct {
	Outcome Outcome
	// Reason is set for Drop and Reject.
	Reason Reason
	// Err is set for Retry: what stood in the way.
	Err error
}

// Batch is up to a few hundred events on their way through a stage, in order of arrival. Indices are stable: a settled
// event keeps its place.
//
// Invariant 1: every event of a batch ends with exactly one outcome, and the first verdict stands.
type Batch struct {
	events   []*tracking.Event
	verdicts []Verdict
	settled  int
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
	all.settled = b.settled + len(settled)
	for _, w := range settled {
		all.events, all.verdicts = append(all.events, w.Event), append(all.verdicts, w.Verdict)
	}
	return all
}

func (b *Batch) settle(i int, verdict Verdict) {
	if b.verdicts[i].Outcome != Pass || verdict.Outcome == Pass {
		return
	}
	b.verdicts[i] = verdict
	b.settled++
}
