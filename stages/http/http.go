package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/errgroup"

	"github.com/rastrohq/rastro/internal/outbound"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "http"

// Codes of the reasons that the stage itself gives. A status of reject_on gives "http_STATUS", a verdict of the service its own.
const (
	// CodeEncode says that the event cannot be written in the format.
	CodeEncode = "http_encode"
	// CodeVerdict says that the service dropped or rejected the event without a code that could be counted.
	CodeVerdict = "http_verdict"
)

// Limits that are nobody's choice.
const (
	maxAnswer   = 4 << 20
	maxAnswered = 10_000
)

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Calls a service with the events.", Defaults, build).Described(doc, example))
}

const doc = `
A batch goes out in requests of up to ` + "`max_events`" + ` events and ` + "`max_bytes`" + ` bytes, ` + "`parallel`" + ` of them at once. What an
answer means:

- 2xx: the events pass, or as the answer says.
- A status of ` + "`reject_on`" + `: an event of the request will never be right. Unless it was the only one, the request is halved and sent
  again until it shows which; that one is rejected with the code "http_STATUS". The others go on.
- Any other 5xx, and a 2xx that cannot be read: the service fails at an event, which is found in the same way and tried again. That
  uses up its attempts; where such a status rather means that the service is down, add it to ` + "`retry_on`" + `.
- A status of ` + "`retry_on`" + `, any other status (401 and 404 among them) and no answer in time: no event's fault. They all wait and use up
  no attempts. When the service says for how long (Retry-After), it is left alone for as long, at most five minutes.

Redirections are followed only on the same host, and credentials go nowhere else. An event may be sent more than once, after a
crash for example; a request with the same events has the same Idempotency-Key.

With ` + "`response: verdicts`" + ` the answer has a result for each event of the request, as a list or as ` + "`{\"results\": [...]}`" + `:

    {"index": 0, "outcome": "reject", "code": "embargo", "reason": "not to be carried", "field": "/payload/goods"}

` + "`index`" + ` is the event's place in the request, and ` + "`uid`" + ` may stand in its stead. ` + "`outcome`" + ` is pass, drop, reject or retry;
` + "`retry_after`" + ` is in seconds. ` + "`attributes`" + `, a mapping, are added to an event that passes.

With ` + "`response: attributes`" + ` the answer is added under ` + "`into`" + `: as it is with ` + "`body: one`" + `, otherwise it is a list with an item for each
event. null adds nothing.`

const example = `
- use: http
  with:
    url: https://screening.example.com/v1/events
    headers: {X-Caller: rastro}
    response: verdicts
    timeout: 5s`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	limits := outbound.Limits{Timeout: config.Timeout, MaxAnswer: maxAnswer, Conns: config.Parallel * 8}
	client, err := outbound.New(config.Access, limits, settings.Files)
	if err != nil {
		return nil, err
	}
	return &stage{
		config: config, client: client, now: settings.Now, logger: settings.Logger,
		answered: otter.Must(&otter.Options[uuid.UUID, attributes]{MaximumSize: maxAnswered}),
	}, nil
}

// stage is safe for concurrent use.
type stage struct {
	config Config
	client *outbound.Client
	now    func() time.Time
	logger *slog.Logger
	// quiet is until when the service asked to be left alone, in nanoseconds of Unix time.
	quiet atomic.Int64
	// answered are events that passed while others of their batch did not, so that they are not sent again with those.
	answered *otter.Cache[uuid.UUID, attributes]
}

// attributes are what an answer adds to an event.
type attributes map[string]json.RawMessage

// item is an event on its way to the service.
type item struct {
	index   int // in the batch
	event   *tracking.Event
	body    []byte
	settled bool
	verdict verdict
}

// verdict is what becomes of an item.
type verdict struct {
	pipeline.Verdict
	attributes attributes
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	items := s.items(batch)
	if len(items) == 0 {
		return nil
	}
	if wait := time.Unix(0, s.quiet.Load()).Sub(s.now()); wait > 0 {
		return fmt.Errorf("the service asked to be left alone for another %s", wait.Round(time.Millisecond))
	}
	limited, cancel := context.WithTimeout(ctx, s.config.WorstCase(len(items)))
	defer cancel()
	err := s.sendAll(limited, items)
	for _, it := range items {
		s.settle(batch, it, err != nil)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Close implements io.Closer.
func (s *stage) Close() error { return s.client.Close() }

// items returns the events to send. Those that were answered before pass.
func (s *stage) items(batch *pipeline.Batch) []*item {
	var items []*item
	var done []uuid.UUID
	for i, event := range batch.Pending() {
		if added, ok := s.answered.GetIfPresent(event.UID); ok {
			add(event, added)
			done = append(done, event.UID)
			continue
		}
		body, err := s.config.Format.encode(event)
		if err != nil {
			batch.Reject(i, pipeline.Reason{Code: CodeEncode, Message: err.Error()})
			continue
		}
		items = append(items, &item{index: i, event: event, body: body})
	}
	for _, uid := range done {
		s.answered.Invalidate(uid)
	}
	return items
}

// settle gives an item's verdict to the batch. An error of the stage would have those that pass sent again: they are remembered.
func (s *stage) settle(batch *pipeline.Batch, it *item, failed bool) {
	if !it.settled {
		return
	}
	switch v := it.verdict; v.Outcome {
	case pipeline.Drop:
		batch.Drop(it.index, v.Reason)
	case pipeline.Reject:
		batch.Reject(it.index, v.Reason)
	case pipeline.Retry:
		batch.RetryAfter(it.index, v.Err, v.After)
	default:
		add(it.event, v.attributes)
		if failed && it.event.UID != uuid.Nil {
			s.answered.Set(it.event.UID, v.attributes)
		}
	}
}

// add adds attributes to an event. The map becomes the event's own: it may be shared with copies of the event.
func add(event *tracking.Event, added attributes) {
	if len(added) == 0 {
		return
	}
	own := maps.Clone(event.Enrichment.Attributes)
	if own == nil {
		own = make(map[string]json.RawMessage, len(added))
	}
	for name, value := range added {
		own[name] = slices.Clone(value)
	}
	event.Enrichment.Attributes = own
}

// sendAll sends items in as many requests as they need. The error is that of the service: it ends what has not begun.
func (s *stage) sendAll(ctx context.Context, items []*item) error {
	group, until := errgroup.WithContext(ctx)
	group.SetLimit(s.config.Parallel)
	for request := range s.cut(items) {
		if until.Err() != nil {
			break
		}
		group.Go(func() error {
			x := &exchange{stage: s}
			return x.send(until, request)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// errUnreadable says that an answer is not what the config says it is.
var errUnreadable = errors.New("the answer cannot be read")
