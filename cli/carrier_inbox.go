package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/store"
)

const (
	carriersPath = "/api/v1/carriers"
	codeJobsPath = carriersPath + "/unmapped/jobs/"
)

// inboxOptions are what the commands on the inbox share.
type inboxOptions struct {
	target

	json    bool
	foreign bool // --tenant was given
}

func (o *inboxOptions) add(cmd *cobra.Command) {
	o.addFlags(cmd)
	cmd.Flags().Lookup("tenant").Usage = "whose codes (default: those of the token's tenant)"
	cmd.Flags().BoolVar(&o.json, "json", false, "print the answer as JSON")
}

func (o *inboxOptions) open(cmd *cobra.Command, streams streams, roles ...string) (*apiClient, error) {
	o.foreign = cmd.Flags().Changed("tenant")
	return o.connect(cmd.Context(), streams, roles...)
}

// whose adds to a query whose codes are meant.
func (o *inboxOptions) whose(query url.Values) url.Values {
	if o.foreign {
		query.Set("tenant", o.tenant)
	}
	return query
}

// carrierInbox is `rastro carrier inbox`.
type carrierInbox struct {
	inboxOptions

	carrier string
	states  []string
	limit   int
}

func (c *carrierCommand) inboxCommand() *cobra.Command {
	var inbox carrierInbox
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "Show the codes that nothing knows, how often they came, and what they may mean",
		Long: `Show the codes that neither the carrier's table nor milestones.yaml knew when events with them were stored, those that came most often
first. Their events are kept as the milestone "unknown" and move nothing, until somebody says what the code means: ` + "`apply`" + ` does, for
the events that are in the store as for those to come. What is proposed is taken from similar codes; look at a sample before you apply it.

Exit codes: 0 done, 2 the command line is wrong, 4 there is no such carrier, 5 the server cannot be reached or does not let us in.`,
		Example: `  rastro carrier inbox
  rastro carrier inbox --carrier acme --json
  rastro carrier inbox apply acme HUB7 arrived --config ./own
  rastro carrier inbox dismiss acme PING --reason "their heartbeat"`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return inbox.run(cmd, c.streams) },
	}
	inbox.add(cmd)
	cmd.Flags().StringVar(&inbox.carrier, "carrier", "", "only the codes of this `carrier`, or of a source that is no carrier's")
	cmd.Flags().StringSliceVar(&inbox.states, "state", nil, "open, applied, dismissed or all (default: open)")
	cmd.Flags().IntVar(&inbox.limit, "limit", 100, "how many, at most")
	cmd.AddCommand(c.inboxApplyCommand(), c.inboxDismissCommand())
	return cmd
}

func (i *carrierInbox) run(cmd *cobra.Command, streams streams) error {
	if i.limit < 1 {
		return exitWith(exitUsage, errors.New("--limit is 1 or more"))
	}
	client, err := i.open(cmd, streams, roleOpsRead)
	if err != nil {
		return err
	}
	defer client.close()
	codes, err := i.read(cmd.Context(), client)
	if err != nil {
		return err
	}
	if i.json {
		return printJSON(cmd.OutOrStdout(), codes)
	}
	if len(codes) == 0 {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Nothing: every code that came is known.")
		return err
	}
	rows := make([][]string, len(codes))
	for n, code := range codes {
		rows[n] = inboxRow(code, streams.now())
	}
	return writeClean(cmd.OutOrStdout(), []string{"CARRIER", "CODE", "EVENTS", "LAST", "SAMPLE", "PROPOSED LINE", "SURE", "WHY"}, rows)
}

