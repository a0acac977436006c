package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret   = "only for this test"
	callback = "http://localhost:5173/auth/callback"
	verifier = "dBjftJeZ4CVP-mBv92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

type fixture struct {
	t      *testing.T
	issuer *Issuer
	config Config
	client *http.Client

	mu  sync.Mutex
	now time.Time
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Now()}
	server := httptest.NewUnstartedServer(nil)
	f.config = DefaultConfig("http://"+server.Listener.Addr().String()+"/oidc", secret)
	f.config.Now = func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now }
	if change != nil {
		change(&f.config)
	}
	var err error
	f.issuer, err = New(f.config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/oidc/", f.issuer.Handler())
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	f.client = server.Client()
	f.client.Jar = jar
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

func (f *fixture) advance(d time.Duration) { f.mu.Lock(); defer f.mu.Unlock(); f.now = f.now.Add(d) }

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.body), &v), r.body)
	return v
}

func (f *fixture) do(method, path string, header map[string]string, form url.Values) reply {
	f.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = f.config.Issuer + path
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, path, strings.NewReader(form.Encode()))
	require.NoError(f.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := f.client.Do(req)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (f *fixture) get(path string) reply { return f.do(http.MethodGet, path, nil, nil) }

func (f *fixture) token(form url.Values) reply {
	return f.do(http.MethodPost, "/oauth/token", nil, form)
}

func authorization(changes map[string]string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {WebClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"},
		"state": {"the state"}, "nonce": {"the nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for k, v := range changes {
		q.Set(k, v)
		if v == "" {
			q.Del(k)
		}
	}
	return "/authorize?" + q.Encode()
}

// code signs somebody in up to the code.
func (f *fixture) code(user User) string {
	f.t.Helper()
	page := f.get(authorization(nil))
	require.Equal(f.t, http.StatusFound, page.status, page.body)
	shown := f.get(page.header.Get("Location"))
	require.Equal(f.t, http.StatusOK, shown.status, shown.body)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(shown.body)
	require.NotNil(f.t, id)
	chosen := f.do(http.MethodPost, "/sign-in", nil, url.Values{"id": {id[1]}, "user": {user.Subject()}})
	require.Equal(f.t, http.StatusSeeOther, chosen.status, chosen.body)
	back := f.get(chosen.header.Get("Location"))
	require.Equal(f.t, http.StatusFound, back.status, back.body)
	to, err := url.Parse(back.header.Get("Location"))
	require.NoError(f.t, err)
	require.True(f.t, strings.HasPrefix(to.String(), callback+"?"))
	require.Equal(f.t, "the state", to.Query().Get("state"))
	return to.Query().Get("code")
}

func exchange(code, withVerifier string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {WebClientID}, "redirect_uri": {callback}, "code": {code},
		"code_verifier": {withVerifier},
	}
}

// claims checks the signature by the published keys.
func (f *fixture) claims(raw any) map[string]any {
	f.t.Helper()
	text, ok := raw.(string)
	require.True(f.t, ok, "no token")
	var keys jose.JSONWebKeySet
	require.NoError(f.t, json.Unmarshal([]byte(f.get("/keys").body), &keys))
	token, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256})
	require.NoError(f.t, err)
	found := keys.Key(token.Signatures[0].Header.KeyID)
	require.Len(f.t, found, 1)
	payload, err := token.Verify(found[0])
	require.NoError(f.t, err)
	return reply{body: string(payload)}.json(f.t)
}

func (f *fixture) withKeyFile(file string) Config { c := f.config; c.KeyFile = file; return c }
