package publish

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

// serve starts a real server with JetStream on a port of this machine; on any free one when port is -1.
func serve(tb testing.TB, dir string, port int) *server.Server {
	tb.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, MaxPayload: 64 << 10,
	})
	require.NoError(tb, err)
	s.Start()
	require.True(tb, s.ReadyForConnections(10*time.Second))
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func connect(tb testing.TB, s *server.Server) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	closed := make(chan struct{})
	connection, err := nats.Connect(s.ClientURL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	require.NoError(tb, err)
	tb.Cleanup(func() { connection.Close(); <-closed })
	js, err := jetstream.New(connection)
	require.NoError(tb, err)
	return connection, js
}

func stream(tb testing.TB, js jetstream.JetStream, c jetstream.StreamConfig) jetstream.Stream {
	tb.Helper()
	made, err := js.CreateStream(tb.Context(), c)
	require.NoError(tb, err)
	return made
}

func TestJetStreamStoresEachEventOnce(t *testing.T) {
	t.Parallel()
	srv := serve(t, t.TempDir(), -1)
	_, js := connect(t, srv)
	made := stream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"rastro.>"}, MaxMsgSize: 4096})
	s := open(t, "{nats: {url: '"+srv.ClientURL()+"', subject: 'rastro.{tenant_id}.{event_type}'}, attributes: {tenant: tenant_id, none: payload.none}}")
	events := deliveries("e1", "e2", "e3")
	pass(t, s, events...)
	pass(t, s, events...) // a redelivery

	info, err := made.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, info.State.Msgs)
	m, err := made.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "rastro.talma-pe.loaded", m.Subject)
	require.Equal(t, events[0].UID.String(), m.Header.Get("Nats-Msg-Id"))
	require.Equal(t, "talma-pe", m.Header.Get("tenant"))
	require.NotContains(t, m.Header, "none")
	require.Equal(t, "application/cloudevents+json", m.Header.Get("Content-Type"))
	results, err := cloudevents.Decode(m.Data, cloudevents.Single, formats.Options{})
	require.NoError(t, err)
	require.Equal(t, "e1", results[0].Event.EventID)

	// What is too large for the stream, or for the server, never gets through; what no stream has the subject of may.
	large, huge := delivery("e4"), delivery("e5")
	large.Payload = json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)
	huge.Payload = json.RawMessage(`"` + strings.Repeat("x", 70_000) + `"`)
	batch := pipeline.NewBatch([]*tracking.Event{large, huge, delivery("e6")})
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"reject too_large", "reject too_large", "pass"}, outcomes(batch))
	require.Contains(t, batch.Verdict(1).Reason.Message, "the server takes 65536")
}

func TestASubjectWithoutAStreamIsTriedAgain(t *testing.T) {
	t.Parallel()
	srv := serve(t, t.TempDir(), -1)
	_, js := connect(t, srv)
	stream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"rastro.loaded"}})
	s := open(t, "{nats: {url: '"+srv.ClientURL()+"', subject: 'rastro.{event_type}'}, timeout: 5s}")
	events := deliveries("e1", "e2")
	events[1].Type = "departed"
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "retry"}, outcomes(batch))
	require.ErrorContains(t, batch.Verdict(1).Err, "no stream has this subject")

	alone := pipeline.NewBatch(events[1:])
	require.ErrorContains(t, s.Process(t.Context(), alone), "no stream has this subject")
	require.Equal(t, 1, alone.PendingLen())
}

func TestCoreNATSReachesWhoIsSubscribed(t *testing.T) {
	t.Parallel()
	srv := serve(t, t.TempDir(), -1)
	connection, _ := connect(t, srv)
	subscription, err := connection.SubscribeSync("rastro.>")
	require.NoError(t, err)
	require.NoError(t, connection.Flush())
	s := open(t, "{nats: {url: '"+srv.ClientURL()+"', subject: 'rastro.{kind}', jetstream: false}, format: payload, attributes: {flight: payload.flight}}")
	event, empty := delivery("e1"), delivery("e2")
	empty.Payload = nil
	batch := pipeline.NewBatch([]*tracking.Event{event, empty})
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "reject encode"}, outcomes(batch))
	m, err := subscription.NextMsg(5 * time.Second)
	require.NoError(t, err)
	require.Equal(t, "rastro.baggage", m.Subject)
	require.Equal(t, string(event.Payload), string(m.Data))
	require.Equal(t, "LA2468", m.Header.Get("flight"))
}

// A server that is down is an outage: nothing is judged, and everything gets through when it is back.
func TestAnOutageOfTheServerIsNoFaultOfTheEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := serve(t, dir, -1)
	port, url := srv.Addr().String(), srv.ClientURL()
	number, err := strconv.Atoi(port[strings.LastIndex(port, ":")+1:])
	require.NoError(t, err)
	connection, js := connect(t, srv)
	stream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"rastro.>"}})
	connection.Close()
	s := open(t, "{nats: {url: '"+url+"', subject: rastro.x}, timeout: 2s}")
	pass(t, s, delivery("e1"))
	early := open(t, "{nats: {url: '"+url+"', subject: rastro.x}, timeout: 2s}")

	srv.Shutdown()
	srv.WaitForShutdown()
	event := delivery("e2")
	for _, down := range []*stage{s, early} {
		batch := pipeline.NewBatch([]*tracking.Event{event})
		require.Error(t, down.Process(t.Context(), batch))
		require.Equal(t, 1, batch.PendingLen())
	}

	serve(t, dir, number)
	for _, back := range []*stage{s, early} {
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return back.Process(ctx, pipeline.NewBatch([]*tracking.Event{event})) == nil
		}, 20*time.Second, 50*time.Millisecond)
	}
}

func TestExerciseNATS(t *testing.T) {
	srv := serve(t, t.TempDir(), -1)
	_, js := connect(t, srv)
	stream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"rastro.>"}})
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "{nats: {url: '" + srv.ClientURL() + "', subject: 'rastro.{tenant_id}.{event_type}'}, format: event, attributes: {tenant: tenant_id}, timeout: 5s}",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			broken := delivery("e3")
			broken.Payload = json.RawMessage(`{`)
			return []*tracking.Event{delivery("e1"), delivery("e2"), broken}
		},
		Invalid: []string{"nats: {}", "nats: x", "{nats: {url: 'nats://x', subject: 'a b'}}", "sns: {topic_arn: x}", "sqs: {queue_url: x}", "format: event"},
	})
}
