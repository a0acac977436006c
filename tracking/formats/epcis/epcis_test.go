package epcis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/golden"
	"github.com/rastrohq/rastro/tracking/formats/internal/wire"
)

func TestValidSamples(t *testing.T) { golden.Check(t, "testdata/valid/*.json", "demo-epcis", Decode) }

func TestInvalidSamples(t *testing.T) {
	golden.Check(t, "testdata/invalid/*.json", "demo-epcis", Decode)
	for file, field := range map[string]string{
		"EPCISDocument_without_context": "/@context", "ObjectEvent_with_invalid_action": "/epcisBody/eventList/0/action",
		"ObjectEvent_with_invalid_eventTime_format": "/epcisBody/eventList/0/eventTime",
		"ObjectEvent_with_quantity_as_text":         "/epcisBody/eventList/0/quantityList/0/quantity",
		"ObjectEvent_without_action_and_eventTime":  "/epcisBody/eventList/0/eventTime",
		"ObjectEvent_without_identifier_list":       "/epcisBody/eventList/0/epcList",
	} {
		body, err := os.ReadFile("testdata/invalid/" + file + ".json")
		require.NoError(t, err)
		results, err := Decode(body, formats.Options{DefaultSource: "s"})
		require.NoError(t, err)
		require.Len(t, results, 1)
		require.False(t, results[0].OK())
		require.Equal(t, field, results[0].Findings[0].Field)
	}
}

const (
	contexts = `"@context":["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",{"ex":"https://ex.com/"}],`
	object   = `{` + contexts + `"type":"ObjectEvent","eventTime":"2026-04-01T15:00:00+02:00","eventTimeZoneOffset":"+01:00",` +
		`"epcList":["urn:epc:id:sscc:0614141.1234567890"],"action":"OBSERVE","bizStep":"shipping","readPoint":{"id":"urn:epc:id:sgln:4012345.00005.0"}}`
)

func decode(t require.TestingT, body string) []formats.Result {
	results, err := Decode([]byte(body), formats.Options{DefaultSource: "s"})
	require.NoError(t, err)
	for _, r := range results {
		golden.Sound(t, r)
	}
	return results
}

// pre is the text that is hashed of a single event.
func pre(t require.TestingT, body string) string {
	root, err := wire.Document([]byte(body))
	require.NoError(t, err)
	return prehash(root, standardNames.with(root.Get("@context")))
}

func TestEvent(t *testing.T) {
	r := decode(t, object)
	require.Len(t, r, 1)
	e := r[0].Event
	require.Equal(t, "2026-04-01T14:00:00+01:00", e.OccurredAt.Format("2006-01-02T15:04:05Z07:00"))
	require.Equal(t, "4012345000054", e.Location.GLN)
	require.Equal(t, "shipping", e.Type)
	require.Equal(t, "urn:epc:id:sscc:0614141.1234567890", e.CorrelationID)
	require.Equal(t, object, string(e.Payload))
	require.Equal(t, "eventType=ObjectEventeventTime=2026-04-01T13:00:00.000ZeventTimeZoneOffset=+01:00epcListepc=https://id.gs1.org/00/106141412345678908"+
		"action=OBSERVEbizStep=https://ref.gs1.org/cbv/BizStep-shippingreadPointid=https://id.gs1.org/414/4012345000054", pre(t, object))
}

func TestOneHashHoweverWritten(t *testing.T) {
	want := pre(t, object)
	for _, change := range [][2]string{
		{`"2026-04-01T15:00:00+02:00"`, `"2026-04-01T12:59:59.9996Z"`},
		{`"shipping"`, `"https://ref.gs1.org/cbv/BizStep-shipping"`}, {`"shipping"`, `"cbv:BizStep-shipping"`},
		{`urn:epc:id:sscc:0614141.1234567890`, `https://id.gs1.org/00/106141412345678908`},
		{`urn:epc:id:sscc:0614141.1234567890`, `https://example.com/some/path/sscc/106141412345678908?x=1`},
		{`"action"`, `"eventID":"urn:uuid:1","recordTime":"2026-01-01T00:00:00Z","action"`},
		{`"action"`, `"quantityList":[],"action"`},
		{`"action"`, `"errorDeclaration":{"declarationTime":"2026-01-01T00:00:00Z"},"action"`},
	} {
		changed := strings.Replace(object, change[0], change[1], 1)
		require.NotEqual(t, object, changed)
		require.Equal(t, want, pre(t, changed), change[1])
	}
	for _, change := range [][2]string{{`+02:00`, `+03:00`}, {`shipping`, `receiving`}, {`7890`, `7891`}, {`"action"`, `"ex:a":1,"action"`}} {
		require.NotEqual(t, want, pre(t, strings.Replace(object, change[0], change[1], 1)))
	}
}

