package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asCommand has the test binary be rastro itself.
const asCommand = "RASTRO_TEST_AS_COMMAND"

var docBlock = regexp.MustCompile("(?s)(?:<!-- file: ([^\n]+) -->\n)?```([a-z]+)\n(.*?)```\n")

// The newcomer's page says what happens: its files are written, its commands run in order, and what they print is what it
// shows. RASTRO_UPDATE_GOLDEN=1 writes what they print into it.
func TestThePipelinesPageSaysWhatHappens(t *testing.T) {
	require.Greater(t, pageSaysWhatHappens(t, "pipelines.md"), 10)
}

func TestTheCostPageSaysWhatHappens(t *testing.T) {
	require.Equal(t, 1, pageSaysWhatHappens(t, "cost.md"))
}

// pageSaysWhatHappens runs a page and returns how many commands it has.
func pageSaysWhatHappens(t *testing.T, name string) (commands int) {
	t.Helper()
	page := filepath.Join("..", "docs", name)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	dir := t.TempDir()
	environment := commandEnvironment(t)
	updated := docBlock.ReplaceAllStringFunc(string(text), func(block string) string {
		parts := docBlock.FindStringSubmatch(block)
		file, language, body := parts[1], parts[2], parts[3]
		switch {
		case file != "":
			file = filepath.Join(dir, filepath.FromSlash(file))
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
			require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
		case language == "console":
			var out strings.Builder
			for _, step := range steps(body) {
				commands++
				got := execute(t, dir, environment, step.command)
				if printsAs(step.want, got) {
					got = step.want
				} else if os.Getenv("RASTRO_UPDATE_GOLDEN") == "" {
					require.Equal(t, step.want, got, step.command)
				}
				out.WriteString("$ " + step.command + "\n" + got)
			}
			return "```console\n" + out.String() + "```\n"
		}
		return block
	})
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, []byte(updated), 0o644))
	}
	return commands
}

type step struct{ command, want string }

// steps reads a console block: commands behind `$ `, each with what it prints below.
func steps(body string) []step {
	var list []step
	for line := range strings.Lines(body) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			list = append(list, step{command: strings.TrimSuffix(command, "\n")})
		} else if len(list) > 0 {
			list[len(list)-1].want += line
		}
	}
	return list
}

// printsAs reports whether an output is the one shown, in which … stands for anything within a line.
func printsAs(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got)
}

// commandEnvironment has `rastro` on the path.
func commandEnvironment(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "rastro")))
	return append(os.Environ(), asCommand+"=1", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "RASTRO_CONFIG_DIR=")
}

func execute(t *testing.T, dir string, environment []string, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env = dir, environment
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		fmt.Fprintf(&out, "(exit code %d)\n", code)
	}
	return out.String()
}
