package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// newExampleStand is a whole system in which the things are that the examples of the API's document name.
func newExampleStand(t *testing.T) *attackStand {
	t.Helper()
	s := newStand(t)
	s.attacker = s.party("talma-pe", tenantRoles()...)
	uid := uuid.MustParse("0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f")
	at := time.Date(2026, 6, 20, 12, 30, 0, 0, time.UTC)
	event := &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: "1", CorrelationID: "0045123456", AggregateID: "0045123456", Kind: tracking.Baggage,
		Type: "loaded", Classifier: tracking.Actual, OccurredAt: at.Add(-time.Hour), ReceivedAt: at.Add(-50 * time.Minute), Payload: json.RawMessage(`{"location":"LIM"}`),
		Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
		Personal:   &tracking.Personal{Subject: "C-20817", Data: json.RawMessage(`{"name":"Quispe"}`)},
	}
	unmapped := event.Clone()
	unmapped.UID, unmapped.Source, unmapped.EventID, unmapped.CorrelationID, unmapped.Type = uuid.MustParse("0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e10"), "demo-native", "2", "0045123457", "ZZ9"
	unmapped.Enrichment.Milestone, unmapped.Personal = tracking.Unknown, nil
	unmapped.Payload = json.RawMessage(`{"description":"Arrived at the belt"}`)
	results, err := s.db.Persist(t.Context(), []*tracking.Event{event, unmapped})
	require.NoError(t, err)
	require.True(t, results[0].Inserted)
	require.True(t, results[1].Inserted)
	event.Personal = nil
	body, err := json.Marshal(event)
	require.NoError(t, err)
	for _, sql := range []string{
		`INSERT INTO dead_letters (id, uid, tenant_id, pipeline, stage, code, message, field, source, event_type, correlation_id, attempts, event, trace_id, at)
VALUES ('0197a6f0-1c2b-7c3d-8e4f-000000000001', $1, 'talma-pe', 'tracking', 'validate', 'schema', 'location is missing', '/payload/location', 'LA-baggage', 'loaded', '0045123456', 1, $2, '', now())`,
		`INSERT INTO dead_letter_jobs (id, tenant_id, action, filter, reason, rate, who, state, total, started_at, finished_at)
SELECT '0197a6f0-1c2b-7c3d-8e4f-000000000002', 'talma-pe', 'redrive', '{}', 'mended', 100, 'rosa', 'done', 0, now(), now() WHERE $1::uuid IS NOT NULL AND $2::bytea IS NOT NULL`,
		`INSERT INTO code_jobs (id, tenant_id, carrier, code, sources, action, milestone, exception, reason, who, finished_at, state, total, done, traces, changed, after_uid, upto_uid)
SELECT '0197a6f0-1c2b-7c3d-8e4f-000000000002', 'talma-pe', 'demo-native', 'ZZ9', '{demo-native}', 'apply', 'arrived', '', 'their list of 12 May', 'rosa', now(), 'done',
    1, 1, 1, 1, $1, $1 WHERE $2::bytea IS NOT NULL`,
		`INSERT INTO stage_samples (tenant_id, pipeline, stage, at, uid, correlation_id, source, event_type, outcome, code, message, attempt, batch, took, before, after)
SELECT 'talma-pe', 'tracking', 'enrich', now(), $1::uuid, '0045123456', 'LA-baggage', 'loaded', 'pass', '', '', 1, 32, 1250, convert_from($2::bytea, 'UTF8'), ''`,
	} {
		_, err = s.sql.Exec(t.Context(), sql, uid, body)
		require.NoError(t, err)
	}
	now := time.Now().UTC()
	require.NoError(t, s.db.PutAlerts(t.Context(), now, []store.AlertState{{
		TenantID: "talma-pe", ID: "carrier-silent:LA-baggage", Kind: "carrier-silent", Subject: store.AlertSubject{Source: "LA-baggage"},
		Severity: store.AlertWarning, Value: 2_520_000, Threshold: 600_000, Since: now.Add(-42 * time.Minute), FiredAt: &now, SeenAt: now,
	}}, nil))
	require.NoError(t, s.db.SaveCaptures(t.Context(), []store.Capture{{
		TenantID: "talma-pe", ID: uuid.MustParse("0197a6f0-1c2b-7c3d-8e4f-000000000003"), Carrier: "demo-epcis", CreatedAt: at, FinishedAt: at, Behaviour: "rollback",
		Accepted: 1, Errors: json.RawMessage("[]"),
	}}))
	return s
}

// updateAnswers has the examples of answers written anew, of what is answered.
const updateAnswers = "RASTRO_UPDATE_ANSWERS"

