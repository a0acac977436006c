package pipeline

import (
	"github.com/invopop/jsonschema"
)

// referencePattern is a scalar that has a reference, `${ENV}` or `${secret:...}`, in it.
const referencePattern = `\$\{[^}]+\}`

// allowReferences lets a reference stand for any scalar that is more than a text: what it resolves to is checked by the linter.
func allowReferences(s *jsonschema.Schema) {
	if s == nil || s == jsonschema.FalseSchema || s == jsonschema.TrueSchema {
		return
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			allowReferences(p.Value)
		}
	}
	for _, below := range append(append([]*jsonschema.Schema{s.Items, s.AdditionalProperties}, s.AnyOf...), s.OneOf...) {
		allowReferences(below)
	}
	limited := s.Type == "string" && (s.Pattern != "" || len(s.Enum) > 0 || s.Format != "")
	if s.Type != "integer" && s.Type != "number" && s.Type != "boolean" && !limited {
		return
	}
	// What an editor shows of the key stays where it is.
	own := *s
	own.Description, own.Title, own.Default = "", "", nil
	*s = jsonschema.Schema{
		Description: s.Description, Title: s.Title, Default: s.Default,
		AnyOf: []*jsonschema.Schema{&own, {Type: "string", Pattern: referencePattern}},
	}
}
