package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/sqsemulator"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

func TestMain(m *testing.M) {
	if os.Getenv(endpointVariable) != "" { // a server that outlives the tests keeps the connections of their own clients open
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// endpointVariable names where SQS is, when it is not to be the emulator in process.
const endpointVariable = "RASTRO_TEST_SQS_ENDPOINT"

// endpoint returns where SQS is.
func endpoint(t testing.TB) string {
	t.Helper()
	if url := os.Getenv(endpointVariable); url != "" {
		return url
	}
	server, err := sqsemulator.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server.URL()
}

// testConfig is a config of quick retries for an endpoint, with queues of its own.
func testConfig(url string) sqs.Config {
	c := sqs.DefaultConfig()
	c.Endpoint, c.Region = url, "us-east-1"
	c.Credentials = credentials.NewStaticCredentialsProvider("test", "test", "")
	c.Prefix = "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	c.Provision, c.VisibilityTimeout, c.NackDelay = true, 2*time.Second, 0
	return c
}

func connect(t testing.TB, c sqs.Config) *sqs.Transport {
	t.Helper()
	metrics, err := sqs.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	transport, err := sqs.Connect(t.Context(), c, metrics, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return transport
}

// readers remembers who reads a topic: Watermill's suite adds readers one by one, where a pipeline names them all.
type readers struct {
	mu sync.Mutex
	of map[string][]string
	by map[string]bool // who published what already
}

// publishes reports whether a transport publishes to a topic for the first time.
func (r *readers) publishes(transport *sqs.Transport, topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprintf("%p %s", transport, topic)
	first := !r.by[key]
	r.by[key] = true
	return first
}

func (r *readers) add(topic, reader string) pipeline.Topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.of[topic], reader) {
		r.of[topic] = append(r.of[topic], reader)
	}
	return pipeline.Topic{Name: topic, Readers: slices.Clone(r.of[topic])}
}

// provisioned makes a topic and its readers exist when Watermill's suite first asks for them, as Provision does at start.
type provisioned struct {
	routers.Subscriber
	transport *sqs.Transport
	publisher *sqs.Transport
	readers   *readers
	reader    string
}

func (p provisioned) SubscribeInitialize(topic string) error {
	topics := []pipeline.Topic{p.readers.add(topic, p.reader)}
	return errors.Join(p.transport.Provision(context.Background(), topics), p.publisher.Provision(context.Background(), topics))
}

func (p provisioned) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := p.SubscribeInitialize(topic); err != nil {
		return nil, err
	}
	return p.Subscriber.Subscribe(ctx, topic)
}

// Close also closes the connection, of which each has its own.
func (p provisioned) Close() error { return errors.Join(p.Subscriber.Close(), p.transport.Close()) }

// publishing provisions its topics as it meets them: in the suite some are published to by one that never subscribed.
type publishing struct {
	message.Publisher
	transport *sqs.Transport
	readers   *readers
	reader    string
}

func (p publishing) Publish(topic string, messages ...*message.Message) error {
	if first := p.readers.publishes(p.transport, topic); first {
		if err := p.transport.Provision(context.Background(), []pipeline.Topic{p.readers.add(topic, p.reader)}); err != nil {
			return err
		}
	}
	return p.Publisher.Publish(topic, messages...)
}

// The suite that every Watermill transport passes. RASTRO_CONFORMANCE=full runs it with all its messages.
func TestWatermillConformance(t *testing.T) {
	c := testConfig(endpoint(t))
	known := &readers{of: map[string][]string{}, by: map[string]bool{}}
	open := func(t *testing.T, reader string) (message.Publisher, message.Subscriber) {
		t.Helper()
		transport, out := connect(t, c), connect(t, c)
		subscriber, err := transport.Subscriber(reader, 50, &routers.Gate{})
		require.NoError(t, err)
		return publishing{out.Publisher(), out, known, reader}, provisioned{subscriber, transport, out, known, reader}
	}
	tests.TestPubSub(t,
		tests.Features{
			ConsumerGroups: true, Persistent: true, ForceShort: os.Getenv("RASTRO_CONFORMANCE") != "full",
			GenerateTopicFunc: func(tctx tests.TestContext) string { return "t." + string(tctx.TestID)[:8] },
		},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return open(t, "test")
		},
		open,
	)
}
