package store

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
)

// managedURL returns the URL of an empty database as a managed server hands it out: its owner is no superuser, may make neither roles
// nor databases, and does not bypass row-level security. Somebody else has made rastro_query and granted it.
func managedURL(t *testing.T) string {
	t.Helper()
	server := startServer(t)
	admin, err := pgx.Connect(t.Context(), server.SuperuserURL())
	require.NoError(t, err)
	for _, sql := range []string{
		"CREATE ROLE rastro_app LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS NOREPLICATION PASSWORD 'app'",
		"CREATE ROLE rastro_query NOLOGIN", "GRANT rastro_query TO rastro_app", "CREATE DATABASE managed OWNER rastro_app",
	} {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	require.NoError(t, admin.Close(t.Context()))
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	u.User, u.Path = url.UserPassword("rastro_app", "app"), "/managed"
	return u.String()
}

// On Amazon RDS and Aurora nobody is a superuser, and the application's role should not even make roles: all migrations run as such a
// role, by several processes at once, and what they make works.
func TestARoleWithoutPrivilegesMigratesAManagedDatabase(t *testing.T) {
	t.Parallel()
	url := managedURL(t)
	const processes = 5
	errs := make(chan error, processes)
	for range processes {
		go func() { errs <- Migrate(t.Context(), url, slog.New(slog.DiscardHandler)) }()
	}
	for range processes {
		require.NoError(t, <-errs)
	}
	s := withKeys(t, url, seal.NewMaster())
	var privileged bool
	require.NoError(t, s.pool.QueryRow(t.Context(),
		"SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&privileged))
	require.False(t, privileged)
	current, wanted, err := s.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, wanted, current)

	require.NoError(t, s.EnsurePartitions(t.Context(), time.Now()))
	fill(t, s, "acme")
	fill(t, s, "umbrella")
	for name, read := range everyRead(t) {
		_, err := read(s)
		require.NoError(t, err, name)
	}
	for _, table := range confined {
		seen, err := readAs(t.Context(), s, "acme", pgx.RowTo[string], "SELECT DISTINCT tenant_id FROM "+table)
		require.NoError(t, err)
		require.Equal(t, []string{"acme"}, seen, table)
	}
	require.NoError(t, errors.Join(
		s.PruneChanges(t.Context(), time.Now()), s.PruneLedger(t.Context(), time.Now()), s.PruneTimings(t.Context(), time.Now())))
	report, err := s.Verify(t.Context(), AuditScope{}, func(f AuditFinding) { t.Errorf("%+v", f) }, nil)
	require.NoError(t, err)
	require.NotZero(t, report)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, s.Listen(ctx, cancel), context.Canceled)
}
