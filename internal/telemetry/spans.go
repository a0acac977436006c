package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/rastrohq/rastro/tracking"
)

// SpanOf returns the trace context of a context, as events carry it; the zero value when there is none.
func SpanOf(ctx context.Context) (carried tracking.SpanContext) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return carried
	}
	traceID, spanID := span.TraceID(), span.SpanID()
	copy(carried[:16], traceID[:])
	copy(carried[16:24], spanID[:])
	carried[24] = byte(span.TraceFlags())
	return carried
}

// SpanContext returns the trace context that an event carries; an invalid one when it carries none.
func SpanContext(carried tracking.SpanContext) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(carried[:16]), SpanID: trace.SpanID(carried[16:24]), TraceFlags: trace.TraceFlags(carried[24]), Remote: true,
	})
}

// TraceID returns the id of the trace that an event came in, as OpenTelemetry writes it; empty when it came in none.
func TraceID(carried tracking.SpanContext) string {
	if id := SpanContext(carried).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}

// SpanIn returns the trace context of an event that is known to have come in a trace, by its id as OpenTelemetry writes it, and
// not by which span of it. What is no such id gives the zero value.
func SpanIn(traceID string) (carried tracking.SpanContext) {
	id, err := trace.TraceIDFromHex(traceID)
	if err == nil {
		copy(carried[:], id[:])
	}
	return carried
}
