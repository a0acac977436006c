package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/store"
)

// pageOfLetters is how many letters are asked for at once.
const pageOfLetters = 200

func newDLQListCommand(streams streams) *cobra.Command {
	var options dlqOptions
	var chosen letterFilter
	var limit int
	cmd := &cobra.Command{
		Use:   "list [ID...]",
		Short: "List dead letters, those first that were rejected last",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return exitWith(exitUsage, fmt.Errorf("--limit is %d; it must be 1 or more", limit))
			}
			filter, err := chosen.filter(args, streams.now())
			if err != nil {
				return err
			}
			client, err := options.open(cmd, streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			letters, more, err := listLetters(cmd, client, options.whose(filterQuery(filter)), limit)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if options.json {
				return printJSON(out, map[string]any{"items": letters, "more": more})
			}
			return printLetters(out, letters, more, streams.now())
		},
	}
	options.add(cmd)
	chosen.add(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return cmd
}

func listLetters(cmd *cobra.Command, client *apiClient, query url.Values, limit int) (letters []store.Letter, more bool, err error) {
	letters = []store.Letter{}
	for {
		query.Set("limit", strconv.Itoa(min(pageOfLetters, limit-len(letters))))
		var page ops.LetterPage
		if _, err := ask(cmd.Context(), client, http.MethodGet, deadLettersPath, query, nil, &page); err != nil {
			return nil, false, err
		}
		letters = append(letters, page.Items...)
		if page.NextCursor == "" || len(letters) >= limit {
			return letters, page.NextCursor != "", nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeClean writes a table under heads. What comes from outside is cleaned of control characters.
func writeClean(out io.Writer, heads []string, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
	}
	return writeTable(out, append([][]string{heads}, rows...))
}

func printLetters(out io.Writer, letters []store.Letter, more bool, now time.Time) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(out, "No dead letters match.")
		return err
	}
	rows := make([][]string, len(letters))
	for i, l := range letters {
		rows[i] = []string{
			l.ID.String(), ago(now.Sub(l.At)), l.State, l.Pipeline + "." + l.Stage, l.Code, l.Source, l.EventType,
			strconv.Itoa(l.Attempts), cut(l.Message, 60),
		}
	}
	if err := writeClean(out, []string{"ID", "AGE", "STATE", "STAGE", "REASON", "CARRIER", "TYPE", "ATTEMPTS", "MESSAGE"}, rows); err != nil {
		return err
	}
	if more {
		_, err := fmt.Fprintf(out, "There are more than these %d: narrow the filter, or raise --limit. `rastro dlq groups` counts them.\n", len(letters))
		return err
	}
	return nil
}

// ago says how long something is past in one unit.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(max(0, int(d.Seconds()))) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func newDLQGroupsCommand(streams streams) *cobra.Command {
	var options dlqOptions
	var chosen letterFilter
	var by []string
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "Count dead letters by what they have in common",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := chosen.filter(nil, streams.now())
			if err != nil {
				return err
			}
			client, err := options.open(cmd, streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			query := options.whose(filterQuery(filter))
			query["by"] = by
			var groups ops.LetterGroups
			body, err := ask(cmd.Context(), client, http.MethodGet, deadLettersPath+"/groups", query, nil, &groups)
			if err != nil {
				return err
			}
			if options.json {
				return printBody(cmd.OutOrStdout(), body)
			}
			rows := make([][]string, len(groups.Items))
			now := streams.now()
			for i, g := range groups.Items {
				what := strings.Join(nonEmpty(g.Pipeline, g.Stage, g.Code, g.Source, g.EventType, g.State), "  ")
				rows[i] = []string{strconv.Itoa(g.Count), what, ago(now.Sub(g.Oldest)), ago(now.Sub(g.Newest)), cut(g.Example, 60)}
			}
			return writeClean(cmd.OutOrStdout(), []string{"COUNT", strings.ToUpper(strings.Join(by, "  ")), "OLDEST", "NEWEST", "EXAMPLE"}, rows)
		},
	}
	options.add(cmd)
	chosen.add(cmd.Flags())
	cmd.Flags().StringSliceVar(&by, "by", []string{"stage", "reason", "source"}, "pipeline, stage, reason, source, event_type, state")
	return cmd
}

func nonEmpty(texts ...string) (kept []string) {
	for _, text := range texts {
		if text != "" {
			kept = append(kept, text)
		}
	}
	return kept
}

func printBody(out io.Writer, body []byte) error {
	_, err := out.Write(append(bytes.TrimRight(body, "\n"), '\n'))
	return err
}

func newDLQShowCommand(streams streams) *cobra.Command {
	var options dlqOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter: why, the original event, and all that was done with it",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := options.open(cmd, streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			var letter ops.LetterDetail
			body, err := ask(cmd.Context(), client, http.MethodGet, deadLettersPath+"/"+url.PathEscape(args[0]), options.whose(url.Values{}), nil, &letter)
			if err != nil {
				return err
			}
			if options.json {
				return printBody(cmd.OutOrStdout(), body)
			}
			return printLetter(cmd.OutOrStdout(), letter)
		},
	}
	options.add(cmd)
	return cmd
}

func printLetter(out io.Writer, l ops.LetterDetail) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"letter", l.ID.String()}, {"event", l.UID.String()}, {"tenant", l.TenantID}, {"state", l.State},
		{"rejected", l.At.Format(time.RFC3339) + " by " + l.Pipeline + "." + l.Stage}, {"reason", l.Code + ": " + l.Message}, {"field", l.Field},
		{"carrier", l.Source}, {"type", l.EventType}, {"journey", l.CorrelationID}, {"attempts", strconv.Itoa(l.Attempts)}, {"trace", l.TraceID},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], clean(row[1]))
		}
	}
	_ = table.Flush() // a strings.Builder takes everything
	text.WriteString("\nHistory\n")
	for _, e := range l.History {
		line := e.At.Format(time.RFC3339) + "  " + e.What
		if e.Who != "" {
			line += " by " + e.Who
		}
		if said := strings.Join(nonEmpty(e.Code, e.Message), ": "); said != "" {
			line += " (" + said + ")"
		}
		text.WriteString("  " + clean(line) + "\n")
	}
	text.WriteString("\nOriginal\n")
	var indented bytes.Buffer
	switch {
	case len(l.Event) > 0 && json.Indent(&indented, l.Event, "", "  ") == nil:
		text.WriteString(indented.String())
	case l.Text != "":
		text.WriteString(clean(l.Text))
	default:
		text.WriteString(l.Original + " (base64)")
	}
	text.WriteByte('\n')
	_, err := io.WriteString(out, text.String())
	return err
}

func newDLQAuditCommand(streams streams) *cobra.Command {
	var options dlqOptions
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who redrove and discarded what, and why",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := options.open(cmd, streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			query := options.whose(url.Values{"limit": {strconv.Itoa(limit)}})
			var page live.AuditTrail
			body, err := ask(cmd.Context(), client, http.MethodGet, auditPath, query, nil, &page)
			if err != nil {
				return err
			}
			if options.json {
				return printBody(cmd.OutOrStdout(), body)
			}
			rows := make([][]string, len(page.Items))
			for i, e := range page.Items {
				rows[i] = []string{e.At.Format(time.RFC3339), firstOf(e.Name, e.Subject), e.Action, strconv.Itoa(e.Count), cut(string(e.Filter), 80), e.Reason}
			}
			return writeClean(cmd.OutOrStdout(), []string{"AT", "WHO", "ACTION", "COUNT", "FILTER", "WHY"}, rows)
		},
	}
	options.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most, up to 500")
	return cmd
}
