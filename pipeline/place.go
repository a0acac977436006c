package pipeline

import (
	"errors"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// placeInConfig gives an error about a config the place of the key that it is about, where that can be told: the key whose
// value does not decode by itself, or that the error begins with, as in "window: too short". config is nil when the config
// does decode. An error that has a place keeps it.
func placeInConfig(err error, node ast.Node, config reflect.Type) error {
	if y, ok := errors.AsType[yaml.Error](err); ok && y.GetToken() != nil {
		return err
	}
	values := valuesOf(node)
	if config != nil && indirect(config).Kind() == reflect.Struct {
		for _, k := range keysOf(indirect(config)) {
			value, ok := values[k.name]
			if ok && yaml.NodeToValue(value, reflect.New(k.typ).Interface(), yaml.DisallowUnknownField()) != nil {
				return &yaml.SyntaxError{Message: k.name + ": " + err.Error(), Token: value.GetToken()}
			}
		}
		return err
	}
	name, _, found := strings.Cut(err.Error(), ": ")
	if value, ok := values[name]; found && ok {
		return &yaml.SyntaxError{Message: err.Error(), Token: value.GetToken()}
	}
	return err
}

// mentioned returns the value below node that an error speaks of, the longest of them, or else node itself.
func mentioned(node ast.Node, text string) ast.Node {
	if node == nil {
		return nil
	}
	best, length := node, 3 // shorter ones occur in any text
	for _, value := range ast.Filter(ast.StringType, node) {
		if s := value.GetToken().Value; len(s) > length && strings.Contains(text, s) {
			best, length = value, len(s)
		}
	}
	return best
}
