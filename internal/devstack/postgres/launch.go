package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// initdb makes the data directory. It works beside its final place, so that an interrupted one leaves nothing half made.
func (s *Server) initdb(ctx context.Context) error {
	scratch := s.place.data() + ".init"
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil {
		return fmt.Errorf("prepare data directory: %w", err)
	}
	if err := s.as.give(scratch); err != nil {
		return fmt.Errorf("hand the data directory to user %s: %w", s.as.name, err)
	}
	args := []string{
		"-D", scratch, "-U", superuser, "-E", "UTF8", "--locale=" + locale(),
		"-A", "scram-sha-256", "--pwfile=" + s.place.password(), "--no-instructions",
	}
	if s.config.Ephemeral {
		args = append(args, "--no-sync")
	}
	cmd := s.command(ctx, "initdb", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("initdb: %w: %s", err, lastLines(string(out), 10)), os.RemoveAll(scratch))
	}
	if err := os.Rename(scratch, s.place.data()); err != nil {
		return fmt.Errorf("put the data directory in place: %w", err)
	}
	return nil
}

// locale sorts text by its bytes, the same on every machine.
func locale() string {
	if runtime.GOOS == "linux" {
		return "C.UTF-8"
	}
	return "C"
}

// command prepares one of PostgreSQL's programs to run as the server's user, in a small environment of its own.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bins.path(program), args...) //nolint:gosec // An installation we found.
	cmd.Dir = string(s.place)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=" + locale(), "TZ=UTC", "HOME=" + string(s.place)}
	s.as.apply(cmd)
	return cmd
}

func (s *Server) serverArgs() []string {
	args := []string{
		"-D", s.place.data(), "-p", strconv.Itoa(s.port), "-h", "127.0.0.1",
		// No Unix socket: its path may be too long for the system, its lock file goes stale, and nobody needs it.
		"-c", "unix_socket_directories=",
		"-c", "max_connections=" + strconv.Itoa(s.config.MaxConnections),
		"-c", "cluster_name=rastro", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
		"-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "log_line_prefix=%m [%p] %d ",
	}
	if s.config.Ephemeral {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
			"-c", "autovacuum=off", "-c", "max_wal_size=4GB")
	}
	return args
}

// launch starts the server and waits until it takes connections. What ends by itself is tried again: another process may have
// taken the port that was free a moment ago, and the backends of a killed server may need a moment to notice.
func (s *Server) launch(ctx context.Context) error {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		said, err := s.launchOnce(ctx)
		if err == nil {
			return nil
		}
		portTaken := strings.Contains(said, "Address already in use")
		retriable := portTaken && s.config.Port == 0 || strings.Contains(said, "pre-existing shared memory block")
		if portTaken && s.config.Port != 0 {
			return fmt.Errorf("start PostgreSQL: port %d is taken: %w", s.config.Port, err)
		}
		if !retriable || attempt == attempts || ctx.Err() != nil {
			return fmt.Errorf("start PostgreSQL: %w; the end of %s:\n%s", err, s.place.log(), said)
		}
		if _, err := poll(ctx, 200*time.Millisecond, func() bool { return false }); err != nil {
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
	}
}

// launchOnce is one attempt. With an error it returns what the server had to say.
func (s *Server) launchOnce(ctx context.Context) (said string, err error) {
	if s.port = s.config.Port; s.port == 0 {
		if s.port, err = freePort(); err != nil {
			return "", err
		}
	}
	log, err := openLog(s.place.log())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	start, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return "", fmt.Errorf("find the end of the server's log: %w", err)
	}
	// The server outlives this call: its process ends by Stop, not with ctx.
	cmd := s.command(context.WithoutCancel(ctx), "postgres", s.serverArgs()...)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd, s.config.Ephemeral)
	if s.process, err = startProcess(cmd); err != nil {
		return "", err
	}
	if err := s.awaitReady(ctx); err != nil {
		stopErr := s.process.stop(context.WithoutCancel(ctx))
		return readFrom(s.place.log(), start), errors.Join(err, stopErr)
	}
	return "", nil
}

// maxLog is how large a server's log may be before the next start puts it aside.
const maxLog = 16 << 20

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put the server's old log aside: %w", err)
		}
	}
	log, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	return log, nil
}

// readFrom returns the last lines of what a log says from an offset on.
func readFrom(path string, offset int64) string {
	content, err := os.ReadFile(path) //nolint:gosec // A path of ours.
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content[min(offset, int64(len(content))):]), 20)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// awaitReady returns when the server takes connections, or why it will not.
func (s *Server) awaitReady(ctx context.Context) error {
	config, err := pgx.ParseConfig(s.url(superuser, "postgres"))
	if err != nil {
		return fmt.Errorf("parse own URL: %w", err)
	}
	config.ConnectTimeout = 2 * time.Second
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			return conn.Close(ctx)
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "28P01" {
			return fmt.Errorf("the password in %s is not the server's: %w", s.place.password(), err)
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("the server ended at once: %w", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// bootstrap makes the role and the database that clients use, where an earlier start has not.
func (s *Server) bootstrap(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url(superuser, "postgres"))
	if err != nil {
		return fmt.Errorf("connect to make the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var role, database bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		EXISTS (SELECT FROM pg_database WHERE datname = $2)`, Role, Database).Scan(&role, &database); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if !role {
		// rand.Text gives base32, so the password needs no quoting.
		if _, err := conn.Exec(ctx, "CREATE ROLE "+Role+" LOGIN CREATEDB CREATEROLE PASSWORD '"+s.password+"'"); err != nil {
			return fmt.Errorf("create role: %w", err)
		}
	}
	if !database {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+Database+" OWNER "+Role); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
	}
	return nil
}
