package ingest

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/tracking"
)

// admission is a request that may send events. Whoever has it must leave it.
type admission struct {
	identity auth.Identity
	rules    *Rules
	seat     *seat
	carrier  *carriers.Carrier // nil for events of our own form
	stay     *stay             // in the carrier's bulkhead
	maxBody  int               // bytes
	raw      []byte            // the body as it was sent; nil while it has not been read
	// behaviour is what becomes of events when others are refused: empty, or behaviourProceed, when they are accepted all the same.
	behaviour string
	single    bool          // the body is one event of EPCIS, with no document around it
	message   *auth.Message // nil unless the request is a signed message
	response  Response      // what became of the events, once that is known
	taken     bool          // it is known
}

// admit finds out who sends and by which rules, and makes room for the body. The body of a signed message is read for that. carrier is
// whose address it is; empty for that of events of our own form.
func (h *Handler) admit(ctx context.Context, c *fiber.Ctx, carrier string) (_ *admission, err error) {
	in := &admission{maxBody: h.config.MaxBodyBytes}
	defer func() {
		if err != nil {
			in.leave(ctx, err)
		}
	}()
	if signed, isSigned := auth.SignedFrom(ctx); isSigned {
		return in, h.admitSigned(ctx, c, in, signed, carrier)
	}
	var ok bool
	if in.identity, ok = auth.FromContext(ctx); !ok {
		return nil, problem.New(http.StatusUnauthorized, "unauthenticated", "Send a bearer token.")
	}
	if err := h.admitCarrier(in, carrier, false); err != nil {
		return in, err
	}
	if in.rules, err = h.deps.Tenants.Rules(ctx, in.identity.TenantID); err != nil {
		return in, err
	}
	if err := h.house(ctx, c, in, in.identity.TenantID); err != nil {
		return in, err
	}
	in.seat, err = h.enter(ctx, c, true, in.maxBody)
	return in, err
}

func (h *Handler) admitSigned(ctx context.Context, c *fiber.Ctx, in *admission, signed *auth.Signed, carrier string) (err error) {
	// Whose the message is shows in the body only. Until then it counts for the carrier that it says it is of, so that what
	// anybody may send to one carrier's address keeps out nobody else's.
	if h.deps.Carriers != nil && carrier != "" {
		if named, ok := h.deps.Carriers.Named(carrier); ok {
			in.use(named)
		}
	}
	if err := h.house(ctx, c, in, ""); err != nil {
		return err
	}
	if in.seat, err = h.enter(ctx, c, false, in.maxBody); err != nil {
		return err
	}
	if in.raw, err = h.read(c, in.maxBody); err != nil {
		return err
	}
	if in.identity, in.message, err = signed.Verify(c, in.raw); err != nil { //nolint:contextcheck // it takes that of c
		return err
	}
	in.seat.prove()
	if err := h.admitCarrier(in, carrier, true); err != nil {
		return err
	}
	in.rules, err = h.deps.Tenants.Rules(ctx, in.identity.TenantID)
	return err
}

// use has the request be of a carrier.
func (in *admission) use(c *carriers.Carrier) {
	in.carrier = c
	if most := c.Limits.MaxBodyBytes; most > 0 {
		in.maxBody = min(in.maxBody, most)
	}
}

// house makes room in the carrier's bulkhead; events of our own form have none.
func (h *Handler) house(ctx context.Context, c *fiber.Ctx, in *admission, tenant string) (err error) {
	if in.carrier != nil {
		in.stay, err = h.bulkheads.of(tenant, in.carrier).enter(ctx, c, in.carrier.Name, roomFor(c, in.maxBody))
	}
	return err
}

// admitCarrier finds the carrier whose address it is, and whether who sends may do so in the way that it was proven.
func (h *Handler) admitCarrier(in *admission, name string, signed bool) error {
	if name == "" {
		return nil
	}
	if h.deps.Carriers == nil {
		return problem.New(http.StatusNotFound, "carrier-unknown", "There are no carriers here.")
	}
	c, err := h.deps.Carriers.Lookup(in.identity.TenantID, name)
	if err != nil {
		return problem.New(http.StatusNotFound, "carrier-unknown", fmt.Sprintf(
			"There is %v. The carriers of tenant %s are in carriers/*.yaml of the configuration.", err, in.identity.TenantID))
	}
	in.use(c)
	way, taken := "an access token", c.Authentication.OIDC
	switch {
	case signed:
		way, taken = "a signature", c.Authentication.HMAC
	case in.identity.CredentialID != "":
		way, taken = "an API key", c.Authentication.APIKey
	case len(c.Authentication.Clients) > 0 && taken:
		way, taken = "a token of client "+in.identity.ClientID, slices.Contains(c.Authentication.Clients, in.identity.ClientID)
	}
	if !taken {
		return problem.New(http.StatusForbidden, "authentication-not-taken", fmt.Sprintf(
			"Carrier %s does not take %s; its file says under authentication what it takes.", name, way))
	}
	return nil
}

// leave gives back the room, and says what became of a signed message: it counts as taken only when some of its events were accepted,
// so that a sender whose first try failed may try again with the same id.
func (in *admission) leave(ctx context.Context, err error) {
	if in.seat != nil {
		in.seat.leave()
	}
	if in.stay != nil {
		in.stay.leave(err, in.taken && in.response.Accepted == 0 && in.response.Rejected > 0)
	}
	switch {
	case in.message == nil:
	case err == nil && (in.response.Accepted > 0 || in.taken && in.response.Rejected == 0):
		in.message.Settle(ctx, in.response.Accepted, in.response.Rejected)
	default:
		in.message.Release(ctx)
	}
}

// source is what events come from that name nothing: what the credential sends for, where it was made for something else than the
// carrier itself, or the client that sent them. Empty leaves it to the carrier.
func (in *admission) source() string {
	switch {
	case in.carrier == nil:
		return defaultSource(in.identity)
	case in.identity.Source != in.identity.Carrier:
		return in.identity.Source
	default:
		return ""
	}
}

// again answers a signed message that was taken before: as it was then, without the events' results.
func again(c *fiber.Ctx, in *admission) error {
	return in.answer(c, Response{Accepted: in.message.Accepted, Rejected: in.message.Rejected, Results: []Result{}, Repeated: true}, nil)
}

// checkSource returns what a credential has against the source that an event names. At a carrier's address the carrier sees to that.
func checkSource(e *tracking.Event, in *admission) []problem.Field {
	identity := in.identity
	if identity.Source == "" || e.Source == identity.Source || in.carrier != nil {
		return nil
	}
	return []problem.Field{{
		Field: "source", Code: "not_allowed", Message: fmt.Sprintf("is not %s, which the credential sends for; leave it out", identity.Source),
	}}
}
