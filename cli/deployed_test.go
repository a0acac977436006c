package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestTheProductionPageSaysWhatHappens(t *testing.T) {
	require.Equal(t, 1, pageSaysWhatHappens(t, "production.md"))
}

// named finds commands of ours in a page: in a code span or at the beginning of a line of a block.
var named = regexp.MustCompile("(?m)(?:`|^)rastro ([a-z][^`\n|>]*)")

// Every command that runbooks and the pages on running the system name is one, with these flags.
func TestRunbooksNameCommandsThatThereAre(t *testing.T) {
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	pages = append(pages, "../docs/production.md", "../docs/architecture.md", "../docs/metrics.md", "../deploy/docker/certs/README.md")
	count := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			count++
			require.NoError(t, parses(match[1]), "%s: rastro %s", page, match[1])
		}
	}
	require.Greater(t, count, 30)
	require.Error(t, parses("dlq redrvie --dry-run"))
	require.Error(t, parses("balance --wiat 1m"))
}

// parses reports whether a command line is one of ours, without running it.
func parses(line string) error {
	root := newRootCommand(options{}, streams{})
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	args := strings.Fields(strings.NewReplacer(`"..."`, "because", `"`, "").Replace(line))
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return cobra.NoArgs(cmd, rest)
	}
	return cmd.ParseFlags(rest)
}
