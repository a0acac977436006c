package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/secrets"
	"github.com/rastrohq/rastro/pipeline"
)

// pipelineCommand is what the commands below `rastro pipeline` share.
type pipelineCommand struct {
	options
	streams

	config string
	// resolve says that secrets are fetched; otherwise they are taken as present.
	resolve bool
}

// checker returns what checks pipelines.
func (p *pipelineCommand) checker(files configuration, registry *pipeline.Registry) (pipeline.Checker, error) {
	process, err := config.WithoutSecrets(p.lookupEnv)
	if err != nil {
		return pipeline.Checker{}, exitWith(exitUsage, err)
	}
	checker := newChecker(files, registry)
	checker.Delivery = deliveryLimits(process)
	c := secrets.DefaultConfig()
	c.Lookup = p.lookupEnv
	checker.Resolver = secrets.New(c)
	if !p.resolve {
		checker.Resolver = pipeline.Withheld(checker.Resolver)
	}
	return checker, nil
}

// newPipelineCommand makes `rastro pipeline`.
func newPipelineCommand(o options, streams streams) *cobra.Command {
	p := &pipelineCommand{options: o, streams: streams}
	cmd := &cobra.Command{
		Use:   "pipeline",
		Short: "Write, check, test, run and explain pipelines, with no broker and no database; pause their stages",
		Long: `Write, check, test, run and explain pipelines. Nothing of it needs a broker or a database. The stages of a running system are
paused and resumed here too, which asks its server.

The pipelines are pipelines/*.yaml of the configuration: of the folder that --config names (or RASTRO_CONFIG_DIR), with the
built-in files behind.

Exit codes: 0 done, 1 something is wrong with a pipeline, 2 the command line is wrong, 4 there is no such pipeline or stage.`,
		Example: `  rastro pipeline lint                      # what is wrong, file:line:column
  rastro pipeline describe enrich           # what a stage does and how to configure it
  rastro pipeline plan tracking             # what runs where, with every default
  rastro pipeline graph | pbcopy            # a Mermaid diagram
  rastro pipeline new cargo --config ./own  # a pipeline to begin with, and its first test
  rastro pipeline test --config ./own       # events in, what is to become of each
  rastro pipeline run tracking < in.ndjson  # try it on a file`,
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			message := fmt.Sprintf("unknown command %q", args[0])
			if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
				message += fmt.Sprintf("; did you mean %q?", meant[0])
			}
			return fmt.Errorf("%s\nSee '%s --help'", message, cmd.CommandPath())
		}),
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
	}
	cmd.PersistentFlags().StringVar(&p.config, "config", "", "`folder` whose files stand before the built-in ones (default $RASTRO_CONFIG_DIR)")
	cmd.AddCommand(p.lintCommand(), p.testCommand(), p.runCommand(), p.newCommand(), p.listCommand(), p.planCommand(), p.graphCommand(), p.topicsCommand(), p.describeCommand(), p.schemaCommand(),
		p.costCommand(), p.tidyCommand(), p.pauseCommand(), p.resumeCommand(), p.pausedCommand())
	return cmd
}

// configDir returns the folder of the configuration, "" for the built-in files.
func (p *pipelineCommand) configDir() (string, error) {
	dir := p.config
	if dir == "" {
		dir = p.getenv("RASTRO_CONFIG_DIR")
	}
	if dir == "" {
		return "", nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", dir)
	}
	if err != nil {
		return "", exitWith(exitUsage, fmt.Errorf("configuration: %w", err))
	}
	return dir, nil
}

// plans returns the plans of the configuration, of the pipeline named alone when one is.
func (p *pipelineCommand) plans(ctx context.Context, names ...string) ([]pipeline.Plan, error) {
	registry, err := p.registry()
	if err != nil {
		return nil, err
	}
	dir, err := p.configDir()
	if err != nil {
		return nil, err
	}
	files := configFiles(dir)
	checker, err := p.checker(files, registry)
	if err != nil {
		return nil, err
	}
	plans, _, err := checkedPlans(ctx, files, checker)
	if err != nil || len(names) == 0 {
		return plans, err
	}
	known := make([]string, len(plans))
	for i, plan := range plans {
		if plan.Pipeline == names[0] {
			return plans[i : i+1], nil
		}
		known[i] = plan.Pipeline
	}
	return nil, exitWith(exitNotFound, fmt.Errorf("there is no pipeline %q; there is %s", names[0], strings.Join(known, ", ")))
}

// oneOf checks the value of a flag.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return exitWith(exitUsage, fmt.Errorf("--%s is %q; it must be one of %s", flag, value, strings.Join(allowed, ", ")))
}

func writeJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// writeYAML writes a value in terms of YAML as such, or as JSON with its keys in the same order.
func writeYAML(out io.Writer, value any, asJSON bool) error {
	source, err := yaml.MarshalWithOptions(value, yaml.IndentSequence(true))
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	if asJSON {
		var indented bytes.Buffer
		if source, err = yaml.YAMLToJSON(source); err == nil {
			err = json.Indent(&indented, bytes.TrimSpace(source), "", "  ")
		}
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		indented.WriteByte('\n')
		source = indented.Bytes()
	}
	// The library indents a list at the root as any other.
	margin := ""
	if bytes.HasPrefix(source, []byte("  - ")) {
		margin = "  "
	}
	for line := range strings.Lines(string(source)) {
		if _, err := io.WriteString(out, strings.TrimPrefix(line, margin)); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes rows in columns as wide as they need to be.
func writeTable(out io.Writer, rows [][]string) error {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // a buffer does not fail
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}
