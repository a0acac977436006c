package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/rastrohq/rastro/routers"
)

// Publisher implements message.Publisher with requests that are filled by bytes as well as by ten messages.
type Publisher struct {
	transport *Transport
	closing   context.Context
	close     context.CancelFunc
	mu        sync.RWMutex // held for reading by what publishes
}

// publishParallel is how many requests of one call to Publish are under way at once.
const publishParallel = 4

func newPublisher(t *Transport) *Publisher {
	p := &Publisher{transport: t}
	p.closing, p.close = context.WithCancel(context.Background())
	return p
}

// entry is a message on its way.
type entry struct {
	id   string // in its request
	raw  *types.Message
	size int // as SQS counts it: the body, and names, types and values of the attributes

	topic string
	items int // events in the frame
}

// Publish implements message.Publisher. It returns nil once the queue, or the SNS topic, has every message; on an error some
// may be stored, and publishing them again is safe. It ends when the context of one of the messages does, or after the
// publish timeout. A message that is larger than a queue takes is an error that wraps routers.ErrTooLarge, and none is sent.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closing.Err() != nil {
		return fmt.Errorf("publish to %q: %w", topic, routers.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(p.closing, p.transport.config.PublishTimeout)
	defer cancel()
	for _, msg := range messages {
		release := context.AfterFunc(msg.Context(), cancel)
		defer release()
	}
	if err := p.publish(ctx, topic, messages); err != nil {
		for _, msg := range messages {
			if e := msg.Context().Err(); e != nil {
				return fmt.Errorf("publish to %q: %w", topic, errors.Join(e, err))
			}
		}
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	return nil
}

// Close implements message.Publisher: it lets go of what is being published.
func (p *Publisher) Close() error {
	p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return nil
}

func (p *Publisher) publish(ctx context.Context, topic string, messages []*message.Message) error {
	to, err := p.transport.routeOf(topic)
	if err != nil {
		return err
	}
	entries := make([]entry, len(messages))
	for i, msg := range messages {
		if entries[i], err = p.entry(topic, msg); err != nil {
			return err
		}
	}
	switch {
	case len(to.queues) == 0: // nobody reads the topic
		return nil
	case to.sns == "":
		return p.toQueue(ctx, to.queues[0], entries)
	}
	var fits, tooLarge []entry // for SNS
	for _, e := range entries {
		if e.size > DefaultMessageBytes {
			tooLarge = append(tooLarge, e)
		} else {
			fits = append(fits, e)
		}
	}
	if err := p.toTopic(ctx, to.sns, fits); err != nil {
		return err
	}
	for _, url := range to.queues {
		if err := p.toQueue(ctx, url, tooLarge); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) entry(topic string, msg *message.Message) (entry, error) {
	raw, err := p.transport.marshaler.Marshal(msg)
	if err != nil {
		return entry{}, err
	}
	size := messageSize(raw)
	if size > p.transport.config.MaxMessageBytes {
		return entry{}, fmt.Errorf("message %s has %d bytes: %w", msg.UUID, size, routers.ErrTooLarge)
	}
	return entry{raw: raw, size: size, topic: topic, items: routers.FrameItems(msg)}, nil
}

// messageSize is a message's size as SQS counts it, in bytes.
func messageSize(raw *types.Message) int {
	size := len(aws.ToString(raw.Body))
	for name, value := range raw.MessageAttributes {
		size += len(name) + len(aws.ToString(value.DataType)) + len(aws.ToString(value.StringValue)) + len(value.BinaryValue)
	}
	return size
}

func sizeOf(entries []entry) (bytes int) {
	for _, e := range entries {
		bytes += e.size
	}
	return bytes
}

// requests cuts entries into requests of up to ten messages and together no more bytes than one message may have.
func requests(entries []entry, maxBytes int) [][]entry {
	var cut [][]entry
	size := 0
	for _, e := range entries {
		last := len(cut) - 1
		if last < 0 || len(cut[last]) == maxBatch || size+e.size > maxBytes {
			cut, last, size = append(cut, nil), last+1, 0
		}
		e.id = strconv.Itoa(len(cut[last]))
		cut[last] = append(cut[last], e)
		size += e.size
	}
	return cut
}

// failure is an entry that was not taken.
type failure struct {
	id, code, message string
	ours              bool // sending it again will not help
}

func (p *Publisher) toQueue(ctx context.Context, url string, entries []entry) error {
	return p.deliver(ctx, "SendMessageBatch", requests(entries, p.transport.config.MaxMessageBytes), func(ctx context.Context, batch []entry) ([]string, []failure, error) {
		input := &sqs.SendMessageBatchInput{QueueUrl: aws.String(url)}
		for _, e := range batch {
			input.Entries = append(input.Entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(e.id), MessageBody: e.raw.Body, MessageAttributes: e.raw.MessageAttributes,
			})
		}
		out, err := p.transport.sqs.SendMessageBatch(ctx, input)
		if err != nil {
			return nil, nil, err
		}
		taken := make([]string, len(out.Successful))
		for i, s := range out.Successful {
			taken[i] = aws.ToString(s.Id)
		}
		failed := make([]failure, len(out.Failed))
		for i, f := range out.Failed {
			failed[i] = failure{aws.ToString(f.Id), aws.ToString(f.Code), aws.ToString(f.Message), f.SenderFault}
		}
		return taken, failed, nil
	})
}

func (p *Publisher) toTopic(ctx context.Context, arn string, entries []entry) error {
	return p.deliver(ctx, "PublishBatch", requests(entries, DefaultMessageBytes), func(ctx context.Context, batch []entry) ([]string, []failure, error) {
		input := &sns.PublishBatchInput{TopicArn: aws.String(arn)}
		for _, e := range batch {
			shown := make(map[string]snstypes.MessageAttributeValue, len(e.raw.MessageAttributes))
			for name, value := range e.raw.MessageAttributes {
				shown[name] = snstypes.MessageAttributeValue{DataType: value.DataType, StringValue: value.StringValue}
			}
			input.PublishBatchRequestEntries = append(input.PublishBatchRequestEntries, snstypes.PublishBatchRequestEntry{
				Id: aws.String(e.id), Message: e.raw.Body, MessageAttributes: shown,
			})
		}
		out, err := p.transport.sns.PublishBatch(ctx, input)
		if err != nil {
			return nil, nil, err
		}
		taken := make([]string, len(out.Successful))
		for i, s := range out.Successful {
			taken[i] = aws.ToString(s.Id)
		}
		failed := make([]failure, len(out.Failed))
		for i, f := range out.Failed {
			failed[i] = failure{aws.ToString(f.Id), aws.ToString(f.Code), aws.ToString(f.Message), f.SenderFault}
		}
		return taken, failed, nil
	})
}

// send sends one request; it returns the IDs of the entries that were taken, and those that were not.
type send func(ctx context.Context, batch []entry) (taken []string, failed []failure, err error)

// deliver sends requests, a few at once.
func (p *Publisher) deliver(ctx context.Context, operation string, batches [][]entry, send send) error {
	if len(batches) == 1 {
		return p.deliverOne(ctx, operation, batches[0], send)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(publishParallel)
	for _, batch := range batches {
		group.Go(func() error { return p.deliverOne(ctx, operation, batch, send) })
	}
	return group.Wait()
}

// deliverOne sends a request, and what of it was not taken again, until all is or ctx ends. An answer that does not name an
// entry has not taken it.
func (p *Publisher) deliverOne(ctx context.Context, operation string, batch []entry, send send) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	total := len(batch)
	var refused error
	for {
		p.transport.metrics.batch.WithLabelValues(operation).Observe(float64(len(batch)))
		p.transport.metrics.carried(operation, sizeOf(batch))
		taken, failed, err := send(ctx, batch)
		if err != nil && (ctx.Err() != nil || !transient(err)) {
			return errors.Join(refused, fmt.Errorf("%d of %d messages are not stored: %w", len(batch), total, err))
		}
		left := make(map[string]error, len(batch))
		for _, e := range batch {
			left[e.id] = errors.New("not named in the answer")
			if err != nil {
				left[e.id] = err
			}
		}
		for _, e := range batch {
			if err == nil && slices.Contains(taken, e.id) {
				delete(left, e.id)
				p.transport.metrics.bytes.WithLabelValues("sent").Add(float64(e.size))
				p.transport.metrics.framed(e.topic, "sent", e.items)
			}
		}
		for _, f := range failed {
			left[f.id] = fmt.Errorf("%s: %s", f.code, f.message)
			if f.ours {
				refused = errors.Join(refused, fmt.Errorf("message refused: %w", left[f.id]))
				delete(left, f.id)
			}
		}
		var again []entry
		var why error
		for _, e := range batch {
			if err, is := left[e.id]; is {
				again, why = append(again, e), err
			}
		}
		if len(again) == 0 {
			return refused
		}
		batch = again
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return errors.Join(refused, fmt.Errorf("%d of %d messages are not stored: %w: %w", len(batch), total, ctx.Err(), why))
		}
	}
}

// transient reports whether the same request may succeed later: the service did not answer, had a fault or asked for patience.
func transient(err error) bool {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && (response.HTTPStatusCode() >= 500 || response.HTTPStatusCode() == http.StatusTooManyRequests) {
		return true
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return true
	}
	if api.ErrorFault() == smithy.FaultServer {
		return true
	}
	switch api.ErrorCode() {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException",
		"KMS.ThrottlingException", "KmsThrottled", "OverLimit", "SlowDown", "ServiceUnavailable", "InternalError", "InternalFailure",
		"RequestTimeout", "RequestTimeoutException":
		return true
	}
	return false
}

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
