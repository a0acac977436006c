package epcis

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// What the JSON Schema of the standard leaves to the sender is taken, and so is what its drafts had and senders still write.
func TestWhatStandsBesideTheStandardsFields(t *testing.T) {
	for _, change := range [][2]string{
		{`{"id":"urn:epc:id:sgln:4012345.00005.0"}`, `{"id":"urn:epc:id:sgln:4012345.00005.0","name":"Gate 5","type":"Place","ex:zone":[1]}`},
		{`"action"`, `"bizLocation":{"floor":2,"id":"urn:epc:id:sgln:4012345.00005.0"},"action"`},
		{`"action"`, `"ex:list":[{"deep":{"ex:er":null}}],"https://ex.com/whole":{"a":1},"action"`},
		{`"action"`, `"persistentDisposition":{"unset":["completeness_inferred"]},"action"`},
	} {
		changed := strings.Replace(object, change[0], change[1], 1)
		require.NotEqual(t, object, changed)
		r := decode(t, changed)
		require.True(t, r[0].OK(), "%v", r[0].Findings)
		require.Empty(t, r[0].Findings)
		require.Equal(t, changed, string(r[0].Event.Payload), "it is kept")
	}
	sensors := `"sensorElementList":[{"type":"epcis:SensorElement","sensorReport":[{"type":"Temperature","value":26.0,"uom":"CEL"}]}],"action"`
	r := decode(t, strings.Replace(object, `"action"`, sensors, 1))
	require.True(t, r[0].OK(), "%v", r[0].Findings)
	require.Equal(t, "/sensorElementList/0/type", r[0].Findings[0].Field)
	require.Equal(t, formats.SeverityWarning, r[0].Findings[0].Severity)
	own := strings.NewReplacer("ObjectEvent", "ex:WeighingEvent", `"action"`, `"weight":12.5,"action"`).Replace(object)
	r = decode(t, own)
	require.True(t, r[0].OK(), "an event of a type of the sender's own may have what it likes: %v", r[0].Findings)
	require.Equal(t, "/weight", r[0].Findings[0].Field)
	require.Equal(t, formats.SeverityWarning, r[0].Findings[0].Severity)
	draft := `{"@context":["https://gs1.github.io/EPCIS/epcis-context.jsonld"],"id":"_:document1","type":"EPCISDocument","schemaVersion":"2.0",` +
		`"creationDate":"2013-06-04T14:59:02.099+02:00","epcisBody":{"eventList":[` + strings.Replace(object, contexts, "", 1) + `]}}`
	require.True(t, decode(t, draft)[0].OK())
}

// What the JSON Schema of the standard refuses is refused where it stands.
func TestWhatTheSchemaRefuses(t *testing.T) {
	query := func(results string) string {
		return `{` + contexts + `"type":"EPCISQueryDocument","schemaVersion":"2.0","creationDate":"2026-06-04T14:59:02.099+02:00","epcisBody":{"queryResults":` + results + `}}`
	}
	event := strings.Replace(object, contexts, "", 1)
	require.True(t, decode(t, query(`{"subscriptionID":"1","queryName":"SimpleEventQuery","resultsBody":{"eventList":[`+event+`]}}`))[0].OK())
	transaction := strings.NewReplacer("ObjectEvent", "TransactionEvent", `"action"`, `"bizTransactionList":[],"action"`).Replace(object)
	for body, field := range map[string]string{
		transaction: "/bizTransactionList",
		strings.Replace(object, `"action"`, `"persistentDisposition":{},"action"`, 1):                                                                 "/persistentDisposition/set",
		strings.Replace(object, `{"id":"urn:epc:id:sgln:4012345.00005.0"}`, `{"name":"Gate 5"}`, 1):                                                   "/readPoint/id",
		strings.Replace(object, `{"id":"urn:epc:id:sgln:4012345.00005.0"}`, `{"id":"gate 5"}`, 1):                                                     "/readPoint/id",
		strings.Replace(object, `"action"`, `"sensorElementList":[{"type":"ex:Other","sensorReport":[]}],"action"`, 1):                                "/sensorElementList/0/type",
		query(`{"resultsBody":{"eventList":[` + event + `]}}`):                                                                                        "/epcisBody/queryResults/queryName",
		query(`{"queryName":5,"resultsBody":{"eventList":[` + event + `]}}`):                                                                          "/epcisBody/queryResults/queryName",
		query(`{"queryName":"q","results":[],"resultsBody":{"eventList":[` + event + `]}}`):                                                           "/epcisBody/queryResults/results",
		query(`{"queryName":"q","resultsBody":{"eventList":[` + event + `],"more":true}}`):                                                            "/epcisBody/queryResults/resultsBody/more",
		`{` + contexts + `"id":"_:","type":"EPCISDocument","schemaVersion":"2.0","creationDate":"2026-06-04T14:59:02Z","epcisBody":{"eventList":[]}}`: "/id",
	} {
		r := decode(t, body)
		require.False(t, r[0].OK(), body)
		require.Equal(t, field, r[0].Findings[0].Field, body)
	}
}

// The catalogue says what every business step of the standard means, and what an event without one does.
func TestTheCatalogueKnowsEveryBusinessStep(t *testing.T) {
	file, err := os.Open("../../../config/milestones.yaml")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, err)
	require.Len(t, bizSteps.words, 41)
	for _, step := range slices.Concat(bizSteps.words, eventTypes) {
		_, known := catalog.Lookup("", step)
		require.True(t, known, step)
	}
}

// An event that is right and names nothing is counted, and does not have the others of its document refused.
func TestAnEventAboutNothingIsSetAside(t *testing.T) {
	nothing := strings.NewReplacer(`"urn:epc:id:sscc:0614141.1234567890"`, "", `,"readPoint":{"id":"urn:epc:id:sgln:4012345.00005.0"}`, "").Replace(object)
	r := decode(t, nothing)
	require.Len(t, r, 1)
	require.True(t, r[0].Aside(), "%v", r[0].Findings)
	require.Equal(t, "/readPoint", r[0].Findings[0].Field)
	r = decode(t, strings.Replace(nothing, `"action"`, `"bizLocation":{"id":"urn:epc:id:sgln:4012345.00006.0"},"action"`, 1))
	require.True(t, r[0].OK(), "it is about a place")
	require.Equal(t, "urn:epc:id:sgln:4012345.00006.0", r[0].Event.CorrelationID)
}
