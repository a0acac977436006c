package cli

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
)

// scrape returns what a process tells Prometheus.
func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	return families
}

// gaugeOf returns the value of a gauge with these labels, and whether there is one.
func gaugeOf(family *dto.MetricFamily, labels map[string]string) (float64, bool) {
	for _, metric := range family.GetMetric() {
		matching := 0
		for _, pair := range metric.GetLabel() {
			if labels[pair.GetName()] == pair.GetValue() {
				matching++
			}
		}
		if matching == len(labels) {
			return metric.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

const (
	metricsBegin = "<!-- metrics: RASTRO_UPDATE_GOLDEN=1 go test ./cli -run TestThePageHasEveryMetric writes them -->\n"
	metricsEnd   = "<!-- end of metrics -->\n"
)

// rareMetrics are those that a system which runs for seconds only, and without trouble, need not have.
var rareMetrics = map[string]string{
	"rastro_retention_removed_total":  "| `rastro_retention_removed_total` | counter | `table` | What retention removed by this process: events, and rows of other tables. |\n",
	"rastro_source_usual_gap_seconds": "| `rastro_source_usual_gap_seconds` | gauge | `source`, `tenant` | Time that 19 of 20 pauses of a source did not exceed within a day; absent where there were too few to tell. |\n",
	"rastro_sqs_lost_messages_total":  "| `rastro_sqs_lost_messages_total` | counter | `reader`, `topic` | Messages that became visible to others while they were worked on, because their visibility could not be renewed in time. |\n",
}

// metricRows are the page's rows of what a process tells of rastro.
func metricRows(families map[string]*dto.MetricFamily) string {
	rows := maps.Clone(rareMetrics)
	for name, family := range families {
		if !strings.HasPrefix(name, "rastro_") {
			continue
		}
		labels := map[string]bool{}
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				labels["`"+pair.GetName()+"`"] = true
			}
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(labels)), ", "), family.GetHelp())
	}
	return strings.Join(slices.Sorted(maps.Values(rows)), "")
}

// The page on metrics has every metric of a running system, with its labels: what alerts and dashboards may name.
func TestThePageHasEveryMetric(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerSQS)
	url, _ := e.serve(t, allRoles()...)
	for _, body := range []string{loadedEvent, loadedEvent, strings.ReplaceAll(loadedEvent, "2026", "2099"), `{`} {
		_, _ = e.do(t, http.MethodPost, url+"/api/v1/events", body)
	}
	status, _ := e.do(t, http.MethodGet, url+"/api/v1/stats/balance", "")
	require.Equal(t, http.StatusForbidden, status, "to be counted as refused")

	page := filepath.Join("..", "docs", "metrics.md")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), metricsBegin)
	require.True(t, ok)
	want, after, ok := strings.Cut(rest, metricsEnd)
	require.True(t, ok)
	write := os.Getenv("RASTRO_UPDATE_GOLDEN") != ""
	var got string
	same := func() bool {
		got = "\n| metric | type | labels | |\n|---|---|---|---|\n" + metricRows(scrape(t, url)) + "\n"
		return got == want
	}
	deadline := time.Now().Add(30 * time.Second)
	for ticker := time.NewTicker(200 * time.Millisecond); !same() && time.Now().Before(deadline); {
		<-ticker.C
	}
	if write {
		require.NoError(t, os.WriteFile(page, []byte(before+metricsBegin+got+metricsEnd+after), 0o644))
		return
	}
	require.Equal(t, want, got)
}

// What waits is told by who answers queries, while no processor runs, and forgotten when it cannot be known.
func TestFiguresTellWhatWaits(t *testing.T) {
	e := newEnvironment(t)
	ingest, _ := e.serve(t, roleIngest)
	status, answer := e.do(t, http.MethodPost, ingest+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status, answer)
	query, _ := e.serve(t, roleQuery)
	labels := map[string]string{"topic": "events.ingested", "pipeline": "tracking"}
	ready := map[string]string{"topic": "events.ingested", "pipeline": "tracking", "state": "ready"}
	require.Eventually(t, func() bool {
		families := scrape(t, query)
		n, ok := gaugeOf(families["rastro_queue_messages"], ready)
		age, told := gaugeOf(families["rastro_queue_oldest_seconds"], labels)
		return ok && told && n == 1 && age > 0
	}, 30*time.Second, 50*time.Millisecond)
	_, ok := gaugeOf(scrape(t, ingest)["rastro_queue_messages"], ready)
	require.False(t, ok, "one role tells it")
}
