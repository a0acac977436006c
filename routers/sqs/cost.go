package sqs

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// HoursPerMonth is how long a month is for prices: a twelfth of a year of 365 days.
const HoursPerMonth = 730

// Prices are what AWS charges for a million requests, in US dollars, beyond the free tier.
type Prices struct {
	// SQS is for requests to standard queues. Defaults to 0.40, the list price in us-east-1 up to 100 billion a month.
	SQS float64 `json:"sqs_per_million"`
	// SNS is for publishing to standard topics. Defaults to 0.50, the list price in us-east-1. What SNS delivers to SQS it does
	// not charge.
	SNS float64 `json:"sns_per_million"`
}

// DefaultPrices returns the defaults.
func DefaultPrices() Prices { return Prices{SQS: 0.40, SNS: 0.50} }

// Workload is what Estimate assumes of a system.
type Workload struct {
	// Topic is where events come in, PerHour how many an hour.
	Topic   string  `json:"topic"`
	PerHour float64 `json:"events_per_hour"`
	// EventBytes is the payload of an event, in bytes. Defaults to 300.
	EventBytes int `json:"event_bytes"`
	// RequestEvents is how many events a sender puts in a request to ingest. Defaults to 1.
	RequestEvents float64 `json:"request_events"`
	// FrameEvents is how many events are in a frame that ingest publishes. Defaults to 0: what follows from the rest.
	FrameEvents float64 `json:"frame_events,omitempty"`
	// Ingests and Processors are how many processes play these roles. Default to 1.
	Ingests    int `json:"ingest_processes"`
	Processors int `json:"processor_processes"`
	// Rejected and Duplicates are the shares of a pipeline's events that are dead-lettered, by its first hop, and that are
	// dropped as copies, where a stage does that. Default to 0.001 and 0.01.
	Rejected   float64 `json:"rejected_share"`
	Duplicates float64 `json:"duplicates_share"`
	// Routed is the share of a stage's events that it sends to each topic that it names besides the next one. Defaults to 1.
	Routed float64 `json:"routed_share"`
	// RoundTrip is how long a request to SQS takes that does not wait. Defaults to 10 ms.
	RoundTrip time.Duration `json:"round_trip_ns"`
	// Busy is how long a hop is at a batch, publishing what comes of it included. Defaults to 25 ms.
	Busy time.Duration `json:"busy_ns"`
}

// DefaultWorkload returns the defaults, for a rate.
func DefaultWorkload(topic string, perHour float64) Workload {
	return Workload{
		Topic: topic, PerHour: perHour, EventBytes: 300, RequestEvents: 1, Ingests: 1, Processors: 1,
		Rejected: 0.001, Duplicates: 0.01, Routed: 1, RoundTrip: 10 * time.Millisecond, Busy: 25 * time.Millisecond,
	}
}

// Validate reports everything that is wrong with the workload.
func (w Workload) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	share := func(name string, v float64) { check(v >= 0 && v <= 1, "%s is %v: give it a share, 0 to 1", name, v) }
	check(w.PerHour >= 0 && w.PerHour <= 1e12, "%v events an hour: give it 0 to 1e12", w.PerHour)
	check(w.EventBytes >= 2 && w.EventBytes <= MostMessageBytes/2, "events of %d bytes: give it 2 to %d", w.EventBytes, MostMessageBytes/2)
	check(w.RequestEvents >= 1 && w.RequestEvents <= 1e6, "%v events in a request: give it 1 to 1e6", w.RequestEvents)
	check(w.FrameEvents == 0 || w.FrameEvents >= 1 && w.FrameEvents <= 1e6, "%v events in a frame: give it 1 to 1e6, or 0", w.FrameEvents)
	check(w.Ingests >= 1 && w.Processors >= 1, "%d ingest processes and %d processors: give it 1 of each or more", w.Ingests, w.Processors)
	share("the share of rejected events", w.Rejected)
	share("the share of duplicates", w.Duplicates)
	share("the share of routed events", w.Routed)
	check(w.RoundTrip > 0 && w.Busy > 0, "a round trip of %v and batches of %v: both take longer than 0", w.RoundTrip, w.Busy)
	return errors.Join(errs...)
}

