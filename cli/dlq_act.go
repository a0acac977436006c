package cli

import (
	"bufio"
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
	pollJobEvery = 250 * time.Millisecond
	// outcomesWithin is how long to wait for what becomes of the last events, once all are published.
	outcomesWithin = 5 * time.Second
)

// dlqAction is `rastro dlq redrive` or `rastro dlq discard`.
type dlqAction struct {
	dlqOptions
	letterFilter

	name    string // as in the address
	streams streams
	why     string
	rate    float64
	all     bool
	yes     bool
	detach  bool
	dryRun  bool
}

func newDLQRedriveCommand(streams streams) *cobra.Command {
	action := &dlqAction{name: store.LetterRedrive, streams: streams}
	cmd := action.command("Send dead letters again to the stage that rejected them", `Send the events of dead letters again to the stage that rejected them, under the same UIDs: what is stored already is not stored
twice. When the pipeline has no such stage any more, they begin at its first. A letter that is being redriven is not redriven
again until its event is rejected again, or nothing is heard of it for ten minutes.

--dry-run tries the letters on today's configuration, and changes nothing.`)
	flags := cmd.Flags()
	flags.Float64Var(&action.rate, "rate", 100, "how many a second, at most")
	flags.BoolVar(&action.dryRun, "dry-run", false, "only say what would happen to each")
	return cmd
}

func newDLQDiscardCommand(streams streams) *cobra.Command {
	action := &dlqAction{name: store.LetterDiscard, streams: streams, rate: 1000}
	return action.command("Note that dead letters are not to be redriven", `Note that dead letters are not to be redriven. They stay readable, and can be redriven all the same when they are asked for by
their ids or with --state discarded.`)
}

func (a *dlqAction) command(short, long string) *cobra.Command {
	cmd := &cobra.Command{Use: a.name + " [ID...]", Short: short, Long: long, Args: cobra.ArbitraryArgs, RunE: a.run}
	a.dlqOptions.add(cmd)
	a.letterFilter.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&a.why, "why", "", "the reason, for the record")
	flags.BoolVar(&a.all, "all", false, "all that are open, when nothing else says which")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&a.detach, "detach", false, "do not wait until the job is done")
	return cmd
}

func (a *dlqAction) run(cmd *cobra.Command, ids []string) error {
	if !a.given() && len(ids) == 0 && !a.all {
		return exitWith(exitUsage, fmt.Errorf("say which dead letters to %s: by id, by --reason, --stage, --carrier and the like, or --all that are open", a.name))
	}
	filter, err := a.filter(ids, a.streams.now())
	if err != nil {
		return err
	}
	role := roleOpsWrite
	if a.dryRun {
		role = roleOpsRead
	}
	client, err := a.open(cmd, a.streams, roleOpsRead, role)
	if err != nil {
		return err
	}
	defer client.close()
	if a.dryRun {
		return a.try(cmd, client, filter)
	}
	expected, err := a.matched(cmd.Context(), client, filter)
	if err != nil {
		return err
	}
	if err := a.confirm(cmd, expected); err != nil {
		return err
	}
	query := a.whose(url.Values{
		"expectedCount": {strconv.Itoa(expected.Count)}, "rate": {strconv.FormatFloat(a.rate, 'f', -1, 64)},
	})
	var answer ops.Answer
	body, err := ask(cmd.Context(), client, http.MethodPost, deadLettersPath+"/"+a.name, query, a.body(filter), &answer)
	if err != nil {
		return err
	}
	if answer.Job == nil {
		return errors.New("the server's answer is not understood: it names no job")
	}
	if a.detach {
		if a.json {
			return printBody(cmd.OutOrStdout(), body)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "Job %s has taken on %s; `rastro dlq job %[1]s` shows how it gets on.\n", answer.Job.ID, countLetters(answer.Job.Total))
		return err
	}
	view := jobView{options: &a.dlqOptions, streams: a.streams, client: client}
	return view.follow(cmd, answer.Job)
}

func (a *dlqAction) body(filter store.LetterFilter) map[string]any {
	return map[string]any{"filter": filter, "reason": a.why}
}

// matched counts the letters that are meant.
func (a *dlqAction) matched(ctx context.Context, client *apiClient, filter store.LetterFilter) (store.LetterGroup, error) {
	query := a.whose(filterQuery(filter))
	query.Set("by", "pipeline")
	var groups ops.LetterGroups
	if _, err := ask(ctx, client, http.MethodGet, deadLettersPath+"/groups", query, nil, &groups); err != nil {
		return store.LetterGroup{}, err
	}
	var all store.LetterGroup
	for _, g := range groups.Items {
		if all.Count == 0 || g.Oldest.Before(all.Oldest) {
			all.Oldest = g.Oldest
		}
		all.Count += g.Count
	}
	if all.Count == 0 {
		return all, exitWith(exitNotFound, errors.New("no dead letters match"))
	}
	return all, nil
}

