package mapped_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
	"github.com/rastrohq/rastro/tracking/formats/mapped"
)

func TestShapes(t *testing.T) {
	require.Equal(t, []string{"17track", "aftership", "dhl", "easypost", "fedex", "ups"}, mapped.Shapes())
	file, err := os.Open("../../../config/milestones.yaml")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, err)
	for _, name := range mapped.Shapes() {
		m, err := mapped.Shape(name)
		require.NoError(t, err, name)
		require.Empty(t, m.Lint(catalog))
		golden.Check(t, "testdata/"+name+".json", "demo-"+name, m.Decode)
	}
	_, err = mapped.Shape("nobody")
	require.ErrorContains(t, err, "aftership")
}

const small = "name: x\neach: event.payload.list\nset: {correlation_id: item.n, event_type: item.c, timestamp: item.t, revision: item.r}\ncodes: {A: loaded}\n"

func TestFaultsOfABody(t *testing.T) {
	m, err := mapped.Load([]byte(small))
	require.NoError(t, err)
	for body, want := range map[string]string{
		`{"list":[{"n":"1","c":"a","t":"2026-01-01T00:00:00Z"}]}`:           "",
		`{"list":[{"n":17,"c":"a","t":1767225600}]}`:                        "",
		`{"list":[{"n":"1","c":"B","t":"2026-01-01"}]}`:                     "event_type unmapped_code",
		`{"list":[{"n":"1","c":"a"}]}`:                                      "timestamp required",
		`{"list":[{"n":"1","c":"a","t":"soon"}]}`:                           "timestamp format",
		`{"list":[{"n":{},"c":"a","t":"2026-01-01"}]}`:                      "correlation_id type",
		`{"list":[{"n":"1","c":"a","t":"2026-01-01","r":"x"}]}`:             "revision format",
		`{"list":[{"n":"` + strings.Repeat("1", 300) + `","c":"a","t":1}]}`: "correlation_id too_long",
		`{}`:           "each type",
		`{"list":"x"}`: "each type",
		`{"list":[7]}`: "correlation_id",
	} {
		results, err := m.Decode([]byte(body), formats.Options{})
		require.NoError(t, err)
		require.Len(t, results, 1)
		golden.Sound(t, results[0])
		if want == "" {
			require.True(t, results[0].OK(), results[0].Findings)
			require.Equal(t, "loaded", results[0].Event.Type)
			continue
		}
		f := results[0].Findings[0]
		require.True(t, strings.HasPrefix(f.Field+" "+f.Code, want), "%s: %v", body, f)
	}
	_, err = m.Decode([]byte(`{"list":[1,2,3]}`), formats.Options{MaxEvents: 2})
	require.ErrorContains(t, err, "more than 2")
}

func TestFaultsOfAMapping(t *testing.T) {
	_, err := mapped.Load([]byte("name: x\neach: 'event.payload.['\nkind: bag\ntime_zone: Mars/Base\nset: {eventtype: item.x, correlation_id: '1 +'}\n"))
	for _, part := range []string{"each:", "kind:", "time_zone:", "eventtype", "set.correlation_id", "set.timestamp: required"} {
		require.ErrorContains(t, err, part)
	}
	_, err = mapped.Load([]byte("title: x"))
	require.Error(t, err)
}

func FuzzDecode(f *testing.F) {
	var all []*mapped.Mapping
	for _, name := range mapped.Shapes() {
		m, err := mapped.Shape(name)
		require.NoError(f, err)
		all = append(all, m)
		body, err := os.ReadFile("testdata/" + name + ".json")
		require.NoError(f, err)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		for _, m := range all {
			results, err := m.Decode(body, formats.Options{})
			require.Equal(t, before, body)
			if err != nil {
				var fault *formats.BodyError
				require.ErrorAs(t, err, &fault)
				return
			}
			for _, r := range results {
				golden.Sound(t, r)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	m, err := mapped.Shape("fedex")
	require.NoError(b, err)
	scan := `{"date":"2026-04-02T09:15:00-05:00","eventType":"DL","scanLocation":{"city":"AREQUIPA"}}`
	body := []byte(`{"output":{"completeTrackResults":[{"trackingNumber":"1","trackResults":[{"scanEvents":[` +
		strings.TrimSuffix(strings.Repeat(scan+",", 100), ",") + `]}]}]}}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if results, err := m.Decode(body, formats.Options{}); err != nil || !results[99].OK() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
