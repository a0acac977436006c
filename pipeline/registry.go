package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Settings is what a stage is given besides its config: what is injected rather than written by the engineer.
type Settings struct {
	// Name is the stage's name in its pipeline, for logs and errors.
	Name string
	// Pipeline is the name of the pipeline the stage stands in.
	Pipeline string
	// Logger is ready to use and names the pipeline and stage.
	Logger *slog.Logger
	// Files holds what configs name: schemas, catalogues, reference data.
	Files fs.FS
	// Now is the clock.
	Now func() time.Time

	resources map[reflect.Type]any
}

// ErrNoResource says that a stage needs something that the process was not given.
var ErrNoResource = errors.New("resource not provided")

// Provide returns settings that hand value to every stage that asks for a T. T is usually an interface that the stage
// declares, so that a stage depends on what it needs and not on who provides it.
func Provide[T any](s Settings, value T) Settings {
	resources := make(map[reflect.Type]any, len(s.resources)+1)
	for k, v := range s.resources {
		resources[k] = v
	}
	resources[reflect.TypeFor[T]()] = value
	s.resources = resources
	return s
}

// Resource returns what Provide was given for T, or an error that wraps ErrNoResource.
func Resource[T any](s Settings) (T, error) {
	value, ok := s.resources[reflect.TypeFor[T]()].(T)
	if !ok {
		return value, fmt.Errorf("stage %q needs a %s: %w", s.Name, reflect.TypeFor[T](), ErrNoResource)
	}
	return value, nil
}

// Validator is implemented by configs that can be wrong in ways their types do not say.
type Validator interface {
	Validate() error
}

// Definition describes a kind of stage: its name, its config and how to build it.
type Definition struct {
	// Name is what `use` says.
	Name string
	// Summary is one line on what the stage does.
	Summary string
	// Doc is what an engineer must know to use the stage, as Markdown paragraphs; empty when Summary says it all.
	Doc string
	// Example is a stage as it stands in a pipeline file, beginning with `- use:`; empty when there is none.
	Example string

	config   reflect.Type
	defaults func() any
	decode   func(node ast.Node) (any, error)
	build    func(config any, settings Settings) (Stage, error)
}

// Described returns the definition with a Doc and an Example, for the stage's reference.
func (d Definition) Described(doc, example string) Definition {
	d.Doc, d.Example = strings.TrimSpace(doc), strings.TrimSpace(example)
	return d
}

// Define makes a Definition of a config type, its defaults and a constructor. The config's `yaml` tags name its keys; a key
// that it lacks is an error. When *C or C is a Validator it is asked after decoding.
//
// Two more tags of the config's fields say what is shown of them: `doc` what a field is for, in the stage's reference and in
// the JSON Schema that editors complete from, and `secret:"true"` that its value is not to be shown. `jsonschema` tags, such
// as `jsonschema:"enum=a,enum=b"`, add to the schema (github.com/invopop/jsonschema).
func Define[C any](name, summary string, defaults func() C, build func(config C, settings Settings) (Stage, error)) Definition {
	return Definition{
		Name:     name,
		Summary:  summary,
		config:   reflect.TypeFor[C](),
		defaults: func() any { return defaults() },
		decode: func(node ast.Node) (any, error) {
			config := defaults()
			if node != nil && node.Type() != ast.NullType {
				if err := yaml.NodeToValue(node, &config, yaml.DisallowUnknownField()); err != nil {
					return nil, placeInConfig(hintAtField(err, reflect.TypeFor[C]()), node, reflect.TypeFor[C]())
				}
			}
			if v, ok := any(&config).(Validator); ok {
				if err := v.Validate(); err != nil {
					return config, placeInConfig(err, node, nil)
				}
			}
			return config, nil
		},
		build: func(config any, settings Settings) (Stage, error) {
			typed, ok := config.(C)
			if !ok {
				return nil, fmt.Errorf("stage %q: config is a %T, not a %s", settings.Name, config, reflect.TypeFor[C]())
			}
			return build(typed, settings)
		},
	}
}

// Registry knows the kinds of stages that pipelines may use. It is filled at start and only read afterwards.
type Registry struct {
	definitions map[string]Definition
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{definitions: map[string]Definition{}} }

// Register adds a kind of stage. It fails when the name is empty or taken.
func (r *Registry) Register(d Definition) error {
	if d.Name == "" || d.build == nil {
		return errors.New("register stage: a definition needs a name and must come from Define")
	}
	if _, taken := r.definitions[d.Name]; taken {
		return fmt.Errorf("register stage: %q is registered twice", d.Name)
	}
	r.definitions[d.Name] = d
	return nil
}

// Lookup returns the definition that `use: name` means.
func (r *Registry) Lookup(name string) (Definition, bool) {
	d, ok := r.definitions[name]
	return d, ok
}

// Names lists the registered stages in alphabetical order.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.definitions))
	for name := range r.definitions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
