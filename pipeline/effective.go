package pipeline

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Redacted stands for a value that is not to be shown.
const Redacted = "(redacted)"

// With returns the stage's config as it takes effect, defaults included, in terms of YAML: yaml.MapSlice, []any and scalars.
// With redact, Redacted stands for what a field tagged `secret:"true"` holds, and for secrets by reference wherever they stand.
func (s StageSpec) With(redact bool) any {
	value := effective(reflect.ValueOf(s.config), redact)
	if redact {
		return s.secrets.scrubValue(value)
	}
	return value
}

// Describe returns the plan in terms of YAML, with every stage's config as it takes effect. What is not set is left out. With
// redact, Redacted stands for secrets.
func (p Plan) Describe(redact bool) yaml.MapSlice {
	out := yaml.MapSlice{{Key: "pipeline", Value: p.Pipeline}}
	if p.Summary != "" {
		out = append(out, yaml.MapItem{Key: "summary", Value: p.Summary})
	}
	out = append(out, yaml.MapItem{Key: "dead_letters", Value: p.DeadLetters})
	hops := make([]any, len(p.Hops))
	for i, hop := range p.Hops {
		stages := make([]any, len(hop.Stages))
		for n, stage := range hop.Stages {
			stages[n] = stage.describe(redact)
		}
		described := present(reflect.ValueOf(hop), redact, "stages")
		hops[i] = append(described, yaml.MapItem{Key: "stages", Value: stages})
	}
	return append(out, yaml.MapItem{Key: "hops", Value: hops})
}

// describe returns the stage without what its hop says already.
func (s StageSpec) describe(redact bool) yaml.MapSlice {
	said := []string{"fuse"}
	for _, k := range keysOf(reflect.TypeFor[Hop]()) {
		if k.name != "name" {
			said = append(said, k.name)
		}
	}
	out := present(reflect.ValueOf(s), redact, said...)
	if with := s.With(redact); !isEmpty(with) {
		out = append(out, yaml.MapItem{Key: "with", Value: with})
	}
	return out
}

// present returns the fields of a struct that are set, but for those named.
func present(v reflect.Value, redact bool, but ...string) yaml.MapSlice {
	out := yaml.MapSlice{}
	for _, k := range keysOf(v.Type()) {
		field := v.FieldByIndex(k.index)
		if field.IsZero() || slices.Contains(but, k.name) {
			continue
		}
		if value := effective(field, redact); !isEmpty(value) {
			out = append(out, yaml.MapItem{Key: k.name, Value: value})
		}
	}
	return out
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case yaml.MapSlice:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

// effective returns a value of a config in terms of YAML. A pointer to nothing is nil, and left out of a mapping.
func effective(v reflect.Value, redact bool) any {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	if isText(v.Type()) {
		return text(v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return effectiveStruct(v, redact)
	case reflect.Slice, reflect.Array:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = effective(v.Index(i), redact)
		}
		return items
	case reflect.Map:
		out := make(yaml.MapSlice, 0, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			out = append(out, yaml.MapItem{Key: fmt.Sprint(entries.Key().Interface()), Value: effective(entries.Value(), redact)})
		}
		slices.SortFunc(out, func(a, b yaml.MapItem) int { return strings.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
		return out
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return nil
	default:
		return v.Interface()
	}
}

func effectiveStruct(v reflect.Value, redact bool) any {
	out := yaml.MapSlice{}
	for _, k := range keysOf(v.Type()) {
		field, err := v.FieldByIndexErr(k.index)
		if err != nil {
			continue // an inlined struct that is not there
		}
		value := effective(field, redact)
		if value == nil {
			continue
		}
		if redact && k.secret && !field.IsZero() {
			value = Redacted
		}
		out = append(out, yaml.MapItem{Key: k.name, Value: value})
	}
	return out
}

// text returns a value that is written as a string.
func text(v reflect.Value) string {
	if v.Type() == durationType {
		return shortDuration(time.Duration(v.Int()))
	}
	addressable := reflect.New(v.Type())
	addressable.Elem().Set(v)
	switch value := addressable.Interface().(type) {
	case encoding.TextMarshaler:
		out, err := value.MarshalText()
		if err != nil {
			return fmt.Sprintf("(%s)", err)
		}
		return string(out)
	case fmt.Stringer:
		return value.String()
	default:
		return ""
	}
}

// shortDuration returns a duration as people write it: 72h, not 72h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Version identifies a configuration of pipelines: another one has another version. It tells nothing of secrets.
func Version(plans ...Plan) string {
	digest := sha256.New()
	for _, plan := range plans {
		text, err := yaml.Marshal(plan.Describe(true))
		if err != nil {
			return ""
		}
		_, _ = digest.Write(text) // A hash takes anything.
	}
	return hex.EncodeToString(digest.Sum(nil)[:6])
}
