package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// The victim's texts hold one of two marks, so that they are known wherever they turn up: those that an attacker may have got hold
// of, such as the number on a bag tag, and those that nobody else can know.
const (
	victimKnown  = "zq7known"
	victimSecret = "zq7secret"
)

// tenantRoles is all that a token can open of its own tenant's.
func tenantRoles() []string {
	return []string{roleEventsWrite, roleTracesRead, roleOpsRead, roleOpsWrite, rolePersonalRead, rolePersonalForget}
}

// party is a tenant of the attack with some of everything that the system holds.
type party struct {
	tenant string
	roles  []string
	issuer *issuer.Issuer
	mu     sync.Mutex
	token  string
	minted time.Time
	// names are what its things are called, by what the requests of operationsUnderAttack call them.
	names map[string]string
}

func (p *party) fill(template string) string {
	for name, value := range p.names {
		template = strings.ReplaceAll(template, "{"+name+"}", value)
	}
	return template
}

// attackStand is a whole system with a victim, an attacker with every role but tenants:all, and a tenant that has nothing.
type attackStand struct {
	*environment

	t                        *testing.T
	url                      string
	db                       *store.Store
	sql                      *pgx.Conn
	document                 apiDocument
	client                   *http.Client
	log                      *attackLog
	attacker, victim, nobody *party
	captures                 atomic.Int64 // documents that were tried
	// sender is another tenant of the attacker's, for what leaves traces: these are its own, whatever it calls them.
	sender *party

	mu       sync.Mutex
	failures []string
}

// attackLog keeps what a process logs.
type attackLog struct{ lockedBuffer }

// take returns what was written since it was called last.
func (b *attackLog) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

func newAttackStand(t *testing.T) *attackStand {
	t.Helper()
	s := newStand(t, (*attackStand).configureCarriers)
	s.attacker, s.sender = s.settle("talma-pe", "aa1known", "aa1secret"), s.settle("talma-ec", "aa2known", "aa2secret")
	s.victim, s.nobody = s.settle(victimKnown+"-tenant", victimKnown, victimSecret), s.party("talma-mx", tenantRoles()...)
	for _, p := range []*party{s.attacker, s.sender, s.victim} {
		s.learn(p)
	}
	return s
}

// configureCarriers gives each party a carrier of its own. What carriers are called is said in figures, by those who run the system.
func (s *attackStand) configureCarriers() {
	s.process.ConfigDir = s.t.TempDir()
	dir := filepath.Join(s.process.ConfigDir, "carriers")
	require.NoError(s.t, os.Mkdir(dir, 0o750))
	for _, tenant := range []string{"talma-pe", "talma-ec", victimKnown + "-tenant"} {
		file := fmt.Sprintf("carrier: %s\nsummary: One of %s's\ntenant: %s\nformat: native\n", carrierOf(tenant), tenant, tenant)
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, carrierOf(tenant)+".yaml"), []byte(file), 0o600))
		file = strings.NewReplacer(carrierOf(tenant), epcisCarrierOf(tenant), "native", "epcis").Replace(file) +
			"authentication: {oidc: {clients: [" + issuer.ServiceClientID + "]}}\n"
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, epcisCarrierOf(tenant)+".yaml"), []byte(file), 0o600))
	}
}

// carrierOf returns the carrier of a party.
func carrierOf(tenant string) string {
	return fmt.Sprintf("carrier-%d", len(tenant)*7+int(tenant[len(tenant)-1]))
}

// epcisCarrierOf returns the carrier of a party that sends EPCIS.
func epcisCarrierOf(tenant string) string { return carrierOf(tenant) + "2" }

// start runs the system.
func (s *attackStand) start() {
	t := s.t
	t.Helper()
	var err error
	s.sql, err = pgx.Connect(t.Context(), s.process.Database.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.sql.Close(context.Background()) })
	require.NoError(t, s.db.EnsurePartitions(t.Context(), time.Now()))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	app := newApp(options{}, surroundings{
		process: s.process, roles: allRoles(), logger: slog.New(slog.NewJSONHandler(s.log, nil)), listener: listener,
	})
	require.NoError(t, startApp(t.Context(), app))
	t.Cleanup(func() { require.NoError(t, stopApp(context.Background(), app)) })
	s.url = "http://" + listener.Addr().String()
	s.document = readDocument(t, s.url)
}

