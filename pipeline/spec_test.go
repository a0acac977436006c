package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

type markConfig struct {
	Mark  string        `yaml:"mark"`
	After time.Duration `yaml:"after"`
}

func (c *markConfig) Validate() error {
	if c.Mark == "bad" {
		return errors.New("mark must not be bad")
	}
	return nil
}

func registry(t *testing.T) *pipeline.Registry {
	t.Helper()
	r := pipeline.NewRegistry()
	for _, name := range []string{"validate", "dedupe", "enrich", "persist"} {
		require.NoError(t, r.Register(pipeline.Define(name, "Marks events.",
			func() markConfig { return markConfig{Mark: name} },
			func(c markConfig, _ pipeline.Settings) (pipeline.Stage, error) {
				return pipeline.StageFunc(func(_ context.Context, b *pipeline.Batch) error {
					for _, e := range b.Pending() {
						e.Source += c.Mark + ";"
					}
					return nil
				}), nil
			})))
	}
	return r
}

const good = `pipeline: tracking
summary: Carrier events.
from: events.ingested
stages:
  - use: validate
    with: {mark: v, after: 5m}
  - use: dedupe
    fuse: true
  - use: enrich
    name: places
    workers: 4
    batch: 100
  - use: persist
to: events.persisted
`

func TestParseLaysOutHops(t *testing.T) {
	spec, err := pipeline.Parse("tracking.yaml", []byte(good), registry(t))
	require.NoError(t, err)
	plan := spec.Plan()
	require.Equal(t, "tracking", plan.Pipeline)
	require.Equal(t, "tracking.dead_letters", plan.DeadLetters)
	type hop struct {
		name, from, to string
		stages         int
	}
	var hops []hop
	for _, h := range plan.Hops {
		hops = append(hops, hop{h.Name, h.From, strings.Join(h.To, " "), len(h.Stages)})
	}
	require.Equal(t, []hop{
		{"validate", "events.ingested", "tracking.places", 2},
		{"places", "tracking.places", "tracking.persist", 1},
		{"persist", "tracking.persist", "events.persisted", 1},
	}, hops)
	require.Equal(t, 4, plan.Hops[1].Workers)
	require.Equal(t, pipeline.Batching{Events: 100}, plan.Hops[1].Batch)
	require.Equal(t, []pipeline.Topic{
		{Name: "events.ingested", Readers: []string{"tracking"}},
		{Name: "events.persisted"},
		{Name: "tracking.dead_letters", Readers: []string{"tracking"}},
		{Name: "tracking.ledger", Readers: []string{"tracking"}},
		{Name: "tracking.persist", Readers: []string{"tracking"}},
		{Name: "tracking.places", Readers: []string{"tracking"}},
	}, pipeline.Topics(plan))
}

