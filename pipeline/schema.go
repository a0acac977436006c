package pipeline

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
)

// keyDocs says what the keys of a pipeline and of a stage are for.
var (
	pipelineKeyDocs = map[string]string{
		"pipeline": "The pipeline's name: what its topics and metrics begin with.",
		"summary":  "One line on what the pipeline is for.",
		"from":     "The topic that the pipeline reads: events.ingested is where events come in; or one that another pipeline writes.",
		"to":       "The topic that gets what the last stage passes, or a list of topics that each get it; without it, nothing does.",
		"stages":   "The stages that an event goes through, in order.",
	}
	stageKeyDocs = map[string]string{
		"use":               "The kind of stage.",
		"with":              "The stage's own config; its defaults without.",
		"name":              "The stage's name, unique in the pipeline. Defaults to what `use` says.",
		"when":              "A CEL condition on `event`: an event that it does not hold for passes the stage by.",
		"fuse":              "Run the stage in the hop of the one before it, without a queue between them.",
		"workers":           "How many batches the stage's hop works on at once in one process.",
		"batch":             "How the stage's hop makes its batches; a number alone is that of events.",
		"batch.events":      "How many events a batch has at most.",
		"batch.bytes":       "About how large a batch may be, as 512KiB or 8MiB; as large as its events make it without.",
		"batch.linger":      "How long to wait for more events to fill a batch.",
		"retry":             "How an event that failed is tried again.",
		"retry.attempts":    "How often it is tried again before `on_error` says what becomes of it; 0 is until it works.",
		"retry.backoff":     "About how long to wait before the first retry; each further wait is half as long again.",
		"retry.max_backoff": "About how long to wait at most.",
		"breaker":           "When the stage is held to be down: it is not run then, and its hop receives nothing.",
		"breaker.failures":  "How many batches in a row must fail.",
		"breaker.pause":     "How long to wait before one batch is tried, to see whether the stage works again.",
		"timeout":           "How long the stage may take over a batch; 0s is as long as it takes.",
		"on_error":          "What becomes of an event that has used up its attempts: retry, dead_letter or drop.",
	}
)

