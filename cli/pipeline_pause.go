package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/api/ops"
)

const stagesPath = "/api/v1/stages/"

// stageControl is `rastro pipeline pause`, `resume` or `paused`.
type stageControl struct {
	target

	streams streams
	reason  string
	json    bool
}

func (p *pipelineCommand) pauseCommand() *cobra.Command {
	c := &stageControl{streams: p.streams}
	cmd := &cobra.Command{
		Use:   "pause PIPELINE.STAGE --reason WHY",
		Short: "Have a stage of the running system stand still",
		Long: `Have a stage of the running system stand still until it is resumed, in every process, those that start later too. Nothing is received for
it: events wait in its queue, none is lost or dead-lettered, and ingest goes on taking them. What is in hand is finished. Stages that
are fused with it stand still too, and the answer names them. A stage that is paused already stays as it is.

It holds up the events of all tenants: it needs the roles ops:write and tenants:all. Who did it and why is shown where the stage is, to
operators of all tenants, and noted in the audit (` + "`rastro dlq audit --unowned`" + `).

How long a queue keeps what waits is the broker's affair: SQS keeps it for 7 days, NATS until its topic is full.

Exit code 2: the command line is wrong. 4: no pipeline has such a stage. 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro pipeline pause tracking.persist --reason "the warehouse is being moved"`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(strings.TrimSpace(c.reason)) < 3 {
				return exitWith(exitUsage, fmt.Errorf("say why with --reason, for who finds that the stage stands still\nSee '%s --help'", cmd.CommandPath()))
			}
			return c.run(cmd, args[0], "pause")
		},
	}
	c.flags(cmd, "why, for the record and for who looks at the stage (required)")
	return cmd
}

func (p *pipelineCommand) resumeCommand() *cobra.Command {
	c := &stageControl{streams: p.streams}
	cmd := &cobra.Command{
		Use:   "resume PIPELINE.STAGE",
		Short: "Have a stage of the running system go on that was paused",
		Long: `Have a stage of the running system go on that was paused: what waits in its queue is worked off. A stage that was not paused stays as it
is. One that is fused with another stage that is paused stands still until that is resumed too. Needs the roles ops:write and
tenants:all.

Exit code 2: the command line is wrong. 4: no pipeline has such a stage. 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro pipeline resume tracking.persist --reason "it has been moved"`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], "resume") },
	}
	c.flags(cmd, "why, for the record")
	return cmd
}

func (p *pipelineCommand) pausedCommand() *cobra.Command {
	c := &stageControl{streams: p.streams}
	cmd := &cobra.Command{
		Use:   "paused",
		Short: "List the stages of the running system that are paused",
		Long: `List the stages of the running system that are paused: since when, by whom and why, and which others stand still with them. Needs the
role ops:read.

Exit code 2: the command line is wrong. 5: the server cannot be reached, or does not let us in.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.list(cmd) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print them as JSON")
	return cmd
}

func (c *stageControl) flags(cmd *cobra.Command, reason string) {
	c.addFlags(cmd)
	cmd.Flags().StringVar(&c.reason, "reason", "", reason)
	cmd.Flags().BoolVar(&c.json, "json", false, "print the answer as JSON")
}

// run asks for a stage to stand still or to go on.
func (c *stageControl) run(cmd *cobra.Command, stage, what string) error {
	client, err := c.connect(cmd.Context(), c.streams, roleOpsWrite, roleTenantsAll)
	if err != nil {
		return err
	}
	defer client.close()
	var answer ops.StageControl
	body, err := ask(cmd.Context(), client, http.MethodPost, stagesPath+url.PathEscape(stage)+"/"+what, nil, map[string]string{"reason": c.reason}, &answer)
	if err != nil {
		return err
	}
	if c.json {
		return printBody(cmd.OutOrStdout(), body)
	}
	return printControl(cmd.OutOrStdout(), answer)
}

func printControl(out io.Writer, c ops.StageControl) error {
	var said string
	switch {
	case c.Paused && c.Pause == nil:
		return fmt.Errorf("the server's answer is not understood: it does not say who paused %s", c.ID)
	case c.Paused && c.Changed:
		said = c.ID + " is paused: events wait in its queue until `rastro pipeline resume " + c.ID + "`."
	case c.Paused:
		said = fmt.Sprintf("%s is paused already, by %s since %s: %s", c.ID, c.Pause.Who(), c.Pause.Since.Format(time.RFC3339), c.Pause.Reason)
	case c.Changed:
		said = c.ID + " is resumed."
	default:
		said = c.ID + " was not paused."
	}
	if others := othersThan(c.Stages, c.ID); c.Paused && len(others) > 0 {
		said += "\nFused with it, these stand still too: " + strings.Join(others, ", ")
	}
	if held := othersThan(c.HeldBy, c.ID); !c.Paused && len(held) > 0 {
		said += "\nIt stands still all the same, fused with what is paused: " + strings.Join(held, ", ")
	}
	_, err := fmt.Fprintln(out, said)
	return err
}

func othersThan(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

// list prints what is paused.
func (c *stageControl) list(cmd *cobra.Command) error {
	client, err := c.connect(cmd.Context(), c.streams, roleOpsRead)
	if err != nil {
		return err
	}
	defer client.close()
	var overview live.Overview
	if _, err := ask(cmd.Context(), client, http.MethodGet, "/api/v1/overview", url.Values{"window": {"1m"}}, nil, &overview); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if c.json {
		return printJSON(out, overview.Paused)
	}
	if len(overview.Paused) == 0 {
		_, err := fmt.Fprintln(out, "No stage is paused.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "STAGE\tSINCE\tBY\tWITH\tREASON")
	for _, p := range overview.Paused {
		with := strings.Join(othersThan(p.Stages, p.ID), ", ")
		if len(p.Stages) == 0 {
			with = "(no pipeline has it)"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.ID, p.Since.Format(time.RFC3339), p.Who(), with, p.Reason)
	}
	return table.Flush()
}
