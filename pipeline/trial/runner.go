package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Config is what a Runner is made of. Only Plans must be given.
type Config struct {
	Plans []pipeline.Plan
	// Settings are handed to the stages. Their Now is the Clock's.
	Settings pipeline.Settings
	// Clock defaults to Real.
	Clock Clock
	// Carry is what a topic does to an event: it returns it as whoever reads the topic gets it, and how many bytes it was on
	// the way. Defaults to a copy, and an estimate.
	Carry func(*tracking.Event) (carried *tracking.Event, bytes int, err error)
	// Around runs a stage over a batch, by calling next or not, and returns what the stage is taken to have returned. Defaults
	// to calling it.
	Around func(ctx context.Context, at Place, batch *pipeline.Batch, next pipeline.Stage) error
	// Crash says whether the process dies at a moment.
	Crash func(Moment) bool
	// Observe hears what became of a batch at a stage, as pipeline.Observer does.
	Observe func(at Place, batch *pipeline.Batch)
	// Output takes what is written to a topic that none of the pipelines reads. An error ends the run.
	Output func(Output) error
	// Done takes what became of each event in each pipeline that it came to. An error ends the run.
	Done func(Outcome) error
	// MaxInFlight is how many events may be waiting to be retried before Send waits as well. Defaults to 10,000.
	MaxInFlight int
	// MaxRetries is how often an event may be retried at one stage before the run ends with ErrStuck. Defaults to 0: any number
	// of times.
	MaxRetries int
}

// Place is a stage of a pipeline.
type Place struct{ Pipeline, Stage string }

// Moment is when a process may die: a hop has run its stages over a batch. What they stored and claimed is stored and claimed.
type Moment struct {
	Pipeline string
	Hop      pipeline.Hop
	// Published says that what the batch led to has been published as well, and that only its acknowledgement is missing.
	Published bool
}

// Output is an event that left.
type Output struct {
	Topic string
	// Seq is the number of the event, among those sent, that it came of; 0 when a stage sent it by itself.
	Seq   int64
	Event *tracking.Event
}

// Outcome is what became of one event in one pipeline.
type Outcome struct {
	Pipeline string
	// Seq is the number of the event, among those sent, that it came of; 0 when a stage sent it by itself.
	Seq   int64
	Event *tracking.Event
	// Stage gave the verdict; empty when the event passed all stages.
	Stage   string
	Verdict pipeline.Verdict
	// Topics are where it was written to: at the pipeline's end, and by routes on the way.
	Topics []string
	// Parent is the event that a stage emitted it for; zero when it came from outside.
	Parent uuid.UUID
	// Emitted counts the events that stages emitted for it.
	Emitted int
	// Retries counts how often it was tried again, at any stage.
	Retries int
	// Attempts counts how often the stage that gave the verdict was tried.
	Attempts int
}

// ErrStuck says that an event was retried more often than MaxRetries.
var ErrStuck = errors.New("it is still retried")

// Runner runs pipelines. It must be closed, and is not safe for concurrent use.
type Runner struct {
	config   Config
	clock    Clock
	hops     []*hop // the farthest downstream first
	readers  map[string][]*hop
	sent     int64
	inFlight int
	crashed  bool
}

const defaultMaxInFlight = 10_000

