package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rastrohq/rastro/internal/seal"
)

// Config says which database to use and how.
type Config struct {
	// URL is the connection string of the database, in either form that libpq takes. Required.
	URL string
	// MaxConns bounds the connections of this process. Defaults to 16.
	MaxConns int32
	// StatementTimeout bounds every statement at the server; longer ones fail with SQLSTATE 57014. Defaults to 30 s.
	StatementTimeout time.Duration
	// ApplicationName is how the process appears in pg_stat_activity. Defaults to "rastro".
	ApplicationName string
	// ClaimRetention is how long claims are kept, and so the longest window that Claim takes. Defaults to 31 days.
	ClaimRetention time.Duration
	// PersonalKeys are the master keys of personal data. Without them what holds personal data is not stored. Defaults to none.
	PersonalKeys *seal.Ring
}

// DefaultConfig returns the defaults; only URL is missing.
func DefaultConfig() Config {
	return Config{
		MaxConns:         16,
		StatementTimeout: 30 * time.Second,
		ApplicationName:  "rastro",
		ClaimRetention:   31 * 24 * time.Hour,
	}
}

// Validate reports what is wrong with the configuration. A field that is zero stands for its default.
func (c Config) Validate() error {
	var errs []error
	if c.URL == "" {
		errs = append(errs, errors.New("URL is required"))
	} else if _, err := pgxpool.ParseConfig(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("URL: %w", err)) // pgx leaves the password out of its errors.
	}
	if c.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("MaxConns %d is negative", c.MaxConns))
	}
	if c.StatementTimeout < 0 {
		errs = append(errs, fmt.Errorf("StatementTimeout %s is negative", c.StatementTimeout))
	}
	if c.ClaimRetention < 0 {
		errs = append(errs, fmt.Errorf("ClaimRetention %s is negative", c.ClaimRetention))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.MaxConns == 0 {
		c.MaxConns = d.MaxConns
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = d.StatementTimeout
	}
	if c.ApplicationName == "" {
		c.ApplicationName = d.ApplicationName
	}
	if c.ClaimRetention == 0 {
		c.ClaimRetention = d.ClaimRetention
	}
	return c
}
