package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// tidyCommand makes `rastro pipeline tidy`.
func (p *pipelineCommand) tidyCommand() *cobra.Command {
	var remove, withFrames bool
	cmd := &cobra.Command{
		Use:   "tidy",
		Short: "List the readers that the broker keeps frames for and no pipeline has; needs the broker",
		Long: `List the readers of topics that the broker knows and no pipeline of the configuration has any more, because a stage or
a pipeline was removed while nothing ran that could drain it. The broker keeps frames for them until it is full.

--remove removes those that nothing waits for. --with-frames removes the others as well, and what waits for them is lost: bring
the stage back for a while instead, and its frames go their way. Do so only when every process runs this configuration.

The broker is the one that the environment names, as for rastro serve. Of SQS, queues are listed whose names begin with
RASTRO_SQS_PREFIX, with what waits in them and in their dead-letter queues, and the commands that remove them. Only those are
removed whose tags say that rastro made them (RASTRO_SQS_PROVISION); others belong to whoever made them.

Exit codes: 0 nothing is left over, 1 something is, or the broker cannot be reached, 2 the command line is wrong.`,
		Example: `  RASTRO_NATS_URL=nats://nats:4222 rastro pipeline tidy --config ./my-config
  rastro pipeline tidy --remove`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if withFrames && !remove {
				return exitWith(exitUsage, errors.New("--with-frames goes with --remove"))
			}
			plans, err := p.plans(cmd.Context())
			if err != nil {
				return err
			}
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			logger, err := telemetry.NewLogger(cmd.ErrOrStderr(), process.Log.Level, "text")
			if err != nil {
				return err
			}
			transport, err := connect(surroundings{process: process, logger: logger}, prometheus.NewRegistry())
			if err != nil {
				return err
			}
			defer func() { _ = transport.Close() }()
			return tidy(cmd, transport, pipeline.Topics(plans...), remove, withFrames)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the readers that nothing waits for")
	cmd.Flags().BoolVar(&withFrames, "with-frames", false, "with --remove: remove the others too, with what waits for them")
	return cmd
}

func tidy(cmd *cobra.Command, transport routers.Transport, topics []pipeline.Topic, remove, withFrames bool) error {
	tidier, ok := transport.(routers.Tidier)
	if !ok {
		return errors.New("this broker's queues are not rastro's to remove: compare them with `rastro pipeline topics`")
	}
	stale, err := tidier.Stale(cmd.Context(), topics)
	if err != nil {
		return err
	}
	rows := [][]string{{"TOPIC", "READER", "FRAMES", ""}}
	placed := slices.ContainsFunc(stale, func(s routers.StaleReader) bool { return s.Place != "" })
	if placed {
		rows = [][]string{{"TOPIC", "READER", "FRAMES", "QUEUE", "AGE", ""}}
	}
	left := 0
	var commands []string
	for _, s := range stale {
		row := []string{cmp.Or(s.Topic, "?"), cmp.Or(s.Reader, "?"), strconv.FormatInt(s.Backlog, 10)}
		if placed {
			age := "?"
			if !s.Since.IsZero() {
				age = ago(time.Since(s.Since))
			}
			row = append(row, s.Place, age)
		}
		row = append(row, "")
		if remove && !s.Unsure && (s.Backlog == 0 || withFrames) {
			if err := tidier.Forget(cmd.Context(), s.Topic, s.Reader); err != nil {
				return err
			}
			row[len(row)-1] = "removed"
		} else {
			left++
			commands = append(commands, s.Commands...)
		}
		rows = append(rows, row)
	}
	if len(stale) > 0 {
		if err := writeTable(cmd.OutOrStdout(), rows); err != nil {
			return err
		}
	}
	if len(commands) > 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nBy hand they are removed, and what waits in them is lost, with:\n\n  %s\n", strings.Join(commands, "\n  "))
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return exitWith(exitFailure, fmt.Errorf("%s left over", counted(left, "reader")))
	}
	return nil
}
