package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// opsStand is a system of which somebody looks after the dead letters.
type opsStand struct {
	*environment

	t   *testing.T
	url string
	db  *store.Store
}

func newOpsStand(t *testing.T) *opsStand {
	t.Helper()
	s := &opsStand{environment: newEnvironmentOver(t, config.BrokerNATS), t: t}
	var err error
	s.db, err = store.Open(t.Context(), store.Config{URL: s.process.Database.URL})
	require.NoError(t, err)
	t.Cleanup(s.db.Close)
	require.NoError(t, s.db.EnsurePartitions(t.Context(), time.Now()))
	return s
}

func (s *opsStand) token(tenant string, roles ...string) string {
	s.t.Helper()
	token, err := s.issuer.Mint(s.t.Context(), issuer.ServiceClientID, tenant, roles...)
	require.NoError(s.t, err)
	return token
}

// rastro runs a command as an operator of a tenant.
func (s *opsStand) rastro(tenant string, args ...string) ran {
	s.t.Helper()
	return testRun{now: time.Now, env: map[string]string{
		"RASTRO_URL": s.url, "RASTRO_TOKEN": s.token(tenant, roleOpsRead, roleOpsWrite),
	}}.do(s.t, args...)
}

func (s *opsStand) ask(token, method, path string, body any) (int, http.Header, []byte) {
	s.t.Helper()
	content, err := json.Marshal(body)
	require.NoError(s.t, err)
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(content))
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, response.Body.Close()) }()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, response.Header, answer.Bytes()
}

// letters puts events into the dead letters, as a stage of that name would have rejected them a while ago.
func (s *opsStand) letters(tenant, stage string, n int, change func(i int, e *tracking.Event)) (events []*tracking.Event) {
	s.t.Helper()
	var letters []store.DeadLetter
	for i := range n {
		at := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		e := &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: tenant, Source: "LA", EventID: uuid.NewString(), CorrelationID: fmt.Sprintf("DLQ-%s-%d", stage, i),
			AggregateID: "BAG", Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at,
			Payload: json.RawMessage(`{"location" : "LIM"}`),
		}
		if change != nil {
			change(i, e)
		}
		body, err := json.Marshal(e)
		require.NoError(s.t, err)
		events = append(events, e)
		letters = append(letters, store.DeadLetter{
			UID: e.UID, TenantID: tenant, Pipeline: "tracking", Stage: stage, Code: "schema", Message: "was too strict", Source: e.Source,
			EventType: e.Type, CorrelationID: e.CorrelationID, Attempts: 1, Event: body, At: at,
		})
	}
	require.NoError(s.t, s.db.AddDeadLetters(s.t.Context(), letters))
	return events
}

func decodeAs[T any](t *testing.T, text []byte) (value T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &value), string(text))
	return value
}

