// Package prometheus_test holds rules and dashboards to the metrics that rastro has: docs/metrics.md is written from a running system, and
// whatever names a metric or a label that is not there is found here.
package prometheus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const deploy = "../.."

// metric is what may be asked of a metric.
type metric struct {
	kind   string
	labels []string
}

var row = regexp.MustCompile("(?m)^\\| `(rastro_\\w+)` \\| (\\w+) \\| ([^|]*) \\|")

// others are metrics that are not rastro's own: Prometheus' about its targets, and the runtime's.
var others = map[string]metric{
	"up": {kind: "gauge"}, "process_resident_memory_bytes": {kind: "gauge"},
}

// target are the labels that Prometheus gives every sample of a target.
var target = []string{"job", "instance", "role"}

// metrics returns every series that can be asked for, by its name.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	page, err := os.ReadFile(deploy + "/../docs/metrics.md")
	require.NoError(t, err)
	found := map[string]metric{}
	for name, m := range others {
		found[name] = m
	}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		m := metric{kind: match[2]}
		for _, label := range strings.Split(match[3], ", ") {
			if label = strings.Trim(label, "` "); label != "" {
				m.labels = append(m.labels, label)
			}
		}
		if m.kind != "histogram" {
			found[match[1]] = m
			continue
		}
		found[match[1]+"_count"], found[match[1]+"_sum"] = m, m
		found[match[1]+"_bucket"] = metric{kind: m.kind, labels: append(slices.Clone(m.labels), "le")}
	}
	require.Greater(t, len(found), 30)
	return found
}

type rule struct {
	Record, Alert, Expr string
	Annotations, Labels map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	paths, err := filepath.Glob(deploy + "/prometheus/rules/*.yaml")
	require.NoError(t, err)
	var all []rule
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			Groups []struct{ Rules []rule }
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		for _, group := range file.Groups {
			all = append(all, group.Rules...)
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

// recorded adds what recording rules make: a metric with the labels that the rule's outermost aggregation keeps.
func recorded(t *testing.T, known map[string]metric, all []rule) {
	t.Helper()
	for _, r := range all {
		if r.Record == "" {
			continue
		}
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
		require.NoError(t, err, r.Record)
		m := metric{kind: "gauge"}
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			if aggregate, ok := node.(*parser.AggregateExpr); ok {
				for _, label := range aggregate.Grouping {
					if label != "le" && !slices.Contains(m.labels, label) {
						m.labels = append(m.labels, label)
					}
				}
			}
			return nil
		})
		known[r.Record] = m
	}
}

// wrong returns what an expression names and is not there.
func wrong(expr string, known map[string]metric) (mistakes []string, used []string) {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}, nil
	}
	parser.Inspect(expression, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		m, ok := known[selector.Name]
		if !ok {
			mistakes = append(mistakes, "there is no metric "+selector.Name)
			return nil
		}
		used = append(used, selector.Name)
		has := func(label string) bool {
			return slices.Contains(m.labels, label) || slices.Contains(target, label) && !strings.Contains(selector.Name, ":")
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != labels.MetricName && !has(matcher.Name) {
				mistakes = append(mistakes, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
			}
		}
		for _, parent := range path {
			aggregate, ok := parent.(*parser.AggregateExpr)
			if !ok || aggregate.Without {
				continue
			}
			for _, label := range aggregate.Grouping {
				if !has(label) {
					mistakes = append(mistakes, fmt.Sprintf("%s has no label %s to group by", selector.Name, label))
				}
			}
		}
		counter := m.kind == "counter" || m.kind == "histogram"
		if counter && !isRated(path) {
			mistakes = append(mistakes, selector.Name+" only ever grows: ask for its rate")
		}
		return nil
	})
	return mistakes, used
}

// isRated reports whether one of the calls around a selector makes a rate of it.
func isRated(path []parser.Node) bool {
	for _, parent := range path {
		if call, ok := parent.(*parser.Call); ok && slices.Contains([]string{"rate", "increase", "irate"}, call.Func.Name) {
			return true
		}
	}
	return false
}

func TestRulesNameMetricsThatThereAre(t *testing.T) {
	known, all := metrics(t), rules(t)
	recorded(t, known, all)
	for _, r := range all {
		mistakes, _ := wrong(r.Expr, known)
		require.Empty(t, mistakes, r.Record+r.Alert)
	}
}

