package routers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }

// bench is a broker and a pipeline of one stage, `work`, that reads `in` and writes `out`.
type bench struct {
	t         *testing.T
	broker    *broker.Server
	transport *nats.Transport
	codec     *routers.Codec
	plan      pipeline.Plan
	letters   *letterBox
	js        jetstream.JetStream
	metrics   *prometheus.Registry // of the last run
	tracers   trace.TracerProvider // may be nil
	pauses    *routers.Pauses      // may be nil
}

type letterBox struct {
	mu   sync.Mutex
	down bool
	list []store.DeadLetter
}

func (b *letterBox) AddDeadLetters(_ context.Context, letters []store.DeadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("database is down")
	}
	b.list = append(b.list, letters...)
	return nil
}

func (b *letterBox) all() []store.DeadLetter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]store.DeadLetter(nil), b.list...)
}

type noCounts struct{}

func (noCounts) Record(string, string, string, string, int64) {}

func newBench(t *testing.T, stage pipeline.Stage) *bench {
	t.Helper()
	return newBenchWith(t, "workers: 2", stage)
}

// newBenchWith is newBench with the settings of the stage, as lines of YAML.
func newBenchWith(t *testing.T, settings string, stage pipeline.Stage) *bench {
	t.Helper()
	server, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	conn, err := natsgo.Connect("", server.Option())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)

	c := nats.DefaultConfig()
	c.Options = []natsgo.Option{server.Option()}
	c.AckWait = 2 * time.Second
	c.MaxBytes = 64 << 20
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	codec, err := routers.NewCodec()
	require.NoError(t, err)

	registry := pipeline.NewRegistry()
	require.NoError(t, registry.Register(pipeline.Define("work", "", func() struct{} { return struct{}{} },
		func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: in\nstages:\n  - use: work\n    "+settings+"\nto: out\n"), registry)
	require.NoError(t, err)
	plan := spec.Plan()
	require.NoError(t, transport.Provision(t.Context(), append(pipeline.Topics(plan), pipeline.Topic{Name: "out", Readers: []string{"test"}})))
	return &bench{t: t, broker: server, transport: transport, codec: codec, plan: plan, letters: &letterBox{}, js: js}
}

// run starts a processor; stop closes it and may be called once.
func (b *bench) run() (stop func(ctx context.Context) error) {
	b.t.Helper()
	return b.runOn(b.transport)
}

// runOn is run with another transport than the bench's own.
func (b *bench) runOn(transport routers.Transport) (stop func(ctx context.Context) error) {
	b.t.Helper()
	b.metrics = prometheus.NewRegistry()
	metrics, err := routers.NewMetrics(b.metrics)
	require.NoError(b.t, err)
	p, err := routers.NewProcessor(routers.ProcessorConfig{
		Plan: b.plan, Transport: transport, Letters: b.letters, Recorder: noCounts{}, Metrics: metrics,
		Settings: pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now}, Logger: slog.New(slog.DiscardHandler),
		Tracers: b.tracers, Pauses: b.pauses,
	}, b.codec)
	require.NoError(b.t, err)
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	<-p.Running()
	return func(ctx context.Context) error {
		err := p.Close(ctx)
		return errors.Join(err, <-done)
	}
}

func (b *bench) stop(stop func(context.Context) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(b.t, stop(ctx))
}

// payload is one that a JSON encoder would write otherwise.
const payload = `{"weight": 1.0,  "note":"<b>&"}`

// send publishes each event in a frame of its own.
func (b *bench) send(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		messages, err := b.codec.Encode([]*tracking.Event{{
			UID: uuid.New(), TenantID: "t", EventID: id, CorrelationID: "c", Payload: json.RawMessage(payload), ReceivedAt: time.Now(), OccurredAt: time.Now(),
		}}, "", 1<<20)
		require.NoError(b.t, err)
		require.NoError(b.t, b.transport.Publisher().Publish("in", messages...))
	}
}

// receive waits until every one of the ids has come out, and returns how often each did.
func (b *bench) receive(ids ...string) map[string]int {
	b.t.Helper()
	return b.receiveFrom("out", ids...)
}

