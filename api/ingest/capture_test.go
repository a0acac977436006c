package ingest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

const captures = "/api/v1/carriers/demo-epcis/capture"

// epcisEvent is an event about one thing; another action than the three of the standard makes it a wrong one.
func epcisEvent(thing, action string) string {
	return `{"type":"ObjectEvent","action":"` + action + `","bizStep":"shipping","epcList":["urn:epc:id:sscc:0614141.` + thing + `"],` +
		`"eventTime":"2026-06-20T22:55:01-05:00","eventTimeZoneOffset":"-05:00"}`
}

func epcisDocument(events ...string) string {
	return `{"@context":["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"],"type":"EPCISDocument","schemaVersion":"2.0",` +
		`"creationDate":"2026-06-20T22:56:00-05:00","epcisBody":{"eventList":[` + strings.Join(events, ",") + `]}}`
}

// ask sends a request and returns its answer, whatever it is.
func (p *process) ask(method, path, body string, header ...string) answer {
	p.t.Helper()
	request := httptest.NewRequestWithContext(p.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/ld+json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := p.app.Test(request, -1)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, response.Body.Close()) }()
	raw, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	a := answer{status: response.StatusCode, header: response.Header, body: string(raw)}
	if a.status >= 400 {
		require.Equal(p.t, problem.ContentType, a.header.Get("Content-Type"))
		require.NoError(p.t, json.Unmarshal(raw, &a), a.body)
	}
	return a
}

// job reads a capture job.
func (p *process) job(a answer) (job ingest.CaptureJob) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(a.body), &job), a.body)
	require.False(p.t, job.Running)
	require.NotNil(p.t, job.Errors)
	return job
}

// capturing is a process, and how somebody asks it who may capture.
func capturing(t *testing.T) (*shared, *process, func(method, path, body string, header ...string) answer) {
	t.Helper()
	s := newShared(t)
	p := s.process()
	_, key := s.credential(store.CredentialAPIKey, "demo-epcis", "")
	return s, p, func(method, path, body string, header ...string) answer {
		return p.ask(method, path, body, append(header, "X-API-Key", key)...)
	}
}

func TestADocumentIsCaptured(t *testing.T) {
	t.Parallel()
	s, p, ask := capturing(t)
	a := ask(http.MethodPost, captures, epcisDocument(epcisEvent("1234567890", "ADD"), epcisEvent("1234567891", "OBSERVE")),
		"GS1-EPCIS-Version", "2.0.0", "GS1-CBV-Version", "2.0", "GS1-Extensions", "ex=https://example.org/")
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Equal(t, "2.0", a.header.Get("GS1-EPCIS-Version"))
	require.Equal(t, "2.0", a.header.Get("GS1-CBV-Version"))
	require.Equal(t, "ex=https://example.org/", a.header.Get("GS1-Extensions"))
	require.Len(t, p.got, 2, "the broker has them when it is answered")
	require.Equal(t, "urn:epc:id:sscc:0614141.1234567891", p.got[1].CorrelationID)
	require.Equal(t, "demo-epcis", p.got[0].Source)
	told := p.job(a)
	require.Equal(t, []any{true, "rollback", 2, 0}, []any{told.Success, told.CaptureErrorBehaviour, told.Accepted, told.Rejected})

	location := a.header.Get("Location")
	require.Equal(t, captures+"/"+told.CaptureID, location)
	for _, other := range []*process{p, s.process()} {
		_, key := s.credential(store.CredentialAPIKey, "demo-epcis", "")
		got := other.ask(http.MethodGet, location, "", "X-API-Key", key, "GS1-EPCIS-Min", "1.2", "GS1-EPCIS-Max", "2.1")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, told, other.job(got), "whichever process is asked")
	}
	require.Equal(t, http.StatusNotFound, ask(http.MethodGet, captures+"/"+uuid.NewString(), "").status)
	nothing := ask(http.MethodGet, captures+"/nonsense", "")
	require.Equal(t, http.StatusNotFound, nothing.status)
	require.Equal(t, "epcisException:NoSuchResourceException", nothing.Type)
}

