package routers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// books is a bench with a ledger in a real database, and two pipelines: `p`, and `q` that reads what p writes.
type books struct {
	*bench
	db    *store.Store
	plans []pipeline.Plan
	// trouble has stages and publishers fail now and then, some of them after they did what they were asked to.
	trouble atomic.Bool
	mu      sync.Mutex
	random  *rand.Rand
	// published counts frames, so that a test can wait until some work was done.
	published atomic.Int64
}

func (b *books) unlucky(percent int) bool {
	if !b.trouble.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(100) < percent
}

// kinds of events: what becomes of one that is called KIND-NUMBER.
var kinds = []string{"plain", "copy", "filtered", "bad", "late-bad", "split", "leaves", "copied", "jumps", "lost"}

func newBooks(t *testing.T, seed uint64) *books {
	t.Helper()
	b := &books{bench: newBench(t, nil), random: rand.New(rand.NewPCG(seed, 1))}
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	var err error
	b.db, err = store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
	registry := pipeline.NewRegistry()
	for name, decide := range map[string]func(batch *pipeline.Batch, i int, kind string){
		"first": func(batch *pipeline.Batch, i int, kind string) {
			e := batch.Event(i)
			switch kind {
			case "copy":
				batch.Drop(i, pipeline.Reason{Code: "duplicate", Of: tracking.DeriveUID(e.UID, "of")})
			case "bad":
				batch.Reject(i, pipeline.Reason{Code: "schema"})
			case "split":
				for n, part := range []string{"plain", "filtered", "late-bad"} {
					batch.Emit(i, &tracking.Event{UID: tracking.DeriveUID(e.UID, part), EventID: fmt.Sprintf("%s-%d", part, n), TenantID: e.TenantID})
				}
				batch.Drop(i, pipeline.Reason{Code: "split"})
			case "leaves":
				batch.Route(i, pipeline.Route{Topics: []string{"side"}, Leave: true})
			case "copied":
				batch.Route(i, pipeline.Route{Topics: []string{"out"}})
			case "jumps":
				batch.Route(i, pipeline.Route{Stage: "third"})
			}
		},
		"second": func(batch *pipeline.Batch, i int, kind string) {
			if kind == "filtered" {
				batch.Drop(i, pipeline.Reason{Code: "filtered"})
			}
		},
		"third": func(batch *pipeline.Batch, i int, kind string) {
			if kind == "late-bad" {
				batch.Reject(i, pipeline.Reason{Code: "late"})
			}
		},
		"reader": func(batch *pipeline.Batch, i int, kind string) {
			if kind == "lost" {
				batch.Drop(i, pipeline.Reason{Code: "filtered"})
			}
		},
	} {
		stage := pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
			if b.unlucky(5) {
				return errors.New("down")
			}
			for i, e := range batch.Pending() {
				if b.unlucky(5) {
					batch.Retry(i, errors.New("not now"))
					continue
				}
				kind := e.EventID[:strings.LastIndex(e.EventID, "-")]
				decide(batch, i, kind)
			}
			return nil
		})
		require.NoError(t, registry.Register(pipeline.Define(name, "", func() struct{} { return struct{}{} },
			func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	}
	var topics []pipeline.Topic
	for file, text := range map[string]string{
		"p.yaml": "pipeline: p\nfrom: in\nto: out\nstages: [{use: first, retry: {backoff: 1ms}}, {use: second, retry: {backoff: 1ms}}, {use: third, fuse: true, retry: {backoff: 1ms}}]\n",
		"q.yaml": "pipeline: q\nfrom: out\nstages: [{use: reader, retry: {backoff: 1ms}}]\n",
	} {
		spec, err := pipeline.Parse(file, []byte(text), registry)
		require.NoError(t, err)
		b.plans = append(b.plans, spec.Plan())
	}
	topics = append(pipeline.Topics(b.plans...), pipeline.Topic{Name: "side", Readers: []string{"test"}})
	require.NoError(t, b.transport.Provision(t.Context(), topics))
	return b
}

// flaky is a transport whose publisher fails now and then, with and without having published.
type flaky struct {
	routers.Transport
	books *books
}

func (f flaky) Publisher() message.Publisher { return flakyPublisher{f.Transport.Publisher(), f.books} }

type flakyPublisher struct {
	message.Publisher
	books *books
}

func (p flakyPublisher) Publish(topic string, messages ...*message.Message) error {
	p.books.published.Add(1)
	if p.books.unlucky(10) {
		return errors.New("refused")
	}
	err := p.Publisher.Publish(topic, messages...)
	if err == nil && p.books.unlucky(10) {
		return errors.New("the answer was lost")
	}
	return err
}

// start runs both pipelines.
func (b *books) start() (stop func(ctx context.Context)) {
	b.t.Helper()
	var stops []func(context.Context)
	for _, plan := range b.plans {
		metrics, err := routers.NewMetrics(prometheus.NewRegistry())
		require.NoError(b.t, err)
		p, err := routers.NewProcessor(routers.ProcessorConfig{
			Plan: plan, Transport: flaky{b.transport, b}, Letters: b.letters, Ledger: b.db, Recorder: noCounts{}, Metrics: metrics,
			Settings: pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, Logger: slog.New(slog.DiscardHandler),
		}, b.codec)
		require.NoError(b.t, err)
		done := make(chan error, 1)
		go func() { done <- p.Run(context.Background()) }()
		<-p.Running()
		stops = append(stops, func(ctx context.Context) {
			err := p.Close(ctx)
			if ctx.Err() == nil {
				require.NoError(b.t, err)
			}
			require.NoError(b.t, <-done)
		})
	}
	return func(ctx context.Context) {
		for _, stop := range stops {
			stop(ctx)
		}
	}
}

// idle waits until nothing is left in any topic: twice in a row, because what is looked for goes from one to the other.
func (b *books) idle() {
	b.t.Helper()
	empty := 0
	require.Eventually(b.t, func() bool {
		empty++
		for _, topic := range pipeline.Topics(b.plans...) {
			for _, reader := range topic.Readers {
				if n, err := b.transport.Backlog(context.Background(), topic.Name, reader); err != nil || n.Total() > 0 {
					empty = 0
				}
			}
		}
		return empty == 3
	}, 60*time.Second, 20*time.Millisecond)
}

// expected is what the books must say when everything has ended.
func expected(ids []string) (p, q store.Balance) {
	p, q = store.Balance{Pipeline: "p"}, store.Balance{Pipeline: "q"}
	var end func(kind string)
	end = func(kind string) {
		switch kind {
		case "copy":
			p.Duplicates++
		case "filtered":
			p.Dropped++
		case "bad", "late-bad":
			p.DeadLettered++
		case "leaves":
			p.Passed++
		case "split":
			p.Dropped++
			p.Emitted += 3
			end("plain")
			end("filtered")
			end("late-bad")
		default:
			p.Passed++
			q.Received++
			if kind == "lost" {
				q.Dropped++
			} else {
				q.Passed++
			}
		}
	}
	for _, id := range ids {
		p.Received++
		end(id[:strings.LastIndex(id, "-")])
	}
	return p, q
}

// Invariant 14: whatever comes again, fails or is killed in the middle, and whatever becomes of events, the books balance, exactly.
func TestTheBooksBalance(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { balanced(t, seed) })
	}
}

