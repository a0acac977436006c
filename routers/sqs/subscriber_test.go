package sqs_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

// reading is a subscription to the topic of onFake.
type reading struct {
	*fakeSQS
	transport *sqs.Transport
	sub       routers.Subscriber
	out       <-chan *message.Message
}

func read(t *testing.T, inFlight int, gate *routers.Gate, change func(*sqs.Config)) *reading {
	t.Helper()
	fake, transport := onFake(t, change)
	sub, err := transport.Subscriber("p", inFlight, gate)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	out, err := sub.Subscribe(context.WithoutCancel(t.Context()), topic)
	require.NoError(t, err)
	return &reading{fake, transport, sub, out}
}

func (r *reading) next(t *testing.T) *message.Message {
	t.Helper()
	select {
	case msg := <-r.out:
		return msg
	case <-time.After(10 * time.Second):
		t.Fatal("no message")
		return nil
	}
}

func (r *reading) publish(t *testing.T, all ...*message.Message) {
	t.Helper()
	require.NoError(t, r.transport.Publisher().Publish(topic, all...))
}

func (r *reading) receives() (most int) {
	for _, m := range r.held() {
		most = max(most, m.receives)
	}
	return most
}

func TestWhatIsHandledIsDeletedInBatches(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	r.publish(t, messages(40)...)
	taken := make([]*message.Message, 40)
	for i := range taken {
		taken[i] = r.next(t)
	}
	for _, msg := range taken {
		msg.Ack()
	}
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held(), "a drain flushes the deletes")
	calls, entries := r.count("DeleteMessageBatch")
	require.Equal(t, 40, entries)
	require.LessOrEqual(t, calls, 8)
}

// What trickles in is received several at a time, and a queue that is full is received from without a pause.
func TestAQueueThatBringsLittleIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	const trickle, gather = 100, 300 * time.Millisecond
	r := read(t, 100, &routers.Gate{}, func(c *sqs.Config) { c.Gather = gather })
	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range trickle {
			_ = r.transport.Publisher().Publish(topic, messages(1)...)
			<-time.After(10 * time.Millisecond)
		}
	}()
	for range trickle {
		r.next(t).Ack()
	}
	<-sent
	calls, _ := r.count("ReceiveMessage")
	// An answer of over half of what was asked for is followed by the next request at once.
	require.LessOrEqual(t, calls, 2+int(time.Since(began)/gather)+trickle/5)

	r = read(t, 100, &routers.Gate{}, func(c *sqs.Config) { c.Gather = 10 * time.Second })
	r.publish(t, messages(60)...)
	began = time.Now()
	for range 60 {
		r.next(t).Ack()
	}
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestALoneMessageIsDeletedAtOnceAndKnowsItsDelivery(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	before := time.Now()
	r.publish(t, messages(1)...)
	msg := r.next(t)
	d, known := sqs.DeliveryOf(msg.Context())
	require.True(t, known)
	require.Equal(t, 1, d.Receives)
	require.WithinDuration(t, before, d.SentAt, 5*time.Second)
	msg.Ack()
	require.Eventually(t, func() bool { return len(r.held()) == 0 }, 5*time.Second, time.Millisecond)
}

func TestEachMessageIsSettledByItself(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	r.publish(t, messages(10)...)
	for range 10 {
		if msg := r.next(t); string(msg.Payload) == "payload 2" {
			msg.Nack()
		} else {
			msg.Ack()
		}
	}
	again := r.next(t)
	require.Equal(t, "payload 2", string(again.Payload))
	d, _ := sqs.DeliveryOf(again.Context())
	require.Equal(t, 2, d.Receives)
	again.Ack()
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held())
	_, entries := r.count("ChangeMessageVisibilityBatch")
	require.Equal(t, 1, entries)
}

