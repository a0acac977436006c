package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
)

const (
	rolePersonalRead   = "personal:read"
	rolePersonalForget = "personal:forget"
)

// personalOptions are the flags of commands on personal data.
type personalOptions struct {
	target

	reason, output string
}

func (o *personalOptions) add(cmd *cobra.Command) {
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.Lookup("tenant").Usage = "whose data (default: that of the token's tenant)"
	flags.StringVar(&o.reason, "reason", "", "why, for the record; required")
	flags.StringVarP(&o.output, "output", "o", "text", "text or json")
}

func (o *personalOptions) check() error {
	if len(strings.TrimSpace(o.reason)) < 3 {
		return exitWith(exitUsage, errors.New("say why with --reason, such as --reason 'request 4711'; it is noted in the audit"))
	}
	if o.output != "text" && o.output != "json" {
		return exitWith(exitUsage, fmt.Errorf("--output is %q; it is text or json", o.output))
	}
	return nil
}

// whose adds to a query whose data is meant.
func (o *personalOptions) whose(cmd *cobra.Command, query url.Values) url.Values {
	if cmd.Flags().Changed("tenant") {
		query.Set("tenant", o.tenant)
	}
	return query
}

// forgetCommand is `rastro forget`.
type forgetCommand struct {
	personalOptions

	streams     streams
	dryRun, yes bool
}

func newForgetCommand(streams streams) *cobra.Command {
	f := &forgetCommand{streams: streams}
	cmd := &cobra.Command{
		Use:   "forget SUBJECT",
		Short: "Make unreadable for ever what events say about somebody",
		Long: `Destroy the key that the personal data of a subject is sealed under. What events and dead letters say about them is unreadable
from then on, for ever and for everybody; the events themselves, and what proves that nobody changed them, stay as they are.

SUBJECT is what the events name the person by: the "subject" of their personal data. Needs the role personal:forget. What had been
received before, and is stored later, is not kept either. Brokers and backups hold what they hold until it expires there.`,
		Example: `  rastro forget C-20817 --reason 'request 4711' --dry-run
  rastro forget C-20817 --reason 'request 4711' --yes -o json`,
		Args: usage(cobra.ExactArgs(1)), RunE: f.run,
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what there is")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (f *forgetCommand) run(cmd *cobra.Command, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	client, err := f.connect(cmd.Context(), f.streams, rolePersonalForget)
	if err != nil {
		return err
	}
	defer client.close()
	ask := func(dryRun bool) (found store.Forgotten, body []byte, err error) {
		query := f.whose(cmd, url.Values{"dryRun": {fmt.Sprint(dryRun)}})
		body, err = ask(cmd.Context(), client, http.MethodPost, "/api/v1/personal/forget", query,
			map[string]string{"subject": args[0], "reason": f.reason}, &found)
		return found, body, err
	}
	found, body, err := ask(true)
	if err == nil && !f.dryRun {
		if err = f.confirm(cmd, args[0], found); err == nil {
			found, body, err = ask(false)
		}
	}
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printBody(cmd.OutOrStdout(), body)
	}
	return f.print(cmd.OutOrStdout(), found)
}

// confirm has the subject typed again.
func (f *forgetCommand) confirm(cmd *cobra.Command, subject string, found store.Forgotten) error {
	if f.yes || found.ForgottenAt != nil && found.Events == 0 {
		return nil
	}
	if !f.streams.terminal(cmd.InOrStdin()) {
		return exitWith(exitUsage, errors.New("say --yes to forget without being asked; it cannot be undone"))
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s This cannot be undone. Type the subject again to go on: ", readable(found)); err != nil {
		return err
	}
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != subject {
		return exitWith(exitFailure, errors.New("nothing was done"))
	}
	return nil
}

// readable says what is readable of a subject.
func readable(f store.Forgotten) string {
	text := fmt.Sprintf("Personal data of %d events in %d traces and of %d dead letters", f.Events, f.Traces, f.DeadLetters)
	if f.Since != nil {
		text += ", since " + f.Since.Format(time.RFC3339)
	}
	return text + "."
}

