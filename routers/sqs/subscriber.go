package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/rastrohq/rastro/internal/crash"
	"github.com/rastrohq/rastro/routers"
)

// Subscriber implements routers.Subscriber: pollers fill a set of messages in hand that is bounded by count and bytes, each
// message is handed out and settled by itself, a keeper renews their visibility, and a deleter deletes them in batches.
type Subscriber struct {
	transport *Transport
	reader    string
	inFlight  int
	gate      *routers.Gate
	givenUp   bool // it receives from dead-letter queues
	room      *budget

	ctx     context.Context // ends when the subscriber stops receiving
	stop    context.CancelFunc
	polling sync.WaitGroup // pollers
	inHand  sync.WaitGroup // messages received and not settled
	closing chan struct{}  // closed by Close
	closers sync.WaitGroup // what ends with Close

	mu            sync.Mutex
	closed        bool
	subscriptions []*subscription
}

var _ routers.Subscriber = (*Subscriber)(nil)

// Delivery is what SQS says of a message that was received.
type Delivery struct {
	// Receives is how often the message was received, this time included; approximate, as SQS counts it.
	Receives int
	// SentAt is when the message was sent; the zero time when SQS does not say.
	SentAt time.Time
}

type deliveryKey struct{}

// DeliveryOf returns what SQS says of the message that has the context.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	d, is := ctx.Value(deliveryKey{}).(Delivery)
	return d, is
}

// Subscriber implements routers.Transport.
func (t *Transport) Subscriber(reader string, inFlight int, gate *routers.Gate) (routers.Subscriber, error) {
	if inFlight < 1 {
		return nil, fmt.Errorf("subscriber %q: it must hold at least one message at a time", reader)
	}
	// The subscriber outlives the call that makes it; Drain and Close end it.
	ctx, stop := context.WithCancel(context.Background())
	return &Subscriber{
		transport: t, reader: reader, inFlight: inFlight, gate: gate, room: newBudget(inFlight, t.config.MaxInFlightBytes),
		ctx: ctx, stop: stop, closing: make(chan struct{}),
	}, nil
}

// GivenUp implements routers.GivingUp: it receives from the dead-letter queues of the reader's queues.
func (t *Transport) GivenUp(reader string, inFlight int, gate *routers.Gate) (routers.Subscriber, error) {
	if inFlight < 1 {
		return nil, fmt.Errorf("subscriber %q: it must hold at least one message at a time", reader)
	}
	// As for Subscriber.
	ctx, stop := context.WithCancel(context.Background())
	return &Subscriber{
		transport: t, reader: reader, inFlight: inFlight, gate: gate, givenUp: true, room: newBudget(inFlight, t.config.MaxInFlightBytes),
		ctx: ctx, stop: stop, closing: make(chan struct{}),
	}, nil
}

// MaxReceives implements routers.GivingUp.
func (t *Transport) MaxReceives() int { return t.config.MaxReceives }

var _ routers.GivingUp = (*Transport)(nil)

// subscription is one call to Subscribe.
type subscription struct {
	*Subscriber
	topic   string
	url     string
	out     chan *message.Message
	busy    chan struct{} // has a token for each further poller that should help
	keeper  *keeper
	deleter *deleter
	unheard atomic.Int64 // messages in hand whose handler has not settled them
	logger  *slog.Logger
}

// received is a message in hand.
type received struct {
	msg     *message.Message
	receipt string
	size    int
	Delivery

	unstarted bool      // given back before it was handed out
	deadline  time.Time // when it becomes visible again, unless renewed
	due       time.Time // when that is to be renewed
	index     int       // in the keeper's heap; -1 when not in it
}

// Subscribe implements message.Subscriber. The queue of the topic and the reader must exist.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	queue, pollers := s.transport.names.Queue(topic, s.reader), s.transport.config.Pollers
	if s.givenUp {
		queue, topic, pollers = s.transport.names.DeadLetterQueue(queue), topic+deadLetterSuffix, 1
	}
	url, err := s.transport.queueURL(ctx, queue)
	if s.givenUp && errors.Is(err, routers.ErrNoQueue) {
		if _, said := s.transport.unfound.LoadOrStore(queue, true); !said {
			s.transport.logger.Warn("what is received too often is not brought in: its queue does not exist, or has another name", slog.String("queue", queue))
		}
		return s.nothing(ctx), nil
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe %q to %q: %w", s.reader, topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe %q to %q: %w", s.reader, topic, routers.ErrClosed)
	}
	sub := &subscription{
		Subscriber: s, topic: topic, url: url, out: make(chan *message.Message), busy: make(chan struct{}, s.transport.config.Pollers),
		logger: s.transport.logger.With(slog.String("topic", topic), slog.String("reader", s.reader)),
	}
	sub.keeper, sub.deleter = newKeeper(sub), newDeleter(sub) //nolint:contextcheck // they end with Close
	s.subscriptions = append(s.subscriptions, sub)

	polling, stop := context.WithCancel(ctx)
	release := context.AfterFunc(s.ctx, stop) //nolint:contextcheck // the subscriber's own end stops this poller too
	var polled sync.WaitGroup
	poll := func(first bool) {
		s.polling.Add(1)
		polled.Go(func() {
			defer s.polling.Done()
			sub.poll(ctx, polling, first)
		})
	}
	for i := range pollers {
		poll(i == 0)
	}
	// A router takes the end of the channel for the end of its handler, so it stays open while what is in hand is finished.
	s.closers.Go(func() {
		polled.Wait()
		release()
		stop()
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		close(sub.out)
	})
	return sub.out, nil
}

