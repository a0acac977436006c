package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

const (
	headerAPIKey = "X-Api-Key" //nolint:gosec // the name of a header
	// headerCredential, or the query parameter behind it, says which credential a message was signed with, which Standard Webhooks
	// leaves open. A carrier's own address says enough by itself.
	headerCredential = "X-Rastro-Credential" //nolint:gosec // the name of a header
	queryCredential  = "credential"
	// maxCandidates bounds the credentials that a signature is checked against when the sender names none.
	maxCandidates = 16
)

// Gate decides who comes in: with a bearer token, a browser's session, an API key or a signature.
type Gate struct {
	Verifier *Verifier
	Sessions *Sessions // nil: no sessions
	Senders  *Senders  // nil: no credentials of carriers
	Refusals *Refusals
	// Crossings notes what those with tenants:all do for other tenants; nil: nobody may.
	Crossings *Crossings
}

// Handler lets a request pass when it comes with a good bearer token, session cookie or API key; the identity is then in
// c.UserContext(), for FromContext. A signed message passes with its signature unchecked, because its body has not been read yet: it
// has no identity until Signed.Verify. Any other request is answered with a problem: 401 with WWW-Authenticate (RFC 6750, section
// 3), 403 when the token opens nothing, 503 with Retry-After when it cannot be checked.
func (g Gate) Handler() fiber.Handler {
	return func(c *fiber.Ctx) error {
		ctx, err := g.admit(c)
		if err != nil {
			g.Refusals.note(c, err)
			return refuse(c, err)
		}
		ctx = g.Refusals.watch(ctx, c)
		if id, ok := FromContext(ctx); ok && g.Crossings != nil && id.Has(RoleTenantsAll) {
			ctx = g.Crossings.Watch(ctx, c)
		}
		c.SetUserContext(ctx)
		return c.Next()
	}
}

func (g Gate) admit(c *fiber.Ctx) (context.Context, error) {
	ctx := c.UserContext()
	if g.Senders != nil {
		if key := apiKey(c); key != "" {
			id, err := g.Senders.identifyKey(c, key)
			return NewContext(ctx, id), err
		}
		if c.Get(fiber.HeaderAuthorization) == "" && c.Get(headerWebhookSignature) != "" {
			signed, err := g.Senders.signed(c)
			if err != nil {
				return nil, err
			}
			signed.refusals = g.Refusals
			return context.WithValue(ctx, signedKey{}, signed), nil
		}
	}
	id, err := identify(c, g.Verifier, g.Sessions)
	return NewContext(ctx, id), err
}

// apiKey returns the API key of a request, in either place that it may be in.
func apiKey(c *fiber.Ctx) string {
	// Fiber reuses the header's memory after the request.
	header := c.Get(fiber.HeaderAuthorization)
	if header == "" {
		return strings.Clone(c.Get(headerAPIKey))
	}
	scheme, raw, _ := strings.Cut(header, " ")
	if raw = strings.TrimSpace(raw); strings.EqualFold(scheme, "bearer") && strings.HasPrefix(raw, apiKeyPrefix) {
		return strings.Clone(raw)
	}
	return ""
}

// about is an error about a credential that is known.
type about struct {
	err        error
	credential string
	tenant     string
}

func (a *about) Error() string { return a.err.Error() }
func (a *about) Unwrap() error { return a.err }

func (s *sender) because(err error) error { return &about{err, s.ID.String(), s.TenantID} }

// opens returns nil when a credential opens the request's address.
func (s *sender) opens(c *fiber.Ctx) error {
	to, sends := sendsTo(c)
	if !sends || to.carrier != "" && to.carrier != s.Carrier || to.own && s.Carrier == "" {
		return fmt.Errorf("%w: %s %.100s", ErrCredentialScope, c.Method(), c.Path())
	}
	return nil
}

// sentTo is the address that a request sends to: of a carrier; of the carrier whom the sender belongs to, where own is set; or else the
// one for events of our own form.
type sentTo struct {
	carrier string
	own     bool
}