// Of a document of which something is wrong nothing is accepted, unless the sender has the rest go on.
func TestWhatBecomesOfTheOthersWhenAnEventIsWrong(t *testing.T) {
	t.Parallel()
	_, p, ask := capturing(t)
	mixed := epcisDocument(epcisEvent("1234567890", "ADD"), epcisEvent("1234567891", "CREATE"), epcisEvent("1234567892", "ADD"))
	for _, header := range [][]string{nil, {"GS1-Capture-Error-Behaviour", "rollback"}} {
		a := ask(http.MethodPost, captures, mixed, header...)
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
		require.Equal(t, "epcisException:ValidationException", a.Type)
		require.Len(t, a.Errors, 1, "the others are not at fault")
		require.Equal(t, "/epcisBody/eventList/1/action", a.Errors[0].Field)
		require.Equal(t, 1, *a.Errors[0].Index)
		require.Contains(t, a.Errors[0].Message, "OBSERVE, ADD, DELETE")
		require.Empty(t, p.got)
		require.Equal(t, []string{"0", "3"}, []string{a.header.Get("X-Rastro-Accepted"), a.header.Get("X-Rastro-Rejected")})
		job := p.job(ask(http.MethodGet, a.header.Get("Location"), ""))
		require.Equal(t, []any{false, "rollback", 0, 3}, []any{job.Success, job.CaptureErrorBehaviour, job.Accepted, job.Rejected})
		require.Equal(t, "/epcisBody/eventList/1/action", job.Errors[0].Pointer)
	}
	a := ask(http.MethodPost, captures, mixed, "GS1-Capture-Error-Behaviour", "proceed")
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Len(t, p.got, 2)
	job := p.job(ask(http.MethodGet, a.header.Get("Location"), ""))
	require.Equal(t, []any{false, "proceed", 2, 1}, []any{job.Success, job.CaptureErrorBehaviour, job.Accepted, job.Rejected})
	require.Equal(t, []any{"/epcisBody/eventList/1/action", "enum", 1}, []any{job.Errors[0].Pointer, job.Errors[0].Code, job.Errors[0].Position})

	a = ask(http.MethodPost, captures, mixed, "GS1-Capture-Error-Behaviour", "guess")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.Detail, "proceed")
	require.Len(t, p.got, 2)

	// What the tenant's rules refuse counts as what is wrong.
	tenant := p.tenants["talma-pe"]
	tenant.EventTypes = []string{"receiving"}
	p.tenants["talma-pe"] = tenant
	p.shared.pass(time.Minute)
	a = ask(http.MethodPost, captures, epcisDocument(strings.Replace(epcisEvent("1", "ADD"), "shipping", "receiving", 1), epcisEvent("1234567893", "ADD")))
	require.Equal(t, http.StatusBadRequest, a.status, a.body)
	require.Equal(t, "event_type", a.Errors[0].Field)
	require.Len(t, p.got, 2)
}

// Every document of the samples that is wrong is refused with a pointer into it, and every other one taken.
func TestSamplesAreCaptured(t *testing.T) {
	t.Parallel()
	_, p, ask := capturing(t)
	files, err := filepath.Glob("../../tracking/formats/epcis/testdata/*/*.json")
	require.NoError(t, err)
	wrong := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		before := len(p.got)
		a := ask(http.MethodPost, captures, string(body))
		p.shared.pass(time.Minute)
		if filepath.Base(filepath.Dir(file)) != "invalid" {
			require.Equal(t, http.StatusAccepted, a.status, "%s: %s", file, a.body)
			require.Greater(t, len(p.got), before)
			continue
		}
		wrong++
		require.Equal(t, http.StatusBadRequest, a.status, file)
		require.NotEmpty(t, a.Errors, file)
		require.Regexp(t, `^/`, a.Errors[0].Field, file)
		require.Len(t, p.got, before)
	}
	require.Greater(t, wrong, 3)
}