func TestInHandIsBoundedByCount(t *testing.T) {
	t.Parallel()
	r := read(t, 7, &routers.Gate{}, nil)
	r.publish(t, messages(30)...)
	var taken []*message.Message
	for range 7 {
		taken = append(taken, r.next(t))
	}
	select {
	case <-r.out:
		t.Fatal("more than seven")
	case <-time.After(300 * time.Millisecond):
	}
	inFlight := 0
	for _, m := range r.held() {
		if m.receives > 0 {
			inFlight++
		}
	}
	require.Equal(t, 7, inFlight, "no more is received than may be in hand")
	for _, msg := range taken {
		msg.Ack()
	}
	for range 23 {
		r.next(t).Ack()
	}
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held())
}

func TestInHandIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, func(c *sqs.Config) { c.MaxInFlightBytes = 512 << 10 })
	r.publish(t, noise(10, 180<<10)...)
	first := r.next(t) // 180 KiB; 332 KiB left, room for one of 256 KiB
	second := r.next(t)
	select {
	case <-r.out:
		t.Fatal("152 KiB are no room for another")
	case <-time.After(300 * time.Millisecond):
	}
	first.Ack()
	second.Ack()
	for range 8 {
		r.next(t).Ack()
	}
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held())
}

func TestWhatIsWorkedOnStaysHidden(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil) // visibility timeout 2 s
	r.publish(t, messages(25)...)
	var taken []*message.Message
	for range 25 {
		taken = append(taken, r.next(t))
	}
	select {
	case <-r.out:
		t.Fatal("received twice")
	case <-time.After(5 * time.Second):
	}
	require.Equal(t, 1, r.receives())
	calls, entries := r.count("ChangeMessageVisibilityBatch")
	require.GreaterOrEqual(t, entries, 75)
	require.LessOrEqual(t, entries, 150, "no storm")
	require.LessOrEqual(t, calls, 24, "renewals share requests")
	for _, msg := range taken {
		msg.Ack()
	}
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held())
}

func TestARenewalThatFailsIsTriedAgainInTime(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	var asked atomic.Int64
	r.set(func(call fakeCall) *fakeAnswer {
		if call.action == "ChangeMessageVisibilityBatch" && asked.Add(1)%2 == 1 {
			return ok(map[string]any{"Failed": []map[string]any{{"Id": "0", "Code": "InternalError", "SenderFault": false}}})
		}
		return nil
	}, nil)
	r.publish(t, messages(1)...)
	msg := r.next(t)
	select {
	case <-r.out:
		t.Fatal("received twice")
	case <-time.After(4 * time.Second):
	}
	require.GreaterOrEqual(t, asked.Load(), int64(4))
	msg.Ack()
}

// A renewal that is under way when its message is given back must not hide it again.
func TestARenewalDoesNotUndoANack(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	renewing, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.set(func(call fakeCall) *fakeAnswer {
		if call.action == "ChangeMessageVisibilityBatch" && call.request.Entries[0].VisibilityTimeout > 0 {
			once.Do(func() {
				close(renewing)
				<-finish
			})
		}
		return nil
	}, nil)
	r.publish(t, messages(1)...)
	msg := r.next(t)
	<-renewing
	msg.Nack()
	nacked := time.Now()
	close(finish)
	r.next(t).Ack()
	require.Less(t, time.Since(nacked), 1500*time.Millisecond)
}

func TestANackDelaysByHowOftenAMessageWasReceived(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, func(c *sqs.Config) { c.NackDelay, c.MaxNackDelay = time.Second, 2*time.Second })
	r.publish(t, messages(1)...)
	for _, delay := range []time.Duration{time.Second, 2 * time.Second, 2 * time.Second} {
		r.next(t).Nack()
		nacked := time.Now()
		msg := <-r.out
		require.InDelta(t, delay.Seconds(), time.Since(nacked).Seconds(), 0.9)
		defer msg.Ack()
		if delay == 2*time.Second {
			break
		}
		msg.Nack()
	}
}

