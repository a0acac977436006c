package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/cenkalti/backoff/v5"
)

const (
	// busyWait is how long a request waits for a message where there were some just now.
	busyWait = time.Second
	// givenUpWait is how long a request waits for what the queue gave up.
	givenUpWait = time.Second
	// drainGrace is how long a drain waits for a request for messages that is under way before it breaks it off. What SQS was
	// just then answering would stay hidden until its visibility timeout; under load answers come at once.
	drainGrace = time.Second
)

// poll receives until polling ends; messages carry ctx, which lives on while the subscriber drains. The first poller always
// has a request under way; the others help for as long as they find the queue full.
func (s *subscription) poll(ctx, polling context.Context, first bool) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 250*time.Millisecond, 5*time.Second
	failing := false
	wait := busyWait
	helping := first
	for {
		if !helping {
			select {
			case <-s.busy:
			case <-polling.Done():
				return
			}
		}
		if err := s.gate.Wait(polling); err != nil {
			return
		}
		asked := time.Now()
		got, of, err := s.receive(ctx, polling, wait)
		full := got > 0 && got == of
		helping = first || full
		if got > 0 || !first {
			wait = busyWait
		} else { // longer requests, which are fewer, the quieter it is
			wait = min(2*wait, s.transport.config.Wait)
		}
		idle := time.Duration(0)
		switch {
		case s.givenUp && got == 0:
			wait, idle = givenUpWait, s.transport.config.GivenUpEvery
		case got > 0 && 2*got <= of:
			idle = s.transport.config.Gather - time.Since(asked)
		}
		switch {
		case polling.Err() != nil:
			return
		case err == nil:
			failing = false
			pause.Reset()
			if full {
				s.callHelp()
			}
			if !sleep(polling, idle) {
				return
			}
			continue
		case !failing:
			failing = true
			s.logger.Warn("cannot receive; trying again", slog.Any("error", err))
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-polling.Done():
			return
		}
	}
}

// sleep waits and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// callHelp wakes another poller, if one sleeps.
func (s *subscription) callHelp() {
	select {
	case s.busy <- struct{}{}:
	default:
	}
}

// share is how many messages one request may ask for: up to ten, and no more than leaves room for the other topics that the
// subscriber receives from, whose requests hold room for as long as they wait.
func (s *subscription) share() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := min(s.inFlight, s.transport.config.MaxInFlightBytes/s.transport.config.MaxMessageBytes)
	return max(1, min(maxBatch, room/len(s.subscriptions)))
}

// receive asks for as many messages as there is room for, up to ten, and hands them out. It returns how many it got, of how many.
func (s *subscription) receive(ctx, polling context.Context, wait time.Duration) (got, of int, err error) {
	each := s.transport.config.MaxMessageBytes
	n := s.room.acquire(polling, s.share(), each)
	if n == 0 {
		return 0, 0, nil
	}
	open, done := s.gate.WhileOpen(polling)
	defer done()
	if open.Err() != nil {
		s.room.release(n, n*each)
		return 0, n, nil
	}
	answered := time.Now()
	raw, err := s.request(ctx, polling, n, wait)
	s.room.release(n-len(raw), (n-len(raw))*each)
	if err != nil {
		return 0, n, err
	}
	// Visibility counts from when SQS answered, which is not before it was asked, nor long before the answer came.
	if asked := time.Now().Add(-time.Second); asked.After(answered) {
		answered = asked
	}
	batch := make([]*received, len(raw))
	for i := range raw {
		batch[i] = s.take(ctx, &raw[i], answered)
		s.room.release(0, each-batch[i].size)
	}
	for _, r := range batch {
		// What comes of a request that was under way when the gate was shut, or a drain began, goes back at once.
		if open.Err() == nil {
			select {
			case s.out <- r.msg:
				continue
			case <-open.Done():
			}
		}
		r.unstarted = true
		r.msg.Nack()
	}
	return len(raw), n, nil
}

// request asks SQS for messages. It is not broken off when the gate is shut, and by a drain only after a moment.
func (s *subscription) request(ctx, polling context.Context, n int, wait time.Duration) ([]types.Message, error) {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait+requestTimeout)
	defer cancel()
	release := context.AfterFunc(polling, func() { time.AfterFunc(drainGrace, cancel) })
	defer release()
	out, err := s.transport.sqs.ReceiveMessage(request, &sqs.ReceiveMessageInput{
		QueueUrl:            aws.String(s.url),
		MaxNumberOfMessages: int32(n), //nolint:gosec // ten at most
		WaitTimeSeconds:     wholeSeconds(wait),
		VisibilityTimeout:   wholeSeconds(s.transport.config.VisibilityTimeout),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameSentTimestamp,
		},
		MessageAttributeNames: []string{"All"},
	}, func(o *sqs.Options) {
		// A request that was answered to nobody has hidden ten messages: another one at once would hide ten more. poll tries
		// again, and says so.
		o.Retryer = aws.NopRetryer{}
	})
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, nil
		}
		return nil, fmt.Errorf("receive: %w", err)
	}
	s.transport.metrics.batch.WithLabelValues("ReceiveMessage").Observe(float64(len(out.Messages)))
	bytes := 0
	for i := range out.Messages {
		bytes += messageSize(&out.Messages[i])
	}
	s.transport.metrics.carried("ReceiveMessage", bytes)
	return out.Messages, nil
}
