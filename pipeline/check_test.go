package pipeline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

func source(file, from, to string, stages ...string) pipeline.Source {
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline: %s\nfrom: %s\n", strings.TrimSuffix(file, ".yaml"), from)
	if to != "" {
		fmt.Fprintf(&b, "to: %s\n", to)
	}
	b.WriteString("stages:\n")
	for _, stage := range append([]string{"validate"}, stages...) {
		fmt.Fprintf(&b, "  - use: %s\n", stage)
	}
	return pipeline.Source{File: file, Text: []byte(b.String())}
}

func TestCheckFindsWhatIsWrongBetweenFiles(t *testing.T) {
	for name, c := range map[string]struct {
		sources []pipeline.Source
		want    []string
	}{
		"a chain, a fan-out and a tap between stages": {
			[]pipeline.Source{
				source("a.yaml", "in", "x", "dedupe"), source("b.yaml", "x", "y"), source("c.yaml", "x", ""), source("d.yaml", "a.dedupe", "z"),
				source("e.yaml", "a.dead_letters", "letters"),
			}, nil,
		},
		"two into one": {
			[]pipeline.Source{source("a.yaml", "in", "x"), source("b.yaml", "in", "x"), source("c.yaml", "x", "")},
			[]string{`b.yaml:3:5: warning: every event of topic "in" gets to topic "x" twice: by pipeline "a" (a.yaml) and by pipeline "b"; ` +
				"a dedupe lets both pass, for they are one delivery; write to another topic, or have a `filter` let each event take one way only"},
		},
		"a circle of three, in the last of them": {
			[]pipeline.Source{source("b.yaml", "y", "z"), source("c.yaml", "z", "in"), source("a.yaml", "in", "y")},
			[]string{"a.yaml:3:5: topics go in a circle: y (b) -> z (c) -> in (a) -> y; events would go round for ever"},
		},
		"a circle by a tap": {
			[]pipeline.Source{source("a.yaml", "in", "", "dedupe"), source("b.yaml", "a.dedupe", "in")},
			[]string{"b.yaml:3:5: topics go in a circle: in (a) -> a.dedupe (b) -> in; events would go round for ever"},
		},
		"nothing writes it": {
			[]pipeline.Source{source("a.yaml", "in", "events.checked"), source("b.yaml", "event.checked", "")},
			[]string{`b.yaml:2:7: nothing writes to topic "event.checked", so that pipeline "b" never gets an event; did you mean "events.checked"?`},
		},
		"a topic that is another's": {
			[]pipeline.Source{source("a.yaml", "in", "b.dedupe"), source("b.yaml", "in", "", "dedupe")},
			[]string{`a.yaml:3:5: topic "b.dedupe" is what stage "dedupe" of pipeline "b" reads; write to a topic of its own`},
		},
		"two of one name, and what is wrong with one alone": {
			[]pipeline.Source{source("a.yaml", "in", ""), {File: "c.yaml", Text: source("a.yaml", "in", "").Text}, source("d.yaml", "in", "", "nope")},
			[]string{
				`c.yaml:1:11: pipeline "a" is also that of a.yaml; give one of them another name`,
				`d.yaml:5:10: unknown stage "nope"; there is dedupe, enrich, persist, validate`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			checker := pipeline.Checker{Registry: registry(t), Entries: []string{"in"}}
			_, findings := checker.Check(c.sources...)
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
			}
			require.Equal(t, c.want, got)
		})
	}
}

// closable counts what is closed.
type closable struct {
	pipeline.Stage
	closed *int
}

func (c closable) Close() error { *c.closed++; return nil }

func TestCheckBuildsStages(t *testing.T) {
	r, closed := registry(t), 0
	define := func(name string, build func() (pipeline.Stage, error)) {
		require.NoError(t, r.Register(pipeline.Define(name, "", func() markConfig { return markConfig{} },
			func(markConfig, pipeline.Settings) (pipeline.Stage, error) { return build() })))
	}
	define("lacking", func() (pipeline.Stage, error) { return nil, fmt.Errorf("a clock: %w", pipeline.ErrNoResource) })
	define("broken", func() (pipeline.Stage, error) { return nil, errors.New("cannot read marks.csv") })
	define("closing", func() (pipeline.Stage, error) { return closable{closed: &closed}, nil })
	text := "pipeline: a\nfrom: in\nstages:\n  - use: lacking\n  - use: closing\n  - use: broken\n    with:\n      mark: marks.csv\n"
	specs, findings := pipeline.Checker{Registry: r, Entries: []string{"in"}}.Check(pipeline.Source{File: "a.yaml", Text: []byte(text)})
	require.Len(t, specs, 1)
	require.Equal(t, 1, closed, "what is built to be checked is closed")
	require.Equal(t, pipeline.Findings{{
		File: "a.yaml", Line: 8, Column: 13, Code: "build", Message: `stage "broken" cannot be built: cannot read marks.csv`,
	}}, findings)
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(good), []byte("pipeline: b\nfrom: tracking.persist\nstages: [{use: persist, with: {after: x}}]\nto: events.ingested\n"))
	f.Add([]byte("pipeline: a\nfrom: a.persist\nto: a.persist\nstages: [{use: enrich}, {use: persist}]\n"), []byte("? [a]\n: b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		checker := pipeline.Checker{Registry: registry(t), Entries: []string{"events.ingested"}}
		specs, findings := checker.Check(pipeline.Source{File: "a.yaml", Text: a}, pipeline.Source{File: "b.yaml", Text: b})
		if len(specs) < 2 {
			require.NotEmpty(t, findings)
		}
	})
}

