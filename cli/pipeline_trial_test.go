package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

const trialConfig = "testdata/trial"

// The cases of the built-in pipelines pass.
func TestShippedCases(t *testing.T) {
	t.Parallel()
	got := runPipeline(t, "test", "--config", "../config", "--json")
	require.Zero(t, got.code, got.out)
	var cases []testedCase
	require.NoError(t, json.Unmarshal([]byte(got.out), &cases))
	require.GreaterOrEqual(t, len(cases), 8)
	for _, c := range cases {
		require.GreaterOrEqual(t, c.Runs, 2, "%s is run as configured and fused", c.Case)
		if c.Case == "tracking/crash" {
			require.Equal(t, 2*4*2+1, c.Runs, "in two layouts, after four stages, at two moments, and undisturbed")
		}
	}
}

// What is wrong with a case is told where it is, and shown.
func TestCasesThatFail(t *testing.T) {
	t.Parallel()
	got := runPipeline(t, "test", "--config", trialConfig)
	require.Equal(t, exitFailure, got.code)
	require.EqualError(t, got.failure, "7 of 8 cases failed")
	golden(t, "testdata/trial/test.txt", got.out)

	report := filepath.Join(t.TempDir(), "junit.xml")
	got = runPipeline(t, "test", "--config", trialConfig, "--run", "^checked/(attempts|exact)$", "--json", "--junit", report)
	require.Equal(t, exitFailure, got.code)
	golden(t, "testdata/trial/test.json", got.out)
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var suite junitSuite
	require.NoError(t, xml.Unmarshal(text, &suite))
	require.Equal(t, []int{2, 1}, []int{suite.Tests, suite.Failures})
	require.Equal(t, "exact", suite.Cases[1].Name)
	require.Contains(t, suite.Cases[1].Failures[0].Text, "want.ndjson:1: what left is not what is wanted")
	require.Empty(t, suite.Cases[0].Failures)
}

// A case is found by its folder or file, with the configuration that it lies in.
func TestCasesByPath(t *testing.T) {
	t.Parallel()
	const tests = trialConfig + "/pipelines/tests/"
	for path, want := range map[string]string{
		tests + "checked/attempts.yaml":                     "checked/attempts",
		tests + "checked/exact":                             "checked/exact",
		"../config/pipelines/tests/tracking":                "tracking/crash",
		"../config":                                         "tracking/crash",
		"../config/pipelines/tests/tracking/crash.yaml":     "tracking/crash",
		"../config/pipelines/tests/tracking/../tracking/./": "tracking/crash",
	} {
		got := runPipeline(t, "test", path)
		require.Contains(t, got.out, want, path)
	}
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	return dir
}

