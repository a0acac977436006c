package main

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/carriers"
)

func TestRecordsAreWrittenAsBenchmarksAre(t *testing.T) {
	r := records{quiet: true}
	r.add("Ours/batch=100", quantity{30_000, "events/s"}, quantity{0, "unseen"}, quantity{1.5, "p50-ms"})
	r.add("Theirs", quantity{90_000, "events/s"})
	r.ratio("Ours/batch=100", "Theirs")
	r.ratio("Ours/batch=100", "nothing")
	var out strings.Builder
	r.format(&out)
	require.Contains(t, out.String(), "Unit events/s better=higher\n")
	require.Contains(t, out.String(), `
BenchmarkOurs/batch=100 1 30000 events/s 1.5 p50-ms
BenchmarkTheirs 1 90000 events/s
BenchmarkRatio/Ours/batch=100/of/Theirs 1 33.3333 %
`)
	require.Len(t, r.all, 3)
}

func TestEveryFormatIsMeasured(t *testing.T) {
	t.Parallel()
	found, err := measureFormats(os.DirFS("../../config"), 2, 10)
	require.NoError(t, err)
	measured := map[string]bool{}
	for _, f := range found {
		format, _, _ := strings.Cut(f.name, "/")
		measured[format] = true
		require.Positive(t, f.time, f.name)
		require.Greater(t, f.allocations, 1.0, f.name)
		require.Greater(t, f.eventBytes, 20.0, f.name)
	}
	require.Len(t, measured, len(carriers.Formats()))
	_, err = measureFormats(fstest.MapFS{}, 2, 10)
	require.ErrorContains(t, err, "no samples")
}

func TestMetricsAreReadByNameAndLabels(t *testing.T) {
	m := metrics{
		`rastro_stage_events_total{outcome="pass",pipeline="tracking",stage="persist"}`: 7,
		`rastro_stage_events_total{outcome="drop",pipeline="tracking",stage="dedupe"}`:  3,
		`rastro_stage_events_total_more{stage="persist"}`:                               5, `plain`: 2,
	}
	require.EqualValues(t, 7, m.queryable())
	require.InDelta(t, 10, m.sum("rastro_stage_events_total"), 0)
	require.InDelta(t, 3, m.sum("rastro_stage_events_total", `stage="dedupe"`), 0)
	require.InDelta(t, 2, m.sum("plain"), 0)
}
