package postgres

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Config says where a server keeps its data and how it runs.
type Config struct {
	// DataDir is the folder that belongs to this server: its data, log, password and lock. It is created when absent.
	// Required unless Ephemeral.
	DataDir string
	// Port is the loopback TCP port to listen on. Defaults to 0: any free one.
	Port int
	// Ephemeral runs a server whose data nobody will miss: it lies in the temporary folder, is never flushed to disk, and
	// is removed by Stop. DataDir must be empty. Defaults to false.
	Ephemeral bool
	// MaxConnections is how many clients the server admits. Defaults to 200.
	MaxConnections int
	// StartTimeout bounds one start of the server, recovery after a crash included, downloads excluded. Defaults to 60 s.
	StartTimeout time.Duration
	// BinDir is the folder of the PostgreSQL programs. Defaults to the empty string: they are looked for, then downloaded.
	BinDir string
	// CacheDir is where downloaded programs are kept. Defaults to the user's cache folder, for root to one under /var/cache.
	CacheDir string
	// RepositoryURL is the Maven repository to download programs from. Defaults to the public one.
	RepositoryURL string
	// Logger is told what is done. Defaults to silence.
	Logger *slog.Logger
}

// DefaultConfig returns the configuration that a zero field stands for.
func DefaultConfig() Config {
	return Config{
		MaxConnections: 200,
		StartTimeout:   time.Minute,
		Logger:         slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// Validate reports what makes a server of this configuration impossible.
func (c Config) Validate() error {
	var errs []error
	if c.Ephemeral && c.DataDir != "" {
		errs = append(errs, errors.New("an ephemeral server chooses its own folder: leave DataDir empty"))
	}
	if !c.Ephemeral && c.DataDir == "" {
		errs = append(errs, errors.New("DataDir is required unless Ephemeral is set"))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is not between 0 and 65535", c.Port))
	}
	if c.MaxConnections < 0 {
		errs = append(errs, fmt.Errorf("MaxConnections %d is negative", c.MaxConnections))
	}
	if c.StartTimeout < 0 {
		errs = append(errs, fmt.Errorf("StartTimeout %s is negative", c.StartTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.MaxConnections == 0 {
		c.MaxConnections = d.MaxConnections
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = d.StartTimeout
	}
	if c.Logger == nil {
		c.Logger = d.Logger
	}
	return c
}
