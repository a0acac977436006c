package stages_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/stages"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }

func registry(t *testing.T) *pipeline.Registry {
	t.Helper()
	r := pipeline.NewRegistry()
	require.NoError(t, stages.Register(r))
	return r
}

func shippedPipeline(t *testing.T) pipeline.Spec {
	t.Helper()
	const file = "pipelines/tracking.yaml"
	source, err := fs.ReadFile(config.Files(), file)
	require.NoError(t, err)
	spec, err := pipeline.Parse(file, source, registry(t))
	require.NoError(t, err)
	return spec
}

func TestRegisterNamesEveryStage(t *testing.T) {
	t.Parallel()
	r := registry(t)
	require.Equal(t, []string{"aggregate", "dedupe", "enrich", "filter", "http", "log", "persist", "publish", "route", "split", "throttle", "transform", "validate", "wasm"}, r.Names())
	require.ErrorContains(t, stages.Register(r), "registered twice")
	for _, name := range r.Names() {
		definition, ok := r.Lookup(name)
		require.True(t, ok)
		require.NotEmpty(t, definition.Summary)
	}
}

func TestShippedPipelineHasATopicBetweenStages(t *testing.T) {
	t.Parallel()
	var topics []string
	for _, hop := range shippedPipeline(t).Plan().Hops {
		topics = append(append(topics, hop.From), hop.To...)
	}
	require.Equal(t, []string{
		"events.ingested", "tracking.dedupe", "tracking.dedupe", "tracking.enrich", "tracking.enrich", "tracking.persist",
		"tracking.persist", "events.persisted",
	}, topics)
}

type unobserved struct{}

func (unobserved) Observe(string, *pipeline.Batch, time.Duration) {}

// The whole shipped pipeline, against a real database: what is right is stored, once, with what it means; what is not is
// rejected or dropped with its reason.
func TestShippedPipelineFromEventToTrace(t *testing.T) {
	t.Parallel()
	storeConfig := store.DefaultConfig()
	storeConfig.URL = databases.URL(t)
	opened, err := store.Open(t.Context(), storeConfig)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	require.NoError(t, opened.EnsurePartitions(t.Context(), time.Now()))

	settings := pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Files: config.Files(), Now: time.Now}
	settings = pipeline.Provide[dedupe.Claims](settings, opened)
	settings = pipeline.Provide[persist.Store](settings, opened)

	start := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	event := func(id, code string, minute int) *tracking.Event {
		uid, err := uuid.NewV7()
		require.NoError(t, err)
		return &tracking.Event{
			UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: id, CorrelationID: "0045123456", AggregateID: "0045123456",
			Kind: tracking.Baggage, Type: code, Classifier: tracking.Actual, OccurredAt: start.Add(time.Duration(minute) * time.Minute),
			ReceivedAt: start.Add(time.Hour), Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`),
		}
	}
	future, untyped := event("e5", "departed", 600), event("e6", "", 5)
	work := []*pipeline.Work{
		{Event: event("e1", "checked_in", 1)}, {Event: event("e2", "loaded", 3)}, {Event: event("e2", "loaded", 3)},
		{Event: event("e3", "screened", 2)}, {Event: event("e4", "QQ", 4)}, {Event: future}, {Event: untyped},
	}
	for _, hop := range shippedPipeline(t).Plan().Hops {
		chain, err := hop.Build("tracking", settings, nil)
		require.NoError(t, err)
		var next []*pipeline.Work
		for _, w := range work {
			if w.Verdict.Outcome == pipeline.Pass {
				next = append(next, &pipeline.Work{Event: w.Event})
			}
		}
		_, err = chain.Run(t.Context(), next, unobserved{})
		require.NoError(t, err)
		at := 0
		for _, w := range work {
			if w.Verdict.Outcome == pipeline.Pass {
				w.Verdict, w.Stage = next[at].Verdict, next[at].Stage
				at++
			}
		}
	}

	codes := make([]string, len(work))
	for i, w := range work {
		codes[i] = w.Stage + " " + w.Verdict.Reason.Code
	}
	require.Equal(t, []string{" ", " ", "dedupe duplicate", " ", " ", "validate future", "validate schema"}, codes)

	trace, err := opened.Trace(t.Context(), "talma-pe", "0045123456")
	require.NoError(t, err)
	require.Equal(t, tracking.Loaded, trace.Status)
	require.Equal(t, 4, trace.EventCount)
	require.Equal(t, 1, trace.UnknownCount)
	require.Equal(t, "Lima", trace.LastLocation.City)
	require.Equal(t, "LATAM Chile", trace.Events[0].Enrichment.Airline.Name)
	require.Equal(t, "2468", trace.Legs[0].Transport.Number)
}
