package sqs_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers/sqs"
)

func TestNames(t *testing.T) {
	n := sqs.Names{Prefix: "rastro"}
	require.Equal(t, "rastro-tracking-dedupe", n.Queue("tracking.dedupe", "tracking"))
	require.Equal(t, "rastro-tracking-dead_letters", n.Queue("tracking.dead_letters", "tracking"))
	require.Equal(t, "rastro-tracking-dedupe-DLQ", n.DeadLetterQueue(n.Queue("tracking.dedupe", "tracking")))
	require.Equal(t, "rastro-events-ingested-FOR-tracking", n.Queue("events.ingested", "tracking"))
	require.Equal(t, "rastro-a--b-c", n.Topic("a-b.c"))
	require.Equal(t, []sqs.Place{
		{Topic: "none"},
		{Topic: "one.x", Queues: []sqs.Queue{{Reader: "one", Name: "rastro-one-x", DeadLetterQueue: "rastro-one-x-DLQ"}}},
		{Topic: "two", SNSTopic: "rastro-two", Queues: []sqs.Queue{
			{Reader: "a", Name: "rastro-two-FOR-a", DeadLetterQueue: "rastro-two-FOR-a-DLQ"},
			{Reader: "b", Name: "rastro-two-FOR-b", DeadLetterQueue: "rastro-two-FOR-b-DLQ"},
		}},
	}, n.Places([]pipeline.Topic{{Name: "none"}, {Name: "one.x", Readers: []string{"one"}}, {Name: "two", Readers: []string{"b", "a", "b"}}}))
}

// As pipelines name topics and themselves.
var (
	topicNames  = rapid.StringMatching(`[a-z][a-z0-9_-]{0,40}(\.[a-z][a-z0-9_-]{0,40}){0,3}`)
	readerNames = rapid.StringMatching(`[a-z][a-z0-9_-]{0,30}`)
	queueName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
)

func TestNamesDoNotCollide(t *testing.T) {
	n := sqs.Names{Prefix: "rastro"}
	rapid.Check(t, func(t *rapid.T) {
		type pair struct{ topic, reader string }
		a := pair{topicNames.Draw(t, "topic"), readerNames.Draw(t, "reader")}
		b := pair{topicNames.Draw(t, "topic"), readerNames.Draw(t, "reader")}
		if rapid.Bool().Draw(t, "near") { // the same but for the marks
			b.topic = strings.NewReplacer(".", "-", "-", "--").Replace(a.topic)
			b.reader = a.reader
		}
		for _, p := range []pair{a, b} {
			require.Regexp(t, queueName, n.DeadLetterQueue(n.Queue(p.topic, p.reader)))
		}
		if a != b {
			require.NotEqual(t, n.Queue(a.topic, a.reader), n.Queue(b.topic, b.reader))
			require.NotEqual(t, n.Queue(a.topic, a.reader), n.DeadLetterQueue(n.Queue(b.topic, b.reader)))
		}
		if a.topic != b.topic {
			require.NotEqual(t, n.Topic(a.topic), n.Topic(b.topic))
		}
	})
}
