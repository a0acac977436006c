package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// journeysOf stores journeys of a tenant with two events each, received at an instant, in a database that the commands work on. It
// returns the events.
func journeysOf(t *testing.T, url, tenant string, kind tracking.Kind, journeys int, at time.Time, personal *tracking.Personal) (events []*tracking.Event) {
	t.Helper()
	master := seal.NewMaster()
	if key := os.Getenv("RASTRO_PERSONAL_KEY"); key != "" {
		master = key
	}
	ring, err := seal.ParseRing(master)
	require.NoError(t, err)
	db, err := store.Open(t.Context(), store.Config{URL: url, PersonalKeys: ring})
	require.NoError(t, err)
	defer db.Close()
	for i := range 2 * journeys {
		name := fmt.Sprint(kind, "-", i/2)
		uid := uuid.Must(uuid.NewV7())
		for b := range 6 { // its time is when the event was received
			uid[b] = byte(at.UnixMilli() >> (40 - 8*b))
		}
		events = append(events, &tracking.Event{
			UID: uid, TenantID: tenant, Source: "LA", EventID: uid.String(), CorrelationID: name, AggregateID: name, Kind: kind, Type: "loaded",
			Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at, Personal: personal, Payload: json.RawMessage(`{"as": "sent"}`),
		})
	}
	results, err := db.Persist(t.Context(), events)
	require.NoError(t, err)
	for _, result := range results {
		require.True(t, result.Inserted)
	}
	return events
}

// byHand changes the event store as the owner of its tables can.
func byHand(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "ALTER TABLE event_store DISABLE TRIGGER USER")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ALTER TABLE event_store ENABLE TRIGGER USER")
	require.NoError(t, err)
}

func TestAuditNamesWhatWasChanged(t *testing.T) {
	url := databases.URL(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	run := testRun{now: time.Now}
	require.Equal(t, "Nothing is stored yet.\n", run.do(t, "audit", "seal").out)
	events := journeysOf(t, url, "acme", tracking.Baggage, 3, time.Now(), nil)
	journeysOf(t, url, "umbrella", tracking.Baggage, 1, time.Now(), nil)

	got := run.do(t, "audit", "seal")
	require.Equal(t, exitOK, got.code, got.failure)
	require.Regexp(t, `\ATENANT +SEAL +SEALED AT +HASH\nacme +1 +\S+Z +[0-9a-f]{64}\numbrella +1 +\S+Z +[0-9a-f]{64}\n\z`, got.out)
	kept := filepath.Join(t.TempDir(), "seals.json")
	printed := run.do(t, "audit", "seal", "--tenant", "acme", "-o", "json").out
	require.NoError(t, os.WriteFile(kept, []byte(printed), 0o600))
	var seals []store.Seal
	require.NoError(t, json.Unmarshal([]byte(printed), &seals))
	require.Len(t, seals, 1)
	got = run.do(t, "audit", "verify", "--kept", kept)
	require.Equal(t, exitOK, got.code, got.failure)
	require.Regexp(t, `\A8 events in 4 traces, 8 of them compared with 2 seals, in \S+ \(\d+ events/s\): 0 findings\n\z`, got.out)

	byHand(t, url, "UPDATE event_store SET source = 'XX' WHERE uid = $1", events[2].UID)
	byHand(t, url, "DELETE FROM event_store WHERE uid = $1", events[5].UID)
	got = run.do(t, "audit", "verify")
	require.Equal(t, exitFailure, got.code)
	require.EqualError(t, got.failure, "the event store is not as it was stored: 3 findings")
	for _, want := range []string{
		fmt.Sprintf("changed: tenant \"acme\", trace \"baggage-1\", row %s at place 1: the row is not what its hash was made of\n", events[2].UID),
		fmt.Sprintf("removed: tenant \"acme\", trace \"baggage-2\" at place 2: the row at place 2 is missing, after row %s\n", events[4].UID),
		"seal: tenant \"acme\", seal 1: of the 6 rows stored between ", "): 3 findings\n",
	} {
		require.Contains(t, got.out, want)
	}
	got = run.do(t, "audit", "verify", "--tenant", "acme", "-o", "json")
	require.Equal(t, exitFailure, got.code)
	var answer struct {
		Findings int
		List     []store.AuditFinding
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &answer))
	require.Equal(t, 3, answer.Findings)
	require.Len(t, answer.List, 3)
	require.Equal(t, exitOK, run.do(t, "audit", "verify", "--tenant", "umbrella").code)
	require.Equal(t, exitOK, run.do(t, "audit", "verify", "--to", "2020-01-01").code)
	require.Equal(t, exitFailure, run.do(t, "audit", "verify", "--from", "2020-01-01").code)
}

