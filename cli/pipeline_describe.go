package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
)

// describeCommand makes `rastro pipeline describe`.
func (p *pipelineCommand) describeCommand() *cobra.Command {
	format := formatText
	cmd := &cobra.Command{
		Use:   "describe [STAGE]",
		Short: "Explain a stage: what it does, its config with types and defaults, an example",
		Long: `Explain the stage that STAGE names. Without a name: list the stages, or with --format markdown or json explain all of them.

Exit code 4: there is no such stage.`,
		Example: `  rastro pipeline describe
  rastro pipeline describe dedupe
  rastro pipeline describe --format markdown > stages.md`,
		Args: usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			registry, err := p.registry()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return registry.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, formatText, formatMarkdown, formatJSON); err != nil {
				return err
			}
			references, err := p.references(args)
			if err != nil {
				return err
			}
			return describe(cmd.OutOrStdout(), references, format, len(args) == 0)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "text, markdown or json")
	return cmd
}

// references returns those of the stages named, of all when none is.
func (p *pipelineCommand) references(names []string) ([]pipeline.Reference, error) {
	registry, err := p.registry()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return registry.References(), nil
	}
	definition, ok := registry.Lookup(names[0])
	if !ok {
		hint := "there is " + strings.Join(registry.Names(), ", ")
		if meant := suggest.Closest(names[0], registry.Names()); meant != "" {
			hint = fmt.Sprintf("did you mean %q?", meant)
		}
		return nil, exitWith(exitNotFound, fmt.Errorf("there is no stage %q; %s", names[0], hint))
	}
	return []pipeline.Reference{definition.Reference()}, nil
}

func describe(out io.Writer, references []pipeline.Reference, format string, all bool) error {
	switch {
	case format == formatJSON && all:
		return writeJSON(out, references)
	case format == formatJSON:
		return writeJSON(out, references[0])
	case format == formatMarkdown && all:
		_, err := io.WriteString(out, stagesMarkdown(references))
		return err
	case format == formatMarkdown:
		_, err := io.WriteString(out, stageMarkdown(references[0]))
		return err
	case all:
		rows := [][]string{{"STAGE", "SUMMARY"}}
		for _, r := range references {
			rows = append(rows, []string{r.Name, r.Summary})
		}
		return writeTable(out, rows)
	default:
		_, err := io.WriteString(out, stageText(references[0]))
		return err
	}
}

const indent = "  "

// stageText writes a reference for a terminal.
func stageText(r pipeline.Reference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Name, r.Summary)
	if r.Doc != "" {
		fmt.Fprintf(&b, "\n%s\n", r.Doc)
	}
	if len(r.Fields) == 0 {
		b.WriteString("\nIt has no config of its own.\n")
	} else {
		b.WriteString("\nConfig:\n")
	}
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "\n%s%s  (%s)\n", indent, f.Path, strings.Join(facts(f), ", "))
		for _, line := range wrap(f.Doc, 110) {
			fmt.Fprintf(&b, "%s%s%s\n", indent, indent, line)
		}
	}
	fmt.Fprintf(&b, "\nExample:\n\n%s\n", indentLines(r.Example))
	return b.String()
}

// facts are a field's type, default and secrecy in words.
func facts(f pipeline.Field) []string {
	words := []string{f.Type}
	if f.Default != "" {
		words = append(words, "default "+f.Default)
	}
	if f.Secret {
		words = append(words, "secret")
	}
	return words
}

// wrap breaks text into lines of width characters at most, where words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func indentLines(text string) string {
	return indent + strings.ReplaceAll(text, "\n", "\n"+indent)
}

// stagesMarkdown writes the reference of all stages: docs/stages.md.
func stagesMarkdown(references []pipeline.Reference) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from the stages by `make docs`; change it there. -->\n\n# Stages\n\n")
	b.WriteString("What `use` may say in a pipeline. `rastro pipeline describe STAGE` prints the same for one stage.\n\n")
	b.WriteString("| stage | what it does |\n|---|---|\n")
	for _, r := range references {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", r.Name, r.Name, tableCell(r.Summary))
	}
	b.WriteString("\n## Keys of every stage\n\n")
	writeFieldTable(&b, pipeline.StageKeys())
	for _, r := range references {
		b.WriteString("\n" + stageMarkdown(r))
	}
	return b.String()
}

func stageMarkdown(r pipeline.Reference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", r.Name, r.Summary)
	if r.Doc != "" {
		fmt.Fprintf(&b, "\n%s\n", r.Doc)
	}
	fmt.Fprintf(&b, "\n```yaml\n%s\n```\n\n", r.Example)
	if len(r.Fields) == 0 {
		b.WriteString("It has no config of its own.\n")
		return b.String()
	}
	writeFieldTable(&b, r.Fields)
	return b.String()
}

func writeFieldTable(b *strings.Builder, fields []pipeline.Field) {
	b.WriteString("| key | type | default | |\n|---|---|---|---|\n")
	for _, f := range fields {
		value, doc := "", f.Doc
		if f.Default != "" {
			value = "`" + f.Default + "`"
		}
		if f.Secret {
			doc = strings.TrimSpace(doc + " A secret: never printed.")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", tableCell(f.Path), tableCell(f.Type), tableCell(value), tableCell(doc))
	}
}

// tableCell escapes what would end a cell of a table.
func tableCell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

// schemaCommand makes `rastro pipeline schema`.
func (p *pipelineCommand) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors to complete and check from",
		Long: `Print the JSON Schema (draft 2020-12) of a pipeline file: its keys, and the config of every stage with docs, types and defaults.

An editor that speaks the YAML language server's protocol completes and checks a pipeline that begins with

  # yaml-language-server: $schema=../pipeline.schema.json

where the path leads from the pipeline's file to what this command printed.`,
		Example: `  rastro pipeline schema > my-config/pipeline.schema.json`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			registry, err := p.registry()
			if err != nil {
				return err
			}
			return writeJSON(cmd.OutOrStdout(), registry.Schema())
		},
	}
}