func (s *attackStand) party(tenant string, roles ...string) *party {
	s.t.Helper()
	return &party{tenant: tenant, roles: roles, issuer: s.issuer, names: map[string]string{"tenant": tenant}}
}

// bearer is what the party shows who it is with; a new token well before the one before it ends, however long everything takes.
func (p *party) bearer(t *testing.T) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token == "" || time.Since(p.minted) > time.Minute {
		token, err := p.issuer.Mint(t.Context(), issuer.ServiceClientID, p.tenant, p.roles...)
		require.NoError(t, err)
		p.token, p.minted = token, time.Now()
	}
	return "Bearer " + p.token
}

// settle gives a tenant some of everything, over the whole system where that is how it comes to be.
func (s *attackStand) settle(tenant, known, secret string) *party {
	t := s.t
	t.Helper()
	p := s.party(tenant, tenantRoles()...)
	actor := store.Actor{Subject: secret + " subject", Name: secret + " name", Client: secret + " client"}
	_, err := s.db.ChangeTenants(t.Context(), []store.Tenant{{
		ID: tenant, Name: secret + " tenant", Active: true, Preferences: json.RawMessage(`{"language":"` + secret + `"}`),
	}}, actor)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"trace": known + "-trace", "thing": known + "-thing", "source": known + "-source", "event": known + "-event",
		"type": known + "-type", "dead": known + "-dead", "subject": known + "-subject", "known": known,
		"carrier": carrierOf(tenant), "epcis-carrier": epcisCarrierOf(tenant), "capture": uuid.NewString(),
	} {
		p.names[name] = value
	}
	const event = `{"correlation_id":"%s","aggregate_id":"%s","event_type":"%s","source":"%s","event_id":"%s","timestamp":"%s","payload":{"location":"LIM","flight":"LA2047","note":"%s"}}`
	send := func(correlation, aggregate, kind, id, at string) {
		body := fmt.Sprintf(event, correlation, aggregate, kind, p.names["source"], id, at, secret+" payload")
		got := s.send(p, attackRequest{method: http.MethodPost, path: "/api/v1/events", body: body, contentType: "application/json"})
		require.Equal(t, http.StatusAccepted, got.status, got.body)
	}
	send(p.names["trace"], p.names["thing"], "loaded", p.names["event"], "2026-06-20T22:55:01-05:00")
	send(p.names["trace"], p.names["thing"], "loaded", p.names["event"], "2026-06-20T22:55:01-05:00") // a copy
	send(p.names["trace"], p.names["thing"], p.names["type"], known+"-event-2", "2026-06-20T23:55:01-05:00")
	send(secret+"-trace", secret+"-thing", secret+"-type", secret+"-event", "2026-06-21T10:00:00-05:00")
	send(p.names["dead"], p.names["thing"], "loaded", known+"-event-3", time.Now().Add(48*time.Hour).Format(time.RFC3339))
	now := time.Now().UTC()
	require.NoError(t, s.db.SaveCaptures(t.Context(), []store.Capture{{
		TenantID: tenant, ID: uuid.MustParse(p.names["capture"]), Carrier: p.names["epcis-carrier"], CreatedAt: now, FinishedAt: now, Behaviour: "proceed",
		Accepted: 1, Rejected: 1, Errors: json.RawMessage(`[{"type":"epcisException:ValidationException","detail":"` + secret + ` fault","eventID":"` + p.names["event"] + `"}]`),
	}}))
	s.settlePersonal(p, secret)
	s.settleAlert(p, secret, actor)
	s.settleLetters(p, secret, actor)
	require.NoError(t, s.db.CreateCredential(t.Context(), store.Credential{
		ID: uuid.New(), TenantID: tenant, Kind: store.CredentialAPIKey, Name: secret + " credential", Source: p.names["source"],
		Roles: []string{roleEventsWrite},
	}, store.CredentialSecret{ID: uuid.New(), Prefix: secret, Hash: []byte(uuid.NewString())}, actor))
	return p
}

