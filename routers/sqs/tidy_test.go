package sqs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

// Queues of readers that nobody has are found with what waits in them, those of another installation are not, and only those
// are removed that we made.
func TestQueuesThatNobodyReadsAreFoundAndRemoved(t *testing.T) {
	url := endpoint(t)
	c := testConfig(url)
	transport := connect(t, c)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	longer := c
	longer.Prefix += "-other"
	other := connect(t, longer)
	t.Cleanup(func() { require.NoError(t, other.Close()) })

	kept := []pipeline.Topic{{Name: "events", Readers: []string{"p"}}, {Name: "p.work", Readers: []string{"p"}}, {Name: "end"}}
	all := append([]pipeline.Topic{{Name: "p.gone", Readers: []string{"p"}}}, kept[1:]...)
	all = append(all, pipeline.Topic{Name: "events", Readers: []string{"p", "gone"}})
	require.NoError(t, transport.Provision(t.Context(), all))
	require.NoError(t, other.Provision(t.Context(), kept), "it has a prefix that begins with ours")
	require.NoError(t, transport.Publisher().Publish("events", messages(3)...))

	none, err := transport.Stale(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, none)
	stale, err := transport.Stale(t.Context(), kept)
	require.NoError(t, err)
	require.Len(t, stale, 2)
	events, work := stale[0], stale[1]
	require.Equal(t, []any{"events", "gone", int64(3), c.Prefix + "-events-FOR-gone", false},
		[]any{events.Topic, events.Reader, events.Backlog, events.Place, events.Unsure})
	require.Equal(t, []any{"p.gone", "p", int64(0), c.Prefix + "-p-gone", false}, []any{work.Topic, work.Reader, work.Backlog, work.Place, work.Unsure})
	require.WithinDuration(t, time.Now(), events.Since, time.Minute)
	require.Len(t, events.Commands, 2, "its dead-letter queue too")
	require.Regexp(t, "^aws sqs delete-queue --queue-url http.*-events-FOR-gone$", events.Commands[0])
	require.Regexp(t, "^aws sqs delete-queue --queue-url http.*-events-FOR-gone-DLQ$", events.Commands[1])

	require.NoError(t, transport.Forget(t.Context(), "events", "gone"))
	require.NoError(t, transport.Forget(t.Context(), "events", "gone"), "it is gone")
	_, err = transport.Backlog(t.Context(), "events", "gone")
	require.ErrorIs(t, err, routers.ErrNoQueue)
	require.NoError(t, transport.Forget(t.Context(), "p.gone", "p"))
	stale, err = transport.Stale(t.Context(), kept)
	require.NoError(t, err)
	require.Empty(t, stale)
	require.NoError(t, transport.Publisher().Publish("events", messages(2)...))
	n, err := transport.Backlog(t.Context(), "events", "p")
	require.NoError(t, err)
	require.EqualValues(t, 5, n.Total(), "who still reads gets all of it")
	stale, err = other.Stale(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, stale, 2, "the other installation has its own still")
}

// A queue without our tags, as Terraform makes it, is listed, and nobody removes it by mistake.
func TestAQueueThatSomebodyElseMadeIsNotRemoved(t *testing.T) {
	fake, transport := onFake(t, nil)
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: "p.gone", Readers: []string{"p"}}}))
	var queues []string
	fake.mu.Lock()
	for name := range fake.queues {
		queues = append(queues, fake.URL+"/1/"+name)
	}
	fake.mu.Unlock()
	fake.set(func(call fakeCall) *fakeAnswer {
		switch call.action {
		case "ListQueues":
			return ok(map[string][]string{"QueueUrls": queues})
		case "ListQueueTags":
			return ok(map[string]any{"Tags": map[string]string{"team": "ops"}})
		}
		return nil
	}, nil)
	stale, err := transport.Stale(t.Context(), nil)
	require.NoError(t, err)
	require.NotEmpty(t, stale)
	for _, s := range stale {
		require.Equal(t, []any{true, "", ""}, []any{s.Unsure, s.Topic, s.Reader})
		require.NotEmpty(t, s.Commands)
	}
	require.ErrorIs(t, transport.Forget(t.Context(), "p.gone", "p"), sqs.ErrNotOurs)
	deleted, _ := fake.count("DeleteQueue")
	require.Zero(t, deleted)
}
