package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// What leaves the machine is encrypted, to a server that has proven its name, unless the URL says otherwise.
func TestConnectionsToOtherMachinesAreEncrypted(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate, _ := newCertificate(t)
	require.NoError(t, os.WriteFile(ca, certificate, 0o600))
	const verified, encrypted, either = "verified", "encrypted", "either"
	for _, c := range []struct{ url, ca, want string }{
		{url: "postgres://u:p@db.example.com/rastro", want: verified},
		{url: "postgresql://u:p@10.0.0.4:5433/rastro", want: verified},
		{url: "host=db.example.com user=u dbname=rastro", want: verified},
		{url: "host=db.example.com user=u dbname=rastro", ca: ca, want: verified},
		{url: "postgres://u:p@db.example.com/rastro?sslmode=require", want: encrypted},
		{url: "postgres://u:p@db.example.com/rastro?sslmode=require", ca: ca, want: verified},
		{url: "postgres://u:p@db.example.com/rastro?ssl=true", want: encrypted},
		{url: "postgres://u:p@db.example.com/rastro?sslmode=prefer", want: either},
		{url: "host=db.example.com sslmode = disable user=u", want: ""},
		{url: "postgres://u:p@db.example.com/rastro?sslmode=disable", ca: ca, want: ""},
		{url: "postgres://u:p@127.0.0.1,db.example.com/rastro", want: verified},
		{url: "postgres://u:p@127.0.0.1,db.example.com/rastro?sslmode=disable", want: ""},
		{url: "postgres://u:p@127.0.0.1:5432/rastro", want: either},
		{url: "postgres://u:p@[::1]/rastro", want: either},
		{url: "postgres://u:p@localhost/rastro", want: either},
		{url: "postgres://u:p@localhost/rastro", ca: ca, want: verified},
		{url: "host=/var/run/postgresql user=u", want: ""},
	} {
		config := Config{URL: c.url, CAFile: c.ca}
		require.NoError(t, config.Validate(), c.url)
		parsed, err := config.withDefaults().poolConfig(c.url)
		require.NoError(t, err, c.url)
		got := ""
		unencrypted, warned := false, false
		for _, a := range attempts(&parsed.ConnConfig.Config) {
			unencrypted = unencrypted || a.tls == nil
			warned = warned || a.tls == nil && remote(a.host)
			switch {
			case a.trusted():
				got = verified
			case a.tls != nil:
				got = encrypted
			}
		}
		if unencrypted && got != "" {
			got = either
		}
		require.Equal(t, c.want, got, "%+v", c)
		hosts, err := config.Unencrypted()
		require.NoError(t, err)
		require.Equal(t, warned, len(hosts) > 0, "%+v: %v", c, hosts)
	}
}