type account struct {
	User     string `yaml:"user"`
	Password string `yaml:"password" secret:"true"`
}

type shared struct {
	Timeout time.Duration `yaml:"timeout" doc:"How long to wait."`
}

type everything struct {
	Shared   shared             `yaml:",inline"`
	One      *account           `yaml:"one"`
	None     *account           `yaml:"none"`
	Accounts []account          `yaml:"accounts"`
	ByName   map[string]account `yaml:"by_name" doc:"Accounts."`
	Limits   []time.Duration    `yaml:"limits" jsonschema:"minItems=1"`
	Ratio    float64            `yaml:"ratio"`
	Tree     *tree              `yaml:"tree"`
	Hidden   string             `yaml:"-"`
}

type tree struct {
	Children []tree `yaml:"children"`
}

func everythingDefined(t *testing.T) *pipeline.Registry {
	t.Helper()
	r := pipeline.NewRegistry()
	require.NoError(t, r.Register(pipeline.Define("everything", "Has it all.",
		func() everything {
			return everything{
				Shared: shared{Timeout: 90 * time.Minute}, One: &account{User: "me", Password: "hunter2"}, Limits: []time.Duration{time.Hour}, Ratio: 0.5,
			}
		},
		func(everything, pipeline.Settings) (pipeline.Stage, error) { return nil, nil })))
	return r
}

func TestPlanShowsNoSecrets(t *testing.T) {
	const text = `pipeline: a
from: in
stages:
  - use: everything
    with:
      accounts: [{user: a, password: hunter3}, {user: b}]
      by_name: {z: {user: z, password: hunter4}, c: {user: c}}
`
	spec, err := pipeline.Parse("a.yaml", []byte(text), everythingDefined(t))
	require.NoError(t, err)
	with, err := yaml.Marshal(spec.Stages[0].With(true))
	require.NoError(t, err)
	require.Equal(t, `timeout: 1h30m
one:
  user: me
  password: (redacted)
accounts:
- user: a
  password: (redacted)
- user: b
  password: ""
by_name:
  c:
    user: c
    password: ""
  z:
    user: z
    password: (redacted)
limits:
- 1h
ratio: 0.5
`, string(with))
	all, err := yaml.Marshal(spec.Plan().Describe(false))
	require.NoError(t, err)
	for _, secret := range []string{"hunter2", "hunter3", "hunter4"} {
		require.Contains(t, string(all), secret)
	}
}

func TestReferenceOfAConfigWithEverything(t *testing.T) {
	references := everythingDefined(t).References()
	require.Len(t, references, 1)
	require.Equal(t, []pipeline.Field{
		{Path: "timeout", Type: "duration", Default: "1h30m", Doc: "How long to wait."},
		{Path: "one", Type: "mapping"},
		{Path: "one.user", Type: "string", Default: "me"},
		{Path: "one.password", Type: "string", Secret: true},
		{Path: "none", Type: "mapping"},
		{Path: "none.user", Type: "string"},
		{Path: "none.password", Type: "string", Secret: true},
		{Path: "accounts", Type: "list of mappings"},
		{Path: "accounts[].user", Type: "string"},
		{Path: "accounts[].password", Type: "string", Secret: true},
		{Path: "by_name", Type: "mapping of mappings", Doc: "Accounts."},
		{Path: "by_name.*.user", Type: "string"},
		{Path: "by_name.*.password", Type: "string", Secret: true},
		{Path: "limits", Type: "list of durations", Default: "[1h]"},
		{Path: "ratio", Type: "number", Default: "0.5"},
		{Path: "tree", Type: "mapping"},
		{Path: "tree.children", Type: "list of mappings"},
	}, references[0].Fields)
	require.NotContains(t, references[0].Example, "hunter2")
}

func TestSchemaOfAConfigThatHoldsItself(t *testing.T) {
	schema := everythingDefined(t).Schema()
	require.NotNil(t, schema.Definitions["with_everything"], "anything goes where a type holds itself")
}
