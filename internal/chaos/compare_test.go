package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

// world is what clients know and what is stored, in agreement until a test spoils it.
type world struct {
	journal *journal
	rows    []storedEvent
	letters []letter
}

func uid(n int) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n)) }

func messageOf(id string, f fate) message {
	return message{fate: f, event: &tracking.Event{
		TenantID: "t", Source: "s", EventID: id, CorrelationID: "c", AggregateID: "a", Type: "loaded",
		OccurredAt: time.Unix(1000, 0), Payload: json.RawMessage(`{"a":1}`),
	}}
}

func rowOf(id uuid.UUID, e *tracking.Event) storedEvent {
	return storedEvent{id, keyOf(e), e.CorrelationID, e.AggregateID, e.Type, e.OccurredAt, string(e.Payload)}
}

// agreement has ten events that were accepted and stored, of which one was also accepted as a duplicate, one that was only stored
// because its answer was lost, and one that was rejected by a stage twice.
func agreement() *world {
	w := &world{journal: newJournal()}
	accept := func(m message, n int) {
		w.journal.answered([]message{m}, []result{{UID: uid(n).String(), EventID: m.event.EventID, Status: "accepted"}})
	}
	for n := range 10 {
		m := messageOf(fmt.Sprint("e", n), toStore)
		accept(m, n)
		w.rows = append(w.rows, rowOf(uid(n), m.event))
	}
	accept(messageOf("e3", toStore), 100)
	unheard := messageOf("unheard", toStore)
	w.journal.silent([]message{unheard})
	accept(unheard, 102)
	w.rows = append(w.rows, rowOf(uid(101), unheard.event))
	future := messageOf("future", toBury)
	for _, n := range []int{200, 201} {
		accept(future, n)
		w.letters = append(w.letters, letter{uid(n), keyOf(future.event), "validate", "future"})
	}
	malformed := message{body: []byte(`{}`)}
	w.journal.answered([]message{malformed}, []result{{Status: "rejected"}})
	w.journal.silent([]message{malformed})
	return w
}

func (w *world) compare() *verdict { return compare(w.journal.events, w.rows, w.letters) }

func TestWhatAgreesIsRight(t *testing.T) {
	w := agreement()
	v := w.compare()
	require.Zero(t, v.bad(), v.examples)
	require.Equal(t, verdict{Distinct: 12, Stored: 11, Duplicates: 2, DeadLetters: 2}, *v)
	require.Equal(t, tally{Sent: 17, Accepted: 14, Rejected: 1, Unanswered: 2, Malformed: 1}, w.journal.tally())
	require.Empty(t, w.journal.faults)
}

// Everything that can go wrong is found, and nothing else with it.
func TestWhatDisagreesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		found func(*verdict) int
	}{
		"an accepted event is nowhere": {
			func(w *world) { w.rows = w.rows[1:] },
			func(v *verdict) int { return v.Lost },
		},
		"an event is stored twice": {
			func(w *world) { w.rows = append(w.rows, rowOf(uid(100), messageOf("e3", toStore).event)) },
			func(v *verdict) int { return v.Double },
		},
		"a dead letter is written twice": {
			func(w *world) {
				w.letters = append(w.letters, letter{uid(202), w.letters[0].key, "validate", "future"})
			},
			func(v *verdict) int { return v.Double },
		},
		"an event is stored that nobody sent": {
			func(w *world) { w.rows = append(w.rows, rowOf(uid(300), messageOf("ghost", toStore).event)) },
			func(v *verdict) int { return v.Unknown },
		},
		"an event is stored under a uid that no answer gave": {
			func(w *world) { w.rows[0].uid = uid(300) },
			func(v *verdict) int { return v.Unknown },
		},
		"an event is stored that had to be rejected": {
			func(w *world) { w.rows = append(w.rows, rowOf(uid(200), messageOf("future", toBury).event)) },
			func(v *verdict) int { return v.Unknown },
		},
		"a dead letter of what nobody sent": {
			func(w *world) { w.letters = append(w.letters, letter{uid: uid(300), key: key{eventID: "ghost"}}) },
			func(v *verdict) int { return v.Unknown },
		},
		"a payload changes on the way": {
			func(w *world) { w.rows[4].payload = `{"a": 1}` },
			func(v *verdict) int { return v.Altered },
		},
		"an event lands in another journey": {
			func(w *world) { w.rows[4].correlation = "d" },
			func(v *verdict) int { return v.Altered },
		},
		"what had to become a dead letter is nowhere": {
			func(w *world) { w.letters = nil },
			func(v *verdict) int { return v.Unburied },
		},
		"a good event is a dead letter instead": {
			func(w *world) {
				w.letters = append(w.letters, letter{w.rows[5].uid, w.rows[5].key, "persist", "refused"})
				w.rows = slices.Delete(w.rows, 5, 6)
			},
			func(v *verdict) int { return v.Undeserved },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := agreement()
			c.spoil(w)
			v := w.compare()
			require.Equal(t, 1, c.found(v), v.examples)
			require.Equal(t, 1, v.bad(), v.examples)
			require.Len(t, v.examples, 1)
		})
	}
}

func TestAnswersThatNobodyMayGetAreFaults(t *testing.T) {
	good := messageOf("good", toStore)
	for name, c := range map[string]struct {
		m message
		r result
	}{
		"a malformed event is accepted": {message{body: []byte(`{}`)}, result{UID: uid(1).String(), Status: "accepted"}},
		"a good event is refused":       {good, result{Status: "rejected"}},
		"an accepted event has no uid":  {good, result{EventID: "good", Status: "accepted"}},
		"another event is accepted":     {good, result{UID: uid(1).String(), EventID: "bad", Status: "accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			j.answered([]message{c.m}, []result{c.r})
			require.Len(t, j.faults, 1)
		})
	}
}

func TestATraceIsTheFoldOfItsEvents(t *testing.T) {
	e := messageOf("e", toStore).event
	e.UID = uid(1)
	folded := tracking.Fold([]*tracking.Event{e}).Summary
	stored := storedTrace{state: tracking.Rebuild([]*tracking.Event{e}), status: string(folded.Status), events: 1, odd: folded.UnknownCount}
	require.Empty(t, differs(stored, folded))
	twice := stored
	twice.events = 2
	require.NotEmpty(t, differs(twice, folded))
	other := *e
	other.UID, other.EventID = uid(2), "f"
	stored.state = tracking.Rebuild([]*tracking.Event{e, &other})
	require.NotEmpty(t, differs(stored, folded))
}

func TestTheBalanceIsFoundInTheAnswer(t *testing.T) {
	var answer any
	require.NoError(t, json.Unmarshal([]byte(`{"pipelines":[
		{"pipeline":"tracking","received":10,"passed":6,"duplicates":3,"dead_lettered":1,"in_flight":0},
		{"pipeline":"audit","received":5,"passed":4,"in_flight":1}]}`), &answer))
	sum, err := sumBalances(answer)
	require.NoError(t, err)
	require.Equal(t, balance{Received: 15, Passed: 10, Duplicates: 3, DeadLettered: 1, InFlight: 1}, sum)
	require.False(t, sum.settled())
	require.True(t, balance{Received: 10, Passed: 6, Duplicates: 3, DeadLettered: 1}.settled())
	require.False(t, balance{Received: 11, Passed: 6, Duplicates: 3, DeadLettered: 1}.settled(), "one is nowhere")
}
