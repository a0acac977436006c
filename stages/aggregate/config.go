package aggregate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Fate is what becomes of an event that came to the stage.
type Fate string

// What becomes of events.
const (
	Pass   Fate = "pass"
	Drop   Fate = "drop"
	Reject Fate = "reject"
)

// Limits of the config.
const (
	minWindow   = time.Second
	maxWindow   = 31 * 24 * time.Hour
	maxOverlap  = 100 // windows that an event may be in
	maxLateness = 31 * 24 * time.Hour
	maxAhead    = 366 * 24 * time.Hour
	maxRemember = 31 * 24 * time.Hour
	maxKey      = 20
	maxCompute  = 50
	maxText     = 200 // bytes
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Window          Window               `yaml:"window" doc:"The spans of time that events are aggregated over, by the time at which they happened." jsonschema:"required"`
	AllowedLateness time.Duration        `yaml:"allowed_lateness" doc:"How long after its end a window takes events that come late. It is sent that much later."`
	Key             []pipeline.Path      `yaml:"key" doc:"The fields whose values have windows of their own. The tenant is always part of it."`
	Compute         map[string]Reduction `yaml:"compute" doc:"What to make of the events in a window, by the name that the result gets in the payload: count, count(field), sum(field), min, max, avg, distinct, first or last." jsonschema:"required"`
	Emit            Emit                 `yaml:"emit" doc:"What the event looks like that is sent for a window." jsonschema:"required"`
	Late            Fate                 `yaml:"late" doc:"What becomes of an event whose windows have all closed, or that lies too far ahead: pass, drop or reject." jsonschema:"enum=pass,enum=drop,enum=reject"`
	Events          Fate                 `yaml:"events" doc:"What becomes of the events that are aggregated: pass lets them go on beside what is made of them, drop leaves only that." jsonschema:"enum=pass,enum=drop"`
	MaxAhead        time.Duration        `yaml:"max_ahead" doc:"How far ahead of the clock the time of an event may lie."`
	Remember        time.Duration        `yaml:"remember" doc:"How long after a window was sent its events are known, so that one that is delivered again is not late. Make it longer than that may take."`
}

// Window says how time is cut: one of Tumbling and Sliding is set.
type Window struct {
	Tumbling time.Duration `yaml:"tumbling,omitempty" doc:"The length of windows that follow each other without a gap."`
	Sliding  time.Duration `yaml:"sliding,omitempty" doc:"The length of windows that overlap."`
	Every    time.Duration `yaml:"every,omitempty" doc:"How often a sliding window begins."`
	Offset   time.Duration `yaml:"offset,omitempty" doc:"How much later than at whole multiples of their length since 1970 in UTC windows begin: 5h has windows of a day begin at midnight in Lima."`
}

// Emit says what the event looks like that is sent for a window.
type Emit struct {
	EventType     string        `yaml:"event_type" doc:"Its event_type." jsonschema:"required"`
	Source        string        `yaml:"source,omitempty" doc:"Its source. Defaults to the name of the pipeline."`
	Kind          tracking.Kind `yaml:"kind,omitempty" doc:"Its kind." jsonschema:"enum=baggage,enum=cargo,enum=parcel,enum=passenger,enum=equipment"`
	CorrelationID pipeline.Path `yaml:"correlation_id,omitempty" doc:"The field of the key that is its correlation_id: the journey that it is added to. Defaults to one of its own for each key: the name of the stage and the key's values."`
	AggregateID   pipeline.Path `yaml:"aggregate_id,omitempty" doc:"The field of the key that is its aggregate_id. Defaults to what its correlation_id is."`
}

// Defaults returns the config that `with` is read over. It lacks a window, what to compute and what to send.
func Defaults() Config {
	return Config{AllowedLateness: time.Minute, Late: Pass, Events: Pass, MaxAhead: 24 * time.Hour, Remember: 24 * time.Hour}
}

var (
	resultName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	reserved   = []string{"window_start", "window_end", "key"}
)

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if err := c.Window.validate(); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	if len(c.Compute) == 0 {
		return errors.New("compute: say what to make of the events, for example `compute: {events: count}`")
	}
	if len(c.Compute) > maxCompute {
		return fmt.Errorf("compute: %d results are too many; %d at most", len(c.Compute), maxCompute)
	}
	for name := range c.Compute {
		switch {
		case slices.Contains(reserved, name):
			return fmt.Errorf("compute: the payload has a %s already; choose another name", name)
		case !resultName.MatchString(name):
			return fmt.Errorf("compute: %q cannot be a result's name: lower case letters, digits and _, 40 characters at most", name)
		}
	}
	if err := c.validateKey(); err != nil {
		return err
	}
	if err := c.Emit.validate(c.Key); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	return errors.Join(
		within("allowed_lateness", c.AllowedLateness, 0, maxLateness), within("max_ahead", c.MaxAhead, 0, maxAhead),
		within("remember", c.Remember, 0, maxRemember), oneOf("late", c.Late, Pass, Drop, Reject), oneOf("events", c.Events, Pass, Drop),
	)
}

