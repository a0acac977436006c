package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/store"
)

type personalInput struct {
	Whose
	UID    string `path:"uid" doc:"The event" example:"0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f"`
	Reason string `query:"reason" required:"true" minLength:"3" maxLength:"500" doc:"Why it is read, for the record" example:"claim 4711"`
}

type personalOutput struct{ Body PersonalAnswer }

// PersonalAnswer is what an event says about a person.
type PersonalAnswer struct {
	UID     uuid.UUID       `json:"uid" doc:"The event"`
	Subject string          `json:"subject" doc:"Who it is about"`
	Data    json.RawMessage `json:"data,omitempty" doc:"What the sender gave as personal"`
	Fields  []PersonalValue `json:"fields,omitempty" doc:"What was taken out of the payload"`
}

// PersonalValue is a value that was taken out of a payload.
type PersonalValue struct {
	Field string          `json:"field" doc:"JSON pointer into the event" example:"/payload/passenger/name"`
	Value json.RawMessage `json:"value" doc:"What stood there"`
}

type forgetInput struct {
	Whose
	DryRun bool `query:"dryRun" doc:"Only say what there is; nothing is changed" example:"true"`
	Body   forgetBody
}

type forgetBody struct {
	Subject string `json:"subject" minLength:"1" maxLength:"256" doc:"Who is to be forgotten, as the events name them" example:"C-20817"`
	Reason  string `json:"reason" minLength:"3" maxLength:"500" doc:"Why, for the record; it must not name the subject" example:"request 4711"`
}

type forgetOutput struct{ Body store.Forgotten }

func (h *Handler) registerPersonal(api huma.API) {
	show := operation("get-personal-data", http.MethodGet, "events/{uid}/personal", auth.RolePersonalRead, "What an event says about a person",
		"Opens the personal data that is kept apart of an event. Each time is noted in the audit, with who and why. 410 says that the subject was forgotten.", 404, 410, 422, 503)
	forget := operation("forget-subject", http.MethodPost, "personal/forget", auth.RolePersonalForget, "Forget somebody",
		"Destroys the key of a subject: what events and dead letters say about them is unreadable from then on, for ever. Events themselves do not "+
			"change. It is noted in the audit without the subject's name, and may be repeated.", 404, 422, 503)
	show.Tags, forget.Tags = []string{"Personal data"}, []string{"Personal data"}
	huma.Register(api, show, h.personal)
	huma.Register(api, withExample(forget, map[string]any{"subject": "C-20817", "reason": "request 4711"}), h.forget)
}

func (h *Handler) personal(ctx context.Context, in *personalInput) (*personalOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RolePersonalRead, in.Whose)
	if err != nil {
		return nil, err
	}
	uid, err := identified(in.UID, "event")
	if err != nil {
		return nil, err
	}
	personal, err := h.deps.Store.Personal(ctx, tenant, uid, actor(identity), in.Reason)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusNotFound, "not-found", "There is no personal data of such an event, or it is another tenant's.")
	}
	if forgotten, ok := errors.AsType[*store.ForgottenError](err); ok {
		return nil, problem.New(http.StatusGone, "forgotten", "The subject was forgotten at "+forgotten.At.Format(time.RFC3339)+
			"; what the event said about them cannot be read any more.")
	}
	if err != nil {
		return nil, h.personalFailed(ctx, "open personal data", err)
	}
	answer := PersonalAnswer{UID: uid, Subject: personal.Subject, Data: personal.Data}
	for _, m := range personal.Moved {
		value := m.Value
		if !json.Valid(value) { // a payload that was no JSON
			if value, err = json.Marshal(string(m.Value)); err != nil {
				return nil, h.personalFailed(ctx, "open personal data", err)
			}
		}
		answer.Fields = append(answer.Fields, PersonalValue{Field: "/payload" + m.Pointer, Value: value})
	}
	return &personalOutput{answer}, nil
}

func (h *Handler) forget(ctx context.Context, in *forgetInput) (*forgetOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RolePersonalForget, in.Whose)
	if err != nil {
		return nil, err
	}
	subject := strings.TrimSpace(in.Body.Subject)
	if subject == "" {
		return nil, refused("subject", "say who is to be forgotten")
	}
	if strings.Contains(strings.ToLower(in.Body.Reason), strings.ToLower(subject)) {
		return nil, refused("reason", "the reason is kept: it must not name the subject; give the number of the request instead")
	}
	forgotten, err := h.deps.Store.Forget(ctx, tenant, subject, actor(identity), in.Body.Reason, in.DryRun)
	if err != nil {
		return nil, h.personalFailed(ctx, "forget a subject", err)
	}
	if !forgotten.Known {
		return nil, problem.New(http.StatusNotFound, "not-found", fmt.Sprintf("Nothing is known of such a subject of tenant %s.", tenant))
	}
	return &forgetOutput{forgotten}, nil
}

func refused(field, message string) error {
	p := problem.New(http.StatusUnprocessableEntity, "validation", "The request is not right.")
	p.Errors = []problem.Field{{Field: field, Code: "invalid", Message: message}}
	return p
}

// personalFailed turns an error of opening personal data into a Problem.
func (h *Handler) personalFailed(ctx context.Context, doing string, err error) error {
	switch {
	case errors.Is(err, store.ErrNoPersonalKey):
		return problem.New(http.StatusServiceUnavailable, "no-personal-key", "The server has no master key for personal data: RASTRO_PERSONAL_KEY is not set.")
	case errors.Is(err, seal.ErrUnknownMaster):
		h.deps.Logger.ErrorContext(ctx, "cannot "+doing, "error", err)
		return problem.New(http.StatusServiceUnavailable, "wrong-personal-key",
			"The master key that this was sealed by is not among those of RASTRO_PERSONAL_KEY.")
	case errors.Is(err, seal.ErrDamaged):
		h.deps.Logger.ErrorContext(ctx, "cannot "+doing, "error", err)
		return problem.New(http.StatusInternalServerError, "damaged", "The sealed data was changed, or moved from where it belongs.")
	}
	return h.failed(ctx, doing, err)
}
