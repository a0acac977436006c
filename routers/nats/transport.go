// Package nats carries frames over NATS JetStream: an embedded server in process or a cluster by URL, with the same code.
//
// Publishing and the mapping between messages are watermill-nats's. The subscriber is our own, on JetStream's pull consumers,
// because that of watermill-nats v2.1.3 (push consumers, one message at a time) cannot be held back while a dependency is
// down, lets the ack deadline pass while a batch is retried, and on Close lets go of messages in hand, which then come again
// only after their deadline.
package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// Config configures the transport.
type Config struct {
	// URL of the server or cluster. Defaults to nats://127.0.0.1:4222.
	URL string
	// Options are added to the connection's, such as nats.InProcessServer.
	Options []nats.Option
	// AckWait is how long a message may stay unsettled without a sign of life before it is delivered again: how long after a
	// crash its work is taken up. Live processes give that sign at half the time. Defaults to 10 s.
	AckWait time.Duration
	// MaxBytes bounds what a topic holds on disk, in bytes; a full topic refuses to take more and loses nothing. Defaults to
	// 2 GiB.
	MaxBytes int64
	// Replicas is how many servers hold each topic. Defaults to 1.
	Replicas int
	// MaxInFlightBytes bounds the messages that a subscriber holds of a topic, in bytes: it asks for no more, however small what came so
	// far was. Defaults to 16 MiB, of which one message may be all.
	MaxInFlightBytes int
	// Domain of the JetStream that is used, where it is not that of the server that is connected to: behind a leaf node. Defaults to
	// none.
	Domain string
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{URL: nats.DefaultURL, AckWait: 10 * time.Second, MaxBytes: 2 << 30, Replicas: 1, MaxInFlightBytes: 16 << 20}
}

// Validate reports what is wrong with the config.
func (c Config) Validate() error {
	switch {
	case c.AckWait < time.Second:
		return fmt.Errorf("nats: ack wait %v is below a second", c.AckWait)
	case c.MaxBytes < 1<<20:
		return fmt.Errorf("nats: a topic of %d bytes is too small; give it a MiB or more", c.MaxBytes)
	case c.MaxInFlightBytes < minInFlightBytes:
		return fmt.Errorf("nats: %d bytes in flight do not hold one message of %d", c.MaxInFlightBytes, minInFlightBytes)
	case strings.ContainsAny(c.Domain, ".*> \t"):
		return fmt.Errorf("nats: the domain %q has a character that subjects give a meaning", c.Domain)
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("nats: %d replicas; JetStream takes 1 to 5", c.Replicas)
	}
	return nil
}

// Transport implements routers.Transport.
type Transport struct {
	config    Config
	conn      *nats.Conn
	js        jetstream.JetStream
	publisher *wmnats.Publisher
	logger    *slog.Logger
	moment    time.Duration // how long subscribers put off an acknowledgement
}

var _ routers.Transport = (*Transport)(nil)

// api is what the subjects of the JetStream API begin with.
func (c Config) api() string {
	if c.Domain == "" {
		return jetstream.DefaultAPIPrefix
	}
	return "$JS." + c.Domain + ".API."
}

// Connect connects to NATS. The connection reconnects by itself for as long as the process lives.
func Connect(config Config, logger *slog.Logger) (*Transport, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	options := append([]nats.Option{
		nats.Name("rastro"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("broker connection lost; reconnecting", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { logger.Info("broker connection is back") }),
	}, config.Options...)
	conn, err := nats.Connect(config.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", config.URL, err)
	}
	js, err := jetstream.NewWithAPIPrefix(conn, config.api())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	publisher, err := wmnats.NewPublisherWithNatsConn(conn, wmnats.PublisherPublishConfig{
		Marshaler: &wmnats.NATSMarshaler{}, SubjectCalculator: wmnats.DefaultSubjectCalculator,
	}, routers.WatermillLogger(logger))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open NATS publisher: %w", err)
	}
	return &Transport{config: config, conn: conn, js: js, publisher: publisher, logger: logger, moment: min(ackMoment, config.AckWait/4)}, nil
}

// StreamName is the name of a topic's stream; streams cannot have dots in theirs. Two topics never share one.
func StreamName(topic string) string {
	return strings.ReplaceAll(strings.ReplaceAll(topic, "-", "--"), ".", "-")
}

// topicKey is the key of a stream's metadata that says which topic it is of.
const topicKey = "rastro.topic"

// Provision implements routers.Transport: a stream a topic and a durable consumer a reader. A stream keeps a frame for as long
// as one of its readers has not acknowledged it; what nobody reads is not kept.
func (t *Transport) Provision(ctx context.Context, topics []pipeline.Topic) error {
	for _, topic := range topics {
		_, err := t.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: StreamName(topic.Name), Subjects: []string{topic.Name},
			Retention: jetstream.InterestPolicy, Storage: jetstream.FileStorage, Replicas: t.config.Replicas,
			Discard: jetstream.DiscardNew, MaxBytes: t.config.MaxBytes, Metadata: map[string]string{topicKey: topic.Name},
		})
		if t.config.Domain != "" && (errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders)) {
			return fmt.Errorf("provision topic %q: there is no JetStream in the domain %q: %w", topic.Name, t.config.Domain, err)
		}
		if noRoom(err) {
			return fmt.Errorf("provision topic %q: the servers have no room left for its %d MiB; give JetStream more (max_file_store), or topics less (RASTRO_NATS_MAX_BYTES): %w",
				topic.Name, t.config.MaxBytes>>20, err)
		}
		if err != nil {
			return fmt.Errorf("provision topic %q: %w", topic.Name, err)
		}
		for _, reader := range topic.Readers {
			_, err := t.js.CreateOrUpdateConsumer(ctx, StreamName(topic.Name), jetstream.ConsumerConfig{
				Durable: reader, AckPolicy: jetstream.AckExplicitPolicy, AckWait: t.config.AckWait, MaxAckPending: 4096,
				MaxDeliver: -1,
			})
			if err != nil {
				return fmt.Errorf("provision reader %q of topic %q: %w", reader, topic.Name, err)
			}
		}
	}
	return nil
}

