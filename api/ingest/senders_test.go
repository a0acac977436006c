package ingest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { os.Exit(databases.Around(m).Run()) }

// shared is what several ingest processes have in common: the database, and the clock.
type shared struct {
	*store.Store

	t      *testing.T
	vault  *auth.Vault
	ahead  atomic.Int64 // of the real clock
	away   atomic.Bool  // the database does not answer
	logs   *bytes.Buffer
	tenant string
}

var errAway = errors.New("database is away")

func (s *shared) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *shared) pass(d time.Duration) { s.ahead.Add(int64(d)) }

func (s *shared) Credentials(ctx context.Context, tenant string) ([]store.Credential, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Store.Credentials(ctx, tenant)
}

func (s *shared) ClaimWebhook(ctx context.Context, m store.WebhookMessage, hold, remember time.Duration) (store.WebhookClaim, error) {
	if s.away.Load() {
		return store.WebhookClaim{}, errAway
	}
	return s.Store.ClaimWebhook(ctx, m, hold, remember)
}

func (s *shared) SaveCaptures(ctx context.Context, captures []store.Capture) error {
	if s.away.Load() {
		return errAway
	}
	return s.Store.SaveCaptures(ctx, captures)
}

func (s *shared) Capture(ctx context.Context, tenant, carrier string, id uuid.UUID) (store.Capture, error) {
	if s.away.Load() {
		return store.Capture{}, errAway
	}
	return s.Store.Capture(ctx, tenant, carrier, id)
}

func newShared(t *testing.T) *shared {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: databases.URL(t)})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	require.NoError(t, db.AddTenants(t.Context(), []store.Tenant{{ID: "talma-pe", Active: true}, {ID: "talma-ec", Active: true}}))
	vault, err := auth.NewVault(strings.Repeat("0123", 8))
	require.NoError(t, err)
	return &shared{Store: db, t: t, vault: vault, logs: &bytes.Buffer{}, tenant: "talma-pe"}
}

// process is one ingest process.
type process struct {
	*edge
	shared   *shared
	registry *prometheus.Registry
	stop     func()
}

func (s *shared) process() *process {
	t := s.t
	t.Helper()
	e := &edge{t: t, counted: map[string]int64{}, tenants: map[string]store.Tenant{
		"talma-pe": {ID: "talma-pe", Active: true}, "talma-ec": {ID: "talma-ec", Active: true},
	}}
	p := &process{edge: e, shared: s, registry: prometheus.NewRegistry()}
	logger := slog.New(slog.NewTextHandler(s.logs, nil))
	senders, err := auth.NewSenders(auth.DefaultSendersConfig(), s, s.vault, logger, s.now)
	require.NoError(t, err)
	metrics, err := ingest.NewMetrics(p.registry)
	require.NoError(t, err)
	c := ingest.DefaultConfig()
	c.MaxBodyBytes, c.MaxInFlightBytes = 64<<10, 256<<10
	handler, err := ingest.New(c, ingest.Deps{
		Publisher: e, Tenants: ingest.NewTenants(e, 5*time.Second, s.now, logger), Recorder: e, Metrics: metrics, Logger: logger, Now: s.now,
		Carriers: carrierSet(t), Captures: s,
	})
	require.NoError(t, err)
	handler.Start()
	p.stop = sync.OnceFunc(func() { handler.Close(context.Background()) })
	t.Cleanup(p.stop)
	refusals := auth.NewRefusals(logger)
	require.NoError(t, refusals.Register(p.registry))
	verifier := auth.NewVerifier(auth.DefaultConfig("https://nowhere.invalid"), http.DefaultClient, logger)
	e.app = fiber.New(fiber.Config{ErrorHandler: problem.Handler(func(_ *fiber.Ctx, err error) { t.Errorf("internal error: %v", err) })})
	e.app.Use("/api/v1", auth.Gate{Verifier: verifier, Senders: senders, Refusals: refusals}.Handler())
	e.app.Get("/api/v1/me", whoAsks)
	handler.Register(e.app.Group("/api/v1"))
	return p
}

