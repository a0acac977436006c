// Package reference serves the API's description: its OpenAPI document and a page that people read. The page is plain HTML
// made here, so that it needs nothing from anywhere else.
package reference

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
)

//go:embed page.html
var page string

// answers are examples of answers by operation: what a system answered to the examples of requests.
//
//go:embed answers.json
var answers []byte

// Exemplify gives operations the examples of their answers.
func Exemplify(api *huma.OpenAPI) error {
	var examples map[string]json.RawMessage
	if err := json.Unmarshal(answers, &examples); err != nil {
		return fmt.Errorf("read examples of answers: %w", err)
	}
	for _, item := range api.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if o == nil || examples[o.OperationID] == nil {
				continue
			}
			for status, r := range o.Responses {
				media := r.Content["application/json"]
				if strings.HasPrefix(status, "2") && media != nil && media.Example == nil && len(media.Examples) == 0 {
					media.Example = examples[o.OperationID]
				}
			}
		}
	}
	return nil
}

// Register adds /openapi.json and /reference. Both describe the operations that the API has when they are asked first.
func Register(router fiber.Router, api huma.API) {
	exemplify := sync.OnceValue(func() error { return Exemplify(api.OpenAPI()) })
	router.Get("/openapi.json", func(c *fiber.Ctx) error {
		if err := exemplify(); err != nil {
			return err
		}
		body, err := json.Marshal(api.OpenAPI())
		if err != nil {
			return fmt.Errorf("write OpenAPI document: %w", err)
		}
		return c.Type("json").Send(body)
	})
	tmpl := template.Must(template.New("reference").Parse(page))
	router.Get("/reference", func(c *fiber.Ctx) error {
		if err := exemplify(); err != nil {
			return err
		}
		var out bytes.Buffer
		if err := tmpl.Execute(&out, describe(api.OpenAPI())); err != nil {
			return fmt.Errorf("write reference: %w", err)
		}
		c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
		return c.Type("html", "utf-8").Send(out.Bytes())
	})
}

type document struct {
	Title, Version, Description string
	Operations                  []operation
	Schemas                     []schema
}

type operation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []parameter
	Takes                                  []string
	Responses                              []response
}

type parameter struct {
	Name, In, Description string
	Required              bool
}

type response struct{ Status, Description, Media string }

type schema struct {
	Name       string
	Properties []property
}

type property struct {
	Name, Type, Description string
	Required                bool
}

func describe(api *huma.OpenAPI) document {
	d := document{Title: api.Info.Title, Version: api.Info.Version, Description: api.Info.Description}
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if o != nil {
				d.Operations = append(d.Operations, describeOperation(path, o))
			}
		}
	}
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		d.Schemas = append(d.Schemas, describeSchema(name, schemas[name]))
	}
	return d
}

func describeOperation(path string, o *huma.Operation) operation {
	op := operation{ID: o.OperationID, Method: o.Method, Path: path, Summary: o.Summary, Description: o.Description}
	for _, p := range o.Parameters {
		op.Parameters = append(op.Parameters, parameter{p.Name, p.In, p.Description, p.Required})
	}
	if o.RequestBody != nil {
		op.Takes = slices.Sorted(maps.Keys(o.RequestBody.Content))
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		text := r.Description
		if text == "" {
			text = http.StatusText(statusCode(status))
		}
		op.Responses = append(op.Responses, response{status, text, strings.Join(slices.Sorted(maps.Keys(r.Content)), ", ")})
	}
	return op
}

func statusCode(s string) int {
	var code int
	if _, err := fmt.Sscan(s, &code); err != nil {
		return http.StatusInternalServerError // OpenAPI's "default"
	}
	return code
}

func describeSchema(name string, s *huma.Schema) schema {
	out := schema{Name: name}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[key]
		out.Properties = append(out.Properties, property{key, typeOf(p), p.Description, slices.Contains(s.Required, key)})
	}
	return out
}

// typeOf names the type of a property as a reader wants it.
func typeOf(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Type == huma.TypeArray && s.Items != nil:
		return typeOf(s.Items) + "[]"
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " | ")
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case s.Type == "":
		return "any"
	default:
		return s.Type
	}
}