// nothing returns what a queue would that stays empty.
func (s *Subscriber) nothing(ctx context.Context) <-chan *message.Message {
	out := make(chan *message.Message)
	s.closers.Go(func() {
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		close(out)
	})
	return out
}

// take notes a message as in hand and settles it with SQS once its handler has settled it.
func (s *subscription) take(ctx context.Context, raw *types.Message, answered time.Time) *received {
	r := s.read(raw, answered)
	own, cancel := context.WithCancel(context.WithValue(ctx, deliveryKey{}, r.Delivery))
	r.msg.SetContext(own)
	s.inHand.Add(1)
	s.unheard.Add(1)
	s.observe(r, messageSize(raw))
	s.keeper.add(r)
	go func() {
		defer cancel()
		select {
		case <-r.msg.Acked():
			crash.At(crash.Settled)
			s.deleter.delete(r)
			return
		case <-r.msg.Nacked():
		case <-s.closing: // whoever has it is no longer heard
		}
		s.unheard.Add(-1)
		delay := s.transport.config.nackDelay(r.Receives)
		if s.ctx.Err() != nil || r.unstarted {
			delay = 0 // it is not the message's fault, and others may be better off
		}
		s.keeper.giveBack(r, delay)
	}()
	return r
}

// read makes a message of what was received.
func (s *subscription) read(raw *types.Message, answered time.Time) *received {
	msg, err := s.transport.marshaler.Unmarshal(raw)
	if err != nil {
		// Watermill's unmarshaler cannot fail on what SQS sends; whoever handles an empty message rejects it.
		msg = message.NewMessage(aws.ToString(raw.MessageId), []byte(aws.ToString(raw.Body)))
	}
	r := &received{
		msg: msg, receipt: aws.ToString(raw.ReceiptHandle), size: min(len(msg.Payload), s.transport.config.MaxMessageBytes),
		deadline: answered.Add(s.transport.config.VisibilityTimeout), due: answered.Add(s.transport.config.VisibilityTimeout / 2), index: -1,
	}
	r.Receives = 1
	if n, err := strconv.Atoi(raw.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]); err == nil {
		r.Receives = max(n, 1)
	}
	if ms, err := strconv.ParseInt(raw.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64); err == nil {
		r.SentAt = time.UnixMilli(ms)
	}
	return r
}

func (s *subscription) observe(r *received, wire int) {
	m := s.transport.metrics
	m.bytes.WithLabelValues("received").Add(float64(wire))
	m.framed(s.topic, "received", routers.FrameItems(r.msg))
	m.receives.WithLabelValues(s.topic, s.reader).Observe(float64(r.Receives))
	if !r.SentAt.IsZero() {
		m.age.WithLabelValues(s.topic, s.reader).Observe(max(time.Since(r.SentAt), 0).Seconds())
	}
	m.inFlight.WithLabelValues(s.topic, s.reader).Inc()
	if most := s.transport.config.MaxReceives; !s.givenUp && most > 1 && r.Receives >= most {
		s.logger.Warn("a frame is handed out for the last time: whoever had it before died, or let go of it; next it becomes dead letters",
			slog.String("frame", r.msg.UUID), slog.Int("receives", r.Receives))
	}
	m.inFlightSize.WithLabelValues(s.topic, s.reader).Add(float64(r.size))
}

// settled takes a message out of hand: SQS has heard what became of it, or will find out when its visibility ends.
func (s *subscription) settled(r *received) {
	s.keeper.remove(r)
	m := s.transport.metrics
	m.inFlight.WithLabelValues(s.topic, s.reader).Dec()
	m.inFlightSize.WithLabelValues(s.topic, s.reader).Sub(float64(r.size))
	s.room.release(1, r.size)
	s.inHand.Done()
}

func (s *Subscriber) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Drain implements routers.Subscriber: when it returns nil, what was handed out is deleted or given back.
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
	subscriptions := s.subscriptions
	s.mu.Unlock()
	s.closers.Wait()
	s.polling.Wait()
	s.inHand.Wait()
	for _, sub := range subscriptions {
		sub.keeper.close()
		sub.deleter.close()
	}
	return nil
}
