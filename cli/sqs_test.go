package cli

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers/sqs"
)

// Events go over SQS from ingest through every hop into the store while processors come and go: each is stored once, and no
// queue has anything left.
func TestEventsAreStoredOnceOverSQSWhileProcessorsRestart(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerSQS)
	e.process.ShutdownTimeout = 5 * time.Second
	ingest, _ := e.serve(t, roleIngest)
	const requests, each = 30, 20
	_, stop := e.serve(t, roleProcessor)
	for r := range requests {
		var body []string
		for n := range each {
			body = append(body, strings.ReplaceAll(loadedEvent, "ROLE-1", fmt.Sprintf("SQS-%d-%d", r, n)))
		}
		status, answer := e.do(t, http.MethodPost, ingest+"/api/v1/events", "["+strings.Join(body, ",")+"]")
		require.Equal(t, http.StatusAccepted, status, answer)
		if r%10 == 9 {
			stop()
			_, stop = e.serve(t, roleProcessor)
		}
	}

	db, err := pgx.Connect(t.Context(), e.process.Database.URL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(t.Context())) })
	count := func(sql string) (n int) {
		require.NoError(t, db.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return count("select count(*) from traces") == requests*each }, 60*time.Second, 50*time.Millisecond)
	require.Equal(t, requests*each, count("select count(*) from event_store"))
	require.Zero(t, count("select count(*) from dead_letters"))

	s := surroundings{process: e.process, logger: slog.New(slog.DiscardHandler)}
	registry, err := options{}.registry()
	require.NoError(t, err)
	plans, err := planner{configFiles(""), registry, deliveryLimits(e.process), s.logger}.plans()
	require.NoError(t, err)
	transport, err := connectSQS(s, prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.Eventually(t, func() bool {
		for _, topic := range pipeline.Topics(plans...) {
			for _, reader := range topic.Readers {
				if left, err := transport.Backlog(t.Context(), topic.Name, reader); err != nil || left.Total() > 0 {
					return false
				}
			}
		}
		return true
	}, 30*time.Second, 50*time.Millisecond)
}

// In production nothing is made: what is missing is named, with the command that prints what is needed.
func TestAProcessSaysWhichQueuesItMisses(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerSQS)
	e.process.Broker.SQS.Provision = false
	err := startApp(t.Context(), newApp(options{}, surroundings{process: e.process, roles: []string{roleIngest}, logger: slog.New(slog.DiscardHandler)}))
	require.ErrorIs(t, err, sqs.ErrMissing)
	require.ErrorContains(t, err, "queue rastro-tracking-")
	require.ErrorContains(t, err, "rastro pipeline topics")
}

func TestTheBrokersConfigurationIsChecked(t *testing.T) {
	e := newEnvironment(t)
	e.process.Broker.Kind, e.process.Broker.SQS.Prefix = config.BrokerSQS, "not.a.prefix"
	err := startApp(t.Context(), newApp(options{}, surroundings{process: e.process, roles: []string{roleIngest}, logger: slog.New(slog.DiscardHandler)}))
	require.ErrorContains(t, err, "prefix")
}
