package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
)

// lintCommand makes `rastro pipeline lint`.
func (p *pipelineCommand) lintCommand() *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "lint [FILE|FOLDER...]",
		Short: "Find what is wrong with pipelines, each with file:line:column and what to write instead",
		Long: `Find everything that is wrong with pipelines and can be known before the first event, by the code that also runs at start-up:
every file by itself, every stage built as far as that goes without a broker or a database (schemas, catalogues and reference
data are read), and all pipelines as the graph that they form by their topics.

Without arguments the pipelines of the configuration are checked. A FILE is checked among them: it takes the place of the one
with the same file name, if there is one. A FOLDER stands for the *.yaml files in it; one that has a folder pipelines/ is a
configuration, as for --config.

References such as ${NAME} take their values from the environment, as at start-up. Secrets, ${secret:...}, are taken as present
and are not asked for: what is wrong for no other reason than that a secret is not known is not found. --resolve fetches them.

Delivery is checked as well: how long stages, with their retries, may have a frame in hand against what the broker and the
shutdown deadline allow, frames and batches against the broker's limits, and the ways that events take through all pipelines for
stages that act before duplicates are dropped, for topics that get every event twice, and for stages that no event gets to.
The limits are those of the process's environment (RASTRO_...) and of its broker. docs/delivery.md says what is computed.

One finding a line on standard output:

  FILE:LINE:COLUMN: MESSAGE; HINT [CODE]

A finding is an error, with which no process starts, or a warning: what works and may not be what was meant. The message of a
warning begins with "warning: ".

Exit codes: 0 nothing found but perhaps warnings, 1 errors, or warnings with --strict, 2 the command line or the environment is
wrong, or a file cannot be read.`,
		Example: `  rastro pipeline lint
  rastro pipeline lint --config ./my-config
  rastro pipeline lint my-config/pipelines/cargo.yaml
  rastro pipeline lint --resolve            # with the secrets, as at start-up
  rastro pipeline lint --strict             # for CI: warnings fail as well
  rastro pipeline lint --json | jq -r '.[].code'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.lint(cmd, args, asJSON, strict)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as a JSON array of {file, line, column, code, message, hint, severity}")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings as well")
	cmd.Flags().BoolVar(&p.resolve, "resolve", false, "fetch secrets from the environment, files and AWS, as at start-up")
	return cmd
}

func (p *pipelineCommand) lint(cmd *cobra.Command, args []string, asJSON, strict bool) error {
	dir, err := p.configDir()
	if err != nil {
		return err
	}
	asked, dir, err := lintSources(args, dir)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	files := configFiles(dir)
	sources, err := pipelineSources(files)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	sources = instead(sources, asked)
	if len(sources) == 0 {
		return exitWith(exitUsage, errNoPipelines)
	}
	registry, err := p.registry()
	if err != nil {
		return err
	}
	checker, err := p.checker(files, registry)
	if err != nil {
		return err
	}
	_, findings := check(cmd.Context(), files, checker, sources)
	if err := writeFindings(cmd.OutOrStdout(), findings, asJSON); err != nil {
		return err
	}
	found := "nothing found"
	warnings := len(findings.Warnings())
	if warnings > 0 {
		found = counted(warnings, "warning")
	}
	if warnings < len(findings) || strict && warnings > 0 {
		return exitWith(exitFailure, nil)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s checked, %s\n", counted(len(sources), "pipeline"), found)
	return err
}

// instead returns sources with those asked for in the place of the ones with the same file name. What is asked for comes last:
// a finding about two files stands in the later one.
func instead(sources, asked []pipeline.Source) []pipeline.Source {
	sources = slices.DeleteFunc(sources, func(s pipeline.Source) bool {
		return slices.ContainsFunc(asked, func(a pipeline.Source) bool { return filepath.Base(a.File) == filepath.Base(s.File) })
	})
	return append(sources, asked...)
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func writeFindings(out io.Writer, findings pipeline.Findings, asJSON bool) error {
	if asJSON {
		if findings == nil {
			findings = pipeline.Findings{}
		}
		return writeJSON(out, findings)
	}
	for _, f := range findings {
		line := strings.ReplaceAll(f.String(), "\n", "; ")
		if _, err := fmt.Fprintf(out, "%s [%s]\n", line, f.Code); err != nil {
			return err
		}
	}
	return nil
}

// lintSources reads the files that arguments name, and tells the configuration they belong to.
func lintSources(args []string, configDir string) (asked []pipeline.Source, dir string, err error) {
	dir = configDir
	var paths []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, "", err
		}
		if !info.IsDir() {
			paths = append(paths, arg)
			continue
		}
		folder := arg
		if below, err := os.Stat(filepath.Join(arg, "pipelines")); err == nil && below.IsDir() {
			folder = filepath.Join(arg, "pipelines")
			if dir == "" {
				dir = arg
			}
		}
		found, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			return nil, "", fmt.Errorf("list %s: %w", folder, err)
		}
		if len(found) == 0 {
			return nil, "", fmt.Errorf("%s: there is no *.yaml in this folder", folder)
		}
		paths = append(paths, found...)
	}
	for i, path := range paths {
		if slices.ContainsFunc(paths[:i], func(other string) bool { return filepath.Clean(other) == filepath.Clean(path) }) {
			continue
		}
		text, err := os.ReadFile(path) //nolint:gosec // the file that the user names
		if err != nil {
			return nil, "", fmt.Errorf("read pipeline: %w", err)
		}
		asked = append(asked, pipeline.Source{File: path, Text: text})
	}
	return asked, dir, nil
}
