package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
)

const (
	formatMermaid = "mermaid"
	formatDOT     = "dot"
)

// graphCommand makes `rastro pipeline graph`.
func (p *pipelineCommand) graphCommand() *cobra.Command {
	format := formatMermaid
	cmd := &cobra.Command{
		Use:   "graph [PIPELINE]",
		Short: "Draw pipelines, their stages and topics, as Mermaid or DOT",
		Long: `Draw all pipelines, or the one that PIPELINE names. An arrow with a name is the topic between two stages; a thick one joins
stages that are fused, without a topic between them; a dotted one leads to the dead letters. The topics of the ledgers, which
carry no events, are left out.`,
		Example: `  rastro pipeline graph > pipelines.mmd
  rastro pipeline graph tracking --format dot | dot -Tsvg > tracking.svg`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, formatMermaid, formatDOT); err != nil {
				return err
			}
			plans, err := p.plans(cmd.Context(), args...)
			if err != nil {
				return err
			}
			var text string
			if d := newDiagram(plans); format == formatDOT {
				text = d.dot()
			} else {
				text = d.mermaid()
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "mermaid or dot")
	return cmd
}

// diagram is a picture of pipelines, whatever draws it.
type diagram struct {
	groups []group
	topics []node
	edges  []edge
}

type node struct{ id, label, detail string }

// group is a pipeline.
type group struct {
	node
	stages []node
}

type edgeKind int

const (
	reads   edgeKind = iota // from a topic, to one, or both at once
	fused                   // without a topic
	rejects                 // from a group to a topic
	routed                  // from a stage to a later one, past those between
)

type edge struct {
	from, to, label string
	kind            edgeKind
}

// end is a stage that reads or writes a topic.
type end struct {
	group int
	id    string
}

// newDiagram draws a topic with one writer and one reader in the same pipeline as an arrow, any other as a node.
func newDiagram(plans []pipeline.Plan) diagram {
	var d diagram
	writers, readers := map[string][]end{}, map[string][]end{}
	for i, plan := range plans {
		g := group{node: node{id: "p" + strconv.Itoa(i), label: plan.Pipeline, detail: plan.Summary}}
		for _, hop := range plan.Hops {
			for n, stage := range hop.Stages {
				s := node{id: g.id + "s" + strconv.Itoa(len(g.stages)), label: stage.Name}
				if stage.Use != stage.Name {
					s.detail = stage.Use
				}
				if when := stage.When.Text(); when != "" {
					s.detail = strings.TrimSpace(s.detail + " when " + when)
				}
				if n > 0 {
					d.edges = append(d.edges, edge{from: g.stages[len(g.stages)-1].id, to: s.id, kind: fused})
				} else {
					readers[hop.From] = append(readers[hop.From], end{i, s.id})
				}
				g.stages = append(g.stages, s)
			}
			for _, topic := range hop.To {
				writers[topic] = append(writers[topic], end{i, g.stages[len(g.stages)-1].id})
			}
		}
		d.routes(plan, g, writers, end{group: i})
		d.groups = append(d.groups, g)
	}
	d.connect(plans, writers, readers)
	return d
}

// routes draws where the stages of a group may send events besides the next stage.
func (d *diagram) routes(plan pipeline.Plan, g group, writers map[string][]end, from end) {
	ids := map[string]string{}
	for _, s := range g.stages {
		ids[s.label] = s.id
	}
	for _, hop := range plan.Hops {
		for _, stage := range hop.Stages {
			from.id = ids[stage.Name]
			for _, to := range stage.Destinations() {
				e := edge{from: from.id, to: ids[to.Stage], kind: routed}
				switch {
				case to.Topic != "" && !slices.Contains(writers[to.Topic], from):
					writers[to.Topic] = append(writers[to.Topic], from)
				case to.Stage != "" && !slices.Contains(d.edges, e):
					d.edges = append(d.edges, e)
				}
			}
		}
	}
}

