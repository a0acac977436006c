package main

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/tracking"
)

// key is what tells one occurrence from another: the key of the shipped pipeline's dedupe.
type key struct {
	tenant, source, eventID string
	revision                int64
}

func keyOf(e *tracking.Event) key { return key{e.TenantID, e.Source, e.EventID, e.Revision} }

// String implements fmt.Stringer.
func (k key) String() string {
	return fmt.Sprintf("%s/%s/%s revision %d", k.tenant, k.source, k.eventID, k.revision)
}

// fate is what must become of an event that is accepted.
type fate int

const (
	// toStore is that of an event that must be stored once.
	toStore fate = iota
	// toBury is that of an event that ingest takes and a stage must reject: each delivery of it becomes a dead letter.
	toBury
)

// sent is what a client knows of an event.
type sent struct {
	event *tracking.Event // as our own decoder reads what was sent
	fate  fate
	// accepted are the uids that answers gave to its deliveries.
	accepted []uuid.UUID
	// unanswered counts the deliveries of which no answer came: any of them may have been accepted.
	unanswered int
	// refused counts the deliveries that were answered with a refusal.
	refused int
}

// journal is what all clients together remember. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex
	events map[key]*sent
	counts tally
	faults []string // answers that no client may get
}

// tally counts deliveries.
type tally struct {
	Sent       int `json:"sent"`       // events in requests, each try counted
	Accepted   int `json:"accepted"`   // events that an answer said to be accepted
	Rejected   int `json:"rejected"`   // events that an answer said to be rejected: all of them malformed
	Unanswered int `json:"unanswered"` // events of which no answer came
	Malformed  int `json:"malformed"`  // events sent that no ingest may accept
}

func newJournal() *journal { return &journal{events: map[key]*sent{}} }

// message is an event as it is sent.
type message struct {
	body  []byte
	event *tracking.Event // nil when it is malformed
	fate  fate
}

// entered returns the note of a message's event, and makes it when there is none. The caller holds mu.
func (j *journal) entered(m message) *sent {
	k := keyOf(m.event)
	s := j.events[k]
	if s == nil {
		s = &sent{event: m.event, fate: m.fate}
		j.events[k] = s
	} else if !bytes.Equal(s.event.Payload, m.event.Payload) {
		j.faults = append(j.faults, fmt.Sprintf("the generator made two different events of %s", k))
	}
	return s
}

// silent notes that messages were sent and no answer came.
func (j *journal) silent(messages []message) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range messages {
		j.counts.Sent++
		j.counts.Unanswered++
		if m.event == nil {
			continue
		}
		j.entered(m).unanswered++
	}
}

// answered notes the answers to messages, one each.
func (j *journal) answered(messages []message, results []result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, m := range messages {
		j.counts.Sent++
		r := results[i]
		if m.event == nil {
			j.counts.Malformed++
		}
		switch {
		case r.Status == "accepted":
			j.counts.Accepted++
			j.accept(m, r)
		case m.event == nil:
			j.counts.Rejected++
		default:
			j.counts.Rejected++
			j.entered(m).refused++
			j.faults = append(j.faults, fmt.Sprintf("a good event was refused: %s: %s", keyOf(m.event), r.Errors))
		}
	}
}

func (j *journal) accept(m message, r result) {
	uid, err := uuid.Parse(r.UID)
	switch {
	case m.event == nil:
		j.faults = append(j.faults, "a malformed event was accepted: "+string(m.body))
	case err != nil:
		j.faults = append(j.faults, fmt.Sprintf("an accepted event has no uid: %s: %q", keyOf(m.event), r.UID))
	case r.EventID != m.event.EventID:
		j.faults = append(j.faults, fmt.Sprintf("%s was accepted as %q", keyOf(m.event), r.EventID))
	default:
		s := j.entered(m)
		s.accepted = append(s.accepted, uid)
	}
}

// fault notes an answer that no client may get.
func (j *journal) fault(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// tally returns the counts so far.
func (j *journal) tally() tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.counts
}
