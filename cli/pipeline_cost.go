package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers/sqs"
)

// costCommand makes `rastro pipeline cost`.
func (p *pipelineCommand) costCommand() *cobra.Command {
	load, prices := sqs.DefaultWorkload(ingest.Topic, 0), sqs.DefaultPrices()
	output := formatText
	cmd := &cobra.Command{
		Use:   "cost --events-per-hour N [PIPELINE|FILE]",
		Short: "Estimate the requests to SQS and SNS that pipelines take, and what AWS charges for them",
		Long: `Estimate what the pipelines of the configuration ask of SQS and SNS when so many events come in an hour, topic by topic, and
what that costs a month. With PIPELINE or FILE the events come into that pipeline, and count with it those that it leads to.

The estimate follows the pipelines' plans: a topic between two hops is paid for, fused stages are not; batch, linger, routes and
the readers of a topic are what they are in the configuration, the rest what RASTRO_SQS_... say in the environment. What it
assumes besides is printed with it, and set by the flags. docs/cost.md says how it is made, and which metrics tell what really
happens.

In the table requests are per 1,000 events that come in: SEND brings frames, RECEIVE takes them, IDLE waits for none, DELETE
says that they are done, SNS is publishing where a topic has several readers, with what is delivered to their queues.

Exit codes: 0 done, 1 a pipeline is wrong, 2 the command line or the environment is wrong, 4 there is no such pipeline.`,
		Example: `  rastro pipeline cost --events-per-hour 360000
  rastro pipeline cost --events-per-hour 1e6 --request-events 50 --processors 4
  rastro pipeline cost --events-per-hour 1e6 --price-per-million 0.50 my-config/pipelines/cargo.yaml
  rastro pipeline cost --events-per-hour 1e6 -o json | jq .dollars_per_month`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, formatText, formatJSON); err != nil {
				return err
			}
			if !cmd.Flags().Changed("events-per-hour") {
				return exitWith(exitUsage, errors.New("say how many events come in an hour: --events-per-hour 360000"))
			}
			return p.cost(cmd, args, load, prices, output)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&load.PerHour, "events-per-hour", 0, "events that come in an hour")
	flags.IntVar(&load.EventBytes, "event-bytes", load.EventBytes, "`bytes` of an event's payload")
	flags.Float64Var(&load.RequestEvents, "request-events", load.RequestEvents, "events that senders put in a request to ingest")
	flags.Float64Var(&load.FrameEvents, "frame-events", 0, "events in a frame that ingest publishes (default: what follows from the rate)")
	flags.IntVar(&load.Ingests, "ingests", load.Ingests, "processes that play ingest")
	flags.IntVar(&load.Processors, "processors", load.Processors, "processes that play processor; each receives from every queue")
	flags.Float64Var(&load.Rejected, "rejected", load.Rejected, "`share` of events that are dead-lettered")
	flags.Float64Var(&load.Duplicates, "duplicates", load.Duplicates, "`share` of events that are dropped as duplicates")
	flags.Float64Var(&load.Routed, "routed", load.Routed, "`share` of events that a stage sends to each topic it routes to")
	flags.DurationVar(&load.RoundTrip, "round-trip", load.RoundTrip, "how long a request to SQS takes")
	flags.DurationVar(&load.Busy, "batch-time", load.Busy, "how long a hop is at a batch")
	flags.Float64Var(&prices.SQS, "price-per-million", prices.SQS, "`dollars` for a million requests to SQS, standard queues")
	flags.Float64Var(&prices.SNS, "sns-price-per-million", prices.SNS, "`dollars` for a million requests to SNS, standard topics")
	flags.StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}

func (p *pipelineCommand) cost(cmd *cobra.Command, args []string, load sqs.Workload, prices sqs.Prices, output string) error {
	process, err := config.WithoutSecrets(p.lookupEnv)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	plans, topic, err := p.costed(cmd.Context(), args)
	if err != nil {
		return err
	}
	load.Topic = topic
	if prices.SQS < 0 || prices.SNS < 0 {
		return exitWith(exitUsage, errors.New("prices must not be negative"))
	}
	cost, err := sqs.Estimate(plans, sqsConfig(process), load, prices)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if output == formatJSON {
		return writeJSON(cmd.OutOrStdout(), cost)
	}
	return writeCost(cmd.OutOrStdout(), cost)
}

// costed returns the pipelines to estimate, and the topic where events come in.
func (p *pipelineCommand) costed(ctx context.Context, args []string) ([]pipeline.Plan, string, error) {
	if len(args) == 0 {
		plans, err := p.plans(ctx)
		return plans, ingest.Topic, err
	}
	specs, _, err := p.picked(ctx, args[0], false)
	if err != nil {
		return nil, "", err
	}
	return plansOf(specs), specs[0].From, nil
}

func writeCost(out io.Writer, cost sqs.Cost) error {
	per := func(requests float64) string {
		if cost.Workload.PerHour == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", requests/cost.Workload.PerHour*1000)
	}
	counts := func(r sqs.Requests) []string {
		return []string{per(r.Send), per(r.Receive), per(r.Empty), per(r.Delete + r.Visibility), per(r.Publish + r.Deliver)}
	}
	rows := make([][]string, 0, len(cost.Topics)+3)
	rows = append(rows, []string{"TOPIC", "READ BY", "FRAMES/S", "EVENTS/FRAME", "KIB/FRAME", "SEND", "RECEIVE", "IDLE", "DELETE", "SNS", "$/MONTH"})
	for _, t := range cost.Topics {
		row := []string{t.Topic, orDash(strings.Join(t.Readers, ", ")), "-", "-", "-"}
		if t.FramesPerHour > 0 {
			row = append(row[:2], fmt.Sprintf("%.2f", t.FramesPerHour/3600), fmt.Sprintf("%.1f", t.EventsPerFrame), fmt.Sprintf("%.1f", t.FrameBytes/1024))
		}
		row = append(row, counts(t.Requests)...)
		rows = append(rows, append(row, fmt.Sprintf("%.2f", t.DollarsPerMonth)))
	}
	givenUp := sqs.Requests{Empty: cost.GivenUp}
	rows = append(rows, append(append([]string{"dead-letter queues", "-", "-", "-", "-"}, counts(givenUp)...),
		fmt.Sprintf("%.2f", givenUp.Price(cost.Prices))))
	rows = append(rows, append(append([]string{"all", "", "", "", ""}, counts(cost.Requests)...), fmt.Sprintf("%.2f", cost.DollarsPerMonth)))
	if err := writeTable(out, rows); err != nil {
		return err
	}
	var text strings.Builder
	if cost.Workload.PerHour > 0 {
		fmt.Fprintf(&text, "\n%.1f requests per 1,000 events", cost.PerThousand)
	} else {
		fmt.Fprintf(&text, "\nWith no events %.0f requests an hour", cost.Requests.Total())
	}
	fmt.Fprintf(&text, ", %.1f million charged a month: $%.2f\n\nAssumed:\n", cost.Billed.Total()*sqs.HoursPerMonth/1e6, cost.DollarsPerMonth)
	for _, a := range cost.Assumptions {
		fmt.Fprintf(&text, "  %s\n", a)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
