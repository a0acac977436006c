package routers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// While somebody looks at a stage samples of what it does to their tenant's events are stored, a few a second, without what is personal; otherwise
// none are.
func TestSamplesAreTakenWhileSomebodyLooks(t *testing.T) {
	c := newClinic(t)
	c.mended.Store(true)
	of := store.StageWatch{TenantID: "acme", Pipeline: c.plan.Pipeline, Stage: "sieve"}
	require.NoError(t, c.db.WatchStage(t.Context(), of))
	recorder := routers.NewStatsRecorder(c.db, 10*time.Millisecond, time.Now, slog.New(slog.DiscardHandler))
	defer recorder.Close()
	metrics, err := routers.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	p, err := routers.NewProcessor(routers.ProcessorConfig{
		Plan: c.plan, Transport: c.transport, Letters: c.db, Ledger: c.db, Recorder: recorder, Metrics: metrics,
		Settings: pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, Logger: slog.New(slog.DiscardHandler),
	}, c.codec)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	<-p.Running()
	sent := 0
	send := func(tenant string, n int) {
		events := make([]*tracking.Event, n)
		for i := range events {
			sent++
			now := time.Now().UTC().Truncate(time.Millisecond)
			events[i] = &tracking.Event{
				UID: uuid.Must(uuid.NewV7()), EventID: fmt.Sprint("through", sent), TenantID: tenant, Source: "LA", Type: "loaded", CorrelationID: "c", OccurredAt: now, ReceivedAt: now,
				Payload:  json.RawMessage(`{"bag":"0045123456"}`),
				Personal: &tracking.Personal{Subject: "C-1", Data: json.RawMessage(`{"name":"Quispe"}`)},
			}
			if i == 0 {
				events[i].EventID = "filtered"
			}
		}
		messages, err := c.codec.Encode(events, "", 1<<20)
		require.NoError(t, err)
		require.NoError(t, c.transport.Publisher().Publish("in", messages...))
	}
	var samples []store.StageSample
	require.Eventually(t, func() bool { // what is looked at is asked every two seconds
		send("acme", 30)
		send("umbrella", 3)
		samples, err = c.db.StageSamples(t.Context(), of, 0, 1000)
		require.NoError(t, err)
		return len(samples) > 0
	}, 30*time.Second, 100*time.Millisecond)
	perSecond := map[time.Time]int{}
	for _, s := range samples {
		perSecond[s.At.Truncate(time.Second)]++
		require.NotContains(t, s.Before+s.After+s.Message, "Quispe")
		require.Contains(t, s.Before, `"payload":{"bag":"0045123456"}`)
		require.Empty(t, s.After, "the stage changes nothing")
		if strings.Contains(s.Before, `"filtered"`) {
			require.Equal(t, []string{"drop", "filtered", "not ours"}, []string{s.Outcome, s.Code, s.Message})
		} else {
			require.Equal(t, "pass", s.Outcome)
		}
	}
	for at, n := range perSecond {
		require.LessOrEqual(t, n, 20, at) // ten of a second may be through in the next one
	}
	for _, other := range []store.StageWatch{{TenantID: "umbrella", Pipeline: of.Pipeline, Stage: of.Stage}, {TenantID: "acme", Pipeline: of.Pipeline, Stage: "gate"}} {
		none, err := c.db.StageSamples(t.Context(), other, 0, 1000)
		require.NoError(t, err)
		require.Empty(t, none)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ended) // what is in hand does not matter
	require.NoError(t, <-done)
}
