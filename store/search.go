package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// SearchPage says which part of what a filter matches is read.
type SearchPage struct {
	// Sort is a column that the search can be sorted by. Rows with the same value are in the order of their id.
	Sort string
	// Ascending is the oldest first; otherwise the latest is.
	Ascending bool
	// After is where the page before ended; nil begins at the beginning.
	After *SearchKey
	// Limit is how many rows are read at most.
	Limit int
}

// SearchKey is where a page ended: the next one begins behind it. It says nothing of whose data it is, and reads no other's.
type SearchKey struct {
	At time.Time
	ID string
}

// CountBound is how far search results are counted.
const CountBound = 10_000

// Count is how many rows a filter matches.
type Count struct {
	Value int `json:"value" doc:"How many there are, or the bound when there are more" example:"37"`
	// Exact is false when there are more than Value.
	Exact bool `json:"exact" doc:"False when there are more than that"`
}

const (
	// fewTraces is up to how many traces are read one by one because of what they are searched by. Beyond, so many have it that reading
	// them in the order that was asked for finds a page soon.
	fewTraces = 2_000

	// aboutAsFew bounds the rows that are looked at to find that out.
	aboutAsFew = "LIMIT 2001"

	// someTraces is up to how many correlation ids are gathered, for the rows that are read in order to be looked up among them. Beyond, each
	// row is looked up in the index: that is dearer a row, but as many as have it, few rows are read in vain.
	someTraces = 20_000
	// aboutAsSome bounds the rows that are looked at to find that out.
	aboutAsSome = "LIMIT 20001"
)

// TimeRange is from a time on until before another; what is zero is no bound.
type TimeRange struct{ From, Until time.Time }

func (r TimeRange) where(q *query, column string) {
	if !r.From.IsZero() {
		q.where(column+" >= ?", r.From)
	}
	if !r.Until.IsZero() {
		q.where(column+" < ?", r.Until)
	}
}

// Prefix bounds of texts that sort by their bytes: U+10FFFF is the last character that there is.
func within(q *query, column, prefix string) string {
	return fmt.Sprintf("(%s >= %s AND %s < %s)", column, q.arg(prefix), column, q.arg(prefix+"\U0010ffff"))
}

// selector is a way to say which traces are meant: a query for their correlation ids, bounded or not, and a condition that a
// row of t (traces or events) is of one of them.
type selector struct {
	// ids returns a query for correlation ids, which may repeat.
	ids func(q *query) string
	// holds returns a condition on t; nil when the other conditions say as much.
	holds func(q *query) string
}

// facetSelector selects the traces that have one of some facets.
func facetSelector(tenant string, wanted []string) selector {
	return selector{
		ids: func(q *query) string {
			return fmt.Sprintf("SELECT correlation_id FROM trace_facets WHERE tenant_id = %s AND facet = ANY(%s::text[])", q.arg(tenant), q.arg(wanted))
		},
		// OFFSET keeps it a look-up a row, however many rows the planner expects.
		holds: func(q *query) string {
			return fmt.Sprintf(`EXISTS (SELECT FROM trace_facets f
    WHERE f.tenant_id = %s AND f.facet = ANY(%s::text[]) AND f.correlation_id = t.correlation_id OFFSET 0)`, q.arg(tenant), q.arg(wanted))
		},
	}
}

// idSelector selects the traces whose correlation id, or an aggregate of which, begins with a text.
func idSelector(tenant, prefix string) selector {
	return selector{
		ids: func(q *query) string {
			return fmt.Sprintf("SELECT correlation_id FROM traces WHERE tenant_id = %s AND %s UNION ALL SELECT correlation_id FROM event_store WHERE tenant_id = %s AND %s",
				q.arg(tenant), within(q, "correlation_id", prefix), q.arg(tenant), within(q, "aggregate_id", prefix))
		},
		holds: func(q *query) string {
			return fmt.Sprintf(`(%s OR EXISTS (SELECT FROM event_store a
    WHERE a.tenant_id = %s AND a.correlation_id = t.correlation_id AND %s OFFSET 0))`,
				within(q, "t.correlation_id", prefix), q.arg(tenant), within(q, "a.aggregate_id", prefix))
		},
	}
}

