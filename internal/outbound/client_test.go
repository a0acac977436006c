package outbound_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = outbound.Limits{Timeout: 5 * time.Second, MaxAnswer: 100, Conns: 4}

func client(t *testing.T, access outbound.Access, limits outbound.Limits, files fs.FS) *outbound.Client {
	t.Helper()
	c, err := outbound.New(access, limits, files)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestARequestHasWhatItShould(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	access := outbound.Access{Headers: map[string]string{"X-Key": "k", "Accept": "text/html"}, User: "u", Password: "p:w"}
	answer, err := client(t, access, limits, nil).Do(t.Context(), http.MethodPut, server.URL+"/a?b=c", http.Header{"Accept": {"text/plain"}}, []byte("tea"))
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, answer.Status)
	require.False(t, answer.OK())
	require.False(t, answer.Cut)
	require.Equal(t, "short and stout", string(answer.Body))
	require.Equal(t, "PUT /a?b=c", got.Method+" "+got.RequestURI)
	require.Equal(t, "tea", string(body))
	require.Equal(t, "k", got.Header.Get("X-Key"))
	require.Equal(t, "text/plain", got.Header.Get("Accept"))
	require.Equal(t, "rastro", got.UserAgent())
	user, password, _ := got.BasicAuth()
	require.Equal(t, "u p:w", user+" "+password)
}

// What a redirection leads to elsewhere must see neither credentials nor the body: it is not followed.
func TestRedirectionsLeakNothing(t *testing.T) {
	t.Parallel()
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the other host was called") })
	access := outbound.Access{Headers: map[string]string{"X-Key": "secret"}, Token: "secret"}
	for status, want := range map[int]string{
		http.StatusFound:             "it leads to " + other.URL,
		http.StatusTemporaryRedirect: "it leads to " + other.URL,
	} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/?x=1", status) })
		_, err := client(t, access, limits, nil).Do(t.Context(), http.MethodPost, server.URL, nil, []byte("body"))
		require.ErrorIs(t, err, outbound.ErrRedirect)
		require.ErrorContains(t, err, want)
	}
}

func TestRedirectionsOnTheSameHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		method string
		to     string
		want   string // of the error
	}{
		"followed with its body":           {http.StatusTemporaryRedirect, http.MethodPost, "/there", ""},
		"followed":                         {http.StatusFound, http.MethodGet, "/there", ""},
		"not when the method would change": {http.StatusSeeOther, http.MethodPost, "/there", "it makes a GET of a POST"},
		"not for ever":                     {http.StatusTemporaryRedirect, http.MethodPost, "/", "there are more than 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/there" {
					http.Redirect(w, r, c.to, c.status)
					return
				}
				_, _ = io.Copy(w, r.Body)
				_, _ = io.WriteString(w, r.Header.Get("Authorization"))
			})
			var body []byte
			if c.method == http.MethodPost {
				body = []byte("body ")
			}
			answer, err := client(t, outbound.Access{Token: "t"}, limits, nil).Do(t.Context(), c.method, server.URL, nil, body)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, string(body)+"Bearer t", string(answer.Body))
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	answer, err := client(t, outbound.Access{}, limits, nil).Do(t.Context(), http.MethodGet, endless.URL, nil, nil)
	require.NoError(t, err)
	require.True(t, answer.Cut)
	require.Len(t, answer.Body, 100)

	exact := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) })
	answer, err = client(t, outbound.Access{}, limits, nil).Do(t.Context(), http.MethodGet, exact.URL, nil, nil)
	require.NoError(t, err)
	require.False(t, answer.Cut)

	headers := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 1<<20)) })
	_, err = client(t, outbound.Access{}, limits, nil).Do(t.Context(), http.MethodGet, headers.URL, nil, nil)
	require.Error(t, err)
}

