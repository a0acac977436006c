package cloudevents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/cloudevents"
)

const required = `"specversion":"1.0","id":"1","source":"/s","type":"com.andes.parcel.loaded","subject":"AX1","time":"2026-06-20T10:05:00-05:00"`

func one(t require.TestingT, body string) formats.Result {
	results, err := cloudevents.Decode([]byte(body), cloudevents.Single, formats.Options{})
	require.NoError(t, err)
	require.Len(t, results, 1)
	return results[0]
}

func TestSamples(t *testing.T) {
	single, err := os.ReadFile("testdata/single.json")
	require.NoError(t, err)
	r := one(t, string(single))
	require.Empty(t, r.Findings)
	require.Equal(t, "2026-06-20T10:05:00-05:00", r.Event.OccurredAt.Format(time.RFC3339))
	r.Event.OccurredAt = time.Time{}
	require.Equal(t, &tracking.Event{
		Source: "/carriers/andes-express", EventID: "ce-0", CorrelationID: "AX77120045PE", AggregateID: "AX77120045PE",
		Kind: tracking.Parcel, Type: "com.andes.parcel.picked_up", Classifier: tracking.Actual,
		Payload: json.RawMessage("{\n  \"tracking_number\": \"AX77120045PE\",\n  \"facility\": \"LIM\",\n  \"note\": \"recogido\"\n }"),
	}, r.Event)

	batch, err := os.ReadFile("testdata/batch.json")
	require.NoError(t, err)
	for _, form := range []cloudevents.Form{cloudevents.Batch, cloudevents.Any} {
		results, err := cloudevents.Decode(batch, form, formats.Options{})
		require.NoError(t, err)
		require.Len(t, results, 5)
		for i, r := range results {
			require.Empty(t, r.Findings)
			require.Equal(t, fmt.Sprintf("ce-%d", i), r.Event.EventID)
		}
	}
	require.True(t, formats.IsCloudEvents(single))
	require.True(t, formats.IsCloudEvents(batch))
}

func TestAttributes(t *testing.T) {
	with := func(member string) formats.Result { return one(t, "{"+required+","+member+"}") }

	r := with(`"correlationid":"BOOK1","aggregateid":"BAG1","tenantid":"latam","kind":"baggage","classifier":"estimated",` +
		`"revision":"1750000000000000","timequality":"date_only","recordedtime":"2026-06-20T10:05:00Z","datacontenttype":"text/plain",` +
		`"location":"{\"iata\":\"LIM\"}","corrects":"{\"kind\":\"void\",\"event_ids\":[\"0\"]}","data":"\u00f1 "`)
	require.Empty(t, r.Findings)
	require.Equal(t, "BOOK1", r.Event.CorrelationID)
	require.Equal(t, "BAG1", r.Event.AggregateID)
	require.Equal(t, "latam", r.Event.TenantID)
	require.Equal(t, tracking.Baggage, r.Event.Kind)
	require.Equal(t, tracking.Estimated, r.Event.Classifier)
	require.Equal(t, int64(1_750_000_000_000_000), r.Event.Revision)
	require.Equal(t, tracking.DateOnly, r.Event.TimeQuality)
	require.Equal(t, "LIM", r.Event.Location.IATA)
	require.Equal(t, tracking.Void, r.Event.Corrects.Kind)
	require.Equal(t, `"\u00f1 "`, string(r.Event.Payload))

	require.Equal(t, int64(7), with(`"revision":7`).Event.Revision)
	require.Equal(t, int64(1_781_949_900_000_000), with(`"revision":"2026-06-20T10:05:00Z"`).Event.Revision)
	require.Equal(t, `"aGk="`, string(with(`"data_base64":"aGk="`).Event.Payload))
	require.Empty(t, with(`"data":null`).Event.Payload)

	r = with(`"traceparent":"00-a","sampled":true,"dataschema":"urn:x"`)
	require.True(t, r.OK())
	require.Len(t, r.Findings, 3)
	for _, f := range r.Findings {
		require.Equal(t, formats.SeverityInfo, f.Severity)
		require.Equal(t, formats.CodeUnusedExtension, f.Code)
	}
	require.Equal(t, "traceparent", r.Findings[0].Field)

	both := one(t, `{"specversion":"1.0","id":"1","source":"/s","type":"loaded","time":"2026-06-20T10:05:00Z","correlationid":"c","aggregateid":"a"}`)
	require.True(t, both.OK())
	require.Empty(t, both.Event.Kind)
}