// whoAsks answers who is asking.
func whoAsks(c *fiber.Ctx) error {
	id, _ := auth.FromContext(c.UserContext())
	return c.JSON(id)
}

func (s *shared) credential(kind, carrier, source string) (store.Credential, string) {
	s.t.Helper()
	c := store.Credential{
		ID: uuid.Must(uuid.NewV7()), TenantID: s.tenant, Kind: kind, Name: "test", Carrier: carrier, Source: source,
		Roles: []string{auth.RoleEventsWrite},
	}
	secret, kept := s.mint(c)
	require.NoError(s.t, s.CreateCredential(s.t.Context(), c, kept, store.Actor{Subject: "tester"}))
	s.pass(time.Second) // beyond what unknown credentials provoke
	return c, secret
}

func (s *shared) mint(c store.Credential) (secret string, kept store.CredentialSecret) {
	s.t.Helper()
	var err error
	if c.Kind == store.CredentialAPIKey {
		secret, kept, err = auth.NewAPIKey()
	} else {
		secret, kept, err = s.vault.NewWebhookSecret(c.ID)
	}
	require.NoError(s.t, err)
	return secret, kept
}

// sign returns the headers of a signed message, as a sender makes them.
func (s *shared) sign(c store.Credential, secret, id, body string, off time.Duration) []string {
	s.t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(s.t, err)
	at := strconv.FormatInt(s.now().Add(off).Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	return []string{
		"webhook-id", id, "webhook-timestamp", at, "webhook-signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"X-Rastro-Credential", c.ID.String(),
	}
}

func (p *process) refused(reason string) float64 {
	p.t.Helper()
	families, err := p.registry.Gather()
	require.NoError(p.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "rastro_auth_refusals_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func event(id string) string { return strings.Replace(good, `{`, `{"event_id":"`+id+`",`, 1) }

func TestAPIKeysSendEventsAndOpenNothingElse(t *testing.T) {
	s := newShared(t)
	p := s.process()
	_, key := s.credential(store.CredentialAPIKey, "", "bhs-lim")
	for _, headers := range [][]string{{"X-API-Key", key}, {"Authorization", "Bearer " + key}} {
		require.Equal(t, http.StatusAccepted, p.post("application/json", event("1"), headers...).status)
	}
	require.Equal(t, "talma-pe", p.got[0].TenantID)
	require.Equal(t, "bhs-lim", p.got[0].Source, "the credential's source")
	other := p.post("application/json", strings.Replace(good, "{", `{"source":"another",`, 1), "X-API-Key", key)
	require.Equal(t, http.StatusUnprocessableEntity, other.status)
	require.Equal(t, "source", other.Results[0].Errors[0].Field)

	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/me", nil)
	request.Header.Set("X-Api-Key", key)
	response, err := p.app.Test(request, -1)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusForbidden, response.StatusCode)

	forged := key[:len(key)-1] + map[bool]string{true: "b", false: "a"}[key[len(key)-1] == 'a']
	require.Equal(t, http.StatusUnauthorized, p.post("application/json", good, "X-API-Key", forged).status)
	require.Equal(t, http.StatusUnauthorized, p.post("application/json", good, "X-API-Key", "rk_nonsense").status)
	require.InDelta(t, 2, p.refused("unknown_credential"), 0)
	require.NotContains(t, s.logs.String(), key[9:], "no key is logged")
	require.NotContains(t, s.logs.String(), forged[9:])
	require.Contains(t, s.logs.String(), "remote=")
	require.Len(t, p.got, 2)
}

func TestRotationRevocationAndExpiry(t *testing.T) {
	s := newShared(t)
	one, two := s.process(), s.process()
	c, first := s.credential(store.CredentialAPIKey, "", "")
	send := func(p *process, key string) int {
		return p.post("application/json", event(uuid.NewString()), "X-API-Key", key).status
	}
	require.Equal(t, http.StatusAccepted, send(one, first))
	require.Equal(t, http.StatusAccepted, send(two, first))
	second, kept := s.mint(c)
	_, err := s.RotateCredential(t.Context(), c.ID, kept, time.Hour, store.Actor{Subject: "tester"})
	require.NoError(t, err)
	s.pass(4 * time.Second)
	for _, key := range []string{first, second} {
		require.Equal(t, http.StatusAccepted, send(one, key))
	}
	third, kept := s.mint(c)
	_, err = s.RotateCredential(t.Context(), c.ID, kept, time.Hour, store.Actor{Subject: "tester"})
	require.NoError(t, err)
	s.pass(4 * time.Second)
	require.Equal(t, http.StatusUnauthorized, send(one, first), "no more than two live")
	require.Equal(t, http.StatusAccepted, send(one, second))
	require.Equal(t, http.StatusAccepted, send(one, third))
	s.pass(time.Hour)
	require.Equal(t, http.StatusUnauthorized, send(one, second), "its grace is over")

	_, err = s.RevokeCredential(t.Context(), c.ID, store.Actor{Subject: "tester"})
	require.NoError(t, err)
	s.pass(4 * time.Second)
	for _, p := range []*process{one, two} {
		a := p.post("application/json", good, "X-API-Key", third)
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.Contains(t, a.Type, "credential-revoked")
	}
	require.Contains(t, s.logs.String(), "credential="+c.ID.String())
	require.Contains(t, s.logs.String(), "tenant=talma-pe")
	_, err = s.RotateCredential(t.Context(), c.ID, kept, 0, store.Actor{})
	require.ErrorIs(t, err, store.ErrRevoked)

	entries, err := s.Audit(t.Context(), "talma-pe", 0, 10)
	require.NoError(t, err)
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action)
		require.NotContains(t, string(e.Filter), first[9:])
	}
	require.Equal(t, []string{"credentials.revoke", "credentials.rotate", "credentials.rotate", "credentials.create"}, actions)
}

