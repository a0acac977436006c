package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Batching is how a hop makes its batches.
type Batching struct {
	// Events is the most events in a batch, but for what the last frame brings. Defaults to DefaultBatch.
	Events int
	// Bytes is about how large a batch may be, in bytes as they travel: it is not made larger once it is. Defaults to 0: as
	// large as Events allows.
	Bytes Size
	// Linger is how long the hop waits, once it has a frame, for more to fill the batch: fewer and larger batches for a later
	// start. Defaults to 0: a batch is what waits already.
	Linger time.Duration
}

// Retries is how a stage's events are tried again.
type Retries struct {
	// Attempts is how often an event is tried again before it takes OnError; 0, the default, is until it works. Used up are
	// only the retries that the stage asks for of an event (Batch.Retry) while the stage itself works. An error of Process, a
	// timeout among them, is an outage: it opens the breaker and uses up none (Invariant 8). Attempts are not remembered
	// across a redelivery: an event may be tried more often, never less.
	Attempts int
	// Backoff is about how long to wait before the first retry; each further wait is half as long again. Defaults to 50ms.
	Backoff time.Duration
	// MaxBackoff is about how long to wait at most. Defaults to 5s.
	MaxBackoff time.Duration
}

// Breaker is the circuit breaker of a stage. While it is open the stage is not run and its hop receives nothing, so that an
// outage uses up neither attempts nor receive counts (Invariant 8).
type Breaker struct {
	// Failures is how many batches in a row must fail (an error of Process) for the stage to be held to be down. Defaults to 3.
	Failures int
	// Pause is how long to wait before one batch is tried, to see whether it works again. Defaults to 1s.
	Pause time.Duration
}

// DefaultBreaker returns the breaker of a stage that has no `breaker`.
func DefaultBreaker() Breaker { return Breaker{Failures: 3, Pause: time.Second} }

// OnError is what becomes of an event that has used up its attempts.
type OnError string

// What becomes of events that have used up their attempts.
const (
	// OnErrorRetry goes on: there is no last attempt.
	OnErrorRetry OnError = "retry"
	// OnErrorDeadLetter rejects the event with CodeAttempts.
	OnErrorDeadLetter OnError = "dead_letter"
	// OnErrorDrop drops the event with CodeAttempts.
	OnErrorDrop OnError = "drop"
)

// Codes of the reasons that the engine itself gives.
const (
	// CodeAttempts says that the event used up its attempts.
	CodeAttempts = "attempts"
	// CodeWhen says that the stage's `when` cannot be evaluated on the event.
	CodeWhen = "when"
)

// DefaultRetry returns the retries of a stage that has no `retry`.
func DefaultRetry() Retries {
	return Retries{Backoff: 50 * time.Millisecond, MaxBackoff: 5 * time.Second}
}

// Limits of a stage's settings.
const (
	maxLinger   = 10 * time.Second
	maxTimeout  = time.Hour
	maxBackoff  = time.Hour
	maxAttempts = 1000

	minBatchBytes = 1 << 10
	maxBatchBytes = 256 << 20
)

// pause returns how long to wait before the n-th retry, spread by jitter between half and one and a half times that.
func (r Retries) pause(n int, jitter float64) time.Duration {
	wait := float64(r.Backoff) * math.Pow(1.5, float64(n-1))
	return time.Duration(min(wait, float64(r.MaxBackoff)) * (0.5 + jitter))
}

func jitter() float64 { return rand.Float64() } //nolint:gosec // it spreads load, it hides nothing

// last returns the verdict on an event that has used up its attempts.
func (s StageSpec) last(err error) Verdict {
	reason := Reason{Code: CodeAttempts, Message: fmt.Sprintf("still fails after being tried again %d times: %v", s.Retry.Attempts, err)}
	if s.OnError == OnErrorDrop {
		return Verdict{Outcome: Drop, Reason: reason}
	}
	return Verdict{Outcome: Reject, Reason: reason}
}

// policy reads the settings of a stage that say how it is run.
func (p *specParser) policy(fields map[string]ast.Node, stage *StageSpec) {
	p.batching(fields["batch"], &stage.Batch)
	p.when(fields["when"], &stage.When)
	p.duration(fields, "timeout", &stage.Timeout, time.Millisecond, maxTimeout)
	p.retry(fields["retry"], &stage.Retry)
	p.breaker(fields["breaker"], &stage.Breaker)
	p.onError(fields, stage)
}

