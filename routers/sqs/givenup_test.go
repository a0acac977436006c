package sqs_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

// log is what was logged, line by line.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func logged(t *testing.T, change func(*sqs.Config)) (*fakeSQS, *sqs.Transport, *log) {
	t.Helper()
	fake, said := newFakeSQS(t), &log{}
	c := testConfig(fake.URL)
	change(&c)
	metrics, err := sqs.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	transport, err := sqs.Connect(t.Context(), c, metrics, slog.New(slog.NewTextHandler(said, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: topic, Readers: []string{"p"}}}))
	return fake, transport, said
}

// A dead-letter queue of another name, as somebody else may have made it, is said once, and holds nothing up.
func TestADeadLetterQueueThatIsNotThereIsSaidOnce(t *testing.T) {
	fake, transport, said := logged(t, func(*sqs.Config) {})
	fake.mu.Lock()
	for name := range fake.queues {
		if strings.HasSuffix(name, "-DLQ") {
			delete(fake.queues, name)
		}
	}
	fake.mu.Unlock()
	for range 3 { // generations
		sub, err := transport.GivenUp("p", 1, &routers.Gate{})
		require.NoError(t, err)
		out, err := sub.Subscribe(t.Context(), topic)
		require.NoError(t, err)
		select {
		case <-out:
			t.Fatal("a message, or the end, of a queue that is not there")
		default:
		}
		require.NoError(t, sub.Drain(t.Context()))
		require.NoError(t, sub.Close())
		_, more := <-out
		require.False(t, more)
	}
	require.Equal(t, 1, said.count("does not exist, or has another name"))
	require.Equal(t, 1, said.count("p-work-DLQ"))
}

// What kills whoever has it is named before SQS gives it up.
func TestTheLastReceiveIsSaid(t *testing.T) {
	_, transport, said := logged(t, func(c *sqs.Config) { c.MaxReceives = 3 })
	require.NoError(t, transport.Publisher().Publish(topic, messages(1)...))
	sub, err := transport.Subscriber("p", 1, &routers.Gate{})
	require.NoError(t, err)
	out, err := sub.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	for receive := range 3 {
		select {
		case msg := <-out:
			require.Equal(t, receive/2, said.count("for the last time"), "receive %d", receive+1)
			msg.Nack()
		case <-time.After(10 * time.Second):
			t.Fatal("it does not come again")
		}
	}
	require.NoError(t, sub.Close())
	require.Positive(t, said.count("receives=3"))
	require.Zero(t, said.count("receives=2"))
}
