package nats

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/routers"
)

// fetchWait is how long one request for messages stays with the server.
const fetchWait = 2 * time.Second

// Subscriber implements routers.Subscriber on pull consumers: it asks for no more than it may hold, so that what it is not
// ready for stays with the broker, and keeps telling the broker that what it holds is in work.
type Subscriber struct {
	transport *Transport
	reader    string
	gate      *routers.Gate
	permits   chan struct{}

	ctx     context.Context // ends when the subscriber stops receiving
	stop    context.CancelFunc
	polling sync.WaitGroup // pollers
	inHand  sync.WaitGroup // messages handed out and not settled
	closing chan struct{}  // closed by Close
	closers sync.WaitGroup // what ends with Close

	mu      sync.Mutex
	closed  bool
	pending map[*message.Message]pulled
}

var _ routers.Subscriber = (*Subscriber)(nil)

// Subscriber implements routers.Transport.
func (t *Transport) Subscriber(reader string, inFlight int, gate *routers.Gate) (routers.Subscriber, error) {
	if inFlight < 1 {
		return nil, fmt.Errorf("subscriber %q: it must hold at least one message at a time", reader)
	}
	// The subscriber outlives the call that makes it; Drain and Close end it.
	ctx, stop := context.WithCancel(context.Background())
	s := &Subscriber{
		transport: t, reader: reader, gate: gate, permits: make(chan struct{}, inFlight),
		ctx: ctx, stop: stop, closing: make(chan struct{}), pending: map[*message.Message]pulled{},
	}
	for range inFlight {
		s.permits <- struct{}{}
	}
	s.closers.Go(s.heartbeat)
	return s, nil
}

// Subscribe implements message.Subscriber. The topic must have been provisioned with the subscriber's reader.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if _, err := s.transport.js.Consumer(ctx, StreamName(topic), s.reader); err != nil {
		return nil, fmt.Errorf("subscribe %q to %q: %w", s.reader, topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe %q to %q: %w", s.reader, topic, routers.ErrClosed)
	}
	out := make(chan *message.Message)
	polling, stop := context.WithCancel(ctx)
	release := context.AfterFunc(s.ctx, stop) //nolint:contextcheck // the subscriber's own end stops this poller too
	polled := make(chan struct{})
	s.polling.Go(func() {
		defer close(polled)
		defer stop()
		defer release()
		room := newRoom(s.transport.config.MaxInFlightBytes, s.transport.largestMessage())
		s.poll(ctx, polling, source{topic, room, out, &newest{}})
	})
	// A router takes the end of the channel for the end of its handler, so it stays open while what is in hand is finished.
	s.closers.Go(func() {
		<-polled
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		close(out)
	})
	return out, nil
}

// source is a topic that a subscriber receives, and where what it receives goes.
type source struct {
	topic string
	room  *room
	out   chan<- *message.Message
	last  *newest
}

// poll receives until polling ends; messages carry ctx, which lives on while the subscriber drains.
func (s *Subscriber) poll(ctx, polling context.Context, from source) {
	failing := false
	for {
		if err := s.gate.Wait(polling); err != nil {
			return
		}
		bytes := from.room.acquire(polling)
		if bytes == 0 {
			return
		}
		n := s.acquire(polling)
		if n == 0 {
			from.room.release(bytes)
			return
		}
		got, size, err := s.fetch(ctx, polling, from, n, bytes)
		s.give(n - got)
		from.room.release(bytes - size)
		switch {
		case polling.Err() != nil:
			return
		case err == nil:
			failing = false
			continue
		case !failing:
			failing = true
			s.transport.logger.Warn("cannot receive; trying again", slog.String("topic", from.topic), slog.Any("error", err))
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-polling.Done():
			return
		}
	}
}

// acquire waits for a permit and takes whatever further ones are free; it returns 0 when polling has ended.
func (s *Subscriber) acquire(polling context.Context) int {
	select {
	case <-s.permits:
	case <-polling.Done():
		return 0
	}
	n := 1
	for {
		select {
		case <-s.permits:
			n++
		default:
			return n
		}
	}
}

func (s *Subscriber) give(n int) {
	for range n {
		s.permits <- struct{}{}
	}
}

// fetch asks for up to n messages of so many bytes together and hands them out as they come. It returns how many permits and how
// much room went with messages. What had been sent when the gate is shut is handed out too: there is room for it, and given back it
// would count as received once more.
func (s *Subscriber) fetch(ctx, polling context.Context, from source, n, bytes int) (handed, size int, err error) {
	open, shut := s.gate.WhileOpen(polling)
	defer shut()
	if open.Err() != nil { // it was shut while we waited for room
		return 0, 0, nil
	}
	request, err := s.transport.pull(from.topic, s.reader, n, bytes)
	if err != nil {
		return 0, 0, fmt.Errorf("fetch: %w", err)
	}
	defer request.end()
	var unreadable error
	for raw := range request.until(open) {
		if polling.Err() != nil {
			s.giveBack(raw)
			continue
		}
		msg, err := unmarshal(raw)
		if err != nil {
			unreadable = err
			s.giveBack(raw)
			continue
		}
		s.take(ctx, msg, raw, from)
		handed, size = handed+1, size+sizeOf(raw)
		select {
		case from.out <- msg:
		case <-polling.Done():
			msg.Nack()
		}
	}
	if request.err != nil {
		return handed, size, fmt.Errorf("fetch: %w", request.err)
	}
	return handed, size, unreadable
}

