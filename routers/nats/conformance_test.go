package nats_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
)

// provisioned makes a topic and its reader exist when Watermill's suite first asks for them, as Provision does at start.
type provisioned struct {
	routers.Subscriber
	transport *nats.Transport
	reader    string
}

func (p provisioned) SubscribeInitialize(topic string) error {
	return p.transport.Provision(context.Background(), []pipeline.Topic{{Name: topic, Readers: []string{p.reader}}})
}

func (p provisioned) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := p.SubscribeInitialize(topic); err != nil {
		return nil, err
	}
	return p.Subscriber.Subscribe(ctx, topic)
}

// Close also closes the connection, of which each has its own: the suite closes publishers whose subscribers go on.
func (p provisioned) Close() error {
	return errors.Join(p.Subscriber.Close(), p.transport.Close())
}

// The suite that every Watermill transport passes.
func TestWatermillConformance(t *testing.T) {
	server, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	connect := func(t *testing.T) *nats.Transport {
		t.Helper()
		c := nats.DefaultConfig()
		c.Options = []natsgo.Option{server.Option()}
		c.AckWait, c.MaxBytes = 2*time.Second, 16<<20
		transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		return transport
	}
	open := func(t *testing.T, reader string) (message.Publisher, message.Subscriber) {
		t.Helper()
		transport := connect(t)
		subscriber, err := transport.Subscriber(reader, 50, &routers.Gate{})
		require.NoError(t, err)
		return connect(t).Publisher(), provisioned{subscriber, transport, reader}
	}
	tests.TestPubSub(t,
		tests.Features{
			ConsumerGroups: true, Persistent: true, ForceShort: os.Getenv("RASTRO_CONFORMANCE") != "full",
			GenerateTopicFunc: func(tctx tests.TestContext) string { return "t." + string(tctx.TestID) },
		},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return open(t, "test")
		},
		open,
	)
}
