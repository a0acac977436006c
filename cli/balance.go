package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/query"
	"github.com/rastrohq/rastro/store"
)

const (
	balancePath  = "/api/v1/stats/balance"
	balanceEvery = 500 * time.Millisecond
)

// balanceOptions are the flags of `rastro balance`.
type balanceOptions struct {
	target

	pipeline string
	json     bool
	wait     time.Duration
	every    time.Duration
}

// newBalanceCommand makes `rastro balance`.
func newBalanceCommand(streams streams) *cobra.Command {
	options := balanceOptions{every: balanceEvery}
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Print whether everything reconciles: what came in, and what became of it",
		Long: `Print, for each pipeline of the tenant, how many events it received and what became of them, exactly:

  received + emitted = passed + duplicates + dropped + dead letters + in flight

Emitted are events that stages made of others. Passed are those that left by the end of the pipeline or by a route: they are
stored if the pipeline stores events. In flight must come to 0 when the topics are empty. An event that ended in two ways, or
ended and was never received, is a fault and is named.

With --wait it asks until two answers in a row say that nothing is in flight, or the time is over.

Exit code 1: events are in flight, or something is wrong. 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro balance
  rastro balance --pipeline tracking --wait 30s
  rastro balance --json | jq '.pipelines[] | {pipeline, in_flight}'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.wait < 0 {
				return exitWith(exitUsage, errors.New("--wait must not be below 0"))
			}
			client, err := options.connect(cmd.Context(), streams, roleOpsRead)
			if err != nil {
				return err
			}
			defer client.close()
			answer, body, err := options.ask(cmd.Context(), client)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if options.json {
				_, err = out.Write(body)
			} else {
				err = writeBalance(out, answer.Pipelines)
			}
			if err == nil && !answer.Settled {
				err = exitWith(exitFailure, unsettled(answer.Pipelines))
			}
			return err
		},
	}
	options.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&options.pipeline, "pipeline", "", "only this pipeline")
	flags.BoolVar(&options.json, "json", false, "print the answer as received")
	flags.DurationVar(&options.wait, "wait", 0, "how long to wait for nothing to be in flight")
	return cmd
}

// ask returns the balance, once two in a row are settled and the same, or as it is when the time to wait is over.
func (o *balanceOptions) ask(ctx context.Context, client *apiClient) (answer query.BalanceAnswer, body []byte, err error) {
	over := time.NewTimer(o.wait)
	defer over.Stop()
	var before []store.Balance
	for {
		answer, body, err = fetchBalance(ctx, client, o.pipeline)
		if err != nil && (o.wait == 0 || !transient(err)) {
			return answer, body, err
		}
		if o.wait == 0 || err == nil && answer.Settled && before != nil && reflect.DeepEqual(before, answer.Pipelines) {
			return answer, body, nil
		}
		if before = nil; err == nil && answer.Settled {
			before = answer.Pipelines
		}
		again := time.NewTimer(o.every)
		select {
		case <-again.C:
		case <-over.C:
			again.Stop()
			return answer, body, err
		case <-ctx.Done():
			again.Stop()
			return answer, body, context.Cause(ctx)
		}
	}
}

func fetchBalance(ctx context.Context, client *apiClient, pipeline string) (answer query.BalanceAnswer, body []byte, err error) {
	path := balancePath
	if pipeline != "" {
		path += "?" + url.Values{"pipeline": {pipeline}}.Encode()
	}
	body, err = fetchJSON(ctx, client, path, &answer)
	return answer, body, err
}

// fetchJSON decodes the answer to a request, and returns it as it was received.
func fetchJSON(ctx context.Context, client *apiClient, path string, into any) ([]byte, error) {
	answer, err := client.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, answer.refusal()
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		return nil, fmt.Errorf("the server's answer to %s cannot be read: %w", path, err)
	}
	return answer.body, nil
}

func writeBalance(out io.Writer, pipelines []store.Balance) error {
	if len(pipelines) == 0 {
		_, err := fmt.Fprintln(out, "No pipeline has had an event of this tenant.")
		return err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"PIPELINE", "RECEIVED", "EMITTED", "PASSED", "DUPLICATES", "DROPPED", "DEAD LETTERS", "IN FLIGHT"}}
	for _, b := range pipelines {
		rows = append(rows, []string{
			b.Pipeline, number(b.Received), number(b.Emitted), number(b.Passed), number(b.Duplicates), number(b.Dropped),
			number(b.DeadLettered), number(b.InFlight),
		})
	}
	return writeTable(out, rows)
}

// unsettled says what keeps a balance from being settled.
func unsettled(pipelines []store.Balance) error {
	var all []error
	for _, b := range pipelines {
		if b.InFlight != 0 {
			all = append(all, fmt.Errorf("pipeline %s: %s in flight", b.Pipeline, events(int(b.InFlight))))
		}
		if b.Twice != 0 {
			all = append(all, fmt.Errorf("pipeline %s: %s ended in more than one way", b.Pipeline, events(int(b.Twice))))
		}
		if b.Unreceived != 0 {
			all = append(all, fmt.Errorf("pipeline %s: %s ended and never came", b.Pipeline, events(int(b.Unreceived))))
		}
	}
	return errors.Join(all...)
}
