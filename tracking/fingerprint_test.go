package tracking_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

func occurrence() *tracking.Event {
	return &tracking.Event{
		Source: "dcs", CorrelationID: "045-12345675", AggregateID: "BAG001", Kind: tracking.Baggage, Type: "loaded",
		Classifier: tracking.Actual, OccurredAt: day.Add(time.Hour),
		Location: &tracking.Location{IATA: "LIM"}, Quantity: &tracking.Quantity{Pieces: 1}, Transport: &tracking.Transport{Number: "LA1"},
		Payload: json.RawMessage(`{"a":1,"b":["x",null]}`),
	}
}

func TestFingerprintIgnores(t *testing.T) {
	want := tracking.Fingerprint(occurrence())
	require.Regexp(t, regexp.MustCompile(`^fp:[0-9a-f]{64}$`), want)
	for name, change := range map[string]func(e *tracking.Event){
		"uid":         func(e *tracking.Event) { e.UID = uuid.UUID{1} },
		"tenant":      func(e *tracking.Event) { e.TenantID = "x" },
		"id":          func(e *tracking.Event) { e.EventID = "x" },
		"revision":    func(e *tracking.Event) { e.Revision = 9 },
		"received":    func(e *tracking.Event) { e.ReceivedAt = day },
		"enrichment":  func(e *tracking.Event) { e.Enrichment.Milestone = loaded },
		"quality":     func(e *tracking.Event) { e.TimeQuality = tracking.ZoneInferred },
		"zone":        func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.In(time.FixedZone("", -5*3600)) },
		"microsecond": func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.Add(499 * time.Microsecond) },
		"half up":     func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.Add(-500 * time.Microsecond) },
		"classifier":  func(e *tracking.Event) { e.Classifier = "" },
		"space":       func(e *tracking.Event) { e.Payload = json.RawMessage(" {\n\"a\" : 1 , \"b\" : [ \"x\" , null ] } ") },
		"key order":   func(e *tracking.Event) { e.Payload = json.RawMessage(`{"b":["x",null],"a":1}`) },
		"escapes":     func(e *tracking.Event) { e.Payload = json.RawMessage(`{"\u0061":1,"b":["\u0078",null]}`) },
		"number":      func(e *tracking.Event) { e.Payload = json.RawMessage(`{"a":1.00,"b":["x",null]}`) },
		"exponent":    func(e *tracking.Event) { e.Payload = json.RawMessage(`{"a":0.1E+1,"b":["x",null]}`) },
		"last wins":   func(e *tracking.Event) { e.Payload = json.RawMessage(`{"a":7,"b":["x",null],"a":1}`) },
	} {
		e := occurrence()
		change(e)
		require.Equal(t, want, tracking.Fingerprint(e), name)
	}
}

func TestFingerprintTellsApart(t *testing.T) {
	seen := map[string]string{tracking.Fingerprint(occurrence()): "as is"}
	payloads := []string{
		``, `null`, `{}`, `[]`, `""`, `"null"`, `0`, `"0"`, `1`, `10`, `-1`, `1e400`, `1e401`, `true`, `false`, `{"a":1}`,
		`{"a":1,"b":[null,"x"]}`, `{"a":1,"b":["x"]}`, `{"a":1,"b":["x",[null]]}`, `{"a":{"b":1}}`, `[1,2]`, `[12]`, `[[1],2]`,
		`{"a":"b"}`, `{"ab":""}`, `not json`, `{`, `"\ud83d\ude00"`, `"\ufffd"`, `1e99999999999999999999`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
	}
	changes := map[string]func(e *tracking.Event){
		"source":      func(e *tracking.Event) { e.Source = "x" },
		"shifted":     func(e *tracking.Event) { e.CorrelationID, e.AggregateID = "045-12345675B", "AG001" },
		"kind":        func(e *tracking.Event) { e.Kind = tracking.Cargo },
		"type":        func(e *tracking.Event) { e.Type = "Loaded" },
		"classifier":  func(e *tracking.Event) { e.Classifier = tracking.Planned },
		"millisecond": func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.Add(500 * time.Microsecond) },
		"location":    func(e *tracking.Event) { e.Location = nil },
		"place":       func(e *tracking.Event) { e.Location = &tracking.Location{ICAO: "LIM"} },
		"latitude":    func(e *tracking.Event) { e.Location.Lat = new(1.5) },
		"longitude":   func(e *tracking.Event) { e.Location.Lon = new(1.5) },
		"quantity":    func(e *tracking.Event) { e.Quantity.Pieces = 2 },
		"total":       func(e *tracking.Event) { e.Quantity.TotalPieces = 1 },
		"transport":   func(e *tracking.Event) { e.Transport = nil },
		"corrects": func(e *tracking.Event) {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"a"}}
		},
		"corrects 2": func(e *tracking.Event) {
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"b"}}
		},
	}
	for _, p := range payloads {
		changes["payload "+p] = func(e *tracking.Event) { e.Payload = json.RawMessage(p) }
	}
	for name, change := range changes {
		e := occurrence()
		change(e)
		fp := tracking.Fingerprint(e)
		require.Empty(t, seen[fp], "%s has the fingerprint of %s", name, seen[fp])
		seen[fp] = name
	}
}