func (s *attackStand) settlePersonal(p *party, secret string) {
	s.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	uid := uuid.Must(uuid.NewV7())
	results, err := s.db.Persist(s.t.Context(), []*tracking.Event{{
		UID: uid, TenantID: p.tenant, Source: p.names["source"], EventID: uid.String(), CorrelationID: p.names["trace"] + "-person",
		AggregateID: p.names["thing"] + "-person", Type: "loaded", Classifier: tracking.Actual, OccurredAt: now, ReceivedAt: now,
		Payload:  json.RawMessage(`{"note":"` + secret + `"}`),
		Personal: &tracking.Personal{Subject: p.names["subject"], Data: json.RawMessage(`{"name":"` + secret + ` person"}`)},
	}})
	require.NoError(s.t, err)
	require.True(s.t, results[0].Inserted)
	p.names["personal"] = uid.String()
}

// settleAlert has a carrier of a party be silent, and somebody who knows of it: what it is called is not to be told to others.
func (s *attackStand) settleAlert(p *party, secret string, actor store.Actor) {
	s.t.Helper()
	now := time.Now().UTC()
	p.names["alert"] = "carrier-silent:" + p.names["source"]
	require.NoError(s.t, s.db.PutAlerts(s.t.Context(), now, []store.AlertState{{
		TenantID: p.tenant, ID: p.names["alert"], Kind: "carrier-silent", Subject: store.AlertSubject{Source: p.names["source"]},
		Severity: store.AlertWarning, Value: 2, Threshold: 1, Since: now, FiredAt: &now, SeenAt: now,
	}}, nil))
	_, err := s.db.SilenceAlert(s.t.Context(), store.AlertSilence{
		TenantID: p.tenant, AlertID: p.names["alert"], At: now, Until: now.Add(time.Hour), Reason: secret + " silence",
	}, actor)
	require.NoError(s.t, err)
}

func (s *attackStand) settleLetters(p *party, secret string, actor store.Actor) {
	s.t.Helper()
	letters := make([]store.DeadLetter, 3)
	for i := range letters {
		letters[i] = store.DeadLetter{
			UID: uuid.Must(uuid.NewV7()), TenantID: p.tenant, Pipeline: "tracking", Stage: "validate", Code: p.names["known"] + "-reason", Message: secret + " message",
			Field: "/" + secret, Source: p.names["source"], EventType: p.names["type"], CorrelationID: p.names["dead"], Attempts: 1,
			Event: json.RawMessage(`{"note":"` + secret + ` letter"}`), TraceID: secret, At: time.Now().UTC().Add(-time.Duration(i) * time.Minute),
		}
	}
	p.names["reason"] = letters[0].Code
	require.NoError(s.t, s.db.AddDeadLetters(s.t.Context(), letters))
	job, err := s.db.StartLetterJob(s.t.Context(), store.NewLetterJob{
		TenantID: p.tenant, Action: store.LetterDiscard, Filter: store.LetterFilter{UIDs: []uuid.UUID{letters[2].UID}}, Reason: secret + " reason", Rate: 100, By: actor,
	})
	require.NoError(s.t, err)
	p.names["job"] = job.ID.String()
	p.names["letter-uid"] = letters[0].UID.String()
}

