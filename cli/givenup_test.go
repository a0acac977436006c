package cli

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// A consumer that never gets through with a frame: SQS gives it up, its event becomes a dead letter, and redriving that stores
// it once, however often it is asked for.
func TestWhatSQSGivesUpIsADeadLetterAndCanBeRedriven(t *testing.T) {
	s := &opsStand{t: t, environment: newEnvironmentOver(t, config.BrokerSQS)}
	s.process.Broker.SQS.MaxReceives = 2
	var err error
	s.db, err = store.Open(t.Context(), store.Config{URL: s.process.Database.URL})
	require.NoError(t, err)
	t.Cleanup(s.db.Close)
	edge, _ := s.serve(t, roleIngest)
	status, answer := s.do(t, http.MethodPost, edge+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status, answer)

	transport, err := connectSQS(surroundings{process: s.process, logger: slog.New(slog.DiscardHandler)}, prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	looping, err := transport.Subscriber("tracking", 1, &routers.Gate{})
	require.NoError(t, err)
	out, err := looping.Subscribe(t.Context(), ingest.Topic)
	require.NoError(t, err)
	for range s.process.Broker.SQS.MaxReceives {
		(<-out).Nack()
	}
	require.NoError(t, looping.Close())

	s.url, _ = s.serve(t, roleQuery)
	s.serve(t, roleProcessor)
	list := func(state string) []store.Letter {
		got := s.rastro("talma-pe", "dlq", "list", "--state", state, "--json")
		require.Zero(t, got.code, got.err)
		return decodeAs[ops.LetterPage](t, []byte(got.out)).Items
	}
	require.Eventually(t, func() bool { return len(list("open")) == 1 }, 20*time.Second, 50*time.Millisecond)
	letter := list("open")[0]
	require.Equal(t, []any{"received-too-often", "validate", 2, "ROLE-1"}, []any{letter.Code, letter.Stage, letter.Attempts, letter.CorrelationID})

	for _, state := range []string{"open", "stored"} { // of the second nothing comes: its event is stored
		got := s.rastro("talma-pe", "dlq", "redrive", "--reason", "received-too-often", "--state", state, "--yes", "--why", "the node is mended")
		require.Zero(t, got.code, "%v %s", got.failure, got.out)
		require.Eventually(t, func() bool { return len(list("stored")) == 1 }, 20*time.Second, 50*time.Millisecond)
	}
	trace, err := s.db.Trace(t.Context(), "talma-pe", "ROLE-1")
	require.NoError(t, err)
	require.Len(t, trace.Events, 1)
	require.Equal(t, letter.UID, trace.Events[0].UID)
}