func TestSignaturesAreChecked(t *testing.T) {
	s := newShared(t)
	p := s.process()
	c, secret := s.credential(store.CredentialHMAC, "latam", "")
	_, foreign := s.credential(store.CredentialHMAC, "avianca", "")
	body := event("1")
	post := func(body string, headers []string) answer { return p.post("application/json", body, headers...) }
	require.Equal(t, http.StatusAccepted, post(body, s.sign(c, secret, "m1", body, 0)).status)
	for name, tt := range map[string]struct {
		body    string
		headers []string
		kind    string
	}{
		"too old":       {body, s.sign(c, secret, "m2", body, -5*time.Minute-2*time.Second), "webhook-time"},
		"too new":       {body, s.sign(c, secret, "m2", body, 5*time.Minute+2*time.Second), "webhook-time"},
		"wrong secret":  {body, s.sign(c, foreign, "m2", body, 0), "credential-invalid"},
		"body changed":  {strings.Replace(body, "loaded", "loadeD", 1), s.sign(c, secret, "m2", body, 0), "credential-invalid"},
		"id changed":    {body, append(s.sign(c, secret, "m2", body, 0), "webhook-id", "m3"), "credential-invalid"},
		"time changed":  {body, append(s.sign(c, secret, "m2", body, 0), "webhook-timestamp", strconv.FormatInt(s.now().Unix()+7, 10)), "credential-invalid"},
		"no such one":   {body, append(s.sign(c, secret, "m2", body, 0), "X-Rastro-Credential", uuid.NewString()), "credential-invalid"},
		"none is named": {body, append(s.sign(c, secret, "m2", body, 0), "X-Rastro-Credential", ""), "credential-invalid"},
		"no signature":  {body, append(s.sign(c, secret, "m2", body, 0), "webhook-signature", "v1,"), "webhook-invalid"},
	} {
		a := post(tt.body, tt.headers)
		require.Equal(t, http.StatusUnauthorized, a.status, name)
		require.Equal(t, "/problems/"+tt.kind, a.Type, name)
		require.NotContains(t, s.logs.String(), strings.TrimPrefix(tt.headers[5], "v1,"), "no signature is logged")
	}
	require.Len(t, p.got, 1)

	second, kept := s.mint(c)
	_, err := s.RotateCredential(t.Context(), c.ID, kept, time.Hour, store.Actor{})
	require.NoError(t, err)
	s.pass(4 * time.Second)
	for id, one := range map[string]string{"m4": secret, "m5": second} {
		require.Equal(t, http.StatusAccepted, post(body, s.sign(c, one, id, body, 0)).status, "both secrets work")
	}
	s.pass(time.Hour)
	a := post(body, s.sign(c, secret, "m6", body, 0))
	require.Equal(t, "/problems/credential-revoked", a.Type)
	_, err = s.RevokeCredential(t.Context(), c.ID, store.Actor{})
	require.NoError(t, err)
	s.pass(4 * time.Second)
	require.Equal(t, "/problems/credential-revoked", post(body, s.sign(c, second, "m7", body, 0)).Type)
	require.NotContains(t, s.logs.String(), strings.TrimPrefix(secret, "whsec_"))
}

