package routers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/tracking"
)

// ErrClosed says that a publisher or processor was closed.
var ErrClosed = errors.New("closed")

// PublisherConfig configures a Publisher.
type PublisherConfig struct {
	// Topic gets the frames.
	Topic string
	// Parallel is how many frames are on their way to the broker at once. Defaults to 4.
	Parallel int
	// QueueLength is how many calls may wait for a frame before further ones have to wait for their turn. Defaults to 1024.
	QueueLength int
	// MaxEvents is the most events in a frame. Defaults to 500.
	MaxEvents int
	// Quiet and Patience are how long a frame waits for further events: until none have come for Quiet, Patience at most. Default to
	// what the transport asks for if it is Gathering, else to 0: it does not wait.
	Quiet, Patience time.Duration
}

// eventOverhead is about what an event has besides its payload, in bytes.
const eventOverhead = 512

// DefaultPublisherConfig returns the defaults for a topic.
func DefaultPublisherConfig(topic string) PublisherConfig {
	return PublisherConfig{Topic: topic, Parallel: 4, QueueLength: 1024, MaxEvents: 500}
}

// Validate reports what is wrong with the config.
func (c PublisherConfig) Validate() error {
	if c.Topic == "" || c.Parallel < 1 || c.QueueLength < 1 || c.MaxEvents < 1 {
		return errors.New("publisher config: topic, parallel, queue length and max events must all be set")
	}
	return nil
}

// Publisher publishes events so that concurrent calls share frames: while one frame is on its way to the broker the calls
// that arrive gather for the next. Where requests to the broker are not paid for nobody waits for a timer, so an idle system answers at
// once and a busy one packs full frames.
type Publisher struct {
	config   PublisherConfig
	codec    *Codec
	out      message.Publisher
	maxBytes int

	queue   chan *publication
	waiting chan struct{} // held by the worker whose frame waits for further events
	closed  chan struct{} // closed: take no more
	stopped chan struct{} // closed: the workers are done
	once    sync.Once
	workers sync.WaitGroup
}

type publication struct {
	events []*tracking.Event
	bytes  int             // about
	gone   <-chan struct{} // closed when nobody waits for the result any more
	result chan error
}

func newPublication(ctx context.Context, events []*tracking.Event) *publication {
	pub := &publication{events: events, gone: ctx.Done(), result: make(chan error, 1)}
	for _, e := range events {
		pub.bytes += eventOverhead + len(e.Payload)
	}
	return pub
}

// abandoned reports whether nobody waits for the result any more.
func (p *publication) abandoned() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// NewPublisher starts a publisher on a transport. Close must be called.
func NewPublisher(config PublisherConfig, codec *Codec, transport Transport) (*Publisher, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{
		config: config, codec: codec, out: transport.Publisher(), maxBytes: transport.MaxFrameBytes(),
		queue:   make(chan *publication, config.QueueLength),
		waiting: make(chan struct{}, 1),
		closed:  make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if g, is := transport.(Gathering); is && config.Patience == 0 {
		p.config.Quiet, p.config.Patience = g.Patience()
	}
	for range config.Parallel {
		p.workers.Go(p.run)
	}
	return p, nil
}

// Publish returns nil once the broker has stored all the events. On an error some of them may have been stored: sending them
// again is safe, what comes twice is dropped. Events that still wait when ctx ends are not sent.
func (p *Publisher) Publish(ctx context.Context, events []*tracking.Event) error {
	if len(events) == 0 {
		return nil
	}
	pub := newPublication(ctx, events)
	select {
	case <-p.closed:
		return fmt.Errorf("publish to %s: %w", p.config.Topic, ErrClosed)
	default:
	}
	select {
	case p.queue <- pub:
	case <-p.closed:
		return fmt.Errorf("publish to %s: %w", p.config.Topic, ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("publish to %s: %w", p.config.Topic, ctx.Err())
	}
	select {
	case err := <-pub.result:
		return err
	case <-p.stopped:
		// It was queued while the publisher closed: the workers published it before they left, or never saw it.
		select {
		case err := <-pub.result:
			return err
		default:
			return fmt.Errorf("publish to %s: %w", p.config.Topic, ErrClosed)
		}
	case <-ctx.Done():
		return fmt.Errorf("publish to %s: %w", p.config.Topic, ctx.Err())
	}
}

// Close publishes what was handed in and stops. It does not close the transport.
func (p *Publisher) Close() {
	p.once.Do(func() {
		close(p.closed)
		p.workers.Wait()
		close(p.stopped)
	})
}

func (p *Publisher) run() {
	for {
		if p.config.Patience > 0 { // two that wait would each get what the other waits for
			p.waiting <- struct{}{}
		}
		select {
		case first := <-p.queue:
			taken := p.gather(first)
			p.letWait()
			p.publish(taken)
		case <-p.closed:
			p.letWait()
			for {
				select {
				case first := <-p.queue:
					p.publish(p.gather(first))
				default:
					return
				}
			}
		}
	}
}

// letWait lets another worker wait for events.
func (p *Publisher) letWait() {
	if p.config.Patience > 0 {
		<-p.waiting
	}
}

// gather takes what waits in the queue beside first, and what comes while it is patient, up to a frame's worth.
func (p *Publisher) gather(first *publication) []*publication {
	taken := []*publication{first}
	n, bytes := len(first.events), first.bytes
	until := time.Now().Add(p.config.Patience)
	for n < p.config.MaxEvents && bytes < p.maxBytes {
		next := p.next(min(p.config.Quiet, time.Until(until)))
		if next == nil {
			return taken
		}
		taken = append(taken, next)
		n, bytes = n+len(next.events), bytes+next.bytes
	}
	return taken
}

// next returns what waits in the queue or comes into it within a time; nil for nothing.
func (p *Publisher) next(within time.Duration) *publication {
	select {
	case next := <-p.queue:
		return next
	default:
	}
	if within <= 0 {
		return nil
	}
	enough := time.NewTimer(within)
	defer enough.Stop()
	select {
	case next := <-p.queue:
		return next
	case <-enough.C:
	case <-p.closed:
	}
	return nil
}

func (p *Publisher) publish(taken []*publication) {
	// What was given up while it waited has been answered as not stored, and is sent again: storing it now would be work for
	// nothing, in the very moment when there is too much of it.
	taken = slices.DeleteFunc(taken, (*publication).abandoned)
	if len(taken) == 0 {
		return
	}
	var events []*tracking.Event
	for _, pub := range taken {
		events = append(events, pub.events...)
	}
	messages, err := p.codec.Encode(events, "", p.maxBytes)
	if err == nil {
		crash.At(crash.Received)
		err = p.out.Publish(p.config.Topic, messages...)
	}
	if err != nil {
		err = fmt.Errorf("publish to %s: %w", p.config.Topic, err)
	} else {
		crash.At(crash.Accepted)
	}
	for _, pub := range taken {
		pub.result <- err
	}
}