// aggregateSelector selects the traces that have events of some aggregates.
func aggregateSelector(tenant string, aggregates []string) selector {
	return selector{
		ids: func(q *query) string {
			return fmt.Sprintf("SELECT correlation_id FROM event_store WHERE tenant_id = %s AND aggregate_id = ANY(%s::text[])", q.arg(tenant), q.arg(aggregates))
		},
		holds: func(q *query) string {
			return fmt.Sprintf(`EXISTS (SELECT FROM event_store a
    WHERE a.tenant_id = %s AND a.correlation_id = t.correlation_id AND a.aggregate_id = ANY(%s::text[]) OFFSET 0)`, q.arg(tenant), q.arg(aggregates))
		},
	}
}

// way is how the rows of a search are found.
type way struct {
	// read is the place of the selector whose traces are read, however they sort; -1 when none selects few.
	read int
	// gathered is the place of the selector whose correlation ids are gathered, so that rows in the order that is asked for are looked
	// up among them; -1 for none.
	gathered int
}

// inOrder reads rows in the order that is asked for, and looks each of them up.
func inOrder() way { return way{-1, -1} }

// wayOf finds out how rows are found soonest.
func (s *Store) wayOf(ctx context.Context, b search) (way, error) {
	narrowest, err := s.narrowest(ctx, b.tenant, b.selectors)
	if err != nil || narrowest >= 0 || !b.keysFirst {
		return way{narrowest, -1}, err
	}
	for i, sel := range b.selectors {
		few, err := s.gatherable(ctx, b.tenant, sel)
		if err != nil {
			return inOrder(), err
		}
		if few {
			return way{-1, i}, nil
		}
	}
	return inOrder(), nil
}