// --update writes what the pipeline does, keeps which fields are wanted, and then the case passes.
func TestUpdateWritesTheWantFiles(t *testing.T) {
	t.Parallel()
	dir := copyTree(t, trialConfig)
	one := filepath.Join(dir, "pipelines/tests/checked/wrong_want")
	require.NoError(t, os.WriteFile(filepath.Join(one, "want_dead.ndjson"), []byte(`{"event_id":"9"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(one, "case.yaml"), []byte("follow: true\n"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(one, "want_dropped.ndjson")))
	require.Equal(t, exitFailure, runPipeline(t, "test", one).code)
	got := runPipeline(t, "test", one, "--update")
	require.Zero(t, got.code, got.out)
	require.Equal(t, 3, strings.Count(got.out, " written\n"), got.out)
	require.NoFileExists(t, filepath.Join(one, "want_dead.ndjson"))
	want, err := os.ReadFile(filepath.Join(one, "want.ndjson"))
	require.NoError(t, err)
	require.Equal(t, `{"event_id":"1","enrichment":{"milestone":"loaded"}}
{"enrichment":{"milestone":"arrived"},"event_id":"3","kind":null}
`, string(want))
	dropped, err := os.ReadFile(filepath.Join(one, "want_dropped.ndjson"))
	require.NoError(t, err)
	require.Contains(t, string(dropped), `"message":"not tracked"`)
	require.NotContains(t, string(dropped), "received_at")
	require.Zero(t, runPipeline(t, "test", one).code)
}

func TestTrialUsage(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no cases":            {[]string{"test"}, exitUsage, "name a configuration with --config"},
		"no cases in it":      {[]string{"test", "--config", empty}, exitUsage, "rastro pipeline new"},
		"no case in a folder": {[]string{"test", empty}, exitUsage, "there are no cases here"},
		"no such path":        {[]string{"test", empty + "/x"}, exitUsage, "no such file"},
		"no such case":        {[]string{"test", "--config", trialConfig, "--run", "zzz"}, exitUsage, `--run "zzz" matches no case`},
		"no expression":       {[]string{"test", "--run", "("}, exitUsage, "--run: "},
		"nothing to run":      {[]string{"run"}, exitUsage, "accepts 1 arg"},
		"no such pipeline":    {[]string{"run", "cargo"}, exitNotFound, `there is no pipeline "cargo"; there is tracking`},
		"no such file":        {[]string{"run", empty + "/x.yaml"}, exitUsage, "read pipeline: "},
		"a wrong pipeline":    {[]string{"run", "one", "--config", "testdata/pipeline/wrong"}, exitFailure, "duplicate"},
		"a file in the way":   {[]string{"run", "tracking", "--dead", empty}, exitUsage, "is a directory"},
		"no name":             {[]string{"new"}, exitUsage, "accepts 1 arg"},
		"a bad name":          {[]string{"new", "My Pipeline", "--config", empty}, exitUsage, "cannot be used as pipeline"},
		"a bad topic":         {[]string{"new", "own", "--from", "A", "--config", empty}, exitUsage, "cannot be used as from"},
		"nowhere":             {[]string{"new", "own"}, exitUsage, "--config"},
		"time goes on":        {[]string{"run", "tracking", "--pass", "-1s"}, exitUsage, "--pass"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPipeline(t, c.args...)
			if name != "a wrong pipeline" {
				require.ErrorContains(t, got.failure, c.want)
			}
			require.Equal(t, c.code, got.code)
		})
	}
}

// A new pipeline lints and its test passes, as the command says; nothing that is there is overwritten.
func TestNewPipeline(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "my-config")
	got := runPipeline(t, "new", "own", "--config", dir)
	require.Zero(t, got.code, got.failure)
	_, next, found := strings.Cut(got.out, "Next:\n")
	require.True(t, found)
	commands := strings.Split(strings.TrimSpace(next), "\n")
	require.Len(t, commands, 2)
	for _, command := range commands {
		args := strings.Fields(strings.ReplaceAll(command, "'", ""))
		require.Equal(t, []string{"rastro", "pipeline"}, args[:2])
		done := runPipeline(t, args[2:]...)
		require.Zero(t, done.code, done.out)
	}
	file := filepath.Join(dir, "pipelines/own.yaml")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	require.Equal(t, exitFailure, runPipeline(t, "new", "own", "--config", dir).code)
	require.NoError(t, os.Remove(file))
	require.Equal(t, exitFailure, runPipeline(t, "new", "own", "--config", dir).code, "its test is there")
	require.NoFileExists(t, file)

	require.Zero(t, runPipeline(t, "new", "later", "--config", dir, "--from", "events.persisted").code)
	require.Zero(t, runPipeline(t, "test", "--config", dir, "--run", "^later/").code)
}

// runWithInput runs `rastro pipeline` over events.
func runWithInput(t *testing.T, in io.Reader, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	got := ran{code: exitOK}
	got.failure = pipelineWithInput(t.Context(), in, &out, &errOut, args...)
	got.out, got.err, got.code = out.String(), errOut.String(), exitCode(got.failure)
	return got
}

func pipelineWithInput(ctx context.Context, in io.Reader, out, errOut io.Writer, args ...string) error {
	root := newRootCommand(options{stages: []func(*pipeline.Registry) error{registerPost}}, streams{
		getenv: func(string) string { return "" }, lookupEnv: func(string) (string, bool) { return "", false },
		terminal: func(any) bool { return false }, now: time.Now,
	})
	root.SetArgs(append([]string{"pipeline"}, args...))
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return root.ExecuteContext(ctx)
}

const runInput = `{"event_id":"1","correlation_id":"B1","aggregate_id":"B1","event_type":"loaded","timestamp":"2026-06-20T10:00:00Z","payload":{"a":"<&>", "n":1.50}}
{"event_id":"1","correlation_id":"B1","aggregate_id":"B1","event_type":"loaded","timestamp":"2026-06-20T10:00:00Z"}

not JSON
{"event_id":"2","correlation_id":"B1","aggregate_id":"B1","event_type":"loaded","timestamp":"2926-06-20T10:00:00Z"}
{"specversion":"1.0","id":"3","source":"/andes","type":"picked_up","subject":"B2","time":"2026-06-20T10:00:00Z"}
{"event_id":"4","event_typ":"x","correlation_id":"B1","aggregate_id":"B1","timestamp":"2026-06-20T10:00:00Z"}`

func TestRunTellsWhatBecomesOfEveryLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead, outcomes := filepath.Join(dir, "dead.ndjson"), filepath.Join(dir, "outcomes.ndjson")
	got := runWithInput(t, strings.NewReader(runInput), "run", "tracking", "--dead", dead, "--outcomes", outcomes, "--tenant", "talma-pe")
	require.Equal(t, exitRejected, got.code)
	require.EqualError(t, got.failure, "2 lines refused: no event")
	golden(t, "testdata/trial/run.txt", got.err)

	var left []tracking.Event
	for line := range strings.Lines(got.out) {
		var e tracking.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		left = append(left, e)
	}
	require.Len(t, left, 2)
	require.Equal(t, []string{"1", "talma-pe", "stdin", `{"a":"<&>","n":1.50}`, "loaded"},
		[]string{left[0].EventID, left[0].TenantID, left[0].Source, string(left[0].Payload), string(left[0].Enrichment.Milestone)})
	require.Equal(t, []string{"3", "/andes"}, []string{left[1].EventID, left[1].Source})

	text, err := os.ReadFile(dead)
	require.NoError(t, err)
	var letter deadLine
	require.NoError(t, json.Unmarshal(text, &letter))
	require.Equal(t, []string{"tracking", "validate", "future", "/timestamp", "2"},
		[]string{letter.Pipeline, letter.Stage, letter.Code, letter.Field, letter.Event.EventID})

	lines := map[int]string{}
	file, err := os.Open(outcomes)
	require.NoError(t, err)
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var o outcomeLine
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &o))
		lines[o.Line] = fmt.Sprint(o.Outcome, " ", o.Stage, " ", o.Code, " ", o.Topics)
	}
	require.Equal(t, map[int]string{
		1: "pass   [events.persisted]", 2: "drop dedupe duplicate []", 5: "reject validate future []", 6: "pass   [events.persisted]",
	}, lines)

	// What was written can be run again.
	again := runWithInput(t, strings.NewReader(got.out), "run", "tracking")
	require.Zero(t, again.code, again.err)
	require.Equal(t, got.out, again.out)
}

func TestRunOfDeadLettersNobodyKeeps(t *testing.T) {
	t.Parallel()
	in := strings.Split(runInput, "\n")[4]
	got := runWithInput(t, strings.NewReader(in), "run", "tracking")
	require.Equal(t, exitRejected, got.code)
	require.EqualError(t, got.failure, "1 dead letter; --dead FILE keeps them")
}

// A pipeline runs with those that read what it writes, unless it is to run alone; a file stands for the one of its name.
func TestRunFollowsTopics(t *testing.T) {
	t.Parallel()
	in := strings.Split(runInput, "\n")[0]
	outcomes := filepath.Join(t.TempDir(), "outcomes.ndjson")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"all":         {[]string{"checked"}, "1 to events.kept"},
		"only":        {[]string{"checked", "--only", "--outcomes", outcomes}, "1 to checked.out"},
		"from inside": {[]string{"stored"}, "1 to events.kept"},
		"a file":      {[]string{trialConfig + "/pipelines/checked.yaml"}, "1 to events.kept"},
	} {
		got := runWithInput(t, strings.NewReader(in), append(append([]string{"run"}, c.args...), "--config", trialConfig)...)
		require.Zero(t, got.code, "%s: %v %s", name, got.failure, got.err)
		require.Contains(t, got.err, c.want, name)
	}
}

// With a database the claims outlive the run, and what is persisted is there to be asked for.
func TestRunWithADatabase(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	in := strings.Split(runInput, "\n")[0]
	first := runWithInput(t, strings.NewReader(in), "run", "tracking", "--database", url)
	require.Zero(t, first.code, first.err)
	require.NotContains(t, first.err, "in memory")
	require.Contains(t, first.err, "1 to events.persisted")

	sentAgain := runWithInput(t, strings.NewReader(in), "run", "tracking", "--database", url)
	require.Contains(t, sentAgain.err, "none left, 1 dropped")
	redelivered := runWithInput(t, strings.NewReader(first.out), "run", "tracking", "--database", url)
	require.Equal(t, first.out, redelivered.out)

	c := store.DefaultConfig()
	c.URL = url
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	trace, err := db.Trace(t.Context(), "local", "B1")
	require.NoError(t, err)
	require.Equal(t, 1, trace.EventCount)

	require.Error(t, runWithInput(t, strings.NewReader(in), "run", "tracking", "--database", "postgres://127.0.0.1:1/none").failure)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRunStopsWhenItCannotGoOn(t *testing.T) {
	t.Parallel()
	err := pipelineWithInput(t.Context(), strings.NewReader(runInput), brokenWriter{}, io.Discard, "run", "tracking")
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.Equal(t, exitFailure, exitCode(err))

	var errOut bytes.Buffer
	first := strings.NewReader(strings.Split(runInput, "\n")[0] + "\n")
	err = pipelineWithInput(t.Context(), io.MultiReader(first, brokenReader{}), io.Discard, &errOut, "run", "tracking")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "line 2")
	require.Contains(t, errOut.String(), "not finished")

	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	t.Cleanup(func() { writer.Close() })
	stopped := make(chan error, 1)
	out := &notifying{wrote: make(chan struct{}, 1)}
	go func() { stopped <- pipelineWithInput(ctx, reader, out, io.Discard, "run", "tracking") }()
	_, err = io.WriteString(writer, strings.Split(runInput, "\n")[0]+"\n")
	require.NoError(t, err)
	<-out.wrote // an input that goes on is not waited for
	cancel()
	require.ErrorIs(t, <-stopped, context.Canceled)
}

type notifying struct{ wrote chan struct{} }

func (n *notifying) Write(p []byte) (int, error) {
	select {
	case n.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

// generated is an input of n events, made as it is read.
type generated struct {
	left, at int
	rest     []byte
	peak     uint64 // of the heap, looked at now and then
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		if g.left == 0 {
			return 0, io.EOF
		}
		g.left--
		g.at++
		g.rest = fmt.Appendf(g.rest[:0], `{"event_id":"%d","correlation_id":"B%d","aggregate_id":"B","event_type":"loaded","timestamp":"2026-06-20T10:00:00Z"}`+"\n", g.at, g.at%1000)
		if g.at%20_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			g.peak = max(g.peak, m.HeapAlloc)
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// A million events take no more memory than twenty thousand.
func TestRunTakesConstantMemory(t *testing.T) { //nolint:paralleltest // it needs the heap for itself
	run := func(n int) uint64 {
		in := &generated{left: n}
		var errOut bytes.Buffer
		err := pipelineWithInput(t.Context(), in, io.Discard, &errOut, "run", "testdata/trial/long.yaml")
		require.NoError(t, err, errOut.String())
		require.Contains(t, errOut.String(), fmt.Sprintf("%s in, %d to long.out", events(n), n))
		return in.peak
	}
	short := run(20_000)
	many := 1_000_000
	if testing.Short() || raceEnabled {
		many = 100_000
	}
	require.Less(t, run(many), short+8<<20)
}

func TestLinesThatAreTooLong(t *testing.T) {
	t.Parallel()
	in := io.MultiReader(strings.NewReader("first\n"), io.LimitReader(zeros{}, maxInputLine+1), strings.NewReader("\nlast"))
	var got []string
	for batch := range readLines(t.Context(), in, 100) {
		for _, line := range batch {
			got = append(got, fmt.Sprint(line.number, " ", string(line.text), " ", line.err))
		}
	}
	require.Equal(t, []string{"1 first <nil>", "2  the line is longer than 16 MiB", "3 last <nil>"}, got)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestLineNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var numbers lineNumbers
		var want []int
		line := 0
		for range rapid.IntRange(0, 50).Draw(t, "events") {
			line += rapid.IntRange(1, 3).Draw(t, "further")
			want = append(want, line)
			numbers.add(line)
		}
		for i, line := range want {
			require.Equal(t, line, numbers.of(int64(i+1)))
		}
		require.Zero(t, numbers.of(0))
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		matches   bool
	}{
		{`{}`, `{"a":1}`, true},
		{`{"a":1}`, `{"a":1.0,"b":2}`, true},
		{`{"a":1}`, `{"a":1.01}`, false},
		{`{"a":1e2}`, `{"a":100}`, true},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":1}`, `{}`, false},
		{`{"a":null}`, `{}`, true},
		{`{"a":null}`, `{"a":null}`, true},
		{`{"a":null}`, `{"a":0}`, false},
		{`{"a":{"b":1}}`, `{"a":{"b":1,"c":2}}`, true},
		{`{"a":{"b":1}}`, `{"a":[1]}`, false},
		{`[1,{"a":1}]`, `[1,{"a":1,"b":1}]`, true},
		{`[1]`, `[1,2]`, false},
		{`true`, `true`, true},
		{`"a"`, `"b"`, false},
	} {
		want, err := parseJSON([]byte(c.want))
		require.NoError(t, err)
		got, err := parseJSON([]byte(c.got))
		require.NoError(t, err)
		require.Equal(t, c.matches, matches(want, got), "%s, %s", c.want, c.got)
		if c.matches {
			require.Equal(t, canonical(project(want, want)), canonical(project(want, got)), "nothing is shown to differ")
		}
	}
}

// A difference, applied to what was wanted, gives what was got.
func TestUnifiedDifferences(t *testing.T) {
	t.Parallel()
	letters := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 25)
	rapid.Check(t, func(t *rapid.T) {
		want, got := letters.Draw(t, "want"), letters.Draw(t, "got")
		diff := unified("want", "got", want, got)
		if slices.Equal(want, got) {
			require.Empty(t, diff)
			return
		}
		require.Equal(t, got, patch(t, want, diff), diff)
	})
}