func TestHashOfExtensions(t *testing.T) {
	got := pre(t, strings.Replace(object, `"action"`, `"ex:b":{"ex:d":"01.50","ex:c":["ex:v","a"]},"ex:a":true,"action"`, 1))
	require.True(t, strings.HasSuffix(got, "{https://ex.com/}a=true{https://ex.com/}b{https://ex.com/}c=a{https://ex.com/}c=https://ex.com/v{https://ex.com/}d=1.5"), got)
}

func TestHashDoesNotDependOnOrder(t *testing.T) {
	body, err := os.ReadFile("testdata/valid/ObjectEvent_all_possible_fields.json")
	require.NoError(t, err)
	root, err := wire.Document(body)
	require.NoError(t, err)
	scope := standardNames.with(root.Get("@context"))
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		event := &root.Get("epcisBody", "eventList").Items[0]
		want := prehash(event, scope.with(event.Get("@context")))
		var shuffle func(n *wire.Node)
		shuffle = func(n *wire.Node) {
			random.Shuffle(len(n.Members), func(i, j int) { n.Members[i], n.Members[j] = n.Members[j], n.Members[i] })
			random.Shuffle(len(n.Items), func(i, j int) { n.Items[i], n.Items[j] = n.Items[j], n.Items[i] })
			for i := range n.Members {
				if n.Members[i].Key != "@context" {
					shuffle(&n.Members[i].Value)
				}
			}
			for i := range n.Items {
				shuffle(&n.Items[i])
			}
		}
		shuffle(event)
		require.Equal(t, want, prehash(event, scope.with(event.Get("@context"))))
	})
}

func TestCanonical(t *testing.T) {
	for from, to := range map[string]string{
		"urn:epc:id:sgtin:4012345.011111.9876":                "https://id.gs1.org/01/04012345111118/21/9876",
		"urn:epc:id:sgtin:0614141.107346.a.b!c":               "https://id.gs1.org/01/10614141073464/21/a.b%21c",
		"urn:epc:id:sgln:0614141.07346.1234":                  "https://id.gs1.org/414/0614141073467/254/1234",
		"urn:epc:id:pgln:4012345.00000":                       "https://id.gs1.org/417/4012345000009",
		"urn:epc:id:grai:4012345.55555.987":                   "https://id.gs1.org/8003/04012345555554987",
		"urn:epc:id:giai:4000001.111":                         "https://id.gs1.org/8004/4000001111",
		"urn:epc:class:lgtin:4054739.099914.20160711":         "https://id.gs1.org/01/04054739999148/10/20160711",
		"urn:epc:idpat:sgtin:4012345.098765.*":                "https://id.gs1.org/01/04012345987652",
		"urn:epc:id:itip:4012345.012345.01.02.999":            "https://id.gs1.org/8006/040123451234560102/21/999",
		"urn:epc:id:cpi:4012345.ABC.123":                      "https://id.gs1.org/8010/4012345ABC/8011/123",
		"https://x.example/gtin/4012345111118/lot/A/ser/9":    "https://id.gs1.org/01/04012345111118/21/9",
		"https://id.gs1.de/01/04012345999990/21/XYZ-1234?3=4": "https://id.gs1.org/01/04012345999990/21/XYZ-1234",
		"urn:epc:id:sgtin:1.2.3":                              "urn:epc:id:sgtin:1.2.3",
		"https://example.com/01/x":                            "https://example.com/01/x",
		"geo:1,2":                                             "geo:1,2",
	} {
		require.Equal(t, to, Canonical(from), from)
	}
}

func TestErrorDeclaration(t *testing.T) {
	first := decode(t, object)[0].Event
	declared := strings.Replace(object, `"action"`,
		`"errorDeclaration":{"declarationTime":"2026-05-01T00:00:00Z","reason":"did_not_occur","correctiveEventIDs":["urn:uuid:2"]},"action"`, 1)
	gone := decode(t, declared)[0].Event
	require.Equal(t, first.EventID, gone.EventID)
	require.Equal(t, &tracking.Correction{Kind: tracking.Void, EventIDs: []string{first.EventID}, Reason: "did_not_occur"}, gone.Corrects)
	for _, order := range [][]*tracking.Event{{first, gone}, {gone, first}} {
		trace := tracking.Fold(order)
		require.Equal(t, 1, trace.VoidedCount)
	}
}

