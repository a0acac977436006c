package pipeline

import (
	"math"
	"time"
)

// Limits is what pipelines are checked against besides themselves: what the broker, the edge and the process allow. What is
// zero is not known, or has no limit, and nothing is checked against it. docs/delivery.md says what is computed and how.
type Limits struct {
	// Broker is what findings call the broker: "SQS".
	Broker string
	// FrameBytes is the largest frame that the broker takes, in bytes.
	FrameBytes int
	// FramesInHand is how many frames a worker may have in hand, those that wait for it included.
	FramesInHand int
	// InHandBytes bounds what the frames that a hop has in hand hold together, in bytes.
	InHandBytes int64
	// Hold is how long the broker lets a reader have a frame, however often the reader says that it is at work; then it
	// delivers the frame again.
	Hold time.Duration
	// Receives is how often the broker delivers a frame before it puts it in its own dead-letter queue.
	Receives int
	// DeployEvery is how often processes are replaced at most. A frame that a stopping process has not finished is delivered
	// again.
	DeployEvery time.Duration
	// Shutdown is how long a stopping process may take to finish what it has in hand.
	Shutdown time.Duration
	// MemoryBytes is what the process may take of memory.
	MemoryBytes int64
	// EventBytes is the largest payload of an event that the edge is set to take, in bytes.
	EventBytes int
	// ShutdownBy, ReceivesBy and EventBytesBy name what Shutdown, Receives and EventBytes are set by, for findings.
	ShutdownBy, ReceivesBy, EventBytesBy string
}

// WorstCase is how long a hop has a batch in hand at worst while everything works: no stage fails as a whole, and each stage
// asks for an event to be tried again as often as its `retry` lets it. An outage is not in it, nor is a stage without
// `attempts` that tries an event until it works: both wait for something else to be mended.
type WorstCase struct {
	// Linger is how long the hop waits for its batch to fill.
	Linger time.Duration
	// Pass is how long the stages take over a batch, one after the other.
	Pass time.Duration
	// Passes is how many of them it takes until the last event is through.
	Passes int
	// Pauses is how long an event waits altogether to be tried again.
	Pauses time.Duration
	// Untimed names the stages of which nothing says how long they may take. They are not in Pass.
	Untimed []string
}

// Total returns how long the hop has a batch in hand at worst, without its untimed stages.
func (w WorstCase) Total() time.Duration {
	return saturated(float64(w.Linger) + float64(w.Pass)*float64(w.Passes) + float64(w.Pauses))
}

// WorstCase returns how long the hop has a batch in hand at worst.
//
// Each stage of a hop runs at most once a pass. A pass more is needed for each time that an event is tried again, and in a hop
// of several stages one more that may have begun for other events just before the event's pause ended. In a hop of one stage
// all events that are tried again pause together, so that there is none.
func (h Hop) WorstCase() WorstCase {
	w := WorstCase{Linger: h.Batch.Linger}
	var pass, pauses float64
	again := 0
	for _, stage := range h.Stages {
		took, known := stage.worstTime(h.Batch.Events)
		if !known {
			w.Untimed = append(w.Untimed, stage.Name)
		}
		pass += float64(took)
		pauses += float64(stage.Retry.worstPauses())
		again += stage.Retry.Attempts
	}
	w.Pass, w.Pauses, w.Passes = saturated(pass), saturated(pauses), 1+again
	if len(h.Stages) > 1 {
		w.Passes += again
	}
	return w
}

// worstTime returns how long one Process of the stage may take over so many events, as far as that is known: its timeout, or
// what its config says if that is less.
func (s StageSpec) worstTime(events int) (time.Duration, bool) {
	limit := s.Timeout
	if s.fit != fitUnknown {
		if timed, ok := trait[Timed](s.config); ok {
			if own := timed.WorstCase(events); own > 0 && (limit == 0 || own < limit) {
				limit = own
			}
		}
	}
	return limit, limit > 0
}

// worstPauses returns how long an event waits altogether that uses up its attempts, jitter included.
func (r Retries) worstPauses() time.Duration {
	var all float64
	for n := range r.Attempts {
		all += float64(r.pause(n+1, 1))
	}
	return saturated(all)
}

// Held returns how long a frame may be in the hands of a process at worst: it may wait for its turn behind as many others as
// the process holds for each worker, each a batch of its own.
func (l Limits) Held(batch time.Duration) time.Duration {
	return saturated(float64(batch) * float64(max(1, l.FramesInHand)))
}

// ReceivesOf returns how often the broker may have to deliver a frame whose batch takes so long until it is through; false when
// there is no end to it, because a process never lives long enough. Attempts are not remembered across a delivery.
func (l Limits) ReceivesOf(batch time.Duration) (int, bool) {
	n := 1
	if held := l.Held(batch); l.Hold > 0 && held > l.Hold {
		n = int((held-1)/l.Hold) + 1
	}
	if l.DeployEvery > 0 && batch > l.DeployEvery {
		return n, false
	}
	// One deploy, or one crash, takes the frame out of the hands of whoever has it.
	return n + 1, true
}

// InHand returns how many bytes the frames that a hop has in hand hold at most; 0 when there is no telling.
func (l Limits) InHand(workers int) int64 {
	bytes := int64(workers) * int64(l.FramesInHand) * int64(l.FrameBytes)
	if l.InHandBytes > 0 && (bytes == 0 || l.InHandBytes < bytes) {
		return l.InHandBytes
	}
	return bytes
}

// LargestEvent returns the largest payload, in bytes, that the edge is to take where frames have so many: half of them, because
// an event grows on its way by what stages add to it, and its dead letter by why it was rejected.
func LargestEvent(frameBytes int) int { return frameBytes / 2 }

// saturated returns a duration in nanoseconds, the longest there is when it is longer.
func saturated(nanoseconds float64) time.Duration {
	if nanoseconds >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(nanoseconds)
}
