package http

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math/bits"
	"net/http"
	"slices"
	"time"

	"github.com/rastrohq/rastro/internal/outbound"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

// encode writes an event.
func (f Format) encode(event *tracking.Event) ([]byte, error) {
	if f == FormatCloudEvents {
		return cloudevents.Encode(event)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(event); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// cut parts items into requests by number and size.
func (s *stage) cut(items []*item) iter.Seq[[]*item] {
	return func(yield func([]*item) bool) {
		from, size := 0, 0
		for i, it := range items {
			if i > from && (i-from == s.config.perRequest() || size+len(it.body)+1 > s.config.MaxBytes) {
				if !yield(items[from:i]) {
					return
				}
				from, size = i, 0
			}
			size += len(it.body) + 1
		}
		if from < len(items) {
			yield(items[from:])
		}
	}
}

// body writes a request with its media type.
func (s *stage) body(items []*item) (body []byte, media string) {
	bodies := make([][]byte, len(items))
	for i, it := range items {
		bodies[i] = it.body
	}
	switch one := s.config.Body == BodyOne; {
	case s.config.Format == FormatNDJSON:
		return append(bytes.Join(bodies, []byte("\n")), '\n'), "application/x-ndjson"
	case s.config.Format == FormatCloudEvents && one:
		return bodies[0], "application/cloudevents+json"
	case one:
		return bodies[0], "application/json"
	}
	if media = "application/json"; s.config.Format == FormatCloudEvents {
		media = "application/cloudevents-batch+json"
	}
	return slices.Concat([]byte("["), bytes.Join(bodies, []byte(",")), []byte("]")), media
}

// idempotencyKey is the same for the same events in the same order.
func idempotencyKey(items []*item) string {
	hash := sha256.New()
	for _, it := range items {
		hash.Write(it.event.UID[:])
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// exchange is a request with all that it is parted into.
type exchange struct {
	stage *stage
	// failures counts the answers of a service that failed, works says that there was another.
	failures int
	works    bool
}

// send sends items and gives each its verdict. The error is that of the service, or of ctx: nothing is said then of items that
// are not settled.
func (x *exchange) send(ctx context.Context, items []*item) error {
	s := x.stage
	body, media := s.body(items)
	header := http.Header{"Content-Type": {media}, "Accept": {"application/json, application/problem+json"}}
	if s.config.Idempotency != "" {
		header.Set(s.config.Idempotency, idempotencyKey(items))
	}
	answer, err := s.client.Do(ctx, s.config.Method, s.config.URL, header, body)
	if err != nil {
		return err
	}
	switch {
	case answer.OK():
		if err := s.read(answer, items); err != nil {
			return x.failed(ctx, items, fmt.Errorf("%w: %w", errUnreadable, err))
		}
		x.works = true
		return nil
	case slices.Contains(s.config.RejectOn, answer.Status):
		x.works = true
		if len(items) > 1 {
			return x.halve(ctx, items)
		}
		reason := pipeline.Reason{Code: fmt.Sprintf("http_%d", answer.Status), Message: "the service answered " + answer.Message()}
		items[0].settle(verdict{Verdict: pipeline.Verdict{Outcome: pipeline.Reject, Reason: reason}})
		return nil
	case answer.Status >= 500 && !slices.Contains(s.config.RetryOn, answer.Status):
		return x.failed(ctx, items, fmt.Errorf("the service answered %s", answer.Message()))
	default:
		s.leaveAlone(answer)
		return fmt.Errorf("the service answered %s", answer.Message())
	}
}

// failed has the event found that the service fails at. A service that fails at everything is not asked for each event: all of
// them are tried again then.
func (x *exchange) failed(ctx context.Context, items []*item, err error) error {
	x.failures++
	if len(items) > 1 && (x.works || x.failures < bits.Len(uint(x.stage.config.MaxEvents))+4) {
		return x.halve(ctx, items)
	}
	for _, it := range items {
		it.settle(verdict{Verdict: pipeline.Verdict{Outcome: pipeline.Retry, Err: err}})
	}
	return nil
}

func (x *exchange) halve(ctx context.Context, items []*item) error {
	half := len(items) / 2
	if err := x.send(ctx, items[:half]); err != nil {
		return err
	}
	return x.send(ctx, items[half:])
}

func (it *item) settle(v verdict) { it.verdict, it.settled = v, true }

// leaveAlone remembers for how long the service asked to be left alone.
func (s *stage) leaveAlone(answer *outbound.Answer) {
	now := s.now()
	wait, ok := answer.RetryAfter(now)
	if !ok || wait <= 0 {
		return
	}
	until := now.Add(wait).UnixNano()
	for before := s.quiet.Load(); before < until; before = s.quiet.Load() {
		if s.quiet.CompareAndSwap(before, until) {
			s.logger.Warn("the service asked to be left alone",
				slog.Duration("for", wait.Round(time.Millisecond)), slog.Int("status", answer.Status))
			return
		}
	}
}
