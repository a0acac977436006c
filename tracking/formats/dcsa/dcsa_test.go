package dcsa_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/dcsa"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
)

func TestSamples(t *testing.T) { golden.Check(t, "testdata/*.json", "demo-dcsa", dcsa.Decode) }

const minimal = `{"eventRouting":{"originatingParty":{"partyCode":"EXCO"}},"eventID":"e1","eventDateTime":"2026-01-20T10:00:00Z",` +
	`"eventUpdatedDateTime":"2026-01-20T11:00:00Z","eventLocation":{"UNLocationCode":"DEHAM"},` +
	`"eventClassification":{"eventTypeCode":"EQUIPMENT","eventClassifierCode":"EST","equipmentEventTypeCode":"GTIN"},` +
	`"equipmentDetails":{"equipmentReference":"APZU4812090","emptyIndicatorCode":"LADEN"}}`

func one(t *testing.T, event string) formats.Result {
	t.Helper()
	results, err := dcsa.Decode([]byte(`{"events":[`+event+`]}`), formats.Options{DefaultSource: "line"})
	require.NoError(t, err)
	require.Len(t, results, 1)
	golden.Sound(t, results[0])
	return results[0]
}

func TestEveryTypeAndCode(t *testing.T) {
	for kind, code := range map[string]string{"SHIPMENT": "shipment:CONF", "TRANSPORT": "transport:DEPA", "IOT": "iot:DETC", "REEFER": "reefer:ADJU"} {
		field, value, _ := strings.Cut(code, ":")
		body := strings.Replace(minimal, `"EQUIPMENT"`, `"`+kind+`"`, 1)
		body = strings.Replace(body, `"equipmentEventTypeCode":"GTIN"`, `"`+field+`EventTypeCode":"`+value+`"`, 1)
		r := one(t, body)
		require.True(t, r.OK(), r.Findings)
		require.Equal(t, value, r.Event.Type)
		require.Equal(t, tracking.Estimated, r.Event.Classifier)
	}
	r := one(t, minimal)
	require.Empty(t, r.Findings)
	require.Equal(t, "line/EXCO", r.Event.Source)
	require.Equal(t, minimal, string(r.Event.Payload))
}

