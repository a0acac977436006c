package routers_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// BenchmarkLedger runs a pipeline of two hops whose stages do nothing, the worst case for what a ledger costs, without and with
// one. The second includes that everything is entered in the database.
func BenchmarkLedger(b *testing.B) {
	for _, with := range []bool{false, true} {
		name := "without"
		if with {
			name = "with"
		}
		b.Run(name, func(b *testing.B) { benchLedger(b, with) })
	}
}

func benchLedger(b *testing.B, with bool) {
	silent := slog.New(slog.DiscardHandler)
	server, err := broker.Start(b.Context(), b.TempDir())
	require.NoError(b, err)
	b.Cleanup(server.Stop)
	c := nats.DefaultConfig()
	c.Options = []natsgo.Option{server.Option()}
	transport, err := nats.Connect(c, silent)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, transport.Close()) })
	config := store.DefaultConfig()
	config.URL = databases.URL(b)
	db, err := store.Open(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(db.Close)
	codec, err := routers.NewCodec()
	require.NoError(b, err)
	registry := pipeline.NewRegistry()
	for _, name := range []string{"first", "second"} {
		require.NoError(b, registry.Register(pipeline.Define(name, "", func() struct{} { return struct{}{} },
			func(struct{}, pipeline.Settings) (pipeline.Stage, error) {
				return pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil }), nil
			})))
	}
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: in\nto: out\nstages: [{use: first}, {use: second}]\n"), registry)
	require.NoError(b, err)
	plan := spec.Plan()
	require.NoError(b, transport.Provision(b.Context(), pipeline.Topics(plan)))
	for left := b.N; left > 0; {
		events := make([]*tracking.Event, min(left, 100))
		for i := range events {
			events[i] = &tracking.Event{
				UID: uuid.Must(uuid.NewV7()), TenantID: []string{"a", "b"}[i%2], EventID: "e", CorrelationID: "0045123456", Type: "loaded",
				ReceivedAt: time.Now().UTC(), OccurredAt: time.Now().UTC(), Payload: json.RawMessage(payload),
			}
		}
		left -= len(events)
		messages, err := codec.Encode(events, "", transport.MaxFrameBytes())
		require.NoError(b, err)
		require.NoError(b, transport.Publisher().Publish("in", messages...))
	}
	metrics, err := routers.NewMetrics(prometheus.NewRegistry())
	require.NoError(b, err)
	settings := routers.ProcessorConfig{
		Plan: plan, Transport: transport, Letters: db, Recorder: noCounts{}, Metrics: metrics, Logger: silent,
		Settings: pipeline.Settings{Logger: silent, Now: time.Now},
	}
	if with {
		settings.Ledger = db
	}
	p, err := routers.NewProcessor(settings, codec)
	require.NoError(b, err)
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- p.Run(context.Background()) }()
	<-p.Running()
	for idle := 0; idle < 2; {
		idle++
		for _, topic := range []string{plan.Hops[0].From, plan.Hops[1].From, plan.Ledger} {
			if n, err := transport.Backlog(b.Context(), topic, "p"); err != nil || n.Total() > 0 {
				idle = 0
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	b.StopTimer()
	require.NoError(b, p.Close(b.Context()))
	require.NoError(b, <-done)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
