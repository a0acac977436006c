package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is an issuer with a port of its own, for programs that start Rastro's roles as other processes.
type Server struct {
	*Issuer
	// URL is the issuer's, as its tokens name it.
	URL string

	http   *http.Server
	served chan struct{}
}

// Serve serves an issuer on a free port of this machine, whose access tokens live for as long as is said. Close must be called.
func Serve(ctx context.Context, tokens time.Duration) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start issuer: %w", err)
	}
	c := DefaultConfig("http://"+listener.Addr().String()+"/oidc", rand.Text())
	c.AccessTokenTTL = tokens
	issuer, err := New(c)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		Issuer: issuer, URL: c.Issuer, http: &http.Server{Handler: issuer.Handler(), ReadHeaderTimeout: 10 * time.Second}, served: make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // returns when Close closes it
	}()
	return s, nil
}

// Close ends it.
func (s *Server) Close() {
	_ = s.http.Close() // nothing is to be finished
	<-s.served
}
