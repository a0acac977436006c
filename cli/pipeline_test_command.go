package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
)

// testOptions are the flags of `rastro pipeline test`.
type testOptions struct {
	run    string
	json   bool
	junit  string
	update bool
}

// testCommand makes `rastro pipeline test`.
func (p *pipelineCommand) testCommand() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Test pipelines by the cases beside them: events in, what is to become of each",
		Long: `Test pipelines by cases. A case is a folder pipelines/tests/PIPELINE/CASE:

  in.ndjson            the events that are sent, as ` + "`rastro pipeline run`" + ` takes them
  want.ndjson          what leaves the pipeline, with its topic
  want_dead.ndjson     what is dead-lettered, with its stage, code, message and field
  want_dropped.ndjson  what is dropped, with its stage and code
  case.yaml            the rest, all of it optional

or one file pipelines/tests/PIPELINE/CASE.yaml with the same as lists under in:, want:, want_dead: and want_dropped:.
What is wanted of an event are the fields that are named; null is one that must not be there. A list that is not there is
empty, unless want.counts says how many. Lists are in the order of the events that they came of.

  summary: A correction is no duplicate
  now: 2026-06-20T10:00:00Z     # the clock; without it, a minute after the last event of the case
  exact: true                   # events are wanted whole, not only the fields that are named
  follow: true                  # run the pipelines as well that this one leads to
  pass: 2h                      # let time go by at the end, so that windows of time close
  without: [notify]             # stages that events pass by: those that would act outside
  inject:
    duplicates: 2               # each event is sent twice more, by a sender that retries
    redeliveries: 1             # each is delivered once more, by a broker that repeats itself
    disorder: 42                # all of them are shuffled, by this seed
    fail: {stage: enrich, times: 3, error: lookup is down, when: event.kind == "cargo"}
    outage: {stage: persist, batches: 5}
    crash_after: [dedupe, persist]
  want:
    counts: {left: 3, dead: 1, dropped: 0, stored: 3, traces: 1}
    traces: {"0045123456": {status: arrived}}

Each case is run as configured, with every stage in a hop of its own and with all in one, and must have the same result; killed
before and after it published where crash_after says so. Duplicates, disorder, outages and crashes must not change what is
stored. Nothing is needed to run, and nothing waits: the clock is the case's.

PATH is a case, a folder of cases or a configuration; without one, the configuration. --update writes the want files of
folders as the pipeline does now what they say: read what changed before you keep it.

Exit codes: 0 all cases pass, 1 some do not or a pipeline is wrong, 2 the command line is wrong or there are no cases.`,
		Example: `  rastro pipeline test --config ./my-config
  rastro pipeline test my-config/pipelines/tests/cargo/split --update
  rastro pipeline test --config ./my-config --run 'cargo/.*late' --json`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.test(cmd, args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.run, "run", "", "run the cases whose PIPELINE/CASE this regular `expression` matches")
	flags.BoolVar(&o.json, "json", false, "print a JSON array of {case, path, runs, passed, failures: [{file, line, run, message, diff}]}")
	flags.StringVar(&o.junit, "junit", "", "`file` for the results as JUnit XML")
	flags.BoolVar(&p.resolve, "resolve", false, "fetch secrets from the environment, files and AWS, for stages that cannot be built without")
	flags.BoolVar(&o.update, "update", false, "write the want files of cases that are folders")
	return cmd
}

// testedCase is what became of a case.
type testedCase struct {
	Case     string        `json:"case"`
	Summary  string        `json:"summary,omitempty"`
	Path     string        `json:"path"`
	Runs     int           `json:"runs"`
	Passed   bool          `json:"passed"`
	Updated  []string      `json:"updated,omitempty"`
	Failures []caseFailure `json:"failures"`
}

// caseFailure is a difference, or what else is wrong.
type caseFailure struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Run     string `json:"run,omitempty"`
	Message string `json:"message"`
	Diff    string `json:"diff,omitempty"`
}

