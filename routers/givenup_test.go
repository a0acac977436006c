package routers_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// ward is a pipeline over SQS that gives up after two receives, with its letters and ledger in a real database.
type ward struct {
	t         *testing.T
	transport *sqs.Transport
	codec     *routers.Codec
	plan      pipeline.Plan
	db        *store.Store
	// down has the stores of letters and of the ledger refuse.
	down    atomic.Bool
	handled atomic.Int64 // frames that came to the stage
}

func newWard(t *testing.T, decide func(batch *pipeline.Batch, i int, id string)) *ward {
	t.Helper()
	w := &ward{t: t}
	emulator, err := sqsemulator.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(emulator.Stop)
	c := sqs.DefaultConfig()
	c.Endpoint, c.Region, c.Credentials = emulator.URL(), "us-east-1", credentials.NewStaticCredentialsProvider("test", "test", "")
	c.Provision, c.VisibilityTimeout, c.NackDelay, c.MaxReceives, c.Wait = true, 2*time.Second, 0, 2, time.Second
	metrics, err := sqs.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	w.transport, err = sqs.Connect(t.Context(), c, metrics, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.transport.Close()) })
	w.codec, err = routers.NewCodec()
	require.NoError(t, err)
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	w.db, err = store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(w.db.Close)
	registry := pipeline.NewRegistry()
	stage := pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		w.handled.Add(1)
		for i, e := range batch.Pending() {
			decide(batch, i, e.EventID)
		}
		return nil
	})
	require.NoError(t, registry.Register(pipeline.Define("work", "", func() struct{} { return struct{}{} },
		func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: in\nstages: [{use: work, retry: {backoff: 1ms}}]\n"), registry)
	require.NoError(t, err)
	w.plan = spec.Plan()
	require.NoError(t, w.transport.Provision(t.Context(), pipeline.Topics(w.plan)))
	return w
}

var errStoreDown = errors.New("the database is down")

// AddDeadLetters implements routers.DeadLetterStore.
func (w *ward) AddDeadLetters(ctx context.Context, letters []store.DeadLetter) error {
	if w.down.Load() {
		return errStoreDown
	}
	return w.db.AddDeadLetters(ctx, letters)
}

// failing is the ledger while the database is down.
type failing struct {
	*store.Store
	ward *ward
}

func (f failing) AddLedger(ctx context.Context, name string, marks []store.LedgerMark, duplicates []store.Duplicate, trails ...store.Trail) error {
	if f.ward.down.Load() {
		return errStoreDown
	}
	return f.Store.AddLedger(ctx, name, marks, duplicates, trails...)
}

func (w *ward) start() (stop func(ctx context.Context)) {
	w.t.Helper()
	metrics, err := routers.NewMetrics(prometheus.NewRegistry())
	require.NoError(w.t, err)
	p, err := routers.NewProcessor(routers.ProcessorConfig{
		Plan: w.plan, Transport: w.transport, Letters: w, Ledger: failing{w.db, w}, Recorder: noCounts{}, Metrics: metrics,
		Settings: pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, Logger: slog.New(slog.DiscardHandler),
	}, w.codec)
	require.NoError(w.t, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	<-p.Running()
	return func(ctx context.Context) {
		_ = p.Close(ctx)
		require.NoError(w.t, <-done)
	}
}

// letGo receives from a topic and lets go, as one does that dies over each message, until SQS has given up all of them.
func (w *ward) letGo(topic string) {
	w.t.Helper()
	sub, err := w.transport.Subscriber("p", 1, &routers.Gate{})
	require.NoError(w.t, err)
	out, err := sub.Subscribe(w.t.Context(), topic)
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		select {
		case msg := <-out:
			msg.Nack()
		default:
		}
		n, err := w.transport.Backlog(context.Background(), topic, "p")
		return err == nil && n.Total() == 0
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(w.t, sub.Close())
}

func (w *ward) publish(topic string, all ...*message.Message) {
	w.t.Helper()
	require.NoError(w.t, w.transport.Publisher().Publish(topic, all...))
}

func (w *ward) frame(ids ...string) []*message.Message {
	w.t.Helper()
	events := make([]*tracking.Event, len(ids))
	for i, id := range ids {
		events[i] = &tracking.Event{UID: uuid.Must(uuid.NewV7()), EventID: id, TenantID: "acme", CorrelationID: id, ReceivedAt: time.Now().UTC()}
	}
	frames, err := w.codec.Encode(events, "", 1<<17)
	require.NoError(w.t, err)
	require.Len(w.t, frames, 1)
	return frames
}

// letters are `stage code journey` of each letter of a tenant.
func (w *ward) letters(tenant string) []string {
	all, err := w.db.Letters(context.Background(), tenant, store.LetterFilter{}, nil, 100)
	if err != nil {
		return nil
	}
	var told []string
	for _, l := range all {
		told = append(told, strings.TrimSpace(l.Stage+" "+l.Code+" "+l.CorrelationID))
	}
	slices.Sort(told)
	return told
}

func (w *ward) balance(tenant string) store.Balance {
	all, err := w.db.Balance(context.Background(), tenant)
	if err != nil || len(all) != 1 {
		return store.Balance{}
	}
	return all[0]
}

func (w *ward) settlesAs(tenant string, want store.Balance, letters ...string) {
	w.t.Helper()
	want.Pipeline = "p"
	require.Eventually(w.t, func() bool { return w.balance(tenant) == want && slices.Equal(w.letters(tenant), letters) },
		20*time.Second, 20*time.Millisecond, "%+v %v", want, letters)
}

var killed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Invariants 3 and 14: of a frame that SQS gives up those events become letters that have not ended, each once, and the books
// balance; also when the letters are published, and whoever did so dies.
func TestOfWhatIsGivenUpOnlyTheRestIsDeadLettered(t *testing.T) {
	w := newWard(t, func(batch *pipeline.Batch, i int, id string) {
		switch id {
		case "dropped":
			batch.Drop(i, pipeline.Reason{Code: "filtered"})
		case "rejected":
			batch.Reject(i, pipeline.Reason{Code: "schema"})
		case "deadly":
			batch.Retry(i, errors.New("never"))
		}
	})
	frame := w.frame("passed", "deadly", "dropped", "rejected", "deadly")
	w.publish("in", frame...)
	stop := w.start()
	w.settlesAs("acme", store.Balance{Received: 5, Passed: 1, Dropped: 1, DeadLettered: 1, InFlight: 2}, "work schema rejected")
	stop(killed)
	w.letGo("in")
	stop = w.start()
	all := []string{"work received-too-often deadly", "work received-too-often deadly", "work schema rejected"}
	w.settlesAs("acme", store.Balance{Received: 5, Passed: 1, Dropped: 1, DeadLettered: 3}, all...)
	stop(t.Context())

	// The same frame again, as if it had not been deleted from its dead-letter queue: it has ended, all of it.
	w.publish("in", frame[0].Copy())
	w.letGo("in")
	seen := w.handled.Load()
	stop = w.start()
	require.Eventually(t, func() bool {
		n, err := w.transport.Backlog(context.Background(), "in", "p")
		return err == nil && n.Total() == 0
	}, 20*time.Second, 20*time.Millisecond)
	w.publish("in", w.frame("passed")...)
	w.settlesAs("acme", store.Balance{Received: 6, Passed: 2, Dropped: 1, DeadLettered: 3}, all...)
	stop(t.Context())
	require.Greater(t, w.handled.Load(), seen)
}

// What cannot be decoded is kept as it is, wherever it was: a frame, a frame of letters, one of the ledger.
func TestWhatIsGivenUpAndCannotBeDecodedIsKept(t *testing.T) {
	w := newWard(t, func(*pipeline.Batch, int, string) {})
	for _, topic := range []string{"in", w.plan.DeadLetters, w.plan.Ledger} {
		w.publish(topic, message.NewMessage(uuid.NewString(), []byte("no frame, in "+topic)))
		w.letGo(topic)
	}
	stop := w.start()
	require.Eventually(t, func() bool {
		return slices.Equal(w.letters(""), []string{"dead_letters frame", "ledger frame", "work frame"})
	}, 20*time.Second, 20*time.Millisecond)
	w.settlesAs("", store.Balance{Received: 1, DeadLettered: 1}, "dead_letters frame", "ledger frame", "work frame")
	stop(t.Context())
}

// Letters and ledger entries that were received too often, during an outage of their store, are stored after it.
func TestLettersAndLedgerThatWereGivenUpAreStored(t *testing.T) {
	w := newWard(t, func(batch *pipeline.Batch, i int, _ string) { batch.Reject(i, pipeline.Reason{Code: "schema"}) })
	w.down.Store(true)
	w.publish("in", w.frame("a", "b")...)
	stop := w.start()
	require.Eventually(t, func() bool {
		for topic, want := range map[string]int64{"in": 0, w.plan.DeadLetters: 1, w.plan.Ledger: 1} {
			if n, err := w.transport.Backlog(context.Background(), topic, "p"); err != nil || n.Total() != want {
				return false
			}
		}
		return true
	}, 20*time.Second, 20*time.Millisecond)
	stop(killed)
	w.letGo(w.plan.DeadLetters)
	w.letGo(w.plan.Ledger)
	w.down.Store(false)
	stop = w.start()
	w.settlesAs("acme", store.Balance{Received: 2, DeadLettered: 2}, "work schema a", "work schema b")
	stop(t.Context())
}
