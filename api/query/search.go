package query

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/conditional"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// Searcher finds traces and events. Every method sees one tenant's data only.
type Searcher interface {
	SearchTraces(ctx context.Context, tenant string, filter store.TraceFilter, page store.SearchPage) ([]store.TraceItem, error)
	CountTraces(ctx context.Context, tenant string, filter store.TraceFilter) (store.Count, error)
	SearchEvents(ctx context.Context, tenant string, filter store.EventFilter, page store.SearchPage) ([]*tracking.Event, error)
	CountEvents(ctx context.Context, tenant string, filter store.EventFilter) (store.Count, error)
	// Passport returns what became of an event; of one that was never seen an error that wraps store.ErrNotFound.
	Passport(ctx context.Context, tenant string, uid uuid.UUID) (store.Passport, error)
}

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeCSV    = "text/csv"

	defaultLimit = 50
)

// Paging is what every search takes besides its filter.
type Paging struct {
	auth.Whose

	Order  string `query:"order" doc:"desc (the latest first, the default) or asc" example:"desc"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" doc:"How many a page has at most; 50 by default. Of an export, how many rows it has at most; all by default" example:"50"`
	Cursor string `query:"cursor" maxLength:"4096" doc:"The next_cursor of the page before, with the same filter and order"`
	Count  bool   `query:"count" doc:"Whether to count what the filter matches as well, up to 10,000" example:"true"`

	request *fiber.Ctx
	unknown []problem.Field
}

// Resolve implements huma.Resolver: it notes what the typed parameters do not tell.
func (p *Paging) Resolve(ctx huma.Context) []error {
	p.request = humafiber.Unwrap(ctx)
	var known []string
	for _, parameter := range ctx.Operation().Parameters {
		if parameter.In == "query" {
			known = append(known, parameter.Name)
		}
	}
	address := ctx.URL()
	for name := range address.Query() {
		if !slices.Contains(known, name) {
			p.unknown = append(p.unknown, problem.Field{Field: name, Code: "unknown-parameter", Message: fmt.Sprintf(
				"unknown parameter %q%s", name, didYouMean(name, known))})
		}
	}
	slices.SortFunc(p.unknown, func(a, b problem.Field) int { return cmp.Compare(a.Field, b.Field) })
	return nil
}

var _ huma.Resolver = (*Paging)(nil)

func didYouMean(word string, known []string) string {
	if near := suggest.Closest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; there is " + strings.Join(known, ", ")
}

// checks collects what is wrong with a search.
type checks struct{ fields []problem.Field }

func (c *checks) add(name, message string) {
	c.fields = append(c.fields, problem.Field{Field: name, Code: "invalid", Message: message})
}

// oneOf checks values of a closed list.
func (c *checks) oneOf(name string, values []string, known ...string) {
	for _, value := range values {
		if !slices.Contains(known, value) {
			c.add(name, fmt.Sprintf("%q is no %s%s", value, name, didYouMean(value, known)))
		}
	}
}

// filled checks that no value is empty, which would match nothing that anybody means.
func (c *checks) filled(lists map[string][]string) {
	for name, values := range lists {
		if slices.Contains(values, "") {
			c.add(name, fmt.Sprintf("%s is empty; leave it out to allow any", name))
		}
	}
}

func (c *checks) span(name string, r store.TimeRange) {
	if !r.From.IsZero() && !r.Until.IsZero() && !r.From.Before(r.Until) {
		c.add(name+"From", fmt.Sprintf("%sFrom is not before %sUntil: nothing lies between", name, name))
	}
}

func (c *checks) problem() error {
	if len(c.fields) == 0 {
		return nil
	}
	slices.SortStableFunc(c.fields, func(a, b problem.Field) int { return cmp.Compare(a.Field, b.Field) })
	messages := make([]string, len(c.fields))
	for i, f := range c.fields {
		messages[i] = f.Message
	}
	p := problem.New(http.StatusUnprocessableEntity, "validation", strings.Join(messages, "; ")+".")
	p.Errors = c.fields
	return p
}

