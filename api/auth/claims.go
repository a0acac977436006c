package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxTenant bounds the tenant claim, in bytes.
const maxTenant = 128

// claims are those of a token whose signature is good.
type claims map[string]any

func parseClaims(payload []byte) (claims, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var c claims
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || c == nil {
		return nil, fmt.Errorf("%w: claims are not one JSON object", ErrMalformed)
	}
	return c, nil
}

func (c claims) text(name string) string {
	s, ok := c[name].(string)
	if !ok {
		return ""
	}
	return s
}

// at finds a claim: by its whole name first, because names may hold dots, else by the path that the dots make.
func (c claims) at(name string) any { return within(c, name) }

// within follows a path of names parted by dots into an object. Where names hold dots, the longest that leads on is followed.
func within(object map[string]any, path string) any {
	if v, ok := object[path]; ok {
		return v
	}
	for end := strings.LastIndexByte(path, '.'); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		if inner, ok := object[path[:end]].(map[string]any); ok {
			if v := within(inner, path[end+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// date reads a NumericDate (RFC 7519, section 2): seconds, maybe with a fraction. found is false when there is none.
func (c claims) date(name string) (t time.Time, found bool, err error) {
	v, ok := c[name]
	if !ok || v == nil {
		return time.Time{}, false, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false, fmt.Errorf("%w: claim %s is no number", ErrMalformed, name)
	}
	seconds, err := n.Float64()
	if err != nil || math.Abs(seconds) > 1<<40 {
		return time.Time{}, false, fmt.Errorf("%w: claim %s is no time", ErrMalformed, name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true, nil
}

// list reads a claim that is a list of texts, or one text.
func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var texts []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				texts = append(texts, s)
			}
		}
		return texts
	default:
		return nil
	}
}

// check holds the claims against the rules of RFC 7519, section 4.1, and RFC 9068, section 4; it returns the expiry.
func (c claims) check(cfg Config, now time.Time) (time.Time, error) {
	if iss := c.text("iss"); iss != cfg.Issuer {
		return time.Time{}, fmt.Errorf("%w: %q instead of %q", ErrIssuer, iss, cfg.Issuer)
	}
	expiry, found, err := c.date("exp")
	if err != nil {
		return time.Time{}, err
	}
	if !found {
		return time.Time{}, fmt.Errorf("%w: no exp claim", ErrMalformed)
	}
	if !now.Before(expiry.Add(cfg.Leeway)) {
		return time.Time{}, fmt.Errorf("%w: at %s", ErrExpired, expiry.Format(time.RFC3339))
	}
	notBefore, found, err := c.date("nbf")
	if err != nil {
		return time.Time{}, err
	}
	if found && now.Add(cfg.Leeway).Before(notBefore) {
		return time.Time{}, fmt.Errorf("%w: before %s", ErrNotYetValid, notBefore.Format(time.RFC3339))
	}
	// Keycloak marks its other tokens by typ, and an ID token has at_hash (OpenID Connect Core 1.0, section 3.1.3.6);
	// neither opens the API, whatever their audience says.
	if typ := c.text("typ"); slices.Contains([]string{"ID", "Refresh", "Offline", "Logout"}, typ) || c["at_hash"] != nil {
		return time.Time{}, ErrNotAccess
	}
	if aud := list(c["aud"]); !slices.Contains(aud, cfg.Audience) {
		return time.Time{}, fmt.Errorf("%w: %q does not include %q", ErrAudience, aud, cfg.Audience)
	}
	if c.text("sub") == "" {
		return time.Time{}, fmt.Errorf("%w: no sub claim", ErrMalformed)
	}
	return expiry, nil
}

// identity is what the claims say about who is asking.
func (c claims) identity(cfg Config, expiry time.Time) (Identity, error) {
	id := Identity{Subject: c.text("sub"), ClientID: c.text("azp"), Name: c.text("name"), ExpiresAt: expiry}
	if id.ClientID == "" {
		id.ClientID = c.text("client_id")
	}
	if id.Name == "" {
		id.Name = c.text("preferred_username")
	}
	// Keycloak's attribute mappers may write the one value as a list.
	tenants := list(c.at(cfg.TenantClaim))
	if len(tenants) != 1 || !isTenant(tenants[0]) {
		return Identity{}, fmt.Errorf("%w in claim %q", ErrNoTenant, cfg.TenantClaim)
	}
	id.TenantID = tenants[0]
	for _, name := range cfg.RolesClaims {
		for _, entry := range list(c.at(name)) {
			for role := range strings.FieldsSeq(entry) {
				if slices.Contains(Roles(), role) && !slices.Contains(id.Roles, role) {
					id.Roles = append(id.Roles, role)
				}
			}
		}
	}
	if len(id.Roles) == 0 {
		return Identity{}, fmt.Errorf("%w in claims %q", ErrNoRole, cfg.RolesClaims)
	}
	slices.Sort(id.Roles)
	return id, nil
}

// isTenant takes what can be a tenant's name in keys, topics and logs.
func isTenant(s string) bool {
	bad := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	return s != "" && len(s) <= maxTenant && !strings.ContainsFunc(s, bad)
}