// Each alert has a runbook, each runbook an alert: of these, or of those that the dashboard shows.
func TestAlertsHaveRunbooks(t *testing.T) {
	index, err := os.ReadFile(deploy + "/../docs/runbooks/README.md")
	require.NoError(t, err)
	alerts := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		require.FileExists(t, deploy+"/../docs/runbooks/"+r.Alert+".md")
		require.Contains(t, string(index), "("+r.Alert+".md)")
		require.Equal(t, "https://github.com/rastrohq/rastro/blob/main/docs/runbooks/"+r.Alert+".md", r.Annotations["runbook_url"])
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
	}
	shown, err := os.ReadFile(deploy + "/../docs/alerts.md")
	require.NoError(t, err)
	pages, err := filepath.Glob(deploy + "/../docs/runbooks/*.md")
	require.NoError(t, err)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		require.True(t, name == "README" || alerts[name] || strings.Contains(string(shown), "(runbooks/"+name+".md)"), "%s is of no alert", page)
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		if name != "README" {
			for _, heading := range []string{"# " + name + "\n", "\n## What it means\n", "\n## What to look at\n", "\n## What to do\n"} {
				require.Contains(t, string(text), heading, page)
			}
		}
	}
}

// Each alert is tested.
func TestAlertsAreTested(t *testing.T) {
	text, err := os.ReadFile(deploy + "/prometheus/rules_test.yaml")
	require.NoError(t, err)
	for _, r := range rules(t) {
		if r.Alert != "" {
			require.Regexp(t, `alertname: `+r.Alert+`\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels`, string(text))
		}
	}
}

// dashboard is what is read of a dashboard.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

var (
	variable    = regexp.MustCompile(`\$(\w+)`)
	labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
)

func TestDashboardsAskForMetricsThatThereAre(t *testing.T) {
	known, all := metrics(t), rules(t)
	recorded(t, known, all)
	paths, err := filepath.Glob(deploy + "/grafana/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 4)
	seen, uids := map[string]bool{}, map[string]bool{}
	for _, r := range all {
		_, used := wrong(r.Expr, known)
		for _, name := range used {
			seen[name] = true
		}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(text, &d))
		require.Equal(t, strings.TrimSuffix(filepath.Base(path), ".json"), d.UID)
		require.False(t, uids[d.UID], d.UID)
		uids[d.UID] = true
		variables := map[string]bool{}
		for _, v := range d.Templating.List {
			variables[v.Name] = true
			if v.Type == "query" {
				asked := labelValues.FindStringSubmatch(v.Definition)
				require.NotNil(t, asked, v.Definition)
				require.Contains(t, known[asked[1]].labels, asked[2], v.Definition)
			}
		}
		ids := map[int]bool{}
		for _, panel := range d.Panels {
			require.False(t, ids[panel.ID], "%s has two panels %d", d.Title, panel.ID)
			ids[panel.ID] = true
			require.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, 24, panel.Title)
			require.NotEmpty(t, panel.Targets, panel.Title)
			for _, target := range panel.Targets {
				require.Equal(t, "${datasource}", target.Datasource.UID, panel.Title)
				for _, name := range variable.FindAllStringSubmatch(target.Expr, -1) {
					require.True(t, variables[name[1]], "%s has no variable %s", d.Title, name[1])
				}
				mistakes, used := wrong(variable.ReplaceAllString(target.Expr, ".*"), known)
				require.Empty(t, mistakes, "%s: %s", d.Title, panel.Title)
				for _, name := range used {
					seen[name] = true
				}
			}
		}
	}
	// And every metric is looked at by somebody.
	for name, m := range known {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if m.kind == "histogram" {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		looked := false
		for other := range seen {
			looked = looked || other == name || m.kind == "histogram" && strings.HasPrefix(other, base+"_")
		}
		require.True(t, looked, "%s is in no dashboard and in no rule", name)
	}
}

func TestMistakesInQueriesAreFound(t *testing.T) {
	known := metrics(t)
	for expr, want := range map[string]string{
		`rate(rastro_stage_event_total[5m])`:                      "there is no metric rastro_stage_event_total",
		`sum by (outcom) (rate(rastro_stage_events_total[5m]))`:   "no label outcom to group by",
		`rate(rastro_ingest_request_seconds_count{code="5"}[5m])`: "no label code",
		`sum(rastro_ingest_events_total)`:                         "only ever grows",
		`rate(rastro_stage_events_total[5m)`:                      "parse error",
	} {
		mistakes, _ := wrong(expr, known)
		require.Contains(t, strings.Join(mistakes, "\n"), want)
	}
}