func unmarshal(raw pulled) (*message.Message, error) {
	msg, err := (&wmnats.NATSMarshaler{}).Unmarshal(&nats.Msg{Subject: raw.msg.Subject, Header: raw.msg.Header, Data: raw.msg.Data})
	if err != nil {
		return nil, fmt.Errorf("unmarshal message: %w", err)
	}
	return msg, nil
}

// take notes a message as in hand and settles it with the broker once its handler has settled it.
func (s *Subscriber) take(ctx context.Context, msg *message.Message, raw pulled, from source) {
	own, cancel := context.WithCancel(ctx)
	msg.SetContext(own)
	s.observe(from, msg, raw)
	s.mu.Lock()
	s.pending[msg] = raw
	s.mu.Unlock()
	s.inHand.Add(1)
	go func() {
		defer s.inHand.Done()
		defer cancel()
		how := nak
		select {
		case <-msg.Acked():
			crash.At(crash.Settled)
			how = ack
		case <-msg.Nacked():
		case <-s.closing: // whoever has it is no longer heard
		}
		s.mu.Lock()
		delete(s.pending, msg)
		s.mu.Unlock()
		from.room.release(sizeOf(raw))
		s.permits <- struct{}{}
		if how == ack {
			s.awaitNewer(from, raw)
		}
		if err := raw.settle(how); err != nil {
			// The broker will deliver it again, which is safe; there is nobody to hand the error to.
			s.transport.logger.Warn("cannot settle message", slog.Any("error", err))
		}
	}()
}

// awaitNewer waits, for a moment, until a newer message of the topic has been handled as well, so that in a steady flow one is always left in the
// stream. The server keeps a stream in files, and starts another file whenever one is left with no message, holding up what is published
// meanwhile: with acknowledgements as they come it does so for every message that finds nothing before it.
func (s *Subscriber) awaitNewer(from source, raw pulled) {
	known, err := raw.msg.Metadata()
	if err != nil {
		return
	}
	newer := from.last.handled(known.Sequence.Stream)
	if newer == nil {
		return
	}
	moment := time.NewTimer(s.transport.moment)
	defer moment.Stop()
	select {
	case <-newer:
	case <-moment.C:
	case <-s.ctx.Done(): // no newer ones will be received
	}
}

// ackMoment is how much later the newest message that was handled is acknowledged at most, when no newer one follows. Were the process killed
// meanwhile, the message would be delivered once more.
const ackMoment = 100 * time.Millisecond

// newest is the newest message of a topic that was handled.
type newest struct {
	mu    sync.Mutex
	seq   uint64
	newer chan struct{} // closed when a newer one was
}

// handled notes a message by its place in the stream. It returns what is closed when a newer one is noted, nil when one was before.
func (n *newest) handled(seq uint64) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if seq <= n.seq {
		return nil
	}
	if n.newer != nil {
		close(n.newer)
	}
	n.seq, n.newer = seq, make(chan struct{})
	return n.newer
}

// manyDeliveries is from how many on it is said that a message was delivered so often.
const manyDeliveries = 10

// observe says when a message comes again and again: the broker gives nothing up, and what kills whoever has it is to be seen.
func (s *Subscriber) observe(from source, msg *message.Message, raw pulled) {
	if known, err := raw.msg.Metadata(); err == nil && known.NumDelivered >= manyDeliveries {
		s.transport.logger.Warn("a frame comes again and again: whoever had it died, or let go of it", slog.String("topic", from.topic),
			slog.String("reader", s.reader), slog.String("frame", msg.UUID), slog.Uint64("deliveries", known.NumDelivered))
	}
}

func (s *Subscriber) giveBack(raw pulled) {
	if err := raw.settle(nak); err != nil {
		s.transport.logger.Warn("cannot give a message back", slog.Any("error", err))
	}
}

// heartbeat tells the broker, well before their deadline, that the messages in hand are in work. It goes on while the
// subscriber drains.
func (s *Subscriber) heartbeat() {
	ticker := time.NewTicker(s.transport.config.AckWait / 2)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		inWork := make([]pulled, 0, len(s.pending))
		for _, raw := range s.pending {
			inWork = append(inWork, raw)
		}
		s.mu.Unlock()
		for _, raw := range inWork {
			if err := raw.settle(inProgress); err != nil {
				s.transport.logger.Warn("cannot extend a message's deadline", slog.Any("error", err))
			}
		}
	}
}

// Drain implements routers.Subscriber.
func (s *Subscriber) Drain(ctx context.Context) error {
	s.stop()
	settled := make(chan struct{})
	go func() {
		s.polling.Wait()
		s.inHand.Wait()
		close(settled)
	}()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain reader %q: %w", s.reader, ctx.Err())
	}
}

// Close implements message.Subscriber. What is still in hand is given back, to be delivered again at once; Drain first to avoid
// that.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.stop()
		close(s.closing)
	}
	s.mu.Unlock()
	s.closers.Wait()
	s.polling.Wait()
	s.inHand.Wait()
	return nil
}