func (c *Config) validateKey() error {
	if len(c.Key) > maxKey {
		return fmt.Errorf("key: %d fields are too many; %d at most", len(c.Key), maxKey)
	}
	seen := make(map[string]bool, len(c.Key))
	for _, path := range c.Key {
		switch name := path.Text(); {
		case seen[name]:
			return fmt.Errorf("key: %s is named twice", name)
		case name == "uid":
			return errors.New("key: uid is each event's own, so that nothing would be aggregated; name such as location.iata")
		default:
			seen[name] = true
		}
	}
	return nil
}

func (w Window) validate() error {
	switch {
	case w.Tumbling == 0 && w.Sliding == 0:
		return errors.New("say how long, for example `window: {tumbling: 5m}` or `window: {sliding: 15m, every: 5m}`")
	case w.Tumbling != 0 && (w.Sliding != 0 || w.Every != 0):
		return errors.New("tumbling goes with neither sliding nor every; leave out one or the other")
	case w.Sliding != 0 && w.Every == 0:
		return errors.New("sliding needs every, how often a window begins, for example `every: 5m`")
	}
	length, every := w.cut()
	switch {
	case length < minWindow || length > maxWindow:
		return fmt.Errorf("%s; write a length from %s to %s", length, minWindow, maxWindow)
	case every < minWindow || every > length:
		return fmt.Errorf("every %s; write a duration from %s to the length of the window, %s", every, minWindow, length)
	case length%time.Microsecond != 0 || every%time.Microsecond != 0 || w.Offset%time.Microsecond != 0:
		return errors.New("times are known to the microsecond; write whole ones")
	case (length+every-1)/every > maxOverlap:
		return fmt.Errorf("an event would be in %d windows; %d at most: begin them less often", (length+every-1)/every, maxOverlap)
	case w.Offset <= -every || w.Offset >= every:
		return fmt.Errorf("offset %s; write less than how often a window begins, %s", w.Offset, every)
	}
	return nil
}

// cut returns how long a window is and how often one begins.
func (w Window) cut() (length, every time.Duration) {
	if w.Tumbling != 0 {
		return w.Tumbling, w.Tumbling
	}
	return w.Sliding, w.Every
}

// starts returns when the windows begin that an instant lies in, the latest first.
func (w Window) starts(at time.Time) []time.Time {
	length, every := w.cut()
	step, micros := every.Microseconds(), at.UnixMicro()-w.Offset.Microseconds()
	last := micros - (micros%step+step)%step
	var starts []time.Time
	for start := last; start > micros-length.Microseconds(); start -= step {
		starts = append(starts, time.UnixMicro(start+w.Offset.Microseconds()).UTC())
	}
	return starts
}

func (e Emit) validate(key []pipeline.Path) error {
	if e.EventType == "" {
		return errors.New("event_type is missing; write for example `emit: {event_type: bags_per_5m}`")
	}
	if len(e.EventType) > maxText || len(e.Source) > maxText {
		return fmt.Errorf("event_type and source have %d bytes at most", maxText)
	}
	if e.Kind != "" && !slices.Contains(tracking.Kinds(), e.Kind) {
		return fmt.Errorf("kind: %q is none; write one of %v", string(e.Kind), tracking.Kinds())
	}
	return errors.Join(inKey("correlation_id", e.CorrelationID, key), inKey("aggregate_id", e.AggregateID, key))
}

func inKey(name string, path pipeline.Path, key []pipeline.Path) error {
	if path.IsZero() || slices.ContainsFunc(key, func(part pipeline.Path) bool { return part.Text() == path.Text() }) {
		return nil
	}
	return fmt.Errorf("%s: %s is not in the key, so that events of one window may differ in it; add it to the key", name, path.Text())
}

func within(key string, value, low, high time.Duration) error {
	if value < low || value > high {
		return fmt.Errorf("%s: %s; write a duration from %s to %s", key, value, low, high)
	}
	return nil
}

func oneOf(key string, fate Fate, choices ...Fate) error {
	if !slices.Contains(choices, fate) {
		return fmt.Errorf("%s: %q is none; write one of %v", key, string(fate), choices)
	}
	return nil
}