func TestDocumentsThatCannotBeCaptured(t *testing.T) {
	t.Parallel()
	s, p, ask := capturing(t)
	good := epcisDocument(epcisEvent("1", "ADD"))
	for name, tt := range map[string]struct {
		body   string
		header []string
		status int
		kind   string
	}{
		"no JSON":            {"<epcis/>", nil, http.StatusBadRequest, "epcisException:ValidationException"},
		"XML":                {"<epcis/>", []string{"Content-Type", "application/xml"}, http.StatusUnsupportedMediaType, "epcisException:UnsupportedMediaTypeException"},
		"another version":    {good, []string{"GS1-EPCIS-Version", "1.2"}, http.StatusNotAcceptable, "epcisException:NotAcceptableException"},
		"another vocabulary": {good, []string{"GS1-CBV-Version", "3.0"}, http.StatusNotAcceptable, "epcisException:NotAcceptableException"},
		"too large":          {good + strings.Repeat(" ", 64<<10), nil, http.StatusRequestEntityTooLarge, "epcisException:CaptureLimitExceededException"},
	} {
		a := ask(http.MethodPost, captures, tt.body, tt.header...)
		require.Equal(t, tt.status, a.status, "%s: %s", name, a.body)
		require.Equal(t, tt.kind, a.Type, name)
		require.NotEmpty(t, a.Detail, name)
		if tt.status == http.StatusRequestEntityTooLarge {
			require.Equal(t, "65536", a.header.Get("GS1-EPCIS-Capture-File-Size-Limit"))
		}
	}
	a := ask(http.MethodPost, captures, strings.Replace(good, `"schemaVersion":"2.0",`, "", 1))
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "/schemaVersion", a.Errors[0].Field)

	var many []string
	for i := range 3 {
		many = append(many, epcisEvent(fmt.Sprint(i), "ADD"))
	}
	_, key := s.credential(store.CredentialAPIKey, "few-epcis", "")
	few := "/api/v1/carriers/few-epcis/capture"
	a = p.ask(http.MethodPost, few, epcisDocument(many...), "X-API-Key", key)
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status, a.body)
	require.Equal(t, []string{"2", "3000"}, []string{a.header.Get("GS1-EPCIS-Capture-Limit"), a.header.Get("GS1-EPCIS-Capture-File-Size-Limit")})
	require.Equal(t, http.StatusForbidden, p.ask(http.MethodPost, captures, good, "X-API-Key", key).status, "a key opens its carrier's address")

	_, native := s.credential(store.CredentialAPIKey, "demo-native", "")
	a = p.ask(http.MethodPost, "/api/v1/carriers/demo-native/capture", good, "X-API-Key", native)
	require.Equal(t, http.StatusNotFound, a.status)
	require.Contains(t, a.Detail, "sends native")
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodPost, captures, good).status)
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodGet, captures, "").status)
	require.Empty(t, p.got)
}

