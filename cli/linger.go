package cli

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rastrohq/rastro/api/problem"
)

// How long and how much a closing connection still reads. A client that is told "too large" in the middle of sending reads
// the answer only if its bytes are taken in meanwhile; were the connection just closed, it would be told "connection reset".
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 20
)

// writeTime is how long a client may take in nothing of what it is sent. What it is sent takes room until it is sent.
const writeTime = time.Minute

// lingering makes the connections of a listener linger when they are closed, and lets no more be open at once than it is told.
type lingering struct {
	net.Listener
	most int64
	open *atomic.Int64
}

func newLingering(listener net.Listener, most int) lingering {
	return lingering{listener, int64(most), new(atomic.Int64)}
}

// tooMany is the answer to who connects when as many are connected as may be.
const tooMany = `{"type":"/problems/overloaded","title":"Service Unavailable","status":503,` +
	`"detail":"More clients are connected than can be served. Send the request again after Retry-After seconds."}`

// Accept implements net.Listener.
func (l lingering) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		wrapped := &lingeringConn{TCPConn: tcp, closed: func() { l.open.Add(-1) }}
		if l.open.Add(1) <= l.most {
			return wrapped, nil
		}
		go wrapped.turnAway()
	}
}

type lingeringConn struct {
	*net.TCPConn
	closed func()
	once   sync.Once
	err    error // of Close
}

// turnAway answers the first request that there is no room. A client does not take an answer to what it has not asked.
func (c *lingeringConn) turnAway() {
	if c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = c.Read(make([]byte, 1)) // whatever comes of it, the answer is the same
	}
	// Who has gone already needs no answer.
	_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		problem.ContentType, len(tooMany), tooMany)
	_ = c.Close()
}

// Write implements net.Conn.
func (c *lingeringConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(p)
}

// Close says that nothing more is coming. What the client still sends is read meanwhile, for a while, and then the connection is
// closed. Close does not wait for that: a server that stops closes one idle connection after the other.
func (c *lingeringConn) Close() error {
	c.once.Do(func() {
		if c.err = c.CloseWrite(); c.err == nil {
			c.err = c.SetReadDeadline(time.Now().Add(lingerTime))
		}
		go c.linger(c.err == nil)
	})
	return c.err
}

func (c *lingeringConn) linger(listen bool) {
	if listen {
		// Whatever ends it, the connection is closed next.
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
	}
	_ = c.TCPConn.Close()
	c.closed()
}
