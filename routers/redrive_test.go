package routers_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

func letterOf(l store.DeadLetter) store.Letter {
	return store.Letter{
		UID: l.UID, TenantID: l.TenantID, Pipeline: l.Pipeline, Stage: l.Stage, Code: l.Code, Event: l.Event, TraceID: l.TraceID,
	}
}

var errNoLetterYet = errors.New("no letter yet")

// Invariant 3: a poison event hurts nobody else, and its letter has all that is needed to find out what is wrong with it and to
// send it again.
func TestAPoisonEventHurtsNobodyElseAndCanBeSentAgain(t *testing.T) {
	var mu sync.Mutex
	mended := false
	passed := map[string]int{}
	b := newBenchWith(t, "retry: {attempts: 3, backoff: 1ms}\n    on_error: dead_letter", pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for i, e := range batch.Pending() {
			switch {
			case mended || !strings.HasPrefix(e.EventID, "poison"):
				passed[e.EventID]++
			case e.EventID == "poison-late":
				batch.Retry(i, errNoLetterYet)
			default:
				batch.Reject(i, pipeline.Reason{Code: "bad", Message: "never right", Field: "/payload"})
			}
		}
		return nil
	}))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4}})
	stop := b.run()
	defer func() { require.NoError(t, stop(context.Background())) }()

	payload := json.RawMessage(`{"a" : 1.50, "b":"<&>", "c":12345678901234567890}`)
	events := make([]*tracking.Event, 20)
	for i := range events {
		events[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), EventID: string(rune('a' + i)), TenantID: "acme", Source: "LA", Type: "loaded",
			CorrelationID: "c", Payload: payload, OccurredAt: time.Date(2026, 6, 1, 10, 0, 0, 0, time.FixedZone("", -5*3600)),
			ReceivedAt: time.Now().UTC(), Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
			Span: telemetry.SpanOf(trace.ContextWithSpanContext(t.Context(), span)),
		}
	}
	events[7].EventID, events[9].EventID = "poison", "poison-late"
	messages, err := b.codec.Encode(events, "", 1<<20)
	require.NoError(t, err)
	require.Len(t, messages, 1, "one frame, one batch")
	require.NoError(t, b.transport.Publisher().Publish("in", messages...))

	require.Eventually(t, func() bool { return len(b.letters.all()) == 2 }, 10*time.Second, 5*time.Millisecond)
	letters := map[uuid.UUID]store.DeadLetter{}
	for _, l := range b.letters.all() {
		letters[l.UID] = l
	}
	bad, late := letters[events[7].UID], letters[events[9].UID]
	require.Equal(t, []any{"p", "work", "bad", "never right", "/payload", "acme", "LA", "loaded", "c", 1, span.TraceID().String()},
		[]any{bad.Pipeline, bad.Stage, bad.Code, bad.Message, bad.Field, bad.TenantID, bad.Source, bad.EventType, bad.CorrelationID, bad.Attempts, bad.TraceID})
	require.Contains(t, string(bad.Event), string(payload), "byte for byte")
	require.Equal(t, []any{"attempts", 4}, []any{late.Code, late.Attempts})
	mu.Lock()
	require.Len(t, passed, 18)
	mended = true
	mu.Unlock()

	redriver := routers.NewRedriver(b.codec, b.transport)
	plans := []pipeline.Plan{b.plan}
	var again []routers.Redrive
	for _, l := range []store.DeadLetter{bad, late} {
		one, err := redriver.Prepare(plans, letterOf(l))
		require.NoError(t, err)
		require.Equal(t, []any{"work", "in", "", false}, []any{one.Stage, one.Topic, one.Entry, one.FromStart})
		again = append(again, one)
	}
	sent := *events[7]
	sent.Span = telemetry.SpanIn(span.TraceID().String()) // which of its spans, nobody knows any more
	require.Equal(t, &sent, again[0].Events[0], "as it was received, under its UID, in its trace")
	require.NoError(t, redriver.Send(t.Context(), plans, again))
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return passed["poison"] == 1 && passed["poison-late"] == 1
	}, 10*time.Second, 5*time.Millisecond)
}

func laidOut(t *testing.T, text string) pipeline.Plan {
	t.Helper()
	registry := pipeline.NewRegistry()
	require.NoError(t, registry.Register(pipeline.Define("work", "", func() struct{} { return struct{}{} },
		func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return pipeline.StageFunc(nil), nil })))
	spec, err := pipeline.Parse("p.yaml", []byte(text), registry)
	require.NoError(t, err)
	return spec.Plan()
}

// collector is a transport that keeps what is published.
type collector struct {
	routers.Transport
	max       int
	published map[string][]*message.Message
}

func (c *collector) Publisher() message.Publisher                      { return c }
func (c *collector) MaxFrameBytes() int                                { return c.max }
func (c *collector) Close() error                                      { return nil }
func (c *collector) Provision(context.Context, []pipeline.Topic) error { return nil }
func (c *collector) Publish(topic string, messages ...*message.Message) error {
	c.published[topic] = append(c.published[topic], messages...)
	return nil
}