func TestUpdatesAndRetractions(t *testing.T) {
	first := one(t, minimal).Event
	second := one(t, strings.Replace(strings.Replace(minimal, "T11:", "T12:", 1), "DEHAM", "NLRTM", 1)).Event
	require.Greater(t, second.Revision, first.Revision)
	for _, event := range []string{
		strings.Replace(strings.Replace(minimal, "T11:", "T13:", 1), `"eventID"`, `"isRetracted":true,"eventID"`, 1),
		`{"isRetracted":true,"eventUpdatedDateTime":"2026-01-20T13:00:00Z","eventID":"e1","equipmentDetails":{"equipmentReference":"APZU4812090"},` +
			`"eventRouting":{"originatingParty":{"partyCode":"EXCO"}}}`,
	} {
		gone := one(t, event).Event
		require.Equal(t, &tracking.Correction{Kind: tracking.Void, EventIDs: []string{"e1"}}, gone.Corrects)
		for _, order := range [][]*tracking.Event{{first, second, gone}, {gone, second, first}, {second, gone, first}} {
			trace := tracking.Fold(order)
			require.Equal(t, 3, trace.VoidedCount+1, "both are void: %+v", trace.Summary)
		}
	}
	bare := one(t, `{"isRetracted":true,"eventUpdatedDateTime":"2026-01-20T13:00:00Z","eventID":"e1"}`)
	require.True(t, bare.OK())
	require.NotEmpty(t, bare.Findings)
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct{ old, replacement, field, code string }{
		{`"eventID":"e1",`, ``, "/events/0/eventID", "required"},
		{`"e1"`, `7`, "/events/0/eventID", "type"},
		{`2026-01-20T10:00:00Z`, `2026/01/20 10:00`, "/events/0/eventDateTime", "format"},
		{`"eventDateTime":"2026-01-20T10:00:00Z",`, ``, "/events/0/eventDateTime", "required"},
		{`"EST"`, `"ESTIMATED"`, "/events/0/eventClassification/eventClassifierCode", "enum"},
		{`"EQUIPMENT"`, `"EQUIPMNT"`, "/events/0/eventClassification/eventTypeCode", "enum"},
		{`"equipmentEventTypeCode":"GTIN"`, `"x":1`, "/events/0/eventClassification/equipmentEventTypeCode", "required"},
		{`{"UNLocationCode":"DEHAM"}`, `[]`, "/events/0/eventLocation", "type"},
		{`"equipmentReference":"APZU4812090",`, ``, "/events/0/equipmentDetails/equipmentReference", "required"},
		{`"eventUpdatedDateTime":"2026`, `"isRetracted":"yes","eventUpdatedDateTime":"2026`, "/events/0/isRetracted", "type"},
	} {
		r := one(t, strings.Replace(minimal, test.old, test.replacement, 1))
		require.False(t, r.OK(), test)
		require.Equal(t, test.field, r.Findings[0].Field)
		require.Equal(t, test.code, r.Findings[0].Code)
	}
	for body, field := range map[string]string{
		`{}`: "/events", `{"events":{}}`: "/events", `[1]`: "/0", `[{"someEvents":[]}]`: "/0/eventClassification", `"x"`: "",
		`[{"eventType":"SHIPMENT","eventClassifierCode":"ACT","eventCreatedDateTime":"2026-01-20T10:00:00Z","eventDateTime":"2026-01-20T10:00:00Z",` +
			`"shipmentEventTypeCode":"DRFT","documentID":"B1","documentTypeCode":"BKG"}]`: "/0/eventID",
	} {
		results, err := dcsa.Decode([]byte(body), formats.Options{DefaultSource: "s"})
		require.NoError(t, err)
		require.Equal(t, field, results[0].Findings[0].Field, body)
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct{ old, replacement, field string }{
		{`APZU4812090`, `APZU4812091`, "/events/0/equipmentDetails/equipmentReference"},
		{`DEHAM`, `HAMBURG`, "/events/0/eventLocation/UNLocationCode"},
		{`"GTIN"`, `"GTNI"`, "/events/0/eventClassification/equipmentEventTypeCode"},
		{`"eventUpdatedDateTime":"2026-01-20T11:00:00Z",`, ``, "/events/0/eventUpdatedDateTime"},
		{`"LADEN"`, `"FULL"`, "/events/0/equipmentDetails/emptyIndicatorCode"},
		{`"eventRouting":{"originatingParty":{"partyCode":"EXCO"}},`, ``, "/events/0/eventRouting/originatingParty/partyCode"},
	} {
		r := one(t, strings.Replace(minimal, test.old, test.replacement, 1))
		require.True(t, r.OK(), r.Findings)
		require.Equal(t, test.field, r.Findings[0].Field)
		require.Equal(t, formats.SeverityWarning, r.Findings[0].Severity)
	}
}

func TestOneIDForTwoEvents(t *testing.T) {
	body := `{"events":[` + minimal + `,` + strings.Replace(minimal, "GTIN", "GTOT", 1) + `,` + minimal + `]}`
	results, err := dcsa.Decode([]byte(body), formats.Options{})
	require.NoError(t, err)
	require.Empty(t, results[0].Findings)
	require.Equal(t, formats.CodeConflict, results[1].Findings[0].Code)
	require.Empty(t, results[2].Findings)
	require.Equal(t, []dcsa.FeedbackElement{{
		Severity: "WARN", PropertyPath: "$.events[1].eventID",
		Message: "event 0 has the same eventID and update time and says something else; the first counts",
	}}, dcsa.Feedback(results))
}

func TestPropertyPath(t *testing.T) {
	for pointer, want := range map[string]string{
		"": "$", "/events/2/eventLocation": "$.events[2].eventLocation", "/a~1b/c d": "$['a/b']['c d']",
	} {
		require.Equal(t, want, dcsa.PropertyPath(pointer))
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte(`{"events":[` + minimal + `]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		results, err := dcsa.Decode(body, formats.Options{DefaultSource: "s"})
		require.Equal(t, before, body)
		if err != nil {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault)
			return
		}
		for _, r := range results {
			golden.Sound(t, r)
		}
		dcsa.Feedback(results)
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"events":[` + strings.TrimSuffix(strings.Repeat(minimal+",", 100), ",") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := dcsa.Decode(body, formats.Options{}); err != nil || !results[99].OK() {
			b.Fatal(fmt.Sprint(results[99].Findings), err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