func (d *diagram) connect(plans []pipeline.Plan, writers, readers map[string][]end) {
	for _, topic := range pipeline.Topics(plans...) {
		if slices.ContainsFunc(plans, func(plan pipeline.Plan) bool { return plan.Ledger == topic.Name }) {
			continue // carries no events
		}
		w, r := writers[topic.Name], readers[topic.Name]
		if len(w) == 1 && len(r) == 1 && w[0].group == r[0].group {
			d.edges = append(d.edges, edge{from: w[0].id, to: r[0].id, label: topic.Name})
			continue
		}
		t := node{id: "t" + strconv.Itoa(len(d.topics)), label: topic.Name}
		d.topics = append(d.topics, t)
		for _, from := range w {
			d.edges = append(d.edges, edge{from: from.id, to: t.id})
		}
		for _, to := range r {
			d.edges = append(d.edges, edge{from: t.id, to: to.id})
		}
		for i, plan := range plans {
			if plan.DeadLetters == topic.Name {
				d.edges = append(d.edges, edge{from: d.groups[i].id, to: t.id, label: "rejects", kind: rejects})
			}
		}
	}
	slices.SortStableFunc(d.edges, func(a, b edge) int {
		return cmp.Or(int(a.kind)-int(b.kind), strings.Compare(a.from, b.from))
	})
}

// mermaid writes a flowchart: https://mermaid.js.org/syntax/flowchart.html.
func (d diagram) mermaid() string {
	var b strings.Builder
	escape := strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace
	quote := func(n node) string {
		label := escape(n.label)
		if n.detail != "" {
			label += "<br/>" + escape(n.detail)
		}
		return `"` + label + `"`
	}
	b.WriteString("flowchart LR\n")
	for _, t := range d.topics {
		fmt.Fprintf(&b, "  %s[(%s)]\n", t.id, quote(t))
	}
	for _, g := range d.groups {
		fmt.Fprintf(&b, "  subgraph %s [%s]\n", g.id, quote(node{label: g.label}))
		for _, s := range g.stages {
			fmt.Fprintf(&b, "    %s[%s]\n", s.id, quote(s))
		}
		b.WriteString("  end\n")
	}
	for _, e := range d.edges {
		switch {
		case e.kind == fused:
			fmt.Fprintf(&b, "  %s ==> %s\n", e.from, e.to)
		case e.kind == rejects:
			fmt.Fprintf(&b, "  %s -. %s .-> %s\n", e.from, e.label, e.to)
		case e.kind == routed:
			fmt.Fprintf(&b, "  %s -->|route| %s\n", e.from, e.to)
		case e.label != "":
			fmt.Fprintf(&b, "  %s -->|%s| %s\n", e.from, quote(node{label: e.label}), e.to)
		default:
			fmt.Fprintf(&b, "  %s --> %s\n", e.from, e.to)
		}
	}
	return b.String()
}

// dot writes a digraph: https://graphviz.org/doc/info/lang.html.
func (d diagram) dot() string {
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace
	label := func(n node) string {
		text := escape(n.label)
		if n.detail != "" {
			text += `\n` + escape(n.detail)
		}
		return `"` + text + `"`
	}
	b.WriteString("digraph rastro {\n  rankdir=LR;\n  compound=true;\n  node [shape=box];\n")
	for _, t := range d.topics {
		fmt.Fprintf(&b, "  %s [label=%s, shape=cylinder];\n", t.id, label(t))
	}
	last := map[string]string{}
	for _, g := range d.groups {
		fmt.Fprintf(&b, "  subgraph cluster_%s {\n    label=%s;\n", g.id, label(g.node))
		for _, s := range g.stages {
			fmt.Fprintf(&b, "    %s [label=%s];\n", s.id, label(s))
			last[g.id] = s.id
		}
		b.WriteString("  }\n")
	}
	for _, e := range d.edges {
		switch {
		case e.kind == fused:
			fmt.Fprintf(&b, "  %s -> %s [penwidth=3];\n", e.from, e.to)
		case e.kind == rejects:
			fmt.Fprintf(&b, "  %s -> %s [label=%s, style=dotted, ltail=cluster_%s];\n", last[e.from], e.to, label(node{label: e.label}), e.from)
		case e.kind == routed:
			fmt.Fprintf(&b, "  %s -> %s [label=route];\n", e.from, e.to)
		case e.label != "":
			fmt.Fprintf(&b, "  %s -> %s [label=%s];\n", e.from, e.to, label(node{label: e.label}))
		default:
			fmt.Fprintf(&b, "  %s -> %s;\n", e.from, e.to)
		}
	}
	b.WriteString("}\n")
	return b.String()
}
