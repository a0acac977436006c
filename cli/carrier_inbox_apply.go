package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// inboxApply is `rastro carrier inbox apply`.
type inboxApply struct {
	inboxOptions

	carrier, code, milestone string
	exception, why           string
	dryRun, noFile           bool
}

func (c *carrierCommand) inboxApplyCommand() *cobra.Command {
	var apply inboxApply
	cmd := &cobra.Command{
		Use:   "apply CARRIER CODE [MILESTONE]",
		Short: "Say what a code means: in the carrier's table, and for the events that came with it",
		Long: `Say what a code means, which is two things. The server is told: from then on the code means that, for the events that are in the store as
for those to come, and the traces concerned are folded anew; this command waits for it. Events themselves stay as they were stored. And the
line is written into the table ` + "`codes`" + ` of carriers/CARRIER.yaml in the configuration's folder, which --config names; all else in the file
stays as it is. A carrier that is built in is copied there first. The server reads the line when its configuration is read again.

MILESTONE is one of announced, accepted, processing, loaded, in_transit, arrived, transfer, available, out_for_delivery, delivered, returned,
cancelled, lost, destroyed, expired; none, for a code that moves nothing; or a word that milestones.yaml knows. Without it the code means
what the table says already.

Exit codes: 0 done, 1 the file cannot be changed, 2 the command line is wrong, 4 there is no such carrier or no such code came, 5 the server
cannot be reached or does not let us in. Except when the file cannot be written at last, nothing is done when the code is not 0.`,
		Example: `  rastro carrier inbox apply acme HUB7 arrived --config ./own --dry-run   # only shows what would be written
  rastro carrier inbox apply acme HUB7 arrived --config ./own --reason "their list of 12 May"
  rastro carrier inbox apply acme DMG --exception damaged --config ./own
  rastro carrier inbox apply LA-baggage X1 loaded --no-file`,
		Args: usage(cobra.RangeArgs(2, 3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			apply.carrier, apply.code, apply.milestone = args[0], args[1], ""
			if len(args) == 3 {
				apply.milestone = args[2]
			}
			return apply.run(cmd, c)
		},
	}
	apply.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&apply.exception, "exception", "", "the `exception` that it means, beside the milestone or alone")
	flags.StringVar(&apply.why, "reason", "", "why, for the record")
	flags.BoolVar(&apply.dryRun, "dry-run", false, "only show what would be written into the file")
	flags.BoolVar(&apply.noFile, "no-file", false, "only tell the server: for sources that are no carrier's, or when the file is elsewhere")
	return cmd
}

