package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

// lintCorpus returns the wrong pipelines. The first line of each says what is found: `# want: LINE:COLUMN CODE, ...`, with
// `warning` before the code of a warning. A second line may say in which environment: `# env: NAME=VALUE ...`.
func lintCorpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../pipeline/testdata/lint/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 60)
	return files
}

// Invariant 11: each wrong pipeline of the corpus is found wrong, at its place, and nothing else is found. Each is checked
// beside the built-in pipelines.
func TestLintCorpus(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	for _, file := range lintCorpus(t) {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		first, rest, _ := strings.Cut(string(source), "\n")
		want, ok := strings.CutPrefix(first, "# want: ")
		require.True(t, ok, "%s does not say what is wrong with it", file)
		for finding := range strings.SplitSeq(want, ", ") {
			_, code, _ := strings.Cut(finding, " ")
			codes[strings.TrimPrefix(code, "warning ")] = true
		}
		environment := map[string]string{}
		if second, _, _ := strings.Cut(rest, "\n"); strings.HasPrefix(second, "# env: ") {
			for variable := range strings.FieldsSeq(strings.TrimPrefix(second, "# env: ")) {
				name, value, _ := strings.Cut(variable, "=")
				environment[name] = value
			}
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			got := runWith(t, options{}, environment, "pipeline", "lint", "--json", "--strict", file)
			require.Equal(t, exitFailure, got.code)
			var findings pipeline.Findings
			require.NoError(t, json.Unmarshal([]byte(got.out), &findings))
			found := make([]string, len(findings))
			for i, f := range findings {
				require.Equal(t, file, f.File)
				require.NotEmpty(t, f.Message)
				found[i] = fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Code)
				if f.Severity == pipeline.SeverityWarning {
					found[i] = fmt.Sprintf("%d:%d warning %s", f.Line, f.Column, f.Code)
				}
			}
			require.Equal(t, want, strings.Join(found, ", "))
		})
	}
	for _, code := range []string{
		"batch-bytes", "build", "config", "cycle", "dedupe-late", "dedupe-missing", "duplicate-name", "duplicate-pipeline", "env", "expression", "fan-in", "fuse-first", "loses", "name", "on-error", "range",
		"reference", "required", "secret", "shutdown", "syntax", "topic-collision", "type", "unknown-key", "unknown-stage", "unreachable",
		"unreachable-output", "unreachable-stage",
	} {
		require.True(t, codes[code], "no wrong pipeline for %s", code)
	}
}

func TestLintPrintsFindings(t *testing.T) {
	t.Parallel()
	const folder = "testdata/pipeline/wrong"
	one, two := filepath.Join(folder, "pipelines/one.yaml"), filepath.Join(folder, "pipelines/two.yaml")
	want := two + `:1:11: pipeline "one" is also that of ` + one + "; give one of them another name [duplicate-pipeline]\n" +
		two + `:5:20: stage "validate" cannot be built: compile schema no.schema.json: failing loading "file:///no.schema.json": ` +
		"open schema: open no.schema.json: file does not exist [build]\n"
	for name, args := range map[string][]string{
		"the configuration":   {"lint", "--config", folder},
		"a configuration":     {"lint", folder},
		"a folder":            {"lint", filepath.Join(folder, "pipelines")},
		"a file among others": {"lint", "--config", folder, two},
		"files, one twice":    {"lint", one, two, folder + "/pipelines/../pipelines/one.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPipeline(t, args...)
			require.Equal(t, exitFailure, got.code, got.failure)
			require.Empty(t, got.failure.Error(), "the findings say it all")
			require.Equal(t, want, got.out)
		})
	}
}

func TestLintOfWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"built-in":              {"lint"},
		"a configuration":       {"lint", "--config", "testdata/pipeline/config"},
		"a file of it":          {"lint", "--config", "testdata/pipeline/config", "testdata/pipeline/config/pipelines/notify.yaml"},
		"a file beside our own": {"lint", "testdata/pipeline/config/pipelines/audit.yaml"},
		"the file of our own":   {"lint", "../config/pipelines/tracking.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runPipeline(t, args...)
			require.Zero(t, got.code, got.out)
			require.Empty(t, got.out)
			require.Contains(t, got.err, "nothing found")
			require.Equal(t, "[]\n", runPipeline(t, append(args, "--json")...).out)
		})
	}
}

// A finding of several lines, as of several errors joined, stands on one.
func TestFindingsAreOneALine(t *testing.T) {
	t.Parallel()
	file := writeFile(t, filepath.Join(t.TempDir(), "own.yaml"), "pipeline: own\nfrom: events.ingested\nstages:\n  - use: enrich\n    with:\n"+
		"      - location: {places: ../a.csv}\n        airline: {airlines: ../b.csv}\n")
	got := runPipeline(t, "lint", file)
	require.Equal(t, 1, strings.Count(got.out, "\n"), got.out)
}
