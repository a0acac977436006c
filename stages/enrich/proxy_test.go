package enrich

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// countingProxy stands before a database and counts how often the talk turns from the client to the server.
type countingProxy struct {
	url   string
	turns atomic.Int32
}

func newCountingProxy(t *testing.T, database string) *countingProxy {
	t.Helper()
	target, err := url.Parse(database)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &countingProxy{}
	server := target.Host
	target.Host = listener.Addr().String()
	p.url = target.String()
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			connections.Go(func() { p.relay(t, client, server) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	return p
}

func (p *countingProxy) relay(t *testing.T, client net.Conn, address string) {
	t.Helper()
	server, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		_ = client.Close()
		return
	}
	var clientSpeaks atomic.Bool
	pass := func(to, from net.Conn, fromClient bool) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				if was := clientSpeaks.Swap(fromClient); fromClient && !was {
					p.turns.Add(1)
				}
				_, _ = to.Write(buffer[:n])
			}
			if err != nil {
				_ = to.Close()
				return
			}
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pass(server, client, true) })
	pass(client, server, false)
	both.Wait()
}