// learn waits until all of it is there, and finds out what the system calls the party's things.
func (s *attackStand) learn(p *party) {
	t := s.t
	t.Helper()
	get := func(path string, into any) (answer attackAnswer) {
		require.Eventually(t, func() bool {
			answer = s.send(p, attackRequest{method: http.MethodGet, path: path})
			return answer.status == http.StatusOK
		}, 30*time.Second, 20*time.Millisecond, path)
		require.NoError(t, json.Unmarshal([]byte(answer.body), into), answer.body)
		return answer
	}
	var balance struct{ Settled bool }
	require.Eventually(t, func() bool {
		var trace struct{ Events []any }
		get("/api/v1/trace/"+p.names["trace"], &trace)
		get("/api/v1/stats/balance", &balance)
		var jobs struct{ Items []struct{ State string } }
		get("/api/v1/dead-letters/jobs", &jobs)
		var carriers struct{ Items []struct{ Stored int } }
		get("/api/v1/carriers", &carriers)
		return balance.Settled && len(trace.Events) == 2 && jobs.Items[0].State == "done" && len(carriers.Items) > 0 && carriers.Items[0].Stored > 2
	}, 30*time.Second, 50*time.Millisecond)
	code, err := s.db.DecideCode(t.Context(), store.CodeDecision{
		TenantID: p.tenant, Carrier: p.names["source"], Sources: []string{p.names["source"]}, Code: p.names["type"],
		Meaning: tracking.Meaning{Milestone: tracking.Loaded}, Reason: p.names["known"] + " code",
	})
	require.NoError(t, err)
	p.names["code-job"] = code.ID.String()
	require.Eventually(t, func() bool {
		var job store.CodeJob
		get("/api/v1/carriers/unmapped/jobs/"+code.ID.String(), &job)
		return job.State == "done"
	}, 30*time.Second, 50*time.Millisecond)
	var trace struct {
		Events []struct{ UID string }
	}
	p.names["etag"] = get("/api/v1/trace/"+p.names["trace"], &trace).header.Get("ETag")
	p.names["uid"] = trace.Events[0].UID
	p.names["list-etag"] = get("/api/v1/traces", &struct{}{}).header.Get("ETag")
	var duplicates struct {
		Duplicates []struct{ UID string }
	}
	get("/api/v1/duplicates", &duplicates)
	p.names["copy"] = duplicates.Duplicates[0].UID
	for name, path := range map[string]string{
		"traces-cursor": "traces?limit=1", "events-cursor": "events?limit=1", "letters-cursor": "dead-letters?limit=1",
	} {
		var page struct {
			Items []struct {
				ID string
			}
			NextCursor string `json:"next_cursor"`
		}
		get("/api/v1/"+path, &page)
		require.NotEmpty(t, page.NextCursor, path)
		p.names[name] = page.NextCursor
		if name == "letters-cursor" {
			p.names["letter"] = page.Items[0].ID
		}
	}
}

// attackRequest is a request as it is put together.
type attackRequest struct {
	method, path      string // the path is escaped
	query             url.Values
	header            http.Header
	body, contentType string
	stream            bool // the answer goes on until the client leaves
	leaves            bool // traces
}

type attackAnswer struct {
	status int
	header http.Header
	body   string
}

// sent returns all that a request says, as it says it and as it means it.
func (r attackRequest) sent() string {
	parts := []string{r.path, r.query.Encode(), r.body}
	if path, err := url.PathUnescape(r.path); err == nil {
		parts = append(parts, path)
	}
	for name, values := range r.query {
		parts = append(parts, name)
		parts = append(parts, values...)
	}
	for _, values := range r.header {
		parts = append(parts, values...)
	}
	return strings.ToLower(strings.Join(parts, "\n"))
}

func (r attackRequest) String() string {
	text := r.method + " " + r.path
	if len(r.query) > 0 {
		text += "?" + r.query.Encode()
	}
	return fmt.Sprintf("%.400s %v %.300s", text, r.header, r.body)
}

func (s *attackStand) send(as *party, r attackRequest) attackAnswer {
	s.t.Helper()
	address := s.url + r.path
	if len(r.query) > 0 {
		separator := "?"
		if strings.Contains(r.path, "?") {
			separator = "&"
		}
		address += separator + r.query.Encode()
	}
	request, err := http.NewRequestWithContext(s.t.Context(), r.method, address, strings.NewReader(r.body))
	require.NoError(s.t, err)
	for name, values := range r.header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", as.bearer(s.t))
	if r.contentType != "" {
		request.Header.Set("Content-Type", r.contentType)
	}
	response, err := s.client.Do(request)
	require.NoError(s.t, err, r)
	defer func() { _ = response.Body.Close() }()
	answer := attackAnswer{status: response.StatusCode, header: response.Header}
	if r.stream && response.StatusCode == http.StatusOK {
		var text strings.Builder
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), `data: {"points"`) {
				break
			}
		}
		answer.body = text.String()
		return answer
	}
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err, r)
	answer.body = string(body)
	return answer
}

var (
	markedText  = regexp.MustCompile(victimKnown + `[-a-z0-9]*`)
	encodedText = regexp.MustCompile(`[-_A-Za-z0-9+/]{12,}={0,2}`)
)

