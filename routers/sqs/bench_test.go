package sqs_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// BenchmarkFrames publishes and receives frames of 500 events through a server on this machine that answers at once. It says
// what our side costs, and how many requests a thousand events take; how fast AWS is it cannot say.
func BenchmarkFrames(b *testing.B) {
	const events = 500
	fake := newFakeSQS(b)
	c := testConfig(fake.URL)
	transport := connect(b, c)
	defer func() { require.NoError(b, transport.Close()) }()
	require.NoError(b, transport.Provision(b.Context(), []pipeline.Topic{{Name: topic, Readers: []string{"p"}}}))
	sub, err := transport.Subscriber("p", 128, &routers.Gate{})
	require.NoError(b, err)
	defer func() { require.NoError(b, sub.Close()) }()
	out, err := sub.Subscribe(context.WithoutCancel(b.Context()), topic)
	require.NoError(b, err)
	msg := frame(b, events)

	before := fake.total()
	b.SetBytes(int64(len(msg.Payload)))
	b.ResetTimer()
	go func() {
		for left := b.N; left > 0; {
			batch := make([]*message.Message, min(left, 10))
			for i := range batch {
				batch[i] = message.NewMessage(msg.UUID, msg.Payload)
			}
			if transport.Publisher().Publish(topic, batch...) != nil {
				return
			}
			left -= len(batch)
		}
	}()
	for range b.N {
		(<-out).Ack()
	}
	require.NoError(b, sub.Drain(context.Background()))
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(fake.total()-before)/float64(b.N)/events*1000, "requests/1000-events")
}
