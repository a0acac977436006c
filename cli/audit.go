package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
)

// newAuditCommand makes `rastro audit`.
func newAuditCommand(streams streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that what is stored is what was stored",
		Long: `Each event is a link in the chain of its trace, and seals say what was stored when. These commands work on the database that
RASTRO_DATABASE_URL names.`,
		Args: usage(cobra.NoArgs),
	}
	cmd.AddCommand(newAuditVerifyCommand(streams), newAuditSealCommand())
	return cmd
}

// withStore runs a function on the database that the environment names.
func withStore(ctx context.Context, use func(*store.Store) error) error {
	process, err := config.FromEnvironment(os.Environ())
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if process.Database.URL == "" {
		return exitWith(exitUsage, errors.New("RASTRO_DATABASE_URL is not set: say which database, as postgres://user:password@host:5432/rastro"))
	}
	db, err := store.Open(ctx, storeConfig(process))
	if err != nil {
		return exitWith(exitUnreachable, err)
	}
	defer db.Close()
	if err := checkSchema(ctx, db); err != nil {
		return err
	}
	return use(db)
}

// The forms that audits are printed in.
const (
	outputText = "text"
	outputJSON = "json"
)

// auditVerify is `rastro audit verify`.
type auditVerify struct {
	tenant, from, to, kept, output string
	workers                        int
}

// auditFindingsKept is how many findings JSON lists; the report counts all.
const auditFindingsKept = 10_000