// noRoom reports whether JetStream refused a stream because not all that it may hold fits beside what the others may hold. A server
// that is not told how much it has takes three quarters of what was free on its disk when it started.
func noRoom(err error) bool {
	const account, server, storage = 10002, 10023, 10047
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == account || api.ErrorCode == server || api.ErrorCode == storage)
}

// largestMessage is what a message takes at most, in bytes, whoever published it.
func (t *Transport) largestMessage() int {
	return min(max(int(t.conn.MaxPayload())+headerBytes, minInFlightBytes), t.config.MaxInFlightBytes)
}

// Publisher implements routers.Transport.
func (t *Transport) Publisher() message.Publisher { return t.publisher }

// MaxFrameBytes implements routers.Transport.
func (t *Transport) MaxFrameBytes() int { return frameBytes(t.conn.MaxPayload()) }

// headerBytes is what a message may have besides its payload; it counts against the server's limit.
const headerBytes = 4 << 10

// maxFrameBytes is the largest payload of a message, in bytes, however large the server takes them.
const maxFrameBytes = 1 << 20

// minInFlightBytes is room for one message of any size that is published here.
const minInFlightBytes = maxFrameBytes + headerBytes

func frameBytes(maxPayload int64) int {
	return min(int(maxPayload)-headerBytes, maxFrameBytes)
}

// Backlog implements routers.Transport.
func (t *Transport) Backlog(ctx context.Context, topic, reader string) (routers.Backlog, error) {
	consumer, err := t.js.Consumer(ctx, StreamName(topic), reader)
	if err != nil {
		if isNoConsumer(err) {
			err = errors.Join(routers.ErrNoQueue, err)
		}
		return routers.Backlog{}, fmt.Errorf("backlog of reader %q of topic %q: %w", reader, topic, err)
	}
	info := consumer.CachedInfo() // fetched just now
	backlog := routers.Backlog{Ready: int64(min(info.NumPending, math.MaxInt64)), InFlight: int64(info.NumAckPending)}
	if backlog.Total() == 0 {
		return backlog, nil
	}
	backlog.Oldest, err = t.publishedAt(ctx, topic, info.AckFloor.Stream+1)
	if err != nil {
		return routers.Backlog{}, fmt.Errorf("backlog of reader %q of topic %q: %w", reader, topic, err)
	}
	return backlog, nil
}

// publishedAt returns when the first message at a sequence or behind it was published; the zero time when there is none any more.
func (t *Transport) publishedAt(ctx context.Context, topic string, sequence uint64) (time.Time, error) {
	stream, err := t.js.Stream(ctx, StreamName(topic))
	if err != nil {
		return time.Time{}, err
	}
	msg, err := stream.GetMsg(ctx, max(sequence, stream.CachedInfo().State.FirstSeq))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // settled meanwhile
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return msg.Time, nil
}

// isNoConsumer tells whether a reader, or the stream that it reads, does not exist.
func isNoConsumer(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// Stale implements routers.Tidier.
func (t *Transport) Stale(ctx context.Context, topics []pipeline.Topic) ([]routers.StaleReader, error) {
	readers := map[string][]string{}
	for _, topic := range topics {
		readers[topic.Name] = topic.Readers
	}
	var stale []routers.StaleReader
	streams := t.js.ListStreams(ctx)
	for info := range streams.Info() {
		topic := info.Config.Metadata[topicKey]
		if topic == "" {
			continue // another application's
		}
		stream, err := t.js.Stream(ctx, info.Config.Name)
		if err != nil {
			return nil, fmt.Errorf("readers of topic %q: %w", topic, err)
		}
		consumers := stream.ListConsumers(ctx)
		for c := range consumers.Info() {
			if !slices.Contains(readers[topic], c.Name) {
				backlog := int64(min(c.NumPending, math.MaxInt64)) + int64(c.NumAckPending)
				stale = append(stale, routers.StaleReader{Topic: topic, Reader: c.Name, Backlog: backlog})
			}
		}
		if err := consumers.Err(); err != nil {
			return nil, fmt.Errorf("readers of topic %q: %w", topic, err)
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return stale, nil
}

// Forget implements routers.Tidier.
func (t *Transport) Forget(ctx context.Context, topic, reader string) error {
	err := t.js.DeleteConsumer(ctx, StreamName(topic), reader)
	if err != nil && !isNoConsumer(err) {
		return fmt.Errorf("forget reader %q of topic %q: %w", reader, topic, err)
	}
	return nil
}

var _ routers.Tidier = (*Transport)(nil)

// Ping implements routers.Transport.
func (t *Transport) Ping(ctx context.Context) error {
	if err := t.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("ping NATS: %w", err)
	}
	return nil
}

// Close implements routers.Transport.
func (t *Transport) Close() error {
	if err := t.publisher.Close(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("close NATS: %w", err)
	}
	return nil
}