// values draws what json.Marshal can write.
func values(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(), rapid.Int32().AsAny(),
	}
	if depth > 0 {
		scalars = append(scalars,
			rapid.SliceOfN(values(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.StringN(0, 4, -1), values(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(scalars...)
}

// However a payload is written, by the rules of JSON, the fingerprint is the same; and two that differ have two.
func TestFingerprintOfRewrittenPayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := values(3).Draw(t, "value")
		plain, err := json.Marshal(value)
		require.NoError(t, err)
		rewritten := rewrite(t, value)
		require.JSONEq(t, string(plain), rewritten)
		e := occurrence()
		e.Payload = plain
		want := tracking.Fingerprint(e)
		e.Payload = json.RawMessage(rewritten)
		require.Equal(t, want, tracking.Fingerprint(e), rewritten)

		other, err := json.Marshal(values(3).Draw(t, "other"))
		require.NoError(t, err)
		e.Payload = other
		var a, b any
		require.NoError(t, json.Unmarshal(plain, &a))
		require.NoError(t, json.Unmarshal(other, &b))
		same := bytes.Equal(must(json.Marshal(a)), must(json.Marshal(b)))
		require.Equal(t, same, want == tracking.Fingerprint(e), "%s and %s", plain, other)
	})
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// rewrite writes a value in another way that means the same.
func rewrite(t *rapid.T, value any) string {
	space := func() string { return rapid.SampledFrom([]string{"", " ", "\n", "\t\r"}).Draw(t, "space") }
	quote := func(s string) string {
		if rapid.Bool().Draw(t, "escape") {
			var b strings.Builder
			for _, u := range s {
				if u > 0xffff {
					b.WriteRune(u)
				} else {
					fmt.Fprintf(&b, `\u%04X`, u)
				}
			}
			return `"` + b.String() + `"`
		}
		return string(must(json.Marshal(s)))
	}
	switch v := value.(type) {
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = space() + rewrite(t, v[i]) + space()
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		if len(keys) > 1 {
			keys = rapid.Permutation(keys).Draw(t, "keys")
		}
		parts := make([]string, len(keys))
		for i, k := range keys {
			parts[i] = space() + quote(k) + space() + ":" + space() + rewrite(t, v[k])
		}
		return "{" + strings.Join(parts, ",") + space() + "}"
	case string:
		return quote(v)
	case int32:
		form := rapid.SampledFrom([]string{"%d", "%d.0", "%de0", "%d000.0e-3", "%d.00E+0"}).Draw(t, "form")
		if v == 0 {
			form = strings.Replace(form, "000.0", ".0", 1)
		}
		return fmt.Sprintf(form, v)
	case float64:
		return strconv.FormatFloat(v, rapid.SampledFrom([]byte("eE")).Draw(t, "form"), -1, 64)
	default:
		return space() + string(must(json.Marshal(v)))
	}
}

func FuzzFingerprint(f *testing.F) {
	for _, p := range []string{`{"a":[1,-2.5e3,"\u00e9\ud83d\ude00"],"a":null}`, `[[[`, `01`, `{"a":1}x`, "\"\x01\""} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := occurrence()
		e.Payload = payload
		fp := tracking.Fingerprint(e)
		if !json.Valid(payload) {
			return
		}
		var b bytes.Buffer
		require.NoError(t, json.Indent(&b, payload, " ", "\t"))
		e.Payload = b.Bytes()
		require.Equal(t, fp, tracking.Fingerprint(e))
	})
}

func BenchmarkFingerprint(b *testing.B) {
	e := occurrence()
	e.Payload = json.RawMessage(`{"tracking_number":"AX77120045PE","facility":"LIM","note":"recogido","weight":12.50,"codes":["a","b"]}`)
	b.ReportAllocs()
	for b.Loop() {
		tracking.Fingerprint(e)
	}
}
