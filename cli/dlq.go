package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rastrohq/rastro/store"
)

const (
	deadLettersPath = "/api/v1/dead-letters"
	auditPath       = "/api/v1/audit"

	roleOpsRead    = "ops:read"
	roleOpsWrite   = "ops:write"
	roleTenantsAll = "tenants:all"
)

// dlqOptions are the flags that every command on dead letters has.
type dlqOptions struct {
	target

	json    bool
	unowned bool
	foreign bool // --tenant was given
}

func (o *dlqOptions) add(cmd *cobra.Command) {
	o.addFlags(cmd)
	cmd.Flags().Lookup("tenant").Usage = "whose letters (default: those of the token's tenant)"
	cmd.Flags().BoolVar(&o.unowned, "unowned", false, "the letters of no tenant, such as frames that cannot be decoded; needs the role tenants:all")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the answer as JSON")
}

// open connects with a token that has the roles.
func (o *dlqOptions) open(cmd *cobra.Command, streams streams, roles ...string) (*apiClient, error) {
	o.foreign = cmd.Flags().Changed("tenant")
	if o.unowned {
		roles = append(roles, roleTenantsAll)
	}
	return o.connect(cmd.Context(), streams, roles...)
}

// whose adds to a query whose letters are meant.
func (o *dlqOptions) whose(query url.Values) url.Values {
	if o.unowned {
		query.Set("unowned", "true")
	} else if o.foreign {
		query.Set("tenant", o.tenant)
	}
	return query
}

// letterFilter are the flags that say which letters.
type letterFilter struct {
	states, reasons, stages, pipelines, sources, types, events []string
	correlation                                                string
	older, newer                                               time.Duration
}

func (f *letterFilter) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.states, "state", nil, "open, redriving, stored, passed, dropped, superseded, discarded or all (default: open, or any when ids are given)")
	flags.StringSliceVar(&f.reasons, "reason", nil, "the code of why they were rejected")
	flags.StringSliceVar(&f.stages, "stage", nil, "the stage that rejected them")
	flags.StringSliceVar(&f.pipelines, "pipeline", nil, "the pipeline in which they were rejected")
	flags.StringSliceVar(&f.sources, "carrier", nil, "the carrier or system that sent them")
	flags.StringSliceVar(&f.types, "type", nil, "the event type, as the sender says it")
	flags.StringSliceVar(&f.events, "event", nil, "the UID of the event")
	flags.StringVar(&f.correlation, "correlation", "", "the journey")
	flags.DurationVar(&f.older, "older", 0, "rejected longer ago than that, such as 1h")
	flags.DurationVar(&f.newer, "newer", 0, "rejected not longer ago than that, such as 30m")
}

// given reports whether anything says which letters.
func (f *letterFilter) given() bool {
	return len(f.states)+len(f.reasons)+len(f.stages)+len(f.pipelines)+len(f.sources)+len(f.types)+len(f.events) > 0 ||
		f.correlation != "" || f.older > 0 || f.newer > 0
}

// filter returns what the API is asked for, letters by their ids among it.
func (f *letterFilter) filter(ids []string, now time.Time) (store.LetterFilter, error) {
	filter := store.LetterFilter{
		States: f.states, Reasons: f.reasons, Stages: f.stages, Pipelines: f.pipelines, Sources: f.sources, EventTypes: f.types,
		CorrelationID: f.correlation,
	}
	if f.older < 0 || f.newer < 0 {
		return filter, exitWith(exitUsage, errors.New("--older and --newer say how long ago, such as 30m"))
	}
	for _, list := range []struct {
		texts []string
		ids   *[]uuid.UUID
	}{{ids, &filter.IDs}, {f.events, &filter.UIDs}} {
		for _, text := range list.texts {
			id, err := uuid.Parse(text)
			if err != nil {
				return filter, exitWith(exitUsage, fmt.Errorf("%q is no id; `rastro dlq list` shows them", text))
			}
			*list.ids = append(*list.ids, id)
		}
	}
	if f.older > 0 {
		before := now.Add(-f.older).UTC()
		filter.Before = &before
	}
	if f.newer > 0 {
		after := now.Add(-f.newer).UTC()
		filter.After = &after
	}
	return filter, nil
}

// filterQuery is a filter in an address.
func filterQuery(f store.LetterFilter) url.Values {
	query := url.Values{}
	for _, id := range f.IDs {
		query.Add("id", id.String())
	}
	for _, uid := range f.UIDs {
		query.Add("uid", uid.String())
	}
	for name, values := range map[string][]string{
		"state": f.States, "reason": f.Reasons, "stage": f.Stages, "pipeline": f.Pipelines, "source": f.Sources, "eventType": f.EventTypes,
	} {
		for _, value := range values {
			query.Add(name, value)
		}
	}
	if f.CorrelationID != "" {
		query.Set("correlationId", f.CorrelationID)
	}
	if f.After != nil {
		query.Set("after", f.After.Format(time.RFC3339Nano))
	}
	if f.Before != nil {
		query.Set("before", f.Before.Format(time.RFC3339Nano))
	}
	return query
}

// ask sends a request and reads the answer into a value. It returns the answer's bytes too.
func ask(ctx context.Context, client *apiClient, method, path string, query url.Values, body, into any) ([]byte, error) {
	var content []byte
	media := ""
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		media = mediaJSON
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	answer, err := client.do(ctx, method, path, media, content)
	if err != nil {
		return nil, err
	}
	switch answer.status {
	case http.StatusOK, http.StatusAccepted:
	case http.StatusNotFound:
		return nil, exitWith(exitNotFound, errors.New(answer.problem()))
	case http.StatusUnprocessableEntity:
		return nil, exitWith(exitUsage, errors.New(answer.problem()))
	default:
		return nil, answer.refusal()
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		return nil, fmt.Errorf("the server's answer is not understood: %w", err)
	}
	return answer.body, nil
}

// newDLQCommand makes `rastro dlq`.
func newDLQCommand(streams streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look after dead letters: events that a stage rejected",
		Long: `Look after dead letters: events that a stage rejected, with the reason and the original bytes.

Letters are chosen by their ids, or by what they have in common; without --state those are meant that are open. Redriving and
discarding is done by the server, in a job that goes on when this command ends.

Exit code 2: the command line or the filter is wrong. 3: some letters could not be redriven, or would not pass. 4: there is no
such letter or job, or none matches. 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro dlq list --carrier LA --reason schema --newer 24h
  rastro dlq redrive --reason schema --dry-run
  rastro dlq redrive --reason schema --rate 50 --why "schema 7 is out"`,
	}
	cmd.AddCommand(newDLQListCommand(streams), newDLQGroupsCommand(streams), newDLQShowCommand(streams),
		newDLQRedriveCommand(streams), newDLQDiscardCommand(streams), newDLQJobCommand(streams), newDLQAuditCommand(streams))
	return cmd
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func countLetters(n int) string { return count(n, "dead letter", "dead letters") }
