package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

const (
	wellKnown = "/.well-known/openid-configuration"
	// maxResponse bounds what is read of an answer of the issuer, in bytes.
	maxResponse = 1 << 20
	// metadataMaxAge is how often the discovery document is read anew.
	metadataMaxAge = time.Hour
)

// metadata is what we need of the discovery document (OpenID Connect Discovery 1.0, section 3).
type metadata struct {
	endpoint   oauth2.Endpoint
	keysURL    string
	endSession string
}

// discovery finds the issuer's endpoints when they are first needed, so that this process may start before the issuer
// does.
type discovery struct {
	cfg    Config
	client *http.Client
	now    func() time.Time
	group  singleflight.Group

	mu      sync.Mutex
	known   *metadata
	fetched time.Time
}

// metadata returns the endpoints. Errors wrap ErrUnavailable.
func (d *discovery) metadata(ctx context.Context) (*metadata, error) {
	d.mu.Lock()
	known, fresh := d.known, d.now().Sub(d.fetched) < metadataMaxAge
	d.mu.Unlock()
	if known != nil && fresh {
		return known, nil
	}
	found := d.group.DoChan("", func() (any, error) {
		// The fetch is everybody's: that the first who asked went away does not end it.
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
		defer cancel()
		m, err := d.fetch(fetchCtx)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.known, d.fetched = m, d.now()
		return m, nil
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case r := <-found:
		if m, ok := r.Val.(*metadata); ok && r.Err == nil {
			return m, nil
		}
		if known != nil { // what was true an hour ago is better than nothing
			return known, nil
		}
		return nil, r.Err
	}
}

func (d *discovery) fetch(ctx context.Context) (*metadata, error) {
	base := d.cfg.Issuer
	ctx = oidc.ClientContext(ctx, d.client)
	if d.cfg.DiscoveryURL != "" {
		base = strings.TrimSuffix(d.cfg.DiscoveryURL, wellKnown)
		ctx = oidc.InsecureIssuerURLContext(ctx, d.cfg.Issuer) // the issuer is compared below
	}
	provider, err := oidc.NewProvider(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("%w: discover %s: %w", ErrUnavailable, base, err)
	}
	var doc struct {
		Issuer     string `json:"issuer"`
		KeysURL    string `json:"jwks_uri"`
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&doc); err != nil {
		return nil, fmt.Errorf("%w: read discovery document of %s: %w", ErrUnavailable, base, err)
	}
	if doc.Issuer != d.cfg.Issuer {
		return nil, fmt.Errorf("%w: the issuer at %s calls itself %q; the configuration expects %q",
			ErrUnavailable, base, doc.Issuer, d.cfg.Issuer)
	}
	m := &metadata{endpoint: provider.Endpoint(), keysURL: doc.KeysURL, endSession: doc.EndSession}
	if m.keysURL == "" {
		return nil, fmt.Errorf("%w: discovery document of %s names no jwks_uri", ErrUnavailable, base)
	}
	// Browsers reach the issuer by its name; this process, where it was told to.
	m.keysURL, m.endpoint.TokenURL = d.reached(m.keysURL, base), d.reached(m.endpoint.TokenURL, base)
	return m, nil
}

// reached turns an endpoint under the issuer's name into one under base.
func (d *discovery) reached(endpoint, base string) string {
	if rest, ok := strings.CutPrefix(endpoint, strings.TrimSuffix(d.cfg.Issuer, "/")+"/"); ok {
		return strings.TrimSuffix(base, "/") + "/" + rest
	}
	return endpoint
}

// getJSON reads a JSON document.
func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: status %d", url, resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxResponse)).Decode(into); err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	return nil
}
