package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// scenario is a rastro to start and what to send to it.
type scenario struct {
	name   string
	broker string
	// pipeline stands in the place of the shipped one; empty for that.
	pipeline string
	floods   []flooding
	loads    []loading
}

// loading is a load on a schedule.
type loading struct{ rate, perRequest int }

// fusedPipeline is the shipped one in one hop.
const fusedPipeline = `pipeline: tracking
from: events.ingested
stages:
  - use: validate
    workers: 1
    batch: {events: 5000, bytes: 8MiB}
    with: {schema: event.schema.json, future_skew: 5m}
  - use: dedupe
    fuse: true
    with: {key: [tenant_id, source, event_id, revision], window: 72h}
  - use: enrich
    fuse: true
    with:
      - location: {from: payload.location}
      - airline: {from: payload.flight}
      - milestone: {catalog: milestones.yaml}
  - use: persist
    fuse: true
to: events.persisted
`

// heldPipeline reads what is ingested and lets nothing through, so that what is measured is ingest and the broker alone.
const heldPipeline = `pipeline: tracking
from: events.ingested
stages:
  - use: throttle
    with: {rate: 1/h, max_wait: 1h}
  - use: persist
    fuse: true
to: events.persisted
`

// freeTenant is the tenant that sends, with no limit to what it may.
const freeTenant = `tenants:
  - id: talma-pe
    name: Talma Perú
    country: PE
`

func scenarios(c options) []scenario {
	flood := func(connections, batch int, ahead int64) flooding {
		return flooding{Connections: connections, Batch: batch, During: c.during, Ahead: ahead}
	}
	all := []scenario{
		{
			name: "nats/unfused", broker: "nats", floods: []flooding{flood(16, 100, floodAhead), flood(64, 1, floodAhead)},
			loads: []loading{{1000, 5}, {2500, 20}, {10_000, 20}},
		},
		{name: "nats/fused", broker: "nats", pipeline: fusedPipeline, floods: []flooding{flood(16, 100, floodAhead)}},
		{name: "sqs/unfused", broker: "sqs", floods: []flooding{flood(16, 100, floodAhead)}, loads: []loading{{1000, 5}}},
		{name: "sqs/fused", broker: "sqs", pipeline: fusedPipeline, floods: []flooding{flood(16, 100, floodAhead)}},
		{name: "nats/ingest", broker: "nats", pipeline: heldPipeline, floods: []flooding{flood(16, 100, 0), flood(64, 1, 0)}},
	}
	if c.scenario != "" {
		all = slices.DeleteFunc(all, func(s scenario) bool { return s.name != c.scenario })
	}
	for i := range all {
		if c.floods {
			all[i].loads = nil
		}
	}
	return all
}

// sizes is what is sent to see how the cost of an event depends on how it comes.
func sizes(c options) scenario {
	s := scenario{name: "nats/unfused", broker: "nats"}
	for _, batch := range []int{1, 10, 100, 1000} {
		s.floods = append(s.floods, flooding{Connections: 16, Batch: batch, During: c.during, Ahead: floodAhead})
	}
	for _, payload := range []int{200, 2_000, 16_000, 64_000} {
		s.floods = append(s.floods, flooding{
			Connections: 8, Batch: max(1, min(100, 200_000/payload)), Payload: payload, During: c.during, Ahead: int64(max(200, min(floodAhead, 20_000_000/payload))),
		})
	}
	return s
}

// run starts a rastro, sends what is to be sent, and records what it finds.
func (s scenario) run(ctx context.Context, c options, to *records) error {
	data, err := dataFolder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	config := filepath.Join(data, "config")
	if err := s.configure(config); err != nil {
		return fmt.Errorf("make configuration: %w", err)
	}
	stack, err := s.start(ctx, c, data, config, to)
	if err != nil {
		return err
	}
	defer stack.stop()
	for i, load := range s.loads {
		if err := s.load(ctx, c, stack, load, i == 0, to); err != nil {
			return err
		}
	}
	for i, how := range s.floods {
		if err := s.flood(ctx, c, stack, i, how, to); err != nil {
			return err
		}
	}
	return nil
}

// start starts `rastro dev`: twice, when it is the shipped pipeline over NATS, so that the second time finds a database as users' second time does.
func (s scenario) start(ctx context.Context, c options, data, config string, to *records) (*stack, error) {
	once := func(figure string) (*stack, error) {
		progress("%s: starting rastro dev", s.name)
		stack, err := startStack(ctx, c.binary, data, "--broker", s.broker, "--config", config)
		if err == nil && figure != "" {
			to.add(figure, quantity{milliseconds(stack.ready), "ms"})
		}
		return stack, err
	}
	if s.pipeline != "" || s.broker != "nats" {
		return once("")
	}
	first, err := once("Start/new")
	if err != nil {
		return nil, err
	}
	first.stop()
	return once("Start/again")
}

// configure writes what is not as it is shipped.
func (s scenario) configure(folder string) error {
	pipelines := filepath.Join(folder, "pipelines")
	if err := os.MkdirAll(pipelines, 0o750); err != nil {
		return err
	}
	if s.pipeline != "" {
		if err := os.WriteFile(filepath.Join(pipelines, "tracking.yaml"), []byte(s.pipeline), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "tenants.yaml"), []byte(freeTenant), 0o600)
}

func (s scenario) load(ctx context.Context, c options, stack *stack, how loading, first bool, to *records) error {
	l := newLoad(stack, how.perRequest)
	if first {
		progress("%s: warming up for %v", s.name, c.warmUp)
		if _, err := l.run(ctx, how.rate, c.warmUp); err != nil {
			return err
		}
	}
	progress("%s: %d events/s in requests of %d, on schedule, for %v", s.name, how.rate, how.perRequest, c.during)
	before, err := stack.metrics(ctx, l.client)
	if err != nil {
		return err
	}
	found, err := l.run(ctx, how.rate, c.during)
	if err != nil {
		return err
	}
	after, err := stack.metrics(ctx, l.client)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("/%s/rate=%d", s.name, how.rate)
	to.add("Acknowledged"+name, found.Acknowledged.quantities()...)
	to.add("Visible"+name, append(found.Visible.quantities(), quantity{float64(found.ProbesMissing), "unseen"},
		quantity{after.per1000(before, float64(found.Sent)), "sqs-requests/1000-events"})...)
	return nil
}

func (s scenario) flood(ctx context.Context, c options, stack *stack, n int, how flooding, to *records) error {
	if n == 0 {
		warm := how
		warm.During = c.warmUp
		progress("%s: warming up for %v", s.name, c.warmUp)
		if _, err := newFlood(stack, warm, "W").measure(ctx); err != nil {
			return err
		}
		if c.profile != "" && s.name == "nats/unfused" {
			defer stack.profile(ctx, c.profile, how.During)()
		}
	}
	progress("%s: as much as goes through, requests of %d from %d connections, for %v", s.name, how.Batch, how.Connections, how.During)
	found, err := newFlood(stack, how, fmt.Sprintf("F%d", n)).measure(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("/%s/batch=%d", s.name, how.Batch)
	if how.Payload > 0 {
		name = fmt.Sprintf("/%s/payload=%d", s.name, how.Payload)
	}
	if how.Ahead == 0 {
		name = fmt.Sprintf("/batch=%d", how.Batch)
		to.add("Ingest"+name, found.quantities()...)
		return nil
	}
	to.add("EndToEnd"+name, found.quantities()...)
	found.addStages(to, "Stage"+name)
	return nil
}

// progress says what is being done.
func progress(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
