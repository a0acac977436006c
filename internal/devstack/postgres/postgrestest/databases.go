// Package postgrestest gives each test a database of its own on one PostgreSQL server a package.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/internal/devstack/postgres"
)

// URLVariable names the environment variable that makes tests use an existing server: the URL of a database on it whose role
// may create databases and roles. Without it the tests start a server of their own.
const URLVariable = "RASTRO_TEST_DATABASE_URL"

// Migrate brings the database at a URL to the state that tests start from.
type Migrate func(ctx context.Context, url string) error

// Databases makes databases for the tests of a package: a server, started when the first test asks, with a template that is
// migrated once and copied for every test.
//
//	var databases = postgrestest.New(migrate)
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }
type Databases struct {
	migrate Migrate

	mu       sync.Mutex
	started  bool
	startErr error
	server   *postgres.Server // nil when the server is not ours
	admin    string           // URL of the database that the others are made from
	template string
}

// New returns databases that migrate prepares. Nothing is started yet.
func New(migrate Migrate) *Databases { return &Databases{migrate: migrate} }

// URL returns the URL of a new, migrated database, which is dropped when the test ends.
func (d *Databases) URL(tb testing.TB) string {
	tb.Helper()
	return d.create(tb, false)
}

// EmptyURL returns the URL of a new database that is not migrated, which is dropped when the test ends.
func (d *Databases) EmptyURL(tb testing.TB) string {
	tb.Helper()
	return d.create(tb, true)
}

func (d *Databases) create(tb testing.TB, empty bool) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	if err := d.start(ctx); err != nil {
		tb.Fatalf("start test databases: %v", err)
	}
	name := "rastro_test_" + strings.ToLower(rand.Text())
	template := d.template
	if empty {
		template = "template0"
	}
	if err := d.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		tb.Fatalf("create test database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := d.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop test database: %v", err)
		}
	})
	return withDatabase(d.admin, name)
}

// Around returns m such that the server ends after the last test.
func (d *Databases) Around(m *testing.M) Runner { return Runner{databases: d, m: m} }

// Runner runs the tests of a package; goleak.VerifyTestMain takes it for a *testing.M.
type Runner struct {
	databases *Databases
	m         *testing.M
}

// Run runs the tests, then stops the server. It returns the exit code.
func (r Runner) Run() int {
	code := r.m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.databases.stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "stop test databases:", err)
		return max(code, 1)
	}
	return code
}

func (d *Databases) start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started {
		d.started = true
		d.startErr = d.prepare(ctx)
	}
	return d.startErr
}

func (d *Databases) prepare(ctx context.Context) error {
	d.admin = os.Getenv(URLVariable)
	if d.admin == "" {
		server, err := postgres.Start(ctx, postgres.Config{Ephemeral: true})
		if err != nil {
			return err
		}
		d.server, d.admin = server, server.URL()
	}
	d.template = "rastro_template_" + strings.ToLower(rand.Text())
	if err := d.exec(ctx, "CREATE DATABASE "+d.template); err != nil {
		return fmt.Errorf("create template: %w", err)
	}
	if err := d.migrate(ctx, withDatabase(d.admin, d.template)); err != nil {
		return fmt.Errorf("migrate template: %w", err)
	}
	return nil
}

func (d *Databases) stop(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.server != nil:
		return d.server.Stop(ctx)
	case d.template != "":
		return d.exec(ctx, "DROP DATABASE IF EXISTS "+d.template+" WITH (FORCE)")
	default:
		return nil
	}
}

// exec runs a statement on a connection of its own, so that none is left open between tests.
func (d *Databases) exec(ctx context.Context, sql string) (err error) {
	conn, err := pgx.Connect(ctx, d.admin)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// withDatabase returns the URL with another database in it.
func withDatabase(rawURL, database string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return rawURL + " dbname=" + database // Keywords and values: the last one wins.
	}
	u.Path = "/" + database
	return u.String()
}
