package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// inboxStand is a system that reads its carriers from a folder, and somebody who looks after them.
type inboxStand struct {
	*reloadable

	db  *store.Store
	dir string
	env map[string]string
}

func newInboxStand(t *testing.T) *inboxStand {
	t.Helper()
	s := &inboxStand{reloadable: newReloadable(t, apart)}
	s.dir = s.process.ConfigDir
	token, err := s.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roleEventsWrite, roleTracesRead, roleOpsRead, roleOpsWrite)
	require.NoError(t, err)
	s.env = map[string]string{"RASTRO_URL": s.url, "RASTRO_TOKEN": token}
	s.db, err = store.Open(t.Context(), store.Config{URL: s.process.Database.URL})
	require.NoError(t, err)
	t.Cleanup(s.db.Close)
	return s
}

func (s *inboxStand) rastro(args ...string) ran {
	s.t.Helper()
	return testRun{now: time.Now, env: s.env}.do(s.t, args...)
}

// send sends events of a journey through a demonstration carrier.
func (s *inboxStand) send(journey, id, code string) string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "batch.ndjson")
	require.NoError(s.t, os.WriteFile(file, []byte(`{"correlation_id":"`+journey+`","aggregate_id":"`+journey+`","event_type":"`+code+
		`","timestamp":"2026-06-20T09:40:00-05:00","event_id":"`+id+`","kind":"baggage","payload":{"description":"Bag arrived at the carousel"}}`+"\n"), 0o600))
	got := s.rastro("send", "--carrier", "demo-native", file)
	require.Zero(s.t, got.code, got.out)
	return got.out
}

// becomes waits until a journey has a status.
func (s *inboxStand) becomes(journey, status string) (trace tracking.Trace) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var err error
		trace, err = s.db.Trace(s.t.Context(), "talma-pe", journey)
		return err == nil && string(trace.Status) == status
	}, 30*time.Second, 20*time.Millisecond)
	return trace
}

func (s *inboxStand) soundness() {
	s.t.Helper()
	_, err := s.db.Replay(s.t.Context(), store.Replay{DryRun: true, Difference: func(d store.TraceDifference) { s.t.Errorf("%+v", d) }})
	require.NoError(s.t, err)
	report, err := s.db.Verify(s.t.Context(), store.AuditScope{}, func(f store.AuditFinding) { s.t.Errorf("%+v", f) }, nil)
	require.NoError(s.t, err)
	require.Zero(s.t, report.Findings)
}