func TestManyThings(t *testing.T) {
	var list []string
	for i := range 40 {
		list = append(list, fmt.Sprintf(`"urn:epc:id:sgtin:0614141.107346.%d"`, i))
	}
	results := decode(t, strings.Replace(object, `"urn:epc:id:sscc:0614141.1234567890"`, strings.Join(list, ","), 1))
	require.Len(t, results, 40)
	ids := map[string]bool{}
	for i, r := range results {
		require.Equal(t, 0, r.Index)
		ids[r.Event.EventID] = true
		var payload struct{ EPCList []string }
		require.NoError(t, json.Unmarshal(r.Event.Payload, &payload))
		require.Equal(t, []string{fmt.Sprintf("urn:epc:id:sgtin:0614141.107346.%d", i)}, payload.EPCList)
	}
	require.Len(t, ids, 40)

	_, err := Decode([]byte(strings.Replace(object, `"urn:epc:id:sscc:0614141.1234567890"`, strings.Join(list, ","), 1)), formats.Options{DefaultSource: "s", MaxEvents: 39})
	var fault *formats.BodyError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, formats.CodeTooMany, fault.Code)
}

func TestRules(t *testing.T) {
	typed := func(kind, rest string) string {
		return `{` + contexts + `"type":"` + kind + `","eventTime":"2026-04-01T15:00:00Z","eventTimeZoneOffset":"+01:00"` + rest + `}`
	}
	sensor := func(report string) string {
		return typed("ObjectEvent", `,"action":"OBSERVE","readPoint":{"id":"urn:a:b"},"sensorElementList":[{"sensorReport":[`+report+`]}]`)
	}
	for body, field := range map[string]string{
		object: "",
		strings.Replace(object, `"shipping"`, `"shipin"`, 1):                                                   "/bizStep enum",
		strings.Replace(object, `"shipping"`, `"urn:epcglobal:cbv:bizstep:shipping"`, 1):                       "/bizStep format",
		strings.Replace(object, `"shipping"`, `"https://ref.gs1.org/cbv/BizStep-nope"`, 1):                     "/bizStep enum",
		strings.Replace(object, `"shipping"`, `"ex:own"`, 1):                                                   "",
		strings.Replace(object, `"+01:00"`, `"+14:30"`, 1):                                                     "/eventTimeZoneOffset format",
		strings.Replace(object, `+02:00`, ``, 1):                                                               "/eventTime format",
		strings.Replace(object, contexts, ``, 1):                                                               "/@context required",
		strings.Replace(object, `"action"`, `"ilmd":{},"action"`, 1):                                           "/ilmd conflict",
		strings.Replace(object, `"action"`, `"comment":"x","action"`, 1):                                       "/comment unknown_field",
		strings.Replace(object, `"action"`, `"ex:comment":[{"a":null}],"action"`, 1):                           "",
		strings.Replace(object, `"readPoint":{"id"`, `"readPoint":{"Id"`, 1):                                   "/readPoint/id required",
		strings.Replace(object, `"urn:epc:id:sscc:0614141.1234567890"`, `"no uri"`, 1):                         "/epcList/0 format",
		strings.Replace(object, `"urn:epc:id:sscc:0614141.1234567890"`, `"urn:a:b","urn:a:b"`, 1):              "/epcList/1 conflict",
		strings.Replace(object, `"ObjectEvent"`, `"ObjektEvent"`, 1):                                           "/type enum",
		strings.Replace(object, `"ObjectEvent"`, `"ex:OwnEvent"`, 1):                                           "",
		strings.Replace(object, `"action"`, `"errorDeclaration":{"reason":"oops"},"action"`, 1):                "/errorDeclaration/declarationTime required",
		strings.Replace(object, `"action"`, `"persistentDisposition":{"set":[]},"action"`, 1):                  "/persistentDisposition/set required",
		strings.Replace(object, `"action"`, `"sourceList":[{"source":"urn:a:b"}],"action"`, 1):                 "/sourceList/0/type required",
		typed("AggregationEvent", `,"action":"ADD","parentID":"urn:a:b"`):                                      "/childEPCs required",
		typed("AggregationEvent", `,"action":"DELETE","parentID":"urn:a:b"`):                                   "",
		typed("AssociationEvent", `,"action":"ADD","childEPCs":["urn:a:b"]`):                                   "/parentID required",
		typed("TransactionEvent", `,"action":"ADD","epcList":[]`):                                              "/bizTransactionList required",
		typed("TransactionEvent", `,"action":"DELETE","bizTransactionList":[{"bizTransaction":"urn:a:b"}]`):    "",
		typed("TransformationEvent", `,"inputEPCList":["urn:a:b"]`):                                            "/outputEPCList required",
		typed("TransformationEvent", `,"inputEPCList":["urn:a:b"],"transformationID":"urn:a:t"`):               "",
		typed("TransformationEvent", `,"action":"ADD","inputEPCList":["urn:a:b"],"outputEPCList":["urn:a:c"]`): "/action unknown_field",
		sensor(`{"type":"Temperature","value":1.5,"uom":"CEL"}`):                                               "",
		sensor(`{"type":"Temprature"}`):                                                                        "/sensorElementList/0/sensorReport/0/type enum",
		sensor(`{"type":"Temperature","value":"1"}`):                                                           "/sensorElementList/0/sensorReport/0/value type",
		sensor(`{"type":"Temperature","booleanValue":"true"}`):                                                 "/sensorElementList/0/sensorReport/0/booleanValue type",
		sensor(`{"type":"Temperature","hexBinaryValue":"xyz"}`):                                                "/sensorElementList/0/sensorReport/0/hexBinaryValue format",
		sensor(``): "/sensorElementList/0/sensorReport required",
	} {
		r := decode(t, body)[0]
		if field == "" {
			require.True(t, r.OK(), "%s: %v", body, r.Findings)
			continue
		}
		require.False(t, r.OK(), body)
		require.Equal(t, field, r.Findings[0].Field+" "+r.Findings[0].Code, body)
	}
}

