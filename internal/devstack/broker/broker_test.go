package broker_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/broker"
)

func open(t *testing.T, dir string) (jetstream.JetStream, func()) {
	t.Helper()
	server, err := broker.Start(t.Context(), dir)
	require.NoError(t, err)
	conn, err := nats.Connect("", server.Option())
	require.NoError(t, err)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js, func() {
		conn.Close()
		server.Stop()
	}
}

func TestWhatItHoldsOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	js, stop := open(t, dir)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("bag"))
	require.NoError(t, err)
	stop()

	js, stop = open(t, dir)
	defer stop()
	stream, err := js.Stream(t.Context(), "s")
	require.NoError(t, err)
	msg, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "bag", string(msg.Data))
}

// Topics promise far more room than a small disk has; that must not keep them from being made.
func TestTopicsMayReserveMoreThanTheDiskHas(t *testing.T) {
	js, stop := open(t, t.TempDir())
	defer stop()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "s", Subjects: []string{"s"}, Storage: jetstream.FileStorage, MaxBytes: 900 << 30,
	})
	require.NoError(t, err)
}

func TestAFolderThatCannotBeUsedIsAnError(t *testing.T) {
	_, err := broker.Start(t.Context(), "/dev/null/broker")
	require.ErrorContains(t, err, "start broker")
}

func TestOthersConnectToOneThatListens(t *testing.T) {
	server, err := broker.Listen(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer server.Stop()
	conn, err := nats.Connect(server.URL())
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
	require.NoError(t, err)
}