func TestAMessageIsTakenOnceByAllProcesses(t *testing.T) {
	s := newShared(t)
	one, two := s.process(), s.process()
	c, secret := s.credential(store.CredentialHMAC, "latam", "")
	body := event("1")

	one.broker = func([]*tracking.Event) error { return errors.New("broker is away") }
	failed := one.post("application/json", body, s.sign(c, secret, "m1", body, 0)...)
	require.Equal(t, http.StatusServiceUnavailable, failed.status)
	first := two.post("application/json", body, s.sign(c, secret, "m1", body, 0)...)
	require.Equal(t, http.StatusAccepted, first.status, "the first try failed, so another is as the first")
	one.broker = nil
	for _, p := range []*process{one, two, one} {
		a := p.post("application/json", body, s.sign(c, secret, "m1", body, 0)...)
		require.Equal(t, http.StatusAccepted, a.status)
		require.Equal(t, 1, a.Accepted)
		require.Empty(t, a.Results)
	}
	require.Empty(t, one.got)
	require.Len(t, two.got, 1, "taken once")
	changed := event("2")
	require.Equal(t, http.StatusConflict, one.post("application/json", changed, s.sign(c, secret, "m1", changed, 0)...).status)

	rejected := strings.Replace(good, "timestamp", "when", 1)
	for range 2 {
		require.Equal(t, http.StatusUnprocessableEntity, one.post("application/json", rejected, s.sign(c, secret, "m2", rejected, 0)...).status)
	}

	// While one process has it in hand, others say to come again.
	inside, finish := make(chan struct{}), make(chan struct{})
	one.broker = func([]*tracking.Event) error { close(inside); <-finish; return nil }
	done := make(chan int)
	go func() { done <- one.post("application/json", body, s.sign(c, secret, "m3", body, 0)...).status }()
	<-inside
	a := two.post("application/json", body, s.sign(c, secret, "m3", body, 0)...)
	close(finish)
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, http.StatusAccepted, <-done)
}

