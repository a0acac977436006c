package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// storedEvent is a row of event_store, as far as it is compared.
type storedEvent struct {
	uid                               uuid.UUID
	key                               key
	correlation, aggregate, eventType string
	occurred                          time.Time
	payload                           string
}

// letter is a row of dead_letters.
type letter struct {
	uid   uuid.UUID
	key   key
	stage string
	code  string
}

// verdict is what a comparison found.
type verdict struct {
	Distinct    int `json:"distinct"`     // events accepted, each counted once however often it was
	Stored      int `json:"stored"`       // rows of event_store
	Duplicates  int `json:"duplicates"`   // accepted deliveries that are not stored because another of the same event is
	DeadLetters int `json:"dead_letters"` // rows of dead_letters

	Lost       int `json:"lost"`       // events accepted, and neither stored nor a dead letter
	Double     int `json:"double"`     // rows too many of the same event
	Unknown    int `json:"unknown"`    // rows and letters of which no client knows
	Altered    int `json:"altered"`    // stored events that are not what was sent
	Unburied   int `json:"unburied"`   // accepted deliveries that had to become dead letters and did not
	Undeserved int `json:"undeserved"` // dead letters of events that had to be stored
	WrongTrace int `json:"wrong_traces"`
	Traces     int `json:"traces"`
	// Counted is how many events the counters say were accepted: no more than there were.
	Counted int64 `json:"counted"`

	examples []string
}

// bad says how many things are wrong.
func (v *verdict) bad() int {
	return v.Lost + v.Double + v.Unknown + v.Altered + v.Unburied + v.Undeserved + v.WrongTrace
}

// mostExamples is how many of the things that are wrong are told one by one.
const mostExamples = 20

func (v *verdict) find(count *int, format string, args ...any) {
	*count++
	if len(v.examples) < mostExamples {
		v.examples = append(v.examples, fmt.Sprintf(format, args...))
	}
}

// compare compares what clients were told with what is stored. Nothing may be on its way any more.
func compare(events map[key]*sent, rows []storedEvent, letters []letter) *verdict {
	v := &verdict{Stored: len(rows), DeadLetters: len(letters)}
	stored := make(map[key][]storedEvent, len(rows))
	for _, row := range rows {
		stored[row.key] = append(stored[row.key], row)
	}
	buried := make(map[key]map[uuid.UUID]bool, len(letters))
	for _, l := range letters {
		if buried[l.key] == nil {
			buried[l.key] = map[uuid.UUID]bool{}
		}
		buried[l.key][l.uid] = true
		switch s := events[l.key]; {
		case s == nil:
			v.find(&v.Unknown, "dead letter %s of %s was sent by nobody", l.uid, l.key)
		case s.fate == toStore:
			v.find(&v.Undeserved, "%s is a dead letter of %s with the code %s and should have been stored", l.key, l.stage, l.code)
		}
	}
	for k, s := range events {
		if len(s.accepted) > 0 {
			v.Distinct++
		}
		v.compareEvent(k, s, stored[k], buried[k])
	}
	for k, rows := range stored {
		if events[k] == nil {
			v.find(&v.Unknown, "%s is stored %d times and was sent by nobody", k, len(rows))
		}
	}
	return v
}

// compareEvent looks at one event.
func (v *verdict) compareEvent(k key, s *sent, rows []storedEvent, buried map[uuid.UUID]bool) {
	if s.fate == toBury {
		for _, row := range rows {
			v.find(&v.Unknown, "%s is stored as %s and should have been rejected", k, row.uid)
		}
		v.compareBuried(k, s, buried)
		return
	}
	if len(rows) == 0 {
		if len(s.accepted) > 0 && len(buried) == 0 {
			v.find(&v.Lost, "%s was accepted as %s and is nowhere", k, s.accepted[0])
		}
		return
	}
	for _, row := range rows[1:] {
		v.find(&v.Double, "%s is stored as %s and again as %s", k, rows[0].uid, row.uid)
	}
	v.Duplicates += len(s.accepted)
	for _, row := range rows {
		told := slices.Contains(s.accepted, row.uid)
		if told {
			v.Duplicates--
		}
		switch e := s.event; {
		case !told && s.unanswered == 0:
			v.find(&v.Unknown, "%s is stored as %s, which is none of the uids that it was accepted as", k, row.uid)
		case row.correlation != e.CorrelationID, row.aggregate != e.AggregateID, row.eventType != e.Type,
			!row.occurred.Equal(e.OccurredAt), row.payload != string(e.Payload):
			v.find(&v.Altered, "%s is not stored as it was sent: %+v", k, row)
		}
	}
}

// compareBuried looks at the dead letters of an event that is never right. Each delivery is a dead letter of its own, or, when a
// stage behind dedupe rejects it, the duplicate of one.
func (v *verdict) compareBuried(k key, s *sent, buried map[uuid.UUID]bool) {
	if len(s.accepted) > 0 && len(buried) == 0 {
		v.find(&v.Unburied, "%s was accepted as %s and is no dead letter", k, s.accepted[0])
	}
	known := 0
	for _, uid := range s.accepted {
		if buried[uid] {
			known++
		}
	}
	if len(buried)-known > s.unanswered {
		v.find(&v.Double, "%s has %d dead letters, %d of deliveries that were answered; %d were not", k, len(buried), known, s.unanswered)
	}
}
