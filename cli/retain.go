package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/store"
)

// retainCommand is `rastro retain`.
type retainCommand struct {
	streams                     streams
	dryRun, yes, acceptFindings bool
	output                      string
}

// newRetainCommand makes `rastro retain`.
func newRetainCommand(streams streams) *cobra.Command {
	r := &retainCommand{streams: streams}
	cmd := &cobra.Command{
		Use:   "retain",
		Short: "Remove what is kept no longer: journeys that are over, and what grows without end",
		Long: `Remove journeys of which the last event was received longer ago than their tenant keeps journeys of their kind: retention_days and
retention_by_kind of ` + "`rastro tenant`" + `, or else RASTRO_RETENTION_DAYS. Whole months are dropped where all that is in them is over;
elsewhere rows are deleted, some thousand at a time. What is removed is noted in the audit, and ` + "`rastro audit verify`" + ` still finds what
anybody else removes. Dead letters that nobody has settled stay.

Processors do this every day by themselves (RASTRO_RETENTION_EVERY). It may be broken off and run again, and run while events are
stored. It cannot be undone: look at --dry-run first.

The command works on the database that RASTRO_DATABASE_URL names, or on that of the running ` + "`rastro dev`" + `.

Exit code 1: something is not as it was stored, and was kept, or it failed. 2: the command line is wrong. 5: the database cannot be
reached.`,
		Example: `  rastro retain --dry-run
  rastro retain --dry-run -o json | jq '.cuts[] | {tenant_id, kind, before, events}'
  rastro retain --yes`,
		Args: usage(cobra.NoArgs), RunE: r.run,
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	flags.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&r.acceptFindings, "accept-findings", false, "remove also what is not as it was stored, and with it the proof")
	addOutput(cmd, &r.output)
	return cmd
}

func (r *retainCommand) run(cmd *cobra.Command, _ []string) error {
	asJSON, err := isJSON(r.output)
	if err != nil {
		return err
	}
	db, process, err := openDatabase(cmd.Context())
	if err != nil {
		return err
	}
	defer db.Close()
	retention := retentionOf(process.Retention)
	retention.By = operator("retain")
	retention.AcceptFindings = r.acceptFindings
	plan := retention
	plan.DryRun = true
	var report store.RetentionReport
	if r.dryRun || !r.yes {
		if report, err = db.Retain(cmd.Context(), plan); err != nil {
			return err
		}
	}
	if !r.dryRun {
		if err := r.confirm(cmd, report); err != nil {
			return err
		}
		if report, err = r.retain(cmd.Context(), cmd.ErrOrStderr(), db, retention); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = printRetention(cmd.OutOrStdout(), report)
	}
	if err == nil && len(report.Findings) > 0 {
		err = exitWith(exitFailure, fmt.Errorf("%d findings: what is not as it was stored was kept", len(report.Findings)))
	}
	return err
}

// confirm asks whether to go on.
func (r *retainCommand) confirm(cmd *cobra.Command, plan store.RetentionReport) error {
	if r.yes {
		return nil
	}
	if !r.streams.terminal(cmd.InOrStdin()) {
		return exitWith(exitUsage, errors.New("say --yes to remove without being asked, or --dry-run to see what would be removed; it cannot be undone"))
	}
	if err := printRetention(cmd.ErrOrStderr(), plan); err != nil {
		return err
	}
	if _, err := fmt.Fprint(cmd.ErrOrStderr(), "This cannot be undone. Type yes to go on: "); err != nil {
		return err
	}
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return exitWith(exitFailure, errors.New("nothing was removed"))
	}
	return nil
}

// retainLinesEvery is how often it is said how far a run is.
const retainLinesEvery = 2 * time.Second

func (r *retainCommand) retain(ctx context.Context, progress io.Writer, db *store.Store, retention store.Retention) (store.RetentionReport, error) {
	next := r.streams.now().Add(retainLinesEvery)
	retention.Progress = func(p store.RetentionProgress) {
		now := r.streams.now()
		if now.Before(next) {
			return
		}
		next = now.Add(retainLinesEvery)
		where := "rows of " + clean(p.TenantID)
		if p.Partition != "" {
			where = p.Partition
		}
		_, _ = fmt.Fprintf(progress, "%s: %d journeys, %d events removed so far\n", where, p.Traces, p.Events) // only seen
	}
	report, err := db.Retain(ctx, retention)
	if errors.Is(err, store.ErrRetaining) {
		return report, exitWith(exitFailure, err)
	}
	if err != nil {
		return report, fmt.Errorf("%w; %d events were removed before: run it again to go on", err, report.Events)
	}
	return report, nil
}

// printRetention says what was removed, or would be.
func printRetention(out io.Writer, r store.RetentionReport) error {
	if len(r.Cuts) > 0 {
		rows := make([][]string, len(r.Cuts))
		for i, c := range r.Cuts {
			rows[i] = []string{
				c.TenantID, firstOf(c.Kind, "any other"), strconv.Itoa(c.Days), c.Before.Format(time.RFC3339),
				strconv.FormatInt(c.Traces, 10), strconv.FormatInt(c.Events, 10), c.Partition,
			}
		}
		if err := writeClean(out, []string{"TENANT", "KIND", "DAYS KEPT", "OVER BEFORE", "JOURNEYS", "EVENTS", "MONTH"}, rows); err != nil {
			return err
		}
	}
	var text strings.Builder
	for _, p := range r.Partitions {
		text.WriteString(partitionLine(p, r.DryRun))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "finding: tenant %q", f.TenantID)
		if f.CorrelationID != "" {
			fmt.Fprintf(&text, ", trace %q", f.CorrelationID)
		}
		fmt.Fprintf(&text, ": %s\n", f.Detail)
	}
	for _, table := range slices.Sorted(maps.Keys(r.Pruned)) {
		fmt.Fprintf(&text, "%d old rows removed of %s\n", r.Pruned[table], table)
	}
	if r.DryRun {
		fmt.Fprintf(&text, "%d journeys of %d events are over. Nothing was removed: this was a dry run.\n", r.Traces, r.Events)
	} else {
		fmt.Fprintf(&text, "%d journeys of %d events removed in %s.\n", r.Traces, r.Events, r.Elapsed.Round(time.Millisecond))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func partitionLine(p store.PartitionRetention, dryRun bool) string {
	what := p.Name + ": "
	switch {
	case p.Action == store.PartitionWaits:
		what += "waits until " + p.Until.Format(time.DateOnly) + " to be dropped as a whole"
	case p.Action == store.PartitionRows:
		what += "rows of it are deleted"
	case dryRun:
		what += "would be dropped as a whole"
	default:
		what += "dropped as a whole"
	}
	if p.Reason != "" {
		what += ": " + clean(p.Reason)
	}
	return what + "\n"
}