func (f *forgetCommand) print(out io.Writer, found store.Forgotten) error {
	var err error
	switch {
	case f.dryRun && found.ForgottenAt != nil && found.Events+found.DeadLetters == 0:
		_, err = fmt.Fprintf(out, "Forgotten since %s; nothing is readable.\n", found.ForgottenAt.Format(time.RFC3339))
	case f.dryRun:
		_, err = fmt.Fprintln(out, readable(found)+" Nothing was changed.")
	case found.Keys == 0:
		_, err = fmt.Fprintf(out, "Forgotten already, at %s.\n", found.ForgottenAt.Format(time.RFC3339))
	default:
		_, err = fmt.Fprintln(out, readable(found)+" It is unreadable from now on.")
	}
	return err
}

func newPersonalCommand(streams streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "personal",
		Short: "Read what an event says about a person; wrap the keys of it anew",
		Long: `What events say about people is kept apart from them, encrypted under a key of its subject. These commands read it, which is
noted in the audit each time, and rotate the master key that wraps the subjects' keys. ` + "`rastro forget`" + ` destroys a subject's key.`,
	}
	cmd.AddCommand(newPersonalShowCommand(streams), newPersonalRewrapCommand())
	return cmd
}

func newPersonalShowCommand(streams streams) *cobra.Command {
	o := &personalOptions{}
	cmd := &cobra.Command{
		Use:     "show UID",
		Short:   "Show what an event says about a person",
		Long:    `Show what the event with a UID says about a person. Needs the role personal:read, and is noted in the audit with the reason.`,
		Example: `  rastro personal show 018f6e1c-0000-7000-8000-000000000001 --reason 'claim 4711'`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			client, err := o.connect(cmd.Context(), streams, rolePersonalRead)
			if err != nil {
				return err
			}
			defer client.close()
			var answer ops.PersonalAnswer
			body, err := ask(cmd.Context(), client, http.MethodGet, "/api/v1/events/"+url.PathEscape(args[0])+"/personal",
				o.whose(cmd, url.Values{"reason": {o.reason}}), nil, &answer)
			if err != nil {
				return err
			}
			if o.output == "json" {
				return printBody(cmd.OutOrStdout(), body)
			}
			return printPersonal(cmd.OutOrStdout(), answer)
		},
	}
	o.add(cmd)
	return cmd
}

func printPersonal(out io.Writer, answer ops.PersonalAnswer) error {
	lines := []string{"subject  " + printable(answer.Subject)}
	if len(answer.Data) > 0 {
		lines = append(lines, "data     "+string(answer.Data))
	}
	for _, field := range answer.Fields {
		lines = append(lines, printable(field.Field)+"  "+string(field.Value))
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// printable takes from a text what a terminal would act on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

func newPersonalRewrapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap",
		Short: "Wrap the keys of all subjects by the first master key",
		Long: `Wrap the keys of all subjects of the database that RASTRO_DATABASE_URL names by the first of the master keys in
RASTRO_PERSONAL_KEY. To rotate: put a new key before the old one, restart every process, run this, take the old one away. It may
be broken off and run again.`,
		Example: `  RASTRO_PERSONAL_KEY="$NEW,$OLD" rastro personal rewrap`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			for name, value := range map[string]string{"RASTRO_DATABASE_URL": process.Database.URL, "RASTRO_PERSONAL_KEY": process.Personal.Key} {
				if value == "" {
					return exitWith(exitUsage, fmt.Errorf("%s is not set", name))
				}
			}
			db, err := store.Open(cmd.Context(), storeConfig(process))
			if err != nil {
				return err
			}
			defer db.Close()
			count, err := db.Rewrap(cmd.Context(), func(looked int) {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d keys looked at\n", looked) // progress only
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d keys wrapped anew.\n", count)
			return err
		},
	}
}
