package ingest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/tracking"
)

// admission is a request that may send events. Whoever has it must leave it.
type admission struct {
	identity auth.Identity
	rules    *Rules
	seat     *seat
	raw      []byte        // the body as it was sent; nil while it has not been read
	message  *auth.Message // nil unless the request is a signed message
	response Response      // to be set when events were accepted
}

// admit finds out who sends and by which rules, and makes room for the body. The body of a signed message is read for that.
func (h *Handler) admit(ctx context.Context, c *fiber.Ctx) (*admission, error) {
	signed, isSigned := auth.SignedFrom(ctx)
	if isSigned {
		return h.admitSigned(ctx, c, signed)
	}
	in := &admission{}
	var ok bool
	if in.identity, ok = auth.FromContext(ctx); !ok {
		return nil, problem.New(http.StatusUnauthorized, "unauthenticated", "Send a bearer token.")
	}
	var err error
	if in.rules, err = h.deps.Tenants.Rules(ctx, in.identity.TenantID); err != nil {
		return nil, err
	}
	if in.seat, err = h.enter(ctx, c, true); err != nil {
		return nil, err
	}
	return in, nil
}

func (h *Handler) admitSigned(ctx context.Context, c *fiber.Ctx, signed *auth.Signed) (_ *admission, err error) {
	in := &admission{}
	if in.seat, err = h.enter(ctx, c, false); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			in.leave(ctx, err)
		}
	}()
	if in.raw, err = h.read(c); err != nil {
		return nil, err
	}
	if in.identity, in.message, err = signed.Verify(c, in.raw); err != nil { //nolint:contextcheck // it takes that of c
		return nil, err
	}
	in.seat.prove()
	if in.rules, err = h.deps.Tenants.Rules(ctx, in.identity.TenantID); err != nil {
		return nil, err
	}
	return in, nil
}

// leave gives back the room, and says what became of a signed message: it counts as taken only when some of its events were accepted,
// so that a sender whose first try failed may try again with the same id.
func (in *admission) leave(ctx context.Context, err error) {
	in.seat.leave()
	switch {
	case in.message == nil:
	case err == nil && in.response.Accepted > 0:
		in.message.Settle(ctx, in.response.Accepted, in.response.Rejected)
	default:
		in.message.Release(ctx)
	}
}

// again answers a signed message that was taken before: as it was then, without the events' results.
func again(c *fiber.Ctx, m *auth.Message) error {
	return answer(c, Response{Accepted: m.Accepted, Rejected: m.Rejected, Results: []Result{}, Repeated: true})
}

// checkSource returns what a credential has against the source that an event names.
func checkSource(e *tracking.Event, identity auth.Identity) []problem.Field {
	if identity.Source == "" || e.Source == identity.Source {
		return nil
	}
	return []problem.Field{{
		Field: "source", Code: "not_allowed", Message: fmt.Sprintf("is not %s, which the credential sends for; leave it out", identity.Source),
	}}
}
