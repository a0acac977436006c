package persist

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// odd are events that a store takes or refuses for reasons of its own.
func odd() []*tracking.Event {
	change := func(change func(*tracking.Event)) *tracking.Event {
		e := happened("0045123456", "loaded", tracking.Loaded, 2)
		change(e)
		return e
	}
	first := change(func(*tracking.Event) {})
	return []*tracking.Event{
		first, first,
		change(func(e *tracking.Event) { e.Payload = json.RawMessage(`{"belt":"\u0000"}`) }),
		change(func(e *tracking.Event) { e.Payload = json.RawMessage(`{"belt":`) }),
		change(func(e *tracking.Event) { e.Payload = nil }),
		change(func(e *tracking.Event) { e.Type = "a\x00b" }),
		change(func(e *tracking.Event) { e.Location = &tracking.Location{Name: "a\x00b"} }),
		change(func(e *tracking.Event) { e.Location = &tracking.Location{Name: `a\u0000b`} }),
		change(func(e *tracking.Event) { e.Enrichment.Exception = "a\x00b" }),
		change(func(e *tracking.Event) {
			e.Enrichment.Attributes = map[string]json.RawMessage{"note": json.RawMessage(`"\u0000"`)}
		}),
		change(func(e *tracking.Event) {
			e.Enrichment.Attributes = map[string]json.RawMessage{"note": json.RawMessage(`"\\u0000"`)}
		}),
		change(func(e *tracking.Event) { e.OccurredAt = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) }),
	}
}

// What is in memory takes and refuses what the database does.
func TestMemoryIsLikeTheStore(t *testing.T) {
	t.Parallel()
	database, memory := openStore(t), NewMemory()
	events := odd()
	for range 2 {
		want, err := database.Persist(t.Context(), events)
		require.NoError(t, err)
		got, err := memory.Persist(t.Context(), events)
		require.NoError(t, err)
		for i := range events {
			require.Equal(t, want[i].Inserted, got[i].Inserted, "event %d", i)
			require.Equal(t, want[i].Refused == nil, got[i].Refused == nil, "event %d: %v, %v", i, want[i].Refused, got[i].Refused)
		}
	}
}

// Invariant 10: whatever comes again, and in whatever order, the traces are those of the events.
func TestMemoryFoldsTraces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var events []*tracking.Event
		for i := range rapid.IntRange(1, 20).Draw(t, "events") {
			e := happened(rapid.SampledFrom([]string{"A", "B"}).Draw(t, "journey"), "loaded", tracking.Loaded, i)
			events = append(events, e)
		}
		memory := NewMemory()
		again := append(slices.Clone(events), events...)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for batch := range slices.Chunk(again, 3) {
			_, err := memory.Persist(t.Context(), batch)
			require.NoError(t, err)
		}
		require.Len(t, memory.Events(), len(events))
		var want []tracking.Trace
		for _, journey := range []string{"A", "B"} {
			of := slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool { return e.CorrelationID != journey })
			if len(of) > 0 {
				want = append(want, tracking.Fold(of))
			}
		}
		require.Equal(t, want, memory.Traces())
	})
}

func TestMemoryKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	memory := NewMemory()
	event := happened("A", "loaded", tracking.Loaded, 1)
	_, err := memory.Persist(t.Context(), []*tracking.Event{event})
	require.NoError(t, err)
	event.Enrichment.Milestone = tracking.Lost
	require.Equal(t, tracking.Loaded, memory.Events()[0].Enrichment.Milestone)
}

func TestForgetfulMemoryKeepsNothing(t *testing.T) {
	t.Parallel()
	memory := NewForgetful()
	event := happened("A", "loaded", tracking.Loaded, 1)
	bad := happened("A", strings.Repeat("\x00", 2), tracking.Loaded, 1)
	for range 2 {
		got, err := memory.Persist(t.Context(), []*tracking.Event{event, bad})
		require.NoError(t, err)
		require.True(t, got[0].Inserted)
		require.Error(t, got[1].Refused)
	}
	require.Empty(t, memory.Events())
	require.Empty(t, memory.Traces())
	require.NotEqual(t, uuid.Nil, event.UID)
}
