package cli

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
)

// listedPipeline is a pipeline as `rastro pipeline list --json` tells it.
type listedPipeline struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary,omitempty"`
	From    string   `json:"from"`
	To      []string `json:"to,omitempty"`
	Stages  []string `json:"stages"`
}

func listed(plan pipeline.Plan) listedPipeline {
	l := listedPipeline{Name: plan.Pipeline, Summary: plan.Summary}
	for _, hop := range plan.Hops {
		for _, stage := range hop.Stages {
			l.Stages = append(l.Stages, stage.Name)
		}
	}
	if n := len(plan.Hops); n > 0 {
		l.From, l.To = plan.Hops[0].From, plan.Hops[n-1].To
	}
	return l
}

// listCommand makes `rastro pipeline list`.
func (p *pipelineCommand) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pipelines: name, topics, stages, summary",
		Example: `  rastro pipeline list
  rastro pipeline list --config ./my-config --json | jq -r '.[].name'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			plans, err := p.plans(cmd.Context())
			if err != nil {
				return err
			}
			pipelines := make([]listedPipeline, len(plans))
			rows := [][]string{{"PIPELINE", "FROM", "TO", "STAGES", "SUMMARY"}}
			for i, plan := range plans {
				l := listed(plan)
				pipelines[i] = l
				rows = append(rows, []string{l.Name, l.From, orDash(strings.Join(l.To, ", ")), strings.Join(l.Stages, ", "), l.Summary})
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), pipelines)
			}
			return writeTable(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of {name, summary, from, to, stages}")
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// planCommand makes `rastro pipeline plan`.
func (p *pipelineCommand) planCommand() *cobra.Command {
	var asJSON, redact bool
	cmd := &cobra.Command{
		Use:   "plan [PIPELINE]",
		Short: "Print what runs where: hops, topics, and each stage's config with every default",
		Long: `Print how pipelines are laid out: a hop is one or more stages behind one topic, and what stands in a plan is what takes effect,
every default included. A list of all pipelines, or the one that PIPELINE names, as YAML.

The values of secrets are neither fetched nor printed unless --redacted=false says so.`,
		Example: `  rastro pipeline plan tracking
  rastro pipeline plan --json | jq '.[].hops[] | {name, from, to, workers}'`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.resolve = !redact
			plans, err := p.plans(cmd.Context(), args...)
			if err != nil {
				return err
			}
			described := make([]yaml.MapSlice, len(plans))
			for i, plan := range plans {
				described[i] = plan.Describe(redact)
			}
			if len(args) == 1 {
				return writeYAML(cmd.OutOrStdout(), described[0], asJSON)
			}
			return writeYAML(cmd.OutOrStdout(), described, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&redact, "redacted", true, "print "+pipeline.Redacted+" for secrets")
	return cmd
}
