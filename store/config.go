package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/rastrohq/rastro/internal/seal"
)

// Config says which database to use and how.
type Config struct {
	// URL is the connection string of the database, in either form that libpq takes. Required. Connections to another machine are
	// encrypted and the server's name is verified (sslmode=verify-full) unless it has an sslmode.
	URL string
	// ReadURL is the connection string of a read replica, for OpenReads. Defaults to none.
	ReadURL string
	// ReadMaxLag is how far behind the replica may be that is read from. Defaults to 10 s.
	ReadMaxLag time.Duration
	// CAFile holds the certificates, in PEM, of who may vouch for the server. Defaults to those of the system.
	CAFile string
	// Password is asked for a password before each new connection, in place of what the URL has. Defaults to none.
	Password PasswordFunc
	// MaxConns bounds the connections of this process to each of URL and ReadURL. Defaults to 16.
	MaxConns int32
	// MaxConnLifetime is how old a connection may become, give or take a fifth more. Where names are given to another server and
	// passwords are changed, all connections have followed by then. Defaults to 30 min.
	MaxConnLifetime time.Duration
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
		MaxConnLifetime:  30 * time.Minute,
		ReadMaxLag:       10 * time.Second,
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
	} else if _, err := c.withDefaults().poolConfig(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("URL: %w", err))
	}
	if c.ReadURL != "" {
		if _, err := c.withDefaults().poolConfig(c.ReadURL); err != nil {
			errs = append(errs, fmt.Errorf("ReadURL: %w", err))
		}
	}
	if c.ReadMaxLag < 0 {
		errs = append(errs, fmt.Errorf("ReadMaxLag %s is negative", c.ReadMaxLag))
	}
	if c.MaxConnLifetime < 0 {
		errs = append(errs, fmt.Errorf("MaxConnLifetime %s is negative", c.MaxConnLifetime))
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
	if c.MaxConnLifetime == 0 {
		c.MaxConnLifetime = d.MaxConnLifetime
	}
	if c.ReadMaxLag == 0 {
		c.ReadMaxLag = d.ReadMaxLag
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
