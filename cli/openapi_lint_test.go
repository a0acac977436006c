package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
)

var (
	operationName = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	parameterName = regexp.MustCompile(`^[a-z][a-zA-Z]*$`)
	apiPath       = regexp.MustCompile(`^/api/v1(/[a-z-]+|/\{[a-z][a-zA-Z]*\})+$`)
	neededRole    = regexp.MustCompile(`Needs the roles? ([a-z]+:[a-z]+)`)
	// opaque are parameters of which only an answer gives a value.
	opaque = []string{"cursor", "nextPageToken", "lastEventId", "Last-Event-ID"}
)

// lint returns what is wrong with an operation by the rules of this API.
func (o apiOperation) lint() (wrong []string) {
	rule := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, o.method+" "+o.path+": "+what)
		}
	}
	sentence := func(text string) bool { return text != "" && strings.HasSuffix(text, ".") }
	rule(operationName.MatchString(o.OperationID), "operationId is lower case with hyphens")
	rule(apiPath.MatchString(o.path), "the path is /api/v1/ and lower case with hyphens")
	rule(o.Summary != "" && !strings.HasSuffix(o.Summary, ".") && len(o.Summary) <= 60, "a summary is short, and no sentence")
	rule(sentence(o.Description), "the description is sentences")
	rule(len(o.Tags) == 1, "there is one tag")
	rule(len(o.Security) > 0, "it says who may")
	role := neededRole.FindStringSubmatch(o.Description)
	rule(o.OperationID == "get-me" || role != nil && slices.Contains(auth.Roles(), role[len(role)-1]), "the description names the role that is needed")
	for _, status := range []string{"401", "403"} {
		_, ok := o.Responses[status]
		rule(ok, "there is "+status)
	}
	good := 0
	for status, r := range o.Responses {
		rule(r.Description != "", status+" has a description")
		switch status[0] {
		case '2':
			good++
			rule((len(r.Content) > 0) == (status != "204"), status+" has content, or is 204")
			for _, media := range []string{"application/json", "text/event-stream"} {
				if content, ok := r.Content[media]; ok {
					rule(len(content.all()) > 0, status+" has an example")
				}
			}
		case '4', '5':
			_, problem := r.Content["application/problem+json"]
			rule(problem, status+" is a problem")
		}
	}
	rule(good > 0, "an answer is good")
	names := []string{}
	for _, p := range o.Parameters {
		rule(!slices.Contains(names, p.In+p.Name), p.Name+" is there once")
		names = append(names, p.In+p.Name)
		rule(p.In == "header" || parameterName.MatchString(p.Name), p.Name+" is camelCase")
		rule(p.Description != "", p.Name+" has a description")
		rule(slices.Contains(opaque, p.Name) || p.example() != nil, p.Name+" has an example")
		rule((p.In == "path") == strings.Contains(o.path, "{"+p.Name+"}"), p.Name+" is in the path or not")
	}
	if _, tenant := o.parameter("tenant"); !tenant {
		rule(slices.Contains(ofNoTenant(), o.OperationID), "it takes the parameter tenant, as all do that are about a tenant's data")
	}
	if o.RequestBody != nil {
		rule(len(o.RequestBody.Content) > 0, "the body has a type")
		for media, content := range o.RequestBody.Content {
			rule(content.Example != nil || len(content.Examples) > 0, media+" has an example")
		}
	}
	return wrong
}

func (o apiOperation) parameter(name string) (apiParameter, bool) {
	i := slices.IndexFunc(o.Parameters, func(p apiParameter) bool { return p.Name == name })
	if i < 0 {
		return apiParameter{}, false
	}
	return o.Parameters[i], true
}

// example returns the example of a parameter, of itself or of its schema.
func (p apiParameter) example() any {
	if p.Example == nil && len(p.Schema.Examples) > 0 {
		return p.Schema.Examples[0]
	}
	return p.Example
}

// The document keeps to OpenAPI 3.1 and to our own rules.
func TestTheAPIDocumentIsClean(t *testing.T) {
	t.Parallel()
	address, _ := newEnvironment(t).serve(t, allRoles()...)
	d := readDocument(t, address)

	meta, err := os.Open("testdata/openapi/schema-3.1.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, meta.Close()) }()
	rules, err := jsonschema.UnmarshalJSON(meta)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("openapi.json", rules))
	schema, err := compiler.Compile("openapi.json")
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.raw))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(document))

	ids := map[string]bool{}
	for _, o := range d.operations() {
		require.False(t, ids[o.OperationID], "%s is there twice", o.OperationID)
		ids[o.OperationID] = true
		for _, wrong := range o.lint() {
			t.Error(wrong)
		}
		for _, secured := range o.Security {
			for name := range secured {
				require.Contains(t, d.Components.SecuritySchemes, name)
			}
		}
	}
	require.Greater(t, len(ids), 30)
	used := string(d.raw)
	for name, text := range d.Components.Schemas {
		require.Contains(t, used, `"#/components/schemas/`+name+`"`, "nothing uses the schema %s", name)
		_ = d.schema(t, text)
	}
}

// schema compiles a schema of the document.
func (d apiDocument) schema(t *testing.T, text json.RawMessage) *jsonschema.Schema {
	t.Helper()
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.raw))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	one, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	whole.(map[string]any)["x-schema"] = one
	require.NoError(t, compiler.AddResource("api.json", whole))
	compiled, err := compiler.Compile("api.json#/x-schema")
	require.NoError(t, err)
	return compiled
}

// ofNoTenant are the operations that are about no tenant's data, or about that of who asks.
func ofNoTenant() []string {
	return []string{
		"get-config", "get-me", "post-events", "post-carrier-events", "post-capture", "get-capture", "list-captures", "get-capture-options",
		"post-own-capture", "get-own-capture", "list-own-captures", "get-own-capture-options", "pause-stage", "resume-stage",
	}
}
