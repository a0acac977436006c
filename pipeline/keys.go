package pipeline

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/internal/suggest"
)

// key is a key of a mapping that a struct is decoded from.
type key struct {
	name   string
	doc    string
	secret bool
	index  []int
	typ    reflect.Type
}

// keysOf returns the keys of a struct in the order of its fields, those of inlined structs among them.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if inner := indirect(field.Type); strings.Contains(options, "inline") && inner.Kind() == reflect.Struct {
			for _, k := range keysOf(inner) {
				k.index = append([]int{i}, k.index...)
				keys = append(keys, k)
			}
			continue
		}
		if name == "" {
			name = snakeCase(field.Name)
		}
		keys = append(keys, key{
			name: name, doc: field.Tag.Get("doc"), secret: field.Tag.Get("secret") == "true", index: []int{i}, typ: field.Type,
		})
	}
	return keys
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

var (
	durationType      = reflect.TypeFor[time.Duration]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	stringerType      = reflect.TypeFor[fmt.Stringer]()
)

// isText reports whether a type that is not a string is written as one: a duration, or what marshals itself to text.
func isText(t reflect.Type) bool {
	if t == durationType || t.Implements(textMarshalerType) || reflect.PointerTo(t).Implements(textMarshalerType) {
		return true
	}
	return t.Kind() == reflect.Struct && len(keysOf(t)) == 0 && t.NumField() > 0 && t.Implements(stringerType)
}

// hintAtField adds to an error about a key that a config does not have which one was meant.
func hintAtField(err error, config reflect.Type) error {
	unknown, ok := errors.AsType[*yaml.UnknownFieldError](err)
	if !ok || unknown.Token == nil {
		return err
	}
	var names []string
	nested := false
	walkKeys(config, func(depth int, k key) {
		names = append(names, k.name)
		nested = nested || depth > 0
	})
	hint := didYouMean(unknown.Token.Value, names)
	if nested && suggest.Closest(unknown.Token.Value, names) == "" {
		return err // which of them fit here is not known
	}
	if len(names) == 0 {
		hint = "leave it out: there is nothing to configure here"
	}
	return &hintedError{error: err, hint: hint}
}

// walkKeys calls visit with every key of a config, whatever it is nested in. depth counts the mappings around a key.
func walkKeys(t reflect.Type, visit func(depth int, k key)) {
	var walk func(t reflect.Type, depth int, within []reflect.Type)
	walk = func(t reflect.Type, depth int, within []reflect.Type) {
		t = element(t)
		if t.Kind() != reflect.Struct || isText(t) || contains(within, t) {
			return
		}
		for _, k := range keysOf(t) {
			visit(depth, k)
			walk(k.typ, depth+1, append(within[:len(within):len(within)], t))
		}
	}
	walk(t, 0, nil)
}

// element returns what a pointer, list or map holds in the end.
func element(t reflect.Type) reflect.Type {
	for !isText(t) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return t
		}
	}
	return t
}

func contains(types []reflect.Type, t reflect.Type) bool {
	for _, other := range types {
		if other == t {
			return true
		}
	}
	return false
}
