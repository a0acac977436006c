package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/carriers"
)

// testedSample is what became of a case of a carrier.
type testedSample struct {
	Case    string   `json:"case"`
	Sample  string   `json:"sample"`
	Passed  bool     `json:"passed"`
	Items   int      `json:"items"`
	Differs []string `json:"differences,omitempty"`
	Updated bool     `json:"updated,omitempty"`
}

func (c *carrierCommand) testCommand() *cobra.Command {
	var asJSON, update bool
	var run string
	cmd := &cobra.Command{
		Use:   "test [CARRIER...]",
		Short: "Test carriers by the samples beside them: a body in, what is to become of each item",
		Long: `Test carriers by samples. They stand in the configuration's folder, under carriers/tests/CARRIER:

  CASE.json            what the carrier sends, byte for byte; any ending but those below
  CASE.want.ndjson     what is to become of it, one line an item
  CASE.case.yaml       the rest, all of it optional

A line of CASE.want.ndjson holds the fields that are wanted of an event, by the names that the API has, and those that say what it means;
null is one that must not be there, and fields that are not named may be anything:

  {"correlation_id":"0045123456","event_type":"PU","timestamp":"2026-06-20T10:05:00-05:00","milestone":"accepted"}
  {"event_type":"ZZ9","milestone":"unknown","warnings":[{"field":"event_type","code":"unmapped_code"}]}
  {"refused":[{"field":"timestamp","code":"format"}]}
  {"aside":[{"field":".N/1","code":"no_read"}]}           read, and nothing to trace
  {"unreadable":"syntax"}                                 the body as a whole

CASE.case.yaml says when the body is received, from which years and days are inferred that it leaves out (2026-06-20T12:00:00Z unless it
says so), and with which headers it comes:

  received_at: 2026-12-31T23:00:00Z
  headers: {Content-Type: application/x-ndjson}

With --update what becomes of each sample is written to CASE.want.ndjson. Look at it before you believe it.

Exit codes: 0 all passed, 1 some failed or say nothing, 2 the command line is wrong, 4 there is no such carrier, or no case.`,
		Example: `  rastro carrier test --config ./own
  rastro carrier test --config ./own acme
  rastro carrier test --config ./own acme --update
  rastro carrier test --config ./own --run 'epcis/.*correction' --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			tested, err := c.test(args, run, update)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), tested); err != nil {
					return err
				}
			}
			failed := 0
			for _, t := range tested {
				if !t.Passed {
					failed++
				}
				if asJSON {
					continue
				}
				if _, err := fmt.Fprint(cmd.OutOrStdout(), t.text()); err != nil {
					return err
				}
			}
			if !asJSON {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s, %d failed\n", counted(len(tested), "case"), failed); err != nil {
					return err
				}
			}
			if failed > 0 {
				return exitWith(exitFailure, nil)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&update, "update", false, "write what becomes of each sample to what is wanted of it")
	cmd.Flags().StringVar(&run, "run", "", "only cases whose CARRIER/CASE this regular expression matches")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of {case, sample, passed, items, differences, updated}")
	return cmd
}

func (t testedSample) text() string {
	var b strings.Builder
	verdict := "ok  "
	if !t.Passed {
		verdict = "FAIL"
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", verdict, clean(t.Case), counted(t.Items, "item"))
	if t.Updated {
		b.WriteString("      written\n")
	}
	for _, d := range t.Differs {
		fmt.Fprintf(&b, "      %s\n", clean(d))
	}
	return b.String()
}

func (c *carrierCommand) test(names []string, run string, update bool) ([]testedSample, error) {
	only, err := regexp.Compile(run)
	if err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("--run: %w", err))
	}
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	set, _, err := checkedCarriers(files)
	if err != nil {
		return nil, err
	}
	sources, err := c.sources(files, nil)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		for _, one := range set.All() {
			names = append(names, one.Name)
		}
	}
	tested := []testedSample{}
	for _, name := range names {
		carrier, ok := set.Named(name)
		if !ok {
			return nil, exitWith(exitNotFound, fmt.Errorf("there is no carrier %q%s", name, meantCarrier(name, sources)))
		}
		cases, err := carriers.Cases(files, name)
		if err != nil {
			return nil, err
		}
		for _, of := range cases {
			if !only.MatchString(of.Name) {
				continue
			}
			one, err := runSample(carrier, of, files, update)
			if err != nil {
				return nil, err
			}
			tested = append(tested, one)
		}
	}
	if len(tested) == 0 {
		return nil, exitWith(exitNotFound, errors.New("there are no such cases: a sample is a file under carriers/tests/CARRIER in the configuration's folder, which --config names"))
	}
	return tested, nil
}

func runSample(carrier *carriers.Carrier, of carriers.Case, files configuration, update bool) (testedSample, error) {
	got, differs, err := carrier.Run(of)
	t := testedSample{Case: of.Name, Sample: files.name(of.Sample), Items: len(got), Differs: differs}
	switch {
	case update && files.dir == "":
		return t, exitWith(exitUsage, errors.New("the built-in samples cannot be written: name the folder of your configuration with --config"))
	case update:
		if err == nil && len(differs) == 0 {
			break // what is wanted may say less, on purpose
		}
		path := filepath.Join(files.dir, filepath.FromSlash(of.Want))
		if err := os.WriteFile(path, bytes.TrimLeft(carriers.Encode(got), "\n"), 0o644); err != nil { //nolint:gosec // no secret
			return t, fmt.Errorf("write what is wanted: %w", err)
		}
		t.Updated, t.Differs, err = true, nil, nil
	}
	if errors.Is(err, carriers.ErrNoWant) {
		t.Differs = []string{err.Error() + "; --update writes it"}
	} else if err != nil {
		t.Differs = []string{err.Error()}
	}
	t.Passed = len(t.Differs) == 0
	return t, nil
}
