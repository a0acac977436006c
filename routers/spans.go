package routers

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/tracking"
)

// traceParent is the header of the W3C trace context, which SQS and NATS show beside the body.
const traceParent = "traceparent"

// maxLinks is how many requests a span names that led to it: as many as an SDK keeps unless it is told otherwise.
const maxLinks = 128

// startSpan starts the span of a batch. It is part of the trace of the request that brought the events when all of them came by
// one, and else begins a trace of its own that is linked with those of the requests.
func (h *hop) startSpan(ctx context.Context, taken []*delivery) (context.Context, trace.Span) {
	events := 0
	for _, d := range taken {
		events += len(d.work)
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(semconv.MessagingOperationTypeProcess, semconv.MessagingDestinationName(h.planned.From),
			semconv.MessagingBatchMessageCount(len(taken)), attribute.String("rastro.pipeline", h.processor.config.Plan.Pipeline),
			attribute.String("rastro.hop", h.planned.Name), attribute.Int("rastro.events", events)),
	}
	if brought := spansOf(taken); len(brought) == 1 {
		ctx = trace.ContextWithRemoteSpanContext(ctx, brought[0])
	} else {
		for _, span := range brought {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: span}))
		}
	}
	return h.processor.tracer.Start(ctx, "process "+h.planned.Name, options...)
}

// spansOf returns the spans of the requests that brought the events, of no more than fit in a span.
func spansOf(taken []*delivery) []trace.SpanContext {
	var last tracking.SpanContext
	var spans []trace.SpanContext
	seen := map[tracking.SpanContext]bool{{}: true}
	for _, d := range taken {
		for _, w := range d.work {
			carried := w.Event.Span
			if carried == last || seen[carried] {
				continue
			}
			last, seen[carried] = carried, true
			if span := telemetry.SpanContext(carried); span.IsValid() {
				if spans = append(spans, span); len(spans) == maxLinks {
					return spans
				}
			}
		}
	}
	return spans
}

// traceMessages puts on each message the trace context of the first of its events, for whoever cannot read the frame.
func traceMessages(messages []*message.Message, events []*tracking.Event) []*message.Message {
	at := 0
	for _, msg := range messages {
		if span := telemetry.SpanContext(events[at].Span); span.IsValid() {
			msg.Metadata.Set(traceParent, fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags()))
		}
		at += FrameItems(msg)
	}
	return messages
}

// traceOf returns the id of the trace that a message names; empty when it names none.
func traceOf(msg *message.Message) string {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(msg.Metadata))
	return telemetry.TraceID(telemetry.SpanOf(ctx))
}