// page checks the paging of a search, and returns the page that is meant.
func (p *Paging) page(c *checks, sort string, sorts []string, filter any) (store.SearchPage, string) {
	c.fields = append(c.fields, p.unknown...)
	sort = cmp.Or(sort, sorts[0])
	c.oneOf("sort", []string{sort}, sorts...)
	c.oneOf("order", []string{cmp.Or(p.Order, "desc")}, "asc", "desc")
	page := store.SearchPage{Sort: sort, Ascending: p.Order == "asc", Limit: p.Limit}
	binding := bind(filter, page)
	if p.Cursor != "" {
		key, err := openCursor(p.Cursor, binding)
		if err != nil {
			c.add("cursor", err.Error())
		}
		page.After = &key
	}
	return page, binding
}

// cursor is where a page ended. It is bound to the search that it belongs to only so that mistakes show: it gives no access to
// anything, whatever a client makes of it.
type cursor struct {
	Binding string `json:"b"`
	Micros  int64  `json:"t"`
	ID      string `json:"i"`
}

func bind(filter any, page store.SearchPage) string {
	text, err := json.Marshal([]any{filter, page.Sort, page.Ascending})
	if err != nil {
		return "" // filters hold nothing that has no JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

func sealCursor(binding string, key store.SearchKey) string {
	text, err := json.Marshal(cursor{binding, key.At.UnixMicro(), key.ID})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func openCursor(text, binding string) (store.SearchKey, error) {
	var c cursor
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(plain, &c) != nil || strings.ContainsRune(c.ID, 0) || c.Micros < -6e16 || c.Micros > 2.5e17 {
		return store.SearchKey{}, fmt.Errorf("the cursor is not one that an answer gave; leave it out to begin anew")
	}
	if c.Binding != binding {
		return store.SearchKey{}, fmt.Errorf("the cursor belongs to another filter, sort or order; leave it out to begin anew, or ask as you did before")
	}
	return store.SearchKey{At: time.UnixMicro(c.Micros).UTC(), ID: c.ID}, nil
}

// authorizeSearch returns whose data is asked for, and in which type the answer is wanted.
func (p *Paging) authorizeSearch(ctx context.Context) (tenant, contentType string, err error) {
	_, tenant, err = auth.Authorize(ctx, auth.RoleTracesRead, p.Whose)
	if err != nil {
		return "", "", err
	}
	contentType = typeJSON
	if p.request.Get(fiber.HeaderAccept) != "" {
		contentType = p.request.Accepts(typeJSON, typeNDJSON, typeCSV)
	}
	if contentType == "" {
		return "", "", problem.New(http.StatusNotAcceptable, "not-acceptable", fmt.Sprintf(
			"There is %s, %s and %s; send one of them as Accept.", typeJSON, typeNDJSON, typeCSV))
	}
	return tenant, contentType, nil
}

// kind is what is searched for: its rows are T.
type kind[T any] struct {
	name   string // of the file of an export
	read   func(ctx context.Context, page store.SearchPage) ([]T, error)
	count  func(ctx context.Context) (store.Count, error)
	after  func(row T, sort string) store.SearchKey
	header []string
	record func(row T) ([]string, error)
}

// Page is a page of a list.
type Page[T any] struct {
	Items []T `json:"items" doc:"In the order that was asked for"`
	// NextCursor leads to the next page; it is absent on the last.
	NextCursor string       `json:"next_cursor,omitempty" doc:"Leads to the next page; absent on the last"`
	Count      *store.Count `json:"count,omitempty" doc:"How many there are on all pages, when that was asked for"`
}

// answerSearch answers with a page, or with an export.
func answerSearch[T any](ctx context.Context, h *Handler, p *Paging, k kind[T], contentType string, page store.SearchPage, binding string) (*huma.StreamResponse, error) {
	if contentType != typeJSON {
		return export(ctx, h, p.request, k, contentType, page)
	}
	limit := cmp.Or(page.Limit, defaultLimit)
	page.Limit = limit + 1 // one more than is asked for tells whether there is another page
	rows, err := k.read(ctx, page)
	if err != nil {
		return nil, h.unavailable(ctx, "search "+k.name, err)
	}
	out := Page[T]{Items: append([]T{}, rows...)}
	if len(rows) > limit {
		out.Items = rows[:limit]
		out.NextCursor = sealCursor(binding, k.after(rows[limit-1], page.Sort))
	}
	if p.Count {
		count, err := k.count(ctx)
		if err != nil {
			return nil, h.unavailable(ctx, "count "+k.name, err)
		}
		out.Count = &count
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k.name, err)
	}
	return conditional.JSON(body, true), nil
}
