package sqs

import (
	"math"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// flows is what is written to topics and read from them, per second.
type flows struct {
	config Config
	load   Workload
	sizes  *sizes
	topics map[string]flow
	reads  map[string]map[string]reading // by topic and reader
}

// flow is what is written to a topic, per second.
type flow struct {
	events, frames float64
	calls          float64 // to Publish, each of which is a request or more
	bytes          float64 // of all frames, as SQS counts them
	billed         float64 // requests that are charged
	requests       float64
}

func (f flow) perFrame() float64 {
	if f.frames == 0 {
		return 0
	}
	return f.events / f.frames
}

// reading is how a reader has messages in hand.
type reading struct {
	inFlight int
	hold     time.Duration // how long a message is in hand
	together float64       // messages that are settled at once
}

const (
	// ledgerMark and ledgerCopy are about how large entries of the ledger are on SQS, in bytes.
	ledgerMark, ledgerCopy = 60, 150
	// letterBytes is about what a dead letter has besides its event on SQS, in bytes.
	letterBytes = 300
	// envelopeBytes is about what a message has besides its frame.
	envelopeBytes = 120
)

// newFlows follows events from topic to topic. Each round knows the flows one hop further; pipelines that feed each other in a
// circle are followed once around.
func newFlows(plans []pipeline.Plan, c Config, w Workload, sizes *sizes) (*flows, error) {
	f := &flows{config: c, load: w, sizes: sizes, topics: map[string]flow{}}
	rounds := 1
	for _, plan := range plans {
		rounds += len(plan.Hops)
	}
	for range rounds {
		before := f.topics
		f.topics, f.reads = map[string]flow{}, map[string]map[string]reading{}
		if err := f.ingest(); err != nil {
			return nil, err
		}
		for _, plan := range plans {
			if err := f.pipeline(plan, before); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// write adds frames of events that are written in so many calls to a topic.
func (f *flows) write(topic string, events, calls, perCall float64) error {
	if events <= 0 || calls <= 0 {
		return nil
	}
	frames := max(1, math.Ceil(perCall/float64(f.sizes.most)))
	_, wire, err := f.sizes.of(int(math.Round(perCall / frames)))
	if err != nil {
		return err
	}
	f.add(topic, events, calls, frames, wire)
	return nil
}

// add adds calls of so many frames each, of so many bytes each.
func (f *flows) add(topic string, events, calls, frames, wire float64) {
	requests := max(1, math.Ceil(frames/maxBatch), math.Ceil(frames*wire/float64(f.config.MaxMessageBytes)))
	t := f.topics[topic]
	t.events += events
	t.calls += calls
	t.frames += calls * frames
	t.bytes += calls * frames * wire
	t.requests += calls * requests
	t.billed += calls * requests * charged(frames*wire/requests)
	f.topics[topic] = t
}

// ingest is what the edge publishes: what comes soon after one another, and, while its frames are under way, what comes meanwhile.
func (f *flows) ingest() error {
	w, p := f.load, routers.DefaultPublisherConfig(f.load.Topic)
	rate := w.PerHour / 3600
	perFrame := w.FrameEvents
	if perFrame == 0 {
		most := float64(w.Ingests*p.Parallel) / w.RoundTrip.Seconds()
		perFrame = max(w.RequestEvents, min(max(rate/most, w.RequestEvents*f.patient(rate)), float64(p.MaxEvents)))
	}
	return f.write(w.Topic, rate, rate/perFrame, perFrame)
}

// patient returns how many requests to ingest share a frame because it waits for them: those that come before a pause, and in time.
func (f *flows) patient(rate float64) float64 {
	requests := rate / f.load.RequestEvents / float64(f.load.Ingests)
	quiet, most := f.config.patience()
	return min(math.Exp(requests*quiet.Seconds()), 1+requests*most.Seconds())
}

// gathered returns how many messages wait for a reader when it asks for some: those that came since it had asked before.
func (f *flows) gathered(in flow) float64 {
	frames := in.frames / float64(f.load.Processors)
	return max(1+frames*f.load.RoundTrip.Seconds(), frames*f.config.Gather.Seconds())
}

// batchOf returns how many events a hop has in a batch of what it reads.
func (f *flows) batchOf(hop pipeline.Hop, in flow) float64 {
	perFrame := max(in.perFrame(), 1)
	frames := in.frames / float64(f.load.Processors)
	waiting := max(1+frames*hop.Batch.Linger.Seconds(), frames*f.load.Busy.Seconds()/float64(max(hop.Workers, 1)), f.gathered(in))
	most := float64(hop.Batch.Events)
	if hop.Batch.Bytes > 0 && in.events > 0 {
		most = min(most, max(1, float64(hop.Batch.Bytes)/(in.bytes/in.events)))
	}
	// A batch is full once it is, but for what its last frame brings.
	return max(perFrame, min(perFrame*waiting, most))
}

// some is how likely a batch has at least one event of those that have a share.
func some(share, events float64) float64 { return 1 - math.Pow(1-share, events) }

// pipeline adds what a pipeline writes when it reads what was written before.
func (f *flows) pipeline(plan pipeline.Plan, before map[string]flow) error {
	for i, hop := range plan.Hops {
		in := before[hop.From]
		batch := f.batchOf(hop, in)
		f.read(hop.From, plan.Pipeline, reading{
			inFlight: hop.Workers * routers.FramesInHand, hold: f.load.Busy + hop.Batch.Linger, together: batch / max(in.perFrame(), 1),
		})
		if in.events == 0 {
			continue
		}
		out, batches := in.events, in.events/batch
		if i == 0 {
			f.letters(plan.DeadLetters, out*f.load.Rejected, batches*some(f.load.Rejected, batch), max(1, batch*f.load.Rejected))
			out -= out * f.load.Rejected
		}
		copies, passes := 0.0, true
		for _, stage := range hop.Stages {
			for _, d := range stage.Destinations() {
				if d.Topic == "" {
					continue
				}
				if err := f.write(d.Topic, out*f.load.Routed, batches*some(f.load.Routed, batch), batch*f.load.Routed); err != nil {
					return err
				}
			}
			if stage.Deduplicates() {
				copies = out * f.load.Duplicates
				out -= copies
			}
			passes = passes && stage.PassesOn()
		}
		f.ledger(plan, i, batches, batch, copies)
		if !passes {
			out = 0
		}
		for _, topic := range hop.To {
			if err := f.write(topic, out, batches, out/batches); err != nil {
				return err
			}
		}
	}
	f.read(plan.DeadLetters, plan.Pipeline, reading{inFlight: routers.LettersInHand, hold: f.load.Busy, together: f.gathered(before[plan.DeadLetters])})
	if plan.Ledger != "" {
		f.read(plan.Ledger, plan.Pipeline, reading{
			inFlight: routers.LedgerInHand, hold: f.load.Busy + routers.LedgerLinger, together: f.gathered(before[plan.Ledger]),
		})
	}
	return nil
}

func (f *flows) letters(topic string, letters, calls, perCall float64) {
	if letters > 0 {
		f.add(topic, letters, calls, 1, envelopeBytes+perCall*(letterBytes+float64(f.load.EventBytes)))
	}
}

// ledger adds what a hop enters: the first that events came, the last that they are through, and any that they were dropped.
func (f *flows) ledger(plan pipeline.Plan, hop int, batches, batch, copies float64) {
	if plan.Ledger == "" {
		return
	}
	perBatch := copies / batches
	calls, marks := batches, math.Ceil(batch/64)
	if hop > 0 && hop < len(plan.Hops)-1 {
		calls = batches * some(f.load.Duplicates, batch)
		if copies == 0 {
			return
		}
		perBatch = max(1, perBatch)
	}
	f.add(plan.Ledger, calls*marks+copies, calls, 1, envelopeBytes+marks*ledgerMark+perBatch*ledgerCopy)
}

func (f *flows) read(topic, reader string, r reading) {
	if f.reads[topic] == nil {
		f.reads[topic] = map[string]reading{}
	}
	f.reads[topic][reader] = r
}

// cost is what a topic takes an hour.
func (f *flows) cost(place Place) TopicCost {
	const hour = 3600
	in := f.topics[place.Topic]
	t := TopicCost{Topic: place.Topic, Readers: []string{}, EventsPerHour: in.events * hour}
	if len(place.Queues) == 0 {
		return t // what nobody reads is not sent
	}
	t.FramesPerHour, t.EventsPerFrame = in.frames*hour, in.perFrame()
	if in.frames > 0 {
		t.FrameBytes = in.bytes / in.frames
	}
	if place.SNSTopic == "" {
		t.Requests.Send, t.Billed.Send = in.requests*hour, in.billed*hour
	} else {
		t.Requests.Publish, t.Billed.Publish = in.requests*hour, in.billed*hour
		t.Requests.Deliver = in.frames * hour * float64(len(place.Queues))
		t.Billed.Deliver = t.Requests.Deliver * charged(t.FrameBytes)
	}
	for _, queue := range place.Queues {
		t.Readers = append(t.Readers, queue.Reader)
		requests, billed := f.receive(in, t.FrameBytes, f.reads[place.Topic][queue.Reader])
		t.Requests.add(requests)
		t.Billed.add(billed)
	}
	return t
}

// receive is what a reader asks its queue an hour, in all of its processes.
func (f *flows) receive(in flow, frameBytes float64, r reading) (requests, billed Requests) {
	processes := float64(f.load.Processors)
	frames := in.frames / processes // a second, in each
	most := float64(min(maxBatch, max(1, r.inFlight), f.config.MaxInFlightBytes/f.config.MaxMessageBytes))
	each := f.gathered(in)
	each /= math.Ceil(each / most)
	turns := frames / each
	hold := r.hold.Seconds()
	// A message that is handled waits for others while there are some in hand.
	deleted := min(maxBatch, max(1, r.together)+(1-math.Exp(-frames*hold))*frames*deleteLinger.Seconds())
	renewals := math.Floor(hold / (f.config.VisibilityTimeout.Seconds() / 2))
	scale := processes * 3600
	requests = Requests{
		Receive: turns * scale, Empty: f.empty(frames, turns) * scale, Delete: frames / deleted * scale,
		Visibility: frames * renewals / min(maxBatch, max(1, frames*hold)) * scale,
	}
	billed = requests
	billed.Receive *= charged(each * frameBytes)
	return requests, billed
}

// empty is how many requests a second wait in vain in one process: those that end before the next message comes. The first
// waits a moment, each further one twice as long, up to what the config says.
func (f *flows) empty(frames, turns float64) float64 {
	longest := f.config.Wait.Seconds()
	if frames == 0 {
		return 1 / longest
	}
	perTurn, wait, waited := 0.0, busyWait.Seconds(), 0.0
	for wait < longest {
		waited += wait
		perTurn += math.Exp(-frames * waited)
		wait = min(2*wait, longest)
	}
	// From here on each is as long as the last: a geometric series.
	perTurn += math.Exp(-frames*(waited+longest)) / -math.Expm1(-frames*longest)
	return perTurn * turns
}