// receiveFrom is receive from a topic other than `out`.
func (b *bench) receiveFrom(topic string, ids ...string) map[string]int {
	b.t.Helper()
	consumer, err := b.js.Consumer(b.t.Context(), topic, "test")
	require.NoError(b.t, err)
	got := map[string]int{}
	missing := func() int {
		n := 0
		for _, id := range ids {
			if got[id] == 0 {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(20 * time.Second); missing() > 0 && time.Now().Before(deadline); {
		batch, err := consumer.Fetch(100, jetstream.FetchMaxWait(200*time.Millisecond))
		require.NoError(b.t, err)
		for msg := range batch.Messages() {
			events, _, err := b.codec.Decode(msg.Data())
			require.NoError(b.t, err)
			for _, e := range events {
				got[e.EventID]++
			}
			require.NoError(b.t, msg.Ack())
		}
	}
	require.Zero(b.t, missing(), "of %v only %v came out", ids, got)
	return got
}

// state returns how the reader of `in` stands with the broker.
func (b *bench) state() *jetstream.ConsumerInfo {
	b.t.Helper()
	consumer, err := b.js.Consumer(b.t.Context(), "in", "p")
	require.NoError(b.t, err)
	return consumer.CachedInfo()
}

// framesIn returns how many frames the stage has in hand, or had.
func (b *bench) framesIn() float64 {
	return b.figure("rastro_hop_frames_total", "in")
}

// breaker returns how a stage's breaker stands: 0 closed, 1 half open, 2 open.
func (b *bench) breaker(stage string) float64 {
	return b.figure("rastro_breaker_state", stage)
}

// figure returns the sum of a metric over those that have a label of some value.
func (b *bench) figure(name, value string) float64 {
	b.t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(b.t, err)
	var n float64
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == name && label.GetValue() == value {
					n += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				}
			}
		}
	}
	return n
}

func (b *bench) settled() {
	b.t.Helper()
	require.Eventually(b.t, func() bool { s := b.state(); return s.NumPending == 0 && s.NumAckPending == 0 }, 10*time.Second, 10*time.Millisecond)
}

func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}

// Invariant 3: what a stage rejects becomes a dead letter that says why, and only that; what it drops ends.
func TestEachOutcomeGoesItsWay(t *testing.T) {
	b := newBench(t, pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		switch e.EventID {
		case "bad":
			return pipeline.Rejected(pipeline.Reason{Code: "schema", Message: "wrong", Field: "/payload"})
		case "dup":
			return pipeline.Dropped(pipeline.Reason{Code: "duplicate"})
		}
		return nil
	}))
	stop := b.run()
	b.send("a", "bad", "dup", "b")
	require.Equal(t, map[string]int{"a": 1, "b": 1}, b.receive("a", "b"))
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)
	letter := b.letters.all()[0]
	require.Equal(t, []string{"p", "work", "schema", "wrong", "/payload", "t", "c"},
		[]string{letter.Pipeline, letter.Stage, letter.Code, letter.Message, letter.Field, letter.TenantID, letter.CorrelationID})
	require.Contains(t, string(letter.Event), `"event_id":"bad"`)
	require.Contains(t, string(letter.Event), payload, "the payload is kept byte for byte")
	require.True(t, json.Valid(letter.Event))
}

// Invariant 3: dead letters wait in their topic while the database is down.
func TestDeadLettersOutliveAnOutageOfTheirStore(t *testing.T) {
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error {
		return pipeline.Rejected(pipeline.Reason{Code: "schema"})
	}))
	b.letters.down = true
	stop := b.run()
	b.send(names("x", 5)...)
	b.settled() // the events are settled, their letters are not
	require.Empty(t, b.letters.all())
	b.letters.mu.Lock()
	b.letters.down = false
	b.letters.mu.Unlock()
	require.Eventually(t, func() bool { return len(b.letters.all()) == 5 }, 20*time.Second, 10*time.Millisecond)
	b.stop(stop)
}