func (p *pipelineCommand) test(cmd *cobra.Command, args []string, o testOptions) error {
	wanted, err := regexp.Compile(o.run)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--run: %w", err))
	}
	cases, err := p.cases(args)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	cases = slices.DeleteFunc(cases, func(c *pipelineCase) bool { return !wanted.MatchString(c.name) })
	if len(cases) == 0 {
		return exitWith(exitUsage, fmt.Errorf("--run %q matches no case", o.run))
	}
	configured, err := p.configDir()
	if err != nil {
		return err
	}
	checked := map[string][]pipeline.Spec{}
	results := make([]testedCase, 0, len(cases))
	failed := 0
	for _, c := range cases {
		dir := c.config
		if p.config != "" || dir == "" {
			dir = configured
		}
		if _, done := checked[dir]; !done {
			if checked[dir], err = p.specs(cmd.Context(), configFiles(dir)); err != nil {
				return err
			}
		}
		result := c.test(cmd.Context(), configFiles(dir), checked[dir], o.update)
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		if !result.Passed {
			failed++
		}
		results = append(results, result)
		if !o.json {
			if err := writeTested(cmd.OutOrStdout(), result); err != nil {
				return err
			}
		}
	}
	if o.json {
		if err := writeJSON(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	if o.junit != "" {
		if err := writeJUnit(o.junit, results); err != nil {
			return err
		}
	}
	if failed > 0 {
		return exitWith(exitFailure, fmt.Errorf("%d of %s failed", failed, counted(len(results), "case")))
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s passed\n", counted(len(results), "case"))
	return err
}

// cases finds the cases that the arguments name, or those of the configuration.
func (p *pipelineCommand) cases(args []string) ([]*pipelineCase, error) {
	if len(args) > 0 {
		return findCases(args)
	}
	dir, err := p.configDir()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, errors.New("the built-in configuration has no cases with it: name a configuration with --config, or a folder of cases")
	}
	tests := filepath.Join(dir, "pipelines", "tests")
	if !isFolder(tests) {
		return nil, fmt.Errorf("there is no %s; `rastro pipeline new NAME --config %s` makes a pipeline with its first case", tests, dir)
	}
	return findCases([]string{tests})
}

// test runs a case in all ways and compares.
func (c *pipelineCase) test(ctx context.Context, files configuration, specs []pipeline.Spec, update bool) testedCase {
	t := testedCase{Case: c.name, Path: c.path, Failures: []caseFailure{}}
	if err := c.load(); err != nil {
		t.fail(c, err)
		return t
	}
	t.Summary = c.Summary
	picked, err := pick(specs, c.pipeline, !c.Follow)
	if err == nil {
		err = c.checkStages(picked)
	}
	if err == nil {
		_, _, err = c.decodeInput()
	}
	if err != nil {
		t.fail(c, err)
		return t
	}
	runs := c.runs(picked)
	t.Runs = len(runs)
	var first *caseResult
	for i, r := range runs {
		got, err := c.run(ctx, files, r)
		if err != nil {
			t.failRun(c, r.name, err)
			return t
		}
		if i == 0 {
			first = got
			continue
		}
		if failure, same := c.sameResult(runs[0].name, r, first, got); !same {
			t.Failures = append(t.Failures, failure)
		}
	}
	if err := c.compare(&t, first, update); err != nil {
		t.fail(c, err)
	}
	t.Passed = len(t.Failures) == 0
	return t
}

func (t *testedCase) fail(c *pipelineCase, err error) { t.failRun(c, "", err) }

func (t *testedCase) failRun(c *pipelineCase, run string, err error) {
	failure := caseFailure{File: c.path, Run: run, Message: err.Error()}
	if e, ok := errors.AsType[*caseError](err); ok {
		failure.File, failure.Line, failure.Message = e.file, e.line, e.err.Error()
	}
	t.Failures = append(t.Failures, failure)
}

// sameResult compares the results of two ways to run a case. With an undisturbed one only what is stored must be the same.
func (c *pipelineCase) sameResult(firstName string, r caseRun, first, got *caseResult) (caseFailure, bool) {
	a, b := first.text(!r.plain), got.text(!r.plain)
	failure := caseFailure{File: c.path, Run: r.name, Message: "the result is another with " + r.name}
	if r.plain {
		failure.Message, failure.Diff = "what is injected changes what is stored", unified(r.name, firstName, b, a)
	} else {
		failure.Diff = unified(firstName, r.name, a, b)
	}
	return failure, failure.Diff == ""
}

// text returns what came of a run, a line each; only what is stored unless all.
func (r *caseResult) text(all bool) []string {
	var lines []string
	add := func(what string, value any) { lines = append(lines, what+" "+canonical(value)) }
	if all {
		for _, e := range r.left {
			add("left", e)
		}
		for _, e := range r.dead {
			add("dead", e)
		}
		for _, e := range r.dropped {
			add("dropped", e)
		}
	}
	for _, e := range r.stored {
		add("stored", e)
	}
	for _, trace := range r.traces {
		add("trace", trace)
	}
	return lines
}

// wantedList is a list of a case beside what came of it.
type wantedList struct {
	want  caseLines
	got   []map[string]any
	count string // how it is called in counts
	file  string // what a folder has it in
}

// compare compares what came of a case with what is wanted.
func (c *pipelineCase) compare(t *testedCase, got *caseResult, update bool) error {
	for _, l := range []wantedList{
		{c.Want.Events, got.left, "left", caseWant}, {c.WantDead, got.dead, "dead", caseWantDead}, {c.WantDropped, got.dropped, "dropped", caseWantDropped},
	} {
		if _, counted := c.Want.Counts[l.count]; counted && !l.want.given {
			continue
		}
		compared, err := compare(l.want.lines, l.got, c.Exact)
		if err != nil {
			return err
		}
		if compared.first < 0 {
			continue
		}
		if own := filepath.Join(c.path, l.file); update && c.folder && (!l.want.given || l.want.file == own) {
			if err := rewrite(own, compared.updated); err != nil {
				return err
			}
			t.Updated = append(t.Updated, own)
			continue
		}
		t.Failures = append(t.Failures, caseFailure{
			File: l.want.file, Line: l.lineAt(compared.first),
			Message: fmt.Sprintf("what %s is not what is wanted", map[string]string{"left": "left", "dead": "was dead-lettered", "dropped": "was dropped"}[l.count]),
			Diff:    unified("wanted", "got", compared.want, compared.got),
		})
	}
	c.compareCounts(t, got)
	c.compareTraces(t, got)
	return nil
}

// lineAt returns the line of the i-th event that is wanted, or of the last when there are fewer.
func (l wantedList) lineAt(i int) int {
	if len(l.want.lines) == 0 {
		return 0
	}
	return l.want.lines[min(i, len(l.want.lines)-1)].line
}

// rewrite writes a want file, or removes one that would be empty.
func rewrite(path string, lines []string) error {
	if len(lines) == 0 {
		return os.Remove(path)
	}
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644) //nolint:gosec // a file of the project, like those beside it
}

