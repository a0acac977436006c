package ops

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// stateAll asks for letters in any state.
const stateAll = "all"

// FilterInput is a filter in an address.
type FilterInput struct {
	Whose
	ID            []string  `query:"id,explode" maxItems:"100" doc:"Letters" example:"[\"0197a6f0-1c2b-7c3d-8e4f-000000000001\"]"`
	UID           []string  `query:"uid,explode" maxItems:"100" doc:"Events" example:"[\"0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f\"]"`
	State         []string  `query:"state,explode" enum:"open,redriving,stored,passed,dropped,superseded,discarded,all" doc:"States. Default: open, unless letters or events are named" example:"[\"open\"]"`
	Reason        []string  `query:"reason,explode" maxItems:"100" doc:"Codes of why they were rejected" example:"[\"schema\"]"`
	Stage         []string  `query:"stage,explode" maxItems:"100" doc:"Stages that rejected them" example:"[\"validate\"]"`
	Pipeline      []string  `query:"pipeline,explode" maxItems:"100" doc:"Pipelines in which they were rejected" example:"[\"tracking\"]"`
	Source        []string  `query:"source,explode" maxItems:"100" doc:"Carriers or systems that sent them" example:"[\"LA-baggage\"]"`
	EventType     []string  `query:"eventType,explode" maxItems:"100" doc:"The senders' codes" example:"[\"loaded\"]"`
	CorrelationID string    `query:"correlationId" maxLength:"1024" doc:"The journey" example:"0045123456"`
	After         time.Time `query:"after" doc:"Rejected at this time or later" example:"2026-06-20T12:00:00Z"`
	Before        time.Time `query:"before" doc:"Rejected before this time" example:"2027-06-20T12:00:00Z"`
}

func (in FilterInput) filter() (store.LetterFilter, error) {
	f := store.LetterFilter{
		States: in.State, Reasons: in.Reason, Stages: in.Stage, Pipelines: in.Pipeline, Sources: in.Source, EventTypes: in.EventType,
		CorrelationID: in.CorrelationID,
	}
	for _, list := range []struct {
		name  string
		texts []string
		ids   *[]uuid.UUID
	}{{"id", in.ID, &f.IDs}, {"uid", in.UID, &f.UIDs}} {
		for _, text := range list.texts {
			id, err := uuid.Parse(text)
			if err != nil {
				return f, invalid(list.name, fmt.Sprintf("%q is no id", text))
			}
			*list.ids = append(*list.ids, id)
		}
	}
	if !in.After.IsZero() {
		f.After = &in.After
	}
	if !in.Before.IsZero() {
		f.Before = &in.Before
	}
	return withStates(f)
}

// withStates adds which states are meant when the filter does not say.
func withStates(f store.LetterFilter) (store.LetterFilter, error) {
	for _, state := range f.States {
		if state != stateAll && !slices.Contains(store.LetterStates(), state) {
			return f, invalid("state", fmt.Sprintf("%q is no state; there is %s", state, strings.Join(store.LetterStates(), ", ")))
		}
	}
	switch {
	case slices.Contains(f.States, stateAll):
		f.States = nil
	case len(f.States)+len(f.IDs)+len(f.UIDs) == 0:
		f.States = []string{store.LetterOpen}
	}
	return f, nil
}

func invalid(field, message string) error {
	p := problem.New(http.StatusUnprocessableEntity, "validation", "The filter is not right.")
	p.Errors = []problem.Field{{Field: field, Code: "invalid", Message: message}}
	return p
}

type listInput struct {
	FilterInput
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Letters a page" example:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"The next_cursor of the page before"`
}

type listOutput struct{ Body LetterPage }

// LetterPage is a page of dead letters.
type LetterPage struct {
	Items      []store.Letter `json:"items" doc:"Those first that were rejected last"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"For the next page; missing on the last"`
}

