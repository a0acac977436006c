package tracking

// SpanContext is the W3C trace context (https://www.w3.org/TR/trace-context/) of what brought an event: trace-id (16 bytes),
// parent-id (8) and trace-flags (1), as traceparent writes them. The zero value is none.
type SpanContext [25]byte
