package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/devstack/postgres"
)

// stack is what the roles stand on, none of which is killed: PostgreSQL, a broker, and an issuer of tokens.
type stack struct {
	dir      string
	postgres *postgres.Server
	broker   *broker
	issuer   *issuer.Server
	env      []string // what the roles are told of all this

	mu     sync.Mutex
	tokens map[string]string // by tenant
}

// startStack starts everything below the roles; logs and data lie in dir.
func startStack(ctx context.Context, kind, dir string) (s *stack, err error) {
	s = &stack{dir: dir, tokens: map[string]string{}}
	defer func() {
		if err != nil {
			s.stop(ctx)
		}
	}()
	c := postgres.DefaultConfig()
	c.Ephemeral = true
	if s.postgres, err = postgres.Start(ctx, c); err != nil {
		return nil, err
	}
	if s.broker, err = startBroker(ctx, kind, filepath.Join(dir, "broker")); err != nil {
		return nil, err
	}
	if s.issuer, err = issuer.Serve(ctx, 6*time.Hour); err != nil { // longer than any run
		return nil, err
	}
	s.env = append([]string{
		"RASTRO_DATABASE_URL=" + s.postgres.URL(), "RASTRO_DATABASE_MAX_CONNS=8",
		"RASTRO_OIDC_ISSUER=" + s.issuer.URL, "RASTRO_OIDC_AUDIENCE=" + issuer.Audience,
		"RASTRO_LOG_LEVEL=warn", "RASTRO_LOG_FORMAT=json", "RASTRO_SHUTDOWN_TIMEOUT=10s",
	}, s.broker.env...)
	return s, nil
}

// token returns a token of a tenant that may do everything.
func (s *stack) token(ctx context.Context, tenant string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token, known := s.tokens[tenant]; known {
		return token, nil
	}
	token, err := s.issuer.Mint(ctx, issuer.ServiceClientID, tenant, "events:write", "traces:read", "ops:read")
	if err == nil {
		s.tokens[tenant] = token
	}
	return token, err
}

// run runs a command of the binary in the roles' environment and returns what it prints.
func (s *stack) run(ctx context.Context, binary string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // the binary is what we were asked to try
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w", filepath.Base(binary), args, err)
	}
	return out, nil
}

// stop stops what was started, also when ctx has ended.
func (s *stack) stop(ctx context.Context) {
	if s.issuer != nil {
		s.issuer.Close()
	}
	if s.broker != nil {
		s.broker.stop()
	}
	if s.postgres != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		if err := s.postgres.Stop(ctx); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "chaos: stop PostgreSQL:", err)
		}
	}
}
