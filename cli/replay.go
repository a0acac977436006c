package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
)

// replayOptions are the flags of `rastro replay`.
type replayOptions struct {
	tenant, from, to string
	dryRun, swap     bool
	json             bool
	workers, limit   int
}

// newReplayCommand makes `rastro replay`.
func newReplayCommand() *cobra.Command {
	options := replayOptions{workers: 2, limit: 100}
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Rebuild the traces from the event store, and report what differs",
		Long: `Rebuild the rows of the read model from the events, in the database that RASTRO_DATABASE_URL names, by the same fold that events
are persisted with, and report every row that is not what its events come to, or has none. After any load there is none.

It may run while events are persisted. The rebuilt rows that differ are left in the table traces_replay; with --dry-run nothing is
written; with --swap they take the place of those in use, each under its lock, and those that got events meanwhile are folded anew.
--from and --to have only the traces rebuilt that events were received of in that time; rows without events are then not looked for.
Events that retention removed are not folded again: look at what a dry run says before you swap. A row whose events are gone without
retention having removed them is reported and stays, as the evidence that "rastro audit verify" needs. A replay that was interrupted has
changed nothing but whole rows: run it again.

Exit code 1: rows differ (and were not swapped in, or stay as evidence), or it failed. 2: the command line is wrong.`,
		Example: `  rastro replay --dry-run
  rastro replay --tenant talma-pe --from 2026-06-01T00:00:00Z --to 2026-06-02T00:00:00Z --dry-run
  rastro replay --swap`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			replay, err := options.replay()
			if err != nil {
				return exitWith(exitUsage, err)
			}
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if process.Database.URL == "" {
				return exitWith(exitUsage, errors.New("RASTRO_DATABASE_URL is not set: say which database, as postgres://user:password@host:5432/rastro"))
			}
			settings := storeConfig(process)
			settings.ApplicationName = "rastro replay"
			settings.StatementTimeout = store.DefaultConfig().StatementTimeout
			db, err := store.Open(cmd.Context(), settings)
			if err != nil {
				return err
			}
			defer db.Close()
			return options.run(cmd.Context(), db, replay, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.tenant, "tenant", "", "whose traces (default: all)")
	flags.StringVar(&options.from, "from", "", "only traces with an event received at this time or later (RFC 3339)")
	flags.StringVar(&options.to, "to", "", "only traces with an event received before this time (RFC 3339)")
	flags.BoolVar(&options.dryRun, "dry-run", false, "compare and write nothing")
	flags.BoolVar(&options.swap, "swap", false, "put the rebuilt rows in the place of those that differ")
	flags.BoolVar(&options.json, "json", false, "print each difference, and at last the report, as a line of JSON")
	flags.IntVar(&options.workers, "workers", options.workers, "how many parts to rebuild at a time")
	flags.IntVar(&options.limit, "limit", options.limit, "how many of the rows that differ to print, 0 for all; they are all counted")
	return cmd
}

func (o *replayOptions) replay() (store.Replay, error) {
	r := store.Replay{Tenant: o.tenant, DryRun: o.dryRun, Swap: o.swap, Workers: o.workers}
	var err error
	if r.From, err = replayTime("--from", o.from); err != nil {
		return r, err
	}
	if r.To, err = replayTime("--to", o.to); err != nil {
		return r, err
	}
	return r, r.Validate()
}

func replayTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%s %q is no time; write it as 2026-06-01T00:00:00Z", flag, text)
	}
	return at, nil
}

// run replays and reports: what differs to out, progress to progress.
func (o *replayOptions) run(ctx context.Context, db *store.Store, replay store.Replay, out, progress io.Writer) error {
	printed, next := 0, 2*time.Second
	var failed error
	encoder := json.NewEncoder(out)
	replay.Difference = func(d store.TraceDifference) {
		if printed++; o.limit > 0 && printed > o.limit || failed != nil {
			return
		}
		if o.json {
			failed = encoder.Encode(d)
			return
		}
		for _, f := range d.Fields {
			if _, failed = fmt.Fprintf(out, "%s %s  %s: had %q, now %q\n", clean(d.TenantID), clean(d.CorrelationID), f.Field, f.Had, f.Now); failed != nil {
				return
			}
		}
	}
	replay.Progress = func(p store.ReplayProgress) {
		if p.Elapsed < next {
			return
		}
		next = p.Elapsed + 2*time.Second
		line := fmt.Sprintf("%d traces, %d events, %.0f events/s", p.Traces, p.Events, float64(p.Events)/p.Elapsed.Seconds())
		if p.Total > 0 && p.Traces > 0 {
			left := time.Duration(float64(p.Elapsed) * float64(max(p.Total-p.Traces, 0)) / float64(p.Traces))
			line += fmt.Sprintf(", %d%%, about %s left", min(100, 100*p.Traces/p.Total), left.Round(time.Second))
		}
		_, _ = fmt.Fprintln(progress, line) // progress is only seen
	}
	report, err := db.Replay(ctx, replay)
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if o.json {
		err = encoder.Encode(report)
	} else {
		kept := ""
		if report.Kept > 0 {
			kept = fmt.Sprintf(", evidence of events that are gone: %d", report.Kept)
		}
		_, err = fmt.Fprintf(out, "%d traces rebuilt of %d events in %s; rows that differ: %d, missing: %d, without events: %d, changed: %d%s\n",
			report.Traces, report.Events, report.Elapsed.Round(time.Millisecond), report.Different, report.Missing, report.Bereft, report.Changed, kept)
	}
	if err == nil && report.Kept > 0 {
		return exitWith(exitFailure, fmt.Errorf("rows whose events are gone, and were not removed by retention: %d; "+
			"they stay as they are, and `rastro audit verify` says what is missing", report.Kept))
	}
	if err == nil && report.Different > 0 && !o.swap {
		return exitWith(exitFailure, fmt.Errorf("rows that are not what their events come to: %d; `rastro replay --swap` mends them", report.Different))
	}
	return err
}
