package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rastrohq/rastro/internal/devstack/broker"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/internal/devstack/simulator"
)

// fleet is rastro's roles in processes of their own, as in production, with a broker and an issuer in this process.
type fleet struct {
	stack
	env      []string
	stopping []func()
}

// startFleet starts an ingest and some processors, which are what is watched, on a PostgreSQL of their own.
func startFleet(ctx context.Context, binary, data string, processors int) (f *fleet, err error) {
	f = &fleet{}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	binary, err = filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("find binary: %w", err)
	}
	if err := errors.Join(f.startDatabase(ctx, data), f.startBroker(ctx, data), f.startIssuer(ctx)); err != nil {
		return nil, err
	}
	migrate := exec.CommandContext(ctx, binary, "migrate")
	migrate.Env = append(os.Environ(), f.env...)
	if said, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w\n%s", err, said)
	}
	for n := range processors {
		p, url, err := f.serve(ctx, binary, data, "processor", n)
		if p != nil {
			f.watched = append(f.watched, p)
		}
		if err != nil {
			return nil, err
		}
		f.telling = append(f.telling, url)
	}
	p, url, err := f.serve(ctx, binary, data, "ingest", 0)
	if p != nil {
		f.beside = append(f.beside, p)
	}
	f.url = url
	return f, err
}

func (f *fleet) startDatabase(ctx context.Context, data string) error {
	database, err := postgres.Start(ctx, postgres.Config{DataDir: filepath.Join(data, "postgres")})
	if err != nil {
		return err
	}
	f.stopping = append(f.stopping, func() { _ = database.Stop(context.WithoutCancel(ctx)) })
	f.env = append(f.env, "RASTRO_DATABASE_URL="+database.URL())
	return nil
}

func (f *fleet) startBroker(ctx context.Context, data string) error {
	listening, err := broker.Listen(ctx, filepath.Join(data, "broker"))
	if err != nil {
		return err
	}
	f.stopping = append(f.stopping, listening.Stop)
	f.env = append(f.env, "RASTRO_BROKER=nats", "RASTRO_NATS_URL="+listening.URL())
	return nil
}

func (f *fleet) startIssuer(ctx context.Context) error {
	tokens, err := issuer.Serve(ctx, 6*time.Hour) // longer than any run
	if err != nil {
		return err
	}
	f.stopping = append(f.stopping, tokens.Close)
	f.env = append(f.env, "RASTRO_OIDC_ISSUER="+tokens.URL, "RASTRO_OIDC_AUDIENCE="+issuer.Audience)
	f.token, err = tokens.Mint(ctx, issuer.ServiceClientID, simulator.DefaultTenants()[0], "events:write", "ops:read")
	return err
}

// serve starts a role and waits until it is ready.
func (f *fleet) serve(ctx context.Context, binary, data, role string, n int) (*process, string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("find a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, "", fmt.Errorf("find a free port: %w", err)
	}
	cmd := exec.Command(binary, "serve", role) //nolint:gosec,noctx // the binary is what we were asked to measure; stop ends it
	cmd.Env = append(cmd.Env, f.env...)
	cmd.Env = append(cmd.Env, "RASTRO_LISTEN="+address)
	p, err := launch(cmd, data, fmt.Sprint(role, n))
	if err != nil {
		return nil, "", err
	}
	url := "http://" + address
	for begin := time.Now(); time.Since(begin) < time.Minute && ctx.Err() == nil; pause(ctx, 20*time.Millisecond) {
		select {
		case <-p.exited:
			return p, url, fmt.Errorf("%s ended before it was ready\n%s", role, p.said())
		default:
		}
		if status, _, err := f.ask(ctx, http.DefaultClient, http.MethodGet, url+"/readyz", ""); err == nil && status == http.StatusOK {
			return p, url, nil
		}
	}
	return p, url, errors.Join(fmt.Errorf("%s is not ready\n%s", role, p.said()), ctx.Err())
}

// stop stops in the opposite order of starting.
func (f *fleet) stop() {
	f.stack.stop()
	for i := len(f.stopping) - 1; i >= 0; i-- {
		f.stopping[i]()
	}
}

// runProcessors measures what an event costs by how many processors share the work: those alone are counted as rastro.
func runProcessors(ctx context.Context, c options, to *records) error {
	for _, processors := range []int{1, 2, 4} {
		progress("growth: %d processors", processors)
		if err := floodFleet(ctx, c, processors, to); err != nil {
			return err
		}
	}
	return nil
}

func floodFleet(ctx context.Context, c options, processors int, to *records) error {
	data, err := dataFolder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	f, err := startFleet(ctx, c.binary, data, processors)
	if err != nil {
		return err
	}
	defer f.stop()
	how := flooding{Connections: 16, Batch: 100, During: c.during, Ahead: floodAhead}
	warm := how
	warm.During = c.warmUp
	if _, err := newFlood(&f.stack, warm, "W").measure(ctx); err != nil {
		return err
	}
	found, err := newFlood(&f.stack, how, "F").measure(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("Growth/processors=%d", processors)
	to.add(name, found.quantities()...)
	found.addStages(to, name)
	return nil
}