// Requests counts requests by kind, per hour.
type Requests struct {
	Send       float64 `json:"send"`          // SendMessageBatch
	Receive    float64 `json:"receive"`       // ReceiveMessage that brings messages
	Empty      float64 `json:"receive_empty"` // ReceiveMessage that waits for nothing
	Delete     float64 `json:"delete"`        // DeleteMessageBatch
	Visibility float64 `json:"visibility"`    // ChangeMessageVisibilityBatch
	Publish    float64 `json:"publish"`       // PublishBatch, to SNS
	Deliver    float64 `json:"deliver"`       // what SNS sends to queues, a message each; charged by SQS
}

// SQS returns the requests that SQS charges.
func (r Requests) SQS() float64 {
	return r.Send + r.Receive + r.Empty + r.Delete + r.Visibility + r.Deliver
}

// Total returns all requests, to SQS and SNS.
func (r Requests) Total() float64 { return r.SQS() + r.Publish }

func (r *Requests) add(o Requests) {
	r.Send += o.Send
	r.Receive += o.Receive
	r.Empty += o.Empty
	r.Delete += o.Delete
	r.Visibility += o.Visibility
	r.Publish += o.Publish
	r.Deliver += o.Deliver
}

// Price returns what the requests of an hour cost in a month when they are made every hour, in dollars.
func (r Requests) Price(p Prices) float64 {
	return (r.SQS()*p.SQS + r.Publish*p.SNS) / 1e6 * HoursPerMonth
}

// TopicCost is what a topic costs with all of its readers.
type TopicCost struct {
	Topic string `json:"topic"`
	// Readers are the pipelines that read the topic, Hop what they do with it: a hop's name, dead_letters or ledger.
	Readers []string `json:"readers"`
	// EventsPerHour, FramesPerHour and EventsPerFrame are what is written to the topic; of dead letters and ledgers, letters and
	// frames' worth of events.
	EventsPerHour  float64 `json:"events_per_hour"`
	FramesPerHour  float64 `json:"frames_per_hour"`
	EventsPerFrame float64 `json:"events_per_frame"`
	// FrameBytes is how large a frame is as SQS counts it.
	FrameBytes float64 `json:"frame_bytes"`
	// Requests are made an hour, and Billed charged: a request once for each 64 KiB of messages that it begins.
	Requests Requests `json:"requests_per_hour"`
	Billed   Requests `json:"billed_per_hour"`
	// DollarsPerMonth is the price of what is billed.
	DollarsPerMonth float64 `json:"dollars_per_month"`
}

// Cost is an estimate.
type Cost struct {
	Workload Workload    `json:"workload"`
	Prices   Prices      `json:"prices"`
	Topics   []TopicCost `json:"topics"`
	// Ratio is how large events are on SQS, of what they are in a frame; Sampled says of how many events in a frame that was
	// measured.
	Ratio   float64 `json:"compression_ratio"`
	Sampled int     `json:"compression_sample_events"`
	// Requests are made an hour in all, those that look at dead-letter queues included, which are GivenUp.
	Requests Requests `json:"requests_per_hour"`
	Billed   Requests `json:"billed_per_hour"`
	GivenUp  float64  `json:"dead_letter_queue_requests_per_hour"`
	// PerThousand is how many requests a thousand events take.
	PerThousand float64 `json:"requests_per_thousand_events"`
	// DollarsPerMonth is the price of what is billed.
	DollarsPerMonth float64 `json:"dollars_per_month"`
	// Assumptions is what the estimate rests on, for people.
	Assumptions []string `json:"assumptions"`
}

