package faults_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/faults"
)

// echo answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

type client struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return client{conn, bufio.NewReader(conn)}
}

// say returns how long an answer took.
func (c client) say(line string, patience time.Duration) (time.Duration, error) {
	start := time.Now()
	if err := c.SetDeadline(start.Add(patience)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintln(c, line); err != nil {
		return 0, err
	}
	_, err := c.reader.ReadString('\n')
	return time.Since(start), err
}

func TestFaultsComeAndGo(t *testing.T) {
	p, err := faults.Start(echo(t))
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	const patience = 5 * time.Second

	c := dial(t, p.Address())
	_, err = c.say("hello", patience)
	require.NoError(t, err)

	require.NoError(t, p.Delay(100*time.Millisecond))
	took, err := c.say("slow", patience)
	require.NoError(t, err)
	require.GreaterOrEqual(t, took, 200*time.Millisecond, "there and back")
	require.NoError(t, p.Mend())

	require.NoError(t, p.Silence())
	_, err = c.say("nobody hears", 100*time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the connection stays open")
	_, err = dial(t, p.Address()).say("nor this", 100*time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, p.Mend())

	c = dial(t, p.Address())
	_, err = c.say("again", patience)
	require.NoError(t, err)
	require.NoError(t, p.Reset())
	_, err = c.say("torn", patience)
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, p.Mend())

	c = dial(t, p.Address())
	_, err = c.say("again", patience)
	require.NoError(t, err)
	p.Cut()
	_, err = c.say("gone", patience)
	require.Error(t, err)
	_, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address())
	require.Error(t, err, "nobody listens")
	require.NoError(t, p.Mend())
	_, err = dial(t, p.Address()).say("back", patience)
	require.NoError(t, err, "at the same address")

	require.NoError(t, p.Throttle(1))
	took, err = dial(t, p.Address()).say(string(make([]byte, 1024)), patience)
	require.NoError(t, err)
	require.Greater(t, took, 500*time.Millisecond)
}

func TestAnAddressIsNeeded(t *testing.T) {
	_, err := faults.Start("nowhere")
	var wrong *net.AddrError
	require.True(t, errors.As(err, &wrong), "%v", err)
}
