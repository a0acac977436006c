package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// Limits bound what a service can cost.
type Limits struct {
	// Timeout is how long a request may take, from the look-up of the host to the last byte of the answer.
	Timeout time.Duration
	// MaxAnswer is how many bytes of an answer's body are read, after decompression.
	MaxAnswer int64
	// Conns is how many connections there are at most at once.
	Conns int
}

// Limits that are nobody's choice.
const (
	maxHeaderBytes = 64 << 10
	maxRedirects   = 3
	idleTimeout    = 90 * time.Second
	userAgent      = "rastro"
)

// Client calls services. It is safe for concurrent use.
type Client struct {
	http      *http.Client
	transport *http.Transport
	access    Access
	limits    Limits
}

// Answer is what a service answered.
type Answer struct {
	// Status is the HTTP status code.
	Status int
	Header http.Header
	// Body is the answer's body, as far as it was read.
	Body []byte
	// Cut says that the body is longer than Limits.MaxAnswer.
	Cut bool
}

// ErrRedirect says that the service answered with a redirection that is not followed: to another host, by another protocol, or
// one that would make another request of it.
var ErrRedirect = errors.New("redirection not followed")

// New makes a client. It opens no connection. files hold what access.TLS names.
func New(access Access, limits Limits, files fs.FS) (*Client, error) {
	tlsConfig, err := access.TLS.config(files)
	if err != nil {
		return nil, err
	}
	// Requests have their own deadline; a connection that is still being made when it has passed must end some time as well.
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 2 * limits.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        tlsConfig,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    limits.Conns,
		MaxConnsPerHost:        limits.Conns,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    2 * limits.Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &Client{
		http:      &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		transport: transport, access: access, limits: limits,
	}, nil
}

// checkRedirect follows a redirection only where the credentials and the body were meant to go all the same.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: there are more than %d", ErrRedirect, maxRedirects)
	case next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host:
		return fmt.Errorf("%w: it leads to %s://%s", ErrRedirect, next.URL.Scheme, next.URL.Host)
	case next.Method != first.Method:
		return fmt.Errorf("%w: it makes a %s of a %s", ErrRedirect, next.Method, first.Method)
	}
	return nil
}

// Do makes a request and reads the answer, whatever its status. header holds the request's own headers, may be nil, and stands
// before those of Access. An error means that there is no answer; that of ctx is returned when ctx has ended.
func (c *Client) Do(ctx context.Context, method, address string, header http.Header, body []byte) (*Answer, error) {
	limited, cancel := context.WithTimeout(ctx, c.limits.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", withoutAddress(err))
	}
	c.prepare(limited, request, header)
	answer, err := c.exchange(request)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("call %s: %w", request.URL.Host, context.Cause(ctx))
	case limited.Err() != nil:
		return nil, fmt.Errorf("call %s: no answer within %s", request.URL.Host, c.limits.Timeout)
	default:
		return nil, fmt.Errorf("call %s: %w", request.URL.Host, withoutAddress(err))
	}
}

func (c *Client) prepare(ctx context.Context, request *http.Request, header http.Header) {
	request.Header.Set("User-Agent", userAgent)
	for name, value := range c.access.Headers {
		request.Header.Set(name, value)
	}
	switch {
	case c.access.Token != "":
		request.Header.Set("Authorization", "Bearer "+c.access.Token)
	case c.access.User != "":
		request.SetBasicAuth(c.access.User, c.access.Password)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(request.Header))
}

func (c *Client) exchange(request *http.Request) (answer *Answer, err error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, c.limits.MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	answer = &Answer{Status: response.StatusCode, Header: response.Header, Body: body}
	if int64(len(body)) > c.limits.MaxAnswer {
		answer.Body, answer.Cut = body[:c.limits.MaxAnswer], true
	}
	return answer, nil
}

// Close closes the connections that are idle, which are all of them once every Do has returned.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// withoutAddress takes the address out of an error: its query may hold a key.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
