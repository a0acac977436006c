package native_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

var defaults = formats.Options{DefaultSource: "dcs"}

const required = `"correlation_id":"045-12345675","aggregate_id":"BAG001","event_type":"loaded","timestamp":"2026-06-20T10:05:00-05:00"`

const full = `{
  "tenant_id": "latam", "source": "handler", "event_id": "h-1", "revision": 3,
  "correlation_id": " 045-12345675 ", "aggregate_id": "BAG001", "kind": "baggage", "event_type": "LOD",
  "classifier": "actual", "timestamp": "2026-06-20T10:05:00.1234567-05:00", "time_quality": "zone_inferred",
  "location": {"iata": "LIM", "latitude": -12.02, "longitude": -77.11},
  "quantity": {"pieces": 2, "total_pieces": 10, "weight": 505.0, "weight_unit": "kg"},
  "transport": {"mode": "air", "carrier": "LA", "number": "2047", "date": "2026-06-20", "origin": "LIM", "destination": "SCL"},
  "corrects": {"kind": "replace", "event_ids": ["h-0"], "reason": "incorrect_data"},
  "payload": { "b" : 1.50,  "a":"\u00f1" }
}`

func one(t require.TestingT, body string) formats.Result {
	results, err := native.Decode([]byte(body), native.JSON, defaults)
	require.NoError(t, err)
	require.Len(t, results, 1)
	return results[0]
}

func TestDecodeFull(t *testing.T) {
	r := one(t, full)
	require.Empty(t, r.Findings)
	lat, lon := -12.02, -77.11
	occurred := r.Event.OccurredAt
	require.Equal(t, "2026-06-20T10:05:00.123456-05:00", occurred.Format(time.RFC3339Nano))
	r.Event.OccurredAt = time.Time{}
	require.Equal(t, &tracking.Event{
		TenantID: "latam", Source: "handler", EventID: "h-1", Revision: 3, CorrelationID: "045-12345675", AggregateID: "BAG001",
		Kind: tracking.Baggage, Type: "LOD", Classifier: tracking.Actual, TimeQuality: tracking.ZoneInferred,
		Location:  &tracking.Location{IATA: "LIM", Lat: &lat, Lon: &lon},
		Quantity:  &tracking.Quantity{Pieces: 2, TotalPieces: 10, Weight: 505, WeightUnit: "kg"},
		Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2047", Date: "2026-06-20", Origin: "LIM", Destination: "SCL"},
		Corrects:  &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{"h-0"}, Reason: "incorrect_data"},
		Payload:   json.RawMessage(`{ "b" : 1.50,  "a":"\u00f1" }`),
	}, r.Event)
}

func TestDecodeLeast(t *testing.T) {
	r := one(t, "{"+required+"}")
	require.True(t, r.OK())
	require.Equal(t, "dcs", r.Event.Source)
	require.Equal(t, tracking.Actual, r.Event.Classifier)
	require.Empty(t, r.Event.Payload)
	require.Equal(t, tracking.Fingerprint(r.Event), r.Event.EventID)
	require.True(t, strings.HasPrefix(r.Event.EventID, "fp:"))

	nulls := one(t, "{"+required+`,"event_id":null,"revision":null,"kind":null,"location":null,"quantity":null,"transport":null,"corrects":null,"payload":null}`)
	require.Empty(t, nulls.Findings)
	require.Equal(t, "null", string(nulls.Event.Payload))
}

