package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/rastrohq/rastro/internal/seal"
)

// devSecrets are made once for a data folder, so that sessions and credentials outlive a restart.
type devSecrets struct {
	ClientSecret string `json:"client_secret"`
	SessionKey   string `json:"session_key"`
	PersonalKey  string `json:"personal_key,omitempty"`
}

// loadSecrets reads the secrets, or makes them when there are none yet.
func loadSecrets(path string) (devSecrets, error) {
	var s devSecrets
	body, err := os.ReadFile(path) //nolint:gosec // the path is the user's own data folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = devSecrets{ClientSecret: rand.Text(), SessionKey: rand.Text() + rand.Text(), PersonalKey: seal.NewMaster()}
		return s, s.write(path)
	case err != nil:
		return s, fmt.Errorf("read secrets: %w", err)
	}
	if err := json.Unmarshal(body, &s); err != nil || s.ClientSecret == "" || len(s.SessionKey) < 32 {
		return s, fmt.Errorf("%s is damaged; delete it and new secrets are made", path)
	}
	if s.PersonalKey == "" { // of a data folder from before there was one
		s.PersonalKey = seal.NewMaster()
		return s, s.write(path)
	}
	return s, nil
}

func (s devSecrets) write(path string) error {
	body, err := json.Marshal(s) //nolint:gosec // the file's whole purpose; its mode is 0600
	if err != nil {
		return fmt.Errorf("make secrets: %w", err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		return fmt.Errorf("keep secrets: %w", err)
	}
	return nil
}

// tokenCache keeps a token a tenant for as long as it is fresh.
type tokenCache struct {
	mint  func(ctx context.Context, tenant string) (string, error)
	fresh time.Duration
	now   func() time.Time

	mu     sync.Mutex
	tokens map[string]cachedToken
}

type cachedToken struct {
	token string
	at    time.Time
}

func newTokenCache(
	mint func(ctx context.Context, tenant string) (string, error), fresh time.Duration, now func() time.Time,
) *tokenCache {
	return &tokenCache{mint: mint, fresh: fresh, now: now, tokens: map[string]cachedToken{}}
}

func (c *tokenCache) get(ctx context.Context, tenant string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.tokens[tenant]; ok && c.now().Sub(t.at) < c.fresh {
		return t.token, nil
	}
	token, err := c.mint(ctx, tenant)
	if err != nil {
		return "", err
	}
	c.tokens[tenant] = cachedToken{token, c.now()}
	return token, nil
}
