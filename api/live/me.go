package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

// Me is who asks, and what they may see.
type Me struct {
	auth.Identity

	Tenants     []TenantName    `json:"tenants" doc:"Whose data may be seen: that of the token's tenant, or of all with the role tenants:all"`
	Features    []string        `json:"features" doc:"What the roles open of the dashboard" example:"[\"traces\",\"operations\"]"`
	Preferences json.RawMessage `json:"preferences" doc:"What the tenant prefers, such as language and time_zone"`
}

// TenantName names a tenant.
type TenantName struct {
	ID   string `json:"id" doc:"The tenant"`
	Name string `json:"name" doc:"Its name, for people"`
}

type meOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         Me
}

func (h *Handler) registerMe(api huma.API) {
	huma.Register(api, operation("get-me", "me", "Identity", "", "Who is asking",
		"What the token says, which tenants' data it opens, and what the tenant prefers.", http.StatusServiceUnavailable), h.me)
}

func (h *Handler) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	identity, tenant, err := authorize(ctx, "", Whose{})
	if err != nil {
		return nil, err
	}
	own, err := h.deps.Store.Tenant(ctx, tenant)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, h.unavailable(ctx, "read the tenant's settings", err)
	}
	me := Me{Identity: identity, Tenants: []TenantName{{tenant, own.Name}}, Features: []string{}, Preferences: own.Preferences}
	if len(me.Preferences) == 0 {
		me.Preferences = json.RawMessage("{}")
	}
	if identity.Has(auth.RoleTenantsAll) {
		all, err := h.deps.Store.Tenants(ctx)
		if err != nil {
			return nil, h.unavailable(ctx, "read tenants", err)
		}
		for _, t := range all {
			if t.ID != tenant {
				me.Tenants = append(me.Tenants, TenantName{t.ID, t.Name})
			}
		}
	}
	for role, features := range map[string][]string{
		auth.RoleTracesRead: {"traces", "stream"}, auth.RoleOpsRead: {"operations", "dead_letters"},
		auth.RoleOpsWrite: {"redrive"}, auth.RoleEventsWrite: {"send"}, auth.RoleTenantsAll: {"tenants"},
	} {
		if identity.Has(role) {
			me.Features = append(me.Features, features...)
		}
	}
	slices.Sort(me.Features)
	return &meOutput{CacheControl: "no-store", Body: me}, nil
}

type auditInput struct {
	Whose

	Unowned bool `query:"unowned" doc:"What belongs to no tenant, such as frames that cannot be decoded; needs the role tenants:all" example:"false"`

	Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Entries a page" example:"50"`
	Cursor int64 `query:"cursor" minimum:"0" doc:"The next_cursor of the page before"`
}

// AuditTrail is a page of the record of who did what.
type AuditTrail struct {
	Items      []store.AuditEntry `json:"items" doc:"The latest first"`
	NextCursor int64              `json:"next_cursor,omitempty" doc:"For the next page; missing on the last"`
}

type auditOutput struct{ Body AuditTrail }

func (h *Handler) registerAudit(api huma.API) {
	huma.Register(api, operation("get-audit", "audit", "Operations", auth.RoleOpsRead, "Who did what",
		"Everything that was done to the tenant's data by hand: by whom, to what and why; the latest first.",
		http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.audit)
}

func (h *Handler) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	switch {
	case err != nil:
		return nil, err
	case in.Unowned && in.Tenant != "":
		return nil, invalid("unowned", "ask for what a tenant has or for what none has, not for both")
	case in.Unowned && !identity.Has(auth.RoleTenantsAll):
		return nil, auth.MissingRole(ctx, identity, auth.RoleTenantsAll, "")
	case in.Unowned:
		tenant = ""
	}
	// One more than is asked for tells whether there is another page.
	entries, err := h.deps.Store.Audit(ctx, tenant, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, h.unavailable(ctx, "read the audit", err)
	}
	page := AuditTrail{Items: entries}
	if len(entries) > in.Limit {
		page.Items = entries[:in.Limit]
		page.NextCursor = page.Items[in.Limit-1].ID
	}
	return &auditOutput{page}, nil
}
