package cli

import (
	_ "embed"
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
	"github.com/rastrohq/rastro/tracking/formats/mapped"
)

//go:embed scaffold/carrier.yaml
var scaffoldCarrier string

//go:embed scaffold/mapping.yaml
var scaffoldMapping string

// scaffoldSamples are the first samples of carriers by their format: what the file ends with, and what it holds.
func scaffoldSamples() map[string][2]string {
	return map[string][2]string{
		carriers.Native: {".json", `[{"correlation_id":"0045123456","aggregate_id":"0045123456","event_type":"X-ACCEPTED","timestamp":"2026-06-20T10:05:00-05:00","event_id":"1"}]` + "\n"},
		carriers.CloudEvents: {".json", `{"specversion":"1.0","id":"1","source":"/scanner/4","type":"X-ACCEPTED","subject":"0045123456","time":"2026-06-20T10:05:00-05:00","data":{"belt":4}}
`},
		carriers.EPCIS: {".json", `{"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],"type":"ObjectEvent","action":"OBSERVE","bizStep":"shipping","epcList":["urn:epc:id:sscc:0614141.1234567890"],"eventTime":"2026-06-20T10:05:00-05:00","eventTimeZoneOffset":"-05:00","readPoint":{"id":"urn:epc:id:sgln:0614141.07346.1234"}}
`},
		carriers.DCSA: {".json", `{"events":[{"eventID":"1","eventDateTime":"2026-06-20T10:05:00-05:00","eventUpdatedDateTime":"2026-06-20T10:06:00-05:00","eventRouting":{"originatingParty":{"partyName":"Line","partyCode":"LINE","codeListProvider":"SMDG"}},"eventClassification":{"eventTypeCode":"EQUIPMENT","eventClassifierCode":"ACT","equipmentEventTypeCode":"LOAD"},"equipmentDetails":{"equipmentReference":"APZU4812090","isoEquipmentCode":"22G1","emptyIndicatorCode":"LADEN"}}]}
`},
		carriers.CargoIMP: {".txt", "FSU/14\r\n045-53806270LIMJFK/T10K505.0\r\nRCS/20JUN1510/LIM/T10K505.0\r\n"},
		carriers.Baggage:  {".txt", "BPM\r\n.V/1LLIM\r\n.J/S/BHS1/LB9/20JUN/1005L/LB9/LB9\r\n.F/LA2468/20JUN/JFK/Y\r\n.N/0045123456001\r\nENDBPM\r\n"},
		carriers.Mapped:   {".json", `{"number":"AX1","scans":[{"code":"X-ACCEPTED","at":"2026-06-20T10:05:00-05:00","city":"Lima"},{"code":"X-NEW","at":"2026-06-20 11:00:00"}]}` + "\n"},
	}
}

func (c *carrierCommand) newCommand() *cobra.Command {
	var format, tenant string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a carrier to begin with, and its first test",
		Long: `Write carriers/NAME.yaml, a carrier that lints and is explained line by line, and carriers/tests/NAME/first.*, a sample of what it sends
with what becomes of it. They are written to the configuration's folder, which --config names; it is made if need be. A file that is
there already is left alone, and nothing is written.

Exit codes: 0 done, 1 a file is there already or cannot be written, 2 the command line is wrong.`,
		Example: `  rastro carrier new acme --format mapped --config ./own
  rastro carrier new handler-lim --format baggage --tenant talma-pe --config ./own`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return c.scaffold(cmd, args[0], format, tenant) },
	}
	cmd.Flags().StringVar(&format, "format", carriers.Native, "`format` that it sends: "+strings.Join(carriers.Formats(), ", "))
	cmd.Flags().StringVar(&tenant, "tenant", defaultTenant, "`tenant` whose events they are")
	return cmd
}

func (c *carrierCommand) scaffold(cmd *cobra.Command, name, format, tenant string) error {
	dir := firstOf(c.config, c.getenv("RASTRO_CONFIG_DIR"))
	if dir == "" {
		return exitWith(exitUsage, errors.New("name the folder of your configuration with --config; it is made if it is not there"))
	}
	if !slices.Contains(carriers.Formats(), format) {
		hint := "there is " + strings.Join(carriers.Formats(), ", ")
		if best := suggest.Closest(format, carriers.Formats()); best != "" {
			hint = fmt.Sprintf("did you mean %q?", best)
		}
		return exitWith(exitUsage, fmt.Errorf("there is no format %q; %s", format, hint))
	}
	files := configFiles(dir)
	tables, err := carriers.LoadTables(files)
	if err != nil {
		return err
	}
	mapping := ""
	if format == carriers.Mapped {
		mapping = strings.ReplaceAll(scaffoldMapping, "{SHAPES}", strings.Join(mapped.Shapes(), ", ")) + "\n"
	}
	source := strings.NewReplacer("{NAME}", name, "{FORMAT}", format, "{TENANT}", tenant, "{MAPPING}\n", mapping).Replace(scaffoldCarrier)
	file := filepath.Join(dir, "carriers", name+".yaml")
	carrier, found := carriers.Parse(file, []byte(source), tables)
	if carrier == nil { // the name or the tenant is none
		return exitWith(exitUsage, found)
	}
	kind := scaffoldSamples()[format]
	sample := filepath.Join(dir, "carriers", "tests", name, "first"+kind[0])
	want := filepath.Join(dir, "carriers", "tests", name, "first.want.ndjson")
	lines := carriers.Encode(carrier.Lines(carriers.SampleOf([]byte(kind[1]))))
	texts := []struct{ path, text string }{{file, source}, {sample, kind[1]}, {want, string(lines)}}
	for _, t := range texts {
		if _, err := os.Lstat(t.path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fmt.Errorf("%s is there already", t.path)
			}
			return err
		}
	}
	for _, t := range texts {
		if err := writeNew(t.path, t.text); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n%s\n\nNext:\n  rastro carrier lint --config %s\n  rastro carrier test --config %s %s\n",
		file, sample, want, dir, dir, name)
	return err
}
