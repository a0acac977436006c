package cli

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/rastrohq/rastro/api/problem"
)

// traceRequests gives each request of the API a span, in the trace that its traceparent names if it names one, and tells the
// client the trace in the answer's traceparent. gofiber's otelfiber does the like, but reads every body whole, before the ingest
// edge has room for it and after an export is on its way, and ends the context of a stream that goes on.
func traceRequests(tracer trace.Tracer) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if !strings.HasPrefix(c.Path(), "/api/") {
			return c.Next()
		}
		ctx := propagation.TraceContext{}.Extract(c.UserContext(), propagation.HeaderCarrier{
			"Traceparent": {c.Get("traceparent")}, "Tracestate": {c.Get("tracestate")},
		})
		ctx, span := tracer.Start(ctx, c.Method(), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(strings.Clone(c.Method())), semconv.URLPath(strings.Clone(c.Path()))))
		defer span.End()
		c.SetUserContext(ctx)
		answered := http.Header{}
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(answered))
		c.Set("traceparent", answered.Get("traceparent"))
		err := c.Next()
		status := c.Response().StatusCode()
		if p, ok := errors.AsType[*problem.Problem](err); ok {
			status = p.Status
		} else if err != nil {
			status = http.StatusInternalServerError
		}
		route := c.Route().Path
		span.SetName(c.Method() + " " + route)
		span.SetAttributes(semconv.HTTPRoute(route), semconv.HTTPResponseStatusCode(status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
			span.SetAttributes(attribute.String("error.type", http.StatusText(status)))
		}
		return err
	}
}
