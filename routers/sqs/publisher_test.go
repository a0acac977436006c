package sqs_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

const topic = "p.work"

// onFake is a transport on a fake SQS with one topic, read by p.
func onFake(t *testing.T, change func(*sqs.Config)) (*fakeSQS, *sqs.Transport) {
	t.Helper()
	fake := newFakeSQS(t)
	c := testConfig(fake.URL)
	if change != nil {
		change(&c)
	}
	transport := connect(t, c)
	t.Cleanup(func() { require.NoError(t, transport.Close()) })
	require.NoError(t, transport.Provision(t.Context(), []pipeline.Topic{{Name: topic, Readers: []string{"p"}}, {Name: "nobody"}}))
	return fake, transport
}

func messages(n int) []*message.Message {
	all := make([]*message.Message, n)
	for i := range all {
		all[i] = message.NewMessage(fmt.Sprint(i), fmt.Appendf(nil, "payload %d", i))
	}
	return all
}

// noise makes messages of bytes that do not compress.
func noise(n, size int) []*message.Message {
	all := messages(n)
	for _, msg := range all {
		msg.Payload = make([]byte, size)
		_, _ = rand.Read(msg.Payload)
	}
	return all
}

func TestPublishFillsRequestsByTen(t *testing.T) {
	fake, transport := onFake(t, nil)
	require.NoError(t, transport.Publisher().Publish(topic, messages(25)...))
	calls, entries := fake.count("SendMessageBatch")
	require.Equal(t, []int{3, 25}, []int{calls, entries})
	require.Len(t, fake.held(), 25)
}

func TestPublishFillsRequestsByBytes(t *testing.T) {
	fake, transport := onFake(t, nil)
	require.NoError(t, transport.Publisher().Publish(topic, noise(7, 60<<10)...)) // 80 KiB each as text: three fit in 256 KiB
	calls, entries := fake.count("SendMessageBatch")
	require.Equal(t, []int{3, 7}, []int{calls, entries})
}

func TestTheLargestFrameFits(t *testing.T) {
	for _, size := range []int{4 << 10, sqs.DefaultMessageBytes, sqs.MostMessageBytes} {
		fake, transport := onFake(t, func(c *sqs.Config) { c.MaxMessageBytes = size })
		msg := noise(1, transport.MaxFrameBytes())[0]
		msg.Metadata.Set("content-type", "application/cbor-seq")
		msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		require.NoError(t, transport.Publisher().Publish(topic, msg))
		held := fake.held()
		require.Len(t, held, 1)
		require.Len(t, held[0].attributes, 2)
		require.LessOrEqual(t, len(held[0].body), size)
		require.Greater(t, float64(len(held[0].body)), float64(size)*0.4, "no room is wasted for nothing")
	}
}

func TestWhatIsTooLargeIsRefusedWhole(t *testing.T) {
	fake, transport := onFake(t, nil)
	err := transport.Publisher().Publish(topic, append(messages(1), noise(1, 300<<10)...)...)
	require.ErrorIs(t, err, routers.ErrTooLarge)
	require.Empty(t, fake.held())
}

func TestOnlyEntriesThatFailedAreSentAgain(t *testing.T) {
	fake, transport := onFake(t, nil)
	var sends atomic.Int64
	fake.set(func(call fakeCall) *fakeAnswer {
		if call.action != "SendMessageBatch" || sends.Add(1) > 1 {
			return nil
		}
		// The third fails, the fifth is not mentioned, the others are stored.
		kept := call
		kept.request.Entries = nil
		for i, e := range call.request.Entries {
			if i != 2 && i != 4 {
				kept.request.Entries = append(kept.request.Entries, e)
			}
		}
		answer := fake.do(nil, kept)
		answer.body.(map[string]any)["Failed"] = []map[string]any{
			{"Id": call.request.Entries[2].Id, "Code": "InternalError", "Message": "try again", "SenderFault": false},
		}
		return answer
	}, nil)
	require.NoError(t, transport.Publisher().Publish(topic, messages(6)...))
	calls, entries := fake.count("SendMessageBatch")
	require.Equal(t, []int{2, 8}, []int{calls, entries})
	bodies := map[string]bool{}
	for _, m := range fake.held() {
		bodies[m.body] = true
	}
	require.Len(t, bodies, 6)
	require.Len(t, fake.held(), 6)
}

func TestAnEntryThatIsRefusedForGoodIsAnError(t *testing.T) {
	fake, transport := onFake(t, nil)
	fake.set(func(call fakeCall) *fakeAnswer {
		if call.action != "SendMessageBatch" {
			return nil
		}
		return ok(map[string]any{
			"Successful": []map[string]string{{"Id": "0", "MD5OfMessageBody": sum(call.request.Entries[0].MessageBody)}},
			"Failed":     []map[string]any{{"Id": "1", "Code": "InvalidMessageContents", "Message": "no", "SenderFault": true}},
		})
	}, nil)
	require.ErrorContains(t, transport.Publisher().Publish(topic, messages(2)...), "InvalidMessageContents")
	calls, _ := fake.count("SendMessageBatch")
	require.Equal(t, 1, calls)
}

func TestAThrottledAndALostRequestAreSentAgain(t *testing.T) {
	fake, transport := onFake(t, nil)
	var sends atomic.Int64
	fake.set(func(call fakeCall) *fakeAnswer {
		if call.action != "SendMessageBatch" {
			return nil
		}
		switch sends.Add(1) {
		case 1, 2, 3, 4: // more than the SDK's own patience
			return fault("RequestThrottled")
		case 5:
			return &fakeAnswer{status: http.StatusServiceUnavailable, body: map[string]string{}}
		case 6:
			return &fakeAnswer{lost: true}
		}
		return nil
	}, nil)
	require.NoError(t, transport.Publisher().Publish(topic, messages(3)...))
	require.Len(t, fake.held(), 3)
}

func TestPublishEndsWithTheContextOfAMessage(t *testing.T) {
	fake, transport := onFake(t, nil)
	asked := make(chan struct{}, 100)
	fake.set(func(call fakeCall) *fakeAnswer {
		if call.action != "SendMessageBatch" {
			return nil
		}
		asked <- struct{}{}
		return fault("RequestThrottled")
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	all := messages(2)
	all[1].SetContext(ctx)
	done := make(chan error, 1)
	go func() { done <- transport.Publisher().Publish(topic, all...) }()
	<-asked
	cancel()
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(5 * time.Second):
		t.Fatal("Publish goes on")
	}
}

func TestPublishGivesUpAfterItsTimeout(t *testing.T) {
	fake, transport := onFake(t, func(c *sqs.Config) { c.PublishTimeout = 300 * time.Millisecond })
	fake.set(func(fakeCall) *fakeAnswer { return fault("RequestThrottled") }, nil)
	err := transport.Publisher().Publish(topic, messages(1)...)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "1 of 1 messages are not stored")
}

func TestATopicThatNobodyReadsCostsNothing(t *testing.T) {
	fake, transport := onFake(t, nil)
	require.NoError(t, transport.Publisher().Publish("nobody", messages(3)...))
	calls, _ := fake.count("SendMessageBatch")
	require.Zero(t, calls)
	require.ErrorContains(t, transport.Publisher().Publish("unheard-of", messages(1)...), "not provisioned")
}