func TestDocuments(t *testing.T) {
	doc := func(rest string) string {
		return `{` + contexts + `"type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-04-01T15:00:00Z",` + rest + `}`
	}
	good, bad := object, strings.Replace(object, `"OBSERVE"`, `"observe"`, 1)
	for body, want := range map[string][]string{
		doc(`"epcisBody":{"eventList":[]}`):                                 {},
		doc(`"epcisBody":{"eventList":[` + good + `,` + bad + `]}`):         {"", "/epcisBody/eventList/1/action"},
		doc(`"epcisBody":{"eventList":{}}`):                                 {"/epcisBody/eventList"},
		doc(`"epcisBody":{}`):                                               {"/epcisBody/eventList"},
		doc(`"epcisBody":{"eventList":[` + good + `,1]},"schemaVersion":2`): nil,
		`{"type":"EPCISDocument"}`:                                          {"/@context"},
		`{` + contexts + `"type":"EPCISQueryDocument","epcisBody":{"queryResults":{"queryName":"q","resultsBody":{"eventList":[` + bad + `]}}}}`: {
			"/epcisBody/queryResults/resultsBody/eventList/0/action"},
		`[]`: {""}, `{}`: {"/type"},
	} {
		results, err := Decode([]byte(body), formats.Options{DefaultSource: "s"})
		if want == nil {
			require.Error(t, err, body)
			continue
		}
		require.NoError(t, err)
		if body[0] == '{' && strings.Contains(body, `"eventList":[]`) {
			require.Empty(t, results)
			continue
		}
		require.Len(t, results, len(want), body)
		for i, r := range results {
			require.Equal(t, want[i] == "" && body != "[]", r.OK())
			if !r.OK() {
				require.Equal(t, want[i], r.Findings[0].Field)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.json")
	require.NoError(f, err)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte(object))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		results, err := Decode(body, formats.Options{DefaultSource: "s"})
		require.Equal(t, before, body)
		if err != nil {
			var fault *formats.BodyError
			require.ErrorAs(t, err, &fault)
			return
		}
		for _, r := range results {
			golden.Sound(t, r)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{` + contexts + `"type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-04-01T15:00:00Z","epcisBody":{"eventList":[` +
		strings.TrimSuffix(strings.Repeat(object+",", 100), ",") + `]}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if results, err := Decode(body, formats.Options{DefaultSource: "s"}); err != nil || !results[99].OK() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