func (c *pipelineCase) compareCounts(t *testedCase, got *caseResult) {
	counts := got.counts()
	var want, have []string
	for _, name := range countNames() {
		if n, ok := c.Want.Counts[name]; ok {
			want, have = append(want, fmt.Sprintf("%s: %d", name, n)), append(have, fmt.Sprintf("%s: %d", name, counts[name]))
		}
	}
	if diff := unified("wanted", "got", want, have); diff != "" {
		t.Failures = append(t.Failures, caseFailure{File: c.specFile(), Message: "the counts are not those that are wanted", Diff: diff})
	}
}

func (c *pipelineCase) compareTraces(t *testedCase, got *caseResult) {
	for _, correlation := range slices.Sorted(maps.Keys(c.Want.Traces)) {
		wanted := c.Want.Traces[correlation]
		i := slices.IndexFunc(got.traces, func(trace map[string]any) bool { return trace["correlation_id"] == correlation })
		if i < 0 {
			t.Failures = append(t.Failures, caseFailure{File: c.specFile(), Line: wanted.line, Message: fmt.Sprintf("there is no trace %q", correlation)})
			continue
		}
		if matches(wanted.want, got.traces[i]) {
			continue
		}
		t.Failures = append(t.Failures, caseFailure{
			File: c.specFile(), Line: wanted.line, Message: fmt.Sprintf("trace %q is not what is wanted", correlation),
			Diff: unified("wanted", "got", indented(wanted.want), indented(project(wanted.want, got.traces[i]))),
		})
	}
}

func (c *pipelineCase) specFile() string {
	if c.folder {
		return filepath.Join(c.path, caseFile)
	}
	return c.path
}

func indented(value any) []string {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(string(text), "\n")
}
