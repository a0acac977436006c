package pipeline

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Reference is what an engineer can know of a kind of stage, taken from its Definition and its config.
type Reference struct {
	// Name is what `use` says.
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Doc     string `json:"doc,omitempty"`
	// Fields are the keys of `with` in the order of the config; none when the stage has no config.
	Fields []Field `json:"fields"`
	// Example is a stage as it stands in a pipeline file.
	Example string `json:"example"`
}

// Field is one key of a stage's config.
type Field struct {
	// Path names the key from `with` on: "window", "location.from". `[]` is an item of a list, `*` any key of a mapping.
	Path string `json:"path"`
	// Type is what to write, in words: "list of strings".
	Type string `json:"type"`
	// Default is the value that takes effect when the key is left out, as YAML on one line; empty when there is none.
	Default string `json:"default,omitempty"`
	// Doc says what the key is for.
	Doc string `json:"doc,omitempty"`
	// Secret says that the value is not shown.
	Secret bool `json:"secret,omitempty"`
}

// References returns the references of all registered stages, in alphabetical order.
func (r *Registry) References() []Reference {
	references := make([]Reference, 0, len(r.definitions))
	for _, name := range r.Names() {
		references = append(references, r.definitions[name].Reference())
	}
	return references
}

// Reference returns what there is to know of the kind of stage.
func (d Definition) Reference() Reference {
	reference := Reference{Name: d.Name, Summary: d.Summary, Doc: d.Doc, Fields: []Field{}, Example: d.Example}
	defaults := reflect.ValueOf(d.defaults())
	describeFields(&reference.Fields, d.config, []reflect.Value{defaults}, "", nil)
	if reference.Example == "" {
		reference.Example = d.exampleOfDefaults(effective(defaults, true))
	}
	return reference
}

// exampleOfDefaults writes the stage with its defaults, without what is empty and what is secret.
func (d Definition) exampleOfDefaults(with any) string {
	if mapping, ok := with.(yaml.MapSlice); ok {
		with = slices.DeleteFunc(mapping, func(item yaml.MapItem) bool {
			return isEmpty(item.Value) || item.Value == "" || item.Value == Redacted
		})
	}
	stage := yaml.MapSlice{{Key: "use", Value: d.Name}}
	if !isEmpty(with) {
		stage = append(stage, yaml.MapItem{Key: "with", Value: with})
	}
	source, err := yaml.MarshalWithOptions([]any{stage}, yaml.IndentSequence(true))
	if err != nil {
		return "- use: " + d.Name
	}
	return unindent(string(source))
}

// unindent takes the common indentation of the first line off every line.
func unindent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	margin := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " "))]
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], margin)
	}
	return strings.Join(lines, "\n")
}

// describeFields describes the keys below t. defaults are the values that stand there by default: several when they are
// items of a list.
func describeFields(fields *[]Field, t reflect.Type, defaults []reflect.Value, prefix string, within []reflect.Type) {
	t = indirect(t)
	defaults = existing(defaults)
	switch {
	case isText(t) || contains(within, t):
	case t.Kind() == reflect.Struct:
		within = append(within[:len(within):len(within)], t)
		for _, k := range keysOf(t) {
			var values []reflect.Value
			for _, v := range defaults {
				if field, err := v.FieldByIndexErr(k.index); err == nil {
					values = append(values, field)
				}
			}
			path := joinPath(prefix, k.name)
			*fields = append(*fields, Field{Path: path, Type: typeInWords(k.typ), Default: defaultOf(k, values), Doc: k.doc, Secret: k.secret})
			describeFields(fields, k.typ, values, path, within)
		}
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		var items []reflect.Value
		for _, v := range defaults {
			for i := range v.Len() {
				items = append(items, v.Index(i))
			}
		}
		describeFields(fields, t.Elem(), items, prefix+"[]", within)
	case t.Kind() == reflect.Map:
		var items []reflect.Value
		for _, v := range defaults {
			for entries := v.MapRange(); entries.Next(); {
				items = append(items, entries.Value())
			}
		}
		describeFields(fields, t.Elem(), items, joinPath(prefix, "*"), within)
	}
}

// existing follows pointers and leaves out those to nothing.
func existing(values []reflect.Value) []reflect.Value {
	var out []reflect.Value
	for _, v := range values {
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		if v.Kind() != reflect.Pointer {
			out = append(out, v)
		}
	}
	return out
}

func joinPath(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// defaultOf returns the default of a key on one line: that of a mapping stands at its own keys.
func defaultOf(k key, values []reflect.Value) string {
	values = existing(values)
	if len(values) == 0 || k.secret {
		return ""
	}
	first := values[0]
	for _, v := range values[1:] {
		if !reflect.DeepEqual(first.Interface(), v.Interface()) {
			return ""
		}
	}
	value := effective(first, true)
	if s, ok := value.(string); ok && s == "" {
		return ""
	}
	if _, mapping := value.(yaml.MapSlice); mapping || isEmpty(value) {
		return ""
	}
	source, err := yaml.MarshalWithOptions(value, yaml.Flow(true))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(source))
}

// typeInWords says what to write for a value of t.
func typeInWords(t reflect.Type) string {
	if t == nil {
		return "nothing"
	}
	t = indirect(t)
	switch {
	case t == durationType:
		return "duration"
	case t == reflect.TypeFor[Path]():
		return "field path"
	case isText(t):
		return strings.ReplaceAll(snakeCase(t.Name()), "_", " ")
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "list of " + plural(typeInWords(t.Elem()))
	case reflect.Map:
		return "mapping of " + plural(typeInWords(t.Elem()))
	case reflect.Struct:
		return "mapping"
	case reflect.Interface:
		return "any"
	default:
		return "integer"
	}
}

func plural(words string) string {
	switch {
	case words == "any":
		return "anything"
	case strings.HasPrefix(words, "list of ") || strings.HasPrefix(words, "mapping of "):
		return strings.Replace(words, " of ", "s of ", 1)
	default:
		return words + "s"
	}
}

// StageKeys describes the keys that any stage of a pipeline may have besides its kind's own config.
func StageKeys() []Field {
	defaults := defaultStage()
	var all, fields []Field
	describeFields(&all, reflect.TypeFor[StageSpec](), []reflect.Value{reflect.ValueOf(defaults)}, "", nil)
	for _, name := range stageKeys {
		known := false
		for _, field := range all {
			if field.Path == name || strings.HasPrefix(field.Path, name+".") {
				field.Doc = stageKeyDocs[field.Path]
				fields = append(fields, field)
				known = true
			}
		}
		if !known {
			fields = append(fields, Field{Path: name, Type: "any", Doc: stageKeyDocs[name]})
		}
	}
	return fields
}

// defaultStage is a stage that says nothing of how it is run.
func defaultStage() StageSpec {
	return StageSpec{
		Workers: DefaultWorkers, Batch: Batching{Events: DefaultBatch}, Retry: DefaultRetry(), Breaker: DefaultBreaker(), OnError: OnErrorRetry,
	}
}