// Invariant 8: while a stage fails, frames stay with the broker, none is delivered twice, and all are worked off afterwards.
func TestAnOutageHoldsFramesBack(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var calls atomic.Int64
	b := newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		calls.Add(1)
		if down.Load() {
			return errors.New("database is down")
		}
		return nil
	}))
	stop := b.run()
	// Far more than the hop may have in hand.
	ids := names("e", 400)
	b.send(ids...)
	require.Eventually(t, func() bool { return calls.Load() >= 5 }, 20*time.Second, 5*time.Millisecond)
	require.Positive(t, b.state().NumPending, "what is not in hand must stay with the broker")
	// The outage outlasts the time that a message may stay without a sign of life.
	outlasted := time.NewTimer(4500 * time.Millisecond)
	<-outlasted.C
	require.Zero(t, b.state().NumRedelivered, "an outage must not use up deliveries")
	down.Store(false)
	got := b.receive(ids...)
	b.settled()
	require.Zero(t, b.state().NumRedelivered)
	b.stop(stop)
	require.Empty(t, b.letters.all(), "an outage is not a poison message")
	for id, n := range got {
		require.Equal(t, 1, n, id)
	}
}

// Invariant 8: while the breaker is open nothing is received, also where there would be room for it.
func TestNothingIsReceivedDuringAnOutage(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var calls atomic.Int64
	b := newBench(t, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		calls.Add(1)
		if down.Load() {
			return errors.New("database is down")
		}
		return nil
	}))
	stop := b.run()
	b.send("first")
	require.Eventually(t, func() bool { return calls.Load() >= 4 }, 20*time.Second, time.Millisecond) // the breaker opens at the third
	b.send(names("e", 20)...)
	require.Never(t, func() bool { return b.state().NumAckPending > 1 }, 3*time.Second, 50*time.Millisecond)
	require.EqualValues(t, 20, b.state().NumPending)
	down.Store(false)
	b.receive(append(names("e", 20), "first")...)
	b.settled()
	require.Zero(t, b.state().NumRedelivered)
	b.stop(stop)
}

// Invariant 12: Close waits for what is in hand, and what it waited for is not delivered again.
func TestCloseFinishesWhatIsInHand(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	b := newBench(t, pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Batch) error {
		entered <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	stop := b.run()
	b.send("slow")
	<-entered
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b.stop(stop)
	}()
	select {
	case <-closed:
		t.Fatal("Close returned while an event was in hand")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	<-closed
	require.Equal(t, map[string]int{"slow": 1}, b.receive("slow"))
	require.Zero(t, b.state().NumAckPending, "what was finished must be acknowledged")
}

// Invariants 2 and 12: what is not finished at the deadline was not acknowledged, and the next generation gets it.
func TestWhatIsNotFinishedComesAgain(t *testing.T) {
	entered := make(chan struct{}, 10)
	var hang atomic.Bool
	hang.Store(true)
	b := newBench(t, pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Batch) error {
		if !hang.Load() {
			return nil
		}
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}))
	stop := b.run()
	b.send(names("e", 10)...)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, stop(ctx), "what is given back is not lost")
	hang.Store(false)
	again := b.run()
	b.receive(names("e", 10)...)
	b.settled()
	b.stop(again)
}

// Invariant 4: the mates of an event that is retried do not wait for it.
func TestBatchMatesOfARetryGoOn(t *testing.T) {
	var ready atomic.Bool
	b := newBench(t, pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		if e.EventID == "slow" && !ready.Load() {
			return errors.New("lookup is down")
		}
		return nil
	}))
	messages, err := b.codec.Encode([]*tracking.Event{{EventID: "slow"}, {EventID: "a"}, {EventID: "b"}}, "", 1<<20)
	require.NoError(t, err)
	require.NoError(t, b.transport.Publisher().Publish("in", messages...))
	stop := b.run()
	require.Equal(t, map[string]int{"a": 1, "b": 1}, b.receive("a", "b"))
	require.Equal(t, 1, b.state().NumAckPending, "a frame must not be acknowledged while one of its events is not settled")
	ready.Store(true)
	require.Equal(t, map[string]int{"slow": 1}, b.receive("slow"))
	b.settled()
	b.stop(stop)
}