func (a *inboxApply) run(cmd *cobra.Command, c *carrierCommand) error {
	if a.noFile && a.dryRun {
		return exitWith(exitUsage, errors.New("with --no-file there is nothing that --dry-run could show"))
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	tables, err := carriers.LoadTables(files)
	if err != nil {
		return err
	}
	var change fileChange
	meaning := tracking.Meaning{}
	if a.noFile {
		if meaning, err = tables.Said(a.milestone, a.exception); err != nil {
			return exitWith(exitUsage, err)
		}
	} else if change, meaning, err = a.change(files, tables); err != nil {
		return err
	}
	if a.dryRun {
		return change.show(cmd.OutOrStdout())
	}
	client, err := a.open(cmd, c.streams, roleOpsRead, roleOpsWrite)
	if err != nil {
		return err
	}
	defer client.close()
	body := map[string]string{"milestone": string(meaning.Milestone), "exception": meaning.Exception, "reason": a.why}
	if err := a.decide(cmd, c.streams, client, codeAddress(a.carrier, a.code, "apply"), body); err != nil {
		return err
	}
	if err := change.write(); err != nil {
		return fmt.Errorf("the server knows the code by now, but the line could not be written: %w", err)
	}
	if a.json {
		return nil
	}
	return change.show(cmd.OutOrStdout())
}

// change finds what is to be written into the carrier's file, and what the code then means.
func (a *inboxApply) change(files configuration, tables carriers.Tables) (fileChange, tracking.Meaning, error) {
	none := tracking.Meaning{}
	sources, err := sourcesOf(files, "carriers/*.yaml")
	if err != nil {
		return fileChange{}, none, exitWith(exitUsage, err)
	}
	i := slices.IndexFunc(sources, func(s pipeline.Source) bool { return filepath.Base(s.File) == a.carrier+".yaml" })
	if i < 0 {
		return fileChange{}, none, exitWith(exitNotFound, fmt.Errorf("there is no carrier %q%s; for a source that is no carrier's say --no-file", a.carrier, meantCarrier(a.carrier, sources)))
	}
	carrier, found := carriers.Parse(sources[i].File, sources[i].Text, tables)
	if carrier == nil {
		return fileChange{}, none, found.Errors()
	}
	meaning, known := carrier.Codes[strings.ToLower(strings.TrimSpace(a.code))]
	if a.milestone != "" || a.exception != "" || !known {
		if meaning.Meaning, err = tables.Said(a.milestone, a.exception); err != nil {
			return fileChange{}, none, exitWith(exitUsage, err)
		}
	}
	change := fileChange{from: sources[i].File, to: sources[i].File, before: sources[i].Text}
	if change.after, err = carriers.SetCode(sources[i].File, sources[i].Text, a.code, meaning.Meaning, tables); err != nil {
		return fileChange{}, none, fmt.Errorf("%s: %w", sources[i].File, err)
	}
	if change.none() {
		return change, meaning.Meaning, nil
	}
	own := filepath.Join(files.dir, "carriers", a.carrier+".yaml")
	if files.dir == "" {
		return fileChange{}, none, exitWith(exitUsage, fmt.Errorf("%s is built in: name the folder of your configuration with --config, to which it is copied; or say --no-file", a.carrier))
	}
	change.to = own
	return change, meaning.Meaning, nil
}

// fileChange is what a file is to be instead.
type fileChange struct {
	from, to      string // the same unless a file that is built in is copied
	before, after []byte
}

func (f fileChange) none() bool { return string(f.before) == string(f.after) }

func (f fileChange) write() error {
	switch {
	case f.none():
		return nil
	case f.from != f.to:
		return writeNew(f.to, string(f.after))
	}
	now, err := os.ReadFile(f.to)
	if err != nil {
		return err
	}
	if string(now) != string(f.before) {
		return fmt.Errorf("%s was changed meanwhile; do it again", f.to)
	}
	return replaceFile(f.to, f.after)
}

// replaceFile puts a file in the place of another at once: whoever reads it sees one or the other.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(next.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// linesRound is how many lines are shown round what changes.
const linesRound = 2

// show writes what changes as a diff.
func (f fileChange) show(out io.Writer) error {
	if f.none() {
		if f.from == "" {
			return nil
		}
		_, err := fmt.Fprintf(out, "%s has the line already.\n", f.from)
		return err
	}
	before, after := strings.Split(strings.TrimSuffix(string(f.before), "\n"), "\n"), strings.Split(strings.TrimSuffix(string(f.after), "\n"), "\n")
	begin := 0
	for begin < min(len(before), len(after)) && before[begin] == after[begin] {
		begin++
	}
	end := 0
	for end < min(len(before), len(after))-begin && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	first, rest := max(begin-linesRound, 0), max(end-linesRound, 0)
	var text strings.Builder
	fmt.Fprintf(&text, "--- %s\n+++ %s\n@@ -%d,%d +%d,%d @@\n", f.from, f.to, first+1, len(before)-rest-first, first+1, len(after)-rest-first)
	for _, part := range []struct {
		sign  string
		lines []string
	}{
		{" ", after[first:begin]}, {"-", before[begin : len(before)-end]}, {"+", after[begin : len(after)-end]}, {" ", after[len(after)-end : len(after)-rest]},
	} {
		for _, line := range part.lines {
			text.WriteString(part.sign + strings.TrimSuffix(line, "\r") + "\n")
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