func (p *specParser) batching(node ast.Node, batch *Batching) {
	fields := map[string]ast.Node{"events": node}
	at, key := node, "batch"
	switch node.(type) {
	case nil:
		return
	case *ast.MappingNode, *ast.MappingValueNode:
		fields = p.mapping(node, "batch", []string{"events", "bytes", "linger"})
		at, key = fields["events"], "events"
		p.size(fields, "bytes", &batch.Bytes, minBatchBytes, maxBatchBytes)
		p.duration(fields, "linger", &batch.Linger, 0, maxLinger)
	}
	if at == nil {
		return
	}
	p.decode(fields, "events", &batch.Events)
	p.between(map[string]ast.Node{key: at}, key, batch.Events, 1, 10_000)
}

func (p *specParser) when(node ast.Node, when *Condition) {
	if node == nil {
		return
	}
	compiled, err := compileNode(node)
	if err == nil {
		*when = *compiled
		return
	}
	wrong, ok := err.(SourceErrors) //nolint:errorlint // compileNode gives them as they are
	if !ok {
		p.addError(node, "type", fmt.Errorf("when: %w", err))
		return
	}
	for _, e := range wrong {
		in := e.in(node)
		line, column, _ := e.offset(node)
		p.list = append(p.list, Finding{File: p.file, Line: line, Column: column, Code: "expression", Message: in.Message, Hint: in.Hint})
	}
}

func (p *specParser) retry(node ast.Node, retry *Retries) {
	if node == nil {
		return
	}
	fields := p.mapping(node, "retry", []string{"attempts", "backoff", "max_backoff"})
	p.decode(fields, "attempts", &retry.Attempts)
	p.between(fields, "attempts", retry.Attempts, 0, maxAttempts)
	p.duration(fields, "backoff", &retry.Backoff, time.Millisecond, maxBackoff)
	p.duration(fields, "max_backoff", &retry.MaxBackoff, time.Millisecond, maxBackoff)
	if retry.MaxBackoff >= retry.Backoff {
		return
	}
	if at, ok := fields["max_backoff"]; ok {
		p.add(at, "range", fmt.Sprintf("max_backoff is %s, less than the backoff of %s", retry.MaxBackoff, retry.Backoff), "write a longer max_backoff")
		return
	}
	retry.MaxBackoff = retry.Backoff
}

func (p *specParser) breaker(node ast.Node, breaker *Breaker) {
	if node == nil {
		return
	}
	fields := p.mapping(node, "breaker", []string{"failures", "pause"})
	p.decode(fields, "failures", &breaker.Failures)
	p.between(fields, "failures", breaker.Failures, 1, 1000)
	p.duration(fields, "pause", &breaker.Pause, 10*time.Millisecond, time.Hour)
}

func (p *specParser) size(fields map[string]ast.Node, key string, target *Size, low, high Size) {
	node, ok := fields[key]
	if !ok {
		return
	}
	if err := yaml.NodeToValue(node, target); err != nil {
		p.addError(node, "type", fmt.Errorf("%s: %w", key, err))
		return
	}
	if *target < low || *target > high {
		p.add(node, "range", fmt.Sprintf("%s is %s", key, *target), fmt.Sprintf("write a size from %s to %s", low, high))
	}
}

func (p *specParser) onError(fields map[string]ast.Node, stage *StageSpec) {
	choices := []string{string(OnErrorRetry), string(OnErrorDeadLetter), string(OnErrorDrop)}
	p.decode(fields, "on_error", (*string)(&stage.OnError))
	switch stage.OnError {
	case OnErrorRetry:
		if stage.Retry.Attempts > 0 {
			p.add(fields["retry"], "on-error", fmt.Sprintf("retry ends after %d attempts, and nothing says what becomes of the event then", stage.Retry.Attempts),
				"add `on_error: dead_letter` or `on_error: drop`, or leave out attempts")
		}
	case OnErrorDeadLetter, OnErrorDrop:
		if stage.Retry.Attempts == 0 {
			p.add(fields["on_error"], "on-error", fmt.Sprintf("on_error: %s never happens: an event is tried again until it works", stage.OnError),
				"add for example `retry: {attempts: 5}`")
		}
	default:
		p.add(fields["on_error"], "on-error", fmt.Sprintf("on_error cannot be %q", string(stage.OnError)), didYouMean(string(stage.OnError), choices))
	}
}

func (p *specParser) duration(fields map[string]ast.Node, key string, target *time.Duration, low, high time.Duration) {
	node, ok := fields[key]
	if !ok {
		return
	}
	if err := yaml.NodeToValue(node, target); err != nil {
		p.addError(node, "type", fmt.Errorf("%s: %w", key, err))
		return
	}
	if *target < low || *target > high {
		p.add(node, "range", fmt.Sprintf("%s is %s", key, *target),
			fmt.Sprintf("write a duration from %s to %s, for example 500ms", low, high))
	}
}