func TestAFrameThatCannotBeDecodedIsDeadLettered(t *testing.T) {
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	stop := b.run()
	_, err := b.js.Publish(t.Context(), "in", []byte("not a frame"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)
	require.Equal(t, "frame", b.letters.all()[0].Code)
}

// What a later version wrote waits for a process that reads it, and holds up nothing else.
func TestAFrameOfALaterVersionIsGivenBack(t *testing.T) {
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	stop := b.run()
	messages, err := b.codec.Encode([]*tracking.Event{{UID: uuid.New(), TenantID: "t", EventID: "later", CorrelationID: "c"}}, "", 1<<20)
	require.NoError(t, err)
	later := append([]byte{routers.LastForm}, messages[0].Payload[1:]...)
	_, err = b.js.Publish(t.Context(), "in", later)
	require.NoError(t, err)
	b.send("a", "b")
	require.Equal(t, map[string]int{"a": 1, "b": 1}, b.receive("a", "b"))
	require.Eventually(t, func() bool { return b.state().NumRedelivered == 1 }, 20*time.Second, 5*time.Millisecond)
	b.stop(stop)
	require.Empty(t, b.letters.all())
	require.EqualValues(t, 1, b.state().NumPending+uint64(b.state().NumAckPending), "it is still there")
}

// Frames that wait while the workers are busy make one batch.
func TestSmallFramesGatherUnderLoad(t *testing.T) {
	gate := make(chan struct{})
	var largest atomic.Int64
	b := newBench(t, pipeline.StageFunc(func(ctx context.Context, batch *pipeline.Batch) error {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		for {
			old := largest.Load()
			if int64(batch.Len()) <= old || largest.CompareAndSwap(old, int64(batch.Len())) {
				return nil
			}
		}
	}))
	stop := b.run()
	ids := names("e", 60)
	b.send(ids...)
	require.Eventually(t, func() bool { return b.state().NumAckPending == 60 }, 10*time.Second, 5*time.Millisecond)
	close(gate)
	b.receive(ids...)
	b.stop(stop)
	require.Greater(t, largest.Load(), int64(10))
}

// Where requests are paid for, what trickles in shares frames, however many are idle to send it; a publisher that closes sends it at once.
func TestAPatientPublisherSharesFrames(t *testing.T) {
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	c := routers.DefaultPublisherConfig("in")
	c.Quiet, c.Patience = 400*time.Millisecond, time.Second
	publisher, err := routers.NewPublisher(c, b.codec, b.transport)
	require.NoError(t, err)
	publish := func() error {
		return publisher.Publish(t.Context(), []*tracking.Event{{UID: uuid.New(), EventID: "e"}})
	}
	var calls sync.WaitGroup
	began := time.Now()
	for range 100 {
		calls.Go(func() {
			if err := publish(); err != nil {
				t.Error(err)
			}
		})
		<-time.After(5 * time.Millisecond)
	}
	calls.Wait()
	publisher.Close()
	sent := func() uint64 {
		stream, err := b.js.Stream(t.Context(), "in")
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs
	}
	require.LessOrEqual(t, sent(), uint64(2+2*time.Since(began)/time.Second))

	before := sent()
	c.Quiet, c.Patience = time.Hour, time.Hour
	publisher, err = routers.NewPublisher(c, b.codec, b.transport)
	require.NoError(t, err)
	answer := make(chan error, 1)
	go func() { answer <- publish() }()
	require.Never(t, func() bool { return sent() > before }, 50*time.Millisecond, 10*time.Millisecond)
	publisher.Close()
	require.NoError(t, <-answer)
	require.Equal(t, before+1, sent())
}

func TestPublisherSharesFrames(t *testing.T) {
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	c := routers.DefaultPublisherConfig("in")
	c.Parallel = 1
	publisher, err := routers.NewPublisher(c, b.codec, b.transport)
	require.NoError(t, err)
	var calls sync.WaitGroup
	for i := range 500 {
		calls.Go(func() {
			e := &tracking.Event{UID: uuid.New(), EventID: fmt.Sprint(i)}
			if err := publisher.Publish(t.Context(), []*tracking.Event{e}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	publisher.Close()
	require.ErrorIs(t, publisher.Publish(t.Context(), []*tracking.Event{{}}), routers.ErrClosed)
	stream, err := b.js.Stream(t.Context(), "in")
	require.NoError(t, err)
	require.Less(t, stream.CachedInfo().State.Msgs, uint64(250), "concurrent calls must share frames")
	consumer, err := b.js.Consumer(t.Context(), "in", "p")
	require.NoError(t, err)
	seen := map[string]bool{}
	batch, err := consumer.FetchNoWait(1000)
	require.NoError(t, err)
	for msg := range batch.Messages() {
		events, _, err := b.codec.Decode(msg.Data())
		require.NoError(t, err)
		for _, e := range events {
			seen[e.EventID] = true
		}
	}
	require.Len(t, seen, 500)
}