// durationPattern is what time.ParseDuration reads.
const durationPattern = `^[+-]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// Schema returns the JSON Schema (draft 2020-12) of a pipeline file, with the config of every registered stage.
func (r *Registry) Schema() *jsonschema.Schema {
	defs := jsonschema.Definitions{"stage": r.stageSchema()}
	for name, d := range r.definitions {
		defs["with_"+name] = d.schema()
	}
	properties := jsonschema.NewProperties()
	for _, key := range pipelineKeys {
		property := &jsonschema.Schema{Type: "string"}
		switch key {
		case "pipeline":
			property.Pattern = namePattern.String()
		case "from":
			property.Pattern = topicPattern.String()
		case "to":
			topic := &jsonschema.Schema{Type: "string", Pattern: topicPattern.String()}
			property = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{topic, {Type: "array", Items: topic, UniqueItems: true}}}
		case "stages":
			one := uint64(1)
			property = &jsonschema.Schema{Type: "array", MinItems: &one, Items: &jsonschema.Schema{Ref: "#/$defs/stage"}}
		}
		property.Description = pipelineKeyDocs[key]
		properties.Set(key, property)
	}
	for _, def := range defs {
		allowReferences(def)
	}
	return &jsonschema.Schema{
		Version: jsonschema.Version, Title: "A Rastro pipeline", Type: "object", Properties: properties,
		Required: []string{"pipeline", "from", "stages"}, AdditionalProperties: jsonschema.FalseSchema, Definitions: defs,
	}
}

// stageSchema is that of one stage: what `with` may hold depends on `use`.
func (r *Registry) stageSchema() *jsonschema.Schema {
	keys := map[string]key{}
	for _, k := range keysOf(reflect.TypeFor[StageSpec]()) {
		keys[k.name] = k
	}
	defaults := reflect.ValueOf(defaultStage())
	properties := jsonschema.NewProperties()
	for _, name := range stageKeys {
		property := &jsonschema.Schema{} // anything: with
		if k, ok := keys[name]; ok {
			property = stageKeySchema(k, defaults.FieldByIndex(k.index), name)
		}
		property.Description = stageKeyDocs[name]
		properties.Set(name, property)
	}
	limits(properties)
	stage := &jsonschema.Schema{
		Type: "object", Properties: properties, Required: []string{"use"}, AdditionalProperties: jsonschema.FalseSchema,
	}
	use := &jsonschema.Schema{Description: stageKeyDocs["use"]}
	for _, name := range r.Names() {
		use.OneOf = append(use.OneOf, &jsonschema.Schema{Const: name, Description: r.definitions[name].Summary})
		condition, consequence := jsonschema.NewProperties(), jsonschema.NewProperties()
		condition.Set("use", &jsonschema.Schema{Const: name})
		consequence.Set("with", &jsonschema.Schema{Ref: "#/$defs/with_" + name})
		then := &jsonschema.Schema{Properties: consequence}
		if len(schemaOf(r.definitions[name].config).Required) > 0 {
			then.Required = []string{"with"}
		}
		stage.AllOf = append(stage.AllOf, &jsonschema.Schema{
			If: &jsonschema.Schema{Properties: condition, Required: []string{"use"}}, Then: then,
		})
	}
	properties.Set("use", use)
	return stage
}

// stageKeySchema is that of a key of a stage, with its default and those of the keys below it.
func stageKeySchema(k key, value reflect.Value, path string) *jsonschema.Schema {
	if k.typ.Kind() != reflect.Struct || isText(k.typ) {
		property := schemaOf(k.typ)
		if text := defaultOf(k, []reflect.Value{value}); text != "" && !value.IsZero() {
			property.Default = jsonOf(text)
		}
		return property
	}
	below := jsonschema.NewProperties()
	for _, inner := range keysOf(k.typ) {
		innerPath := joinPath(path, inner.name)
		property := stageKeySchema(inner, value.FieldByIndex(inner.index), innerPath)
		property.Description = stageKeyDocs[innerPath]
		below.Set(inner.name, property)
	}
	return &jsonschema.Schema{Type: "object", Properties: below, AdditionalProperties: jsonschema.FalseSchema}
}

// limits adds what the types of a stage's keys do not say.
func limits(properties interface {
	Get(key string) (*jsonschema.Schema, bool)
	Set(key string, value *jsonschema.Schema) (*jsonschema.Schema, bool)
}) {
	if name, ok := properties.Get("name"); ok {
		name.Pattern = namePattern.String()
	}
	if workers, ok := properties.Get("workers"); ok {
		workers.Minimum, workers.Maximum = "1", "256"
	}
	if onError, ok := properties.Get("on_error"); ok {
		onError.Enum = []any{OnErrorRetry, OnErrorDeadLetter, OnErrorDrop}
	}
	if batch, ok := properties.Get("batch"); ok {
		events := &jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: "10000", Default: DefaultBatch}
		properties.Set("batch", &jsonschema.Schema{Description: batch.Description, AnyOf: []*jsonschema.Schema{events, batch}})
	}
}

// schema is that of the stage's config, with its defaults.
func (d Definition) schema() *jsonschema.Schema {
	schema := schemaOf(d.config)
	schema.Description = d.Summary
	addDefaults(schema, d.config, reflect.ValueOf(d.defaults()))
	if len(schema.Required) > 0 {
		return schema
	}
	// `with:` and nothing behind it means the defaults, as no `with` does.
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{schema, {Type: "null"}}}
}

// schemaOf reflects a type of a config; anything goes for a type that holds itself.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	if !finite(t, nil) {
		return &jsonschema.Schema{}
	}
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		Mapper: mapType,
		LookupComment: func(t reflect.Type, field string) string {
			if t.Kind() != reflect.Struct || field == "" {
				return ""
			}
			f, _ := t.FieldByName(field)
			return f.Tag.Get("doc")
		},
	}
	schema := reflector.ReflectFromType(t)
	schema.Version = ""
	return schema
}

// mapType maps types that are written otherwise than they are made.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == durationType:
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern}
	case t == reflect.TypeFor[Size]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: sizePattern}}}
	case isText(t):
		return &jsonschema.Schema{Type: "string"}
	case t.Kind() == reflect.Func || t.Kind() == reflect.Chan || t.Kind() == reflect.Complex64 || t.Kind() == reflect.Complex128:
		return &jsonschema.Schema{}
	default:
		return nil
	}
}

// finite reports whether a type does not hold itself.
func finite(t reflect.Type, within []reflect.Type) bool {
	t = element(t)
	if t.Kind() != reflect.Struct || isText(t) {
		return true
	}
	if contains(within, t) {
		return false
	}
	within = append(within[:len(within):len(within)], t)
	return !slices.ContainsFunc(keysOf(t), func(k key) bool { return !finite(k.typ, within) })
}

// addDefaults writes the defaults of a config into its schema.
func addDefaults(schema *jsonschema.Schema, t reflect.Type, defaults reflect.Value) {
	t = indirect(t)
	values := existing([]reflect.Value{defaults})
	if schema.Properties == nil || t.Kind() != reflect.Struct || len(values) == 0 {
		if len(values) > 0 && t.Kind() == reflect.Slice && schema.Items != nil {
			for i := range values[0].Len() {
				addDefaults(schema.Items, t.Elem(), values[0].Index(i))
			}
		}
		return
	}
	for _, k := range keysOf(t) {
		property, ok := schema.Properties.Get(k.name)
		field, err := values[0].FieldByIndexErr(k.index)
		if !ok || err != nil {
			continue
		}
		if property.OneOf != nil && property.Properties == nil {
			property = property.OneOf[0] // of a field that may be null
		}
		if text := defaultOf(k, []reflect.Value{field}); text != "" {
			property.Default = jsonOf(text)
		}
		addDefaults(property, k.typ, field)
	}
}

// jsonOf turns YAML on one line into JSON.
func jsonOf(text string) any {
	out, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil
	}
	return json.RawMessage(out)
}
