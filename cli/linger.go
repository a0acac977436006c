package cli

import (
	"io"
	"net"
	"sync"
	"time"
)

// How long and how much a closing connection still reads. A client that is told "too large" in the middle of sending reads
// the answer only if its bytes are taken in meanwhile; were the connection just closed, it would be told "connection reset".
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 20
)

// lingering makes the connections of a listener linger when they are closed.
type lingering struct{ net.Listener }

// Accept implements net.Listener.
func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		return &lingeringConn{TCPConn: tcp}, nil
	}
	return conn, err
}

type lingeringConn struct {
	*net.TCPConn
	once sync.Once
	err  error
}

// Close says that nothing more is coming, reads what the client still sends, for a while, and closes.
func (c *lingeringConn) Close() error {
	c.once.Do(func() {
		if c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			// Whatever ends it, the connection is closed next.
			_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
		}
		c.err = c.TCPConn.Close()
	})
	return c.err
}