func balanced(t *testing.T, seed uint64) {
	t.Helper()
	b := newBooks(t, seed)
	ids := map[string][]string{}
	for range 3 + b.random.IntN(8) {
		events := make([]*tracking.Event, 1+b.random.IntN(150))
		for i := range events {
			tenant := []string{"a", "b"}[b.random.IntN(2)]
			id := fmt.Sprintf("%s-%d", kinds[b.random.IntN(len(kinds))], i)
			events[i] = &tracking.Event{UID: uuid.Must(uuid.NewV7()), TenantID: tenant, EventID: id, ReceivedAt: time.Now().UTC()}
			ids[tenant] = append(ids[tenant], id)
		}
		messages, err := b.codec.Encode(events, "", 1<<20)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.NoError(t, b.transport.Publisher().Publish("in", messages...))
		if b.random.IntN(2) == 0 { // as a broker does that delivers at least once
			require.NoError(t, b.transport.Publisher().Publish("in", messages[0].Copy()))
		}
	}
	b.trouble.Store(true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	kills := b.random.IntN(5)
	for range kills {
		until := b.published.Load() + 1 + b.random.Int64N(30)
		stop := b.start()
		require.Eventually(t, func() bool { return b.published.Load() >= until || b.quiet() }, 20*time.Second, time.Millisecond)
		stop(ended) // what is in hand is let go and comes again
	}
	b.trouble.Store(kills%2 == 0)
	stop := b.start()
	b.idle()
	stop(t.Context())
	for _, tenant := range []string{"a", "b"} {
		p, q := expected(ids[tenant])
		got, err := b.db.Balance(t.Context(), tenant)
		require.NoError(t, err)
		want := []store.Balance{p, q}
		if q == (store.Balance{Pipeline: "q"}) {
			want = want[:1]
		}
		require.Equal(t, want, got, tenant)
		for _, balance := range got {
			require.True(t, balance.Settled())
		}
		duplicates, err := b.db.Duplicates(t.Context(), tenant, store.DuplicateFilter{}, store.DuplicateCursor{}, 10_000)
		require.NoError(t, err)
		require.Len(t, duplicates, int(p.Duplicates))
		for _, d := range duplicates {
			require.Equal(t, tracking.DeriveUID(d.UID, "of"), *d.Of)
		}
	}
}

// quiet reports whether p has nothing left to do.
func (b *books) quiet() bool {
	n, err := b.transport.Backlog(b.t.Context(), "in", "p")
	return err == nil && n.Total() == 0
}