// patch applies a unified difference.
func patch(t require.TestingT, want []string, diff string) []string {
	out := []string{}
	at := 0
	for _, line := range strings.Split(strings.TrimSuffix(diff, "\n"), "\n")[2:] {
		if strings.HasPrefix(line, "@@") {
			var start, count, otherStart, otherCount int
			_, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &start, &count, &otherStart, &otherCount)
			require.NoError(t, err)
			if count > 0 {
				start--
			}
			require.GreaterOrEqual(t, start, at)
			out = append(out, want[at:start]...)
			at = start
			continue
		}
		switch line[0] {
		case '+':
			out = append(out, line[1:])
		case '-':
			require.Equal(t, want[at], line[1:])
			at++
		default:
			require.Equal(t, want[at], line[1:])
			out = append(out, line[1:])
			at++
		}
	}
	return append(out, want[at:]...)
}

// The UIDs of a case are those of version 7, different, and in the order of their lines.
func TestCaseUIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 20, 10, 0, 0, 0, time.UTC)
	var all []string
	for line := range 300 {
		for copied := range 3 {
			uid := caseUID(at, line, copied)
			require.Equal(t, uuid.Version(7), uid.Version())
			require.Equal(t, uuid.RFC4122, uid.Variant())
			all = append(all, uid.String())
		}
	}
	require.True(t, slices.IsSorted(all))
	require.Len(t, slices.Compact(all), 900)
}
