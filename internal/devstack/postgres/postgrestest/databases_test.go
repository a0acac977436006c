package postgrestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE TABLE migrated AS SELECT 1 AS once")
	return err
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for range 2 {
		conn, err := pgx.Connect(t.Context(), databases.URL(t))
		require.NoError(t, err)
		var rows int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM migrated").Scan(&rows))
		require.Equal(t, 1, rows)
		_, err = conn.Exec(t.Context(), "INSERT INTO migrated VALUES (2)")
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
}