func TestAuditSaysWhatItNeeds(t *testing.T) {
	t.Setenv("RASTRO_DATABASE_URL", "postgres://rastro@127.0.0.1:1/none")
	run := testRun{now: time.Now}
	broken := filepath.Join(t.TempDir(), "seals.json")
	require.NoError(t, os.WriteFile(broken, []byte("{"), 0o600))
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"audit verify":                         {exitUnreachable, "database"},
		"audit seal":                           {exitUnreachable, "database"},
		"audit verify --from yesterday":        {exitUsage, `--from is "yesterday"; give a date as 2026-01-31`},
		"audit verify --workers 0":             {exitUsage, "--workers is 0; give it 1 or more"},
		"audit verify -o yaml":                 {exitUsage, `-o is "yaml"; it is text or json`},
		"audit seal -o yaml":                   {exitUsage, `-o is "yaml"; it is text or json`},
		"audit verify --kept " + broken:        {exitUsage, "rastro audit seal -o json` prints such a file"},
		"audit verify --kept none-of-my-files": {exitUsage, "no such file"},
		"audit verify everything":              {exitUsage, "unknown command"},
	} {
		got := run.do(t, strings.Fields(args)...)
		require.Equal(t, want.code, got.code, args)
		require.ErrorContains(t, got.failure, want.text, args)
	}
	t.Setenv("RASTRO_DATABASE_URL", "")
	got := run.do(t, "audit", "verify")
	require.Equal(t, exitUsage, got.code)
	require.ErrorContains(t, got.failure, "RASTRO_DATABASE_URL is not set")
}

// To forget somebody changes no event: the chain, the seals and the seals that were kept hold as before.
func TestAuditVerifiesAfterForgetting(t *testing.T) {
	url := databases.URL(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	t.Setenv("RASTRO_PERSONAL_KEY", seal.NewMaster())
	run := testRun{now: time.Now}
	journeysOf(t, url, "acme", tracking.Baggage, 2, time.Now(), &tracking.Personal{Subject: "C-20817", Data: json.RawMessage(`{"name":"Ana Quispe"}`)})
	kept := filepath.Join(t.TempDir(), "seals.json")
	require.NoError(t, os.WriteFile(kept, []byte(run.do(t, "audit", "seal", "-o", "json").out), 0o600))
	ring, err := seal.ParseRing(os.Getenv("RASTRO_PERSONAL_KEY"))
	require.NoError(t, err)
	db, err := store.Open(t.Context(), store.Config{URL: url, PersonalKeys: ring})
	require.NoError(t, err)
	defer db.Close()
	forgotten, err := db.Forget(t.Context(), "acme", "C-20817", store.Actor{Subject: "test"}, "request 4711", false)
	require.NoError(t, err)
	require.Equal(t, 4, forgotten.Events)
	require.Equal(t, 1, forgotten.Keys)
	got := run.do(t, "audit", "verify", "--kept", kept)
	require.Equal(t, exitOK, got.code, got.out)
	require.Contains(t, got.out, "4 events in 2 traces, 4 of them compared with 1 seals")
	byHand(t, url, "UPDATE event_store SET details = NULL WHERE correlation_id = 'baggage-1'") // that there was something personal
	got = run.do(t, "audit", "verify", "--kept", kept)
	require.Equal(t, exitFailure, got.code)
	require.Equal(t, 2, strings.Count(got.out, "changed: "))
}
