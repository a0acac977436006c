package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/stages"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/tracking"
)

// engineBatch is how many events a batch of the engine's figures has, engineRounds how many batches each figure is taken from.
const (
	engineBatch  = 500
	engineRounds = 300
)

// engineStages are the stages whose cost is told, fused: no queue, no encoding, no database.
const engineStages = `
pipeline: engine
from: events.ingested
stages:
  - use: validate
    with: {schema: event.schema.json, future_skew: 5m}
  - {use: dedupe, fuse: true}
  - use: enrich
    fuse: true
    with:
      - location: {from: payload.location}
      - airline: {from: payload.flight}
      - milestone: {catalog: milestones.yaml}
`

// engineFigures is what the engine costs in process. Times are in nanoseconds an event, medians over batches.
type engineFigures struct {
	EventBytes      int            `json:"event_bytes"`
	EventsPerSecond float64        `json:"events_per_second"`
	Allocations     float64        `json:"allocations_per_event"`
	AllocatedBytes  float64        `json:"allocated_bytes_per_event"`
	Stages          []stageFigures `json:"stages"`
	// FusedHop is what running the stages as a hop costs over calling them one after the other.
	FusedHop float64 `json:"fused_hop_ns_per_event"`
	// Frame is what a topic between two stages costs before any broker: encoding a frame and decoding it.
	Frame      float64 `json:"frame_ns_per_event"`
	FrameBytes float64 `json:"frame_bytes_per_event"`
}

type stageFigures struct {
	Stage       string  `json:"stage"`
	Time        float64 `json:"ns_per_event"`
	Allocations float64 `json:"allocations_per_event"`
}

// unobserved implements pipeline.Observer.
type unobserved struct{}

func (unobserved) Observe(string, *pipeline.Batch, time.Duration) {}

// engine is what is measured.
type engine struct {
	direct []pipeline.Stage
	names  []string
	chain  *pipeline.Chain
	codec  *routers.Codec
	made   int
	bytes  int // of the frames made last
}

func newEngine(ctx context.Context, now time.Time) (*engine, error) {
	registry := pipeline.NewRegistry()
	if err := stages.Register(registry); err != nil {
		return nil, err
	}
	spec, err := pipeline.ParseContext(ctx, "engine.yaml", []byte(engineStages), registry, nil)
	if err != nil {
		return nil, err
	}
	clock := func() time.Time { return now }
	e := &engine{}
	settings := func() pipeline.Settings {
		s := pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Files: config.Files(), Now: clock}
		return pipeline.Provide[dedupe.Claims](s, dedupe.NewMemory(clock))
	}
	own := settings()
	for _, stage := range spec.Stages {
		built, err := stage.Build(spec.Name, own)
		if err != nil {
			return nil, err
		}
		e.direct, e.names = append(e.direct, built), append(e.names, stage.Name)
	}
	if e.chain, err = spec.Plan().Hops[0].Build(spec.Name, settings(), nil); err != nil {
		return nil, err
	}
	e.codec, err = routers.NewCodec()
	return e, err
}

// events makes a batch of events of some 350 bytes as they are sent, each of them new.
func (e *engine) events(now time.Time) []*tracking.Event {
	batch := make([]*tracking.Event, engineBatch)
	for i := range batch {
		e.made++
		id := fmt.Sprintf("%010d", e.made)
		batch[i] = &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "evt-" + id, CorrelationID: id, AggregateID: id,
			Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: now.Add(-time.Minute), ReceivedAt: now,
			Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`),
		}
	}
	return batch
}

// measureEngine measures the engine without broker and database. What is compared takes turns, so that a noisy machine is noisy
// for both.
func measureEngine(ctx context.Context) (engineFigures, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	e, err := newEngine(ctx, now)
	if err != nil {
		return engineFigures{}, err
	}
	defer func() { _ = e.chain.Close() }() // its stages hold nothing
	sample, err := json.Marshal(e.events(now)[0])
	if err != nil {
		return engineFigures{}, fmt.Errorf("measure engine: %w", err)
	}
	f := engineFigures{EventBytes: len(sample), Stages: make([]stageFigures, len(e.direct))}
	byStage, mallocsByStage := make([][]float64, len(e.direct)), make([][]float64, len(e.direct))
	var whole, direct, frame, allocations, allocated []float64
	for round := range engineRounds {
		batch := pipeline.NewBatch(e.events(now))
		var sum float64
		for i, stage := range e.direct {
			took, mallocs, _, err := timed(func() error { return stage.Process(ctx, batch) })
			if err != nil {
				return f, fmt.Errorf("measure stage %q: %w", e.names[i], err)
			}
			sum += took
			byStage[i], mallocsByStage[i] = append(byStage[i], took), append(mallocsByStage[i], mallocs)
		}
		if batch.PendingLen() != engineBatch {
			return f, fmt.Errorf("measure engine: only %d of %d events pass", batch.PendingLen(), engineBatch)
		}
		events := e.events(now)
		took, mallocs, bytes, err := timed(func() error { return e.run(ctx, events) })
		if err != nil {
			return f, err
		}
		framed, _, _, err := timed(func() error { return e.frame(events) })
		if err != nil {
			return f, err
		}
		if round < engineRounds/10 {
			continue // caches fill
		}
		whole, direct, frame = append(whole, took), append(direct, sum), append(frame, framed)
		allocations, allocated = append(allocations, mallocs), append(allocated, bytes)
	}
	for i := range f.Stages {
		f.Stages[i] = stageFigures{e.names[i], median(byStage[i]), median(mallocsByStage[i])}
	}
	f.EventsPerSecond = 1e9 / median(whole)
	f.FusedHop = median(whole) - median(direct)
	f.FrameBytes = float64(e.bytes) / engineBatch
	f.Frame, f.Allocations, f.AllocatedBytes = median(frame), median(allocations), median(allocated)
	return f, nil
}

func (e *engine) run(ctx context.Context, events []*tracking.Event) error {
	work, err := e.chain.Work(events, "")
	if err == nil {
		_, err = e.chain.Run(ctx, work, unobserved{})
	}
	return err
}

func (e *engine) frame(events []*tracking.Event) error {
	frames, err := e.codec.Encode(events, "", 1<<20)
	e.bytes = 0
	for _, frame := range frames {
		e.bytes += len(frame.Payload)
		if _, _, decoding := e.codec.Decode(frame.Payload); decoding != nil {
			return decoding
		}
	}
	return err
}

// timed runs f over a batch and returns what an event of it took: nanoseconds, allocations and allocated bytes.
func timed(f func() error) (nanoseconds, mallocs, bytes float64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err = f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return float64(took.Nanoseconds()) / engineBatch, float64(after.Mallocs-before.Mallocs) / engineBatch,
		float64(after.TotalAlloc-before.TotalAlloc) / engineBatch, err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// add adds the figures to the records.
func (f engineFigures) add(to *records) {
	for _, s := range f.Stages {
		to.add("Engine/"+s.Stage, quantity{s.Time, "ns/event"}, quantity{s.Allocations, "allocs/event"})
	}
	to.add("Engine/hop", quantity{1e9 / f.EventsPerSecond, "ns/event"}, quantity{f.EventsPerSecond, "events/s"},
		quantity{f.Allocations, "allocs/event"}, quantity{f.AllocatedBytes, "B/event"})
	to.add("Engine/fusion", quantity{f.FusedHop, "ns/event"})
	to.add("Engine/frame", quantity{f.Frame, "ns/event"}, quantity{f.FrameBytes, "bytes/event"})
}
