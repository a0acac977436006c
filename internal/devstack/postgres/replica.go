package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// SuperuserURL returns the connection URL of Database as the server's superuser, for tests of what only one may do. It holds the
// password.
func (s *Server) SuperuserURL() string { return s.url(superuser, Database) }

// Replica copies the server and starts the copy as a streaming replica of it: a hot standby that takes reads. Its data is removed by its
// Stop, which the caller must call, before the server's. ctx bounds the start only.
func (s *Server) Replica(ctx context.Context) (*Server, error) {
	config := s.config
	config.Ephemeral, config.DataDir, config.Port = true, "", 0
	r := &Server{config: config, as: s.as, bins: s.bins, password: s.password}
	var err error
	if r.place, r.lock, err = ephemeralPlace(ctx, r.as, r.bins); err != nil {
		return nil, errors.Join(err, r.release())
	}
	ctx, cancel := context.WithTimeout(ctx, config.StartTimeout)
	defer cancel()
	if err := r.follow(ctx, s); err != nil {
		return nil, errors.Join(err, r.Stop(context.WithoutCancel(ctx)))
	}
	return r, nil
}

func (s *Server) follow(ctx context.Context, primary *Server) error {
	if err := errors.Join(os.Mkdir(s.place.data(), 0o700), s.as.give(s.place.data())); err != nil {
		return fmt.Errorf("prepare data directory: %w", err)
	}
	cmd := s.command(ctx, "pg_basebackup", "--host=127.0.0.1", "--port="+strconv.Itoa(primary.port), "--username="+superuser,
		"--pgdata="+s.place.data(), "--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+primary.password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the server: %w: %s", err, lastLines(string(out), 10))
	}
	return s.launch(ctx)
}
