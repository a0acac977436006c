package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Why a call was ended that is not the caller's doing.
var (
	errLate   = errors.New("the module takes longer than its timeout")
	errBudget = errors.New("other events of the batch took all the time there was to run them one by one")
)

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	source, err := fs.ReadFile(settings.Files, config.Module)
	if err != nil {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	g, err := load(context.Background(), source, config, settings)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", config.Module, err)
	}
	return &stage{guest: g, timeout: config.Timeout, logger: settings.Logger}, nil
}

// stage keeps nothing but the guest, which is safe for concurrent use.
type stage struct {
	guest   *guest
	timeout time.Duration
	logger  *slog.Logger
}

// Close implements io.Closer.
func (s *stage) Close() error { return s.guest.close(context.Background()) }

// item is an event as the module gets it.
type item struct {
	index int // in the batch
	json  []byte
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	items := encode(batch)
	if len(items) == 0 {
		return nil
	}
	results, err := s.ask(ctx, items)
	if code(err) != "" {
		s.logger.WarnContext(ctx, "the module fails on a batch; its events are run one by one",
			slog.Int("events", len(items)), slog.Any("error", err))
		return s.isolate(ctx, batch, items)
	}
	if err != nil {
		return fmt.Errorf("run the module: %w", err)
	}
	for n, it := range items {
		settle(batch, it.index, results[n])
	}
	return nil
}

// encode returns the pending events of a batch in the form of the wire. One that has none is rejected: its payload is no JSON.
func encode(batch *pipeline.Batch) []item {
	items := make([]item, 0, batch.PendingLen())
	for i, event := range batch.Pending() {
		text, err := encodeEvent(event)
		if err != nil {
			batch.Reject(i, pipeline.Reason{Code: CodeEncode, Message: clean(err.Error())})
			continue
		}
		items = append(items, item{i, text})
	}
	return items
}

func encodeEvent(event *tracking.Event) ([]byte, error) {
	var buffer bytes.Buffer
	buffer.Grow(512 + len(event.Payload))
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(event); err != nil {
		return nil, fmt.Errorf("write the event as JSON: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// ask has an instance of the module process events. An instance on which that fails is thrown away.
func (s *stage) ask(ctx context.Context, items []item) ([]result, error) {
	in, err := s.guest.take(ctx)
	if err != nil {
		return nil, err
	}
	size := 1
	for _, it := range items {
		size += len(it.json) + 1
	}
	input := append(make([]byte, 0, size), '[')
	for n, it := range items {
		if n > 0 {
			input = append(input, ',')
		}
		input = append(input, it.json...)
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.timeout, errLate)
	defer cancel()
	output, err := in.call(limited, in.process, append(input, ']'))
	in.out.end(ctx)
	var results []result
	if err == nil {
		results, err = decode(output, len(items))
	}
	if err != nil {
		err = errors.Join(err, s.guest.discard(ctx, in))
		s.guest.give(nil)
		return nil, err
	}
	s.guest.give(in)
	return results, nil
}

// isolate runs the events of a batch on which the module fails one by one, so that only those on which it fails again are
// rejected and the others go on.
func (s *stage) isolate(ctx context.Context, batch *pipeline.Batch, items []item) error {
	limited, cancel := context.WithTimeoutCause(ctx, isolation*s.timeout, errBudget)
	defer cancel()
	for n, it := range items {
		results, err := s.ask(limited, items[n:n+1])
		switch code := code(err); {
		case err == nil:
			settle(batch, it.index, results[0])
		case code != "":
			batch.Reject(it.index, pipeline.Reason{Code: code, Message: clean("the module fails on this event: " + err.Error())})
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(context.Cause(limited), errBudget):
			// Those that were not reached are no worse than others; the ones that took the time are rejected, and do not come again.
			for _, left := range items[n:] {
				batch.Retry(left.index, errBudget)
			}
			return nil
		default:
			return fmt.Errorf("run the module: %w", err)
		}
	}
	return nil
}

// code is that of a failure which is the module's or the event's; empty for any other.
func code(err error) string {
	switch {
	case errors.As(err, new(*startError)):
		return ""
	case errors.As(err, new(*trap)):
		return CodeTrap
	case errors.As(err, new(*wrongAnswer)):
		return CodeResult
	case errors.Is(err, errLate):
		return CodeTimeout
	default:
		return ""
	}
}