func TestTroubleIsToldWithoutTheAddress(t *testing.T) {
	t.Parallel()
	hang := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" { // it begins to answer and does not finish
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the caller go
		<-r.Context().Done()
	})
	reset := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = connection.(*net.TCPConn).SetLinger(0)
			_ = connection.Close()
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())

	short := limits
	short.Timeout = 50 * time.Millisecond
	for name, c := range map[string]struct{ address, want string }{
		"hang":    {hang.URL, "no answer within 50ms"},
		"slow":    {hang.URL + "/slow", "no answer within 50ms"},
		"reset":   {reset.URL, "call 127.0.0.1"},
		"refused": {refused, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, outbound.Access{}, short, nil).Do(t.Context(), http.MethodPost, c.address+"?key=secret", nil, []byte("{}"))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestACancelledContext(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client(t, outbound.Access{}, limits, nil).Do(ctx, http.MethodGet, server.URL, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCertificatesOfOnesOwn(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, len(r.TLS.PeerCertificates))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)

	_, err := client(t, outbound.Access{}, limits, nil).Do(t.Context(), http.MethodGet, server.URL, nil, nil)
	require.ErrorContains(t, err, "certificate")

	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	cert, key := ownCertificate(t)
	files := fstest.MapFS{"ca.pem": {Data: ca}, "cert.pem": {Data: cert}, "key.pem": {Data: key}, "junk.pem": {Data: []byte("junk")}}
	with := func(tls outbound.TLS) outbound.Access { return outbound.Access{TLS: &tls} }
	answer, err := client(t, with(outbound.TLS{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"}), limits, files).
		Do(t.Context(), http.MethodGet, server.URL, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "1", string(answer.Body))

	for want, wrong := range map[string]outbound.TLS{
		"absent.pem": {CA: "absent.pem"}, "holds no certificate": {CA: "junk.pem"}, "junk.pem and key.pem": {Cert: "junk.pem", Key: "key.pem"},
		"none.pem": {Cert: "cert.pem", Key: "none.pem"}, "gone.pem": {Cert: "gone.pem", Key: "key.pem"},
	} {
		_, err := outbound.New(with(wrong), limits, files)
		require.ErrorContains(t, err, want)
	}
	_, err = outbound.New(with(outbound.TLS{CA: "ca.pem"}), limits, nil)
	require.ErrorContains(t, err, "no files")
}

func ownCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "caller"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func TestAccessIsChecked(t *testing.T) {
	t.Parallel()
	header := func(name, value string) outbound.Access {
		return outbound.Access{Headers: map[string]string{name: value}}
	}
	require.NoError(t, outbound.Access{}.Validate())
	require.NoError(t, header("Authorization", "Basic x").Validate())
	require.NoError(t, outbound.Access{User: "u", Password: "p", TLS: &outbound.TLS{CA: "ca.pem"}}.Validate())
	both := header("authorization", "x")
	both.Token = "t"
	for want, access := range map[string]outbound.Access{
		`headers: "X Key" cannot be`: header("X Key", "v"), `headers: "" cannot be`: header("", "v"), "headers: the value of X-Key": header("X-Key", "a\r\nb"),
		"headers: content-length is set": header("content-length", "1"), "headers: there is Authorization": both,
		"token: there is a user": {Token: "t", User: "u"}, "token: it has": {Token: "secret\n"}, "password: there is no user": {Password: "secret"},
		"user: a colon": {User: "a:b"}, "tls: cert and key": {TLS: &outbound.TLS{Cert: "a"}}, `tls: "../a"`: {TLS: &outbound.TLS{CA: "../a"}},
	} {
		err := access.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
	require.NoError(t, outbound.ValidateURL("https://example.com:8443/a?b=c"))
	for _, wrong := range []string{"", "example.com", "ftp://example.com", "https:///a", "https://u:secret@example.com", "https://example.com/#a", "http://[secret"} {
		err := outbound.ValidateURL(wrong)
		require.Error(t, err, wrong)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct{ media, body string }{
		"422 Unprocessable Entity: no such gate": {"application/problem+json; charset=utf-8", `{"title":"Wrong","detail":"no such\ngate"}`},
		"422 Unprocessable Entity: Wrong":        {"application/problem+json", `{"title":"Wrong"}`},
		"422 Unprocessable Entity: bad":          {"application/json", `{"error":"bad"}`},
		"422 Unprocessable Entity: {":            {"application/json", "{"},
		"422 Unprocessable Entity: no":           {"text/plain", "no"},
		"422 Unprocessable Entity":               {"text/html", "<html>"},
	} {
		answer := &outbound.Answer{Status: http.StatusUnprocessableEntity, Header: http.Header{"Content-Type": {c.media}}, Body: []byte(c.body)}
		require.Equal(t, want, answer.Message())
	}
	require.Equal(t, "799", (&outbound.Answer{Status: 799}).Message())
	rapid.Check(t, func(t *rapid.T) {
		text, most := rapid.String().Draw(t, "text"), rapid.IntRange(3, 40).Draw(t, "most")
		line := outbound.Line(text, most)
		if len(line) > most || strings.ContainsAny(line, "\r\n\t\x00") || line != outbound.Line(line, most) {
			t.Fatalf("%q", line)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": -1, "soon": -1, "-3": -1, "0": 0, " 7 ": 7 * time.Second, "99999999999": outbound.MaxWait, "9999999999999999999999": -1,
		now.Add(3 * time.Second).Format(http.TimeFormat): 3 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
		now.Add(24 * time.Hour).Format(http.TimeFormat): outbound.MaxWait,
	} {
		got, ok := (&outbound.Answer{Header: http.Header{"Retry-After": {value}}}).RetryAfter(now)
		require.Equal(t, want >= 0, ok, value)
		require.Equal(t, max(want, 0), got, value)
	}
}

func TestWhatIsIdleIsClosed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := outbound.New(outbound.Access{}, limits, nil)
	require.NoError(t, err)
	for range 2 { // over one connection
		_, err = c.Do(t.Context(), http.MethodGet, server.URL, nil, nil)
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Fatal(errors.New("the connection is still open"))
	}
}
