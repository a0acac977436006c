// Package broker runs a NATS JetStream server inside the process, file-backed, for `rastro dev`, for tests and for what measures.
package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is a running broker.
type Server struct {
	server *server.Server
}

// maxPayload is the largest message that the broker takes, in bytes: a frame and room to spare.
const maxPayload = 4 << 20

// maxStore is what all topics may reserve together, in bytes. Topics bound themselves; were this left to the server, a disk with
// little room would keep them from being made although they are nearly empty.
const maxStore = 1 << 40

// Start starts a broker that keeps its topics in dir. It listens on no port: connect with Option. It is ready when Start
// returns; Stop must be called.
func Start(ctx context.Context, dir string) (*Server, error) {
	return start(ctx, &server.Options{DontListen: true, StoreDir: dir})
}

// Listen is Start for other processes as well: they connect to URL, which is on this machine.
func Listen(ctx context.Context, dir string) (*Server, error) {
	return start(ctx, &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, StoreDir: dir})
}

func start(ctx context.Context, o *server.Options) (*Server, error) {
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	o.ServerName, o.JetStream, o.NoSigs, o.NoLog = "rastro-dev", true, true, true
	o.MaxPayload, o.JetStreamMaxStore = maxPayload, maxStore
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	s.Start()
	wait := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	if !s.ReadyForConnections(wait) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("start broker: JetStream did not become ready; is its folder writable, and is there room on the disk?")
	}
	return &Server{server: s}, nil
}

// Option makes a NATS connection go to this server, in process.
func (s *Server) Option() nats.Option { return nats.InProcessServer(s.server) }

// URL is where a server that listens is reached.
func (s *Server) URL() string { return s.server.ClientURL() }

// Stop stops the broker and writes what it holds to disk.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
