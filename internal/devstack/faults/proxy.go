package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// Proxy passes on what clients and a server say to each other, until it is told to break it. Faults add up until Mend. Its
// methods may be called at any time, by one goroutine at a time each.
type Proxy struct {
	address string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

// mending is how long a fault may take to be put on or taken off the connections that are open.
const mending = 10 * time.Second

// Start starts a proxy on a free loopback port before the server at an address. Stop must be called.
func Start(upstream string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(upstream); err != nil {
		return nil, fmt.Errorf("start proxy before %q: %w", upstream, err)
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics log to a logger of their own, which nobody can replace
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.New(io.Discard))
	p := toxiproxy.NewProxy(server, "faults", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start proxy before %s: %w", upstream, err)
	}
	return &Proxy{address: p.Listen, proxy: p}, nil
}

// Address is where clients find the server now, as host:port. It stays the same.
func (p *Proxy) Address() string { return p.address }

// Delay has everything arrive later, in both directions: a round trip takes twice as long more.
func (p *Proxy) Delay(by time.Duration) error {
	return p.both("latency", map[string]any{"latency": by.Milliseconds()})
}

// Throttle lets no more through than kilobytes a second, a connection and direction.
func (p *Proxy) Throttle(kilobytes int) error {
	return p.both("bandwidth", map[string]any{"rate": kilobytes})
}

// Reset tears every connection that is used, with a TCP reset, and goes on doing so.
func (p *Proxy) Reset() error {
	return p.add("reset_peer", stream.Downstream, map[string]any{"timeout": 0})
}

// Silence has nothing arrive any more, in either direction, while connections stay open and new ones are taken: a network that
// swallows packets, or a server that hangs.
func (p *Proxy) Silence() error {
	return p.both("timeout", map[string]any{"timeout": 0})
}

// Cut closes every connection and takes no new ones: a server that is gone.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proxy.Stop()
}

// Mend takes all faults away. Connections that were silenced are closed by it; what they swallowed is lost.
func (p *Proxy) Mend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), mending)
	defer cancel()
	p.proxy.Toxics.ResetToxics(ctx)
	if err := p.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return fmt.Errorf("mend proxy: %w", err)
	}
	return nil
}

// Stop closes everything.
func (p *Proxy) Stop() { p.Cut() }

func (p *Proxy) both(kind string, attributes map[string]any) error {
	return errors.Join(p.add(kind, stream.Upstream, attributes), p.add(kind, stream.Downstream, attributes))
}

func (p *Proxy) add(kind string, direction stream.Direction, attributes map[string]any) error {
	toxic, err := json.Marshal(map[string]any{
		"name": kind + "-" + direction.String(), "type": kind, "stream": direction.String(), "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		return fmt.Errorf("break proxy: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(toxic)); err != nil {
		return fmt.Errorf("break proxy by %s: %w", kind, err)
	}
	return nil
}

// LeftBehind has goleak not mind what toxiproxy leaves behind of a connection that ends just while a fault is put on it or taken
// off: a goroutine that hands on what nobody takes any more.
func LeftBehind() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*NoopToxic).Pipe")
}