// From rejected to stored, over the whole system: the letters are listed, tried, redriven, stored once, and the one that is
// still wrong is the same letter with one more attempt.
func TestDeadLettersAreRedriven(t *testing.T) {
	s := newOpsStand(t)
	s.url, _ = s.serve(t, roleQuery)
	events := s.letters("talma-pe", "validate", 9, func(i int, e *tracking.Event) {
		if i == 4 {
			e.OccurredAt = time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
		}
	})
	s.letters("talma-pe", "gone", 1, nil)
	s.letters("talma-ec", "validate", 2, nil)

	got := s.rastro("talma-pe", "dlq", "list", "--reason", "schema", "--carrier", "LA", "--older", "30m", "--json")
	require.Zero(t, got.code, got.err)
	require.Len(t, decodeAs[ops.LetterPage](t, []byte(got.out)).Items, 10)
	got = s.rastro("talma-pe", "dlq", "list", "--newer", "30m")
	require.Equal(t, "No dead letters match.\n", got.out)
	got = s.rastro("talma-pe", "dlq", "groups")
	require.Contains(t, got.out, "9      validate  schema  LA")

	dry := s.rastro("talma-pe", "dlq", "redrive", "--reason", "schema", "--dry-run")
	require.Equal(t, exitRejected, dry.code, dry.failure)
	require.Contains(t, dry.out, "Tried 10 of 10 dead letters: 9 would pass, 1 would be rejected again. Nothing was changed.")
	require.Contains(t, dry.out, "future")
	require.Contains(t, dry.out, "there is no stage gone any more")
	require.Len(t, decodeAs[ops.LetterPage](t, []byte(s.rastro("talma-pe", "dlq", "list", "--json").out)).Items, 10)
	entries, err := s.db.Audit(t.Context(), "talma-pe", 0, 10)
	require.NoError(t, err)
	require.Empty(t, entries)

	require.Equal(t, exitUsage, s.rastro("talma-pe", "dlq", "redrive").code, "nothing says which")
	require.Equal(t, exitUsage, s.rastro("talma-pe", "dlq", "redrive", "--all").code, "nobody is there to ask")
	no := testRun{now: time.Now, in: strings.NewReader("n\n"), tty: terminals{in: true}, env: map[string]string{
		"RASTRO_URL": s.url, "RASTRO_TOKEN": s.token("talma-pe", roleOpsRead, roleOpsWrite),
	}}.do(t, "dlq", "redrive", "--all")
	require.Equal(t, exitFailure, no.code)
	require.Contains(t, no.err, "Redrive 10 dead letters, the oldest rejected")

	s.serve(t, roleProcessor)
	got = s.rastro("talma-pe", "dlq", "redrive", "--reason", "schema", "--yes", "--why", "the schema is mended")
	require.Zero(t, got.code, "%v %s", got.failure, got.out)
	require.Contains(t, got.out, "done, 10 of 10 dead letters")
	require.Contains(t, got.out, `1 redriven: from the beginning of the pipeline: it has no stage "gone" any more`)
	require.Contains(t, got.out, "of the redriven 9 stored, 1 rejected again, 0 with no answer yet")
	for i, e := range events {
		trace, err := s.db.Trace(t.Context(), "talma-pe", e.CorrelationID)
		if i == 4 {
			require.ErrorIs(t, err, store.ErrNotFound)
			continue
		}
		require.NoError(t, err)
		require.Len(t, trace.Events, 1)
		require.Equal(t, e.UID, trace.Events[0].UID)
	}
	open := decodeAs[ops.LetterPage](t, []byte(s.rastro("talma-pe", "dlq", "list", "--json").out)).Items
	require.Len(t, open, 1)
	require.Equal(t, []any{events[4].UID, "future", 2, 1}, []any{open[0].UID, open[0].Code, open[0].Attempts, open[0].Redrives})
	shown := s.rastro("talma-pe", "dlq", "show", open[0].ID.String())
	require.Regexp(t, `(?s)History\n.*rejected \(schema: was too strict\)\n.*redriven by .*the schema is mended.*rejected \(future: .*Original\n`, shown.out)
	require.Equal(t, exitNotFound, s.rastro("talma-ec", "dlq", "show", open[0].ID.String()).code, "it is another tenant's")

	got = s.rastro("talma-pe", "dlq", "discard", open[0].ID.String(), "--yes")
	require.Zero(t, got.code, got.failure)
	require.Contains(t, got.out, "1 discarded")
	require.Equal(t, exitNotFound, s.rastro("talma-pe", "dlq", "redrive", "--all", "--yes").code, "none is left")
	require.Regexp(t, `dead_letters\.discard +1 .*\n.*dead_letters\.redrive +10 .*the schema is mended\n`, s.rastro("talma-pe", "dlq", "audit").out)
	require.Contains(t, s.rastro("talma-pe", "dlq", "job").out, "10/10")
	require.Len(t, decodeAs[ops.LetterPage](t, []byte(s.rastro("talma-ec", "dlq", "list", "--json").out)).Items, 2, "nobody touched the other tenant's")
}

