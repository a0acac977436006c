package routers_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// request is the span of a request that brought events.
func request(tracers *sdktrace.TracerProvider) (tracking.SpanContext, trace.SpanContext) {
	ctx, span := tracers.Tracer("test").Start(context.Background(), "request")
	span.End()
	return telemetry.SpanOf(ctx), span.SpanContext()
}

// Events of one request are worked on in its trace; those of several in a trace of the hop's own, which is linked with theirs.
// Invariant 3: a dead letter names the trace of the request that brought it, whatever it shared a frame with.
func TestTracesFollowEvents(t *testing.T) {
	exported := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exported))
	t.Cleanup(func() { require.NoError(t, tracers.Shutdown(context.WithoutCancel(t.Context()))) })
	b := newBench(t, pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		if e.EventID == "bad" {
			return pipeline.Rejected(pipeline.Reason{Code: "schema", Message: "wrong"})
		}
		return nil
	}))
	b.tracers = tracers
	stop := b.run()
	one, oneSpan := request(tracers)
	two, twoSpan := request(tracers)
	event := func(id string, span tracking.SpanContext) *tracking.Event {
		return &tracking.Event{UID: uuid.New(), TenantID: "t", EventID: id, CorrelationID: "c", Payload: json.RawMessage(payload), Span: span,
			ReceivedAt: time.Now(), OccurredAt: time.Now()}
	}
	publish := func(events ...*tracking.Event) []*message.Message {
		messages, err := b.codec.Encode(events, "", 1<<20)
		require.NoError(t, err)
		require.NoError(t, b.transport.Publisher().Publish("in", messages...))
		return messages
	}
	publish(event("a", one), event("b", one))
	b.receive("a", "b")
	publish(event("c", one), event("bad", two), event("d", tracking.SpanContext{}))
	b.receive("c", "d")
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)

	require.Equal(t, twoSpan.TraceID().String(), b.letters.all()[0].TraceID)
	var hops []tracetest.SpanStub
	for _, span := range exported.GetSpans() {
		if span.Name == "process work" {
			hops = append(hops, span)
		}
	}
	require.Len(t, hops, 2)
	require.Equal(t, oneSpan.TraceID(), hops[0].SpanContext.TraceID())
	require.Equal(t, oneSpan.SpanID(), hops[0].Parent.SpanID())
	require.Empty(t, hops[0].Links)
	require.False(t, hops[1].Parent.IsValid())
	require.Len(t, hops[1].Links, 2)
	require.Equal(t, oneSpan.SpanID(), hops[1].Links[0].SpanContext.SpanID())
	require.Equal(t, twoSpan.SpanID(), hops[1].Links[1].SpanContext.SpanID())
}

// What an event carries of its trace comes out of every form of frame as it went in.
func TestFramesCarryTraces(t *testing.T) {
	t.Parallel()
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	span, _ := request(sdktrace.NewTracerProvider())
	for _, carried := range []tracking.SpanContext{{}, span} {
		messages, err := b.codec.Encode([]*tracking.Event{{UID: uuid.New(), Span: carried}, {UID: uuid.New()}}, "", 1<<20)
		require.NoError(t, err)
		events, _, err := b.codec.Decode(messages[0].Payload)
		require.NoError(t, err)
		require.Equal(t, carried, events[0].Span)
		require.Equal(t, tracking.SpanContext{}, events[1].Span)
		require.Equal(t, carried != tracking.SpanContext{}, messages[0].Metadata.Get("traceparent") != "")
	}
}

// A frame that cannot be decoded still says whose it was.
func TestTheLetterOfAFrameNamesItsTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t, pipeline.Each(func(context.Context, *tracking.Event) error { return nil }))
	stop := b.run()
	msg := message.NewMessage(uuid.NewString(), []byte("not a frame"))
	msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	require.NoError(t, b.transport.Publisher().Publish("in", msg))
	require.Eventually(t, func() bool { return len(b.letters.all()) == 1 }, 10*time.Second, 5*time.Millisecond)
	b.settled()
	b.stop(stop)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", b.letters.all()[0].TraceID)
}
