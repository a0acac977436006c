package cli

import (
	"log/slog"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers/nats"
)

// Readers that no pipeline has are found, and removed when that was asked for: those that frames wait for only on purpose.
func TestTidyRemovesReadersThatNobodyHas(t *testing.T) {
	e := newEnvironment(t)
	t.Setenv("RASTRO_NATS_URL", e.process.Broker.NATSURL)
	c := nats.DefaultConfig()
	c.URL = e.process.Broker.NATSURL
	transport, err := nats.Connect(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	registry, err := options{}.registry()
	require.NoError(t, err)
	sources, err := pipelineSources(configFiles(""))
	require.NoError(t, err)
	var plans []pipeline.Plan
	for _, source := range sources {
		spec, err := pipeline.Parse(source.File, source.Text, registry)
		require.NoError(t, err)
		plans = append(plans, spec.Plan())
	}
	require.NoError(t, transport.Provision(t.Context(), pipeline.Topics(plans...)))

	clean := runWith(t, options{}, nil, "pipeline", "tidy")
	require.NoError(t, clean.failure)
	require.Empty(t, clean.out)

	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{
		{Name: "events.persisted", Readers: []string{"gone"}}, {Name: "old.stage-x", Readers: []string{"old"}},
	}))
	require.NoError(t, transport.Publisher().Publish("events.persisted", message.NewMessage("1", []byte("a frame"))))
	listed := runWith(t, options{}, nil, "pipeline", "tidy")
	require.ErrorContains(t, listed.failure, "2 readers left over")
	require.Equal(t, "TOPIC             READER  FRAMES\nevents.persisted  gone    1\nold.stage-x       old     0\n", listed.out)

	removed := runWith(t, options{}, nil, "pipeline", "tidy", "--remove")
	require.ErrorContains(t, removed.failure, "1 reader left over")
	require.Contains(t, removed.out, "old.stage-x       old     0       removed")
	require.NoError(t, runWith(t, options{}, nil, "pipeline", "tidy", "--remove", "--with-frames").failure)
	require.Empty(t, runWith(t, options{}, nil, "pipeline", "tidy").out)
	require.Equal(t, exitUsage, exitCode(runWith(t, options{}, nil, "pipeline", "tidy", "--with-frames").failure))
}

// Over SQS it lists queues with what waits in them and the commands that remove them, and removes those that rastro made.
func TestTidyOverSQSListsQueuesAndRemovesOurs(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerSQS)
	t.Setenv("RASTRO_BROKER", "sqs")
	t.Setenv("RASTRO_SQS_ENDPOINT", e.process.Broker.SQS.Endpoint)
	t.Setenv("RASTRO_SQS_PREFIX", e.process.Broker.SQS.Prefix)
	t.Setenv("RASTRO_SQS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	transport, err := connectSQS(surroundings{process: e.process, logger: slog.New(slog.DiscardHandler)}, prometheus.NewRegistry())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{
		{Name: "old.waits", Readers: []string{"old"}}, {Name: "old.empty", Readers: []string{"old"}},
	}))
	require.NoError(t, transport.Publisher().Publish("old.waits", message.NewMessage("1", []byte("a frame"))))

	listed := runWith(t, options{}, nil, "pipeline", "tidy")
	require.ErrorContains(t, listed.failure, "2 readers left over")
	require.Regexp(t, `(?m)^TOPIC +READER +FRAMES +QUEUE +AGE$`, listed.out)
	require.Regexp(t, `(?m)^old\.empty +old +0 +rastro-old-empty +\d+s$`, listed.out)
	require.Regexp(t, `(?m)^old\.waits +old +1 +rastro-old-waits +\d+s$`, listed.out)
	require.Regexp(t, `(?m)^  aws sqs delete-queue --queue-url http\S+/rastro-old-waits-DLQ$`, listed.out)

	removed := runWith(t, options{}, nil, "pipeline", "tidy", "--remove")
	require.ErrorContains(t, removed.failure, "1 reader left over")
	require.Regexp(t, `(?m)^old\.empty .* removed$`, removed.out)
	require.NotContains(t, removed.out, "rastro-old-empty-DLQ", "nothing is left to do by hand")
	require.NoError(t, runWith(t, options{}, nil, "pipeline", "tidy", "--remove", "--with-frames").failure)
	require.Empty(t, runWith(t, options{}, nil, "pipeline", "tidy").out)
}