// New builds the stages of the plans.
func New(config Config) (*Runner, error) {
	if config.Clock == nil {
		config.Clock = Real{}
	}
	if config.Carry == nil {
		config.Carry = carry
	}
	if config.MaxInFlight == 0 {
		config.MaxInFlight = defaultMaxInFlight
	}
	if config.Settings.Logger == nil {
		config.Settings.Logger = slog.New(slog.DiscardHandler)
	}
	config.Settings.Now = config.Clock.Now
	r := &Runner{config: config, clock: config.Clock, readers: map[string][]*hop{}}
	for _, plan := range config.Plans {
		if config.Around != nil {
			plan = plan.Wrapped(func(stage string, built pipeline.Stage) pipeline.Stage {
				return intercept(Place{plan.Pipeline, stage}, built, config.Around)
			})
		}
		for i, planned := range plan.Hops {
			h := &hop{runner: r, plan: plan, planned: planned, last: i == len(plan.Hops)-1}
			r.hops = append(r.hops, h)
			r.readers[planned.From] = append(r.readers[planned.From], h)
		}
	}
	r.order()
	if err := r.build(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// estimatedBytes is about what an event is beside its payload.
const estimatedBytes = 256

func carry(event *tracking.Event) (carried *tracking.Event, bytes int, err error) {
	return event.Clone(), estimatedBytes + len(event.Payload), nil
}

// order puts the hops that are farthest downstream first: what is in flight leaves before more comes in.
func (r *Runner) order() {
	depth := map[*hop]int{}
	for range r.hops { // a longer way than through every hop is a circle
		for _, h := range r.hops {
			for _, topic := range h.planned.Topics() {
				for _, reader := range r.readers[topic] {
					depth[reader] = max(depth[reader], min(depth[h]+1, len(r.hops)))
				}
			}
		}
	}
	slices.SortStableFunc(r.hops, func(a, b *hop) int { return cmp.Compare(depth[b], depth[a]) })
}

func (r *Runner) build() error {
	for _, h := range r.hops {
		var err error
		if h.chain, err = h.planned.Build(h.plan.Pipeline, r.config.Settings, nil); err != nil {
			return err
		}
	}
	return nil
}

// Send sends events to a topic and works on them as far as that goes without waiting. It waits while more than MaxInFlight
// are to be retried. The events must not be changed afterwards. A topic that none of the pipelines reads is an error.
func (r *Runner) Send(ctx context.Context, topic string, events ...*tracking.Event) error {
	readers := r.readers[topic]
	if len(readers) == 0 {
		return fmt.Errorf("send to %s: no pipeline reads it", topic)
	}
	for _, event := range events {
		r.sent++
		for _, h := range readers {
			h.enqueue(&delivery{event: event, trip: &trip{pipeline: h.plan.Pipeline, seq: r.sent}})
		}
	}
	return r.workDownTo(ctx, r.config.MaxInFlight)
}

// Sent returns how many events were sent: the number of the last one.
func (r *Runner) Sent() int64 { return r.sent }

// Settle works until nothing is in flight, waiting for what is to be retried.
func (r *Runner) Settle(ctx context.Context) error { return r.workDownTo(ctx, 0) }

func (r *Runner) workDownTo(ctx context.Context, limit int) error {
	for {
		if err := r.Work(ctx); err != nil {
			return err
		}
		next, waiting := r.Next()
		if r.inFlight <= limit || !waiting {
			return nil
		}
		if err := r.clock.Wait(ctx, next); err != nil {
			return err
		}
	}
}

// Work works on what is in flight as far as that goes without waiting.
func (r *Runner) Work(ctx context.Context) error {
	for {
		i := slices.IndexFunc(r.hops, (*hop).ready)
		if i < 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.hops[i].step(ctx); err != nil {
			return err
		}
		if r.crashed {
			if err := r.restart(); err != nil {
				return err
			}
		}
	}
}

// Next returns when the next event is to be tried again; false when none is.
func (r *Runner) Next() (at time.Time, waiting bool) {
	for _, h := range r.hops {
		for _, it := range h.hand {
			if !waiting || it.due.Before(at) {
				at, waiting = it.due, true
			}
		}
	}
	return at, waiting
}

// Emits reports whether any stage has events to send by itself, so that Due must be called from time to time.
func (r *Runner) Emits() bool {
	return slices.ContainsFunc(r.hops, func(h *hop) bool { return h.chain.Emits() })
}

// Due has the stages send what they have to send by now, and works on it as far as that goes without waiting.
func (r *Runner) Due(ctx context.Context) error {
	for _, h := range r.hops {
		emissions, err := h.chain.Due(ctx, r.clock.Now())
		if err != nil {
			return fmt.Errorf("pipeline %q: %w", h.plan.Pipeline, err)
		}
		for _, e := range emissions {
			h.emit(e)
		}
	}
	return r.Work(ctx)
}

// passSteps is how often, at most, stages are asked what is due while a long time passes.
const passSteps = 3600

// Pass lets time go by and has the stages send what is due meanwhile: every second, or in a long time a little less often.
func (r *Runner) Pass(ctx context.Context, d time.Duration) error {
	end := r.clock.Now().Add(d)
	step := max(time.Second, (d / passSteps).Truncate(time.Second))
	for {
		if err := r.Due(ctx); err != nil {
			return err
		}
		if err := r.Settle(ctx); err != nil {
			return err
		}
		now := r.clock.Now()
		if !now.Before(end) {
			return nil
		}
		next := now.Add(step)
		if next.After(end) {
			next = end
		}
		if err := r.clock.Wait(ctx, next); err != nil {
			return err
		}
	}
}

// restart is the process dying and another one taking its place: what is not acknowledged is delivered again.
func (r *Runner) restart() error {
	r.crashed = false
	if err := r.Close(); err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	for _, h := range r.hops {
		h.redeliver()
	}
	return r.build()
}

// Close closes the stages. Events in flight are lost.
func (r *Runner) Close() error {
	var all error
	for _, h := range r.hops {
		if h.chain != nil {
			all = errors.Join(all, h.chain.Close())
		}
		h.chain = nil
	}
	return all
}

// publish writes an event to a topic.
func (r *Runner) publish(topic string, from *item, event *tracking.Event) error {
	readers := r.readers[topic]
	for _, h := range readers {
		h.enqueue(&delivery{event: event, trip: &trip{pipeline: h.plan.Pipeline, seq: from.trip.seq}})
	}
	if len(readers) > 0 || r.config.Output == nil {
		return nil
	}
	return r.config.Output(Output{Topic: topic, Seq: from.trip.seq, Event: event})
}
