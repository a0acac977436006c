package ingest_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/dcsa"
)

// ownCarriers are those of the tests, besides those that are shipped.
var ownCarriers = map[string]string{
	"latam":     "format: native\n",
	"avianca":   "format: native\n",
	"tokens":    "format: native\nauthentication: {oidc: {clients: [bhs-lim]}}\n",
	"few":       "format: native\nlimits: {events_per_second: 0.2, max_body_bytes: 400, max_events: 2}\n",
	"few-epcis": "format: epcis\ntenant: talma-pe\nlimits: {max_body_bytes: 3000, max_events: 2}\n",
	"own-epcis": "format: epcis\ntenant: talma-pe\nauthentication: {oidc: {clients: [erp, both]}}\n",
	"too-epcis": "format: epcis\ntenant: talma-pe\nauthentication: {oidc: {clients: [both]}}\n",
	"one":       "format: native\nlimits: {requests_in_hand: 1}\n",
}

var readCarriers = sync.OnceValues(func() (*carriers.Set, error) {
	tables, err := carriers.LoadTables(config.Files())
	if err != nil {
		return nil, err
	}
	var sources []pipeline.Source
	names, err := carriers.Files(config.Files())
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(config.Files(), name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, pipeline.Source{File: name, Text: text})
	}
	for name, text := range ownCarriers {
		sources = append(sources, pipeline.Source{File: name + ".yaml", Text: []byte("carrier: " + name + "\n" + text)})
	}
	set, found := carriers.LoadSources(sources, tables)
	if len(found) > 0 {
		return nil, found
	}
	return set, nil
})

func carrierSet(t *testing.T) *carriers.Set {
	t.Helper()
	set, err := readCarriers()
	require.NoError(t, err)
	return set
}

func address(carrier string) string { return "/api/v1/carriers/" + carrier + "/events" }

// Every sample of every shipped carrier, sent as its sender would, becomes what its case says.
func TestCarriersSendWhatTheyHave(t *testing.T) {
	t.Parallel()
	files := os.DirFS("../../config")
	for _, c := range carrierSet(t).All() {
		cases, err := carriers.Cases(files, c.Name)
		require.NoError(t, err)
		for _, of := range cases {
			t.Run(of.Name, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, carrier(), func(c *ingest.Config) { c.MaxEventBytes = 32 << 10 })
				e.clock = of.Body().ReceivedAt
				header := []string{}
				for name := range of.Body().Header {
					header = append(header, name, of.Body().Header.Get(name))
				}
				media := of.Body().Header.Get("Content-Type")
				if media == "" {
					media = c.Media()[0]
				}
				if strings.HasSuffix(of.Sample, ".ndjson") {
					media = "application/x-ndjson"
				}
				a := e.postTo(address(c.Name), media, string(of.Body().Bytes), header...)
				want := c.Lines(of.Body())
				accepted, taken := 0, false
				for _, line := range want {
					if line["refused"] == nil && line["unreadable"] == nil && line["aside"] == nil {
						accepted++
					}
					taken = taken || line["refused"] == nil && line["unreadable"] == nil
				}
				require.Len(t, e.got, accepted)
				switch {
				case want[0]["unreadable"] != nil:
					require.Equal(t, http.StatusBadRequest, a.status)
				case c.Format == carriers.DCSA:
					require.Equal(t, accepted > 0, a.status == http.StatusOK)
				default:
					require.Equal(t, taken, a.status == http.StatusAccepted || c.Format == carriers.EPCIS && a.status == http.StatusCreated, a.Detail)
					require.Len(t, a.Results, len(want))
				}
				for _, event := range e.got {
					require.Equal(t, "talma-pe", event.TenantID)
					require.True(t, event.Source == c.Name || strings.HasPrefix(event.Source, c.Name+"/"), event.Source)
				}
			})
		}
	}
}

func TestCarriersThatAreNotThere(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	a := e.postTo(address("demo-natve"), "application/json", good)
	require.Equal(t, http.StatusNotFound, a.status)
	require.Contains(t, a.Detail, `did you mean "demo-native"?`)
	other := newEdge(t, auth.Identity{Subject: "s", ClientID: "c", TenantID: "talma-ec", Roles: []string{auth.RoleEventsWrite}})
	require.Equal(t, http.StatusNotFound, other.postTo(address("demo-native"), "application/json", good).status, "it is another tenant's")
	reader := newEdge(t, auth.Identity{Subject: "s", ClientID: "c", TenantID: "talma-pe", Roles: []string{auth.RoleTracesRead}})
	require.Equal(t, http.StatusForbidden, reader.postTo(address("demo-native"), "application/json", good).status)
}

func TestAnswersOfACarrier(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	body := "[" + good + "," + strings.Replace(good, `"loaded"`, `"ZZ9"`, 1) + "," + strings.Replace(good, "timestamp", "when", 1) + "]"
	a := e.postTo(address("demo-native"), "application/json", body)
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, 2, a.Accepted)
	require.Empty(t, a.Results[0].Warnings)
	require.Equal(t, carriers.CodeUnmapped, a.Results[1].Warnings[0].Code, "an unknown code is taken, and said to be unknown")
	require.Equal(t, "rejected", a.Results[2].Status)
	require.NotEmpty(t, a.Results[2].Errors)
	require.Equal(t, tracking.Enrichment{}, e.got[0].Enrichment, "what the catalogue knows is left to the pipeline")
	a = e.postTo(address("demo-native"), "application/json", strings.Replace(good, `"loaded"`, `"bhs-jam"`, 1))
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, tracking.Enrichment{Exception: "delayed"}, e.got[2].Enrichment)
	require.Equal(t, http.StatusBadRequest, e.postTo(address("demo-native"), "text/plain", "no json").status)
}

