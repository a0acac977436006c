package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/store"
)

func TestMigrateMakesADatabaseReady(t *testing.T) {
	url := databases.EmptyURL(t)
	t.Setenv("RASTRO_DATABASE_URL", url)
	for range 2 { // running it again changes nothing
		cmd := newMigrateCommand()
		var out bytes.Buffer
		cmd.SetErr(&out)
		cmd.SetArgs(nil)
		require.NoError(t, cmd.ExecuteContext(t.Context()), out.String())
	}
	c := store.DefaultConfig()
	c.URL = url
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, checkSchema(t.Context(), db))
	tenants, err := db.Tenants(t.Context())
	require.NoError(t, err)
	ids := make([]string, len(tenants))
	for i, tenant := range tenants {
		ids[i] = tenant.ID
		require.True(t, tenant.Active)
		require.Empty(t, tenant.Sources, "the demo tenants take anything")
	}
	require.Equal(t, []string{"talma-co", "talma-ec", "talma-mx", "talma-pe"}, ids)
}

func TestMigrateSaysWhatItNeeds(t *testing.T) {
	t.Setenv("RASTRO_DATABASE_URL", "")
	cmd := newMigrateCommand()
	cmd.SetArgs(nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	require.ErrorContains(t, err, "RASTRO_DATABASE_URL")
	require.Equal(t, exitUsage, exitCode(err))
}
