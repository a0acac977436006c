package sqs_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

func TestWhatIsMissingIsNamed(t *testing.T) {
	c := testConfig(endpoint(t))
	c.Prefix = "x" + c.Prefix
	topics := []pipeline.Topic{
		{Name: "p.work", Readers: []string{"p"}},
		{Name: "events", Readers: []string{"p", "q"}},
		{Name: "end"},
	}
	making := connect(t, c)
	t.Cleanup(func() { require.NoError(t, making.Close()) })
	c.Provision = false
	checking := connect(t, c)
	t.Cleanup(func() { require.NoError(t, checking.Close()) })
	require.NoError(t, checking.Ping(t.Context()))

	err := checking.Provision(t.Context(), topics)
	require.ErrorIs(t, err, sqs.ErrMissing)
	for _, named := range []string{
		"queue " + c.Prefix + "-p-work does not exist (topic p.work, reader p)",
		"queue " + c.Prefix + "-events-FOR-p does not exist", "queue " + c.Prefix + "-events-FOR-q does not exist",
		"SNS topic " + c.Prefix + "-events needs", "rastro pipeline topics", "RASTRO_SQS_PROVISION",
	} {
		require.ErrorContains(t, err, named)
	}

	// Half of it.
	require.NoError(t, making.Provision(t.Context(), []pipeline.Topic{{Name: "events", Readers: []string{"p"}}}))
	err = checking.Provision(t.Context(), topics)
	// AWS and goaws say that the topic does not exist, others that it has no subscriptions.
	require.Regexp(t, "SNS topic "+c.Prefix+"-events does not exist|events-FOR-p is not subscribed to SNS topic "+c.Prefix+"-events", err.Error())
	require.NotContains(t, err.Error(), "events-FOR-p does not")

	require.NoError(t, making.Provision(t.Context(), topics))
	require.NoError(t, making.Provision(t.Context(), topics), "it is idempotent")
	require.NoError(t, checking.Provision(t.Context(), topics))

	c.MaxMessageBytes, c.MaxInFlightBytes = sqs.MostMessageBytes, 16<<20
	larger := connect(t, c)
	t.Cleanup(func() { require.NoError(t, larger.Close()) })
	require.ErrorContains(t, larger.Provision(t.Context(), topics), "takes messages of 262144 bytes, RASTRO_SQS_MAX_MESSAGE_BYTES is 1048576")
}

// A topic gets a second reader: the first keeps what it has, and both get what comes.
func TestReadersOfATopicGetAllOfIt(t *testing.T) {
	c := testConfig(endpoint(t))
	transport := connect(t, c)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "events", Readers: []string{"a"}}}))
	require.NoError(t, transport.Publisher().Publish("events", messages(3)...))
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "events", Readers: []string{"a", "b"}}}))
	require.NoError(t, transport.Publisher().Publish("events", messages(12)...))
	require.NoError(t, transport.Publisher().Publish("events", noise(1, 150<<10)...))

	for reader, want := range map[string]int64{"a": 16, "b": 13} {
		n, err := transport.Backlog(t.Context(), "events", reader)
		require.NoError(t, err)
		require.Equal(t, routers.Backlog{Ready: want}, n)
		sub, err := transport.Subscriber(reader, 50, &routers.Gate{})
		require.NoError(t, err)
		out, err := sub.Subscribe(context.WithoutCancel(t.Context()), "events")
		require.NoError(t, err)
		for i := range want {
			select {
			case msg := <-out:
				if i == 0 {
					n, err = transport.Backlog(t.Context(), "events", reader)
					require.NoError(t, err)
					require.NotZero(t, n.InFlight)
					require.Equal(t, want, n.Total())
				}
				msg.Ack()
			case <-time.After(10 * time.Second):
				t.Fatalf("reader %s misses messages", reader)
			}
		}
		require.NoError(t, sub.Drain(t.Context()))
		n, err = transport.Backlog(t.Context(), "events", reader)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, sub.Close())
	}
	_, err := transport.Backlog(t.Context(), "events", "nobody")
	require.ErrorIs(t, err, routers.ErrNoQueue)
}

// What is too large for SNS goes to each reader's queue.
func TestReadersOfATopicGetWhatIsTooLargeForSNS(t *testing.T) {
	c := testConfig(endpoint(t))
	c.MaxMessageBytes = sqs.MostMessageBytes
	transport := connect(t, c)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "events", Readers: []string{"a", "b"}}}))
	require.NoError(t, transport.Publisher().Publish("events", append(messages(2), noise(1, 500<<10)...)...))
	for _, reader := range []string{"a", "b"} {
		n, err := transport.Backlog(t.Context(), "events", reader)
		require.NoError(t, err)
		require.EqualValues(t, 3, n.Total())
	}
}

func TestConfigIsChecked(t *testing.T) {
	require.NoError(t, sqs.DefaultConfig().Validate())
	for name, change := range map[string]func(*sqs.Config){
		"prefix":             func(c *sqs.Config) { c.Prefix = "a.b" },
		"visibility timeout": func(c *sqs.Config) { c.VisibilityTimeout = 1500 * time.Millisecond },
		"wait":               func(c *sqs.Config) { c.Wait = time.Minute },
		"gather":             func(c *sqs.Config) { c.Gather = time.Minute },
		"pollers":            func(c *sqs.Config) { c.Pollers = 0 },
		"messages of":        func(c *sqs.Config) { c.MaxMessageBytes = 2 << 20 },
		"in flight":          func(c *sqs.Config) { c.MaxInFlightBytes = 1 },
		"receives":           func(c *sqs.Config) { c.MaxReceives = 0 },
		"nack delays":        func(c *sqs.Config) { c.MaxNackDelay = 0 },
		"publish timeout":    func(c *sqs.Config) { c.PublishTimeout = 0 },
	} {
		c := sqs.DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), name)
	}
}