// Estimate says what SQS and SNS are asked for, and cost, when the pipelines of plans process a workload steadily over a
// transport with a config. Everything that the transport goes by is taken from where it takes it.
func Estimate(plans []pipeline.Plan, c Config, w Workload, prices Prices) (Cost, error) {
	if err := errors.Join(c.Validate(), w.Validate()); err != nil {
		return Cost{}, err
	}
	sizes, err := newSizes(c, w.EventBytes)
	if err != nil {
		return Cost{}, err
	}
	defer sizes.close()
	flows, err := newFlows(plans, c, w, sizes)
	if err != nil {
		return Cost{}, err
	}
	cost := Cost{Workload: w, Prices: prices, Topics: []TopicCost{}}
	for _, place := range (Names{c.Prefix}).Places(pipeline.Topics(plans...)) {
		topic := flows.cost(place)
		topic.DollarsPerMonth = topic.Billed.Price(prices)
		cost.Topics = append(cost.Topics, topic)
		cost.Requests.add(topic.Requests)
		cost.Billed.add(topic.Billed)
		cost.GivenUp += float64(len(place.Queues)*w.Processors) * float64(time.Hour) / float64(c.GivenUpEvery+givenUpWait)
	}
	cost.Requests.Empty += cost.GivenUp
	cost.Billed.Empty += cost.GivenUp
	if w.PerHour > 0 {
		cost.PerThousand = cost.Requests.Total() / w.PerHour * 1000
	}
	cost.DollarsPerMonth = cost.Billed.Price(prices)
	entry := flows.topics[w.Topic]
	cost.Sampled = max(1, int(math.Round(entry.perFrame())))
	raw, wire, err := sizes.of(cost.Sampled)
	if err != nil {
		return Cost{}, err
	}
	cost.Ratio = wire / raw
	cost.Assumptions = assumptions(c, cost)
	return cost, nil
}

func assumptions(c Config, cost Cost) []string {
	w := cost.Workload
	quiet, most := c.patience()
	frames := fmt.Sprintf("ingest: %d processes get %g events a request; a frame waits for others until none came for %v, up to %v; %d at once are under way, and what comes meanwhile shares the next",
		w.Ingests, w.RequestEvents, quiet, most, routers.DefaultPublisherConfig(w.Topic).Parallel)
	if w.FrameEvents > 0 {
		frames = fmt.Sprintf("ingest publishes frames of %g events", w.FrameEvents)
	}
	return []string{
		"load: events come evenly over the month, at random moments; nothing fails, nothing is tried again",
		frames,
		fmt.Sprintf("processors: %d processes, each of which receives from every queue; a request takes %v, a batch %v", w.Processors, w.RoundTrip, w.Busy),
		fmt.Sprintf("queues: a request waits for messages up to %v, and %v after there were some; one that brought few is followed by the next after %v; empty dead-letter queues are looked at every %v",
			c.Wait, busyWait, c.Gather, c.GivenUpEvery),
		fmt.Sprintf("events: payloads of %d bytes; a frame of %d is %.2f of its size on SQS, compressed and as text, as measured on made-up events; what stages add is not counted",
			w.EventBytes, cost.Sampled, cost.Ratio),
		fmt.Sprintf("outcomes: %g%% of a pipeline's events are dead-lettered, %g%% dropped as duplicates, %g%% sent to each topic that a stage routes to",
			w.Rejected*100, w.Duplicates*100, w.Routed*100),
		fmt.Sprintf("prices: $%.2f a million requests to SQS, $%.2f a million to SNS, a request charged once for each %d KiB of messages begun; no free tier; a month of %d hours",
			cost.Prices.SQS, cost.Prices.SNS, chunk>>10, HoursPerMonth),
		"SNS: what it delivers to queues is charged by SQS as a request a message",
		"not counted: readiness checks (a request each), starts, redrives, encryption keys, data transfer",
	}
}
