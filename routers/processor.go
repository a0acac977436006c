package routers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// DeadLetterStore takes what stages rejected. Adding one twice has the effect of adding it once.
type DeadLetterStore interface {
	AddDeadLetters(ctx context.Context, letters []store.DeadLetter) error
}

// ProcessorConfig is what a Processor is made of.
type ProcessorConfig struct {
	Plan      pipeline.Plan
	Transport Transport
	// Settings are handed to the stages.
	Settings pipeline.Settings
	Letters  DeadLetterStore
	// Ledger takes what became of events; nil keeps none.
	Ledger   LedgerStore
	Recorder Recorder
	// Pauses are the stages that are paused by hand; nil pauses none.
	Pauses  *Pauses
	Metrics *Metrics
	Logger  *slog.Logger
	// Tracers make the spans of hops; nil makes none.
	Tracers trace.TracerProvider
}

// Processor runs one generation of a pipeline: a Watermill router with a handler a hop and one for the dead letters. It never
// changes once it runs.
//
// Invariant 11: a changed config is a new Processor; the old one drains.
type Processor struct {
	config  ProcessorConfig
	codec   *Codec
	router  *message.Router
	hops    []*hop
	subs    []subscription
	ledger  *ledger // nil when none is kept
	version string  // of the pipeline's configuration
	// personal says what in dead letters is to be kept apart.
	personal pipeline.PersonalRules

	letters *deadLetters
	tracer  trace.Tracer
	// unfollow has the hops go by what is paused no longer
	unfollow func()

	work    context.Context // ends when work in hand must be let go
	abandon context.CancelFunc
	workers sync.WaitGroup
	// emitters send what stages have to send by themselves
	emitters sync.WaitGroup
	// receiving ends when no more frames will come
	receiving context.Context
	drain     context.CancelFunc
	running   chan struct{} // closed when Run has returned
	once      sync.Once
	err       error
}

// subscription is what receives for one hop, or for the dead letters.
type subscription struct {
	Subscriber
	topic string
}

// NewProcessor builds the stages and subscribers of a plan. The transport's topics must have been provisioned.
func NewProcessor(config ProcessorConfig, codec *Codec) (*Processor, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Second}, WatermillLogger(config.Logger))
	if err != nil {
		return nil, fmt.Errorf("make router: %w", err)
	}
	if config.Tracers == nil {
		config.Tracers = noop.NewTracerProvider()
	}
	p := &Processor{tracer: config.Tracers.Tracer("github.com/rastrohq/rastro/routers"), config: config, codec: codec, router: router, personal: config.Plan.Personal(), version: pipeline.Version(config.Plan), running: make(chan struct{})}
	// Work in hand outlives the signal to stop: it is finished, or let go at the deadline that Close is given.
	p.work, p.abandon = context.WithCancel(context.Background())
	p.receiving, p.drain = context.WithCancel(p.work)
	if err := p.addHops(); err != nil {
		p.abandon()
		for _, sub := range p.subs {
			err = errors.Join(err, sub.Close())
		}
		return nil, errors.Join(err, p.closeChains())
	}
	p.unfollow = p.followPauses() // before anything is received
	return p, nil
}

func (p *Processor) addHops() error {
	for _, h := range p.config.Plan.Hops {
		if err := p.addHop(h); err != nil {
			return err
		}
	}
	return errors.Join(p.addDeadLetters(), p.addLedger(), p.addGivenUp())
}

func (p *Processor) addHop(planned pipeline.Hop) error {
	h, err := newHop(p, planned)
	if err != nil {
		return err
	}
	p.hops = append(p.hops, h)
	// Enough frames to fill the next batches while the workers are at the present ones, even when frames are small.
	return p.subscribe(planned.Name, planned.From, planned.Workers*framesInHand, &h.gate, h.handle)
}

// framesInHand is how many frames a worker may have waiting: together they make its next batch.
const framesInHand = 64

// lettersInHand is how many frames of dead letters are held until they are stored.
const lettersInHand = 4

func (p *Processor) addDeadLetters() error {
	d := newDeadLetters(p)
	p.letters = d
	return p.subscribe("dead_letters", p.config.Plan.DeadLetters, lettersInHand, &d.gate, d.handle)
}

func (p *Processor) subscribe(name, topic string, inFlight int, gate *Gate, handle message.NoPublishHandlerFunc) error {
	sub, err := p.config.Transport.Subscriber(p.config.Plan.Pipeline, inFlight, gate)
	if err != nil {
		return fmt.Errorf("subscribe hop %q: %w", name, err)
	}
	p.subs = append(p.subs, subscription{sub, topic})
	p.router.AddConsumerHandler(p.config.Plan.Pipeline+"."+name, topic, sub, handle)
	return nil
}

// Run receives and works until Close is called. It returns an error only when it could not start.
func (p *Processor) Run(ctx context.Context) error {
	defer close(p.running)
	for _, h := range p.hops {
		for range h.planned.Workers {
			p.workers.Go(func() { h.run(p.work) })
		}
		if h.chain.Emits() {
			p.emitters.Go(func() { h.emit(p.work) })
		}
	}
	if p.ledger != nil {
		p.workers.Go(func() { p.ledger.run(p.work) })
	}
	// The router must not stop before what is in hand is settled, whatever ends ctx; Close sees to that.
	if err := p.router.Run(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("run pipeline %q: %w", p.config.Plan.Pipeline, err)
	}
	return nil
}

// Running is closed when the processor receives.
func (p *Processor) Running() <-chan struct{} { return p.router.Running() }

// Close stops receiving, finishes what is in hand, and lets go of what is not finished when ctx ends: it is redelivered.
//
// Invariant 12: shutdown drains. Watermill's Router.Close cancels its messages' contexts at once, so it comes last.
func (p *Processor) Close(ctx context.Context) error {
	p.once.Do(func() { p.err = p.close(ctx) })
	return p.err
}

func (p *Processor) close(ctx context.Context) error {
	defer p.unfollow()
	p.drain()
	var drains sync.WaitGroup
	failed := make([]error, len(p.subs))
	for i, sub := range p.subs {
		drains.Go(func() { failed[i] = sub.Drain(ctx) })
	}
	drains.Wait()
	waitUntil(ctx, &p.emitters)
	p.abandon()
	p.emitters.Wait()
	p.workers.Wait()
	err := errors.Join(p.letGo(failed), p.closeChains())
	if e := p.router.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close router: %w", e))
	}
	if p.router.IsRunning() {
		<-p.running
	}
	return err
}

// letGo says which readers had frames in hand when their time was over. That is no failure: closing the router gives the frames
// back, and whoever reads next finishes them.
func (p *Processor) letGo(drains []error) error {
	var failed error
	for i, err := range drains {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			p.config.Logger.Warn("not everything in hand could be finished in time; the rest is given back to the broker, which delivers it again",
				slog.String("pipeline", p.config.Plan.Pipeline), slog.String("topic", p.subs[i].topic))
		case err != nil:
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (p *Processor) closeChains() error {
	var err error
	for _, h := range p.hops {
		err = errors.Join(err, h.chain.Close())
	}
	return err
}

// waitUntil waits for a group, but not longer than ctx.
func waitUntil(ctx context.Context, group *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// WatermillLogger returns a logger for Watermill that takes its news of every start and stop for details.
func WatermillLogger(logger *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(logger, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
}
