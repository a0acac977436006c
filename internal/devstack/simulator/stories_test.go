package simulator_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

// The stories make sense to those who listen: the API takes what is valid and nothing else, the catalogue knows the codes, and what
// the events of a journey fold into is its end, whatever was sent twice, late, by mistake or corrected.
func TestTheEngineUnderstandsTheStories(t *testing.T) {
	t.Parallel()
	file, err := config.Files().Open("milestones.yaml")
	require.NoError(t, err)
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, errors.Join(err, file.Close()))

	journeys := map[string][]*tracking.Event{}
	first := map[string]int{}
	for _, e := range tape() {
		results, err := native.Decode(e.Body, native.JSON, formats.Options{})
		require.NoError(t, err)
		require.Equal(t, e.Valid, results[0].OK(), "%s %v", e.Body, results[0].Findings)
		if !e.Valid {
			continue
		}
		require.Empty(t, results[0].Findings, "%s", e.Body)
		event := results[0].Event
		event.UID = uuid.Must(uuid.NewV7())
		event.ReceivedAt = start.Add(time.Duration(e.at) * time.Second)
		meaning, known := catalog.Lookup(event.Kind, event.Type)
		require.Equal(t, e.Nature != simulator.UnknownCode, known, event.Type)
		event.Enrichment.Milestone, event.Enrichment.Exception = meaning.Milestone, meaning.Exception
		journeys[e.CorrelationID] = append(journeys[e.CorrelationID], event)
		if _, seen := first[e.CorrelationID]; !seen {
			first[e.CorrelationID] = e.at
		}
	}
	ends := map[tracking.Milestone]int{}
	for id, events := range journeys {
		trace := tracking.Fold(events)
		if first[id] < tapeSize/4 {
			require.True(t, trace.Status.Terminal(), "%s is only %s", id, trace.Status)
			require.Empty(t, trace.Exception, id)
		}
		require.Empty(t, trace.Anomalies, id)
		ends[trace.Status]++
	}
	require.Positive(t, ends[tracking.Delivered])
	require.Positive(t, ends[tracking.InTransit])
}