// confirm asks whether the letters are meant.
func (a *dlqAction) confirm(cmd *cobra.Command, letters store.LetterGroup) error {
	if a.yes {
		return nil
	}
	if !a.streams.terminal(cmd.InOrStdin()) {
		return exitWith(exitUsage, fmt.Errorf("%s match: say --yes to %s them without being asked", countLetters(letters.Count), a.name))
	}
	verb := strings.ToUpper(a.name[:1]) + a.name[1:]
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s %s, the oldest rejected %s ago? [y/N] ", verb, countLetters(letters.Count),
		ago(a.streams.now().Sub(letters.Oldest))); err != nil {
		return err
	}
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if said := strings.ToLower(strings.TrimSpace(answer)); said != "y" && said != "yes" {
		return exitWith(exitFailure, errors.New("nothing was done"))
	}
	return nil
}

// try prints what would happen.
func (a *dlqAction) try(cmd *cobra.Command, client *apiClient, filter store.LetterFilter) error {
	var answer ops.Answer
	body, err := ask(cmd.Context(), client, http.MethodPost, deadLettersPath+"/redrive", a.whose(url.Values{"dryRun": {"true"}}), a.body(filter), &answer)
	if err != nil {
		return err
	}
	t := answer.Trial
	if t == nil {
		return errors.New("the server's answer is not understood: it says nothing of a trial")
	}
	out := cmd.OutOrStdout()
	if a.json {
		err = printBody(out, body)
	} else {
		err = printTrial(out, t)
	}
	if err != nil {
		return err
	}
	if t.Matched == 0 {
		return exitWith(exitNotFound, errors.New("no dead letters match"))
	}
	if t.Outcomes["rejected"]+t.Outcomes["failed"]+t.Outcomes["unknown"] > 0 {
		return exitWith(exitRejected, nil)
	}
	return nil
}

func printTrial(out io.Writer, t *ops.Trial) error {
	rows := make([][]string, len(t.Letters))
	for i, l := range t.Letters {
		enters := l.Enters
		if l.FromStart {
			enters += " (there is no stage " + l.Stage + " any more)"
		}
		rows[i] = []string{l.LetterID.String(), l.Pipeline + "." + l.Stage, enters, l.Outcome, l.At, l.Code, cut(l.Message, 80)}
	}
	if len(rows) > 0 {
		if err := writeClean(out, []string{"ID", "REJECTED BY", "WOULD ENTER AT", "OUTCOME", "AT", "REASON", "MESSAGE"}, rows); err != nil {
			return err
		}
	}
	parts := make([]string, 0, 5)
	for _, outcome := range []struct{ name, says string }{
		{"pass", "would pass"}, {"dropped", "would be dropped"}, {"rejected", "would be rejected again"}, {"failed", "cannot be redriven"},
		{"unknown", "got no answer"},
	} {
		if n := t.Outcomes[outcome.name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome.says))
		}
	}
	text := fmt.Sprintf("Tried %d of %s: %s. Nothing was changed.\n", t.Tried, countLetters(t.Matched), strings.Join(parts, ", "))
	if t.Matched == 0 {
		text = ""
	}
	if len(t.NotRun) > 0 {
		text += "Taken to pass, because they do something outside: " + strings.Join(t.NotRun, ", ") + ".\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// jobView shows how a job gets on.
type jobView struct {
	options *dlqOptions
	streams streams
	client  *apiClient
}

func (v jobView) get(ctx context.Context, id string) (*ops.Job, []byte, error) {
	job := &ops.Job{}
	body, err := ask(ctx, v.client, http.MethodGet, deadLettersPath+"/jobs/"+url.PathEscape(id), v.options.whose(url.Values{}), nil, job)
	return job, body, err
}

// follow shows the job's progress until it has ended, and what came of it. The job goes on when the command is interrupted.
func (v jobView) follow(cmd *cobra.Command, job *ops.Job) error {
	var bar *progressbar.ProgressBar
	if w := cmd.ErrOrStderr(); v.streams.terminal(w) && !v.options.json {
		bar = progressbar.NewOptions(job.Total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(job.Action),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("letters"),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(redrawEvery))
	}
	id := job.ID.String()
	var body []byte
	ended := time.Time{}
	for {
		var err error
		if job, body, err = v.get(cmd.Context(), id); err != nil {
			if cmd.Context().Err() != nil {
				return exitWith(exitFailure, fmt.Errorf("not waiting any more; the job goes on: `rastro dlq job %s` shows it, and --cancel ends it", id))
			}
			if !transient(err) {
				return err
			}
		} else {
			if bar != nil {
				_ = bar.Set(job.Settled)
			}
			if job.State != store.JobRunning && ended.IsZero() {
				ended = time.Now()
			}
			if !ended.IsZero() && (job.Outcomes == nil || job.Outcomes.UnderWay == 0 || time.Since(ended) > outcomesWithin) {
				break
			}
		}
		timer := time.NewTimer(pollJobEvery)
		select {
		case <-timer.C:
		case <-cmd.Context().Done():
			timer.Stop()
		}
	}
	if bar != nil {
		_ = bar.Finish()
	}
	return v.print(cmd.OutOrStdout(), job, body)
}

func (v jobView) print(out io.Writer, job *ops.Job, body []byte) error {
	var err error
	if v.options.json {
		err = printBody(out, body)
	} else {
		_, err = io.WriteString(out, renderJob(job))
	}
	if err == nil && job.Failed > 0 {
		err = exitWith(exitRejected, nil)
	}
	return err
}

func renderJob(job *ops.Job) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Job %s (%s) by %s: %s, %d of %s", job.ID, job.Action, clean(job.Who), job.State, job.Settled, countLetters(job.Total))
	if job.PerSecond > 0 {
		fmt.Fprintf(&text, ", %.0f a second", job.PerSecond)
	}
	text.WriteByte('\n')
	for _, line := range []struct {
		count int
		says  string
	}{
		{job.Redriven, "redriven"}, {job.Discarded, "discarded"}, {job.Skipped, "skipped"}, {job.Failed, "failed"},
	} {
		if line.count > 0 {
			fmt.Fprintf(&text, "  %d %s\n", line.count, line.says)
		}
	}
	if o := job.Outcomes; o != nil && job.Redriven > 0 {
		fmt.Fprintf(&text, "  of the redriven %d stored, ", o.Stored)
		if o.Passed > 0 {
			fmt.Fprintf(&text, "%d passed, ", o.Passed)
		}
		if o.Dropped > 0 {
			fmt.Fprintf(&text, "%d dropped by a stage, ", o.Dropped)
		}
		fmt.Fprintf(&text, "%d rejected again, %d with no answer yet\n", o.RejectedAgain, o.UnderWay)
	}
	for _, n := range job.Notes {
		fmt.Fprintf(&text, "  %d %s: %s (such as %s)\n", n.Count, n.Result, clean(n.Message), n.Example)
	}
	if job.Trouble != "" {
		fmt.Fprintf(&text, "  it stands still: %s\n", clean(job.Trouble))
	}
	return text.String()
}