// Documents that are refused count as other bodies do: a carrier that captures nothing else is not read for a while.
func TestRefusedDocumentsCountAgainstTheCarrier(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body   string
		header []string
		status int
	}{
		"cannot be read":   {"<epcis/>", nil, http.StatusBadRequest},
		"all taken back":   {epcisDocument(epcisEvent("1", "ADD"), epcisEvent("2", "CREATE")), nil, http.StatusBadRequest},
		"nothing is right": {epcisDocument(epcisEvent("1", "CREATE")), []string{"GS1-Capture-Error-Behaviour", "proceed"}, http.StatusAccepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, client("erp"))
			send := func(body string, header ...string) answer {
				return e.postTo("/api/v1/capture", "application/ld+json", body, header...)
			}
			for range 19 {
				require.Equal(t, tt.status, send(tt.body, tt.header...).status)
			}
			require.Equal(t, http.StatusAccepted, send(epcisDocument(epcisEvent("1", "ADD"))).status, "which begins anew")
			for range 20 {
				require.Equal(t, tt.status, send(tt.body, tt.header...).status)
			}
			a := send(epcisDocument(epcisEvent("1", "ADD")))
			require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
			require.Equal(t, "/problems/carrier-paused", a.Type)
			require.Equal(t, "5", a.header.Get("Retry-After"))
			require.Equal(t, "/problems/carrier-paused", e.postTo(address("own-epcis"), "application/ld+json", tt.body).Type, "it is the carrier's, wherever it sends")
			require.Equal(t, http.StatusAccepted, newEdge(t, client("bhs-lim")).postTo(captures, "application/ld+json", epcisDocument(epcisEvent("1", "ADD"))).status)
		})
	}
}

func TestWhatTheCaptureInterfaceTakes(t *testing.T) {
	t.Parallel()
	_, p, ask := capturing(t)
	a := ask(http.MethodOptions, captures, "")
	require.Equal(t, http.StatusNoContent, a.status, a.body)
	for name, value := range map[string]string{
		"Allow": "OPTIONS, POST, GET", "GS1-EPCIS-Version": "2.0", "GS1-EPCIS-Min": "2.0", "GS1-EPCIS-Max": "2.0", "GS1-CBV-Version": "2.0", "GS1-CBV-Min": "2.0",
		"GS1-CBV-Max": "2.0", "GS1-EPCIS-Capture-Limit": "10000", "GS1-EPCIS-Capture-File-Size-Limit": "65536", "GS1-Capture-Error-Behaviour": "all",
		"GS1-EPC-Format": "No_Preference",
	} {
		require.Equal(t, value, a.header.Get(name), name)
	}
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodOptions, captures, "").status)
}

var nextPage = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

func TestJobsAreListedByPages(t *testing.T) {
	t.Parallel()
	_, p, ask := capturing(t)
	sent := map[string]bool{}
	for i := range 7 {
		sent[p.job(ask(http.MethodPost, captures, epcisDocument(epcisEvent(fmt.Sprint(i), "ADD")))).CaptureID] = true
	}
	pages := 0
	for next := captures + "?perPage=3"; next != ""; pages++ {
		a := ask(http.MethodGet, next, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		var jobs []ingest.CaptureJob
		require.NoError(t, json.Unmarshal([]byte(a.body), &jobs))
		for _, job := range jobs {
			require.True(t, sent[job.CaptureID], "each once")
			delete(sent, job.CaptureID)
		}
		next = ""
		if link := nextPage.FindStringSubmatch(a.header.Get("Link")); link != nil {
			next = link[1]
			require.Len(t, jobs, 3)
		}
	}
	require.Empty(t, sent)
	require.Equal(t, 3, pages)
	for _, query := range []string{"perPage=0", "perPage=x", "nextPageToken=x", "nextPageToken=MQ", "nextPageToken=LTEgeA"} {
		a := ask(http.MethodGet, captures+"?"+query, "")
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.NotEmpty(t, a.Errors)
	}
}

// While the database is away documents are taken as ever; what became of them is remembered, and written when it is back.
func TestCapturingWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s, p, ask := capturing(t)
	require.Equal(t, http.StatusAccepted, ask(http.MethodPost, captures, epcisDocument(epcisEvent("1", "ADD"))).status)
	s.away.Store(true)
	var locations []string
	for i := range 3 {
		a := ask(http.MethodPost, captures, epcisDocument(epcisEvent(fmt.Sprint(i), "OBSERVE")))
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		locations = append(locations, a.header.Get("Location"))
	}
	require.Len(t, p.got, 4)
	for _, location := range locations {
		require.Equal(t, http.StatusOK, ask(http.MethodGet, location, "").status, "this process remembers")
	}
	a := ask(http.MethodGet, captures+"/"+uuid.NewString(), "")
	require.Equal(t, http.StatusServiceUnavailable, a.status, "nobody knows whether there is such a job")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	s.away.Store(false)
	p.stop() // which writes what is left
	for _, location := range locations {
		id := uuid.MustParse(location[strings.LastIndex(location, "/")+1:])
		job, err := s.Store.Capture(t.Context(), "talma-pe", "demo-epcis", id)
		require.NoError(t, err)
		require.Equal(t, 1, job.Accepted)
	}
}