func newAuditVerifyCommand(streams streams) *cobra.Command {
	var v auditVerify
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find every row of the event store that was changed, removed or inserted",
		Long: `Read every event once, and name each that is not as it was stored: changed, removed, inserted, swapped or put in another's
place. Whole traces that were removed are found by the seals of the time they were stored in. It may run while events are
stored.

--from and --to pick the traces with an event received in between, and the seals of that time. --kept compares with seals that
were kept elsewhere, as ` + "`rastro audit seal -o json`" + ` prints them: nobody who can change only the database gets past them.

Exit code 1: something is wrong. 5: the database cannot be reached.`,
		Example: `  rastro audit verify
  rastro audit verify --tenant talma-pe --from 2026-01-01 --to 2026-02-01
  rastro audit verify --kept seals.json -o json | jq '.list[] | {problem, correlation_id, uid, detail}'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := v.scope()
			if err != nil {
				return exitWith(exitUsage, err)
			}
			return withStore(cmd.Context(), func(db *store.Store) error { return v.run(cmd, streams, db, scope) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&v.tenant, "tenant", "", "only this tenant")
	flags.StringVar(&v.from, "from", "", "only traces with events received from then on: a `date`, or a time as RFC 3339")
	flags.StringVar(&v.to, "to", "", "only traces with events received before then")
	flags.StringVar(&v.kept, "kept", "", "`file` of seals that were kept elsewhere")
	flags.StringVarP(&v.output, "output", "o", outputText, "text or json")
	flags.IntVar(&v.workers, "workers", 4, "connections that verify at once")
	return cmd
}

func (v auditVerify) scope() (store.AuditScope, error) {
	scope := store.AuditScope{Tenant: v.tenant, Workers: v.workers}
	var errs []error
	if v.workers < 1 {
		errs = append(errs, fmt.Errorf("--workers is %d; give it 1 or more", v.workers))
	}
	if v.output != outputText && v.output != outputJSON {
		errs = append(errs, fmt.Errorf("-o is %q; it is text or json", v.output))
	}
	for name, at := range map[string]struct {
		text string
		into *time.Time
	}{"--from": {v.from, &scope.From}, "--to": {v.to, &scope.To}} {
		if at.text == "" {
			continue
		}
		var err error
		if *at.into, err = time.Parse(time.DateOnly, at.text); err != nil {
			if *at.into, err = time.Parse(time.RFC3339, at.text); err != nil {
				errs = append(errs, fmt.Errorf("%s is %q; give a date as 2026-01-31, or a time as 2026-01-31T15:04:05Z", name, at.text))
			}
		}
	}
	if v.kept != "" {
		text, err := os.ReadFile(v.kept)
		if err == nil {
			err = json.Unmarshal(text, &scope.Kept)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--kept: %w; `rastro audit seal -o json` prints such a file", err))
		}
	}
	return scope, errors.Join(errs...)
}

// auditAnswer is what is printed as JSON.
type auditAnswer struct {
	store.AuditReport

	Seconds float64              `json:"seconds"`
	List    []store.AuditFinding `json:"list"` // the first of them
}

func (v auditVerify) run(cmd *cobra.Command, streams streams, db *store.Store, scope store.AuditScope) error {
	out := cmd.OutOrStdout()
	started := streams.now()
	answer := auditAnswer{List: []store.AuditFinding{}}
	bar := newAuditBar(cmd.ErrOrStderr(), streams)
	report, err := db.Verify(cmd.Context(), scope, func(f store.AuditFinding) {
		if v.output == outputJSON {
			if len(answer.List) < auditFindingsKept {
				answer.List = append(answer.List, f)
			}
			return
		}
		bar.clear()
		_, _ = fmt.Fprintln(out, describeFinding(f))
	}, bar.show)
	bar.close()
	if err != nil {
		return err
	}
	took := streams.now().Sub(started)
	if v.output == outputJSON {
		answer.AuditReport, answer.Seconds = report, took.Seconds()
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(answer)
	} else {
		err = writeAudit(out, report, took)
	}
	if err == nil && report.Findings > 0 {
		err = exitWith(exitFailure, fmt.Errorf("the event store is not as it was stored: %d findings", report.Findings))
	}
	return err
}

// describeFinding says in one line what is wrong. Identifiers are quoted: they are data.
func describeFinding(f store.AuditFinding) string {
	text := fmt.Sprintf("%s: tenant %q", f.Problem, f.TenantID)
	if f.CorrelationID != "" {
		text += fmt.Sprintf(", trace %q", f.CorrelationID)
	}
	if f.UID != nil {
		text += fmt.Sprintf(", row %s", f.UID)
	}
	if f.Place != 0 {
		text += fmt.Sprintf(" at place %d", f.Place)
	}
	if f.Seal != 0 {
		text += fmt.Sprintf(", seal %d", f.Seal)
	}
	return text + ": " + f.Detail
}

func writeAudit(out io.Writer, r store.AuditReport, took time.Duration) error {
	rate := float64(r.Events) / max(took.Seconds(), 0.001)
	_, err := fmt.Fprintf(out, "%d events in %d traces, %d of them compared with %d seals, in %s (%.0f events/s): %d findings\n",
		r.Events, r.Traces, r.Sealed, r.Seals, took.Round(time.Millisecond), rate, r.Findings)
	if err == nil && r.BeforeChain > 0 {
		_, err = fmt.Fprintf(out, "%d events are of before there was a chain: they were counted, and not compared.\n", r.BeforeChain)
	}
	if left := r.Events - r.BeforeChain - r.Sealed; err == nil && left > 0 {
		_, err = fmt.Fprintf(out, "%d events are not sealed yet, or lie outside the seals of that time.\n", left)
	}
	return err
}

// auditBar shows how far an audit is, on a terminal.
type auditBar struct {
	out   io.Writer
	watch bool
	phase string
	bar   *progressbar.ProgressBar
}

func newAuditBar(out io.Writer, streams streams) *auditBar {
	return &auditBar{out: out, watch: streams.terminal(out)}
}

// show draws the bar. A bar that cannot be drawn is no reason to stop.
func (b *auditBar) show(phase string, done, total int64) {
	if !b.watch {
		return
	}
	if phase != b.phase {
		b.close()
		b.phase = phase
		b.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(phase),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(redrawEvery))
	}
	b.bar.ChangeMax64(max(total, 1))
	_ = b.bar.Set64(done)
}

func (b *auditBar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

func (b *auditBar) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

func newAuditSealCommand() *cobra.Command {
	var tenant, output string
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Seal what was stored until now, and print the last seal of each tenant",
		Long: `Seal what was stored since the last seal, and print the last seal of each tenant. Processors seal every hour by themselves.
The last seal vouches for all before it: keep what is printed where nobody who can change the database can change it.`,
		Example: `  rastro audit seal
  rastro audit seal -o json > seals-$(date +%F).json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != outputText && output != outputJSON {
				return exitWith(exitUsage, fmt.Errorf("-o is %q; it is text or json", output))
			}
			return withStore(cmd.Context(), func(db *store.Store) error {
				if _, err := db.Seal(cmd.Context()); err != nil {
					return err
				}
				seals, err := db.Seals(cmd.Context(), tenant, true)
				if err != nil {
					return err
				}
				return writeSeals(cmd.OutOrStdout(), seals, output)
			})
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "print only this tenant's")
	cmd.Flags().StringVarP(&output, "output", "o", outputText, "text or json")
	return cmd
}

func writeSeals(out io.Writer, seals []store.Seal, output string) error {
	if output == outputJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(append([]store.Seal{}, seals...))
	}
	if len(seals) == 0 {
		_, err := fmt.Fprintln(out, "Nothing is stored yet.")
		return err
	}
	rows := [][]string{{"TENANT", "SEAL", "SEALED AT", "HASH"}}
	for _, s := range seals {
		rows = append(rows, []string{s.TenantID, fmt.Sprint(s.Number), s.SealedAt.Format(time.RFC3339), fmt.Sprintf("%x", []byte(s.Hash))})
	}
	return writeTable(out, rows)
}
