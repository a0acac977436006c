package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// apiDocument is what the tests read of an OpenAPI document.
type apiDocument struct {
	OpenAPI    string
	Paths      map[string]map[string]apiOperation
	Components struct {
		Schemas         map[string]json.RawMessage
		SecuritySchemes map[string]json.RawMessage
	}
	raw []byte
}

type apiOperation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Security    []map[string][]string
	Parameters  []apiParameter
	RequestBody *struct {
		Content map[string]apiMedia
	}
	Responses map[string]struct {
		Description string
		Headers     map[string]json.RawMessage
		Content     map[string]apiMedia
	}

	method, path string
}

type apiParameter struct {
	Name, In, Description string
	Required              bool
	Example               any
	Examples              map[string]struct{ Value any }
	Schema                apiSchema
	Explode               *bool
}

type apiMedia struct {
	Schema   json.RawMessage
	Example  any
	Examples map[string]apiExample
}

type apiExample struct {
	Summary string
	Value   any
}

type apiSchema struct {
	Type     any
	Ref      string `json:"$ref"`
	Examples []any
	Enum     []any
	Default  any
	Items    *apiSchema
	OneOf    []apiSchema
	// Properties are those of an object.
	Properties map[string]apiSchema
	Required   []string
	Format     string
}

// isType reports whether a schema takes values of a type.
func (s apiSchema) isType(name string) bool {
	switch t := s.Type.(type) {
	case string:
		return t == name
	case []any:
		return slices.Contains(t, any(name))
	}
	return false
}

// document returns what a process says of its API.
func readDocument(t *testing.T, address string) (d apiDocument) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/openapi.json", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	d.raw, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(d.raw, &d))
	return d
}

// operations returns all operations, in the order of their ids.
func (d apiDocument) operations() (all []apiOperation) {
	for path, item := range d.Paths {
		for method, o := range item {
			o.method, o.path = strings.ToUpper(method), path
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b apiOperation) int { return strings.Compare(a.OperationID+a.path, b.OperationID+b.path) })
	return all
}

// resolve follows a reference to a schema of the document.
func (d apiDocument) resolve(t *testing.T, s apiSchema) apiSchema {
	t.Helper()
	for s.Ref != "" {
		text, ok := d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		require.True(t, ok, "%s is not there", s.Ref)
		s = apiSchema{}
		require.NoError(t, json.Unmarshal(text, &s))
	}
	return s
}