type groupsInput struct {
	FilterInput
	By []string `query:"by,explode" enum:"pipeline,stage,reason,source,event_type,state" doc:"What they are grouped by. Default: stage, reason and source" example:"[\"stage\",\"reason\"]"`
}

type groupsOutput struct{ Body LetterGroups }

// LetterGroups are counts of dead letters.
type LetterGroups struct {
	Items []store.LetterGroup `json:"items" doc:"The largest first"`
}

type letterInput struct {
	Whose
	ID string `path:"id" doc:"The letter" example:"0197a6f0-1c2b-7c3d-8e4f-000000000001"`
}

type letterOutput struct{ Body LetterDetail }

// LetterDetail is a dead letter with all that is known of it.
type LetterDetail struct {
	store.Letter

	Event    json.RawMessage     `json:"event,omitempty" doc:"The event as it was received, when it is JSON"`
	Original string              `json:"original" doc:"The original bytes, in base64"`
	Text     string              `json:"text,omitempty" doc:"The original bytes as text, when they are no JSON but UTF-8"`
	History  []store.LetterEntry `json:"history" doc:"Its story, oldest first"`
}

func (h *Handler) registerReads(api huma.API) {
	huma.Register(api, operation("list-dead-letters", http.MethodGet, "dead-letters", auth.RoleOpsRead,
		"Dead letters", "Events that stages rejected, those first that were rejected last.", 422), h.list)
	huma.Register(api, operation("count-dead-letters", http.MethodGet, "dead-letters/groups", auth.RoleOpsRead,
		"Counts of dead letters", "How many dead letters have the same stage, reason, carrier or whatever is asked for.", 422), h.groups)
}

func (h *Handler) list(ctx context.Context, in *listInput) (*listOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	after, err := readCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	letters, err := h.deps.Store.Letters(ctx, tenant, filter, after, in.Limit+1)
	if err != nil {
		return nil, h.failed(ctx, "read dead letters", err)
	}
	page := LetterPage{Items: letters}
	if len(letters) > in.Limit {
		page.Items = letters[:in.Limit]
		last := page.Items[in.Limit-1]
		page.NextCursor = writeCursor(store.LetterCursor{At: last.At, ID: last.ID})
	}
	return &listOutput{page}, nil
}

func writeCursor(c store.LetterCursor) string {
	return base64.RawURLEncoding.EncodeToString([]byte(c.At.UTC().Format(time.RFC3339Nano) + " " + c.ID.String()))
}

func readCursor(text string) (*store.LetterCursor, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no cursor is the first page
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	at, id, _ := strings.Cut(string(decoded), " ")
	var c store.LetterCursor
	if err == nil {
		c.At, err = time.Parse(time.RFC3339Nano, at)
	}
	if err == nil {
		c.ID, err = uuid.Parse(id)
	}
	if err != nil {
		return nil, invalid("cursor", "it is none that was given with a page")
	}
	return &c, nil
}

func (h *Handler) groups(ctx context.Context, in *groupsInput) (*groupsOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	by := in.By
	if len(by) == 0 {
		by = []string{"stage", "reason", "source"}
	}
	groups, err := h.deps.Store.LetterGroups(ctx, tenant, filter, by)
	if err != nil {
		return nil, h.failed(ctx, "count dead letters", err)
	}
	return &groupsOutput{LetterGroups{groups}}, nil
}

func (h *Handler) letter(ctx context.Context, in *letterInput) (*letterOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	id, err := identified(in.ID, "dead letter")
	if err != nil {
		return nil, err
	}
	letter, story, err := h.deps.Store.Letter(ctx, tenant, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("dead letter")
	}
	if err != nil {
		return nil, h.failed(ctx, "read a dead letter", err)
	}
	whole := LetterDetail{Letter: letter, Original: base64.StdEncoding.EncodeToString(letter.Event), History: story}
	switch {
	case json.Valid(letter.Event):
		whole.Event = letter.Event
	case utf8.Valid(letter.Event):
		whole.Text = string(letter.Event)
	}
	return &letterOutput{whole}, nil
}
