package issuer

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	doc := f.get("/.well-known/openid-configuration").json(t)
	require.Equal(t, f.config.Issuer, doc["issuer"])
	for _, endpoint := range []string{
		"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "revocation_endpoint",
	} {
		require.Contains(t, doc[endpoint], f.config.Issuer+"/", endpoint)
	}
	require.Equal(t, []any{"S256"}, doc["code_challenge_methods_supported"])
	require.Subset(t, doc["grant_types_supported"], []any{"authorization_code", "client_credentials", "refresh_token"})
	require.Empty(t, f.do(http.MethodGet, "/keys", map[string]string{"Origin": "https://evil.example"}, nil).
		header.Get("Access-Control-Allow-Origin"), "no page reads this")
	require.NotContains(t, f.get("/keys").body, `"d"`, "public keys alone")
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	rosa := f.config.Users[0]
	code := f.code(rosa)
	got := f.token(exchange(code, verifier))
	require.Equal(t, http.StatusOK, got.status, got.body)
	body := got.json(t)

	access := f.claims(body["access_token"])
	require.Equal(t, f.config.Issuer, access["iss"])
	require.Equal(t, rosa.Subject(), access["sub"])
	require.ElementsMatch(t, []any{Audience, WebClientID}, access["aud"])
	require.Equal(t, WebClientID, access["azp"])
	require.Equal(t, WebClientID, access["client_id"])
	require.Equal(t, "Bearer", access["typ"])
	require.Equal(t, "rosa.quispe", access["preferred_username"])
	require.Equal(t, "Rosa Quispe", access["name"])
	require.Equal(t, "rosa.quispe@talma-pe.example", access["email"])
	require.Equal(t, "talma-pe", access["tenant"])
	require.Equal(t, map[string]any{"roles": []any{"traces:read", "ops:read", "ops:write", "events:write"}}, access["realm_access"])
	require.InDelta(t, 300, access["exp"].(float64)-access["iat"].(float64), 2)

	id := f.claims(body["id_token"])
	require.Equal(t, []any{WebClientID}, id["aud"], "the ID token opens no API")
	require.Equal(t, "the nonce", id["nonce"])
	require.Equal(t, rosa.Subject(), id["sub"])
	require.Equal(t, "Rosa Quispe", id["name"])
	require.NotContains(t, id, "realm_access")

	access0, ok := body["access_token"].(string)
	require.True(t, ok)
	info := f.do(http.MethodGet, "/userinfo", map[string]string{"Authorization": "Bearer " + access0}, nil).json(t)
	require.Equal(t, "Rosa Quispe", info["name"])
	require.Equal(t, "talma-pe", info["tenant"])
	require.Equal(t, http.StatusUnauthorized, f.get("/userinfo").status)

	require.Equal(t, "invalid_grant", f.token(exchange(code, verifier)).json(t)["error"], "a code is good once")
}

func TestCodeIsSpentByTheFirstAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	code := f.code(f.config.Users[0])
	require.Equal(t, "invalid_grant", f.token(exchange(code, verifier+"x")).json(t)["error"], "PKCE")
	require.Equal(t, "invalid_grant", f.token(exchange(code, verifier)).json(t)["error"], "nobody tries verifiers")

	without := exchange(f.code(f.config.Users[0]), "")
	require.Equal(t, http.StatusBadRequest, f.token(without).status)
	elsewhere := exchange(f.code(f.config.Users[0]), verifier)
	elsewhere.Set("redirect_uri", "http://localhost:5174/auth/callback")
	require.Equal(t, "invalid_grant", f.token(elsewhere).json(t)["error"])

	code = f.code(f.config.Users[0])
	f.advance(codeTTL)
	require.Equal(t, "invalid_grant", f.token(exchange(code, verifier)).json(t)["error"], "too late")
}

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for name, tt := range map[string]struct {
		changes map[string]string
		want    string // the error sent back; empty when nothing may be sent back
	}{
		"no PKCE":              {map[string]string{"code_challenge": "", "code_challenge_method": ""}, "invalid_request"},
		"plain PKCE":           {map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		"unsaid PKCE":          {map[string]string{"code_challenge_method": ""}, "invalid_request"},
		"implicit flow":        {map[string]string{"response_type": "id_token token"}, "unauthorized_client"},
		"prompt=none":          {map[string]string{"prompt": "none"}, "login_required"},
		"unknown client":       {map[string]string{"client_id": "other"}, ""},
		"a service":            {map[string]string{"client_id": ServiceClientID}, ""},
		"another host":         {map[string]string{"redirect_uri": "https://evil.example/auth/callback"}, ""},
		"loopback in the name": {map[string]string{"redirect_uri": "http://127.0.0.1.evil.example/auth/callback"}, ""},
		"loopback as the user": {map[string]string{"redirect_uri": "http://127.0.0.1:80@evil.example/auth/callback"}, ""},
		"another path":         {map[string]string{"redirect_uri": "http://127.0.0.1:8080/elsewhere"}, ""},
		"with a query":         {map[string]string{"redirect_uri": callback + "?x=y"}, ""},
	} {
		got := f.get(authorization(tt.changes))
		if tt.want == "" {
			require.Equal(t, http.StatusBadRequest, got.status, name)
			require.Empty(t, got.header.Get("Location"), name)
			continue
		}
		to, err := url.Parse(got.header.Get("Location"))
		require.NoError(t, err)
		values := to.Query()
		if to.RawQuery == "" {
			values, err = url.ParseQuery(to.Fragment)
			require.NoError(t, err)
		}
		require.Equal(t, tt.want, values.Get("error"), name)
	}
	for _, host := range []string{"http://127.0.0.1:9", "http://[::1]:9", "http://localhost", "http://127.0.0.2:80"} {
		got := f.get(authorization(map[string]string{"redirect_uri": host + "/auth/callback"}))
		require.Contains(t, got.header.Get("Location"), "/oidc/sign-in?id=", host)
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.Clients[0] = WebClient(WebClientID, "/ops/", "https://rastro.example/", "http://10.1.2.3:8080")
	})
	for uri, want := range map[string]int{
		"https://rastro.example/ops/auth/callback": http.StatusFound,
		"http://10.1.2.3:8080/ops/auth/callback":   http.StatusFound,
		"http://127.0.0.1:99/ops/auth/callback":    http.StatusFound,
		"http://10.1.2.3:8081/ops/auth/callback":   http.StatusBadRequest,
		"https://rastro.example/auth/callback":     http.StatusBadRequest,
	} {
		require.Equal(t, want, f.get(authorization(map[string]string{"redirect_uri": uri})).status, uri)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ask := func(id, secret, scope string) reply {
		return f.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {scope}})
	}
	got := ask(ServiceClientID, secret, "tenant:anyone role:events:write role:traces:read openid")
	require.Equal(t, http.StatusOK, got.status, got.body)
	claims := f.claims(got.json(t)["access_token"])
	require.Equal(t, "service:rastro-cli", claims["sub"])
	require.Equal(t, "anyone", claims["tenant"])
	require.Equal(t, map[string]any{"roles": []any{"events:write", "traces:read"}}, claims["realm_access"])
	require.ElementsMatch(t, []any{Audience, ServiceClientID}, claims["aud"])
	require.Equal(t, ServiceClientID, claims["azp"])
	require.NotContains(t, got.json(t), "refresh_token")

	basic := f.do(http.MethodPost, "/oauth/token",
		map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(ServiceClientID+":"+url.QueryEscape(secret)))},
		url.Values{"grant_type": {"client_credentials"}, "scope": {"tenant:a role:traces:read"}})
	require.Equal(t, http.StatusOK, basic.status, basic.body)

	require.Equal(t, http.StatusUnauthorized, ask(ServiceClientID, "wrong", "tenant:a role:traces:read").status)
	require.Equal(t, http.StatusUnauthorized, ask(ServiceClientID, "", "tenant:a role:traces:read").status)
	require.Equal(t, http.StatusUnauthorized, ask(WebClientID, "", "tenant:a role:traces:read").status, "a public client is no service")
	for _, scope := range []string{"", "role:traces:read", "tenant:a", "tenant: role:traces:read", "tenant:a tenant:b role:traces:read"} {
		refused := ask(ServiceClientID, secret, scope)
		require.Equal(t, "invalid_scope", refused.json(t)["error"], scope)
	}

	minted, err := f.issuer.Mint(t.Context(), ServiceClientID, "talma-pe", "ops:read")
	require.NoError(t, err)
	require.Equal(t, "talma-pe", f.claims(minted)["tenant"])
	_, err = f.issuer.Mint(t.Context(), WebClientID, "talma-pe", "ops:read")
	require.Error(t, err)
	_, err = f.issuer.Mint(t.Context(), ServiceClientID, "", "ops:read")
	require.Error(t, err)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	first := f.token(exchange(f.code(f.config.Users[1]), verifier)).json(t)
	refresh := func(token any) reply {
		text, ok := token.(string)
		require.True(t, ok)
		return f.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {WebClientID}, "refresh_token": {text}})
	}
	second := refresh(first["refresh_token"])
	require.Equal(t, http.StatusOK, second.status, second.body)
	require.NotEqual(t, first["refresh_token"], second.json(t)["refresh_token"])
	claims := f.claims(second.json(t)["access_token"])
	require.Equal(t, "Iván Cárdenas", claims["name"])
	require.ElementsMatch(t, []any{Audience, WebClientID}, claims["aud"])
	require.Equal(t, []any{WebClientID}, f.claims(second.json(t)["id_token"])["aud"])
	require.Equal(t, "invalid_grant", refresh(first["refresh_token"]).json(t)["error"], "good once")
	require.Equal(t, "invalid_grant", refresh("made up").json(t)["error"])

	f.advance(f.config.RefreshTokenTTL / 2)
	second = refresh(second.json(t)["refresh_token"])
	require.Equal(t, http.StatusOK, second.status, second.body)
	f.advance(f.config.RefreshTokenTTL / 2)
	require.Equal(t, "invalid_grant", refresh(second.json(t)["refresh_token"]).json(t)["error"], "not beyond its lifetime")

	third := f.token(exchange(f.code(f.config.Users[1]), verifier)).json(t)["refresh_token"]
	text, ok := third.(string)
	require.True(t, ok)
	require.Equal(t, http.StatusOK,
		f.do(http.MethodPost, "/revoke", nil, url.Values{"token": {text}, "client_id": {WebClientID}}).status)
	require.Equal(t, "invalid_grant", refresh(third).json(t)["error"], "revoked")
}

func TestEndSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	body := f.token(exchange(f.code(f.config.Users[0]), verifier)).json(t)
	hint, ok := body["id_token"].(string)
	require.True(t, ok)
	end := func(uri string) reply {
		return f.get("/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {uri}}.Encode())
	}
	require.Equal(t, http.StatusBadRequest, end("https://evil.example/").status)
	require.Equal(t, "http://localhost:5173/", end("http://localhost:5173/").header.Get("Location"))
	refresh, ok := body["refresh_token"].(string)
	require.True(t, ok)
	require.Equal(t, "invalid_grant",
		f.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {WebClientID}, "refresh_token": {refresh}}).json(t)["error"])
	plain := f.get("/end_session")
	require.Equal(t, f.config.Issuer+signedOutPath, plain.header.Get("Location"))
	require.Contains(t, f.get(plain.header.Get("Location")).body, "Sesión cerrada")
}

func TestSignInPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	where := f.get(authorization(nil)).header.Get("Location")
	es := f.get(where)
	require.Contains(t, es.body, `<html lang="es">`)
	require.Contains(t, es.body, "no pide contraseña")
	for _, u := range f.config.Users {
		require.Contains(t, es.body, u.Name())
	}
	en := f.do(http.MethodGet, where, map[string]string{"Accept-Language": "en-GB,en;q=0.9,es;q=0.5"}, nil)
	require.Contains(t, en.body, `<html lang="en">`)
	require.Contains(t, en.body, "asks for no password")
	require.Contains(t, f.get(where+"&lang=en").body, `<html lang="en">`)

	policy := es.header.Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`<style nonce="([^"]+)">`).FindStringSubmatch(es.body)
	require.NotNil(t, nonce)
	require.Contains(t, policy, "style-src 'nonce-"+nonce[1]+"'")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "form-action 'self' http://localhost:5173;", "the form's redirects end there")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, es.body, "<script")
	require.NotRegexp(t, `(src|href)="https?://`, es.body, "nothing from elsewhere")

	require.Equal(t, http.StatusGone, f.get("/sign-in?id=unknown").status)
	require.Equal(t, http.StatusGone, f.do(http.MethodPost, "/sign-in", nil, url.Values{"id": {"unknown"}, "user": {"x"}}).status)
	id := strings.TrimPrefix(where, f.config.Issuer+"/sign-in?id=")
	require.Equal(t, http.StatusGone, f.do(http.MethodPost, "/sign-in", nil, url.Values{"id": {id}, "user": {"unknown"}}).status)
	unfinished := f.get("/authorize/callback?id=" + id)
	require.Contains(t, unfinished.header.Get("Location"), "error=interaction_required", "no code without a choice")
	f.advance(signInTTL)
	require.Equal(t, http.StatusGone, f.get(where).status)
}

func TestPendingSignInsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for range 3 {
		f.get(authorization(nil))
	}
	require.Len(t, f.issuer.storage.signIns, 3)
	f.advance(signInTTL)
	f.get(authorization(nil))
	require.Len(t, f.issuer.storage.signIns, 1, "what expired is forgotten")
}

func TestKeySurvivesARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state", "signing-key.pem")
	with := func(c *Config) { c.KeyFile = file }
	f := newFixture(t, with)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, f.issuer.storage.key.id, newFixture(t, with).issuer.storage.key.id)
	require.NotEqual(t, f.issuer.storage.key.id, newFixture(t, nil).issuer.storage.key.id)
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays")

	require.NoError(t, os.WriteFile(file, []byte("not a key"), 0o600))
	_, err = New(f.withKeyFile(file))
	require.ErrorContains(t, err, "delete it")
	_, err = New(f.withKeyFile(t.TempDir()))
	require.Error(t, err, "a folder is no key")
}

func TestDemoUsers(t *testing.T) {
	t.Parallel()
	roles := map[string]map[string]bool{}
	for _, u := range DemoUsers() {
		require.Regexp(t, `^[a-z]+\.[a-z]+$`, u.Username)
		if roles[u.Tenant] == nil {
			roles[u.Tenant] = map[string]bool{}
		}
		roles[u.Tenant][strings.Join(u.Roles, " ")] = true
	}
	require.Len(t, roles, 4)
	const operator = "traces:read ops:read ops:write events:write"
	require.True(t, roles["talma-pe"][operator+" tenants:all"], "somebody runs the system for all")
	delete(roles["talma-pe"], operator+" tenants:all")
	for tenant, has := range roles {
		require.Equal(t, map[string]bool{operator: true, "traces:read": true, "events:write": true}, has, tenant)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig("http://127.0.0.1:8080/oidc", "s").Validate())
	require.Error(t, DefaultConfig("http://127.0.0.1:8080/oidc", "").Validate(), "a service needs a secret")
	for want, change := range map[string]func(*Config){
		"no http(s) URL": func(c *Config) { c.Issuer = "localhost" },
		"slash":          func(c *Config) { c.Issuer += "/" },
		"audience":       func(c *Config) { c.Audience = "" },
		"lifetimes":      func(c *Config) { c.AccessTokenTTL = 0 },
		"user 1":         func(c *Config) { c.Users = []User{c.Users[0], c.Users[0]} },
		"client 1":       func(c *Config) { c.Clients = []Client{c.Clients[0], c.Clients[0]} },
	} {
		c := DefaultConfig("http://127.0.0.1:8080/oidc", "s")
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
		_, err := New(c)
		require.Error(t, err)
	}
}
