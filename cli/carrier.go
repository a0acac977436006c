package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
)

// carrierCommand is what the commands below `rastro carrier` share.
type carrierCommand struct {
	streams

	config string
}

// newCarrierCommand makes `rastro carrier`.
func newCarrierCommand(streams streams) *cobra.Command {
	c := &carrierCommand{streams: streams}
	cmd := &cobra.Command{
		Use:   "carrier",
		Short: "Connect carriers: write, check and test what says how each sends",
		Long: `Connect carriers. A carrier is a file carriers/NAME.yaml of the configuration: of the folder that --config names (or
RASTRO_CONFIG_DIR), with the built-in files behind. It says who the carrier is, in which format it sends, how it proves who it is, what its
codes mean, and how much it may take. What it sends goes to POST /api/v1/carriers/NAME/events.

A carrier is connected in four steps: write its file, put samples of what it sends beside it, see what becomes of them, and send one.

Exit codes: 0 done, 1 something is wrong with a carrier, 2 the command line is wrong, 4 there is no such carrier.`,
		Example: `  rastro carrier new acme --format mapped --config ./own
  rastro carrier lint --config ./own
  rastro carrier test --config ./own --update   # writes what becomes of the samples, to be looked at
  rastro carrier test --config ./own
  rastro carrier list
  rastro carrier inbox                         # the codes that nothing knows`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&c.config, "config", "", "`folder` whose files stand before the built-in ones (default $RASTRO_CONFIG_DIR)")
	cmd.AddCommand(c.listCommand(), c.lintCommand(), c.testCommand(), c.newCommand(), c.inboxCommand())
	return cmd
}

// files returns the configuration.
func (c *carrierCommand) files() (configuration, error) {
	p := pipelineCommand{streams: c.streams, config: c.config}
	dir, err := p.configDir()
	return configFiles(dir), err
}

// sources reads the files of carriers: those of the configuration, or in their place those that arguments name.
func (c *carrierCommand) sources(files configuration, args []string) ([]pipeline.Source, error) {
	sources, err := sourcesOf(files, "carriers/*.yaml")
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	if len(args) == 0 {
		return sources, nil
	}
	var asked []pipeline.Source
	for _, arg := range args {
		if i := slices.IndexFunc(sources, func(s pipeline.Source) bool { return filepath.Base(s.File) == arg+".yaml" }); i >= 0 {
			asked = append(asked, sources[i])
			continue
		}
		text, err := os.ReadFile(arg) //nolint:gosec // the file that the user names
		if errors.Is(err, fs.ErrNotExist) {
			return nil, exitWith(exitNotFound, fmt.Errorf("there is no carrier and no file %q%s", arg, meantCarrier(arg, sources)))
		}
		if err != nil {
			return nil, exitWith(exitUsage, err)
		}
		asked = append(asked, pipeline.Source{File: arg, Text: text})
	}
	return asked, nil
}

func (c *carrierCommand) lintCommand() *cobra.Command {
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "lint [CARRIER|FILE...]",
		Short: "Find what is wrong with carriers, each with file:line:column and what to write instead",
		Long: `Find everything that is wrong with carriers and can be known before the first body comes, by the code that also runs at start-up: keys and
values, time zones and stations, the expressions of mappings, and the meanings of codes. Without arguments all carriers of the
configuration are checked.

One finding a line on standard output:

  FILE:LINE:COLUMN: MESSAGE; HINT [CODE]

Exit codes: 0 nothing found but perhaps warnings, 1 errors, or warnings with --strict, 2 the command line is wrong, 4 there is no such
carrier.`,
		Example: `  rastro carrier lint
  rastro carrier lint --config ./own
  rastro carrier lint own/carriers/acme.yaml
  rastro carrier lint --json | jq -r '.[].code'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := c.files()
			if err != nil {
				return err
			}
			sources, err := c.sources(files, args)
			if err != nil {
				return err
			}
			tables, err := carriers.LoadTables(files)
			if err != nil {
				return err
			}
			_, found := carriers.LoadSources(sources, tables)
			if err := writeFindings(cmd.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
			warnings := len(found.Warnings())
			if warnings < len(found) || strict && warnings > 0 {
				return exitWith(exitFailure, nil)
			}
			what := "nothing found"
			if warnings > 0 {
				what = counted(warnings, "warning")
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s checked, %s\n", counted(len(sources), "carrier"), what)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as a JSON array of {file, line, column, code, message, hint, severity}")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings as well")
	return cmd
}

// listedCarrier is a carrier in a list.
type listedCarrier struct {
	Name    string   `json:"name"`
	Tenant  string   `json:"tenant"`
	Format  string   `json:"format"`
	Shape   string   `json:"shape,omitempty"`
	Ways    []string `json:"authentication"`
	Codes   int      `json:"codes"`
	Summary string   `json:"summary"`
	Address string   `json:"address"`
}

func (c *carrierCommand) listCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the carriers: whose, in which format, and how they prove who they are",
		Example: `  rastro carrier list
  rastro carrier list -o json --config ./own`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			files, err := c.files()
			if err != nil {
				return err
			}
			set, _, err := checkedCarriers(files)
			if err != nil {
				return err
			}
			list := []listedCarrier{}
			for _, one := range set.All() {
				list = append(list, carrierRow(one))
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			rows := make([][]string, len(list))
			for i, l := range list {
				rows[i] = []string{l.Name, firstOf(l.Tenant, "any"), strings.TrimSuffix(l.Format+" "+l.Shape, " "), strings.Join(l.Ways, ","), fmt.Sprint(l.Codes), l.Summary}
			}
			return writeClean(cmd.OutOrStdout(), []string{"CARRIER", "TENANT", "FORMAT", "TAKES", "CODES", "SUMMARY"}, rows)
		},
	}
	addOutput(cmd, &format)
	return cmd
}

func carrierRow(c *carriers.Carrier) listedCarrier {
	l := listedCarrier{
		Name: c.Name, Tenant: c.Tenant, Format: c.Format, Shape: c.Shape, Codes: len(c.Codes), Summary: c.Summary,
		Address: "/api/v1/carriers/" + c.Name + "/events",
	}
	for _, way := range []struct {
		name  string
		taken bool
	}{{"oidc", c.Authentication.OIDC}, {"hmac", c.Authentication.HMAC}, {"api_key", c.Authentication.APIKey}} {
		if way.taken {
			l.Ways = append(l.Ways, way.name)
		}
	}
	return l
}

func meantCarrier(name string, sources []pipeline.Source) string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = strings.TrimSuffix(filepath.Base(s.File), ".yaml")
	}
	if best := suggest.Closest(name, names); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}
