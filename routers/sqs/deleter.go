package sqs

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/cenkalti/backoff/v5"
)

const (
	// deleteLinger is how long a message that was handled waits for others to be deleted with. It does not wait when there is
	// nothing else in hand.
	deleteLinger = 50 * time.Millisecond
	// deleteParallel is how many requests to delete are under way at once.
	deleteParallel = 4
	// deleteTries is how often deleting is tried. Their visibility is renewed meanwhile; should all of it fail, the messages
	// come again, and are found to be known.
	deleteTries = 8
)

// deleter deletes the messages that were handled, in batches.
type deleter struct {
	s       *subscription
	handled chan *received
	waiting atomic.Int64 // handled and not yet in a request
	slots   chan struct{}
	sending sync.WaitGroup
	stop    context.CancelFunc
	done    chan struct{}
}

func newDeleter(s *subscription) *deleter {
	// It goes on while the subscriber drains, until Close.
	ctx, stop := context.WithCancel(context.Background())
	d := &deleter{
		s: s, handled: make(chan *received), slots: make(chan struct{}, deleteParallel), stop: stop, done: make(chan struct{}),
	}
	go func() {
		defer close(d.done)
		d.run(ctx)
	}()
	return d
}

func (d *deleter) close() {
	d.stop()
	<-d.done
	d.sending.Wait()
}

// delete deletes a message, and settles it.
func (d *deleter) delete(r *received) {
	d.waiting.Add(1)
	d.s.unheard.Add(-1)
	d.handled <- r
}

func (d *deleter) run(ctx context.Context) {
	for {
		select {
		case first := <-d.handled:
			batch := d.gather(first)
			d.slots <- struct{}{}
			d.sending.Go(func() { //nolint:contextcheck // what is handled is deleted also after the end of ctx
				defer func() { <-d.slots }()
				d.send(batch)
			})
		case <-ctx.Done():
			return
		}
	}
}

// gather waits for messages to delete with the first: until ten are there, a moment is over, or nothing else is in hand.
func (d *deleter) gather(first *received) []*received {
	batch := []*received{first}
	d.waiting.Add(-1)
	enough := time.NewTimer(deleteLinger)
	defer enough.Stop()
	for len(batch) < maxBatch && (d.waiting.Load() > 0 || d.s.unheard.Load() > 0) {
		select {
		case r := <-d.handled:
			batch = append(batch, r)
			d.waiting.Add(-1)
		case <-enough.C:
			return batch
		}
	}
	return batch
}

// send deletes a batch, trying what failed again until it is deleted, hopeless, or the subscriber is closed.
func (d *deleter) send(batch []*received) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	for try := 1; ; try++ {
		left, err := d.request(batch)
		for _, r := range batch {
			if !left[r] {
				d.s.settled(r)
			}
		}
		if len(left) == 0 {
			return
		}
		batch = batch[:0]
		for r := range left {
			batch = append(batch, r)
		}
		closing := try == deleteTries
		if !closing {
			select {
			case <-time.After(pause.NextBackOff()):
			case <-d.s.closing:
				closing = true
			}
		}
		if closing {
			d.s.logger.Warn("cannot delete messages; they will be received again", slog.Int("messages", len(batch)), slog.Any("error", err))
			for _, r := range batch {
				d.s.settled(r)
			}
			return
		}
	}
}

// request asks SQS to delete a batch and returns what is left to delete, and why.
func (d *deleter) request(batch []*received) (left map[*received]bool, why error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	input := &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(d.s.url)}
	for i, r := range batch {
		input.Entries = append(input.Entries, types.DeleteMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(r.receipt),
		})
	}
	d.s.transport.metrics.batch.WithLabelValues("DeleteMessageBatch").Observe(float64(len(batch)))
	left = map[*received]bool{}
	out, err := d.s.transport.sqs.DeleteMessageBatch(ctx, input)
	if err != nil {
		for _, r := range batch {
			left[r] = true
		}
		return left, fmt.Errorf("delete: %w", err)
	}
	for _, f := range out.Failed {
		i, err := strconv.Atoi(aws.ToString(f.Id))
		if err != nil || i < 0 || i >= len(batch) {
			continue
		}
		why = refusal(f)
		if isGone(why) {
			// Another has received it meanwhile, or it is deleted: nothing that we can change.
			d.s.logger.Debug("a message that was handled is not ours to delete any more", slog.Any("error", why))
			continue
		}
		left[batch[i]] = true
	}
	return left, why
}
