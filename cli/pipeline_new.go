package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/pipeline"
)

//go:embed scaffold/pipeline.yaml
var scaffoldPipeline string

//go:embed scaffold/case.yaml
var scaffoldCase string

// newCommand makes `rastro pipeline new`.
func (p *pipelineCommand) newCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a pipeline to begin with, and its first test",
		Long: `Write pipelines/NAME.yaml, a pipeline that lints and is explained line by line, and pipelines/tests/NAME/first.yaml, its
first test, which passes. They are written to the configuration's folder, which --config names; it is made if need be. A file
that is there already is left alone, and nothing is written.

Exit codes: 0 done, 1 a file is there already or cannot be written, 2 the command line is wrong.`,
		Example: `  rastro pipeline new cargo --config ./my-config
  rastro pipeline new alerts --config ./my-config --from events.persisted`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return p.scaffold(cmd, args[0], from) },
	}
	cmd.Flags().StringVar(&from, "from", ingest.Topic, "`topic` that the pipeline reads")
	return cmd
}

func (p *pipelineCommand) scaffold(cmd *cobra.Command, name, from string) error {
	dir := p.config
	if dir == "" {
		dir = p.getenv("RASTRO_CONFIG_DIR")
	}
	if dir == "" {
		return exitWith(exitUsage, errors.New("name the folder of your configuration with --config; it is made if it is not there"))
	}
	registry, err := p.registry()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "pipelines", name+".yaml")
	test := filepath.Join(dir, "pipelines", "tests", name, "first.yaml")
	fill := strings.NewReplacer("{NAME}", name, "{FROM}", from, "{CONFIG}", dir)
	source := fill.Replace(scaffoldPipeline)
	// The name and the topic are those that a pipeline may have, or it says what is wrong with them.
	if _, err := pipeline.Parse(file, []byte(source), registry); err != nil {
		return exitWith(exitUsage, err)
	}
	for _, path := range []string{file, test} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fmt.Errorf("%s is there already", path)
			}
			return err
		}
	}
	for path, text := range map[string]string{file: source, test: fill.Replace(scaffoldCase)} {
		if err := writeNew(path, text); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n\nNext:\n  rastro pipeline lint --config %s\n  rastro pipeline test --config %s --run '^%s/'\n",
		file, test, dir, dir, name)
	return err
}

// writeNew writes a file that is not there.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a configuration is no secret
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
