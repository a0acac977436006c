package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestConfigInYAML(t *testing.T) {
	t.Parallel()
	const url = "url: 'https://h/a'"
	for with, want := range map[string]string{
		url:                                   "",
		url + ", token: t, idempotency: ''":   "",
		url + ", reject_on: [], retry_on: []": "",
		url + ", response: attributes, into: risk, body: one, format: ndjson": "",
		"":                                "url: say which service",
		"url: h/a":                        "p.yaml:5:17: url: it must begin with https://",
		"url: 'https://u:secret@h'":       "url: credentials in an address",
		url + ", method: GET":             `p.yaml:5:40: method: "GET" is not`,
		url + ", verb: PUT":               `unknown field "verb"`,
		url + ", timeout: 0s":             "timeout: 0s is not",
		url + ", max_events: 0":           "max_events: 0 is not",
		url + ", max_bytes: 5":            "max_bytes: 5 is not",
		url + ", parallel: 0":             "parallel: 0 is not",
		url + ", body: all":               `body: "all" is not`,
		url + ", format: xml":             `format: "xml" is not`,
		url + ", response: keep":          `response: "keep" is not`,
		url + ", response: attributes":    `into: "" cannot name`,
		url + ", into: risk":              "into: with `response: ignore`",
		url + ", idempotency: 'a b'":      "idempotency: it cannot be",
		url + ", idempotency: Host":       "idempotency: it cannot be",
		url + ", reject_on: [200]":        "reject_on: 200 is not",
		url + ", reject_on: [503]":        "reject_on: 503 stands in retry_on as well",
		url + ", retry_on: [700]":         "retry_on: 700 is not",
		url + ", token: secret, user: me": "token: there is a user",
		url + ", headers: {Host: secret}": "headers: Host is set",
	} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			registry := pipeline.NewRegistry()
			require.NoError(t, Register(registry))
			_, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: a\nstages:\n  - use: http\n    with: {"+with+"}\n"), registry)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestWhatItDoesAgain(t *testing.T) {
	t.Parallel()
	config := Defaults()
	config.URL = "https://example.com/a%2Fb?key=secret"
	require.Equal(t, "calls https://example.com/a%2Fb", config.Action())
	config.Idempotent = true
	require.Empty(t, config.Action())
	var _ pipeline.Acting = config
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: a\nstages:\n  - use: http\n    with: {url: 'https://h/', headers: {X-Key: secret}, token: secret}\n"), registry)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(spec.Stages[0].With(true)), "secret")
}

func TestFilesThatAreMissingAreErrorsAtStart(t *testing.T) {
	t.Parallel()
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	spec, err := pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: a\nstages:\n  - use: http\n    with: {url: 'https://h/', tls: {ca: ca.pem}}\n"), registry)
	require.NoError(t, err)
	_, err = spec.Stages[0].Build("p", settings())
	require.ErrorContains(t, err, "tls:")
}

func TestExercise(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		results := make([]map[string]any, len(c.types))
		for i, typ := range c.types {
			results[i] = map[string]any{"index": i, "outcome": typ, "code": "told", "reason": "as it says", "attributes": map[string]int{"n": 1}}
		}
		_ = json.NewEncoder(w).Encode(results)
	})
	refusing := serve(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		if slices.Contains(c.types, "reject") {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for name, with := range map[string]string{"verdicts": "url: '" + s.URL + "'\nresponse: verdicts", "ignore": "{url: '" + refusing.URL + "'}"} {
		t.Run(name, func(t *testing.T) {
			stagetest.Exercise(t, stagetest.Subject{
				Register: Register, With: with, NoDefaults: true,
				Events:  func() []*tracking.Event { return of("pass", "drop", "reject", "retry", "pass") },
				Invalid: []string{"url: h", "{url: 'https://h', method: GET}", "{url: 'https://h', format: xml}"},
			})
		})
	}
}