const twoHops = "pipeline: p\nfrom: in\nstages:\n  - {use: work, name: one}\n  - {use: work, name: two}\n  - {use: work, name: three, fuse: true}\n"

func TestALetterIsSentToTheStageThatRejectedIt(t *testing.T) {
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	c := &collector{max: 1 << 10, published: map[string][]*message.Message{}}
	redriver := routers.NewRedriver(codec, c)
	plans := []pipeline.Plan{laidOut(t, twoHops)}
	event := func(tenant string) (*tracking.Event, store.Letter) {
		e := &tracking.Event{UID: uuid.Must(uuid.NewV7()), TenantID: tenant}
		body, err := json.Marshal(e)
		require.NoError(t, err)
		return e, store.Letter{UID: e.UID, TenantID: tenant, Pipeline: "p", Event: body}
	}
	var all []routers.Redrive
	for _, want := range []struct {
		stage, topic, entry, enters string
		fromStart                   bool
	}{
		{"one", "in", "", "one", false}, {"two", "p.two", "", "two", false}, {"three", "p.two", "three", "three", false},
		{"gone", "in", "", "one", true},
	} {
		_, letter := event("acme")
		letter.Stage = want.stage
		again, err := redriver.Prepare(plans, letter)
		require.NoError(t, err)
		require.Equal(t, []any{want.topic, want.entry, want.enters, want.fromStart}, []any{again.Topic, again.Entry, again.Stage, again.FromStart})
		all = append(all, again)
	}
	require.NoError(t, redriver.Send(t.Context(), plans, all))
	require.Len(t, c.published["in"], 1, "what goes the same way goes together")
	require.Len(t, c.published["p.two"], 2)
	_, entry, err := codec.Decode(c.published["p.two"][1].Payload)
	require.NoError(t, err)
	require.Equal(t, "three", entry)

	_, letter := event("acme")
	for what, spoil := range map[string]func(*store.Letter){
		"no pipeline":   func(l *store.Letter) { l.Pipeline = "gone" },
		"another event": func(l *store.Letter) { l.TenantID = "umbrella" },
		"no event":      func(l *store.Letter) { l.Event = []byte("{") },
		"no frame":      func(l *store.Letter) { l.TenantID, l.Code = "", "frame" },
		"too large": func(l *store.Letter) {
			l.Event = append(l.Event[:len(l.Event)-1], `,"payload":"`+strings.Repeat("x", 2<<10)+`"}`...)
		},
	} {
		spoilt := letter
		spoilt.Event = append([]byte(nil), letter.Event...)
		spoil(&spoilt)
		_, err := redriver.Prepare(plans, spoilt)
		require.ErrorIs(t, err, routers.ErrCannotRedrive, what)
	}
}

// A frame that an older version could not decode is sent on when this one can.
func TestAFrameIsOpened(t *testing.T) {
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	redriver := routers.NewRedriver(codec, &collector{max: 1 << 10})
	plans := []pipeline.Plan{laidOut(t, twoHops)}
	events := []*tracking.Event{{UID: uuid.Must(uuid.NewV7()), TenantID: "a"}, {UID: uuid.Must(uuid.NewV7()), TenantID: "b"}}
	for entry, want := range map[string]string{"": "two", "three": "three", "gone": "one"} {
		frames, err := codec.Encode(events, entry, 1<<20)
		require.NoError(t, err)
		body, err := json.Marshal(map[string]any{"frame": frames[0].Payload, "message_id": "m"})
		require.NoError(t, err)
		again, err := redriver.Prepare(plans, store.Letter{Pipeline: "p", Stage: "two", Code: "frame", Event: body})
		require.NoError(t, err)
		require.True(t, again.Frame)
		require.Len(t, again.Events, 2)
		require.Equal(t, want, again.Stage)
	}
}

// What the processor writes into a letter is what is sent again, whatever the payload is.
func TestReceivedBytesGoRoundAndRound(t *testing.T) {
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	redriver := routers.NewRedriver(codec, &collector{max: 1 << 20})
	plans := []pipeline.Plan{laidOut(t, twoHops)}
	rapid.Check(t, func(t *rapid.T) {
		e := tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: rapid.StringN(1, 5, 20).Draw(t, "tenant"), EventID: "payload",
			Payload: rapid.OneOf(
				rapid.SampledFrom([]json.RawMessage{nil, []byte(`{"payload": 1}`), []byte(` 1 `), []byte(`{`), []byte("\xff"), []byte(`1,"uid":"x"`)}),
				rapid.Custom(func(t *rapid.T) json.RawMessage { return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes") }),
			).Draw(t, "payload"),
			Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		}
		if e.Payload != nil && json.Valid(append(append([]byte(`{"payload":`), e.Payload...), '}')) && !json.Valid(e.Payload) {
			t.Skip("a payload that ends its envelope")
		}
		body, err := routers.AsReceived(&e)
		require.NoError(t, err)
		again, err := redriver.Prepare(plans, store.Letter{UID: e.UID, TenantID: e.TenantID, Pipeline: "p", Stage: "one", Event: body})
		require.NoError(t, err)
		require.Equal(t, &e, again.Events[0])
	})
}
