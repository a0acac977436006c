package live

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// Queue is what waits for a reader of a topic. Queues are shared by all tenants: their depth is that of all, rates are the tenant's.
type Queue struct {
	Topic  string `json:"topic" doc:"The topic"`
	Reader string `json:"reader" doc:"The pipeline that reads it"`
	Stage  string `json:"stage,omitempty" doc:"The stage that it is read for"`
	// Depth is missing when the broker does not tell.
	Depth       *int64     `json:"depth,omitempty" doc:"Frames that are not settled: the sum of the three below; of all tenants. Missing when the broker does not tell"`
	Ready       *int64     `json:"ready,omitempty" doc:"Frames that may be received now"`
	InFlight    *int64     `json:"in_flight,omitempty" doc:"Frames in hand somewhere"`
	Delayed     *int64     `json:"delayed,omitempty" doc:"Frames that come again once their delay ends"`
	HeadMS      *float64   `json:"head_ms,omitempty" doc:"How long ago the first frame that is not settled was published; missing when there is none, or the broker does not tell, as SQS"`
	Approximate bool       `json:"approximate" doc:"Whether the depth may be off, as brokers such as SQS say"`
	In          float64    `json:"in_per_second" doc:"The tenant's events a second that are written to it"`
	Out         float64    `json:"out_per_second" doc:"The tenant's events a second that are read from it"`
	OldestMS    *float64   `json:"oldest_ms,omitempty" doc:"How long ago the tenant's oldest event of the last two minutes had been received when its stage was through with it; not known while nothing passes"`
	Trend       string     `json:"trend" enum:"growing,draining,steady,unknown" doc:"How the depth has changed since the reading before"`
	DrainMS     *float64   `json:"drain_ms,omitempty" doc:"How long until it is empty at the pace of the last readings; missing while it does not shrink"`
	ReadAt      *time.Time `json:"read_at,omitempty" doc:"When the broker told"`
	Paused      *Pause     `json:"paused,omitempty" doc:"Why nothing is read from it: who paused a stage that it is read for; missing when it is"`
	Health      string     `json:"health" enum:"ok,warn,bad,paused" doc:"How it does: alerts go by the same limits"`
}

// QueueList are all queues.
type QueueList struct {
	Items []Queue `json:"items" doc:"In the order of the topics"`
}

type queuesOutput struct{ Body QueueList }

// queueFreshness is how old depths may be: brokers charge for being asked, and count no better than that.
const queueFreshness = 5 * time.Second

// brokerTime is how long the broker may take to tell of all queues.
const brokerTime = 5 * time.Second

func (h *Handler) registerQueues(api huma.API) {
	huma.Register(api, operation("list-queues", "queues", "Operations", auth.RoleOpsRead, "The queues",
		"What waits in each queue between stages, up to five seconds ago, and whether it grows.", http.StatusServiceUnavailable), h.queues)
}

// depths are what the broker told of its queues, and what it had told before.
type depths struct {
	at     time.Time
	counts map[queueName]routers.Backlog
	before *depths
}

type queueName struct{ topic, reader string }

func (h *Handler) queues(ctx context.Context, in *struct{ Whose }) (*queuesOutput, error) {
	stages, plans, err := h.stages(ctx, WindowInput{Whose: in.Whose, Window: "2m"})
	if err != nil {
		return nil, err
	}
	told, err := remember(&h.cache, "queues", queueFreshness, h.deps.Now, func() (*depths, error) {
		return h.readDepths(context.WithoutCancel(ctx), plans), nil
	})
	if err != nil {
		return nil, h.unavailable(ctx, "read queues", err)
	}
	list := QueueList{Items: []Queue{}}
	edges := map[string]Edge{}
	for _, e := range edgesOf(plans, stages) {
		edges[e.Topic] = e
	}
	for _, topic := range pipeline.Topics(plans...) {
		for _, reader := range topic.Readers {
			q := Queue{Topic: topic.Name, Reader: reader, Approximate: h.deps.Approximate, In: edges[topic.Name].Rate, Trend: "unknown"}
			for _, s := range stages {
				if s.Pipeline == reader && s.Topic == topic.Name && s.Hop == s.Name {
					q.Stage, q.Out, q.Paused = s.Name, s.Now.In, s.Paused
					if s.Age != nil {
						q.OldestMS = &s.Age.Max
					}
				}
			}
			q.deepen(told)
			q.Health = h.config.Alerts.healthOfQueue(q)
			list.Items = append(list.Items, q)
		}
	}
	return &queuesOutput{list}, nil
}

// deepen adds what the broker told.
func (q *Queue) deepen(told *depths) {
	name := queueName{q.Topic, q.Reader}
	backlog, known := told.counts[name]
	if !known {
		return
	}
	depth := backlog.Total()
	q.Ready, q.InFlight, q.Delayed = &backlog.Ready, &backlog.InFlight, &backlog.Delayed
	if !backlog.Oldest.IsZero() {
		age := milliseconds(max(0, told.at.Sub(backlog.Oldest)))
		q.HeadMS = &age
	}
	q.Depth, q.ReadAt = &depth, &told.at
	if told.before == nil {
		return
	}
	last, known := told.before.counts[name]
	before := last.Total()
	elapsed := told.at.Sub(told.before.at)
	if !known || elapsed <= 0 {
		return
	}
	switch {
	case depth > before:
		q.Trend = "growing"
	case depth < before:
		q.Trend = "draining"
		if q.Paused != nil { // what was in hand is finished, and no more
			break
		}
		drain := milliseconds(time.Duration(float64(depth) / float64(before-depth) * float64(elapsed)))
		q.DrainMS = &drain
	default:
		q.Trend = "steady"
	}
}

// queueReaders bounds how many queues are asked for at once.
const queueReaders = 8

// readDepths asks the broker for all queues, and keeps with what it tells what it had told before.
func (h *Handler) readDepths(ctx context.Context, plans []pipeline.Plan) *depths {
	d := h.askDepths(ctx, plans)
	h.depthsMu.Lock()
	defer h.depthsMu.Unlock()
	if h.depths != nil {
		before := *h.depths
		before.before = nil // the last two are enough
		d.before = &before
	}
	h.depths = d
	return d
}

// askDepths asks the broker for all queues. What it does not tell is not known.
func (h *Handler) askDepths(ctx context.Context, plans []pipeline.Plan) *depths {
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	d := &depths{at: h.deps.Now().UTC(), counts: map[queueName]routers.Backlog{}}
	var mu sync.Mutex
	var wait sync.WaitGroup
	room := make(chan struct{}, queueReaders)
	for _, topic := range pipeline.Topics(plans...) {
		for _, reader := range topic.Readers {
			room <- struct{}{}
			wait.Go(func() {
				defer func() { <-room }()
				n, err := h.deps.Backlogs.Backlog(ctx, topic.Name, reader)
				if errors.Is(err, routers.ErrNoQueue) {
					return // its processor has not started yet, or has stopped for good
				}
				if err != nil {
					h.deps.Logger.WarnContext(ctx, "the broker does not tell of a queue", slog.String("topic", topic.Name), slog.Any("error", err))
					return
				}
				mu.Lock()
				defer mu.Unlock()
				d.counts[queueName{topic.Name, reader}] = n
			})
		}
	}
	wait.Wait()
	return d
}
