package nats_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
)

// A gate that is shut withdraws the request that is under way. What the server had sent by then is handled all the same: it is not
// delivered again, and nothing has to wait until the time is over in which it should have been settled.
func TestNothingIsDeliveredTwiceWhenRequestsAreWithdrawn(t *testing.T) {
	t.Parallel()
	const shuts, senders = 200, 4
	s, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	c := nats.DefaultConfig()
	c.Options = []natsgo.Option{s.Option()}
	c.AckWait, c.MaxBytes = time.Minute, 256<<20
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "flow", Readers: []string{"r"}}}))
	var gate routers.Gate
	subscriber, err := transport.Subscriber("r", 64, &gate)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	out, err := subscriber.Subscribe(t.Context(), "flow")
	require.NoError(t, err)

	var sent, received atomic.Int64
	var mu sync.Mutex
	times := map[string]int{}
	go func() {
		for msg := range out {
			mu.Lock()
			times[msg.UUID]++
			mu.Unlock()
			msg.Ack()
			received.Add(1)
		}
	}()
	enough := make(chan struct{})
	var group sync.WaitGroup
	for i := range senders {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				if transport.Publisher().Publish("flow", message.NewMessage(strconv.Itoa(i)+"-"+strconv.Itoa(n), []byte("{}"))) != nil {
					return
				}
				sent.Add(1)
			}
		})
	}
	for range shuts {
		at := received.Load()
		require.Eventually(t, func() bool { return received.Load() > at }, 20*time.Second, time.Millisecond)
		gate.Shut()
		gate.Open()
	}
	close(enough)
	group.Wait()
	require.Eventually(t, func() bool { return received.Load() >= sent.Load() }, 20*time.Second, 10*time.Millisecond)
	mu.Lock()
	require.Len(t, times, int(sent.Load()))
	mu.Unlock()
	require.Equal(t, sent.Load(), received.Load(), "delivered more than once")
}

// A server that has no room for what a topic may hold is an error that says what to change.
func TestTopicsThatFindNoRoomSaySo(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, JetStreamMaxStore: 3 << 30,
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	c := nats.DefaultConfig()
	c.URL = s.ClientURL()
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "first", Readers: []string{"r"}}}))
	err = transport.Provision(t.Context(), []pipeline.Topic{{Name: "second", Readers: []string{"r"}}})
	require.ErrorContains(t, err, `topic "second": the servers have no room left for its 2048 MiB`)
	require.ErrorContains(t, err, "RASTRO_NATS_MAX_BYTES")
}

// A queue that is not there is told apart from a broker that does not tell.
func TestBacklogOfAQueueThatIsNotThere(t *testing.T) {
	t.Parallel()
	s, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	c := nats.DefaultConfig()
	c.Options = []natsgo.Option{s.Option()}
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	_, err = transport.Backlog(t.Context(), "flow", "r")
	require.ErrorIs(t, err, routers.ErrNoQueue, "no stream")
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "flow", Readers: []string{"r"}}}))
	_, err = transport.Backlog(t.Context(), "flow", "r")
	require.NoError(t, err)
	_, err = transport.Backlog(t.Context(), "flow", "nobody")
	require.ErrorIs(t, err, routers.ErrNoQueue, "no consumer")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = transport.Backlog(stopped, "flow", "r")
	require.Error(t, err)
	require.NotErrorIs(t, err, routers.ErrNoQueue)
}

// The JetStream of a domain is used where one is named, by everything, and one that is not there is named.
func TestADomainOfJetStream(t *testing.T) {
	t.Parallel()
	hub, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, JetStreamDomain: "hub", StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: -1},
	})
	require.NoError(t, err)
	hub.Start()
	t.Cleanup(func() { hub.Shutdown(); hub.WaitForShutdown() })
	require.True(t, hub.ReadyForConnections(10*time.Second))

	connect := func(domain string) *nats.Transport {
		c := nats.DefaultConfig()
		c.URL, c.Domain, c.MaxBytes = hub.ClientURL(), domain, 16<<20
		transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, transport.Close()) })
		return transport
	}
	topics := []pipeline.Topic{{Name: "flow", Readers: []string{"r"}}}
	require.ErrorContains(t, connect("elsewhere").Provision(t.Context(), topics), `no JetStream in the domain "elsewhere"`)

	transport := connect("hub")
	require.NoError(t, transport.Provision(t.Context(), topics))
	subscriber, err := transport.Subscriber("r", 1, &routers.Gate{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	out, err := subscriber.Subscribe(t.Context(), "flow")
	require.NoError(t, err)
	require.NoError(t, transport.Publisher().Publish("flow", message.NewMessage("1", []byte("{}"))))
	select {
	case msg := <-out:
		require.Equal(t, "1", msg.UUID)
		msg.Ack()
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing comes")
	}
}
