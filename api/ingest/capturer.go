package ingest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/store"
)

const (
	ownCaptures      = "/api/v1/capture"
	capturesOf       = "/api/v1/carriers/%s/capture"
	maxNamedCarriers = 5 // in an answer
)

// capturer returns the carrier that a request of the capture interface is of: the one that its address names or, where that names none, as
// in the REST bindings of EPCIS, the one that the sender belongs to. Nothing is proven by that: admitCarrier sees to it.
func (h *Handler) capturer(c *fiber.Ctx) (string, error) {
	if name := c.Params("carrier"); name != "" {
		return strings.Clone(name), nil // Fiber reuses the path's memory
	}
	ctx := c.UserContext()
	message, signed := auth.SignedFrom(ctx)
	identity, known := auth.FromContext(ctx)
	switch {
	case signed && message.Carrier() != "":
		return message.Carrier(), nil
	case identity.Carrier != "":
		return identity.Carrier, nil
	case signed || identity.CredentialID != "":
		return "", problem.New(http.StatusNotFound, "no-capture", "The credential is of no carrier, so there is none to capture for. Send with a credential of the carrier.")
	case !known:
		return "", problem.New(http.StatusUnauthorized, "unauthenticated", "Send a bearer token.")
	case h.deps.Carriers == nil:
		return "", problem.New(http.StatusNotFound, "carrier-unknown", "There are no carriers here.")
	}
	switch of := capturersOf(h.deps.Carriers.All(), identity); len(of) {
	case 1:
		return of[0], nil
	case 0:
		return "", problem.New(http.StatusNotFound, "no-capture", fmt.Sprintf(
			"No carrier of tenant %s with the format %s takes tokens of client %s, so there is none to capture for. Name the client under authentication.oidc.clients of "+
				"the carrier that it sends for, or send with a credential of that carrier.", identity.TenantID, carriers.EPCIS, identity.ClientID))
	default:
		return "", problem.New(http.StatusConflict, "several-carriers", fmt.Sprintf(
			"Client %s may capture for several carriers: %s. Send to %s of the one that it is; or name the client under authentication.oidc.clients of that one only.",
			identity.ClientID, listed(of), fmt.Sprintf(capturesOf, "{carrier}")))
	}
}

// capturersOf returns the carriers that a client may capture for: those whose files name it or, where none does, those that take any.
func capturersOf(all []*carriers.Carrier, identity auth.Identity) []string {
	var naming, open []string
	for _, c := range all {
		switch {
		case c.Format != carriers.EPCIS || !c.For(identity.TenantID) || !c.Authentication.OIDC:
		case slices.Contains(c.Authentication.Clients, identity.ClientID):
			naming = append(naming, c.Name)
		case len(c.Authentication.Clients) == 0:
			open = append(open, c.Name)
		}
	}
	if len(naming) > 0 {
		return naming
	}
	return open
}

// listed lists some names for people.
func listed(names []string) string {
	if more := len(names) - maxNamedCarriers; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamedCarriers], ", "), more)
	}
	return strings.Join(names, ", ")
}

// capturesAddress is where the jobs of a carrier are, as the sender addresses it.
func capturesAddress(c *fiber.Ctx, carrier string) string {
	if c.Params("carrier") == "" {
		return ownCaptures
	}
	return fmt.Sprintf(capturesOf, url.PathEscape(carrier))
}

func captureAddress(c *fiber.Ctx, job store.Capture) string {
	return capturesAddress(c, job.Carrier) + "/" + job.ID.String()
}