// What the broker has not stored is not acknowledged, and makes no job.
func TestNothingIsCapturedThatTheBrokerHasNot(t *testing.T) {
	t.Parallel()
	s, p, ask := capturing(t)
	p.broker = func([]*tracking.Event) error { return errAway }
	a := ask(http.MethodPost, captures, epcisDocument(epcisEvent("1", "ADD")))
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	jobs, err := s.Captures(t.Context(), "talma-pe", "demo-epcis", nil, 10)
	require.NoError(t, err)
	require.Empty(t, jobs)
}

// A signed message that is sent again has the job that it had.
func TestASignedDocumentIsCapturedOnce(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	one, two := s.process(), s.process()
	c, secret := s.credential(store.CredentialHMAC, "demo-epcis", "")
	body := epcisDocument(epcisEvent("1", "ADD"))
	first := one.ask(http.MethodPost, captures, body, s.sign(c, secret, "m1", body, 0)...)
	require.Equal(t, http.StatusAccepted, first.status, first.body)
	again := two.ask(http.MethodPost, captures, body, s.sign(c, secret, "m1", body, 0)...)
	require.Equal(t, http.StatusAccepted, again.status, again.body)
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, first.body, again.body)
	require.Len(t, one.got, 1)
	require.Empty(t, two.got)
	for range 2 { // which changes nothing
		got := two.ask(http.MethodGet, first.header.Get("Location"), "", s.sign(c, secret, "m2", "", 0)...)
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	require.Equal(t, http.StatusUnauthorized, two.ask(http.MethodGet, first.header.Get("Location"), "", s.sign(c, secret, "m3", "other", 0)...).status)
	require.Equal(t, http.StatusNoContent, two.ask(http.MethodOptions, captures, "", s.sign(c, secret, "m4", "", 0)...).status)

	bad := epcisDocument(epcisEvent("1", "ADD"), epcisEvent("2", "x"))
	for range 2 { // is tried anew each time, and has one job
		a := one.ask(http.MethodPost, captures, bad, s.sign(c, secret, "m5", bad, 0)...)
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
	}
	jobs, err := s.Captures(t.Context(), "talma-pe", "demo-epcis", nil, 10)
	require.NoError(t, err)
	require.Len(t, jobs, 2)
}

// One event by itself, at the address of events, is answered as the standard has it: 201, and where it is.
func TestASingleEventOfEPCIS(t *testing.T) {
	t.Parallel()
	e := newEdge(t, carrier())
	single := `{"@context":"https://ref.gs1.org/standards/epcis/epcis-context.jsonld",` + epcisEvent("1", "ADD")[1:]
	a := e.postTo(address("demo-epcis"), "application/ld+json", single)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	require.Equal(t, "/api/v1/events/"+e.got[0].UID.String(), a.header.Get("Location"))
	require.Equal(t, 1, a.Accepted)
	a = e.postTo(address("demo-epcis"), "application/ld+json", epcisDocument(epcisEvent("1", "ADD")))
	require.Equal(t, http.StatusAccepted, a.status)
	require.Empty(t, a.header.Get("Location"))
	require.Equal(t, http.StatusUnprocessableEntity, e.postTo(address("demo-epcis"), "application/ld+json", strings.Replace(single, "ADD", "x", 1)).status)
}