// Invariant 13: roles and tenants.
func TestWhoMayLookAfterDeadLetters(t *testing.T) {
	s := newOpsStand(t)
	s.url, _ = s.serve(t, roleQuery)
	s.letters("talma-pe", "validate", 3, nil)
	s.letters("talma-ec", "validate", 1, nil)
	require.NoError(t, s.db.AddDeadLetters(t.Context(), []store.DeadLetter{{
		UID: uuid.New(), Pipeline: "tracking", Stage: "validate", Code: "frame", Message: "no frame", Event: []byte(`{"frame":"AA==","message_id":"m"}`), At: time.Now(),
	}}))
	everything := map[string]any{"filter": map[string]any{}}
	reader, writer := s.token("talma-pe", roleOpsRead), s.token("talma-pe", roleOpsRead, roleOpsWrite)
	root := s.token("talma-pe", roleOpsRead, roleOpsWrite, roleTenantsAll)
	for _, c := range []struct {
		token, method, path string
		status              int
	}{
		{s.token("talma-pe", roleTracesRead), http.MethodGet, "", 403},
		{s.token("talma-pe", roleOpsWrite), http.MethodGet, "", 403},
		{s.token("talma-pe", roleTracesRead), http.MethodGet, "/groups", 403},
		{s.token("talma-pe", roleTracesRead), http.MethodGet, "/jobs", 403},
		{reader, http.MethodGet, "", 200}, {reader, http.MethodGet, "?tenant=talma-pe", 200}, {reader, http.MethodGet, "?tenant=talma-ec", 403},
		{reader, http.MethodGet, "?unowned=true", 403}, {root, http.MethodGet, "?unowned=true", 200}, {root, http.MethodGet, "?tenant=talma-ec", 200},
		{root, http.MethodGet, "?tenant=talma-ec&unowned=true", 422},
		{reader, http.MethodPost, "/redrive", 403}, {reader, http.MethodPost, "/discard", 403}, {reader, http.MethodPost, "/redrive?dryRun=true", 200},
		{writer, http.MethodPost, "/redrive?tenant=talma-ec", 403}, {writer, http.MethodPost, "/discard?unowned=true", 403},
		{writer, http.MethodPost, "/discard?expectedCount=30", 409}, {writer, http.MethodPost, "/redrive?expectedCount=30&dryRun=true", 409},
		{writer, http.MethodPost, "/redrive?rate=0", 422},
		{reader, http.MethodGet, "?state=lost", 422}, {reader, http.MethodGet, "?id=x", 422}, {reader, http.MethodGet, "?cursor=x", 422},
		{reader, http.MethodGet, "/jobs/x", 404}, {reader, http.MethodGet, "/" + uuid.NewString(), 404},
		{reader, http.MethodPost, "/jobs/" + uuid.NewString() + "/cancel", 403}, {writer, http.MethodPost, "/jobs/" + uuid.NewString() + "/cancel", 404},
	} {
		var body any
		if c.method == http.MethodPost {
			body = everything
		}
		status, header, answer := s.ask(c.token, c.method, deadLettersPath+c.path, body)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, answer)
		if status >= 400 {
			require.Equal(t, "application/problem+json", header.Get("Content-Type"), c.path)
		}
	}
	for query, token := range map[string]string{"": s.token("talma-pe", roleTracesRead), "?unowned=true": reader, "?tenant=talma-ec": reader} {
		status, _, _ := s.ask(token, http.MethodGet, auditPath+query, nil)
		require.Equal(t, http.StatusForbidden, status, query)
	}
	status, _, _ := s.ask(root, http.MethodGet, auditPath+"?unowned=true&tenant=talma-pe", nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _, _ = s.ask(root, http.MethodGet, auditPath+"?unowned=true", nil)
	require.Equal(t, http.StatusOK, status)

	_, _, answer := s.ask(root, http.MethodGet, deadLettersPath+"?unowned=true", nil)
	frame := decodeAs[ops.LetterPage](t, answer).Items
	require.Len(t, frame, 1)
	status, header, answer := s.ask(root, http.MethodPost, deadLettersPath+"/redrive?unowned=true", everything)
	require.Equal(t, http.StatusAccepted, status)
	job := decodeAs[ops.Answer](t, answer).Job
	require.Equal(t, deadLettersPath+"/jobs/"+job.ID.String(), header.Get("Location"))
	require.Eventually(t, func() bool {
		_, _, answer = s.ask(root, http.MethodGet, header.Get("Location")+"?unowned=true", nil)
		job = decodeAs[*ops.Job](t, answer)
		return job.State == store.JobDone
	}, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, []any{1, 1}, []any{job.Total, job.Failed}, "it cannot be decoded today either")
	require.Contains(t, job.Notes[0].Message, "cannot be redriven")
	_, _, answer = s.ask(root, http.MethodGet, deadLettersPath+"/"+frame[0].ID.String()+"?unowned=true", nil)
	require.Equal(t, store.LetterOpen, decodeAs[ops.LetterDetail](t, answer).State)
	_, _, answer = s.ask(reader, http.MethodGet, deadLettersPath+"/jobs", nil)
	require.Empty(t, decodeAs[ops.JobList](t, answer).Items, "that was nobody's job")

	status, _, answer = s.ask(reader, http.MethodGet, deadLettersPath+"?limit=2", nil)
	require.Equal(t, http.StatusOK, status)
	page := decodeAs[ops.LetterPage](t, answer)
	require.Len(t, page.Items, 2)
	_, _, answer = s.ask(reader, http.MethodGet, deadLettersPath+"?limit=2&cursor="+page.NextCursor, nil)
	require.Len(t, decodeAs[ops.LetterPage](t, answer).Items, 1)
	_, _, answer = s.ask(reader, http.MethodGet, "/openapi.json", nil)
	require.Contains(t, string(answer), "redrive-dead-letters")
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

// process runs a role in a process of its own.
func (s *opsStand) start(role string) (address string, kill func()) {
	s.t.Helper()
	self, err := os.Executable()
	require.NoError(s.t, err)
	address = freeAddress(s.t)
	cmd := exec.Command(self, "serve", role)
	cmd.Env = append(os.Environ(), asCommand+"=1", "RASTRO_CONFIG_DIR=", "RASTRO_LISTEN="+address, "RASTRO_DATABASE_URL="+s.process.Database.URL,
		"RASTRO_NATS_URL="+s.process.Broker.NATSURL, "RASTRO_OIDC_ISSUER="+s.process.Identity.Issuer, "RASTRO_SESSION_KEY="+s.process.Identity.SessionKey)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(s.t, cmd.Start())
	dead := false
	kill = func() {
		if !dead {
			dead = true
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		}
	}
	s.t.Cleanup(func() {
		kill()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", role, said.String())
		}
	})
	require.Eventually(s.t, func() bool {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		require.NoError(s.t, err)
		response, err := http.DefaultClient.Do(request)
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 60*time.Second, 50*time.Millisecond)
	return "http://" + address, kill
}

// A job whose process is killed in the middle is finished by another one: every letter once, every event stored once.
func TestAJobSurvivesKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a lease to run out")
	}
	s := newOpsStand(t)
	const letters = 60
	events := s.letters("talma-pe", "validate", letters, nil)
	s.serve(t, roleProcessor)
	first, kill := s.start(roleQuery)
	s.url = first
	token := s.token("talma-pe", roleOpsRead, roleOpsWrite)
	status, header, answer := s.ask(token, http.MethodPost, deadLettersPath+"/redrive?rate=20&expectedCount=60", map[string]any{"filter": map[string]any{}})
	require.Equal(t, http.StatusAccepted, status, string(answer))
	var job *ops.Job
	look := func() *ops.Job {
		_, _, answer := s.ask(token, http.MethodGet, header.Get("Location"), nil)
		job = decodeAs[*ops.Job](t, answer)
		return job
	}
	require.Eventually(t, func() bool { return look().Settled >= 10 }, 20*time.Second, 10*time.Millisecond)
	kill()
	require.Less(t, job.Settled, letters-10, "it was in the middle")

	s.url, _ = s.serve(t, roleQuery)
	require.Eventually(t, func() bool { return look().State == store.JobDone && job.Outcomes.Stored == letters }, 60*time.Second, 50*time.Millisecond)
	require.Equal(t, []int{letters, letters, 0, 0}, []int{job.Total, job.Redriven, job.Skipped, job.Failed})
	for _, e := range events {
		trace, err := s.db.Trace(context.WithoutCancel(t.Context()), "talma-pe", e.CorrelationID)
		require.NoError(t, err)
		require.Len(t, trace.Events, 1)
	}
	all, err := s.db.Letters(t.Context(), "talma-pe", store.LetterFilter{}, nil, letters+1)
	require.NoError(t, err)
	for _, l := range all {
		require.Equal(t, []any{store.LetterStored, 1}, []any{l.State, l.Redrives})
	}
}
