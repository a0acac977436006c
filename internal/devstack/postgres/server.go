// Package postgres starts a real PostgreSQL for `rastro dev` and for tests: it finds (else downloads) the programs, makes a
// database, serves it on a loopback port behind a generated password, and takes it down again. It works as root, where
// PostgreSQL itself refuses to run, by serving as the user postgres or nobody.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Role and Database are what a client finds in a server: a role that is no superuser but may create databases and roles, and
// an empty database that it owns.
const (
	Role     = "rastro"
	Database = "rastro"
)

const superuser = "postgres"

// Server is a PostgreSQL server that this process started.
type Server struct {
	config   Config
	place    place
	as       account
	bins     binaries
	lock     *os.File
	password string
	port     int
	process  *process

	stop    sync.Once
	stopErr error
}

// Start makes the data when there is none, starts a server on it and returns once it takes connections. Data survives a
// restart on the same DataDir. A server that a killed process left on the DataDir is stopped first; one whose process still
// runs is an error. ctx bounds the start only. The caller must call Stop.
func Start(ctx context.Context, config Config) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("postgres configuration: %w", err)
	}
	config = config.withDefaults()
	s := &Server{config: config}
	if err := s.settle(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	startCtx, cancel := context.WithTimeout(ctx, config.StartTimeout)
	defer cancel()
	if err := s.start(startCtx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// URL returns the connection URL of Database as Role. It holds the password.
func (s *Server) URL() string { return s.url(Role, Database) }

// Port returns the loopback port that the server listens on.
func (s *Server) Port() int { return s.port }

// LogFile returns the path of the server's log.
func (s *Server) LogFile() string { return s.place.log() }

// Done is closed when the server has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Stop shuts the server down and removes an ephemeral server's data. Clients are cut off at once; when ctx ends the shutdown is
// forced, which takes some seconds more at most. Stopping again does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		var err error
		if s.process != nil {
			err = s.process.stop(ctx)
		}
		s.stopErr = errors.Join(err, s.release())
	})
	return s.stopErr
}

func (s *Server) url(role, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// settle decides where the data lies, which user serves it and with which programs, and takes the lock.
func (s *Server) settle(ctx context.Context) error {
	as, err := serverAccount()
	if err != nil {
		return err
	}
	if s.config.Ephemeral {
		return s.settleEphemeral(ctx, as)
	}
	dataDir, err := filepath.Abs(s.config.DataDir)
	if err != nil {
		return fmt.Errorf("resolve data folder: %w", err)
	}
	// Open to others until we know who serves it: another user must pass through the parents that this makes.
	if err := os.MkdirAll(dataDir, 0o755); err != nil { //nolint:gosec // What is in it is closed.
		return fmt.Errorf("create data folder: %w", err)
	}
	if err := s.takeLock(ctx, dataDir); err != nil {
		return err
	}
	p, known, err := knownPlace(dataDir)
	if err != nil {
		return err
	}
	major, initialized := "", false
	if known {
		if major, initialized, err = p.initialized(); err != nil {
			return err
		}
	}
	if initialized {
		return s.settleExisting(ctx, p, major)
	}
	s.as = as
	if s.bins, err = s.programs(ctx, 0); err != nil {
		return err
	}
	s.place, err = newPlace(ctx, dataDir, s.as, s.bins, s.config.Logger)
	return err
}

// takeLock takes the lock of dataDir, with some patience for a process that is just ending.
func (s *Server) takeLock(ctx context.Context, dataDir string) error {
	var lockErr error
	_, err := poll(ctx, 2*time.Second, func() bool {
		s.lock, lockErr = lockFile(filepath.Join(dataDir, lockName), true)
		return !errors.Is(lockErr, errLocked)
	})
	if err := errors.Join(lockErr, err); err != nil {
		return fmt.Errorf("lock %s: %w", dataDir, err)
	}
	return nil
}

func (s *Server) settleEphemeral(ctx context.Context, as account) (err error) {
	s.as = as
	sweepEphemeral(ctx, as)
	if s.bins, err = s.programs(ctx, 0); err != nil {
		return err
	}
	s.place, s.lock, err = ephemeralPlace(ctx, as, s.bins)
	return err
}

func (s *Server) settleExisting(ctx context.Context, p place, major string) (err error) {
	s.place = p
	if s.as, err = ownerOf(p.data()); err != nil {
		return err
	}
	want, err := strconv.Atoi(major)
	if err != nil {
		return fmt.Errorf("version of the data in %s: %w", p.data(), err)
	}
	if s.bins, err = s.programs(ctx, want); err != nil {
		return fmt.Errorf("the data in %s was made by PostgreSQL %d: %w; or remove the folder to start afresh", p, want, err)
	}
	if s.as.drop {
		if err := reachable(ctx, string(p), s.as, s.bins); err != nil {
			return fmt.Errorf("user %s cannot reach the data any more: %w", s.as.name, err)
		}
	}
	return nil
}

// programs returns an installation that can serve data of the major version (0: any), downloading one when there is none.
func (s *Server) programs(ctx context.Context, major int) (binaries, error) {
	dirs := []string{s.config.BinDir}
	if s.config.BinDir == "" {
		dirs = installDirs(ctx)
	}
	found, findErr := findBinaries(ctx, dirs, s.as, major)
	if findErr == nil || s.config.BinDir != "" {
		return found, findErr
	}
	cacheDir, err := s.config.cacheDir(s.as)
	if err != nil {
		return binaries{}, err
	}
	fetched, err := fetch(ctx, s.as, cacheDir, s.config.RepositoryURL, s.config.Logger)
	if err != nil {
		return binaries{}, fmt.Errorf("%w, and it could not be downloaded (%w): %s", findErr, err, installHint())
	}
	if major != 0 && fetched.major != major {
		return binaries{}, fmt.Errorf("%w (%d was downloaded): %s", findErr, fetched.major, installHint())
	}
	return fetched, nil
}

// start brings the server up on a settled place.
func (s *Server) start(ctx context.Context) error {
	began := time.Now()
	if err := s.readPassword(); err != nil {
		return err
	}
	_, initialized, err := s.place.initialized()
	if err != nil {
		return err
	}
	if initialized {
		err = stopLeftover(ctx, s.place.data())
	} else {
		err = s.initdb(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	if err := s.bootstrap(ctx); err != nil {
		return err
	}
	s.config.Logger.Info("PostgreSQL is ready", "version", s.bins.major, "port", s.port, "data", s.place.data(),
		"took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// readPassword reads the password of the place, or makes one.
func (s *Server) readPassword() error {
	content, err := os.ReadFile(s.place.password())
	if err == nil {
		s.password = strings.TrimSpace(string(content))
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read password: %w", err)
	}
	s.password = rand.Text()
	if err := os.WriteFile(s.place.password(), []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	return s.as.give(s.place.password())
}

// release gives back what settle took.
func (s *Server) release() error {
	var errs []error
	if s.config.Ephemeral && s.place != "" {
		errs = append(errs, os.RemoveAll(string(s.place)))
	}
	if s.lock != nil {
		errs = append(errs, unlock(s.lock))
		s.lock = nil
	}
	return errors.Join(errs...)
}
