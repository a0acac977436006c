package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/store"
)

const (
	duplicatesPath = "/api/v1/duplicates"
	duplicatesPage = 1000 // the most that the server gives at once
)

// duplicatesOptions are the flags of `rastro duplicates`.
type duplicatesOptions struct {
	target

	correlation, source string
	since               time.Duration
	limit               int
	sum, json           bool
}

// newDuplicatesCommand makes `rastro duplicates`.
func newDuplicatesCommand(streams streams) *cobra.Command {
	options := duplicatesOptions{limit: 50}
	cmd := &cobra.Command{
		Use:   "duplicates",
		Short: "Explain what was dropped as a copy: of which event, from which source, how much later",
		Long: `List the events that were dropped as copies of others, the latest first: when the copy came, from whom, of which event it is a
copy, how much later it came, and whether the same source sent it again or another source had sent it before. A correction, which
has the id of the event it mends and a later revision, is no copy and is not listed.

--sum sums them up by source: how many, their share of all copies, and the median delay.

Exit code 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro duplicates --correlation 0455123456
  rastro duplicates --sum --since 24h`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.limit < 1 || options.since < 0 {
				return exitWith(exitUsage, errors.New("--limit must be above 0, and --since not below 0"))
			}
			client, err := options.connect(cmd.Context(), streams, roleTracesRead)
			if err != nil {
				return err
			}
			defer client.close()
			filter := options.filter(streams.now())
			if options.sum {
				return options.printSum(cmd, client, filter)
			}
			return options.printList(cmd, client, filter)
		},
	}
	options.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&options.correlation, "correlation", "", "only copies of events of this journey")
	flags.StringVar(&options.source, "source", "", "only copies that this source sent")
	flags.DurationVar(&options.since, "since", 0, "only copies received within this time, as 24h")
	flags.IntVar(&options.limit, "limit", options.limit, "how many to list at most")
	flags.BoolVar(&options.sum, "sum", false, "sum up by source instead")
	flags.BoolVar(&options.json, "json", false, "print JSON: an array of the same fields as the API's")
	return cmd
}

func (o *duplicatesOptions) filter(now time.Time) url.Values {
	filter := url.Values{}
	if o.correlation != "" {
		filter.Set("correlationId", o.correlation)
	}
	if o.source != "" {
		filter.Set("source", o.source)
	}
	if o.since > 0 {
		filter.Set("since", now.Add(-o.since).UTC().Format(time.RFC3339))
	}
	return filter
}

func (o *duplicatesOptions) printList(cmd *cobra.Command, client *apiClient, filter url.Values) error {
	found, err := fetchDuplicates(cmd.Context(), client, filter, o.limit)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(cmd.OutOrStdout(), found)
	}
	return writeDuplicates(cmd.OutOrStdout(), found)
}

// fetchDuplicates asks page by page.
func fetchDuplicates(ctx context.Context, client *apiClient, filter url.Values, limit int) ([]store.ExplainedDuplicate, error) {
	found := []store.ExplainedDuplicate{}
	for len(found) < limit {
		filter.Set("limit", strconv.Itoa(min(duplicatesPage, limit-len(found))))
		var page query.Duplicates
		if _, err := fetchJSON(ctx, client, duplicatesPath+"?"+filter.Encode(), &page); err != nil {
			return nil, err
		}
		found = append(found, page.Duplicates...)
		if page.Cursor == "" {
			break
		}
		filter.Set("cursor", page.Cursor)
	}
	return found, nil
}

func writeDuplicates(out io.Writer, found []store.ExplainedDuplicate) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(out, "No copies were dropped.")
		return err
	}
	rows := [][]string{{"RECEIVED", "JOURNEY", "EVENT", "SOURCE", "COPY OF", "LATER", "HOW"}}
	for _, d := range found {
		of, how := "-", "-"
		if d.Of != nil {
			of = d.Of.String()
		}
		switch d.How {
		case store.Resent:
			how = "sent again"
		case store.SecondSource:
			how = "also sent by " + clean(d.FirstSource)
		}
		rows = append(rows, []string{
			stamp(d.ReceivedAt), orDash(clean(d.CorrelationID)), orDash(clean(d.EventType)), orDash(clean(d.Source)), of, delay(d.Later), how,
		})
	}
	return writeTable(out, rows)
}

func (o *duplicatesOptions) printSum(cmd *cobra.Command, client *apiClient, filter url.Values) error {
	var answer query.DuplicateSources
	if _, err := fetchJSON(cmd.Context(), client, duplicatesPath+"/sources?"+filter.Encode(), &answer); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.json {
		return writeJSON(out, answer.Sources)
	}
	if len(answer.Sources) == 0 {
		return writeDuplicates(out, nil)
	}
	rows := [][]string{{"SOURCE", "COPIES", "SHARE", "OF ANOTHER SOURCE", "MEDIAN DELAY"}}
	for _, s := range answer.Sources {
		rows = append(rows, []string{
			clean(s.Source), strconv.FormatInt(s.Events, 10), fmt.Sprintf("%.1f%%", 100*s.Share), strconv.FormatInt(s.SecondSource, 10),
			delay(s.MedianLater),
		})
	}
	return writeTable(out, rows)
}

// delay writes seconds as people do.
func delay(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	d := time.Duration(*seconds * float64(time.Second))
	switch {
	case d.Abs() >= time.Minute:
		d = d.Round(time.Second)
	case d.Abs() >= time.Second:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}
