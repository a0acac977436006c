package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/live"
)

const alertsPath = "/api/v1/alerts"

// alertOptions are the flags that every command on alerts has.
type alertOptions struct {
	target

	json    bool
	foreign bool // --tenant was given
}

func (o *alertOptions) add(cmd *cobra.Command) {
	o.addFlags(cmd)
	cmd.Flags().Lookup("tenant").Usage = "whose alerts (default: those of the token's tenant)"
	cmd.Flags().BoolVar(&o.json, "json", false, "print the answer as JSON")
}

// open connects with a token that has the roles, and returns what of the query says whose alerts are meant.
func (o *alertOptions) open(cmd *cobra.Command, streams streams, roles ...string) (*apiClient, url.Values, error) {
	o.foreign = cmd.Flags().Changed("tenant")
	query := url.Values{}
	if o.foreign {
		query.Set("tenant", o.tenant)
	}
	client, err := o.connect(cmd.Context(), streams, roles...)
	return client, query, err
}

// newAlertsCommand makes `rastro alerts`.
func newAlertsCommand(streams streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "See what is wrong, and silence what is known",
		Long: `See what is wrong just now, since when, and what to do; and silence what is known for a while.

docs/alerts.md says what is looked for, docs/runbooks what to do.

Exit code 2: the command line is wrong. 3: with --fail, something is critical. 4: there is no such alert.
5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro alerts list
  rastro alerts silence carrier-silent:LA-baggage --for 2h --why "they are moving their data centre"
  rastro alerts unsilence carrier-silent:LA-baggage`,
	}
	cmd.AddCommand(newAlertsListCommand(streams), newAlertsSilenceCommand(streams), newAlertsUnsilenceCommand(streams))
	return cmd
}

func newAlertsListCommand(streams streams) *cobra.Command {
	var options alertOptions
	var all, fail bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is wrong, the worst first",
		Long: `List what is wrong, the worst first, and what is silenced behind all else. --all adds what will be wrong when it lasts, and what was in the
last seven days.`,
		Example: `  rastro alerts list
  rastro alerts list --all --json
  rastro alerts list --fail || echo "something is critical"`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, query, err := options.open(cmd, streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			var list live.AlertList
			if _, err := ask(cmd.Context(), client, http.MethodGet, alertsPath, query, nil, &list); err != nil {
				return err
			}
			if !all {
				list.Pending, list.Resolved = []live.Alert{}, []live.Alert{}
			}
			out := cmd.OutOrStdout()
			if options.json {
				err = printJSON(out, list)
			} else {
				err = printAlerts(out, list, streams.now())
			}
			if err == nil && fail && list.Counts.Critical > 0 {
				return exitWith(exitRejected, errors.New(count(list.Counts.Critical, "alert is critical", "alerts are critical")))
			}
			return err
		},
	}
	options.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also what will be wrong when it lasts, and what was lately")
	cmd.Flags().BoolVar(&fail, "fail", false, "exit with 3 when something is critical that nobody has silenced")
	return cmd
}

func printAlerts(out io.Writer, list live.AlertList, now time.Time) error {
	alerts := append(append(append([]live.Alert{}, list.Items...), list.Pending...), list.Resolved...)
	if len(alerts) == 0 {
		looked := "nobody has looked yet"
		if list.LookedAt != nil {
			looked = fmt.Sprintf("%s things were looked at %s ago", fmt.Sprint(len(list.Watched)), ago(now.Sub(*list.LookedAt)))
		}
		_, err := fmt.Fprintf(out, "Nothing is wrong; %s.\n", looked)
		return err
	}
	rows := make([][]string, len(alerts))
	for i, a := range alerts {
		state := a.State
		if a.Silence != nil {
			state += ", silenced until " + a.Silence.Until.Format("2006-01-02 15:04Z")
		}
		rows[i] = []string{a.Severity, state, ago(now.Sub(a.Since)), a.ID, a.Message, a.Runbook}
	}
	return writeClean(out, []string{"SEVERITY", "STATE", "SINCE", "ID", "WHAT", "RUNBOOK"}, rows)
}

func newAlertsSilenceCommand(streams streams) *cobra.Command {
	var options alertOptions
	var lasting time.Duration
	var why string
	cmd := &cobra.Command{
		Use:   "silence ID",
		Short: "Silence an alert for a while",
		Long: `Silence an alert for a while: it is listed below the others and not counted, until the silence ends by itself. It is noted who did it,
and why. Silenced anew, an alert stays so until the new end.`,
		Example: `  rastro alerts silence carrier-silent:LA-baggage --for 2h --why "they are moving their data centre"`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case lasting < time.Minute:
				return exitWith(exitUsage, fmt.Errorf("--for is %v; give it 1m or more", lasting))
			case len(strings.TrimSpace(why)) < 3:
				return exitWith(exitUsage, errors.New("say why with --why, for who comes after you"))
			}
			client, query, err := options.open(cmd, streams, roleOpsRead, roleOpsWrite)
			if err != nil {
				return err
			}
			defer client.close()
			body := map[string]any{"until": streams.now().Add(lasting).UTC().Format(time.RFC3339), "reason": why}
			a, err := silencing(cmd, client, http.MethodPost, args[0], query, body)
			if err != nil {
				return err
			}
			return options.print(cmd, a, func() string {
				return fmt.Sprintf("%s is silenced until %s.", a.ID, a.Silence.Until.Format(time.RFC3339))
			})
		},
	}
	options.add(cmd)
	cmd.Flags().DurationVar(&lasting, "for", time.Hour, "how long, such as 2h; 168h at most")
	cmd.Flags().StringVar(&why, "why", "", "why, for the record")
	return cmd
}

func newAlertsUnsilenceCommand(streams streams) *cobra.Command {
	var options alertOptions
	cmd := &cobra.Command{
		Use:     "unsilence ID",
		Short:   "End a silence",
		Example: `  rastro alerts unsilence carrier-silent:LA-baggage`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, query, err := options.open(cmd, streams, roleOpsRead, roleOpsWrite)
			if err != nil {
				return err
			}
			defer client.close()
			a, err := silencing(cmd, client, http.MethodDelete, args[0], query, nil)
			if err != nil {
				return err
			}
			return options.print(cmd, a, func() string { return a.ID + " is silenced no more." })
		},
	}
	options.add(cmd)
	return cmd
}

func silencing(cmd *cobra.Command, client *apiClient, method, id string, query url.Values, body any) (a live.Alert, err error) {
	_, err = ask(cmd.Context(), client, method, alertsPath+"/"+url.PathEscape(id)+"/silence", query, body, &a)
	return a, err
}

// print prints an alert that was changed, or says so in words.
func (o *alertOptions) print(cmd *cobra.Command, a live.Alert, words func() string) error {
	if o.json {
		return printJSON(cmd.OutOrStdout(), a)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), clean(words()))
	return err
}