func newDLQJobCommand(streams streams) *cobra.Command {
	var options dlqOptions
	var cancel, watch bool
	cmd := &cobra.Command{
		Use:   "job [ID]",
		Short: "Show the jobs that redrive and discard dead letters, or one of them; or cancel it",
		Args:  usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			roles := []string{roleOpsRead}
			if cancel {
				roles = append(roles, roleOpsWrite)
			}
			if len(args) == 0 && (cancel || watch) {
				return exitWith(exitUsage, errors.New("say which job: `rastro dlq job` lists them"))
			}
			client, err := options.open(cmd, streams, roles...)
			if err != nil {
				return err
			}
			defer client.close()
			view := jobView{options: &options, streams: streams, client: client}
			if len(args) == 0 {
				return view.list(cmd)
			}
			if cancel {
				path := deadLettersPath + "/jobs/" + url.PathEscape(args[0]) + "/cancel"
				if _, err := ask(cmd.Context(), client, http.MethodPost, path, options.whose(url.Values{}), nil, &ops.Job{}); err != nil {
					return err
				}
			}
			job, body, err := view.get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if watch {
				return view.follow(cmd, job)
			}
			return view.print(cmd.OutOrStdout(), job, body)
		},
	}
	options.add(cmd)
	cmd.Flags().BoolVar(&cancel, "cancel", false, "have the job stop; letters that it has not begun with stay as they are")
	cmd.Flags().BoolVar(&watch, "watch", false, "wait until it has ended")
	return cmd
}

func (v jobView) list(cmd *cobra.Command) error {
	var jobs ops.JobList
	body, err := ask(cmd.Context(), v.client, http.MethodGet, deadLettersPath+"/jobs", v.options.whose(url.Values{}), nil, &jobs)
	if err != nil {
		return err
	}
	if v.options.json {
		return printBody(cmd.OutOrStdout(), body)
	}
	rows := make([][]string, len(jobs.Items))
	for i, j := range jobs.Items {
		rows[i] = []string{j.ID.String(), j.CreatedAt.Format(time.RFC3339), j.Action, j.State, fmt.Sprintf("%d/%d", j.Settled, j.Total), j.Who, j.Reason}
	}
	return writeClean(cmd.OutOrStdout(), []string{"ID", "ASKED FOR", "ACTION", "STATE", "SETTLED", "WHO", "WHY"}, rows)
}