// read reads pages until there are enough.
func (i *carrierInbox) read(ctx context.Context, client *apiClient) ([]ops.UnmappedCode, error) {
	path := carriersPath + "/unmapped"
	if i.carrier != "" {
		path = carriersPath + "/" + url.PathEscape(i.carrier) + "/unmapped"
	}
	codes, cursor := []ops.UnmappedCode{}, ""
	for {
		query := i.whose(url.Values{"limit": {strconv.Itoa(min(i.limit-len(codes), 200))}})
		for _, state := range i.states {
			query.Add("state", state)
		}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page ops.UnmappedPage
		if _, err := ask(ctx, client, http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		codes = append(codes, page.Items...)
		if cursor = page.NextCursor; cursor == "" || len(codes) >= i.limit {
			return codes, nil
		}
	}
}

func inboxRow(c ops.UnmappedCode, now time.Time) []string {
	row := []string{c.Carrier, c.Code, thousands(int(c.Count)), ago(now.Sub(c.LastAt)), "", "", "", ""}
	if len(c.Samples) > 0 {
		row[4] = c.Samples[0].CorrelationID
	}
	switch {
	case c.State == store.CodeApplied:
		row[5], row[7] = c.Key+": "+firstOf(c.Decision.Milestone, "")+exceptionText(c.Decision.Exception), "applied by "+c.Decision.Who
	case c.State == store.CodeDismissed:
		row[7] = strings.TrimSuffix("dismissed by "+c.Decision.Who+": "+c.Decision.Reason, ": ")
	case c.Proposal != nil:
		row[5], row[6], row[7] = c.Proposal.Line, fmt.Sprintf("%.0f %%", 100*c.Proposal.Confidence), c.Proposal.Why
	}
	return row
}

func exceptionText(exception string) string {
	if exception == "" {
		return ""
	}
	return " (" + exception + ")"
}

// codeAddress returns the address of an unmapped code.
func codeAddress(carrier, code, action string) string {
	return carriersPath + "/" + url.PathEscape(carrier) + "/unmapped/" + url.PathEscape(code) + "/" + action
}

// decide posts a decision, and waits until the traces are folded anew.
func (o *inboxOptions) decide(cmd *cobra.Command, streams streams, client *apiClient, path string, body any) error {
	var job store.CodeJob
	answer, err := ask(cmd.Context(), client, http.MethodPost, path, o.whose(url.Values{}), body, &job)
	if err != nil {
		return err
	}
	var bar *progressbar.ProgressBar
	if w := cmd.ErrOrStderr(); streams.terminal(w) && !o.json {
		bar = progressbar.NewOptions64(job.Total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("folding traces anew"),
			progressbar.OptionShowCount(), progressbar.OptionSetItsString("events"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(redrawEvery))
		defer func() { _ = bar.Finish() }()
	}
	for job.State == store.JobRunning {
		timer := time.NewTimer(pollJobEvery)
		select {
		case <-timer.C:
		case <-cmd.Context().Done():
			timer.Stop()
			return exitWith(exitFailure, fmt.Errorf("not waiting any more; the traces go on being folded: job %s", job.ID))
		}
		read, err := ask(cmd.Context(), client, http.MethodGet, codeJobsPath+job.ID.String(), o.whose(url.Values{}), nil, &job)
		switch {
		case err == nil:
			answer = read
		case !transient(err):
			return err
		}
		if bar != nil {
			_ = bar.Set64(job.Done)
		}
	}
	if o.json {
		return printBody(cmd.OutOrStdout(), answer)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), codeJobText(job))
	return err
}

func codeJobText(job store.CodeJob) string {
	means := "is dismissed"
	if job.Action == "apply" {
		means = strings.TrimSuffix("means "+firstOf(job.Milestone, "no milestone")+exceptionText(job.Exception), " ")
	}
	return fmt.Sprintf("%s of %s %s: %s with it, %s folded anew, %s changed.\n", clean(job.Code), clean(job.Carrier), means,
		counted(int(job.Total), "event"), counted(int(job.Traces), "trace"), thousands(int(job.Changed)))
}

func (c *carrierCommand) inboxDismissCommand() *cobra.Command {
	var options inboxOptions
	var why string
	cmd := &cobra.Command{
		Use:   "dismiss CARRIER CODE",
		Short: "Note that a code is of no interest",
		Long: `Note that a code is of no interest: the inbox does not show it any more unless it is asked for. A meaning that it was given by ` + "`apply`" + `
is taken back, and the traces concerned are folded anew; a line in the carrier's table stays.

Exit codes: 0 done, 2 the command line is wrong, 4 no such code came, 5 the server cannot be reached or does not let us in.`,
		Example: `  rastro carrier inbox dismiss acme PING --reason "their heartbeat"`,
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := options.open(cmd, c.streams, roleOpsRead, roleOpsWrite)
			if err != nil {
				return err
			}
			defer client.close()
			return options.decide(cmd, c.streams, client, codeAddress(args[0], args[1], "dismiss"), map[string]string{"reason": why})
		},
	}
	options.add(cmd)
	cmd.Flags().StringVar(&why, "reason", "", "why, for the record")
	return cmd
}
