package store

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/faults"
	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	if err := Migrate(ctx, url, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	s, err := Open(ctx, Config{URL: url})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.EnsurePartitions(ctx, time.Now())
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m), faults.LeftBehind()) }

// open returns a store on a database of the test's own.
func open(t testing.TB, opts ...Option) *Store {
	t.Helper()
	return openURL(t, databases.URL(t), opts...)
}

func openURL(t testing.TB, url string, opts ...Option) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url}, opts...)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// get returns the one value that a query of the owner gives.
func get[T any](t testing.TB, s *Store, sql string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

func newEvent(tenant, correlation, eventID string) *tracking.Event {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: tenant, Source: "LA", EventID: eventID, CorrelationID: correlation,
		AggregateID: "0045123456", Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual,
		OccurredAt: now.Add(-time.Hour), ReceivedAt: now, Enrichment: tracking.Enrichment{Milestone: tracking.Loaded},
	}
}

func persistAll(t testing.TB, s *Store, events ...*tracking.Event) {
	t.Helper()
	results, err := s.Persist(t.Context(), events)
	require.NoError(t, err)
	for i, result := range results {
		require.NoError(t, result.Refused, "event %d", i)
		require.True(t, result.Inserted, "event %d", i)
	}
}

func TestMigrateManyAtOnce(t *testing.T) {
	t.Parallel()
	url := databases.EmptyURL(t)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- Migrate(t.Context(), url, slog.New(slog.DiscardHandler)) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	s := openURL(t, url)
	current, wanted, err := s.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, wanted, current)
	require.Positive(t, current)
	persistAll(t, s, newEvent("acme", "c1", "e1")) // Without any month: the default partition takes it.
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM event_store_default"))
}

func TestMigrateWithoutTheRightToMakeTheRoleSaysWhatToDo(t *testing.T) {
	t.Parallel()
	url := databases.EmptyURL(t)
	admin, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(context.Background())) }()
	role := "rastro_plain_" + uuid.NewString()[:8]
	_, err = admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'plain'; GRANT CREATE ON SCHEMA public TO "+role)
	require.NoError(t, err)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		require.NoError(t, err)
		require.Eventually(t, func() bool { // The server may still be closing the role's connections.
			var n int
			err := conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&n)
			return err == nil && n == 0
		}, 10*time.Second, 10*time.Millisecond)
		_, err = conn.Exec(context.Background(), "GRANT "+role+" TO CURRENT_USER; DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, errors.Join(err, conn.Close(context.Background())))
	})
	config := admin.Config().Copy()
	plain := "postgres://" + role + ":plain@" + config.Host + ":" + strconv.Itoa(int(config.Port)) + "/" + config.Database + "?sslmode=disable"
	err = Migrate(t.Context(), plain, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "role rastro_query is needed, and "+role+" may not make it or act as it")
}

func TestOpenRefusesBadConfigurations(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"URL is required":     {},
		"URL":                 {URL: "postgres://host:notaport/"},
		"MaxConns":            {URL: "postgres://localhost", MaxConns: -1},
		"StatementTimeout":    {URL: "postgres://localhost", StatementTimeout: -1},
		"store configuration": {URL: "postgres://localhost", ClaimRetention: -1},
	} {
		_, err := Open(t.Context(), config)
		require.ErrorContains(t, err, name)
	}
}

func TestConnectionsAreAsConfigured(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	s, err := Open(t.Context(), Config{URL: url, StatementTimeout: 1500 * time.Millisecond, ApplicationName: "rastro-query", MaxConns: 3})
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, "1500ms", get[string](t, s, "SHOW statement_timeout"))
	require.Equal(t, "rastro-query", get[string](t, s, "SHOW application_name"))
	require.EqualValues(t, 3, s.pool.Config().MaxConns)
	_, err = s.pool.Exec(t.Context(), "SELECT pg_sleep(60)")
	require.Equal(t, "57014", sqlState(err))
}

func TestTelemetryHoldsNoData(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	s := open(t, WithTelemetry(provider, noop.NewMeterProvider()))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	_, err := s.Persist(ctx, []*tracking.Event{newEvent("acme-secret", "c1", "e1")})
	require.NoError(t, err)
	parent.End()
	require.Greater(t, len(spans.GetSpans()), 2)
	for _, span := range spans.GetSpans() {
		for _, attribute := range span.Attributes {
			require.NotContains(t, attribute.Value.String(), "acme-secret")
		}
	}
}
