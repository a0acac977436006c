package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/internal/devstack"
)

const (
	defaultTenant    = "talma-pe"
	requestTimeout   = time.Minute
	maxResponseBytes = 256 << 20

	roleEventsWrite = "events:write"
	roleTracesRead  = "traces:read"
)

// target is the server that a client command talks to, as its flags and environment name it. What they leave open is
// found in the state of a running `rastro dev`.
type target struct {
	url     string
	token   string
	tenant  string
	dataDir string
}

func (t *target) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&t.url, "url", "", "the server's address (default: RASTRO_URL, or the running `rastro dev`)")
	flags.StringVar(&t.token, "token", "", "the bearer token; prefer RASTRO_TOKEN, which other users of the machine do not see")
	flags.StringVar(&t.tenant, "tenant", defaultTenant, "the tenant to ask the running `rastro dev` for a token of")
	flags.StringVar(&t.dataDir, "data", "", "the data folder of the running `rastro dev`, when there are several")
}

// apiClient calls one server as one client.
type apiClient struct {
	base   string // without a trailing slash
	http   *http.Client
	tokens oauth2.TokenSource
}

// connect finds the server and a token for it that has the roles.
func (t *target) connect(ctx context.Context, io streams, roles ...string) (*apiClient, error) {
	address, token := firstOf(t.url, io.getenv("RASTRO_URL")), firstOf(t.token, io.getenv("RASTRO_TOKEN"))
	client := &apiClient{http: newHTTPClient()}
	if address != "" {
		base, err := checkURL(address)
		if err != nil {
			return nil, exitWith(exitUsage, err)
		}
		client.base = base
	}
	if token != "" {
		client.tokens = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
	}
	if client.base != "" && client.tokens != nil {
		return client, nil
	}
	state, err := devstack.Find(ctx, t.dataDir)
	if err != nil {
		if client.base != "" {
			err = fmt.Errorf("no token for %s: give one with RASTRO_TOKEN or --token", client.base)
		}
		return nil, exitWith(exitUnreachable, err)
	}
	if client.base == "" {
		client.base = state.URL
	}
	if client.tokens == nil {
		if !sameServer(client.base, state.URL) {
			return nil, exitWith(exitUnreachable, fmt.Errorf(
				"no token for %s (the running `rastro dev` is %s): give one with RASTRO_TOKEN or --token", client.base, state.URL))
		}
		client.tokens = devTokens(ctx, client.http, state, t.tenant, roles)
	}
	return client, nil
}

func newHTTPClient() *http.Client {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
	}
	return &http.Client{Transport: transport, Timeout: requestTimeout}
}

// close lets go of the connections that are kept for more requests.
func (c *apiClient) close() { c.http.CloseIdleConnections() }

// devTokens asks the issuer of a running `rastro dev` for tokens, and for a new one when one expires.
func devTokens(ctx context.Context, client *http.Client, state devstack.State, tenant string, roles []string) oauth2.TokenSource {
	scopes := append(make([]string, 0, 2+len(roles)), "openid", "tenant:"+tenant)
	for _, role := range roles {
		scopes = append(scopes, "role:"+role)
	}
	config := &clientcredentials.Config{
		ClientID: state.ClientID, ClientSecret: state.ClientSecret, TokenURL: state.TokenURL, Scopes: scopes,
		AuthStyle: oauth2.AuthStyleInHeader,
	}
	return config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client))
}

// bearer returns the token to send.
func (c *apiClient) bearer() (string, error) {
	token, err := c.tokens.Token()
	if err == nil {
		return token.AccessToken, nil
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		why := strings.TrimSuffix(refused.ErrorCode+": "+refused.ErrorDescription, ": ")
		if why == "" && refused.Response != nil {
			why = "it answers " + refused.Response.Status
		}
		return "", exitWith(exitUnreachable, fmt.Errorf("the issuer gives no token: %s", why))
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return "", exitWith(exitUnreachable, &unreachableError{base: failed.URL, err: failed.Err})
	}
	return "", exitWith(exitUnreachable, fmt.Errorf("get a token: %w", err))
}

// response is an answer, read whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request, with further headers by name and value. An error means that there was no answer; every status is an answer.
func (c *apiClient) do(ctx context.Context, method, path, contentType string, body []byte, headers ...string) (*response, error) {
	token, err := c.bearer()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json, "+problem.ContentType)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxResponseBytes+1))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(content) > maxResponseBytes {
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", c.base, maxResponseBytes>>20)
	}
	return &response{status: answer.StatusCode, header: answer.Header, body: content}, nil
}

func (c *apiClient) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the address is said once
	}
	return exitWith(exitUnreachable, &unreachableError{base: c.base, err: err})
}

// unreachableError says that a request got no answer.
type unreachableError struct {
	base string
	err  error
}

func (e *unreachableError) Error() string { return fmt.Sprintf("cannot reach %s: %v", e.base, e.err) }

func (e *unreachableError) Unwrap() error { return e.err }

// refusal turns an answer that is not what the command hoped for into an error with its exit code.
func (r *response) refusal() error {
	code := exitFailure
	hint := ""
	switch r.status {
	case http.StatusUnauthorized:
		code, hint = exitUnreachable, "; is the token expired, or another server's?"
	case http.StatusForbidden:
		code, hint = exitUnreachable, "; does the token have the role and the tenant?"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = exitUnreachable
	}
	return exitWith(code, fmt.Errorf("the server answers %d %s%s", r.status, r.problem(), hint))
}

// problem says in words what a problem body says, or what the status means when there is none.
func (r *response) problem() string {
	var p problem.Problem
	if json.Unmarshal(r.body, &p) == nil && p.Title != "" {
		text := p.Error()
		for _, field := range p.Errors {
			text += fmt.Sprintf(" (%s: %s)", field.Field, field.Message)
		}
		if p.Instance != "" {
			text += fmt.Sprintf(" [instance %s]", p.Instance)
		}
		return text
	}
	if text := http.StatusText(r.status); text != "" {
		return text
	}
	return "(no such status)"
}

// checkURL returns an address without its trailing slash.
func checkURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not a server's address; give one like http://localhost:8080", address)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// sameServer reports whether two addresses are one server's: localhost is spelt in several ways.
func sameServer(a, b string) bool {
	first, errA := url.Parse(a)
	second, errB := url.Parse(b)
	if errA != nil || errB != nil {
		return false
	}
	sameHost := strings.EqualFold(first.Hostname(), second.Hostname()) || loopback(first.Hostname()) && loopback(second.Hostname())
	return sameHost && first.Scheme == second.Scheme && first.Port() == second.Port() &&
		strings.TrimRight(first.Path, "/") == strings.TrimRight(second.Path, "/")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
