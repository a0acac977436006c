package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/store"
)

// newTenantCommand makes `rastro tenant`.
func newTenantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Look after the tenants: what they may send, how much and how fast",
		Long: `Look after the tenants: what they may send, how much and how fast. Every process obeys a change within 5 s; what is changed is
noted in the audit. The settings are those of docs/tenants.md.

The commands work on the database that RASTRO_DATABASE_URL names, or on that of the running ` + "`rastro dev`" + `.

Exit code 2: the command line or the file is wrong. 4: there is no such tenant. 5: the database cannot be reached.`,
		Example: `  rastro tenant list
  rastro tenant show talma-pe > tenants.yaml
  rastro tenant apply tenants.yaml --dry-run
  rastro tenant apply tenants.yaml`,
	}
	cmd.AddCommand(newTenantListCommand(), newTenantShowCommand(), newTenantApplyCommand())
	return cmd
}

func newTenantListCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tenants",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			db, _, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			all, err := db.Tenants(cmd.Context())
			if err != nil {
				return err
			}
			entries := make([]tenantEntry, len(all))
			rows := make([][]string, len(all))
			for i, t := range all {
				if entries[i], err = tenantEntryOf(t); err != nil {
					return err
				}
				rows[i] = tenantRow(t)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			heads := []string{"ID", "NAME", "COUNTRY", "ACTIVE", "EVENTS/S", "PAYLOAD", "DAYS KEPT", "EVENT TYPES", "SOURCES"}
			return writeClean(cmd.OutOrStdout(), heads, rows)
		},
	}
	addOutput(cmd, &format)
	return cmd
}

func tenantRow(t store.Tenant) []string {
	active := "yes"
	if !t.Active {
		active = "no"
	}
	limit := func(n float64) string {
		if n == 0 {
			return "any"
		}
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return []string{
		t.ID, t.Name, t.Country, active, limit(t.RatePerSecond), limit(float64(t.MaxPayloadBytes)), limit(float64(t.RetentionDays)),
		firstOf(strings.Join(t.EventTypes, ","), "any"), firstOf(strings.Join(t.Sources, ","), "any"),
	}
}

func newTenantShowCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show TENANT",
		Short: "Show the settings of a tenant, as a file that apply takes",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			db, _, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			tenant, err := db.Tenant(cmd.Context(), args[0])
			if errors.Is(err, store.ErrNotFound) {
				return exitWith(exitNotFound, fmt.Errorf("there is no tenant %q; `rastro tenant list` shows them", args[0]))
			}
			if err != nil {
				return err
			}
			entry, err := tenantEntryOf(tenant)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), entry)
			}
			text, err := yaml.MarshalWithOptions(tenantFile{[]tenantEntry{entry}}, yaml.IndentSequence(true), yaml.AutoInt())
			if err != nil {
				return fmt.Errorf("write tenant: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	addOutput(cmd, &format)
	return cmd
}

// maxTenantFile bounds a file of tenants, in bytes.
const maxTenantFile = 16 << 20

func newTenantApplyCommand() *cobra.Command {
	var dryRun bool
	var format string
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the settings of tenants what a file says",
		Long: `Make the settings of the tenants in a file what the file says, all or none; FILE is - for the standard input. A setting that the
file leaves out is as docs/tenants.md says, not as it was. Tenants that the file does not name stay as they are. Doing it again
changes nothing.`,
		Example: `  rastro tenant apply tenants.yaml --dry-run
  rastro tenant show talma-pe | sed 's/rate_per_second: .*/rate_per_second: 100/' | rastro tenant apply -`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := isJSON(format)
			if err != nil {
				return err
			}
			tenants, err := readTenants(cmd.InOrStdin(), args[0])
			if err != nil {
				return exitWith(exitUsage, err)
			}
			db, _, err := openDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			var changes []store.TenantChange
			if dryRun {
				changes, err = db.PlanTenants(cmd.Context(), tenants)
			} else {
				changes, err = db.ChangeTenants(cmd.Context(), tenants, operator("tenant apply"))
			}
			if err != nil {
				return err
			}
			return printTenantChanges(cmd.OutOrStdout(), changes, dryRun, asJSON)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	addOutput(cmd, &format)
	return cmd
}

// readTenants reads a file of tenants that has some.
func readTenants(stdin io.Reader, name string) ([]store.Tenant, error) {
	source := stdin
	if name != "-" {
		file, err := os.Open(name) //nolint:gosec // who runs the command says which
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it was only read
		source = file
	}
	text, err := io.ReadAll(io.LimitReader(source, maxTenantFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read tenants: %w", err)
	case len(text) > maxTenantFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxTenantFile)
	}
	tenants, wrong := parseTenants(name, text)
	if len(wrong) > 0 {
		return nil, wrong
	}
	if len(tenants) == 0 {
		return nil, fmt.Errorf("%s has no tenants; list them under tenants: as `rastro tenant show` does", name)
	}
	return tenants, nil
}

func printTenantChanges(out io.Writer, changes []store.TenantChange, dryRun, asJSON bool) error {
	if asJSON {
		return printJSON(out, struct {
			DryRun  bool                 `json:"dry_run"`
			Tenants []store.TenantChange `json:"tenants"`
		}{dryRun, changes})
	}
	var text strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&text, "%-9s  %s\n", c.Change, clean(c.TenantID))
		for _, d := range c.Differences {
			if c.Change == store.TenantCreated {
				fmt.Fprintf(&text, "  %s: %s\n", clean(d.Field), tenantValue(d.After))
				continue
			}
			fmt.Fprintf(&text, "  %s: %s -> %s\n", clean(d.Field), tenantValue(d.Before), tenantValue(d.After))
		}
	}
	if dryRun {
		text.WriteString("Nothing was changed: this was a dry run.\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// tenantValue writes a setting for people.
func tenantValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case []string:
		return clean(firstOf(strings.Join(v, ", "), "any"))
	case map[string]int:
		var days []string
		for _, kind := range slices.Sorted(maps.Keys(v)) {
			days = append(days, fmt.Sprintf("%s: %d", kind, v[kind]))
		}
		return clean(firstOf(strings.Join(days, ", "), "none"))
	case string:
		return clean(firstOf(v, "none"))
	default:
		return clean(fmt.Sprint(v))
	}
}
