package cli

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
)

// world is a broker, a database, and the shipped pipelines with one more behind them that filters and splits.
type world struct {
	t         *testing.T
	plans     []pipeline.Plan
	transport routers.Transport
	db        *store.Store
	codec     *routers.Codec
	url       string
}

func newWorld(t *testing.T, broker string) *world {
	t.Helper()
	e := newEnvironmentOver(t, broker)
	var transport routers.Transport
	var err error
	if broker == config.BrokerSQS {
		transport, err = connectSQS(surroundings{process: e.process, logger: slog.New(slog.DiscardHandler)}, prometheus.NewRegistry())
	} else {
		c := nats.DefaultConfig()
		c.URL, c.AckWait = e.process.Broker.NATSURL, 2*time.Second
		transport, err = nats.Connect(c, slog.New(slog.DiscardHandler))
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	db, err := store.Open(t.Context(), storeConfig(e.process))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	require.NoError(t, db.EnsurePartitions(t.Context(), time.Now()))
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	registry, err := options{}.registry()
	require.NoError(t, err)
	sources, err := pipelineSources(config.Files())
	require.NoError(t, err)
	sources = append(sources, pipeline.Source{File: "legs.yaml", Text: []byte(`
pipeline: legs
from: events.persisted
stages:
  - use: filter
    with: {keep: 'event.event_type != "QQ"'}
  - use: split
    with: {items: event.payload.legs, set: {payload: item}}
`)})
	w := &world{t: t, transport: transport, db: db, codec: codec, url: e.process.Database.URL}
	for _, source := range sources {
		spec, err := pipeline.Parse(source.File, source.Text, registry)
		require.NoError(t, err)
		w.plans = append(w.plans, spec.Plan())
	}
	require.NoError(t, transport.Provision(t.Context(), pipeline.Topics(w.plans...)))
	return w
}

// start runs every pipeline.
func (w *world) start() (stop func(ctx context.Context) error) {
	w.t.Helper()
	silent := slog.New(slog.DiscardHandler)
	var running []*routers.Processor
	for _, plan := range w.plans {
		metrics, err := routers.NewMetrics(prometheus.NewRegistry())
		require.NoError(w.t, err)
		recorder := routers.NewStatsRecorder(w.db, time.Second, time.Now, silent)
		w.t.Cleanup(recorder.Close)
		p, err := routers.NewProcessor(routers.ProcessorConfig{
			Plan: plan, Transport: w.transport, Settings: stageSettings(processors{Logger: silent, Files: config.Files(), Store: w.db}),
			Letters: w.db, Ledger: w.db, Recorder: recorder, Metrics: metrics, Logger: silent,
		}, w.codec)
		require.NoError(w.t, err)
		require.NoError(w.t, startProcessor(w.t.Context(), p, plan.Pipeline))
		running = append(running, p)
	}
	return func(ctx context.Context) error {
		var failed error
		for _, p := range running {
			if err := p.Close(ctx); err != nil {
				failed = err
			}
		}
		return failed
	}
}

// idle waits until nothing is left in any topic: twice in a row, because what is looked for goes from one to the other.
func (w *world) idle() {
	w.t.Helper()
	empty := 0
	require.Eventually(w.t, func() bool {
		empty++
		for _, topic := range pipeline.Topics(w.plans...) {
			for _, reader := range topic.Readers {
				if n, err := w.transport.Backlog(context.Background(), topic.Name, reader); err != nil || n.Total() > 0 {
					empty = 0
				}
			}
		}
		return empty == 3
	}, 60*time.Second, 20*time.Millisecond)
}

// count returns the one number that a query of the database's owner gives.
func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	db, err := pgx.Connect(w.t.Context(), w.url)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, db.Close(context.Background())) }()
	require.NoError(w.t, db.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

// The shipped pipelines reconcile to the event, with frames that the broker delivers twice and processors that are killed again
// and again; and what the ledger says is what the store holds.
func TestShippedPipelinesReconcile(t *testing.T) {
	for _, broker := range []string{config.BrokerNATS, config.BrokerSQS} {
		t.Run(broker, func(t *testing.T) { shippedPipelinesReconcile(t, broker) })
	}
}

func shippedPipelinesReconcile(t *testing.T, broker string) {
	t.Helper()
	w := newWorld(t, broker)
	now := time.Now().UTC()
	sent := map[string]int64{}
	for _, batch := range journeys(t, now) {
		for i, e := range batch {
			sent[e.TenantID]++
			if i%2 == 0 {
				e.Payload = []byte(`{"location":"LIM","flight":"LA2468","legs":[{"n":1},{"n":2}]}`)
			}
		}
		frames, err := w.codec.Encode(batch, "", w.transport.MaxFrameBytes())
		require.NoError(t, err)
		require.NoError(t, w.transport.Publisher().Publish(ingest.Topic, frames...))
		require.NoError(t, w.transport.Publisher().Publish(ingest.Topic, frames[0].Copy()), "as after an acknowledgement that was lost")
	}
	killed, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		before := w.count(`SELECT count(*) FROM event_store`)
		stop := w.start()
		require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM event_store`) > before || before == 40*11 }, 30*time.Second, time.Millisecond)
		_ = stop(killed) // what was in hand is let go: the error says so
	}
	stop := w.start()
	w.idle()
	require.NoError(t, stop(t.Context()))

	for tenant, events := range sent {
		balances, err := w.db.Balance(t.Context(), tenant)
		require.NoError(t, err)
		require.Len(t, balances, 2)
		legs, main := balances[0], balances[1]
		require.Equal(t, store.Balance{
			Pipeline: "tracking", Received: events, Passed: w.count(`SELECT count(*) FROM event_store WHERE tenant_id = $1`, tenant),
			Duplicates: 20, DeadLettered: w.count(`SELECT count(*) FROM dead_letters WHERE tenant_id = $1`, tenant),
		}, main, "nothing is in flight, and all the rest is where it is said to be")
		require.Equal(t, events, main.Passed+main.Duplicates+main.DeadLettered)
		require.True(t, legs.Settled(), "%+v", legs)
		require.Equal(t, main.Passed, legs.Received, "what one pipeline passes the next receives")
		require.Positive(t, legs.Emitted)
		require.Positive(t, legs.Dropped)
		require.Equal(t, legs.Received+legs.Emitted, legs.Passed+legs.Dropped)

		found, err := w.db.Duplicates(t.Context(), tenant, store.DuplicateFilter{}, store.DuplicateCursor{}, 1000)
		require.NoError(t, err)
		require.Len(t, found, 20, "a correction is no duplicate")
		for _, d := range found {
			require.Equal(t, []string{"tracking", "dedupe", "duplicate", "LA-baggage", store.Resent}, []string{d.Pipeline, d.Stage, d.Code, d.Source, d.How})
			require.EqualValues(t, 1, w.count(`SELECT count(*) FROM event_store WHERE uid = $1 AND event_id = $2 AND revision = 0`, d.Of, d.EventID))
			require.Zero(t, w.count(`SELECT count(*) FROM event_store WHERE uid = $1`, d.UID))
			require.EqualValues(t, 1, w.count(`SELECT count(*) FROM event_store WHERE event_id = $1 AND revision = 1`, d.EventID), "the correction is stored")
		}
		trace, err := w.db.Trace(t.Context(), tenant, found[0].CorrelationID)
		require.NoError(t, err)
		require.True(t, func() bool {
			for _, e := range trace.Events {
				if e.UID == *found[0].Of {
					return true
				}
			}
			return false
		}())
	}
}