// leak says what an answer holds of the victim that the request did not, empty when there is nothing.
func (s *attackStand) leak(r attackRequest, answer attackAnswer) string {
	texts := []string{answer.body, fmt.Sprint(answer.header)}
	said := r.sent()
	for _, encoded := range encodedText.FindAllString(answer.body, -1) {
		half := strings.ToLower(encoded)
		if strings.Contains(said, half[:len(half)/2]) || strings.Contains(said, half[len(half)/2:]) {
			continue // an echo, if of something broken
		}
		for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.StdEncoding, base64.RawStdEncoding} {
			if plain, err := encoding.DecodeString(encoded); err == nil {
				texts = append(texts, string(plain))
			}
		}
	}
	plain := func(text string) string {
		return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(text))
	}
	sent := plain(said)
	for _, text := range texts {
		text = strings.ToLower(text)
		if at := strings.Index(text, victimSecret); at >= 0 {
			return "a secret: " + text[max(0, at-100):min(len(text), at+100)]
		}
		for _, found := range markedText.FindAllString(text, -1) {
			if !strings.Contains(sent, plain(found)) {
				return "what the request did not say: " + found
			}
		}
		for name, value := range s.victim.names {
			if _, err := uuid.Parse(value); err == nil && strings.Contains(text, value) && !strings.Contains(sent, plain(value)) {
				return "the id of the victim's " + name
			}
		}
	}
	return ""
}

// try sends a request as the attacker, and notes what is wrong with the answer: anything of the victim's, or an internal error.
func (s *attackStand) try(r attackRequest) attackAnswer {
	s.t.Helper()
	as := s.attacker
	if r.leaves {
		as = s.sender
	}
	if r.method == http.MethodPost && strings.HasSuffix(r.path, "/capture") && s.captures.Add(1)%8 == 0 {
		s.send(s.sender, attackRequest{ // or the carrier would not be read for a while, for all that is refused
			method: http.MethodPost, path: "/api/v1/capture", body: s.attacker.fill(sentDocument), contentType: "application/ld+json",
		})
	}
	answer := s.send(as, r)
	if found := s.leak(r, answer); found != "" {
		s.fail("%s\nis answered %d with %s", r, answer.status, found)
	}
	if answer.status >= http.StatusInternalServerError && !strings.Contains(answer.body, `"/problems/carrier-paused"`) {
		s.fail("%s\nis answered %d: %.300s", r, answer.status, answer.body)
	}
	if kind := answer.header.Get("Content-Type"); answer.status >= http.StatusBadRequest && kind != "application/problem+json" {
		s.fail("%s\nis answered %d as %s", r, answer.status, kind)
	}
	return answer
}

func (s *attackStand) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

// requireSafe requires that nothing was noted, and that the log tells nothing of the victim's secrets and of nothing that broke.
func (s *attackStand) requireSafe() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, failure := range s.failures[:min(20, len(s.failures))] {
		s.t.Error(failure)
	}
	require.Empty(s.t, len(s.failures), "answers that must not be")
	for line := range strings.Lines(s.log.take()) {
		require.NotContains(s.t, strings.ToLower(line), victimSecret)
		require.NotContains(s.t, line, `"level":"ERROR"`)
	}
}

// holdings returns a digest of every table's rows of the victim, but for figures that come and go by themselves.
func (s *attackStand) holdings() map[string]string {
	s.t.Helper()
	rows, err := s.sql.Query(s.t.Context(), `
SELECT c.relname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace`)
	require.NoError(s.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	passing := []string{"stage_stats", "stage_totals", "stage_times", "source_stats", "audit_seals", "trace_changes", "ledger_marks", "ledger_totals", "alerts"}
	held := map[string]string{}
	for _, table := range tables {
		var digest string
		var n int
		require.NoError(s.t, s.sql.QueryRow(s.t.Context(), "SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM "+
			pgx.Identifier{table}.Sanitize()+" t WHERE tenant_id = $1", s.victim.tenant).Scan(&n, &digest))
		if !slices.Contains(passing, table) {
			held[table] = fmt.Sprint(n, " ", digest)
		}
	}
	return held
}
