// Package store keeps events, traces, claims, dead letters, tenants and counts in PostgreSQL (15 or later).
//
// Invariant 6: only a newly inserted event advances its trace, in the transaction that inserts it.
//
// Invariant 7: a claim binds a business key to the UID that came first with it. The same UID again is a redelivery, another
// UID is a duplicate.
//
// Everything that a tenant reads is read as the role rastro_query, which row-level security confines to the rows of that
// tenant, in a read-only transaction.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ErrNotFound says that what was asked for is not there, or not the tenant's.
var ErrNotFound = errors.New("not found")

// Store is a pool of connections to the database. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	config Config
	// now is the clock of claims; nil means the database's, which all processes share.
	now func() time.Time
	// changes says that Persist has changed traces since it was read last.
	changes chan struct{}
	// replica is where to read, in a store of OpenReads; nil for none. The pool is then another store's.
	replica  *replica
	borrowed bool
	// indexes are the keys that tenants' subjects are found by.
	indexes indexes
}

// Option changes what Open makes.
type Option func(*options)

type options struct {
	tracing []otelpgx.Option
	now     func() time.Time
	// readOnly has the server refuse to write.
	readOnly bool
}

// WithTelemetry records a span and the duration of every query. Parameters are never recorded: they hold tenants' data.
func WithTelemetry(tracers trace.TracerProvider, meters metric.MeterProvider) Option {
	return func(o *options) {
		o.tracing = []otelpgx.Option{
			otelpgx.WithTracerProvider(tracers), otelpgx.WithMeterProvider(meters),
			otelpgx.WithDisableConnectionDetailsInAttributes(),
		}
	}
}

// WithClock has claims dated by a clock other than the database's.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// connectTimeout is how long a new connection may take to be ready.
const connectTimeout = 5 * time.Second

// Open connects to a database that Migrate has prepared. The caller must Close the store.
func Open(ctx context.Context, config Config, opts ...Option) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("store configuration: %w", err)
	}
	config = config.withDefaults()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	pool, err := newPool(ctx, config, config.URL, o)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, config: config, now: o.now, changes: make(chan struct{}, 1)}
	if err := s.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

func newPool(ctx context.Context, config Config, url string, o options) (*pgxpool.Pool, error) {
	c, err := config.poolConfig(url)
	if err != nil {
		return nil, err
	}
	if o.tracing != nil {
		c.ConnConfig.Tracer = otelpgx.NewTracer(o.tracing...)
	}
	if o.readOnly {
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	c.AfterConnect = fastColumns(&buffers{})
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("make connection pool: %w", err)
	}
	return pool, nil
}

// Close waits for queries under way and closes all connections.
func (s *Store) Close() {
	if s.replica != nil {
		s.replica.close()
	}
	if !s.borrowed {
		s.pool.Close()
	}
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	return nil
}

// answerTime is how long an answer may take besides what the server needs for it: the way there and back, and a turn to connect.
const answerTime = 5 * time.Second

// within bounds an operation by as long as its statements may take at the server, and a while for the answer to come. The
// server's own limit does not help with a server that hangs, or that the network no longer reaches: nothing would come then, not
// even an error, and whoever waits would wait for as long as TCP does.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.StatementTimeout+answerTime)
}

// exec runs one statement within the time that it may take.
func (s *Store) exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.pool.Exec(ctx, sql, args...)
}

// abandon ends a transaction that failed, also when ctx has ended. A connection that cannot is closed by the pool.
func abandon(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().PgConn().TxStatus() == 'I' || conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, "ROLLBACK")
}

// sqlState returns the SQLSTATE of an error from the database, or the empty string.
func sqlState(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}
