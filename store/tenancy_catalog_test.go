package store

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
)

// tenantPolicy is the one thing that lets the query role see a row.
const tenantPolicy = "(tenant_id = current_setting('rastro.tenant_id'::text, true))"

// catalog runs a query of the system catalogs.
func catalog[T any](t *testing.T, s *Store, sql string) []T {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), sql)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return all
}

// Whatever the query role may read, of tables, partitions, views and columns, has row-level security with the one policy, also when
// somebody adds it later.
func TestTheQueryRoleReadsNothingThatIsNotConfined(t *testing.T) {
	t.Parallel()
	s := open(t)
	const readable = `
FROM pg_class c WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND (has_table_privilege('rastro_query', c.oid, 'SELECT') OR has_any_column_privilege('rastro_query', c.oid, 'SELECT'))`
	require.ElementsMatch(t, confined, catalog[string](t, s, "SELECT c.relname::text "+readable),
		"what the query role may read must be in confined, and is to be a table with a tenant_id")
	require.Empty(t, catalog[string](t, s, "SELECT c.relname::text "+readable+` AND NOT (c.relkind IN ('r', 'p') AND c.relrowsecurity
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull))`))
	require.Empty(t, catalog[string](t, s, "SELECT c.relname::text "+readable+` AND (SELECT array_agg(pg_get_expr(p.polqual, p.polrelid)) FROM pg_policy p
    WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*') AND p.polroles && ARRAY[0, 'rastro_query'::regrole]::oid[])
    IS DISTINCT FROM ARRAY['`+"(tenant_id = current_setting(''rastro.tenant_id''::text, true))"+`']`), "the one policy is "+tenantPolicy)
	require.Empty(t, catalog[string](t, s, `
SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
    AND has_table_privilege('rastro_query', c.oid, 'SELECT')`))
}

// The query role is nobody else, owns nothing, changes nothing, and no function lends it the rights of another.
func TestTheQueryRoleHasNoOtherRights(t *testing.T) {
	t.Parallel()
	s := open(t)
	require.Equal(t, []bool{false}, catalog[bool](t, s, `
SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin FROM pg_roles WHERE rolname = 'rastro_query'`))
	for what, sql := range map[string]string{
		"is a member of other roles": `SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = 'rastro_query'::regrole`,
		"owns relations":             `SELECT c.relname::text FROM pg_class c WHERE c.relowner = 'rastro_query'::regrole`,
		"owns functions":             `SELECT p.proname::text FROM pg_proc p WHERE p.proowner = 'rastro_query'::regrole`,
		"makes things in schemas":    `SELECT n.nspname::text FROM pg_namespace n WHERE has_schema_privilege('rastro_query', n.oid, 'CREATE') AND n.nspname NOT LIKE 'pg_temp%'`,
		"changes tables": `SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace = current_schema()::regnamespace
    AND has_table_privilege('rastro_query', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')`,
		"changes columns": `SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace = current_schema()::regnamespace
    AND has_any_column_privilege('rastro_query', c.oid, 'INSERT, UPDATE, REFERENCES')`,
		"draws numbers": `SELECT c.relname::text FROM pg_class c WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('rastro_query', c.oid, 'USAGE, UPDATE, SELECT') END`,
		"borrows the rights of others": `SELECT p.proname::text FROM pg_proc p WHERE p.prosecdef AND p.pronamespace = current_schema()::regnamespace
    AND has_function_privilege('rastro_query', p.oid, 'EXECUTE')`,
		"sees large objects": `SELECT oid::text FROM pg_largeobject_metadata`,
	} {
		require.Empty(t, catalog[string](t, s, sql), "the query role %s", what)
	}
}

// Whether a transaction says no tenant, an empty one, one with the quoting of SQL or patterns, or no such one: it sees no row, also not
// through joins and functions of its own.
func TestWithoutATenantThereIsNothing(t *testing.T) {
	t.Parallel()
	s := withKeys(t, databases.URL(t), seal.NewMaster())
	fill(t, s, "acme")
	fill(t, s, "umbrella")
	for _, table := range confined {
		for _, set := range []string{
			"", "SELECT set_config('rastro.tenant_id', '', true)", "SELECT set_config('rastro.tenant_id', NULL, true)",
			"SELECT set_config('rastro.tenant_id', '%', true)", "SELECT set_config('rastro.tenant_id', 'acme'' OR ''1''=''1', true)",
			"SELECT set_config('rastro.tenant_id', 'ACME', true)", "SELECT set_config('rastro.tenant_id', 'acme,umbrella', true)",
			"SELECT set_config('row_security', 'off', true)",
		} {
			n, err := countAlone(t, s, set, "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize())
			if set == "SELECT set_config('row_security', 'off', true)" {
				require.Equal(t, "42501", sqlState(err), "%s: who would see all is refused", table)
				continue
			}
			require.NoError(t, err)
			require.Zero(t, n, "%s after %s", table, set)
		}
		n, err := countAlone(t, s, "SELECT set_config('rastro.tenant_id', 'acme', true)", `
WITH mine AS MATERIALIZED (SELECT tenant_id FROM `+pgx.Identifier{table}.Sanitize()+`)
SELECT count(*) FROM mine FULL JOIN tenant_tracking_settings t USING (tenant_id) WHERE tenant_id <> 'acme'`)
		require.NoError(t, err)
		require.Zero(t, n, table)
	}
}

// countAlone counts in a transaction of the query role that has done nothing but run set.
func countAlone(t *testing.T, s *Store, set, sql string) (n int, err error) {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	_, err = tx.Exec(t.Context(), "SET LOCAL ROLE rastro_query")
	require.NoError(t, err)
	if set != "" {
		_, err = tx.Exec(t.Context(), set)
		require.NoError(t, err)
	}
	err = tx.QueryRow(t.Context(), sql).Scan(&n)
	return n, err
}
