package sqs

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// keeper changes the visibility of the messages in hand: it renews that of those that are worked on at half their time, those
// first that are first due, and gives back those that were not handled. One request is under way at a time, so that renewing
// a message never undoes giving it back.
type keeper struct {
	s    *subscription
	wake chan struct{} // has a token when there is something new to do
	stop context.CancelFunc
	done chan struct{}

	// hopeless says that SQS does not answer while the subscriber is closed: what is left becomes visible by itself.
	hopeless bool

	mu    sync.Mutex
	held  heldHeap
	backs []change
}

// change is a new visibility timeout for a message: a renewal, or a delay until it is received again.
type change struct {
	r    *received
	hide time.Duration
	back bool
}

func newKeeper(s *subscription) *keeper {
	// It goes on while the subscriber drains, until Close.
	ctx, stop := context.WithCancel(context.Background())
	k := &keeper{s: s, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
	return k
}

func (k *keeper) close() {
	k.stop()
	<-k.done
}

func (k *keeper) add(r *received) {
	k.mu.Lock()
	heap.Push(&k.held, r)
	first := k.held[0] == r
	k.mu.Unlock()
	if first {
		k.poke()
	}
}

func (k *keeper) remove(r *received) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.index >= 0 {
		heap.Remove(&k.held, r.index)
	}
}

// giveBack makes a message visible again after a delay, and settles it.
func (k *keeper) giveBack(r *received, delay time.Duration) {
	k.remove(r)
	k.mu.Lock()
	k.backs = append(k.backs, change{r: r, hide: delay, back: true})
	k.mu.Unlock()
	k.poke()
}

func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		changes, next := k.next(time.Now())
		if len(changes) > 0 {
			k.apply(ctx, changes)
			continue
		}
		timer.Reset(next)
		select {
		case <-k.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// next returns what there is to change, up to a request's worth, or how long it is until there is something.
func (k *keeper) next(now time.Time) ([]change, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := min(len(k.backs), maxBatch)
	changes := append(make([]change, 0, maxBatch), k.backs[:n]...)
	k.backs = k.backs[n:]
	visibility := k.s.transport.config.VisibilityTimeout
	if len(k.held) > 0 && !k.held[0].due.After(now) {
		// Those that are due soon share the request.
		soon := now.Add(visibility / 8)
		var due []*received
		for len(changes)+len(due) < maxBatch && len(k.held) > 0 && !k.held[0].due.After(soon) {
			due = append(due, heap.Pop(&k.held).(*received)) //nolint:forcetypeassert // the heap has nothing else
		}
		for _, r := range due {
			r.due = soon // when to try again if this fails
			heap.Push(&k.held, r)
			changes = append(changes, change{r: r, hide: visibility})
		}
	}
	if len(changes) > 0 || len(k.held) == 0 {
		return changes, time.Hour
	}
	return nil, max(k.held[0].due.Sub(now), 0)
}

// apply asks SQS for the changes, and settles what is given back.
func (k *keeper) apply(ctx context.Context, changes []change) {
	asked := time.Now()
	failed := map[int]error{}
	if !k.hopeless {
		failed = k.ask(ctx, changes)
		k.hopeless = len(failed) == len(changes) && !isGone(failed[0]) && k.s.isClosing()
	}
	for i, c := range changes {
		err := failed[i]
		switch {
		case c.back:
			if err != nil && !isGone(err) {
				// It becomes visible by itself when its time is over.
				k.s.logger.Warn("cannot give a message back", slog.Any("error", err))
			}
			k.s.settled(c.r)
		case err == nil:
			k.mu.Lock()
			c.r.deadline = asked.Add(c.hide)
			c.r.due = asked.Add(c.hide / 2)
			if c.r.index >= 0 {
				heap.Fix(&k.held, c.r.index)
			}
			k.mu.Unlock()
		default:
			k.notRenewed(c.r, err)
		}
	}
}

// notRenewed sees to a message whose visibility could not be renewed. It is tried again before its time is over, and until SQS
// says that the message is no longer ours.
func (k *keeper) notRenewed(r *received, err error) {
	k.mu.Lock()
	held := r.index >= 0
	if held && isGone(err) {
		heap.Remove(&k.held, r.index)
	}
	k.mu.Unlock()
	switch {
	case !held: // deleted meanwhile
	case isGone(err):
		k.s.transport.metrics.lost.WithLabelValues(k.s.topic, k.s.reader).Inc()
		k.s.logger.Warn("a message in hand has become visible to others; it will be worked on twice", slog.Any("error", err))
	default:
		k.s.logger.Warn("cannot keep a message to ourselves; trying again", slog.Time("until", r.deadline), slog.Any("error", err))
	}
}

// ask asks SQS for the changes and returns the errors of those that failed, by index. Where there is no batched request, as in
// goaws, it asks for each by itself.
func (k *keeper) ask(ctx context.Context, changes []change) map[int]error {
	ctx, cancel := context.WithTimeout(ctx, min(requestTimeout, k.s.transport.config.VisibilityTimeout/4))
	defer cancel()
	if k.s.transport.unbatched.Load() {
		return k.askEach(ctx, changes)
	}
	input := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: aws.String(k.s.url)}
	for i, c := range changes {
		input.Entries = append(input.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(c.r.receipt), VisibilityTimeout: wholeSeconds(c.hide),
		})
	}
	k.s.transport.metrics.batch.WithLabelValues("ChangeMessageVisibilityBatch").Observe(float64(len(changes)))
	out, err := k.s.transport.sqs.ChangeMessageVisibilityBatch(ctx, input)
	if err != nil && k.s.transport.isUnknownOperation(err) {
		k.s.transport.unbatched.Store(true)
		return k.askEach(ctx, changes)
	}
	failed := map[int]error{}
	if err != nil {
		for i := range changes {
			failed[i] = fmt.Errorf("change visibility: %w", err)
		}
		return failed
	}
	for _, f := range out.Failed {
		if i, err := strconv.Atoi(aws.ToString(f.Id)); err == nil {
			failed[i] = refusal(f)
		}
	}
	return failed
}