// A token is not sent to whoever listens.
func TestTokensGoOnlyToServersThatProveTheirName(t *testing.T) {
	t.Parallel()
	token := func(context.Context, string, string) (string, error) { return "token", nil }
	for url, want := range map[string]string{
		"postgres://u@db.example.com/rastro":                     "",
		"postgres://u@db.example.com/rastro?sslmode=verify-ca":   "",
		"postgres://u@localhost/rastro?sslmode=disable":          "",
		"postgres://u@db.example.com/rastro?sslmode=require":     "could be read on its way",
		"postgres://u@db.example.com/rastro?sslmode=prefer":      "could be read on its way",
		"postgres://u@db.example.com/rastro?sslmode=disable":     "could be read on its way",
		"postgres://u@db.example.com,db2.example.com:123/rastro": "a token is for one endpoint",
	} {
		for _, config := range []Config{{URL: url, Password: token}, {URL: "postgres://localhost", ReadURL: url, Password: token}} {
			err := config.Validate()
			if want == "" {
				require.NoError(t, err, url)
			} else {
				require.ErrorContains(t, err, want, url)
			}
		}
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:hunter2@host:notaport/", "postgres://u:hunter2@%zz/", "host=h password=hunter2 port=x", "postgres://u:hunter2@h/?sslmode=odd",
		"postgres://u:hunter2@127.0.0.1:1/rastro",
	} {
		_, err := Open(t.Context(), Config{URL: url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2", url)
		err = Migrate(t.Context(), url, slog.New(slog.DiscardHandler))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2", url)
	}
}

// newCertificate returns a certificate of 127.0.0.1 that vouches for itself, and its key.
func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "rastro test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func TestTheServersCertificateIsVerified(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	certificate, key := newCertificate(t)
	conn, err := pgx.Connect(t.Context(), server.SuperuserURL())
	require.NoError(t, err)
	for file, content := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		// In the server's folder, as its own.
		_, err = conn.Exec(t.Context(), "COPY (SELECT string_to_table('"+string(content)+"', E'\\n')) TO PROGRAM 'umask 077; cat > "+file+"'")
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), "ALTER SYSTEM SET ssl = on")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	right, wrong := filepath.Join(t.TempDir(), "right.pem"), filepath.Join(t.TempDir(), "wrong.pem")
	require.NoError(t, os.WriteFile(right, certificate, 0o600))
	another, _ := newCertificate(t)
	require.NoError(t, os.WriteFile(wrong, another, 0o600))
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	u.RawQuery = ""
	var s *Store
	require.Eventually(t, func() bool { // the server takes up its configuration when it gets to it
		s, err = Open(t.Context(), Config{URL: u.String(), CAFile: right})
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	defer s.Close()
	require.True(t, get[bool](t, s, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
	require.NoError(t, MigrateWith(t.Context(), Config{URL: u.String(), CAFile: right}, slog.New(slog.DiscardHandler)))
	_, err = Open(t.Context(), Config{URL: u.String(), CAFile: wrong})
	require.ErrorContains(t, err, "certificate")
	u.Host = "localhost:" + u.Port()
	_, err = Open(t.Context(), Config{URL: u.String(), CAFile: right})
	require.ErrorContains(t, err, "certificate", "it is another name's")
	_, err = Open(t.Context(), Config{URL: u.String(), CAFile: filepath.Join(t.TempDir(), "none.pem")})
	require.ErrorContains(t, err, "unable to read CA file")
}

// Connections end in time, and each new one asks for a password.
func TestConnectionsAreRecycled(t *testing.T) {
	t.Parallel()
	databaseURL := databases.URL(t)
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	var asked atomic.Int64
	var refuse atomic.Bool
	config := Config{URL: u.String(), MaxConns: 2, MaxConnLifetime: 100 * time.Millisecond, Password: func(_ context.Context, endpoint, user string) (string, error) {
		if refuse.Load() {
			return "", errors.New("no credentials")
		}
		asked.Add(1)
		if endpoint != u.Host || user != u.User.Username() {
			return "", errors.New("asked for " + user + " at " + endpoint)
		}
		return password, nil
	}}
	s, err := Open(t.Context(), config)
	require.NoError(t, err)
	defer s.Close()
	seen := map[int]bool{}
	require.Eventually(t, func() bool {
		seen[get[int](t, s, "SELECT pg_backend_pid()")] = true
		return len(seen) >= 3
	}, 20*time.Second, 20*time.Millisecond)
	require.GreaterOrEqual(t, asked.Load(), int64(3))

	before := asked.Load()
	require.NoError(t, MigrateWith(t.Context(), config, slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, s.Listen(ctx, cancel), context.Canceled)
	require.GreaterOrEqual(t, asked.Load(), before+2, "migrations and what listens connect by themselves")

	refuse.Store(true)
	require.Eventually(t, func() bool {
		err := s.Ping(t.Context())
		return err != nil && errors.Unwrap(err) != nil && !errors.Is(err, context.Canceled)
	}, 20*time.Second, 20*time.Millisecond)
	require.ErrorContains(t, s.Ping(t.Context()), "get a password for the database: no credentials")
}
