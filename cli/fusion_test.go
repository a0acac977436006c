package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// journeys returns batches of events with all that the shipped pipelines tell apart: journeys of several events, copies,
// corrections, unknown codes, voids, events of the future and events that no schema takes. Copies are batch mates, so that which
// came first does not depend on which worker was faster.
func journeys(t *testing.T, now time.Time) [][]*tracking.Event {
	t.Helper()
	codes := []string{"checked_in", "screened", "loaded", "departed", "arrived", "unloaded", "delivered", "QQ"}
	var batches [][]*tracking.Event
	for journey := range 40 {
		var batch []*tracking.Event
		add := func(change func(e *tracking.Event)) {
			uid, err := uuid.NewV7()
			require.NoError(t, err)
			id := fmt.Sprintf("00451%05d", journey)
			e := &tracking.Event{
				UID: uid, TenantID: []string{"talma-pe", "talma-ec"}[journey%2], Source: "LA-baggage", EventID: fmt.Sprintf("e%d-%d", journey, len(batch)),
				CorrelationID: id, AggregateID: id, Kind: tracking.Baggage, Type: codes[len(batch)%len(codes)], Classifier: tracking.Actual,
				OccurredAt: now.Add(time.Duration(len(batch)-60) * time.Minute), ReceivedAt: now,
				Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468", "weight": 1.50}`),
			}
			change(e)
			batch = append(batch, e)
		}
		for range codes {
			add(func(*tracking.Event) {})
		}
		add(func(e *tracking.Event) { e.EventID, e.Type = batch[2].EventID, batch[2].Type })             // a copy
		add(func(e *tracking.Event) { e.EventID, e.Type, e.Revision = batch[2].EventID, "unloaded", 1 }) // a correction
		add(func(e *tracking.Event) { e.OccurredAt = now.Add(48 * time.Hour) })                          // of the future
		add(func(e *tracking.Event) { e.Type = "" })                                                     // wrong
		add(func(e *tracking.Event) {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{batch[3].EventID}}
		}) // a void
		add(func(e *tracking.Event) { e.Classifier, e.OccurredAt = tracking.Estimated, now.Add(time.Minute) }) // a forecast
		batches = append(batches, batch)
	}
	return batches
}

// stored is what a run left in the database.
type stored struct {
	Events, Traces, Letters, Counts []string
}

func readStored(t *testing.T, url string) stored {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	rows := func(query string) []string {
		result, err := db.Query(t.Context(), query)
		require.NoError(t, err)
		list, err := pgx.CollectRows(result, pgx.RowTo[string])
		require.NoError(t, err)
		return list
	}
	return stored{
		Events:  rows(`SELECT (to_jsonb(e) - '{stored_at,chain_epoch,chain_seq,chain_prev,chain_hash}'::text[])::text FROM event_store e ORDER BY uid`),
		Traces:  rows(`SELECT (to_jsonb(t) - '{updated_at,chain_hash}'::text[])::text FROM traces t ORDER BY tenant_id, correlation_id`),
		Letters: rows(`SELECT concat_ws(' ', uid, pipeline, stage, code, message, field, attempts, convert_from(event, 'UTF8')) FROM dead_letters ORDER BY uid`),
		Counts:  rows(`SELECT concat_ws(' ', tenant_id, pipeline, stage, outcome, events) FROM stage_totals ORDER BY 1`),
	}
}

// Invariant 9: the shipped pipelines leave the same behind with a topic between all stages and with none.
func TestShippedPipelinesStoreTheSameFusedAndApart(t *testing.T) {
	registry, err := options{}.registry()
	require.NoError(t, err)
	sources, err := pipelineSources(config.Files())
	require.NoError(t, err)
	now := time.Now().UTC().Truncate(time.Microsecond)
	events := journeys(t, now)
	run := func(name string, fuse func(spec *pipeline.Spec)) stored {
		var plans []pipeline.Plan
		for _, source := range sources {
			spec, err := pipeline.Parse(source.File, source.Text, registry)
			require.NoError(t, err)
			fuse(&spec)
			plans = append(plans, spec.Plan())
		}
		t.Log(name, len(plans[0].Hops), "hops")
		return runOnce(t, plans, events, now)
	}
	apart := run("apart", func(spec *pipeline.Spec) {
		for i := range spec.Stages {
			spec.Stages[i].Fuse = false
		}
	})
	require.Len(t, apart.Traces, 40)
	require.Len(t, apart.Letters, 80)
	require.Len(t, apart.Events, 40*11)
	fused := run("fused", func(spec *pipeline.Spec) {
		for i := range spec.Stages {
			spec.Stages[i].Fuse = i > 0
		}
	})
	require.Equal(t, apart, fused)
	require.Equal(t, apart, run("as shipped", func(*pipeline.Spec) {}))
}

// runOnce runs pipelines over events in a world of its own and returns what is stored when all of them are settled.
func runOnce(t *testing.T, plans []pipeline.Plan, batches [][]*tracking.Event, now time.Time) stored {
	t.Helper()
	e := newEnvironment(t)
	silent := slog.New(slog.DiscardHandler)
	c := nats.DefaultConfig()
	c.URL = e.process.Broker.NATSURL
	transport, err := nats.Connect(c, silent)
	require.NoError(t, err)
	defer func() { require.NoError(t, transport.Close()) }()
	require.NoError(t, transport.Provision(t.Context(), pipeline.Topics(plans...)))
	db, err := store.Open(t.Context(), storeConfig(e.process))
	require.NoError(t, err)
	defer db.Close()
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	metrics, err := routers.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	recorder := routers.NewStatsRecorder(db, 50*time.Millisecond, time.Now, silent)

	for _, batch := range batches {
		own := make([]*tracking.Event, len(batch))
		for i, event := range batch {
			own[i] = event.Clone()
		}
		frames, err := codec.Encode(own, "", transport.MaxFrameBytes())
		require.NoError(t, err)
		require.Len(t, frames, 1)
		require.NoError(t, transport.Publisher().Publish(ingest.Topic, frames...))
	}
	settings := stageSettings(processors{Logger: silent, Files: config.Files(), Store: db})
	settings.Now = func() time.Time { return now }
	var running []*routers.Processor
	for _, plan := range plans {
		p, err := routers.NewProcessor(routers.ProcessorConfig{
			Plan: plan, Transport: transport, Settings: settings, Letters: db, Recorder: recorder, Metrics: metrics, Logger: silent,
		}, codec)
		require.NoError(t, err)
		require.NoError(t, startProcessor(t.Context(), p, plan.Pipeline))
		running = append(running, p)
	}
	require.Eventually(t, func() bool {
		for _, topic := range pipeline.Topics(plans...) {
			for _, reader := range topic.Readers {
				if n, err := transport.Backlog(context.Background(), topic.Name, reader); err != nil || n.Total() > 0 {
					return false
				}
			}
		}
		return true
	}, 60*time.Second, 50*time.Millisecond)
	for _, p := range running {
		require.NoError(t, p.Close(t.Context()))
	}
	recorder.Close()
	return readStored(t, e.process.Database.URL)
}