func TestNothingIsReceivedWhileTheGateIsShut(t *testing.T) {
	t.Parallel()
	gate := &routers.Gate{}
	r := read(t, 100, gate, nil)
	r.publish(t, messages(1)...)
	r.next(t).Ack()
	require.Eventually(t, func() bool { return len(r.held()) == 0 }, 5*time.Second, time.Millisecond)
	gate.Shut() // a request is under way
	r.publish(t, messages(1)...)
	select {
	case <-r.out:
		t.Fatal("received through a shut gate")
	case <-time.After(2500 * time.Millisecond):
	}
	// What that request got was given back at once, and is not asked for again.
	require.LessOrEqual(t, r.receives(), 1)
	asked, _ := r.count("ReceiveMessage")
	select {
	case <-r.out:
		t.Fatal("received through a shut gate")
	case <-time.After(time.Second):
	}
	still, _ := r.count("ReceiveMessage")
	require.Equal(t, asked, still)
	gate.Open()
	r.next(t).Ack()
}

func TestADrainFinishesWhatIsInHandAndGivesBackTheRest(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	r.publish(t, messages(10)...)
	first := r.next(t) // nine more are received, and wait to be handed out
	require.Eventually(t, func() bool { return r.receives() == 1 }, 5*time.Second, time.Millisecond)
	drained := make(chan error, 1)
	go func() { drained <- r.sub.Drain(context.Background()) }()
	visible := func() (n int) {
		for _, m := range r.held() {
			if !m.visibleAt.After(time.Now()) {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return visible() == 9 }, 5*time.Second, time.Millisecond, "the unstarted are given back at once")
	require.NoError(t, first.Context().Err(), "what is in hand has a live context")
	select {
	case err := <-drained:
		t.Fatalf("drained with a message in hand: %v", err)
	default:
	}
	first.Ack()
	require.NoError(t, <-drained)
	require.Len(t, r.held(), 9)
	select {
	case _, open := <-r.out:
		require.False(t, open, "nothing comes after a drain")
	case <-time.After(200 * time.Millisecond):
	}
}

func TestADrainEndsAtItsDeadlineAndCloseGivesBack(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	r.publish(t, messages(1)...)
	r.next(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.sub.Drain(ctx), context.DeadlineExceeded)
	require.NoError(t, r.sub.Close())
	require.False(t, r.held()[0].visibleAt.After(time.Now()))
}

func TestDeletesThatFailAreTriedAgain(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	var tries atomic.Int64
	r.set(func(call fakeCall) *fakeAnswer {
		if call.action != "DeleteMessageBatch" {
			return nil
		}
		switch tries.Add(1) {
		case 1:
			return fault("RequestThrottled")
		case 2:
			return &fakeAnswer{lost: true}
		case 3, 4:
			return ok(map[string]any{"Failed": []map[string]any{{"Id": "0", "Code": "InternalError", "SenderFault": false}}})
		}
		return nil
	}, nil)
	r.publish(t, messages(1)...)
	r.next(t).Ack()
	require.NoError(t, r.sub.Drain(t.Context()))
	require.Empty(t, r.held())
}

func TestAQueueThatCannotBeReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	var asked atomic.Int64
	r.set(func(call fakeCall) *fakeAnswer {
		if call.action == "ReceiveMessage" && asked.Add(1) < 4 {
			return &fakeAnswer{status: 500, body: map[string]string{}}
		}
		return nil
	}, nil)
	r.publish(t, messages(3)...)
	for range 3 {
		r.next(t).Ack()
	}
}

// A broker that no longer answers does not hold up the end of a process for each of its messages.
func TestCloseDoesNotWaitForABrokerThatIsGone(t *testing.T) {
	t.Parallel()
	r := read(t, 100, &routers.Gate{}, nil)
	r.publish(t, messages(60)...)
	for range 60 {
		r.next(t)
	}
	r.set(func(fakeCall) *fakeAnswer { return &fakeAnswer{lost: true} }, nil)
	started := time.Now()
	require.NoError(t, r.sub.Close())
	require.Less(t, time.Since(started), 5*time.Second)
}
