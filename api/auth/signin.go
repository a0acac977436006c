package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gofiber/fiber/v2"
	"golang.org/x/oauth2"
)

// flowSlots is how many sign-ins one browser may have under way, in as many tabs; more would only pile up cookies.
const flowSlots = 4

var errFlow = errors.New("sign-in was not started here, or too long ago")

// flow is a sign-in under way, kept in a cookie until the issuer sends the browser back.
type flow struct {
	State    string    `json:"st"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	ReturnTo string    `json:"r"`
	Expires  time.Time `json:"e"`
}

func flowKind(state string) string {
	if state == "" {
		return flowCookie
	}
	return flowCookie + strconv.Itoa(int(state[0])%flowSlots)
}

// SignIn handles GET auth/sign-in?return_to=/path: it sends the browser to the issuer.
func (s *Sessions) SignIn(c *fiber.Ctx) error {
	client, err := s.oauth(c.UserContext(), s.callbackURL(c))
	if err != nil {
		return s.fail(c, err)
	}
	f := flow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		ReturnTo: returnPath(c.Query("return_to"), s.cfg.BasePath), Expires: s.verifier.now().Add(s.cfg.SignInTTL),
	}
	text, err := s.sealer.seal(flowKind(f.State), f)
	if err != nil {
		return s.fail(c, err)
	}
	if err := s.jar(c).write(flowKind(f.State), s.authPath(), text, s.cfg.SignInTTL); err != nil {
		return s.fail(c, err)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Redirect(client.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
}

func (s *Sessions) callbackURL(c *fiber.Ctx) string { return s.origin(c) + s.authPath() + "callback" }

// Callback handles GET auth/callback, where the issuer sends the browser back with a code: it exchanges the code,
// checks both tokens, and starts the session.
func (s *Sessions) Callback(c *fiber.Ctx) error {
	f, err := s.takeFlow(c)
	if err != nil {
		return s.fail(c, err)
	}
	// RFC 9207: an answer that names its issuer must name ours.
	if iss := c.Query("iss"); iss != "" && iss != s.verifier.cfg.Issuer {
		return s.fail(c, fmt.Errorf("%w: answer of another issuer", errFlow))
	}
	if code := c.Query("error"); code != "" {
		return s.fail(c, fmt.Errorf("%w: %q", errRefused, code))
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), s.verifier.cfg.Timeout)
	defer cancel()
	token, idToken, err := s.redeem(ctx, c.Query("code"), f, s.callbackURL(c))
	if err != nil {
		return s.fail(c, err)
	}
	if err := s.start(c, token, idToken); err != nil {
		return s.fail(c, err)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Redirect(f.ReturnTo, http.StatusSeeOther)
}

// takeFlow finds the sign-in that the state belongs to; it is good for one answer.
func (s *Sessions) takeFlow(c *fiber.Ctx) (flow, error) {
	state := c.Query("state")
	kind, j := flowKind(state), s.jar(c)
	var f flow
	if err := s.sealer.open(kind, j.read(kind, s.authPath()), &f); err != nil {
		return flow{}, fmt.Errorf("%w: %w", errFlow, err)
	}
	if subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return flow{}, fmt.Errorf("%w: state is not that of this browser", errFlow)
	}
	j.clear(kind, s.authPath())
	if !s.verifier.now().Before(f.Expires) {
		return flow{}, fmt.Errorf("%w: expired", errFlow)
	}
	return f, nil
}

// redeem exchanges the code and checks what comes: the ID token answers our nonce, the access token opens the API, and
// both are about the same person.
func (s *Sessions) redeem(ctx context.Context, code string, f flow, redirectURI string) (*oauth2.Token, string, error) {
	client, err := s.oauth(ctx, redirectURI)
	if err != nil {
		return nil, "", err
	}
	ctx = oidc.ClientContext(ctx, s.verifier.client)
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, "", tokenError(err)
	}
	id, err := s.verifier.Verify(ctx, token.AccessToken)
	if err != nil {
		return nil, "", fmt.Errorf("check access token: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, "", fmt.Errorf("%w: no ID token", errRefused)
	}
	checker := oidc.NewVerifier(s.verifier.cfg.Issuer, s.verifier.keys, &oidc.Config{
		ClientID: s.cfg.ClientID, SupportedSigningAlgs: s.verifier.cfg.Algorithms,
		Now: func() time.Time { return s.verifier.now().Add(-s.verifier.cfg.Leeway) },
	})
	idToken, err := checker.Verify(ctx, raw)
	if err != nil {
		return nil, "", fmt.Errorf("%w: check ID token: %w", errRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(f.Nonce)) != 1 || idToken.Subject != id.Subject {
		return nil, "", fmt.Errorf("%w: the ID token is not for this sign-in", errRefused)
	}
	if idToken.AccessTokenHash != "" {
		if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, "", fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	return token, raw, nil
}

func (s *Sessions) start(c *fiber.Ctx, token *oauth2.Token, idToken string) error {
	s.end(c)
	now := s.verifier.now()
	values := map[string]string{accessCookie: token.AccessToken, refreshCookie: token.RefreshToken, idCookie: idToken}
	for kind, value := range values {
		if value == "" { // an issuer may give no refresh token: the session then ends with the access token
			continue
		}
		if err := s.put(c, kind, sealed{Token: value, Started: now}); err != nil {
			return err
		}
	}
	return nil
}

// SignOut handles POST auth/sign-out, from the dashboard's own origin: it clears the session and sends the browser to
// the issuer's end_session endpoint (OpenID Connect RP-Initiated Logout 1.0), and from there to the dashboard. To
// scripts, which cannot follow it there, it answers {"location": "..."}.
func (s *Sessions) SignOut(c *fiber.Ctx) error {
	if !s.sameOrigin(c) {
		return refuse(c, ErrForgery)
	}
	hint, hinted := s.get(c, idCookie)
	s.end(c)
	home := s.origin(c) + s.cfg.BasePath
	location := home
	m, err := s.verifier.discovery.metadata(c.UserContext())
	switch {
	case err != nil: // signed out here at least
		s.logger.WarnContext(c.UserContext(), "sign-out cannot reach the issuer", slog.Any("error", err))
	case m.endSession != "":
		if u, err := url.Parse(m.endSession); err == nil {
			q := u.Query()
			q.Set("client_id", s.cfg.ClientID)
			q.Set("post_logout_redirect_uri", home)
			if hinted {
				q.Set("id_token_hint", hint.Token)
			}
			u.RawQuery = q.Encode()
			location = u.String()
		}
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	if strings.Contains(c.Get(fiber.HeaderAccept), fiber.MIMEApplicationJSON) {
		if err := c.JSON(map[string]string{"location": location}); err != nil {
			return fmt.Errorf("write sign-out: %w", err)
		}
		return nil
	}
	return c.Redirect(location, http.StatusSeeOther)
}