// sendsTo reports whether a request sends events, and where to. Who sends documents of EPCIS may also ask what became of them.
func sendsTo(c *fiber.Ctx) (to sentTo, sends bool) {
	path := strings.TrimSuffix(c.Path(), "/")
	if path == "/api/v1/events" {
		return to, c.Method() == http.MethodPost
	}
	rest, below := strings.CutPrefix(path, "/api/v1/")
	if what, _, _ := strings.Cut(rest, "/"); below && what == "capture" {
		to.own = true
	} else if rest, below = strings.CutPrefix(rest, "carriers/"); below {
		to.carrier, rest, _ = strings.Cut(rest, "/")
	}
	if !below || to.carrier == "" && !to.own {
		return sentTo{}, false
	}
	what, job, ofJob := strings.Cut(rest, "/")
	switch c.Method() {
	case http.MethodPost:
		sends = !ofJob && (what == "events" || what == "capture")
	case http.MethodOptions:
		sends = !ofJob && what == "capture"
	case http.MethodGet:
		sends = what == "capture" && !strings.Contains(job, "/") && (job != "" || !ofJob)
	}
	if !sends {
		return sentTo{}, false
	}
	to.carrier = strings.Clone(to.carrier) // Fiber reuses the path's memory
	return to, true
}

func (s *Senders) identifyKey(c *fiber.Ctx, key string) (Identity, error) {
	if !apiKeyForm.MatchString(key) {
		return Identity{}, fmt.Errorf("%w: it does not look like an API key", ErrUnknownCredential)
	}
	hash := hashAPIKey(key)
	known, found, err := find(c.UserContext(), s, func(set *senderSet) (hashed, bool) {
		h, ok := set.byHash[hash]
		return h, ok
	})
	switch {
	case err != nil:
		return Identity{}, err
	case !found:
		return Identity{}, fmt.Errorf("%w: API key %s…", ErrUnknownCredential, key[:apiKeyShown])
	}
	of, now := known.sender, s.now()
	err = of.state(now)
	if err == nil && over(known.ends, now) {
		err = fmt.Errorf("%w: rotated", ErrRevokedCredential)
	}
	if err == nil {
		err = of.opens(c)
	}
	if err != nil {
		return Identity{}, of.because(err)
	}
	s.touch(of.ID)
	return of.identity(), nil
}

type signedKey struct{}

// Signed is a message whose signature has not been checked.
type Signed struct {
	senders    *Senders
	refusals   *Refusals
	message    webhook
	candidates []*sender
}

// SignedFrom returns the signed message that a request is, for its signature to be checked once its body has been read.
func SignedFrom(ctx context.Context) (*Signed, bool) {
	signed, ok := ctx.Value(signedKey{}).(*Signed)
	return signed, ok
}

// Carrier is the carrier of the credential that the message says it was signed with, which is known before its signature is checked; empty
// when it names none.
func (m *Signed) Carrier() string {
	if len(m.candidates) != 1 {
		return ""
	}
	return m.candidates[0].Carrier
}

// signed reads the headers of a signed message and finds the credentials that may have signed it.
func (s *Senders) signed(c *fiber.Ctx) (*Signed, error) {
	w, err := parseWebhook(strings.Clone(c.Get(headerWebhookID)), strings.Clone(c.Get(headerWebhookTimestamp)), c.Get(headerWebhookSignature))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWebhookHeaders, err)
	}
	if err := w.checkTime(s.now(), s.config.Tolerance); err != nil {
		return nil, err
	}
	if s.vault == nil {
		return nil, fmt.Errorf("%w: RASTRO_CREDENTIALS_KEY is not set here, so no signature can be checked", ErrCredentialsUnavailable)
	}
	to, sends := sendsTo(c)
	if !sends {
		return nil, fmt.Errorf("%w: %s %.100s", ErrCredentialScope, c.Method(), c.Path())
	}
	named := c.Get(headerCredential)
	if named == "" {
		named = c.Query(queryCredential)
	}
	var candidates []*sender
	var found bool
	switch {
	case named != "":
		id, parseErr := uuid.Parse(named)
		if parseErr != nil {
			return nil, fmt.Errorf("%w: the credential that it names is no id", ErrUnknownCredential)
		}
		candidates, found, err = find(c.UserContext(), s, func(set *senderSet) ([]*sender, bool) {
			one, ok := set.byID[id]
			return []*sender{one}, ok
		})
	case to.carrier != "":
		candidates, found, err = find(c.UserContext(), s, func(set *senderSet) ([]*sender, bool) {
			of, ok := set.byCarrier[to.carrier]
			return of, ok
		})
		candidates = s.alive(candidates)
	default:
		return nil, fmt.Errorf("%w: it does not say which it was signed with, in %s or the query parameter %s", ErrUnknownCredential, headerCredential, queryCredential)
	}
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%w: credential %.40q, carrier %.64q", ErrUnknownCredential, named, to.carrier)
	case len(candidates) > maxCandidates:
		return nil, fmt.Errorf("%w: carrier %.64q has %d credentials; name one in %s", ErrUnknownCredential, to.carrier, len(candidates), headerCredential)
	}
	if len(candidates) == 1 { // its name is known before its body is read
		if err := candidates[0].opens(c); err != nil {
			return nil, candidates[0].because(err)
		}
	}
	return &Signed{senders: s, message: w, candidates: candidates}, nil
}

