package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/store"
)

func TestFilesOfTenantsAreRightOrSayWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tenants:\n  - id: a\n    preferences: {language: es-PE, time_zone: America/Lima}\n    active: false\n": "",
		"tenant:\n  - id: a\n":                                   `f:1:1: unknown field "tenant"; did you mean "tenants"?`,
		"tenants:\n  - id: a\n    sourcess: []\n":                `f:3:5: unknown field "sourcess"; did you mean "sources"?`,
		"tenants:\n  - id: a\n    preferences: {timezone: UTC}":  `f:3:19: unknown field "timezone"; did you mean "time_zone"?`,
		"tenants:\n  - name: a\n":                                `f:2:5: a tenant has no id; write the id that tokens name it by`,
		"tenants:\n  - id: a b\n":                                `f:2:9: id "a b" is not one: it has no spaces and 128 bytes at most`,
		"tenants:\n  - id: a\n  - id: a\n":                       `f:3:9: tenant "a" is also tenant 1 of the list`,
		"tenants:\n  - id: a\n    country: pe\n":                 `f:3:14: country "pe" is no code of ISO 3166-1 alpha-2; did you mean "PE"?`,
		"tenants:\n  - id: a\n    country: UK\n":                 `f:3:14: country "UK" is no code of ISO 3166-1 alpha-2; write two capitals such as PE`,
		"tenants:\n  - id: a\n    event_types: [ARR, ARR]\n":     `f:3:18: event_types has "ARR", which is empty, has spaces or is there twice`,
		"tenants:\n  - id: a\n    retention_days: -1\n":          `f:3:21: retention_days is -1; it is from 0 to 2147483647; 0 sets no limit`,
		"tenants:\n  - id: a\n    rate_per_second: .nan\n":       `f:3:22: rate_per_second is NaN; it is 0 or more; 0 sets no limit`,
		"tenants:\n  - id: a\n    preferences: {language: x-}\n": `f:3:29: language "x-" is no language tag (BCP 47); write one such as es-PE`,
		"tenants:\n  - id: a\n    preferences:\n      time_zone: America/Limon\n": `f:4:18: time_zone "America/Limon" is not in the IANA time zone database; ` +
			`write one such as America/Lima`,
		"tenants:\n  - id: a\n---\ntenants: []\n": `f: there are several documents in it; write one list of tenants`,
	} {
		_, found := parseTenants("f", []byte(text))
		got := make([]string, 0, len(found))
		for _, f := range found {
			got = append(got, f.String())
		}
		require.Equal(t, want, strings.Join(got, "\n"), text)
	}
}

func FuzzParseTenants(f *testing.F) {
	f.Add([]byte("tenants:\n  - id: a\n    preferences: {language: es-PE}\n"))
	f.Add([]byte("tenants: [{id: a, rate_per_second: .inf}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tenants, found := parseTenants("f", text)
		require.True(t, len(found) == 0 || tenants == nil)
		for _, one := range tenants {
			_, err := tenantEntryOf(one)
			require.NoError(t, err)
		}
		_ = found.Error()
	})
}

