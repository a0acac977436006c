package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// renewedFor is how long the outcome of a renewal answers requests that were sent with the cookies before it.
	// Refresh tokens are good for one use, and a page sends several requests at once.
	renewedFor = 30 * time.Second
	// maxRenewals bounds how many outcomes are remembered.
	maxRenewals = 4096
)

// renewal is what a refresh token was exchanged for.
type renewal struct {
	access, refresh string
	identity        Identity
	until           time.Time
}

// renew exchanges a refresh token, once, however many requests ask. Its errors wrap ErrSessionEnded when the issuer
// refuses, and ErrUnavailable when it cannot be asked.
func (s *Sessions) renew(ctx context.Context, refresh sealed) (renewal, error) {
	sum := sha256.Sum256([]byte(refresh.Token))
	if done, ok := s.remembered(sum); ok {
		return done, nil
	}
	flight := s.flights.DoChan(string(sum[:]), func() (any, error) {
		if done, ok := s.remembered(sum); ok {
			return done, nil
		}
		// The exchange is everybody's, and it spends the token: that the first who asked went away must not end it.
		flightCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.verifier.cfg.Timeout)
		defer cancel()
		done, err := s.exchange(flightCtx, refresh.Token)
		if err != nil {
			return nil, err
		}
		s.renewed.Set(sum, done)
		return done, nil
	})
	select {
	case <-ctx.Done():
		return renewal{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case r := <-flight:
		done, ok := r.Val.(renewal)
		if r.Err != nil || !ok {
			return renewal{}, r.Err
		}
		return done, nil
	}
}

func (s *Sessions) remembered(sum [sha256.Size]byte) (renewal, bool) {
	done, ok := s.renewed.GetIfPresent(sum)
	return done, ok && s.verifier.now().Before(done.until)
}

func (s *Sessions) exchange(ctx context.Context, refresh string) (renewal, error) {
	client, err := s.oauth(ctx, "")
	if err != nil {
		return renewal{}, err
	}
	ctx = oidc.ClientContext(ctx, s.verifier.client)
	token, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return renewal{}, tokenError(err)
	}
	id, err := s.verifier.Verify(ctx, token.AccessToken)
	if err != nil {
		return renewal{}, fmt.Errorf("check renewed token: %w", err)
	}
	return renewal{
		access: token.AccessToken, refresh: token.RefreshToken, identity: id, until: s.verifier.now().Add(renewedFor),
	}, nil
}

// tokenError tells a refusal of the token endpoint from its absence. The issuer's text may quote what it was sent, so
// only its error code goes on.
func tokenError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := refused.Response.StatusCode
		if status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
			return fmt.Errorf("%w: token endpoint: status %d, %q", ErrSessionEnded, status, refused.ErrorCode)
		}
		return fmt.Errorf("%w: token endpoint: status %d", ErrUnavailable, status)
	}
	return fmt.Errorf("%w: token endpoint: %w", ErrUnavailable, err)
}