func TestRefusals(t *testing.T) {
	replace := func(old, replacement string) string { return strings.Replace("{"+required+"}", old, replacement, 1) }
	with := func(member string) string { return "{" + required + "," + member + "}" }
	for body, want := range map[string]struct{ field, code string }{
		replace(`"specversion":"1.0",`, ``):                {"specversion", "required"},
		replace(`"1.0"`, `"0.3"`):                          {"specversion", "enum"},
		replace(`"id":"1",`, ``):                           {"id", "required"},
		replace(`"source":"/s",`, ``):                      {"source", "required"},
		replace(`"type":"com.andes.parcel.loaded",`, ``):   {"type", "required"},
		replace(`"subject":"AX1",`, ``):                    {"subject", "required"},
		replace(`,"time":"2026-06-20T10:05:00-05:00"`, ``): {"time", "required"},
		replace(`-05:00"`, `"`):                            {"time", "format"},
		with(`"id":"2"`):                                   {"id", "duplicate_field"},
		with(`"ext":1,"ext":2`):                            {"ext", "duplicate_field"},
		with(`"ext":{}`):                                   {"ext", "type"},
		with(`"Subject":"x"`):                              {"Subject", "unknown_field"},
		with(`"event_type":"x"`):                           {"event_type", "unknown_field"},
		with(`"data":1,"data_base64":"aGk="`):              {"data_base64", "conflict"},
		with(`"data_base64":"aGk"`):                        {"data_base64", "format"},
		with(`"data_base64":{}`):                           {"data_base64", "type"},
		with(`"kind":"bag"`):                               {"kind", "enum"},
		with(`"revision":"1.5"`):                           {"revision", "format"},
		with(`"location":{"iata":"LIM"}`):                  {"location", "type"},
		with(`"location":"LIM"`):                           {"location", "format"},
		with(`"location":"{\"itaa\":1}"`):                  {"location.itaa", "unknown_field"},
		with(`"data":` + strings.Repeat(`[`, 99) + strings.Repeat(`]`, 99)): {"data", "too_deep"},
	} {
		r := one(t, body)
		require.False(t, r.OK(), body)
		var errs []formats.Finding
		for _, f := range r.Findings {
			if f.Severity == formats.SeverityError {
				errs = append(errs, f)
			}
		}
		require.Len(t, errs, 1, body)
		require.Equal(t, want.field, errs[0].Field, body)
		require.Equal(t, want.code, errs[0].Code, body)
		require.Contains(t, errs[0].Message, errs[0].Field)
	}
}

func TestForms(t *testing.T) {
	single, batch := "{"+required+"}", "[{"+required+"},{}]"
	for _, test := range []struct {
		form   cloudevents.Form
		body   string
		events int
	}{
		{cloudevents.Single, single, 1}, {cloudevents.Any, single, 1}, {cloudevents.Batch, single, -1},
		{cloudevents.Batch, batch, 2}, {cloudevents.Any, batch, 2}, {cloudevents.Single, batch, -1},
		{cloudevents.Batch, "[]", 0}, {cloudevents.Any, "1", -1}, {cloudevents.Batch, "x", -1}, {cloudevents.Single, "", -1},
	} {
		results, err := cloudevents.Decode([]byte(test.body), test.form, formats.Options{})
		if test.events < 0 {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault, test.body)
			continue
		}
		require.NoError(t, err)
		require.Len(t, results, test.events)
	}
}

func TestEncodeRefuses(t *testing.T) {
	_, err := cloudevents.Encode(&tracking.Event{})
	require.ErrorContains(t, err, "event_id")
	_, err = cloudevents.Encode(&tracking.Event{EventID: "1", Source: "s", Type: "t", Payload: json.RawMessage("{")})
	require.ErrorContains(t, err, "payload")
}

