package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/store"
)

// alerting has dead letters wait, and a query role that has looked what is wrong.
func alerting(t *testing.T) *opsStand {
	t.Helper()
	s := newOpsStand(t)
	require.NoError(t, s.db.AddTenants(t.Context(), []store.Tenant{{ID: "talma-pe", Active: true}, {ID: "talma-ec", Active: true}}))
	s.letters("talma-pe", "validate", 3, nil)
	s.url, _ = s.serve(t, roleQuery)
	require.Eventually(t, func() bool {
		at, err := s.db.AlertsLookedAt(t.Context())
		return err == nil && !at.IsZero()
	}, 30*time.Second, 50*time.Millisecond)
	return s
}

func TestAlertsAreListedAndSilenced(t *testing.T) {
	s := alerting(t)
	got := s.rastro("talma-pe", "alerts", "list")
	require.Equal(t, exitOK, got.code, got.failure)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Equal(t, []string{"SEVERITY", "STATE", "SINCE", "ID", "WHAT", "RUNBOOK"}, strings.Fields(lines[0]))
	require.Contains(t, lines[1], "dead-letters-open  3 dead letters wait for somebody to decide")
	require.Contains(t, s.rastro("talma-ec", "alerts", "list").out, "Nothing is wrong; 15 things were looked at")
	list := decodeAs[live.AlertList](t, []byte(s.rastro("talma-pe", "alerts", "list", "--all", "--json").out))
	require.Len(t, list.Items, 1)
	require.NotEmpty(t, list.Pending, "no process has said yet that it runs the pipelines")
	require.Equal(t, exitOK, s.rastro("talma-pe", "alerts", "list", "--fail").code, "a notice is not critical")

	for _, wrong := range [][]string{
		{"silence", "dead-letters-open"}, {"silence", "dead-letters-open", "--why", "x"}, {"silence", "dead-letters-open", "--why", "known", "--for", "0s"},
		{"silence", "dead-letters-open", "--why", "known", "--for", "200h"}, {"silence"}, {"list", "x"},
	} {
		require.Equal(t, exitUsage, s.rastro("talma-pe", append([]string{"alerts"}, wrong...)...).code, wrong)
	}
	require.Equal(t, exitNotFound, s.rastro("talma-ec", "alerts", "silence", "dead-letters-open", "--why", "another's").code)
	got = s.rastro("talma-pe", "alerts", "silence", "dead-letters-open", "--for", "2h", "--why", "the schema is being corrected")
	require.Equal(t, exitOK, got.code, got.err)
	require.Contains(t, got.out, "dead-letters-open is silenced until ")
	require.Contains(t, s.rastro("talma-pe", "alerts", "list").out, "firing, silenced until ")
	require.Contains(t, s.rastro("talma-pe", "dlq", "audit").out, "alerts.silence")
	require.Equal(t, "dead-letters-open is silenced no more.\n", s.rastro("talma-pe", "alerts", "unsilence", "dead-letters-open").out)
	require.Equal(t, exitOK, s.rastro("talma-pe", "alerts", "unsilence", "dead-letters-open").code)
	require.Equal(t, exitNotFound, s.rastro("talma-pe", "alerts", "unsilence", "no-such:alert").code)
}

func TestTheAlertsPageSaysWhatHappens(t *testing.T) {
	s := alerting(t)
	s.readerOf(t, s.url, roleOpsRead, roleOpsWrite)
	require.Equal(t, 2, pageSaysWhatHappens(t, "alerts.md"))
}