// Invariant 11: a config that does not lint never becomes a pipeline; what is wrong is named where it stands.
func TestParseNamesWhatIsWrongAndWhere(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"unknown stage": {
			"pipeline: a\nfrom: x\nstages:\n  - use: validate\n  - use: dedup\n",
			`f.yaml:5:10: unknown stage "dedup"; did you mean "dedupe"?`,
		},
		"unknown stage, none close": {
			"pipeline: a\nfrom: x\nstages:\n  - use: zzz\n",
			`f.yaml:4:10: unknown stage "zzz"; there is dedupe, enrich, persist, validate`,
		},
		"unknown key": {
			"pipeline: a\nfrom: x\nstagse: []\nstages:\n  - use: persist\n",
			`f.yaml:3:1: a pipeline has no key "stagse"; did you mean "stages"?`,
		},
		"unknown key of a stage": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    worker: 3\n",
			`f.yaml:5:5: a stage has no key "worker"; did you mean "workers"?`,
		},
		"unknown key of a config": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    with: {mrk: 3}\n",
			`f.yaml:5:12: unknown field "mrk"; did you mean "mark"?`,
		},
		"wrong type in a config": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    with:\n      after: soon\n",
			`f.yaml:6:14: after: time: invalid duration "soon"`,
		},
		"config that its stage refuses": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    with: {mark: bad}\n",
			`f.yaml:5:11: stage "persist": mark must not be bad`,
		},
		"missing from": {
			"pipeline: a\nstages:\n  - use: persist\n",
			"f.yaml:1:1: missing key \"from\"; for example `from: events.ingested`",
		},
		"no stages": {
			"pipeline: a\nfrom: x\n",
			"f.yaml:1:1: a pipeline needs stages; add `stages:` with at least one `- use: NAME`",
		},
		"two of one name": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n  - use: persist\n",
			"f.yaml:5:5: two stages are called \"persist\"; give one of them another `name:`",
		},
		"fused to nothing": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    fuse: true\n",
			"f.yaml:4:5: stage \"persist\" is the first: there is none before it to fuse with; leave out `fuse: true`",
		},
		"a name no broker takes": {
			"pipeline: Über alles\nfrom: x\nstages:\n  - use: persist\n",
			`f.yaml:1:11: "Über alles" cannot be used as pipeline; a name is lower case letters, digits, - and _, 31 characters at most`,
		},
		"a circle": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\nto: x\n",
			`f.yaml:5:5: pipeline writes to the topic it reads, "x"; events would go round for ever`,
		},
		"workers out of range": {
			"pipeline: a\nfrom: x\nstages:\n  - use: persist\n    workers: 0\n",
			`f.yaml:5:14: workers is 0; write a number from 1 to 256`,
		},
		"not a mapping": {"- a\n", "f.yaml:1:1: a pipeline must be a mapping; write `key: value` lines"},
		"empty":         {"", "f.yaml: a pipeline file holds one YAML document; write pipeline:, from:, stages:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pipeline.Parse("f.yaml", []byte(c.source), registry(t))
			require.Error(t, err)
			found := false
			for _, f := range err.(pipeline.Findings) { //nolint:errorlint // Parse promises Findings themselves
				found = found || f.String() == c.want
			}
			require.True(t, found, "want %s\ngot  %v", c.want, err)
		})
	}
}

func TestFindingsComeInTheOrderOfTheFile(t *testing.T) {
	_, err := pipeline.Parse("f.yaml", []byte("pipeline: a\nfrom: x\nstages:\n  - use: nope\n    wrokers: 1\n  - use: nada\n"), registry(t))
	var findings pipeline.Findings
	require.ErrorAs(t, err, &findings)
	require.Len(t, findings, 3)
	require.Equal(t, []int{4, 5, 6}, []int{findings[0].Line, findings[1].Line, findings[2].Line})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("pipeline: a\nfrom: x\nstages:\n  - use: persist\n    with: [1, {a: *b}]\n"))
	f.Add([]byte("pipeline: a\nfrom: x\nstages:\n  - use: persist\n    when: |\n      event.revision > 1\n    batch: {events: 2, linger: 1s}\n    retry: {attempts: 2}\n    on_error: drop\n"))
	f.Add([]byte("a: &a [*a]\n<<: {stages: 3}"))
	f.Fuzz(func(t *testing.T, source []byte) {
		spec, err := pipeline.Parse("f.yaml", source, registry(t))
		if err == nil {
			require.NotEmpty(t, spec.Plan().Hops)
		}
	})
}

func TestRegistryRefusesTheSameNameTwice(t *testing.T) {
	r := registry(t)
	err := r.Register(pipeline.Define("dedupe", "", func() markConfig { return markConfig{} },
		func(markConfig, pipeline.Settings) (pipeline.Stage, error) { return nil, nil }))
	require.ErrorContains(t, err, "registered twice")
}

type clock interface{ Tell() string }

type wall struct{}

func (wall) Tell() string { return "noon" }

func TestResourceIsWhatWasProvided(t *testing.T) {
	settings := pipeline.Settings{Name: "persist", Logger: slog.New(slog.DiscardHandler)}
	_, err := pipeline.Resource[clock](settings)
	require.ErrorIs(t, err, pipeline.ErrNoResource)
	require.ErrorContains(t, err, `stage "persist" needs a pipeline_test.clock`)

	with := pipeline.Provide[clock](settings, wall{})
	got, err := pipeline.Resource[clock](with)
	require.NoError(t, err)
	require.Equal(t, "noon", got.Tell())
	_, err = pipeline.Resource[clock](settings)
	require.ErrorIs(t, err, pipeline.ErrNoResource, "providing must not change the settings it starts from")
}