func TestEncodeThenDecode(t *testing.T) {
	word := rapid.StringMatching(`[A-Za-z0-9ñ<>&"\\][A-Za-z0-9 /.-]{0,20}[A-Za-z0-9]`)
	rapid.Check(t, func(t *rapid.T) {
		e := &tracking.Event{
			TenantID: word.Draw(t, "tenant"), Source: word.Draw(t, "source"), EventID: word.Draw(t, "id"),
			CorrelationID: word.Draw(t, "correlation"), AggregateID: word.Draw(t, "aggregate"),
			Type:        rapid.OneOf(word, rapid.SampledFrom([]string{"a.cargo.b", "parcel/x"})).Draw(t, "type"),
			Revision:    rapid.Int64Min(0).Draw(t, "revision"),
			Kind:        rapid.SampledFrom(append(tracking.Kinds(), "")).Draw(t, "kind"),
			Classifier:  rapid.SampledFrom(tracking.Classifiers()).Draw(t, "classifier"),
			TimeQuality: rapid.SampledFrom(append(tracking.TimeQualities(), "")).Draw(t, "quality"),
			OccurredAt:  time.UnixMicro(rapid.Int64Range(1e15, 2e15).Draw(t, "time")).In(time.FixedZone("", 60*rapid.IntRange(-840, 840).Draw(t, "zone"))),
			Payload:     json.RawMessage(rapid.SampledFrom([]string{"", `{"a" : "<>\u00f1"}`, `"x"`, `0`, `[ ]`}).Draw(t, "payload")),
		}
		if rapid.Bool().Draw(t, "parts") {
			lat := rapid.Float64Range(-90, 90).Draw(t, "latitude")
			e.Location = &tracking.Location{IATA: "LIM", Name: word.Draw(t, "name"), Lat: &lat, Lon: new(lat)}
			e.Quantity = &tracking.Quantity{Pieces: 2, TotalPieces: 10, Weight: rapid.Float64Range(0, 1e6).Draw(t, "weight"), WeightUnit: "kg"}
			e.Transport = &tracking.Transport{Mode: "air", Carrier: "LA", Number: word.Draw(t, "number"), Date: "2026-06-20"}
			e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: rapid.SliceOfN(word, 1, 3).Draw(t, "ids"), Reason: "did_not_occur"}
		}
		text, err := cloudevents.Encode(e)
		require.NoError(t, err)
		require.True(t, json.Valid(text))
		require.True(t, formats.IsCloudEvents(text))
		r := one(t, string(text))
		require.Empty(t, r.Findings)
		require.Equal(t, e.OccurredAt.Format(time.RFC3339Nano), r.Event.OccurredAt.Format(time.RFC3339Nano))
		r.Event.OccurredAt = e.OccurredAt
		if len(e.Payload) == 0 {
			e.Payload = nil
		}
		require.Equal(t, e, r.Event)
	})
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"testdata/single.json", "testdata/batch.json"} {
		body, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte("{" + required + `,"location":"{\"latitude\":1}","revision":"99","data_base64":"aGk=","ext":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		results, err := cloudevents.Decode(body, cloudevents.Any, formats.Options{DefaultSource: "s"})
		require.Equal(t, before, body)
		if err != nil {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault)
			return
		}
		for i, r := range results {
			require.Equal(t, i, r.Index)
			if !r.OK() {
				require.NotEmpty(t, r.Findings)
				continue
			}
			text, err := cloudevents.Encode(r.Event)
			require.NoError(t, err)
			again := one(t, string(text))
			require.True(t, again.OK(), "%s: %v", text, again.Findings)
			require.True(t, r.Event.OccurredAt.Equal(again.Event.OccurredAt))
			again.Event.OccurredAt = r.Event.OccurredAt
			require.Equal(t, r.Event, again.Event)
		}
	})
}

func BenchmarkDecodeBatch(b *testing.B) {
	var body bytes.Buffer
	for i := range 100 {
		body.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
		fmt.Fprintf(&body, `{"specversion":"1.0","id":"ce-%d","source":"/carriers/andes-express","type":"com.andes.parcel.picked_up",`+
			`"subject":"AX77120045PE","time":"2026-06-20T10:05:00-05:00","datacontenttype":"application/json",`+
			`"data":{"tracking_number":"AX77120045PE","facility":"LIM","note":"recogido"}}`, i)
	}
	body.WriteString("]")
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := cloudevents.Decode(body.Bytes(), cloudevents.Batch, formats.Options{}); err != nil || !results[99].OK() {
			b.Fatal(results, err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
