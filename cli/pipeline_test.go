package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
)

// postConfig is that of a stage of somebody else's.
type postConfig struct {
	URL     string            `yaml:"url" doc:"Where to post events to." jsonschema:"format=uri"`
	Token   string            `yaml:"token" doc:"What we show there." secret:"true"`
	Headers map[string]string `yaml:"headers"`
}

func registerPost(r *pipeline.Registry) error {
	return r.Register(pipeline.Define("post", "Posts events to a partner.",
		func() postConfig { return postConfig{URL: "https://partner.example.com", Token: "default-token"} },
		func(c postConfig, _ pipeline.Settings) (pipeline.Stage, error) {
			if c.URL == "" {
				return nil, errors.New("no URL")
			}
			return pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil }), nil
		}))
}

// runPipeline runs `rastro pipeline` with the built-in stages and post.
func runPipeline(t *testing.T, args ...string) ran {
	t.Helper()
	return runWith(t, options{stages: []func(*pipeline.Registry) error{registerPost}}, nil, append([]string{"pipeline"}, args...)...)
}

func runWith(t *testing.T, o options, env map[string]string, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	root := newRootCommand(o, streams{
		getenv:    func(name string) string { return env[name] },
		lookupEnv: func(name string) (string, bool) { value, set := env[name]; return value, set },
		terminal:  func(any) bool { return false },
	})
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errOut)
	err := root.ExecuteContext(t.Context())
	return ran{out: out.String(), err: errOut.String(), code: exitCode(err), failure: err}
}

func TestPipelineOutputs(t *testing.T) {
	t.Parallel()
	const folder = "testdata/pipeline/config"
	for name, args := range map[string][]string{
		"list.txt":         {"list"},
		"list.json":        {"list", "--json"},
		"plan.yaml":        {"plan"},
		"plan.json":        {"plan", "--json"},
		"plan-one.yaml":    {"plan", "notify"},
		"plan-secret.yaml": {"plan", "notify", "--redacted=false"},
		"graph.mmd":        {"graph"},
		"graph.dot":        {"graph", "--format", "dot"},
		"graph-one.mmd":    {"graph", "notify"},
		"topics.txt":       {"topics"},
		"topics.json":      {"topics", "--format", "json"},
		"topics.tfvars":    {"topics", "--format", "tfvars"},
		"topics.helm.yaml": {"topics", "--format", "helm"},
		"dedupe.txt":       {"describe", "dedupe"},
		"enrich.txt":       {"describe", "enrich"},
		"enrich.json":      {"describe", "enrich", "--format", "json"},
		"post.txt":         {"describe", "post"},
		"post.md":          {"describe", "post", "--format", "markdown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPipeline(t, append(args, "--config", folder)...)
			require.NoError(t, got.failure)
			require.Zero(t, got.code)
			require.Empty(t, got.err)
			golden(t, filepath.Join("testdata/pipeline", name), got.out)
			if strings.HasSuffix(name, ".json") {
				require.True(t, json.Valid([]byte(got.out)))
			}
			if name != "plan-secret.yaml" {
				require.NotContains(t, got.out, "s3cret")
				require.NotContains(t, got.out, "default-token")
			}
		})
	}
}

func TestPipelineConfigFromTheEnvironment(t *testing.T) {
	t.Parallel()
	o := options{stages: []func(*pipeline.Registry) error{registerPost}}
	got := runWith(t, o, map[string]string{"RASTRO_CONFIG_DIR": "testdata/pipeline/config"}, "pipeline", "list")
	require.Contains(t, got.out, "notify")
	require.NotContains(t, runWith(t, o, nil, "pipeline", "list").out, "notify")
}

func TestPipelineUsage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown command":       {[]string{"lnt"}, exitUsage, `unknown command "lnt"; did you mean "lint"?`},
		"unknown flag":          {[]string{"lint", "--yaml"}, exitUsage, "unknown flag"},
		"unknown format":        {[]string{"graph", "--format", "svg"}, exitUsage, `--format is "svg"; it must be one of mermaid, dot`},
		"topics' format":        {[]string{"topics", "--format", "xml"}, exitUsage, "tfvars"},
		"unknown pipeline":      {[]string{"plan", "cargo"}, exitNotFound, `there is no pipeline "cargo"; there is tracking`},
		"unknown stage":         {[]string{"describe", "enrch"}, exitNotFound, `there is no stage "enrch"; did you mean "enrich"?`},
		"lint of nothing":       {[]string{"lint", "nowhere.yaml"}, exitUsage, "no such file"},
		"lint of no pipelines":  {[]string{"lint", "../docs/images"}, exitUsage, "there is no *.yaml in this folder"},
		"no such configuration": {[]string{"list", "--config", "nowhere"}, exitUsage, "configuration: stat nowhere"},
		"a file for a folder":   {[]string{"lint", "--config", "pipeline.go"}, exitUsage, "is not a folder"},
		"plan of what is wrong": {[]string{"plan", "--config", "testdata/pipeline/wrong"}, exitFailure, "two.yaml:1:11: pipeline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPipeline(t, c.args...)
			require.Equal(t, c.code, got.code)
			require.ErrorContains(t, got.failure, c.want)
			require.Empty(t, got.out)
		})
	}
	require.Contains(t, runPipeline(t).out, "rastro pipeline lint")
}

// What the reference says is what the stages say: `make docs` writes it anew.
func TestStagesReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	got := runWith(t, options{}, nil, "pipeline", "describe", "--format", "markdown")
	require.NoError(t, got.failure)
	want, err := os.ReadFile("../docs/stages.md")
	require.NoError(t, err)
	require.Equal(t, string(want), got.out, "run `make docs`")
}