// gatherable reports whether a selector selects so few rows that they can be gathered. The planner's guess spares counting where so many
// have a value that it knows of them.
func (s *Store) gatherable(ctx context.Context, tenant string, sel selector) (bool, error) {
	q := &query{}
	ids := sel.ids(q)
	plans, err := readAs(ctx, s, tenant, pgx.RowTo[[]byte], "EXPLAIN (FORMAT JSON) "+ids, q.args...)
	if err != nil {
		return false, err
	}
	var guess []struct {
		Plan struct {
			PlanRows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal(plans[0], &guess); err != nil {
		return false, fmt.Errorf("read how PostgreSQL plans a search: %w", err)
	}
	if len(guess) != 1 {
		return false, fmt.Errorf("read how PostgreSQL plans a search: %d plans", len(guess))
	}
	if guess[0].Plan.PlanRows > 2*someTraces {
		return false, nil
	}
	counts, err := readAs(ctx, s, tenant, pgx.RowTo[int], fmt.Sprintf("SELECT count(*) FROM (SELECT FROM (%s) AS s %s) AS bounded", ids, aboutAsSome), q.args...)
	if err != nil {
		return false, err
	}
	return counts[0] <= someTraces, nil
}

// narrowest returns the place of the selector that selects the fewest rows, when these are few; else -1.
func (s *Store) narrowest(ctx context.Context, tenant string, selectors []selector) (int, error) {
	if len(selectors) == 0 {
		return -1, nil
	}
	q := &query{}
	counts := make([]string, len(selectors))
	for i, sel := range selectors {
		counts[i] = fmt.Sprintf("SELECT %d, count(*) FROM (SELECT FROM (%s) AS s %s) AS bounded", i, sel.ids(q), aboutAsFew)
	}
	type size struct{ Place, Rows int }
	sizes, err := readAs(ctx, s, tenant, pgx.RowToStructByPos[size], strings.Join(counts, " UNION ALL "), q.args...)
	if err != nil {
		return -1, err
	}
	best, fewest := -1, fewTraces+1
	for _, size := range sizes {
		if size.Rows < fewest {
			best, fewest = size.Place, size.Rows
		}
	}
	return best, nil
}

// search is a query for rows of a table, aliased t.
type search struct {
	tenant, table, columns, id, idType string
	// sorts are the columns to sort by; the first is the default.
	sorts     []string
	selectors []selector
	// narrow adds conditions that an index finds few rows by; nil when there are none.
	narrow func(*query)
	// where adds the other conditions, of rows that are sorted by a column; an empty one when they are not sorted.
	where func(q *query, sort string)
	// keysFirst says that the rows of a page are found by what is in indexes, as far as that goes, and then read.
	keysFirst bool
}

// from builds the rows that are meant: FROM and WHERE. When few rows are known to be meant, these come first whatever the planner makes
// of the order and the limit.
func (b search) from(q *query, w way, sort string) string {
	rest := &query{args: q.args}
	var from string
	if w.read >= 0 || b.narrow != nil {
		inner := &query{args: q.args}
		inner.where("t.tenant_id = ?", b.tenant)
		if w.read >= 0 {
			inner.conditions = append(inner.conditions, "t.correlation_id = ANY(ARRAY("+b.selectors[w.read].ids(inner)+"))")
		}
		if b.narrow != nil {
			b.narrow(inner)
		}
		from = fmt.Sprintf("FROM (SELECT * FROM %s t WHERE %s OFFSET 0) AS t", b.table, inner.text())
		rest.args = inner.args
		rest.conditions = []string{"true"}
	} else {
		from = "FROM " + b.table + " t"
		rest.where("t.tenant_id = ?", b.tenant)
	}
	for i, sel := range b.selectors {
		switch {
		case i == w.read || sel.holds == nil:
		case i == w.gathered: // IS TRUE keeps it a look-up a row, which the planner does in a hash table
			rest.conditions = append(rest.conditions, "(t.correlation_id IN ("+sel.ids(rest)+")) IS TRUE")
		default:
			rest.conditions = append(rest.conditions, sel.holds(rest))
		}
	}
	b.where(rest, sort)
	q.args = rest.args
	return from + " WHERE " + rest.text()
}

// page builds the query for a page.
func (b search) page(page SearchPage, w way) (string, []any, error) {
	sort := page.Sort
	if sort == "" {
		sort = b.sorts[0]
	}
	known := false
	for _, s := range b.sorts {
		known = known || s == sort
	}
	if !known {
		return "", nil, fmt.Errorf("sort by %q: there is %s", sort, strings.Join(b.sorts, ", "))
	}
	direction, beyond := "DESC", "<"
	if page.Ascending {
		direction, beyond = "ASC", ">"
	}
	q := &query{}
	sql := b.from(q, w, sort)
	if page.After != nil {
		sql += fmt.Sprintf(" AND (t.%s, t.%s) %s (%s, %s::%s)", sort, b.id, beyond, q.arg(page.After.At), q.arg(page.After.ID), b.idType)
	}
	order := fmt.Sprintf("ORDER BY t.%s %s, t.%s %s", sort, direction, b.id, direction)
	if b.keysFirst && w.read < 0 && b.narrow == nil {
		sql = fmt.Sprintf("WITH page AS MATERIALIZED (SELECT t.%s %s %s LIMIT %s)\nSELECT %s FROM page, LATERAL (SELECT * FROM %s t WHERE t.tenant_id = %s AND t.%s = page.%s OFFSET 0) AS t %s",
			b.id, sql, order, q.arg(page.Limit), b.columns, b.table, q.arg(b.tenant), b.id, b.id, order)
	} else {
		sql = fmt.Sprintf("SELECT %s %s %s LIMIT %s", b.columns, sql, order, q.arg(page.Limit))
	}
	return sql, q.args, nil
}

// countRows counts what a search matches, up to CountBound.
func (s *Store) countRows(ctx context.Context, b search) (Count, error) {
	w, err := s.wayOf(ctx, b)
	if err != nil {
		return Count{}, err
	}
	q := &query{}
	sql := b.from(q, w, "")
	counts, err := readAs(ctx, s, b.tenant, pgx.RowTo[int],
		fmt.Sprintf("SELECT count(*) FROM (SELECT %s LIMIT %d) AS bounded", sql, CountBound+1), q.args...)
	if err != nil {
		return Count{}, err
	}
	return Count{Value: min(counts[0], CountBound), Exact: counts[0] <= CountBound}, nil
}

// searchRows reads a page of what a search matches.
func searchRows[T any](ctx context.Context, s *Store, b search, page SearchPage, scan pgx.RowToFunc[T]) ([]T, error) {
	w, err := s.wayOf(ctx, b)
	if err != nil {
		return nil, err
	}
	sql, args, err := b.page(page, w)
	if err != nil {
		return nil, err
	}
	return readAs(ctx, s, b.tenant, scan, sql, args...)
}