// A code that nothing knows is seen in the inbox, applied, and means what was said: at once, for what came before, and by the carrier's table
// from then on.
func TestAnUnmappedCodeIsSeenAndApplied(t *testing.T) {
	s := newInboxStand(t)
	require.Contains(t, s.send("BAG-1", "1", "ZZ9"), "unmapped_code")
	s.send("BAG-2", "2", "zz9")
	s.becomes("BAG-1", "unknown")
	s.becomes("BAG-2", "unknown")

	got := s.rastro("carrier", "inbox", "--carrier", "demo-native")
	require.Zero(t, got.code, got.failure)
	require.Regexp(t, `demo-native +ZZ9 +2 +\d+s +BAG-2 +ZZ9: arrived +50 % +a text that is sent with it`, got.out)
	got = s.rastro("carrier", "inbox", "--json", "--limit", "1")
	var codes []ops.UnmappedCode
	require.NoError(t, json.Unmarshal([]byte(got.out), &codes))
	require.Equal(t, "carriers/demo-native.yaml", codes[0].File)
	require.Len(t, codes[0].Samples, 2)

	own := filepath.Join(s.dir, "carriers", "demo-native.yaml")
	got = s.rastro("carrier", "inbox", "apply", "demo-native", "ZZ9", "arrived", "--config", s.dir, "--dry-run")
	require.Zero(t, got.code, got.failure)
	require.Equal(t, "--- config/carriers/demo-native.yaml\n+++ "+own+"\n@@ -16,4 +16,5 @@\n   BHS-SORT: sorted\n   BHS-JAM: {exception: delayed}\n"+
		"+  ZZ9: arrived\n # What one carrier may take of a process, so that none takes from the others.\n limits:\n", got.out)
	require.NoFileExists(t, own)
	s.becomes("BAG-1", "unknown")

	got = s.rastro("carrier", "inbox", "apply", "demo-native", "ZZ9", "arrived", "--config", s.dir, "--reason", "they said so")
	require.Zero(t, got.code, got.failure)
	require.Contains(t, got.out, "ZZ9 of demo-native means arrived: 2 events with it, 2 traces folded anew, 2 changed.\n")
	require.Contains(t, got.out, "+  ZZ9: arrived\n")
	trace := s.becomes("BAG-1", "arrived")
	require.Equal(t, tracking.Arrived, trace.Events[0].Enrichment.Milestone)
	got = s.rastro("trace", "BAG-2")
	require.Zero(t, got.code, got.failure)
	require.Contains(t, strings.ToLower(got.out), "arrived")
	written, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Contains(t, string(written), "\n# What this carrier's codes mean, before milestones.yaml is asked")
	require.Contains(t, string(written), "\n  ZZ9: arrived\n")
	require.Zero(t, s.rastro("carrier", "lint", "--config", s.dir).code)
	s.soundness()

	// The line is read, and the edge knows the code.
	sent := 2
	require.Eventually(t, func() bool {
		sent++
		return !strings.Contains(s.send("BAG-3", strconv.Itoa(sent), "ZZ9"), "unmapped_code")
	}, 30*time.Second, 20*time.Millisecond, s.log)
	s.becomes("BAG-3", "arrived")
	s.soundness()

	got = s.rastro("carrier", "inbox")
	require.Zero(t, got.code)
	require.Empty(t, got.out)
	require.Contains(t, got.err, "every code that came is known")
	got = s.rastro("carrier", "inbox", "--state", "applied")
	require.Contains(t, got.out, "ZZ9: arrived")

	got = s.rastro("carrier", "inbox", "apply", "demo-native", "zz9", "--config", s.dir)
	require.Zero(t, got.code, got.failure)
	require.Contains(t, got.out, "has the line already")
	got = s.rastro("carrier", "inbox", "dismiss", "demo-native", "ZZ9", "--reason", "only a test")
	require.Zero(t, got.code, got.failure)
	require.Regexp(t, `^ZZ9 of demo-native is dismissed: \d+ events with it, [23] traces folded anew, 2 changed.\n$`, got.out)
	s.becomes("BAG-1", "unknown")
	s.becomes("BAG-3", "arrived")
	s.soundness()
}

func TestWhatIsWrongAboutApplyingACode(t *testing.T) {
	s := newInboxStand(t)
	s.send("BAG-1", "1", "ZZ9")
	s.becomes("BAG-1", "unknown")
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"apply demo-natve ZZ9 arrived --config DIR":             {exitNotFound, `did you mean "demo-native"?`},
		"apply demo-native ZZ9 arived --config DIR":             {exitUsage, `did you mean "arrived"?`},
		"apply demo-native ZZ9 --config DIR":                    {exitUsage, "say a milestone, an exception or both"},
		"apply demo-native ZZ9 arrived":                         {exitUsage, "demo-native is built in"},
		"apply demo-native ZZ8 arrived --config DIR":            {exitNotFound, "no such unmapped code"},
		"apply demo-native ZZ9 --exception Late! --no-file":     {exitUsage, "snake_case"},
		"apply demo-native ZZ9 arrived --no-file --dry-run":     {exitUsage, "nothing that --dry-run could show"},
		"dismiss demo-native ZZ8":                               {exitNotFound, "no such unmapped code"},
		"--carrier nobody":                                      {exitNotFound, "no such carrier"},
		"--state opened":                                        {exitUsage, "expected value to be one of"},
		"--limit 0":                                             {exitUsage, "--limit"},
		"apply demo-native ZZ9 arrived --no-file --tenant acme": {exitUnreachable, "tenants:all"},
	} {
		args = strings.ReplaceAll(args, "DIR", s.dir)
		got := s.rastro(append([]string{"carrier", "inbox"}, strings.Fields(args)...)...)
		require.Equal(t, want.code, got.code, "%s: %v", args, got.failure)
		require.ErrorContains(t, got.failure, want.says, args)
	}
	require.NoDirExists(t, filepath.Join(s.dir, "carriers"), "nothing is written")
	s.becomes("BAG-1", "unknown")

	got := s.rastro("carrier", "inbox", "apply", "demo-native", "ZZ9", "arrived", "--exception", "damaged", "--no-file", "--json")
	require.Zero(t, got.code, got.failure)
	var job store.CodeJob
	require.NoError(t, json.Unmarshal([]byte(got.out), &job))
	require.Equal(t, []any{"done", int64(1), int64(1)}, []any{job.State, job.Total, job.Changed})
	require.Equal(t, "damaged", s.becomes("BAG-1", "arrived").Exception)
	require.NoDirExists(t, filepath.Join(s.dir, "carriers"))
	s.soundness()
}