// rastroIn runs a command in process.
func rastroIn(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRootCommand(options{}, processStreams())
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTenantsAreAppliedAndStayAsTheyWereMade(t *testing.T) {
	process, err := config.Default()
	require.NoError(t, err)
	process.Database.URL = databases.URL(t)
	require.NoError(t, setUp(t.Context(), process))
	t.Setenv("RASTRO_DATABASE_URL", process.Database.URL)

	shown, err := rastroIn(t, "", "tenant", "show", "talma-pe")
	require.NoError(t, err)
	out, err := rastroIn(t, shown, "tenant", "apply", "-")
	require.NoError(t, err)
	require.Equal(t, "unchanged  talma-pe\n", out, "what is shown is what is applied")

	file := strings.ReplaceAll(shown, "rate_per_second: 50000", "rate_per_second: 7\n    preferences: {time_zone: America/Lima}")
	for _, flags := range [][]string{{"--dry-run"}, {"--dry-run"}, nil} {
		out, err = rastroIn(t, file, append([]string{"tenant", "apply", "-", "-o", "json"}, flags...)...)
		require.NoError(t, err)
		var got struct {
			DryRun  bool `json:"dry_run"`
			Tenants []store.TenantChange
		}
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		require.Equal(t, len(flags) > 0, got.DryRun)
		require.Equal(t, []store.TenantChange{{TenantID: "talma-pe", Change: "changed", Differences: []store.TenantDifference{
			{Field: "rate_per_second", Before: 50000.0, After: 7.0}, {Field: "preferences.time_zone", After: "America/Lima"},
		}}}, got.Tenants)
	}
	require.NoError(t, setUp(t.Context(), process))
	out, err = rastroIn(t, file, "tenant", "apply", "-")
	require.NoError(t, err)
	require.Equal(t, "unchanged  talma-pe\n", out, "setting up again leaves it as it was made")

	_, err = rastroIn(t, "", "tenant", "show", "nobody")
	require.Equal(t, exitNotFound, exitCode(err))
	for _, wrong := range []string{"", "tenants: []", "tenants: [{id: a, sorces: []}]"} {
		_, err = rastroIn(t, wrong, "tenant", "apply", "-")
		require.Equal(t, exitUsage, exitCode(err))
	}
	_, err = rastroIn(t, "", "tenant", "apply", filepath.Join(t.TempDir(), "none.yaml"))
	require.Equal(t, exitUsage, exitCode(err))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheTenantsPageSaysWhatHappens(t *testing.T) {
	process, err := config.Default()
	require.NoError(t, err)
	process.Database.URL = databases.URL(t)
	require.NoError(t, setUp(t.Context(), process))
	t.Setenv("RASTRO_DATABASE_URL", process.Database.URL)
	require.Greater(t, pageSaysWhatHappens(t, "tenants.md"), 5)
}

// Two processes obey a change of each setting within 5 s of its being applied.
func TestEveryProcessObeysTheTenantsSettings(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerNATS)
	t.Setenv("RASTRO_DATABASE_URL", e.process.Database.URL)
	first, _ := e.serve(t, roleIngest)
	second, _ := e.serve(t, roleIngest)
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", "events:write")
	require.NoError(t, err)
	const event = `{"correlation_id":"T-1","aggregate_id":"T-1","source":"SRC","event_type":"TYPE","timestamp":"2026-06-20T22:55:01-05:00","payload":{"n":"PAD"}}`
	post := func(address, source, kind, pad string) (int, string, http.Header) {
		body := strings.NewReplacer("SRC", source, "TYPE", kind, "PAD", pad).Replace(event)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/v1/events", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer func() { require.NoError(t, response.Body.Close()) }()
		var answer bytes.Buffer
		_, err = answer.ReadFrom(response.Body)
		require.NoError(t, err)
		return response.StatusCode, answer.String(), response.Header
	}
	apply := func(settings string, obeyed func(address string) bool) {
		t.Helper()
		_, err := rastroIn(t, "tenants: [{id: talma-pe, "+settings+"}]", "tenant", "apply", "-")
		require.NoError(t, err)
		deadline := time.Now().Add(5 * time.Second)
		for _, address := range []string{first, second} {
			require.Eventually(t, func() bool { return obeyed(address) }, time.Until(deadline), 50*time.Millisecond, settings)
		}
	}
	rejected := func(address, field, source, kind, pad string) bool {
		status, answer, _ := post(address, source, kind, pad)
		return status == http.StatusUnprocessableEntity && strings.Contains(answer, `"field":"`+field+`"`)
	}
	taken := func(address string) bool {
		status, _, _ := post(address, "bhs", "loaded", "")
		return status == http.StatusAccepted
	}
	require.True(t, taken(first))
	require.True(t, taken(second))

	apply("event_types: [loaded], sources: [bhs], max_payload_bytes: 50", func(address string) bool {
		return rejected(address, "event_type", "bhs", "sorted", "") && rejected(address, "source", "other", "loaded", "") &&
			rejected(address, "payload", "bhs", "loaded", strings.Repeat("x", 60)) && taken(address)
	})
	apply("rate_per_second: 0.01", func(address string) bool {
		status, answer, header := post(address, "other", "sorted", "")
		wait, err := strconv.Atoi(header.Get("Retry-After"))
		return status == http.StatusTooManyRequests && strings.Contains(answer, "rate-limit") && err == nil && wait > 1
	})
	apply("active: false", func(address string) bool {
		status, answer, _ := post(address, "bhs", "loaded", "")
		return status == http.StatusForbidden && strings.Contains(answer, "tenant-inactive")
	})
	apply("active: true", taken)
}
