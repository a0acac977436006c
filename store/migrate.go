package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// minServerVersion is the oldest PostgreSQL that the schema works on, as server_version_num.
const minServerVersion = 150000

// Migrate brings the schema of the database at url up to date. Any number of processes may do so at once: one migrates, the
// others wait. The role of url must own the schema and, where the role rastro_query does not exist yet, have CREATEROLE.
func Migrate(ctx context.Context, url string, logger *slog.Logger) error {
	return MigrateWith(ctx, Config{URL: url}, logger)
}

// MigrateWith does as Migrate, and connects as Open does with the configuration.
func MigrateWith(ctx context.Context, config Config, logger *slog.Logger) error {
	if err := config.Validate(); err != nil {
		return fmt.Errorf("store configuration: %w", err)
	}
	return withProvider(config, func(db *sql.DB, provider *goose.Provider) error {
		var version int
		if err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return fmt.Errorf("ask for the server's version: %w", err)
		}
		if version < minServerVersion {
			return fmt.Errorf("the server is PostgreSQL %d: %d or later is needed", version/10000, minServerVersion/10000)
		}
		results, err := provider.Up(ctx)
		if err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
		for _, result := range results {
			logger.InfoContext(ctx, "database migrated", "migration", result.Source.Path, "took", result.Duration.String())
		}
		return nil
	})
}

// SchemaVersion returns the version of the database's schema, and the one that this program was made for. They differ when
// Migrate has to run, or when a newer program has run it.
func (s *Store) SchemaVersion(ctx context.Context) (current, wanted int64, err error) {
	err = withProvider(s.config, func(_ *sql.DB, provider *goose.Provider) error {
		current, wanted, err = provider.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		return nil
	})
	return current, wanted, err
}

func withProvider(c Config, use func(*sql.DB, *goose.Provider) error) (err error) {
	config, err := c.withDefaults().poolConfig(c.URL)
	if err != nil {
		return err
	}
	// A migration takes what it takes, and others wait for it meanwhile.
	delete(config.ConnConfig.RuntimeParams, "statement_timeout")
	delete(config.ConnConfig.RuntimeParams, "idle_in_transaction_session_timeout")
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	// A session lock that is asked for once a second, for five minutes at most.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 30))
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	db := stdlib.OpenDB(*config.ConnConfig, stdlib.OptionBeforeConnect(config.BeforeConnect))
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return use(db, provider)
}