func TestFeedbackOfDCSA(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		body, err := os.ReadFile("../../config/carriers/tests/demo-dcsa/" + name + ".json")
		require.NoError(t, err)
		return string(body)
	}
	e := newEdge(t, carrier())
	feedback := func(body string) (answer, []dcsa.FeedbackElement) {
		a := e.postTo(address("demo-dcsa"), "application/json", body)
		var f ingest.Feedback
		require.NoError(t, json.Unmarshal([]byte(a.body), &f), a.body)
		require.NotNil(t, f.FeedbackElements)
		require.Equal(t, "3.0.0", a.header.Get("API-Version"))
		return a, f.FeedbackElements
	}
	a, elements := feedback(read("tnt-300-request-shipment"))
	require.Equal(t, http.StatusOK, a.status)
	require.Empty(t, elements)
	require.Len(t, e.got, 1)

	mixed := strings.Replace(read("tnt-300-request-shipment"), `"events": [`, `"events": [{"eventID":"x"},`, 1)
	a, elements = feedback(mixed)
	require.Equal(t, http.StatusOK, a.status, "one of the two was taken")
	require.Len(t, e.got, 2)
	require.NotEmpty(t, elements)
	require.Equal(t, "ERROR", elements[0].Severity)
	require.True(t, strings.HasPrefix(elements[0].PropertyPath, "$.events[0]."), elements[0].PropertyPath)

	a, elements = feedback(read("tnt-220-response-wrong-structure"))
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.NotEmpty(t, elements)

	tenant := e.tenants["talma-pe"]
	tenant.EventTypes = []string{"loaded"}
	e.tenants["talma-pe"] = tenant
	e.clock = e.clock.Add(time.Minute)
	a, elements = feedback(read("tnt-300-request-shipment"))
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	require.Equal(t, []dcsa.FeedbackElement{{Severity: "ERROR", Message: "event_type is not a type that this tenant takes", PropertyPath: "$.events[0]"}}, elements)
}

func TestLimitsOfACarrier(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	a := e.postTo(address("few"), "application/json", "["+good+"]"+strings.Repeat(" ", 400))
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
	require.Contains(t, a.Detail, "400 bytes")
	require.Equal(t, http.StatusRequestEntityTooLarge, e.postTo(address("few"), "application/json", "[{},{},{}]").status)
	require.Equal(t, http.StatusAccepted, e.postTo(address("few"), "application/json", good).status)
	require.Equal(t, http.StatusAccepted, e.postTo(address("few"), "application/json", good).status)
	a = e.postTo(address("few"), "application/json", good)
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.Contains(t, a.Detail, "Carrier few may send 0.2 events a second")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, http.StatusAccepted, e.postTo(address("latam"), "application/json", good).status, "nobody else has to wait")
}

// A carrier that sends nothing but what cannot be taken is not read for a while; others are, and it is when it has mended itself.
func TestTheBreakerOfACarrier(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	for range 20 {
		require.Equal(t, http.StatusBadRequest, e.postTo(address("latam"), "application/json", "rubbish").status)
	}
	a := e.postTo(address("latam"), "application/json", good)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "/problems/carrier-paused", a.Type)
	require.Equal(t, "5", a.header.Get("Retry-After"))
	require.Equal(t, http.StatusAccepted, e.postTo(address("avianca"), "application/json", good).status)

	wrong := strings.Replace(good, "timestamp", "when", 1)
	for range 20 { // which can be read, and none of which is taken
		require.Equal(t, http.StatusUnprocessableEntity, e.postTo(address("tokens"), "application/json", wrong).status)
	}
	require.Equal(t, "/problems/carrier-paused", e.postTo(address("tokens"), "application/json", good).Type)
	for range 25 {
		require.Equal(t, http.StatusAccepted, e.postTo(address("avianca"), "application/json", "["+good+","+wrong+"]").status, "of which some is good")
	}

	for i := range 25 { // of which some is good
		e.postTo(address("one"), "application/json", "rubbish"+strconv.Itoa(i))
		if i%10 == 0 {
			e.postTo(address("one"), "application/json", good)
		}
	}
	require.Equal(t, http.StatusAccepted, e.postTo(address("one"), "application/json", good).status)
}

// While one carrier has all that it may have in hand, which does not end, others are served, and it is told to come again.
func TestOneCarriersFloodIsItsOwn(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	inside, finish := make(chan struct{}), make(chan struct{})
	e.broker = func(events []*tracking.Event) error {
		if events[0].Source == "one" {
			inside <- struct{}{}
			<-finish
		}
		return nil
	}
	var flood sync.WaitGroup
	flood.Go(func() { e.postTo(address("one"), "application/json", good) })
	<-inside
	answers := make(chan answer, 5)
	for range 5 {
		flood.Go(func() { answers <- e.postTo(address("one"), "application/json", good) })
	}
	for range 10 {
		require.Equal(t, http.StatusAccepted, e.postTo(address("latam"), "application/json", good).status)
	}
	for range 5 {
		a := <-answers
		require.Equal(t, http.StatusTooManyRequests, a.status)
		require.Equal(t, "/problems/carrier-busy", a.Type)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	close(finish)
	flood.Wait()
}