// alive leaves out what was revoked or has expired, unless nothing else is there: whoever signs with it is told so.
func (s *Senders) alive(all []*sender) []*sender {
	now := s.now()
	alive := slices.DeleteFunc(slices.Clone(all), func(one *sender) bool { return one.state(now) != nil })
	if len(alive) == 0 {
		return all[max(0, len(all)-1):]
	}
	return alive
}

// Verify checks the signature of a message against its body, byte for byte as it was sent. It returns who sent it, and the message,
// which was taken in hand unless it is Repeated. Its error is a Problem, for which it has set the headers.
func (m *Signed) Verify(c *fiber.Ctx, body []byte) (Identity, *Message, error) {
	id, message, err := m.verify(c.UserContext(), body)
	if err != nil {
		m.refusals.note(c, err)
		return Identity{}, nil, refusalProblem(c, err)
	}
	if !id.Has(RoleEventsWrite) {
		message.Release(c.UserContext())
		return Identity{}, nil, missingRole(c, id, RoleEventsWrite)
	}
	return id, message, nil
}

func (m *Signed) verify(ctx context.Context, body []byte) (Identity, *Message, error) {
	now := m.senders.now()
	var refusals []error
	for _, of := range m.candidates {
		var live, ended [][]byte
		for _, k := range of.keys {
			if over(k.ends, now) {
				ended = append(ended, k.key)
			} else {
				live = append(live, k.key)
			}
		}
		if !m.message.signedBy(body, live...) {
			switch {
			case m.message.signedBy(body, ended...):
				refusals = append(refusals, of.because(fmt.Errorf("%w: rotated", ErrRevokedCredential)))
			case of.broken:
				refusals = append(refusals, of.because(fmt.Errorf("%w: its secret was sealed with another RASTRO_CREDENTIALS_KEY", ErrCredentialsUnavailable)))
			default:
				refusals = append(refusals, of.because(ErrWebhookSignature))
			}
			continue
		}
		if err := of.state(now); err != nil {
			return Identity{}, nil, of.because(err)
		}
		message, err := m.senders.claim(ctx, of, m.message, body)
		if err != nil {
			return Identity{}, nil, of.because(err)
		}
		m.senders.touch(of.ID)
		return of.identity(), message, nil
	}
	// What can be said best is said: a secret whose time is over, then that it cannot be checked.
	for _, best := range []error{ErrRevokedCredential, ErrCredentialsUnavailable} {
		if i := slices.IndexFunc(refusals, func(err error) bool { return errors.Is(err, best) }); i >= 0 {
			return Identity{}, nil, refusals[i]
		}
	}
	if len(refusals) == 0 {
		return Identity{}, nil, ErrUnknownCredential
	}
	return Identity{}, nil, refusals[0]
}

// RequireSender lets a request pass when who is asking may send events, or has yet to show by a signature who they are: the handler
// must ask SignedFrom.
func RequireSender() fiber.Handler {
	require := Require(RoleEventsWrite)
	return func(c *fiber.Ctx) error {
		if _, ok := SignedFrom(c.UserContext()); ok {
			return c.Next()
		}
		return require(c)
	}
}
