package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/store"
)

// crossings has somebody with the role tenants:all ask every operation for the victim's data: they get it, exports and streams too, and
// each time is in the victim's audit. Who lacks the operation's own role gets nothing.
func (s *attackStand) crossings(t *testing.T) {
	t.Helper()
	operator := s.party("talma-mx", append(tenantRoles(), roleTenantsAll)...)
	limited := s.party("talma-mx", roleTenantsAll)
	for _, o := range s.document.operations() {
		if slices.Contains(ofNoTenant(), o.OperationID) {
			continue
		}
		r := with(s.ask(o, s.victim), parameterOf(o, "tenant"), s.victim.tenant)
		accepts := []string{""}
		for media := range o.Responses["200"].Content {
			accepts = append(accepts, media)
		}
		for _, accept := range accepts {
			if accept != "" {
				r.header = http.Header{"Accept": {accept}}
			}
			seen := s.accesses()
			got := s.send(operator, r)
			require.Less(t, got.status, 300, "%s: %s", r, got.body)
			if !operationsUnderAttack[o.OperationID].silent {
				require.Contains(t, got.body, "zq7", r)
			}
			entries := s.accesses()
			require.Len(t, entries, len(seen)+1, "%s is noted once", r)
			last := entries[len(entries)-1]
			var what store.Crossing
			require.NoError(t, json.Unmarshal(last.Filter, &what))
			path, err := url.PathUnescape(what.Path)
			require.NoError(t, err)
			wanted, err := url.PathUnescape(r.path)
			require.NoError(t, err)
			require.Equal(t, []string{r.method, wanted}, []string{what.Method, path})
			require.Contains(t, what.Query, "tenant="+s.victim.tenant)
			require.NotEmpty(t, last.Subject)
		}
		seen := s.accesses()
		require.Equal(t, http.StatusForbidden, s.send(limited, r).status, "tenants:all alone opens nothing: %s", r)
		require.Len(t, s.accesses(), len(seen))
	}
	// Whose audit it is in sees it, in the API as well; whose it is not does not.
	audit := attackRequest{method: http.MethodGet, path: "/api/v1/audit", query: url.Values{"limit": {"500"}}}
	require.Contains(t, s.send(s.victim, audit).body, store.CrossingAction)
	require.NotContains(t, s.send(s.attacker, audit).body, store.CrossingAction)
	got := s.send(operator, attackRequest{method: http.MethodGet, path: "/api/v1/dead-letters?unowned=true"})
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, 1, s.count("SELECT count(*) FROM ops_audit WHERE tenant_id = '' AND action = '"+store.CrossingAction+"'"))
	// One's own tenant is none that is reached over to.
	own := s.party(s.victim.tenant, append(tenantRoles(), roleTenantsAll)...)
	seen := len(s.accesses())
	require.Equal(t, http.StatusOK, s.send(own, attackRequest{method: http.MethodGet, path: "/api/v1/traces?tenant=" + s.victim.tenant}).status)
	require.Len(t, s.accesses(), seen)
	require.NotContains(t, strings.ToLower(s.log.take()), victimSecret)
}

func (s *attackStand) count(sql string) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.sql.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// accesses returns the notes of who reached over to the victim, oldest first.
func (s *attackStand) accesses() []store.AuditEntry {
	s.t.Helper()
	rows, err := s.sql.Query(s.t.Context(), `SELECT id, tenant_id, at, subject, name, client, action, filter, count, reason, job_id FROM ops_audit
WHERE tenant_id = $1 AND action = $2 ORDER BY id`, s.victim.tenant, store.CrossingAction)
	require.NoError(s.t, err)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.AuditEntry])
	require.NoError(s.t, err)
	return entries
}