func TestWhileTheDatabaseIsAway(t *testing.T) {
	s := newShared(t)
	p := s.process()
	_, key := s.credential(store.CredentialAPIKey, "", "")
	c, secret := s.credential(store.CredentialHMAC, "latam", "")
	body := event("1")
	require.Equal(t, http.StatusAccepted, p.post("application/json", body, "X-API-Key", key).status)
	s.away.Store(true)
	s.pass(time.Minute)
	require.Equal(t, http.StatusAccepted, p.post("application/json", body, "X-API-Key", key).status)
	require.Equal(t, http.StatusAccepted, p.post("application/json", body, s.sign(c, secret, "m1", body, 0)...).status)
	again := p.post("application/json", body, s.sign(c, secret, "m1", body, 0)...)
	require.Equal(t, http.StatusAccepted, again.status)
	require.Empty(t, again.Results, "the process remembers by itself")
	unknown, _, err := auth.NewAPIKey()
	require.NoError(t, err)
	a := p.post("application/json", body, "X-API-Key", unknown)
	require.Equal(t, http.StatusServiceUnavailable, a.status, "nobody knows whether there is such a key")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	s.pass(time.Hour)
	require.Equal(t, http.StatusServiceUnavailable, p.post("application/json", body, "X-API-Key", key).status, "known for too long")
	s.away.Store(false)
	s.pass(2 * time.Second)
	require.Equal(t, http.StatusAccepted, p.post("application/json", body, "X-API-Key", key).status)
	require.Equal(t, http.StatusUnauthorized, p.post("application/json", body, "X-API-Key", unknown).status)
}

func TestACarriersAddressIsItsOwn(t *testing.T) {
	s := newShared(t)
	p := s.process()
	pe, secretPE := s.credential(store.CredentialHMAC, "latam", "")
	_, key := s.credential(store.CredentialAPIKey, "latam", "")
	s.tenant = "talma-ec"
	_, secretEC := s.credential(store.CredentialHMAC, "latam", "")
	body := event("1")
	post := func(carrier, secret string, named bool) answer {
		t.Helper()
		headers := s.sign(pe, secret, uuid.NewString(), body, 0)
		if !named {
			headers = headers[:len(headers)-2]
		}
		return p.postTo("/api/v1/carriers/"+carrier+"/events", "application/json", body, headers...)
	}
	for secret, tenant := range map[string]string{secretPE: "talma-pe", secretEC: "talma-ec"} {
		a := post("latam", secret, false)
		require.Equal(t, http.StatusAccepted, a.status, a)
		require.Equal(t, tenant, p.got[len(p.got)-1].TenantID, "the signature says whose it is")
		require.Equal(t, "latam", p.got[len(p.got)-1].Source)
	}
	require.Equal(t, http.StatusForbidden, post("avianca", secretPE, true).status)
	require.Equal(t, http.StatusUnauthorized, post("avianca", secretPE, false).status)
	require.Equal(t, http.StatusUnauthorized, post("nobody", secretPE, false).status)
	require.Len(t, p.got, 2)

	byKey := func(carrier string) answer {
		return p.postTo("/api/v1/carriers/"+carrier+"/events", "application/json", body, "X-API-Key", key)
	}
	require.Equal(t, http.StatusAccepted, byKey("latam").status)
	require.Equal(t, http.StatusForbidden, byKey("avianca").status)
}

// What a carrier's file does not take is refused, however good it is.
func TestACarrierTakesWhatItsFileSays(t *testing.T) {
	s := newShared(t)
	p := s.process()
	c, secret := s.credential(store.CredentialHMAC, "tokens", "")
	_, key := s.credential(store.CredentialAPIKey, "tokens", "")
	a := p.postTo("/api/v1/carriers/tokens/events", "application/json", event("1"), s.sign(c, secret, "m1", event("1"), 0)...)
	require.Equal(t, http.StatusForbidden, a.status)
	require.Equal(t, "/problems/authentication-not-taken", a.Type)
	a = p.postTo("/api/v1/carriers/tokens/events", "application/json", event("1"), "X-API-Key", key)
	require.Equal(t, "/problems/authentication-not-taken", a.Type)
	require.Contains(t, a.Detail, "an API key")

	for client, want := range map[string]int{"bhs-lim": http.StatusAccepted, "other": http.StatusForbidden} {
		e := newEdge(t, auth.Identity{Subject: "s", ClientID: client, TenantID: "talma-pe", Roles: []string{auth.RoleEventsWrite}})
		require.Equal(t, want, e.postTo("/api/v1/carriers/tokens/events", "application/json", good).status, client)
	}
	_, err := s.Tenant(t.Context(), "talma-pe")
	require.NoError(t, err)
}
