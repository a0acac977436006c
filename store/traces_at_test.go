package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestTraceAsItWas(t *testing.T) {
	t.Parallel()
	s := open(t)
	began := time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
	add := func(id string, m tracking.Milestone, occurred, received int, corrects ...string) {
		e := newEvent("acme", "c", id)
		e.Enrichment.Milestone, e.OccurredAt, e.ReceivedAt = m, minute(occurred), minute(received)
		if corrects != nil {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: corrects}
		}
		persistAll(t, s, e)
	}
	add("1", tracking.Accepted, 0, 1)
	add("2", tracking.Delivered, 10, 11)
	add("3", "", 30, 31, "2")        // it was not delivered
	add("4", tracking.Loaded, 5, 40) // late
	add("5", tracking.Arrived, 50, 51)
	for name, test := range map[string]struct {
		times  Times
		status tracking.Milestone
		events int
	}{
		"all":                      {Times{}, tracking.Arrived, 5},
		"now":                      {Times{AsOf: minute(99), KnownAt: minute(99)}, tracking.Arrived, 5},
		"by then, as is known now": {Times{AsOf: minute(20)}, tracking.Loaded, 3},
		"known then":               {Times{KnownAt: minute(20)}, tracking.Delivered, 2},
		"known after the void":     {Times{KnownAt: minute(31)}, tracking.Accepted, 3},
		"both":                     {Times{AsOf: minute(7), KnownAt: minute(20)}, tracking.Accepted, 1},
	} {
		trace, err := s.TraceAt(t.Context(), "acme", "c", test.times)
		require.NoError(t, err, name)
		require.Equal(t, test.status, trace.Status, name)
		require.Len(t, trace.Events, test.events, name)
		byAggregate, err := s.TraceByAggregateAt(t.Context(), "acme", "0045123456", test.times)
		require.NoError(t, err, name)
		require.Equal(t, trace, byAggregate, name)
	}
	for _, times := range []Times{{AsOf: minute(-1)}, {KnownAt: minute(0)}} {
		_, err := s.TraceAt(t.Context(), "acme", "c", times)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.TraceByAggregateAt(t.Context(), "acme", "0045123456", times)
		require.ErrorIs(t, err, ErrNotFound)
	}
}

// A plan of what is to come had been made.
func TestPlanAsItWas(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c", "1")
	e.Classifier, e.OccurredAt = tracking.Planned, e.ReceivedAt.Add(time.Hour)
	persistAll(t, s, e)
	_, err := s.TraceByAggregateAt(t.Context(), "acme", e.AggregateID, Times{AsOf: e.ReceivedAt})
	require.NoError(t, err)
	_, err = s.TraceByAggregateAt(t.Context(), "acme", e.AggregateID, Times{AsOf: e.ReceivedAt.Add(-time.Second)})
	require.ErrorIs(t, err, ErrNotFound)
}