func (k *keeper) askEach(ctx context.Context, changes []change) map[int]error {
	failed := map[int]error{}
	for i, c := range changes {
		k.s.transport.metrics.batch.WithLabelValues("ChangeMessageVisibility").Observe(1)
		_, err := k.s.transport.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
			QueueUrl: aws.String(k.s.url), ReceiptHandle: aws.String(c.r.receipt), VisibilityTimeout: wholeSeconds(c.hide),
		})
		if err != nil {
			failed[i] = fmt.Errorf("change visibility: %w", err)
		}
	}
	return failed
}

func wholeSeconds(d time.Duration) int32 {
	return int32(min((d+time.Second-1)/time.Second, maxVisibility/time.Second)) //nolint:gosec // 12 hours at most
}

// refusedError is an entry of a batched request that failed.
type refusedError struct {
	code, text string
	ours       bool
}

func refusal(f types.BatchResultErrorEntry) error {
	return &refusedError{aws.ToString(f.Code), aws.ToString(f.Message), f.SenderFault}
}

// Error implements error.
func (e *refusedError) Error() string { return e.code + ": " + e.text }

// isGone reports whether a message is no longer in flight with the receipt that we have: deleted, or received by another.
func isGone(err error) bool {
	var refused *refusedError
	if errors.As(err, &refused) {
		return refused.ours
	}
	var inflight *types.MessageNotInflight
	var invalid *types.ReceiptHandleIsInvalid
	if errors.As(err, &inflight) || errors.As(err, &invalid) {
		return true
	}
	return errorCode(err) == "InvalidParameterValue" // the receipt has expired
}

// isUnknownOperation reports whether an emulator does not know a request. AWS knows it.
func (t *Transport) isUnknownOperation(err error) bool {
	var response *smithyhttp.ResponseError
	if t.config.Endpoint == "" || !errors.As(err, &response) {
		return false
	}
	switch response.HTTPStatusCode() {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	default:
		return false
	}
	switch errorCode(err) {
	case "", "UnknownError", "InvalidAction", "UnknownOperationException", "UnsupportedOperation", "NotImplemented":
		return true
	}
	return false
}

// heldHeap has the messages in hand, the one first whose visibility is to be renewed first.
type heldHeap []*received

var _ heap.Interface = (*heldHeap)(nil)

// Len implements heap.Interface.
func (h heldHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h heldHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

// Swap implements heap.Interface.
func (h heldHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *heldHeap) Push(x any) {
	r, is := x.(*received)
	if !is {
		return
	}
	r.index = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *heldHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	r.index = -1
	return r
}