func TestDecodeRefusals(t *testing.T) {
	with := func(member string) string { return "{" + required + "," + member + "}" }
	without := func(field string) string {
		var members map[string]any
		require.NoError(t, json.Unmarshal([]byte("{"+required+"}"), &members))
		delete(members, field)
		text, err := json.Marshal(members)
		require.NoError(t, err)
		return string(text)
	}
	for body, want := range map[string]struct{ field, code, says string }{
		without("correlation_id"):                                                 {"correlation_id", "required", "air waybill"},
		without("aggregate_id"):                                                   {"aggregate_id", "required", "bag"},
		without("event_type"):                                                     {"event_type", "required", "code"},
		without("timestamp"):                                                      {"timestamp", "required", "2026-06-20T10:05:00-05:00"},
		strings.Replace("{"+required+"}", `"BAG001"`, `" "`, 1):                   {"aggregate_id", "required", "bag"},
		strings.Replace("{"+required+"}", `"BAG001"`, `null`, 1):                  {"aggregate_id", "required", "bag"},
		strings.Replace("{"+required+"}", `"BAG001"`, `17`, 1):                    {"aggregate_id", "type", "a string, not a number"},
		strings.Replace("{"+required+"}", `BAG001`, `B\u0000`, 1):                 {"aggregate_id", "format", "U+0000"},
		strings.Replace("{"+required+"}", `BAG001`, `B\ud800`, 1):                 {"aggregate_id", "format", "surrogate"},
		strings.Replace("{"+required+"}", `BAG001`, strings.Repeat("x", 257), 1):  {"aggregate_id", "too_long", "257"},
		strings.Replace("{"+required+"}", `-05:00`, ``, 1):                        {"timestamp", "format", "no zone"},
		strings.Replace("{"+required+"}", `20T10`, `20 10`, 1):                    {"timestamp", "format", "T between"},
		strings.Replace("{"+required+"}", `2026-06-20T10:05:00-05:00`, `20/6`, 1): {"timestamp", "format", "RFC 3339"},
		strings.Replace("{"+required+"}", `2026`, `1969`, 1):                      {"timestamp", "range", "1970"},
		strings.Replace("{"+required+"}", `2026-06-20T10`, `9999-12-31T23`, 1):    {"timestamp", "range", "9999"},
		strings.Replace("{"+required+"}", `"2026-06-20T10:05:00-05:00"`, `0`, 1):  {"timestamp", "type", "a string"},
		with(`"event_typ":"x"`):                                                   {"event_typ", "unknown_field", `"event_type"`},
		with(`"eventType":"x"`):                                                   {"eventType", "unknown_field", `"event_type"`},
		with(`"occurred_at":"x"`):                                                 {"occurred_at", "unknown_field", `"timestamp"`},
		with(`"zzzzzzzzz":1`):                                                     {"zzzzzzzzz", "unknown_field", "the fields here are"},
		with(`"uid":"x"`):                                                         {"uid", "read_only", "set by Rastro"},
		with(`"received_at":"x"`):                                                 {"received_at", "read_only", "set by Rastro"},
		with(`"enrichment":{}`):                                                   {"enrichment", "read_only", "set by Rastro"},
		with(`"aggregate_id":"BAG002"`):                                           {"aggregate_id", "duplicate_field", "twice"},
		with(`"location":{"iata":"LIM","iata":"X"}`):                              {"location.iata", "duplicate_field", "twice"},
		with(`"location":{"itaa":"LIM"}`):                                         {"location.itaa", "unknown_field", `"location.iata"`},
		with(`"location":"LIM"`):                                                  {"location", "type", "an object, not a string"},
		with(`"location":{"latitude":91,"longitude":0}`):                          {"location.latitude", "range", "-90 to 90"},
		with(`"location":{"latitude":9}`):                                         {"location", "required", "both"},
		with(`"quantity":{"pieces":-1}`):                                          {"quantity.pieces", "range", "from 0"},
		with(`"quantity":{"pieces":1.5}`):                                         {"quantity.pieces", "format", "whole"},
		with(`"quantity":{"weight":1e400}`):                                       {"quantity.weight", "range", "from 0"},
		with(`"quantity":{"weight_unit":"kgs"}`):                                  {"quantity.weight_unit", "enum", "kg"},
		with(`"transport":{"mode":"plane"}`):                                      {"transport.mode", "enum", "air"},
		with(`"transport":{"date":"20JUN"}`):                                      {"transport.date", "format", "YYYY-MM-DD"},
		with(`"corrects":{"kind":"void"}`):                                        {"corrects.event_ids", "required", "ids"},
		with(`"corrects":{"event_ids":["a"]}`):                                    {"corrects.kind", "required", "void"},
		with(`"corrects":{"kind":"void","event_ids":[""]}`):                       {"corrects.event_ids", "required", "non-empty"},
		with(`"corrects":{"kind":"void","event_ids":["a"` + strings.Repeat(`,"a"`, formats.MaxCorrected) + `]}`): {
			"corrects.event_ids", "too_long", "1000"},
		with(`"kind":"bagage"`):        {"kind", "enum", `"baggage"`},
		with(`"classifier":"maybe"`):   {"classifier", "enum", "actual, estimated"},
		with(`"time_quality":"guess"`): {"time_quality", "enum", "exact"},
		with(`"revision":-1`):          {"revision", "range", "from 0"},
		with(`"revision":1.5`):         {"revision", "format", "whole"},
		with(`"revision":"7"`):         {"revision", "format", "RFC 3339"},
		with(`"revision":true`):        {"revision", "type", "whole number or"},
		with(`"payload":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)): {"payload", "too_deep", "64"},
		`[1]`: {"", "type", "a JSON object, not a number"},
	} {
		r := one(t, body)
		require.False(t, r.OK(), body)
		require.Len(t, r.Findings, 1, body)
		f := r.Findings[0]
		require.Equal(t, formats.SeverityError, f.Severity)
		require.Equal(t, want.field, f.Field, body)
		require.Equal(t, want.code, f.Code, body)
		require.Contains(t, f.Message, want.says, body)
		require.Contains(t, f.Message, f.Field)
	}
}

func TestDecodeAccepts(t *testing.T) {
	with := func(member string) string { return "{" + required + "," + member + "}" }
	deep := strings.Repeat("[", 63) + strings.Repeat("]", 63)
	require.Equal(t, deep, string(one(t, with(`"payload":`+deep)).Event.Payload))
	require.Equal(t, int64(1_781_949_900_000_000), one(t, with(`"revision":"2026-06-20T10:05:00Z"`)).Event.Revision)
	require.Equal(t, int64(10), one(t, with(`"revision":1e1`)).Event.Revision)
	require.Equal(t, 10, one(t, with(`"quantity":{"pieces":10.0}`)).Event.Quantity.Pieces)
	require.Equal(t, "Bogot\ufffd", one(t, with(`"location":{"name":"Bogot\ufffd"}`)).Event.Location.Name)
	require.Equal(t, "Bogot\ufffd", one(t, with("\"location\":{\"name\":\"Bogot\ufffd\"}")).Event.Location.Name)
	require.Equal(t, "a b", one(t, with(`"event\u005fid":" a b "`)).Event.EventID)

	r := one(t, with(`"quantity":{"pieces":12,"total_pieces":10}`))
	require.True(t, r.OK())
	require.Equal(t, formats.SeverityWarning, r.Findings[0].Severity)

	small := one(t, strings.Replace("{"+required+"}", "2026-06-20T10:05:00-05:00", "2026-06-20t10:05:00z", 1))
	require.Equal(t, time.UTC, small.Event.OccurredAt.Location())
}

func TestFindingsAreBounded(t *testing.T) {
	var body strings.Builder
	body.WriteString("{" + required)
	for i := range 1000 {
		fmt.Fprintf(&body, `,"no such field %d":1`, i)
	}
	require.Len(t, one(t, body.String()+"}").Findings, formats.MaxFindings)
}

func TestArrayKeepsTheGood(t *testing.T) {
	results, err := native.Decode([]byte("\xef\xbb\xbf[{"+required+"},\n{},{"+required+"}]"), native.JSON, defaults)
	require.NoError(t, err)
	require.Len(t, results, 3)
	require.True(t, results[0].OK())
	require.False(t, results[1].OK())
	require.Len(t, results[1].Findings, 4)
	require.Equal(t, 1, results[1].Findings[0].Index)
	require.True(t, results[2].OK())
	require.Equal(t, 2, results[2].Index)
}

func TestLines(t *testing.T) {
	body := "\xef\xbb\xbf{" + required + "}\r\n\r\n  \n{\"a\":\n{" + required + "} x\n{" + required + "}"
	results, err := native.Decode([]byte(body), native.NDJSON, defaults)
	require.NoError(t, err)
	require.Len(t, results, 4)
	require.True(t, results[0].OK())
	require.Equal(t, 1, results[0].Line)
	require.False(t, results[1].OK())
	require.Equal(t, 4, results[1].Line)
	require.Equal(t, formats.CodeSyntax, results[1].Findings[0].Code)
	require.Contains(t, results[1].Findings[0].Message, "line 4")
	require.False(t, results[2].OK(), "what follows an object on its line must not be lost")
	require.True(t, results[3].OK())
	require.Equal(t, 3, results[3].Index)
	require.Equal(t, 6, results[3].Line)
}

func TestBodyErrors(t *testing.T) {
	for body, want := range map[string]formats.BodyError{
		"":                         {Code: "empty", Line: 1},
		" \n":                      {Code: "empty", Line: 1},
		"\xef\xbb\xbf":             {Code: "empty", Line: 1},
		"hello":                    {Code: "syntax", Line: 1},
		"17":                       {Code: "syntax", Offset: 2, Line: 1},
		"{\n\"a\":}":               {Code: "syntax", Offset: 6, Line: 2},
		"[{},\n{]":                 {Code: "syntax", Offset: 6, Line: 2},
		"{}\n{}":                   {Code: "syntax", Offset: 3, Line: 2},
		"{\"a\":\"\xff\"}":         {Code: "utf8", Offset: 6, Line: 1},
		strings.Repeat("[", 1<<20): {Code: "syntax", Offset: 1 << 20, Line: 1},
	} {
		_, err := native.Decode([]byte(body), native.JSON, defaults)
		var fault *formats.BodyError
		require.ErrorAs(t, err, &fault, body)
		require.NotEmpty(t, fault.Message)
		fault.Message = ""
		require.Equal(t, &want, fault, body)
	}
	_, err := native.Decode([]byte("{}\n{}"), native.JSON, defaults)
	require.ErrorContains(t, err, "application/x-ndjson")
	_, err = native.Decode([]byte("\n\n"), native.NDJSON, defaults)
	require.ErrorContains(t, err, "empty")
}

func TestMaxEvents(t *testing.T) {
	opt := formats.Options{DefaultSource: "dcs", MaxEvents: 2}
	for form, body := range map[native.Form]string{native.JSON: "[1,2,3]", native.NDJSON: "1\n2\n3"} {
		_, err := native.Decode([]byte(body), form, opt)
		var fault *formats.BodyError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, formats.CodeTooMany, fault.Code)
	}
	results, err := native.Decode([]byte("[1,2]"), native.JSON, opt)
	require.NoError(t, err)
	require.Len(t, results, 2)
}

// What an event marshals to decodes to the same event.
func TestDecodeOfMarshalled(t *testing.T) {
	word := rapid.StringMatching(`[A-Za-z0-9ñ<>&"\\][A-Za-z0-9 /.-]{0,20}[A-Za-z0-9]`)
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "zone"))
		e := &tracking.Event{
			Source: word.Draw(t, "source"), EventID: word.Draw(t, "id"), CorrelationID: word.Draw(t, "correlation"),
			AggregateID: word.Draw(t, "aggregate"), Type: word.Draw(t, "type"),
			Revision:   rapid.Int64Min(0).Draw(t, "revision"),
			Kind:       rapid.SampledFrom(append(tracking.Kinds(), "")).Draw(t, "kind"),
			Classifier: rapid.SampledFrom(tracking.Classifiers()).Draw(t, "classifier"),
			OccurredAt: time.UnixMicro(rapid.Int64Range(1e15, 2e15).Draw(t, "time")).In(zone),
			Payload:    json.RawMessage(rapid.SampledFrom([]string{`{"a":[1,2]}`, `"x"`, `null`, `0`}).Draw(t, "payload")),
			Transport:  &tracking.Transport{Number: word.Draw(t, "number")},
			Corrects:   &tracking.Correction{Kind: tracking.Void, EventIDs: rapid.SliceOfN(word, 1, 3).Draw(t, "ids")},
		}
		text, err := json.Marshal(e)
		require.NoError(t, err)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &members))
		delete(members, "uid")
		delete(members, "received_at")
		text, err = json.Marshal(members)
		require.NoError(t, err)
		r := one(t, string(text))
		require.Empty(t, r.Findings)
		require.True(t, e.OccurredAt.Equal(r.Event.OccurredAt))
		_, want := e.OccurredAt.Zone()
		_, got := r.Event.OccurredAt.Zone()
		require.Equal(t, want, got)
		r.Event.OccurredAt = e.OccurredAt
		require.Equal(t, e, r.Event)
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full), false)
	f.Add([]byte("[{"+required+"},{}]"), false)
	f.Add([]byte("{"+required+"}\r\n\n{}"), true)
	f.Add([]byte(`{"corrects":{"kind":"void","event_ids":[1,null,"a"]},"location":{"latitude":1e999}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		form := native.JSON
		if lines {
			form = native.NDJSON
		}
		before := bytes.Clone(body)
		results, err := native.Decode(body, form, defaults)
		require.Equal(t, before, body)
		checkResults(t, results, err)
	})
}

// checkResults checks what holds whatever the body was.
func checkResults(t *testing.T, results []formats.Result, err error) {
	t.Helper()
	if err != nil {
		var fault *formats.BodyError
		require.ErrorAs(t, err, &fault)
		require.Empty(t, results)
		return
	}
	for i, r := range results {
		require.Equal(t, i, r.Index)
		if !r.OK() {
			require.NotEmpty(t, r.Findings)
			continue
		}
		for _, f := range r.Findings {
			require.NotEqual(t, formats.SeverityError, f.Severity)
		}
		for _, id := range []string{r.Event.EventID, r.Event.CorrelationID, r.Event.AggregateID, r.Event.Type, r.Event.Source} {
			require.NotEmpty(t, id)
			require.NotContains(t, id, "\x00")
		}
		_, err := json.Marshal(r.Event)
		require.NoError(t, err)
		tracking.Fold([]*tracking.Event{r.Event, r.Event})
	}
}

func batch(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"event_id":"e-%d","source":"dcs","correlation_id":"045-12345675","aggregate_id":"BAG%03d","event_type":"loaded",`+
			`"timestamp":"2026-06-20T10:05:00-05:00","location":{"iata":"LIM"},"payload":{"flight":"LA2047","belt":7,"operator":"J. Rojas","note":"ok"}}`, i, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func BenchmarkDecodeArray(b *testing.B) {
	body := batch(100)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := native.Decode(body, native.JSON, defaults); err != nil || !results[99].OK() {
			b.Fatal(results, err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecodeWithFingerprint(b *testing.B) {
	body := bytes.ReplaceAll(batch(100), []byte(`"event_id":"e-`), []byte(`"tenant_id":"t-`))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := native.Decode(body, native.JSON, defaults); err != nil || !results[99].OK() {
			b.Fatal(results, err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
