package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sender's requests are JSON, each event is sent once, and the steps of a journey bear one id.
func TestSendersSendEachEventOnce(t *testing.T) {
	const batch, rounds = 3, 2
	s := newSender(flooding{Batch: batch, Payload: 64}, "F", 7)
	events, journeys := map[string]bool{}, map[string]int{}
	for n := range rounds * floodSteps {
		var sent []struct {
			CorrelationID string `json:"correlation_id"`
			AggregateID   string `json:"aggregate_id"`
			EventID       string `json:"event_id"`
			EventType     string `json:"event_type"`
		}
		require.NoError(t, json.Unmarshal(s.body(n), &sent))
		require.Len(t, sent, batch)
		for _, e := range sent {
			require.False(t, events[e.EventID], e.EventID)
			events[e.EventID] = true
			journeys[e.CorrelationID]++
			require.Equal(t, e.CorrelationID, e.AggregateID)
			require.Equal(t, floodTypes[n%floodSteps], e.EventType)
		}
	}
	require.Len(t, journeys, rounds*batch)
	for id, steps := range journeys {
		require.Equal(t, floodSteps, steps, id)
	}
}
