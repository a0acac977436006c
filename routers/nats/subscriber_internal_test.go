package nats

import (
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// The newest message that was handled stays in the stream until a newer one was handled as well, and no longer than a moment; who stops
// receiving acknowledges it at once.
func TestTheNewestIsAcknowledgedAfterANewerOne(t *testing.T) {
	t.Parallel()
	s, err := broker.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	c := DefaultConfig()
	c.Options = []nats.Option{s.Option()}
	c.AckWait, c.MaxBytes = time.Minute, 256<<20
	transport, err := Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "flow", Readers: []string{"r"}}}))
	left := func() jetstream.StreamState {
		stream, err := transport.js.Stream(t.Context(), "flow")
		require.NoError(t, err)
		return stream.CachedInfo().State
	}
	receive := func(moment time.Duration) (*Subscriber, <-chan *message.Message) {
		transport.moment = moment
		subscriber, err := transport.Subscriber("r", 8, &routers.Gate{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
		out, err := subscriber.Subscribe(t.Context(), "flow")
		require.NoError(t, err)
		own, ok := subscriber.(*Subscriber)
		require.True(t, ok)
		return own, out
	}
	publish := func(names ...string) {
		for _, name := range names {
			require.NoError(t, transport.Publisher().Publish("flow", message.NewMessage(name, []byte("{}"))))
		}
	}

	subscriber, out := receive(time.Hour)
	publish("a", "b", "c")
	a, b, c3 := <-out, <-out, <-out
	b.Ack()
	inHand := func() int {
		subscriber.mu.Lock()
		defer subscriber.mu.Unlock()
		return len(subscriber.pending)
	}
	require.Eventually(t, func() bool { return inHand() == 2 }, 10*time.Second, time.Millisecond, "what is put off is not in hand any more")
	a.Ack()
	require.Eventually(t, func() bool { return left().Msgs == 2 }, 10*time.Second, time.Millisecond, "the older one is acknowledged at once")
	require.EqualValues(t, 2, left().FirstSeq)
	c3.Ack()
	require.Eventually(t, func() bool { return left().Msgs == 1 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 3, left().FirstSeq)
	require.NoError(t, subscriber.Drain(t.Context()))
	require.Eventually(t, func() bool { return left().Msgs == 0 }, 10*time.Second, time.Millisecond)

	_, out = receive(time.Millisecond)
	publish("d")
	(<-out).Ack()
	require.Eventually(t, func() bool { return left().Msgs == 0 }, 10*time.Second, time.Millisecond)
}
