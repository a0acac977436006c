package routers_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
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

// clinic is a pipeline whose first stage rejects everything until it is mended, with its letters and ledger in a real database.
type clinic struct {
	*bench
	db     *store.Store
	mended atomic.Bool
	copies atomic.Int64 // how often events came to the last stage
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{}
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	var err error
	c.db, err = store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(c.db.Close)
	each := func(decide func(batch *pipeline.Batch, i int, kind string)) pipeline.Stage {
		return pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
			for i, e := range batch.Pending() {
				decide(batch, i, e.EventID)
			}
			return nil
		})
	}
	c.bench = newBenchOf(t, "[{use: gate}, {use: sieve}, {use: keep}]", map[string]pipeline.Stage{
		"gate": each(func(batch *pipeline.Batch, i int, kind string) {
			switch {
			case !c.mended.Load() || kind == "bad":
				batch.Reject(i, pipeline.Reason{Code: "schema"})
			case kind == "copy":
				batch.Drop(i, pipeline.Reason{Code: "duplicate", Of: uuid.UUID{1}})
			}
		}),
		"sieve": each(func(batch *pipeline.Batch, i int, kind string) {
			switch kind {
			case "filtered":
				batch.Drop(i, pipeline.Reason{Code: "filtered", Message: "not ours"})
			case "late-bad":
				batch.Reject(i, pipeline.Reason{Code: "late"})
			}
		}),
		"keep": pipeline.StageFunc(func(ctx context.Context, batch *pipeline.Batch) error {
			var kept []*tracking.Event
			for _, e := range batch.Pending() {
				c.copies.Add(1)
				if e.EventID != "through" {
					kept = append(kept, e)
				}
			}
			if len(kept) == 0 {
				return nil
			}
			_, err := c.db.Persist(ctx, kept)
			return err
		}),
	})
	return c
}

func (c *clinic) start() (stop func(ctx context.Context)) {
	c.t.Helper()
	metrics, err := routers.NewMetrics(prometheus.NewRegistry())
	require.NoError(c.t, err)
	p, err := routers.NewProcessor(routers.ProcessorConfig{
		Plan: c.plan, Transport: c.transport, Letters: c.db, Ledger: c.db, Recorder: noCounts{}, Metrics: metrics,
		Settings: pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, Logger: slog.New(slog.DiscardHandler),
	}, c.codec)
	require.NoError(c.t, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	<-p.Running()
	return func(ctx context.Context) {
		err := p.Close(ctx)
		if ctx.Err() == nil {
			require.NoError(c.t, err)
		}
		require.NoError(c.t, <-done)
	}
}

func (c *clinic) states() map[string]string {
	letters, _, err := c.db.WholeLetters(context.Background(), "acme", store.LetterFilter{Stages: []string{"gate"}}, 100)
	if err != nil {
		return nil
	}
	states := map[string]string{}
	for _, l := range letters {
		var e tracking.Event
		if json.Unmarshal(l.Event, &e) == nil {
			states[e.EventID] = l.State
		}
	}
	return states
}

// redrive sends everything again as a job does that dies after it has published, and whose successor publishes it once more.
func (c *clinic) redrive() {
	c.t.Helper()
	_, err := c.db.StartLetterJob(c.t.Context(), store.NewLetterJob{
		TenantID: "acme", Action: store.LetterRedrive, Rate: 100, By: store.Actor{Subject: "u", Name: "Ana"}, Reason: "mended",
	})
	require.NoError(c.t, err)
	redriver, holder := routers.NewRedriver(c.codec, c.transport), uuid.New()
	job, found, err := c.db.ClaimLetterJob(c.t.Context(), holder, time.Minute)
	require.NoError(c.t, err)
	require.True(c.t, found)
	letters, _, _, err := c.db.TakeLetters(c.t.Context(), job.ID, holder, time.Minute, 100)
	require.NoError(c.t, err)
	var again []routers.Redrive
	var results []store.LetterResult
	for _, l := range letters {
		one, err := redriver.Prepare([]pipeline.Plan{c.plan}, l)
		require.NoError(c.t, err)
		one.Job = job.ID
		again, results = append(again, one), append(results, store.LetterResult{ID: l.ID, Result: "redriven"})
	}
	for range 2 {
		require.NoError(c.t, redriver.Send(c.t.Context(), []pipeline.Plan{c.plan}, again))
	}
	require.NoError(c.t, c.db.SettleJobLetters(c.t.Context(), job.ID, holder, time.Minute, results))
}

// Whatever becomes of an event that was redriven, its letter says so: dropped, a duplicate, stored, stored before, passed,
// rejected here or elsewhere; also when it is delivered twice, and whoever works on it is killed in between.
func TestEachEndOfARedriveSettlesItsLetter(t *testing.T) {
	c := newClinic(t)
	kinds := []string{"plain", "copy", "filtered", "through", "before", "bad", "late-bad"}
	events := make([]*tracking.Event, len(kinds))
	for i, kind := range kinds {
		events[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), EventID: kind, TenantID: "acme", Source: "LA", Type: "loaded", CorrelationID: "c-" + kind,
			OccurredAt: time.Now().UTC().Truncate(time.Second), ReceivedAt: time.Now().UTC().Truncate(time.Millisecond),
			Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		}
	}
	messages, err := c.codec.Encode(events, "", 1<<20)
	require.NoError(t, err)
	require.NoError(t, c.transport.Publisher().Publish("in", messages...))
	stop := c.start()
	require.Eventually(t, func() bool { return len(c.states()) == len(kinds) }, 20*time.Second, 10*time.Millisecond)
	stop(t.Context())
	_, err = c.db.Persist(t.Context(), events[4:5])
	require.NoError(t, err)

	c.mended.Store(true)
	c.redrive()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c.start()(ended) // what is in hand is let go and comes again
	stop = c.start()
	want := map[string]string{
		"plain": store.LetterStored, "copy": store.LetterDropped, "filtered": store.LetterDropped, "through": store.LetterPassed,
		"before": store.LetterStored, "bad": store.LetterOpen, "late-bad": store.LetterSuperseded,
	}
	require.Eventually(t, func() bool {
		states := c.states()
		for kind, state := range want {
			if states[kind] != state {
				return false
			}
		}
		return true
	}, 20*time.Second, 20*time.Millisecond, "%v", c.states())
	require.Eventually(t, func() bool {
		balance, err := c.db.Balance(context.Background(), "acme")
		return err == nil && len(balance) == 1 && balance[0].Settled() && c.copies.Load() >= 6
	}, 20*time.Second, 20*time.Millisecond)
	stop(t.Context())

	for kind, told := range map[string][2]string{
		"filtered": {"filtered", "dropped at stage sieve: not ours"},
		"copy":     {"duplicate", "dropped at stage gate: a copy of event " + uuid.UUID{1}.String()},
		"before":   {"", "its event was stored already"},
		"through":  {"", "its event left the pipeline, which does not store it"},
		"plain":    {"", ""},
	} {
		letters, err := c.db.Letters(t.Context(), "acme", store.LetterFilter{CorrelationID: "c-" + kind}, nil, 10)
		require.NoError(t, err)
		require.Len(t, letters, 1)
		_, story, err := c.db.Letter(t.Context(), "acme", letters[0].ID)
		require.NoError(t, err)
		require.Len(t, story, 3, "%s: %v", kind, story)
		require.Equal(t, told, [2]string{story[2].Code, story[2].Message}, kind)
	}
}