// Every built-in stage explains itself, and the example of each is right.
func TestStagesExplainThemselves(t *testing.T) {
	t.Parallel()
	registry, err := options{}.registry()
	require.NoError(t, err)
	for _, reference := range registry.References() {
		t.Run(reference.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, reference.Summary)
			for _, field := range reference.Fields {
				require.NotEmpty(t, field.Doc, "%s needs a doc tag", field.Path)
			}
			source := "pipeline: example\nfrom: events.ingested\nstages:\n  " + strings.ReplaceAll(reference.Example, "\n", "\n  ") + "\n"
			_, findings := newChecker(config.Files(), registry).Check(pipeline.Source{File: reference.Name, Text: []byte(source)})
			wrong := slices.DeleteFunc(findings.Errors(), func(f pipeline.Finding) bool {
				// A module is the engineer's own: nothing is shipped under its name.
				return reference.Name == "wasm" && f.Code == "build" && strings.HasSuffix(f.Message, "open stages/redact.wasm: file does not exist")
			})
			require.Empty(t, wrong)
			require.NoError(t, validateBySchema(t, registry, []byte(source)))
		})
	}
	for _, key := range pipeline.StageKeys() {
		require.NotEmpty(t, key.Doc, key.Path)
	}
}

// validateBySchema says what an editor would say of a pipeline.
func validateBySchema(t *testing.T, registry *pipeline.Registry, source []byte) error {
	t.Helper()
	text, err := json.Marshal(registry.Schema())
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("pipeline.schema.json", document))
	schema, err := compiler.Compile("pipeline.schema.json")
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(source)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	require.NoError(t, err)
	return schema.Validate(value)
}

func TestSchemaSaysWhatLintSays(t *testing.T) {
	t.Parallel()
	registry, err := options{stages: []func(*pipeline.Registry) error{registerPost}}.registry()
	require.NoError(t, err)
	var right []string
	for _, pattern := range []string{"../config/pipelines/*.yaml", "testdata/pipeline/config/pipelines/*.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		right = append(right, files...)
	}
	for _, file := range right {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, validateBySchema(t, registry, source), file)
	}
	references := "pipeline: p\nfrom: x\nstages:\n  - {use: dedupe, workers: \"${N:4}\", timeout: \"${T:5s}\", fuse: \"${F:false}\", with: {window: \"${W}\"}}\n"
	require.NoError(t, validateBySchema(t, registry, []byte(references)))
	require.Error(t, validateBySchema(t, registry, []byte(strings.ReplaceAll(references, "${N:4}", "four"))))
	// These codes are of what a schema can say.
	shape := regexp.MustCompile(`unknown-stage|unknown-key|required|type|range|\d name`)
	caught := 0
	for _, file := range lintCorpus(t) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		first, body, _ := strings.Cut(string(source), "\n")
		if !shape.MatchString(first) || strings.Contains(first, "duration") {
			continue
		}
		if strings.Contains(file, "timeout-range") || strings.Contains(file, "linger-range") || strings.Contains(file, "retry-") ||
			strings.Contains(file, "reference-") {
			continue // limits of durations, and of what depends on another key or on the environment
		}
		require.Error(t, validateBySchema(t, registry, []byte(body)), file)
		caught++
	}
	require.Greater(t, caught, 20)
}

func TestSchemaCommandPrintsTheSchema(t *testing.T) {
	t.Parallel()
	got := runPipeline(t, "schema")
	require.NoError(t, got.failure)
	var schema struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &schema))
	require.Contains(t, schema.Defs, "with_post")
	require.JSONEq(t, `{"anyOf": [{"type": "null"}, {
		"description": "Posts events to a partner.", "type": "object", "additionalProperties": false,
		"properties": {
			"url": {"anyOf": [{"type": "string", "format": "uri"}, {"type": "string", "pattern": "\\$\\{[^}]+\\}"}],
				"description": "Where to post events to.", "default": "https://partner.example.com"},
			"token": {"type": "string", "description": "What we show there."},
			"headers": {"type": "object", "additionalProperties": {"type": "string"}}
		}}]}`, swapped(t, schema.Defs["with_post"]))
}

// swapped turns the alternatives round: null is easier to read first.
func swapped(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var schema struct {
		AnyOf []json.RawMessage `json:"anyOf"`
	}
	require.NoError(t, json.Unmarshal(raw, &schema))
	require.Len(t, schema.AnyOf, 2)
	schema.AnyOf[0], schema.AnyOf[1] = schema.AnyOf[1], schema.AnyOf[0]
	out, err := json.Marshal(schema)
	require.NoError(t, err)
	return string(out)
}

func TestLoadPlansChecksPipelinesTogether(t *testing.T) {
	t.Parallel()
	registry, err := options{}.registry()
	require.NoError(t, err)
	load := func(files fs.FS) ([]pipeline.Plan, error) {
		return planner{files: files, registry: registry, logger: slog.New(slog.DiscardHandler)}.plans()
	}
	plans, err := load(configFiles(""))
	require.NoError(t, err)
	require.NotEmpty(t, plans)

	var files fs.FS = configFiles("testdata/pipeline/wrong")
	_, err = load(files)
	var findings pipeline.Findings
	require.ErrorAs(t, err, &findings)
	require.Equal(t, "duplicate-pipeline", findings[0].Code)

	_, err = load(os.DirFS(t.TempDir()))
	require.ErrorIs(t, err, errNoPipelines)
}
