package routers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rastrohq/rastro/pipeline"
)

// ErrNoQueue says that the broker has no queue of a topic for a reader: not yet, as what the configuration names is made when its
// processor starts, or not any more.
var ErrNoQueue = errors.New("the queue does not exist")

// Transport carries frames between hops: one implementation a broker.
type Transport interface {
	// Provision makes the topics and a durable place for each of their readers exist. It is idempotent. Frames published
	// after it returns reach every reader, however late the reader comes.
	Provision(ctx context.Context, topics []pipeline.Topic) error
	// Publisher returns the publisher: its Publish returns once the broker has stored the messages.
	Publisher() message.Publisher
	// Subscriber returns a subscriber that receives as the named reader. It holds at most inFlight messages that are not
	// settled, and receives nothing while gate is closed.
	Subscriber(reader string, inFlight int, gate *Gate) (Subscriber, error)
	// Backlog returns what of a topic the named reader has not yet settled. The error wraps ErrNoQueue when there is no such queue.
	Backlog(ctx context.Context, topic, reader string) (Backlog, error)
	// MaxFrameBytes is the largest payload of a message, in bytes.
	MaxFrameBytes() int
	// Ping returns nil when the broker answers.
	Ping(ctx context.Context) error
	// Close closes the transport; its subscribers must be closed before.
	Close() error
}

// GivingUp is implemented by a Transport whose broker puts messages aside that were received too often.
type GivingUp interface {
	// GivenUp returns a subscriber of what the broker put aside of the topics that the named reader reads.
	GivenUp(reader string, inFlight int, gate *Gate) (Subscriber, error)
	// MaxReceives is how often a message is received before that.
	MaxReceives() int
}

// Tidier is implemented by a Transport whose broker keeps messages for readers that no pipeline has any more.
type Tidier interface {
	// Stale returns the readers that the broker knows and the topics do not name.
	Stale(ctx context.Context, topics []pipeline.Topic) ([]StaleReader, error)
	// Forget removes a reader, and what it has not read, from the broker. It refuses what is not known to be ours.
	Forget(ctx context.Context, topic, reader string) error
}

// Gathering is implemented by a Transport that delivers messages several at once, and charges for each request: what comes soon after one
// another leaves in one frame.
type Gathering interface {
	// Moment is how long it takes at most until all that came with a message is handed out: a hop waits that long for the rest.
	Moment() time.Duration
	// Patience is how long events that come in wait for others to share their frame: until none have come for a while, and most at most.
	Patience() (quiet, most time.Duration)
}

// Backlog is what of a topic a reader has not settled, in messages.
type Backlog struct {
	// Ready may be received now, InFlight is in hand somewhere, Delayed comes again once its delay ends.
	Ready, InFlight, Delayed int64
	// Oldest is when the first of them was published; zero when there is none or the broker does not say.
	Oldest time.Time
}

// Total is how many messages are not settled.
func (b Backlog) Total() int64 { return b.Ready + b.InFlight + b.Delayed }

// StaleReader is a reader that no pipeline has any more.
type StaleReader struct {
	Topic, Reader string
	// Backlog is how many messages the broker keeps for it, those that it gave up included.
	Backlog int64
	// Place is what the broker calls what it keeps for the reader, such as a queue; empty when topic and reader say so.
	Place string
	// Since is when that was made; zero when the broker does not say.
	Since time.Time
	// Unsure says that the broker does not know whether it is ours: it has a name as ours have. Topic and Reader are empty then.
	Unsure bool
	// Commands remove it by hand.
	Commands []string
}

// Subscriber is a Watermill subscriber that can stop receiving without letting go of what it has handed out.
type Subscriber interface {
	message.Subscriber
	// Drain stops receiving and waits until every message handed out is settled, or ctx ends.
	Drain(ctx context.Context) error
}

// Gate holds a subscriber back. The zero value is open.
//
// Invariant 8: an outage closes the gate, so that nothing is received, and nothing burns through its receive count, until the
// outage is over.
type Gate struct {
	mu      sync.Mutex
	shut    bool
	changed chan struct{} // closed when the gate next opens or shuts
}

// Shut closes the gate.
func (g *Gate) Shut() { g.set(true) }

// Open opens the gate and lets everyone who waits through.
func (g *Gate) Open() { g.set(false) }

func (g *Gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == shut {
		return
	}
	g.shut = shut
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// state returns whether the gate is shut, and a channel that is closed when that changes.
func (g *Gate) state() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.shut, g.changed
}

// Wait returns when the gate is open, or with ctx's error when ctx ends first.
func (g *Gate) Wait(ctx context.Context) error {
	for {
		shut, changed := g.state()
		if !shut {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WhileOpen returns a context that ends with ctx, or as soon as the gate is shut. The caller must call its cancel function.
func (g *Gate) WhileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	shut, changed := g.state()
	if shut {
		cancel()
		return ctx, cancel
	}
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
