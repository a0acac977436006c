package log

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "log"

const (
	// maxMessage bounds the configured message, in bytes.
	maxMessage = 200
	// maxFields bounds how many fields a line tells.
	maxFields = 50
	// maxValue is how many bytes of a value are logged.
	maxValue = 256
)

// Config is what `with` says; the `doc` tags say what its fields are for, Defaults what they hold by default.
type Config struct {
	Level   string          `yaml:"level" doc:"How urgent the line is: debug, info, warn or error. What the process does not log at its own level is left out." jsonschema:"enum=debug,enum=info,enum=warn,enum=error"`
	Message string          `yaml:"message" doc:"What the line says."`
	Fields  []pipeline.Path `yaml:"fields" doc:"The fields of the event that the line tells, each cut to 256 bytes; those that the event lacks are left out. The payload is told only if it is named."`
	Sample  float64         `yaml:"sample" doc:"The share of events to log, above 0 and up to 1. The same event is always either among them or not." jsonschema:"exclusiveMinimum=0,maximum=1"`
}

// Defaults returns the config of a stage that has no `with`.
func Defaults() Config {
	return Config{
		Level:   "info",
		Message: "event",
		Fields: []pipeline.Path{
			pipeline.MustParsePath("uid"), pipeline.MustParsePath("tenant_id"),
			pipeline.MustParsePath("source"), pipeline.MustParsePath("event_type"),
		},
		Sample: 1,
	}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if _, ok := levels()[c.Level]; !ok {
		return fmt.Errorf("level: %q is none; write debug, info, warn or error", c.Level)
	}
	switch {
	case strings.TrimSpace(c.Message) == "":
		return errors.New("message: say what the line says, for example `message: a bag is missing`")
	case len(c.Message) > maxMessage:
		return fmt.Errorf("message: %d bytes are too many; %d at most", len(c.Message), maxMessage)
	case math.IsNaN(c.Sample) || c.Sample <= 0 || c.Sample > 1:
		return fmt.Errorf("sample: %g is no share of the events; write a number above 0 and up to 1, for example 0.01", c.Sample)
	case len(c.Fields) > maxFields:
		return fmt.Errorf("fields: %d are too many; %d at most", len(c.Fields), maxFields)
	}
	seen := make(map[string]bool, len(c.Fields))
	for _, path := range c.Fields {
		if seen[path.Text()] {
			return fmt.Errorf("fields: %s is named twice", path.Text())
		}
		seen[path.Text()] = true
	}
	return nil
}

func levels() map[string]slog.Level {
	return map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Writes a line to the log for the events that come by.", Defaults, build).Described(doc, example))
}

const doc = `
Every event goes on, whatever becomes of the line. Only the fields that are named are logged; the payload, which may hold
personal data, is not among the defaults. Give the stage a ` + "`when`" + ` to log only some events, and a ` + "`sample`" + ` where there are many.

An event that is delivered again is logged again.`

const example = `
- use: log
  when: event.event_type == "missing"
  with:
    level: warn
    message: a bag is missing
    fields: [tenant_id, uid, location.iata]`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	return &stage{
		level: levels()[config.Level], message: config.Message, fields: config.Fields, sample: config.Sample, logger: settings.Logger,
	}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	level   slog.Level
	message string
	fields  []pipeline.Path
	sample  float64
	logger  *slog.Logger
}

// Process implements pipeline.Stage. It settles nothing.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.logger.Enabled(ctx, s.level) {
		return nil
	}
	for _, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if sampled(event.UID, s.sample) {
			s.logger.LogAttrs(ctx, s.level, s.message, s.attributes(event)...)
		}
	}
	return nil
}

func (s *stage) attributes(event *tracking.Event) []slog.Attr {
	attributes := make([]slog.Attr, 0, len(s.fields))
	for _, path := range s.fields {
		if value, ok := path.String(event); ok {
			attributes = append(attributes, slog.String(path.Text(), cut(value)))
		}
	}
	return attributes
}

// sampled reports whether an event is among a share of all events. The last eight bytes of a UID are random, but for the two
// bits that they begin with (RFC 9562, section 5.7), or a digest.
func sampled(uid uuid.UUID, share float64) bool {
	const bits = 53 // as many as a float64 tells apart
	return float64(binary.BigEndian.Uint64(uid[8:])&(1<<bits-1))/(1<<bits) < share
}

// cut returns the beginning of a long value, without half a character at its end. It shares no memory with the rest.
func cut(value string) string {
	if len(value) <= maxValue {
		return value
	}
	end := maxValue
	for end > maxValue-utf8.UTFMax && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end] + "…"
}