// Every example of the API's document is asked for, of a running system, and every answer is as the document says.
func TestEveryExampleOfTheAPIWorks(t *testing.T) {
	t.Parallel()
	s := newExampleStand(t)
	asked, answers := 0, map[string]json.RawMessage{}
	operations := s.document.operations()
	slices.SortStableFunc(operations, func(a, b apiOperation) int { return cmp.Compare(a.method, b.method) }) // what changes things comes last
	for _, o := range operations {
		schemas := map[string]*jsonschema.Schema{}
		for status, r := range o.Responses {
			for media, content := range r.Content {
				schemas[status+" "+media] = s.document.schema(t, content.Schema)
				for name, example := range content.all() {
					require.NoError(t, schemas[status+" "+media].Validate(example), "%s: %s of %s", o.OperationID, name, status)
				}
			}
		}
		for _, r := range s.examples(o) {
			if r.method != http.MethodGet {
				s.reopen()
			}
			as := s.attacker
			if operationsUnderAttack[o.OperationID].everybodys {
				as = s.party(s.attacker.tenant, append(tenantRoles(), roleTenantsAll)...)
			}
			got := s.send(as, r)
			asked++
			if !assert.Less(t, got.status, 300, "%s: %s", r, got.body) {
				continue
			}
			if got.status == http.StatusNoContent {
				assert.Empty(t, got.body, r)
				assert.Contains(t, o.Responses, "204", r)
				continue
			}
			media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
			schema := schemas[fmt.Sprint(got.status, " ", media)]
			if !assert.NotNil(t, schema, "%s is answered %d as %s, of which the document says nothing", r, got.status, media) {
				continue
			}
			var answer any = got.body
			if media == "application/json" {
				var err error
				answer, err = jsonschema.UnmarshalJSON(strings.NewReader(got.body))
				require.NoError(t, err, r)
				if answers[o.OperationID] == nil {
					answers[o.OperationID] = json.RawMessage(got.body)
				}
			}
			assert.NoError(t, schema.Validate(answer), "%s\nis answered %.2000s", r, got.body)
		}
	}
	require.Greater(t, asked, 150)
	if os.Getenv(updateAnswers) != "" {
		text, err := json.MarshalIndent(answers, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("../api/reference/answers.json", append(text, '\n'), 0o600))
	}
}

// reopen waits until no job runs, and has the letters be as if nothing had been done with them.
func (s *attackStand) reopen() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.count("SELECT count(*) FROM dead_letter_jobs WHERE state = 'running'") == 0 }, 20*time.Second, 10*time.Millisecond)
	_, err := s.sql.Exec(s.t.Context(), "UPDATE dead_letters SET state = 'open'")
	require.NoError(s.t, err)
}

// all returns the examples of a body.
func (m apiMedia) all() map[string]any {
	all := map[string]any{}
	if m.Example != nil {
		all["the example"] = m.Example
	}
	for name, example := range m.Examples {
		all[name] = example.Value
	}
	return all
}

// examples returns the requests of an operation: with what must be there, with each other parameter's example besides, and with each
// example of a body; and what of these is asked for in each type that there is.
func (s *attackStand) examples(o apiOperation) (all []attackRequest) {
	base := attackRequest{method: o.method, path: o.path, query: url.Values{}, header: http.Header{}}
	for _, p := range o.Parameters {
		if p.Required {
			base = with(base, p, exampleText(p.example()))
		}
	}
	if _, base.stream = o.Responses["200"].Content["text/event-stream"]; base.stream {
		base.query["events"] = []string{"history", "trace"}
	}
	bases := []attackRequest{base}
	if o.RequestBody != nil {
		bases = nil
		for media, content := range o.RequestBody.Content {
			for _, example := range content.all() {
				r := base
				r.contentType, r.body = media, exampleText(example)
				if media != "application/x-ndjson" {
					text, _ := json.Marshal(example)
					r.body = string(text)
				}
				bases = append(bases, r)
			}
		}
	}
	all = append(all, bases...)
	for _, p := range o.Parameters {
		if example := p.example(); example != nil && !p.Required {
			for _, r := range bases {
				r = with(r, p, exampleText(example))
				if end, ranged := o.parameter("to"); ranged { // a range has both ends
					r = with(r, end, exampleText(end.example()))
				}
				if r.stream {
					r.query["events"] = []string{"history", "trace"}
				}
				all = append(all, r)
			}
		}
	}
	for media := range o.Responses["200"].Content {
		r := base
		r.header = http.Header{"Accept": {media}}
		if o.RequestBody == nil {
			all = append(all, r)
		}
	}
	return all
}

// exampleText writes an example as it stands in an address.
func exampleText(example any) string {
	switch e := example.(type) {
	case []any:
		if len(e) == 0 {
			return ""
		}
		words := make([]string, len(e))
		for i, one := range e {
			words[i] = exampleText(one)
		}
		return words[0]
	default:
		return fmt.Sprint(e)
	}
}

// newStand is a whole system in one process, with what reads of its database need.
func newStand(t *testing.T, prepare ...func(*attackStand)) *attackStand {
	t.Helper()
	s := &attackStand{
		environment: newEnvironmentOver(t, config.BrokerNATS), t: t, log: &attackLog{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 30 * time.Second},
	}
	t.Cleanup(s.client.CloseIdleConnections)
	s.process.Personal.Key = seal.NewMaster()
	s.process.Streams.Max, s.process.Streams.MaxTenant = 100_000, 100_000
	ring, err := seal.ParseRing(s.process.Personal.Key)
	require.NoError(t, err)
	s.db, err = store.Open(t.Context(), store.Config{URL: s.process.Database.URL, PersonalKeys: ring})
	require.NoError(t, err)
	t.Cleanup(s.db.Close)
	for _, prepare := range prepare {
		prepare(s)
	}
	s.start()
	return s
}
