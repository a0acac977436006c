package throttle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "throttle"

// CodeThrottled says that the event came when its key had used up its rate.
const CodeThrottled = "throttled"

// Over is what becomes of an event that comes too fast.
type Over string

// What becomes of an event that comes too fast.
const (
	// Wait has it tried again when its turn has come.
	Wait Over = "wait"
	// Drop drops it with CodeThrottled.
	Drop Over = "drop"
	// Reject rejects it with CodeThrottled.
	Reject Over = "reject"
)

// Limits of the config.
const (
	maxBurst = 1_000_000
	maxKeys  = 1_000_000
	minWait  = time.Second
	maxWait  = time.Hour
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Key     []pipeline.Path `yaml:"key" doc:"The fields whose values have a rate of their own. With none, all events share one."`
	Rate    Rate            `yaml:"rate" doc:"How many events of a key may pass within a time, in each process: 100/s, 6000/m, 50000/h, 20/10s." jsonschema:"required"`
	Burst   int             `yaml:"burst,omitempty" doc:"How many events of a key may pass at once after a rest. Defaults to what one second brings, 1 at least." jsonschema:"minimum=0,maximum=1000000"`
	Over    Over            `yaml:"over" doc:"What becomes of an event that comes too fast: wait has it tried again when its turn has come, which uses up no attempt; drop and reject end it." jsonschema:"enum=wait,enum=drop,enum=reject"`
	MaxWait time.Duration   `yaml:"max_wait" doc:"How far ahead turns are given out, with wait: an event whose turn would be later comes again after that time and asks anew."`
	MaxKeys int             `yaml:"max_keys" doc:"How many keys are remembered at once; the one unused for the longest time is forgotten for a new one." jsonschema:"minimum=1,maximum=1000000"`
}

// Defaults returns the config that `with` is read over. It has no rate: a throttle needs one.
func Defaults() Config {
	return Config{Key: []pipeline.Path{pipeline.MustParsePath("tenant_id")}, Over: Wait, MaxWait: time.Minute, MaxKeys: 10_000}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	switch {
	case c.Rate.IsZero():
		return errors.New("rate: say how many events may pass, for example `rate: 100/s`")
	case c.Burst < 0 || c.Burst > maxBurst:
		return fmt.Errorf("burst: %d events; write a number from 1 to %d", c.Burst, maxBurst)
	case c.Over != Wait && c.Over != Drop && c.Over != Reject:
		return fmt.Errorf("over: %q is none; write wait, drop or reject", string(c.Over))
	case c.MaxWait < minWait || c.MaxWait > maxWait:
		return fmt.Errorf("max_wait: %s; write a duration from %s to %s", c.MaxWait, minWait, maxWait)
	case c.MaxKeys < 1 || c.MaxKeys > maxKeys:
		return fmt.Errorf("max_keys: %d; write a number from 1 to %d", c.MaxKeys, maxKeys)
	}
	seen := make(map[string]bool, len(c.Key))
	for _, path := range c.Key {
		switch name := path.Text(); {
		case seen[name]:
			return fmt.Errorf("key: %s is named twice", name)
		case name == "uid":
			return errors.New("key: uid is new with every delivery, so that nothing would be throttled; name such as tenant_id or source")
		default:
			seen[name] = true
		}
	}
	return nil
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Lets events through no faster than a rate, for each key by itself.", Defaults, build).
		Described(doc, example))
}

const doc = `
The rate is that of one process: n processes that read the same topic let n times as many through. Nothing is remembered across
a restart.

An event that waits keeps its turn, and the events of a key pass in the order in which they first came, up to ` + "`max_wait`" + ` ahead.
With ` + "`over: drop`" + ` or ` + "`reject`" + ` what comes too fast ends with the code "throttled". As how fast something comes depends on more
than itself, an event that passed may be dropped when it is delivered again.`

const example = `
- use: throttle
  with:
    key: [tenant_id, source]
    rate: 100/s
    burst: 200
    over: wait`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	burst := config.Burst
	if burst == 0 {
		burst = min(config.Rate.oneSecond(), maxBurst)
	}
	return &stage{
		key: config.Key, over: config.Over, now: settings.Now,
		buckets: newBuckets(config.Rate.limit(), burst, config.MaxWait, config.MaxKeys),
		waits:   fmt.Errorf("waits for its turn: %s may pass", config.Rate),
		ended:   pipeline.Reason{Code: CodeThrottled, Message: fmt.Sprintf("came too fast: %s may pass", config.Rate)},
	}, nil
}

// stage is safe for concurrent use, as its buckets are.
type stage struct {
	key     []pipeline.Path
	over    Over
	now     func() time.Time
	buckets *buckets
	// waits and ended are what is said of an event that comes too fast.
	waits error
	ended pipeline.Reason
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	var material []byte
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		material = s.material(material[:0], event)
		key := sha256.Sum256(material)
		if s.over == Wait {
			if delay := s.buckets.reserve(key, event.UID, s.now()); delay > 0 {
				batch.RetryAfter(i, s.waits, delay)
			}
			continue
		}
		switch {
		case s.buckets.allow(key, s.now()):
		case s.over == Drop:
			batch.Drop(i, s.ended)
		default:
			batch.Reject(i, s.ended)
		}
	}
	return nil
}

// material appends what the event's key is the digest of. Different values never give the same: each says how long it is, and
// one that is absent is not one that is empty.
func (s *stage) material(dst []byte, event *tracking.Event) []byte {
	for _, path := range s.key {
		value, ok := path.String(event)
		if !ok {
			dst = append(dst, '-')
			continue
		}
		dst = strconv.AppendInt(dst, int64(len(value)), 10)
		dst = append(dst, ':')
		dst = append(dst, value...)
	}
	return dst
}