// The API says who may do what, and tells of an unchanged page that it is unchanged.
func TestUnmappedCodesOfTheAPI(t *testing.T) {
	s := newInboxStand(t)
	s.send("BAG-1", "1", "A/B 7")
	s.send("BAG-2", "2", "OTHERWISE")
	s.becomes("BAG-1", "unknown")
	s.becomes("BAG-2", "unknown")
	const one = "/api/v1/carriers/demo-native/unmapped"
	status, body := s.as(t, []string{roleOpsRead}, http.MethodGet, s.url+one+"?limit=1", "")
	require.Equal(t, http.StatusOK, status, body)
	var page ops.UnmappedPage
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	require.Equal(t, "A/B 7", page.Items[0].Code)
	require.Equal(t, `"A/B 7"`, page.Items[0].Key)
	status, body = s.as(t, []string{roleOpsRead}, http.MethodGet, s.url+one+"?limit=1&cursor="+page.NextCursor, "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"OTHERWISE"`)
	require.NotContains(t, body, "next_cursor")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+one, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+s.env["RASTRO_TOKEN"])
	for _, want := range []int{http.StatusOK, http.StatusNotModified} {
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.StatusCode)
		request.Header.Set("If-None-Match", response.Header.Get("ETag"))
	}
	for _, c := range []struct {
		roles        []string
		method, path string
		body         string
		status       int
		says         string
	}{
		{[]string{roleTracesRead}, http.MethodGet, one, "", 403, "ops:read"},
		{[]string{roleOpsRead}, http.MethodPost, one + "/OTHERWISE/apply", `{"milestone":"arrived"}`, 403, "ops:write"},
		{[]string{roleOpsRead}, http.MethodPost, one + "/OTHERWISE/dismiss", `{}`, 403, "ops:write"},
		{[]string{roleOpsWrite}, http.MethodPost, one + "/OTHERWISE/apply", `{"milestone":"arived"}`, 422, `did you mean \"arrived\"`},
		{[]string{roleOpsWrite}, http.MethodPost, one + "/OTHERWISE/apply", `{}`, 422, "say a milestone"},
		{[]string{roleOpsWrite}, http.MethodPost, one + "/NONE/apply", `{"milestone":"arrived"}`, 404, "not-found"},
		{[]string{roleOpsRead}, http.MethodGet, "/api/v1/carriers/nobody/unmapped", "", 404, "not-found"},
		{[]string{roleOpsRead}, http.MethodGet, one + "?cursor=x", "", 422, "cursor"},
		{[]string{roleOpsRead}, http.MethodGet, "/api/v1/carriers/unmapped/jobs/1", "", 404, "job"},
		{[]string{roleOpsWrite}, http.MethodPost, one + "/A%2FB%207/apply", `{"milestone":"sorted","reason":"their list"}`, 202, `"processing"`},
	} {
		status, body := s.as(t, c.roles, c.method, s.url+c.path, c.body)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, body)
		require.Contains(t, body, c.says, c.path)
	}
	s.becomes("BAG-1", "processing")
	entries, err := s.db.Audit(t.Context(), "talma-pe", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "codes.apply", entries[0].Action)
	require.Equal(t, "their list", entries[0].Reason)
	require.Contains(t, string(entries[0].Filter), `"A/B 7"`)
}
