package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/store"
)

// loaded returns a connection to a database with the events of two journeys, and its URL.
func loaded(t *testing.T) (*pgx.Conn, string) {
	t.Helper()
	url := databases.URL(t)
	c := store.DefaultConfig()
	c.URL = url
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	for _, s := range []*story{bagStory(), cargoStory()} {
		for _, e := range s.events {
			e.UID[9] = s.kind[0]
		}
		results, err := db.Persist(t.Context(), s.events)
		require.NoError(t, err)
		for _, result := range results {
			require.True(t, result.Inserted)
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn, url
}

// alter changes a row of the read model by hand.
func alter(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	tag, err := conn.Exec(t.Context(), "UPDATE traces SET status = 'lost', pieces_delivered = 3 WHERE correlation_id = '045-12345675'")
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
}

// docs/replay.md says what happens: its commands are run in order over a loaded database, and before the second a row of it is
// altered. RASTRO_UPDATE_GOLDEN=1 writes what they print into the page.
func TestTheReplayPageSaysWhatHappens(t *testing.T) {
	t.Parallel()
	conn, url := loaded(t)
	page := filepath.Join("..", "docs", "replay.md")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	environment := append(commandEnvironment(t), "RASTRO_DATABASE_URL="+url)
	var codes []string
	elapsed := regexp.MustCompile(`events in \S+;`)
	updated := docBlock.ReplaceAllStringFunc(string(text), func(block string) string {
		parts := docBlock.FindStringSubmatch(block)
		if parts[2] != "console" {
			return block
		}
		var out strings.Builder
		for _, step := range steps(parts[3]) {
			if len(codes) == 1 {
				alter(t, conn)
			}
			got := execute(t, t.TempDir(), environment, step.command)
			codes = append(codes, regexp.MustCompile(`\(exit code \d\)|$`).FindString(got))
			if printsAs(step.want, got) {
				got = step.want
			} else if os.Getenv("RASTRO_UPDATE_GOLDEN") == "" {
				require.Equal(t, step.want, got, step.command)
			}
			out.WriteString("$ " + step.command + "\n" + elapsed.ReplaceAllString(got, "events in …;"))
		}
		return "```console\n" + out.String() + "```\n"
	})
	require.Equal(t, []string{"", "(exit code 1)", "", "", "", ""}, codes)
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, []byte(updated), 0o644))
	}
}

func TestReplayReports(t *testing.T) {
	conn, url := loaded(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	replay := func(code int, args ...string) (out string) {
		t.Helper()
		var text strings.Builder
		cmd := newReplayCommand()
		cmd.SetOut(&text)
		cmd.SetErr(&text)
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		require.Equal(t, code, exitCode(err), "%v: %v\n%s", args, err, text.String())
		if err != nil {
			text.WriteString(err.Error())
		}
		return text.String()
	}
	require.Contains(t, replay(exitOK, "--dry-run"), "2 traces rebuilt of 18 events")

	alter(t, conn)
	_, err := conn.Exec(t.Context(), "INSERT INTO traces (tenant_id, correlation_id, status) VALUES ('talma-pe', E'gone\\x1b[2J', 'arrived')")
	require.NoError(t, err)
	out := replay(exitFailure, "--dry-run")
	for _, want := range []string{
		`talma-pe 045-12345675  status: had "lost", now "delivered"`, `talma-pe 045-12345675  pieces_delivered: had "3", now "10"`,
		`row: had "arrived", now ""`, "rows that differ: 2, missing: 0, without events: 1, changed: 0", "`rastro replay --swap` mends them",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "\x1b", "no sender steers the terminal")
	require.NotContains(t, replay(exitFailure, "--dry-run", "--limit", "1"), "arrived", "there is more than one difference")

	lines := strings.Split(replay(exitFailure, "--dry-run", "--json"), "\n")
	var difference store.TraceDifference
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &difference))
	require.Equal(t, "045-12345675", difference.CorrelationID)
	require.Len(t, difference.Fields, 2)
	var report store.ReplayReport
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &report))
	require.EqualValues(t, 2, report.Different)

	replay(exitOK, "--dry-run", "--tenant", "other")
	replay(exitOK, "--dry-run", "--from", "2026-06-01T00:00:00Z", "--to", "2026-06-02T00:00:00Z")
	require.Contains(t, replay(exitFailure), "rows that differ: 2")
	require.Contains(t, replay(exitOK, "--swap"), "changed: 2")
	require.Contains(t, replay(exitOK, "--dry-run"), "rows that differ: 0")

	_, err = conn.Exec(t.Context(), "INSERT INTO traces (tenant_id, correlation_id, status, chain_seq) VALUES ('talma-pe', 'gone', 'arrived', 3)")
	require.NoError(t, err)
	for range 2 {
		out := replay(exitFailure, "--swap")
		require.Contains(t, out, `talma-pe gone  events: had "3", now "0"`)
		require.Contains(t, out, "changed: 0, evidence of events that are gone: 1")
		require.Contains(t, out, "`rastro audit verify` says what is missing")
	}

	for _, args := range [][]string{
		{"--dry-run", "--swap"}, {"--from", "yesterday"}, {"--to", "x"}, {"--from", "2026-06-02T00:00:00Z", "--to", "2026-06-01T00:00:00Z"},
		{"--workers", "-1"}, {"more"},
	} {
		replay(exitUsage, args...)
	}
	t.Setenv("RASTRO_DATABASE_URL", "")
	require.Contains(t, replay(exitUsage), "RASTRO_DATABASE_URL is not set")
}

func TestTraceAsItWas(t *testing.T) {
	api := newFakeAPI(t)
	api.run(t)
	body := bagStory().json(t)
	api.traces["/api/v1/trace/1?asOf=2026-06-20T12%3A00%3A00Z"] = body
	api.traces["/api/v1/trace/1?asOf=2026-06-20T12%3A00%3A00%2B02%3A00&knownAt=2026-06-20T12%3A00%3A00Z"] = body
	api.traces["/api/v1/trace?aggregateId=bag&knownAt=2026-06-20T12%3A00%3A00Z"] = body
	const noon = "2026-06-20T12:00:00Z"
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"1", "--as-of", noon}, exitOK},
		{[]string{"1", "--as-of", "2026-06-20T12:00:00+02:00", "--known-at", noon}, exitOK},
		{[]string{"bag", "--known-at", noon}, exitOK},
		{[]string{"bag", "--known-at", noon, "--by", "aggregate"}, exitOK},
		{[]string{"bag", "--known-at", noon, "--by", "correlation"}, exitNotFound},
		{[]string{"1"}, exitNotFound},
		{[]string{"1", "--as-of", "yesterday"}, exitUsage},
		{[]string{"1", "--known-at", "2026-06-31T12:00:00Z"}, exitUsage},
	} {
		got := testRun{}.do(t, append([]string{"trace"}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %v", c.args, got.failure)
	}
}
