package split

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Name is what `use` says.
const Name = "split"

// CodeSplit says that the event was split into parts, which go on in its place, or rejected because it cannot be. CodeEmpty says
// that it has no items.
const (
	CodeSplit = "split"
	CodeEmpty = "empty"
)

// maxParts bounds max: the parts of an event are settled with it, and so must be few enough to be held at once.
const maxParts = 10_000

// maxID is how many bytes an event_id may have.
const maxID = 256

// Empty is what becomes of an event without items.
type Empty string

// What becomes of an event without items.
const (
	EmptyPass   Empty = "pass"
	EmptyDrop   Empty = "drop"
	EmptyReject Empty = "reject"
)

// Config is what `with` says; the `doc` tags say what its fields are for.
type Config struct {
	Items     Items              `yaml:"items" doc:"The CEL expression of the list whose items become events, such as event.payload.pieces." jsonschema:"required"`
	Set       Set                `yaml:"set" doc:"The fields of a part that differ from those of the event, by path, each with the CEL expression of its value: of event, item and index."`
	OnMissing pipeline.OnMissing `yaml:"on_missing" doc:"What becomes of a field whose expression has no value: keep (what the event has), reject (the event) or null." jsonschema:"enum=keep,enum=reject,enum=null"`
	Empty     Empty              `yaml:"empty" doc:"What becomes of an event without items: pass, drop or reject." jsonschema:"enum=pass,enum=drop,enum=reject"`
	Max       int                `yaml:"max" doc:"How many items an event may have; one with more is rejected." jsonschema:"minimum=1,maximum=10000"`
}

// Items is an expression that gives a list.
type Items struct{ pipeline.Expression }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (i *Items) UnmarshalYAML(node ast.Node) error {
	expression, err := pipeline.DecodeExpression(node, pipeline.ValueList)
	if err == nil {
		i.Expression = *expression
	}
	return err
}

// Set is assignments whose expressions may name the item and its index.
type Set pipeline.Assignments

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *Set) UnmarshalYAML(node ast.Node) error {
	set, err := pipeline.DecodeAssignments(node, variables()...)
	if err == nil {
		*s = Set(set)
	}
	return err
}

func variables() []pipeline.Variable {
	return []pipeline.Variable{{Name: "item", Type: pipeline.ValueAny}, {Name: "index", Type: pipeline.ValueInteger}}
}

// Defaults returns the config that `with` is read over. It has no items: a split needs them.
func Defaults() Config {
	set, err := pipeline.NewAssignments(map[string]string{"payload": "item"}, variables()...)
	if err != nil {
		set = nil // never: a test compiles them
	}
	return Config{Set: Set(set), OnMissing: pipeline.MissingKeep, Empty: EmptyPass, Max: 1000}
}

// Validate implements pipeline.Validator.
func (c *Config) Validate() error {
	if c.Items.IsZero() {
		return errors.New("items: say what to split, for example `items: event.payload.pieces`")
	}
	if err := c.OnMissing.Validate(); err != nil {
		return fmt.Errorf("on_missing: %w", err)
	}
	if c.Empty != EmptyPass && c.Empty != EmptyDrop && c.Empty != EmptyReject {
		return fmt.Errorf("empty: %q is not one of pass, drop, reject", string(c.Empty))
	}
	if c.Max < 1 || c.Max > maxParts {
		return fmt.Errorf("max: %d is not between 1 and %d", c.Max, maxParts)
	}
	return nil
}

// Register adds the stage to a registry.
func Register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define(Name, "Makes one event of every item of a list.", Defaults, build).Described(doc, example))
}

const doc = `
A part is a copy of its event with what ` + "`set`" + ` changes, by default its payload alone, which becomes the item. The expressions of
` + "`set`" + ` may name ` + "`event`, `item` and `index`" + `, which counts from 0; otherwise their rules are those of the stage transform.

The UID of a part is derived from that of its event, so that an event that is delivered again leads to the same parts. Its event_id
is that of its event with ` + "`#`" + ` and the index behind it, unless ` + "`set`" + ` gives another. An item that is null leads to no part.

The event itself is dropped with the code "split". One whose items are no list, that has more than ` + "`max`" + ` of them, or of which a part
cannot be made, is rejected with the same code: all of its parts go on or none. An event without items, or that lacks the list, is
settled as ` + "`empty`" + ` says: it passes as it is, or is dropped or rejected with the code "empty".`

const example = `
- use: split
  with:
    items: event.payload.pieces
    set:
      aggregate_id: item.id
      payload: item`

func build(config Config, settings pipeline.Settings) (pipeline.Stage, error) {
	mapping, err := pipeline.NewMapping(pipeline.Assignments(config.Set), nil, config.OnMissing)
	if err != nil {
		return nil, err
	}
	return &stage{config: config, mapping: mapping, label: settings.Pipeline + "/" + settings.Name + "#"}, nil
}

// stage is immutable, and so safe for concurrent use.
type stage struct {
	config  Config
	mapping *pipeline.Mapping
	// label begins what the UIDs of parts are derived by: two stages that split one event make different parts.
	label string
}

// Process implements pipeline.Stage.
func (s *stage) Process(ctx context.Context, batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		parts, err := s.parts(ctx, event)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			batch.Reject(i, reason(err))
		case len(parts) > 0:
			batch.Emit(i, parts...)
			batch.Drop(i, pipeline.Reason{Code: CodeSplit, Message: fmt.Sprintf("split into %d", len(parts))})
		case s.config.Empty == EmptyDrop:
			batch.Drop(i, s.empty())
		case s.config.Empty == EmptyReject:
			batch.Reject(i, s.empty())
		}
	}
	return nil
}

func (s *stage) empty() pipeline.Reason {
	return pipeline.Reason{Code: CodeEmpty, Message: "`" + s.config.Items.Text() + "` has no items"}
}

// parts makes the parts of an event.
func (s *stage) parts(ctx context.Context, event *tracking.Event) ([]*tracking.Event, error) {
	scope := pipeline.NewScope(event)
	list, err := s.config.Items.Evaluate(scope)
	if err != nil || list.IsNone() {
		return nil, err
	}
	items, err := list.List()
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	if len(items) > s.config.Max {
		return nil, fmt.Errorf("items: %d are too many; %d at most", len(items), s.config.Max)
	}
	parts := make([]*tracking.Event, 0, len(items))
	for index, item := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if item.IsNone() {
			continue
		}
		scope.Set("item", item)
		scope.Set("index", pipeline.IntegerValue(int64(index)))
		part, err := s.part(scope, index)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", index, err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (s *stage) part(scope *pipeline.Scope, index int) (*tracking.Event, error) {
	event := scope.Event()
	part := event.Clone()
	number := strconv.Itoa(index)
	part.UID = tracking.DeriveUID(event.UID, s.label+number)
	part.EventID = event.EventID + "#" + number
	if len(part.EventID) > maxID {
		digest := sha256.Sum256([]byte(event.EventID))
		part.EventID = hex.EncodeToString(digest[:]) + "#" + number
	}
	return part, s.mapping.Apply(scope, part)
}

func reason(err error) pipeline.Reason {
	out := pipeline.Reason{Code: CodeSplit, Message: err.Error()}
	if field, ok := errors.AsType[*pipeline.FieldError](err); ok {
		out.Field = field.Field
	}
	return out
}
