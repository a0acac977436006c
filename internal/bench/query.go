package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/internal/devstack/postgres"
	"github.com/rastrohq/rastro/store"
)

const (
	// queryTemplate is how many events are sent and stored the usual way; the others are copies of them, at other times and of other
	// journeys.
	queryTemplate = 20_000
	// querySpan is the time that the copies are spread over.
	querySpan = 90 * 24 * time.Hour
	// queryClients ask at once, each one request after the other; queryRounds is how often each kind of query is asked.
	queryClients, queryRounds = 2, 1000
	// queryPerRequest is how many events are sent in a request to fill the store.
	queryPerRequest = 5
	// queryPool is how many journeys and things are asked for.
	queryPool = 500
)

// queryFigures is what a store of so many events is asked, and how long the answers take.
type queryFigures struct {
	Events  int64        `json:"events"`
	Traces  int64        `json:"traces"`
	Bytes   int64        `json:"database_bytes"`
	Filled  float64      `json:"fill_seconds"`
	Queries []queryKind  `json:"queries"`
	Plans   []storedPlan `json:"plans"`
}

// queryKind is one kind of question.
type queryKind struct {
	What string  `json:"query"`
	Took summary `json:"ms"`
	// Found is how many of the answers held something.
	Found int `json:"found"`

	paths []string
}

// storedPlan is how PostgreSQL went about a statement.
type storedPlan struct {
	What string `json:"query"`
	Plan string `json:"plan"`
}

// queryBench is a stack whose store is filled.
type queryBench struct {
	stack  *stack
	server *postgres.Server
	log    string // of PostgreSQL
	conn   *pgx.Conn
	client *http.Client
}

// measureQueries fills a store with events and asks it.
func measureQueries(ctx context.Context, c options) (found queryFigures, err error) {
	data, err := dataFolder()
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	held, err := filepath.Abs(cmp.Or(c.keep, data))
	if err != nil {
		return found, fmt.Errorf("find the folder to keep: %w", err)
	}
	server, err := postgres.Start(ctx, postgres.Config{DataDir: filepath.Join(held, "postgres")})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	if err := os.Setenv("RASTRO_DATABASE_URL", server.URL()); err != nil { // for the stack, which has this process's environment
		return found, fmt.Errorf("name the database: %w", err)
	}
	s, err := startStack(ctx, c.binary, filepath.Join(data, "dev"))
	if err != nil {
		return found, err
	}
	defer s.stop()
	conn, err := pgx.Connect(ctx, server.SuperuserURL())
	if err != nil {
		return found, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var place string
	if err := conn.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&place); err != nil {
		return found, fmt.Errorf("find PostgreSQL's log: %w", err)
	}
	b := &queryBench{
		stack: s, server: server, log: filepath.Join(filepath.Dir(place), "postgres.log"), conn: conn,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: queryClients}, Timeout: time.Minute},
	}
	start := time.Now()
	if err := b.fill(ctx, c.events); err != nil {
		return found, err
	}
	found.Filled = time.Since(start).Seconds()
	if err := conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM event_store), (SELECT count(*) FROM traces), pg_database_size(current_database())").
		Scan(&found.Events, &found.Traces, &found.Bytes); err != nil {
		return found, fmt.Errorf("count: %w", err)
	}
	kinds, err := b.kinds(ctx)
	if err != nil {
		return found, err
	}
	for _, kind := range kinds {
		progress("asking: %s", kind.What)
		if err := b.ask(ctx, &kind); err != nil {
			return found, err
		}
		found.Queries = append(found.Queries, kind)
	}
	found.Plans, err = b.plans(ctx, kinds)
	return found, err
}

// fill stores events: some the usual way, and copies of them. What was filled before is left as it is.
func (b *queryBench) fill(ctx context.Context, events int) error {
	var filled bool
	if err := b.conn.QueryRow(ctx, "SELECT to_regclass('template_event_store') IS NOT NULL AND EXISTS (SELECT FROM event_store OFFSET $1)", events-queryTemplate).
		Scan(&filled); err != nil {
		return fmt.Errorf("look what is stored: %w", err)
	}
	if filled {
		return nil
	}
	progress("sending %d events", queryTemplate)
	l := newLoad(b.stack, queryPerRequest)
	f := newFlood(b.stack, flooding{Connections: 1, Batch: queryPerRequest}, "")
	for sent := 0; sent < queryTemplate; {
		var group sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			bodies := make([]string, 0, 50)
			for range cap(bodies) {
				r := l.next(false)
				bodies = append(bodies, strings.Trim(r.body, "[]"))
			}
			body := "[" + strings.Join(bodies, ",") + "]"
			sent += len(bodies) * queryPerRequest
			group.Go(func() {
				status, answer, err := b.stack.do(ctx, b.client, http.MethodPost, "/api/v1/events", body)
				if err == nil && status != http.StatusAccepted {
					err = fmt.Errorf("POST was answered %d: %.300s", status, answer)
				}
				errs[i] = err
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	for before := int64(-1); ; { // until no more comes
		n, err := f.queryable(ctx)
		if err != nil {
			return err
		}
		if n == before && n > queryTemplate/2 {
			break
		}
		before = n
		pause(ctx, time.Second)
	}
	return b.copies(ctx, events)
}

// The columns that are others in a copy: $1 is its number, $2 the time between two copies. Journeys of one copy are spread over that time.
const (
	copyShift = `($1::int * $2::interval + (hashtext(correlation_id) & 1048575) / 1048576.0 * $2::interval)`
	copyName  = `correlation_id || '-' || $1::int`
	copyOwner = `CASE WHEN $1::int % 2 = 0 THEN tenant_id ELSE 'tenant-' || $1::int % 20 END`
)

// copyTrails notes how the copies came that are so young that this would still be known, as if each had come alone.
const copyTrails = `
INSERT INTO event_trails (tenant_id, pipeline, first_at, last_at, uids, steps, noted_at)
SELECT e.tenant_id, t.pipeline, date_trunc('milliseconds', e.received_at), date_trunc('milliseconds', e.received_at), uuid_send(e.uid), t.steps, e.received_at
FROM event_store e, (SELECT pipeline, steps FROM event_trails ORDER BY id LIMIT 1) t
WHERE e.received_at BETWEEN now() - interval '31 days' AND now() - interval '1 hour'`

func copyColumns() map[string]map[string]string {
	return map[string]map[string]string{
		"event_store": {
			"uid": `(lpad(to_hex((extract(epoch FROM received_at - ` + copyShift + `) * 1000)::bigint), 12, '0') || '7' || substr(md5(uid::text || $1::int), 1, 3)
				|| '8' || substr(md5(uid::text || $1::int), 4, 15))::uuid`,
			"tenant_id": copyOwner, "correlation_id": copyName, "aggregate_id": `aggregate_id || '-' || $1::int`, "event_id": `event_id || '-' || $1::int`,
			"occurred_at": "occurred_at - " + copyShift, "received_at": "received_at - " + copyShift,
			"chain_epoch": "NULL", "chain_seq": "NULL", "chain_prev": "NULL", "chain_hash": "NULL",
		},
		"traces": {
			"tenant_id": copyOwner, "correlation_id": copyName, "aggregate_id": `aggregate_id || '-' || $1::int`,
			"first_event_at": "first_event_at - " + copyShift, "last_event_at": "last_event_at - " + copyShift, "updated_at": "updated_at - " + copyShift,
			"chain_seq": "0", "chain_hash": "NULL", "chain_before": "event_count", "chain_removed": "0",
		},
		"trace_facets": {"tenant_id": copyOwner, "correlation_id": copyName},
	}
}

// copies fills the store with copies until it holds about as many events as it should.
func (b *queryBench) copies(ctx context.Context, events int) error {
	var template int
	if err := b.conn.QueryRow(ctx, "SELECT count(*) FROM event_store").Scan(&template); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	copies := (events - template + template - 1) / template
	if copies <= 0 {
		return nil
	}
	db, err := store.Open(ctx, store.Config{URL: b.server.URL()})
	if err != nil {
		return err
	}
	defer db.Close()
	for back := time.Duration(0); back <= querySpan+31*24*time.Hour; back += 27 * 24 * time.Hour {
		if err := db.EnsurePartitions(ctx, time.Now().Add(-back)); err != nil {
			return err
		}
	}
	// What is copied must not be what was copied.
	statements := make([]string, 0, 3)
	for _, table := range []string{"event_store", "traces", "trace_facets"} {
		if _, err := b.conn.Exec(ctx, fmt.Sprintf("CREATE UNLOGGED TABLE template_%s AS SELECT * FROM %s", table, table)); err != nil {
			return fmt.Errorf("copy %s: %w", table, err)
		}
		statement, err := b.copyStatement(ctx, table)
		if err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	every := querySpan / time.Duration(copies)
	for i := 1; i <= copies; i++ {
		err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, statement, i, every); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("copy %d: %w", i, err)
		}
		if i%50 == 0 {
			progress("%d of %d events", (i+1)*template, (copies+1)*template)
		}
	}
	progress("noting how they came")
	if _, err := b.conn.Exec(ctx, copyTrails); err != nil {
		return fmt.Errorf("copy event_trails: %w", err)
	}
	progress("vacuuming")
	if _, err := b.conn.Exec(ctx, "VACUUM (ANALYZE) traces, event_store, trace_facets, event_trails"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}

// copyStatement returns what inserts a copy of a table's template.
func (b *queryBench) copyStatement(ctx context.Context, table string) (string, error) {
	rows, err := b.conn.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, table)
	if err != nil {
		return "", fmt.Errorf("columns of %s: %w", table, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("columns of %s: %w", table, err)
	}
	values := make([]string, len(names))
	for i, name := range names {
		if values[i] = name; copyColumns()[table][name] != "" {
			values[i] = copyColumns()[table][name]
		}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM template_%s WHERE $1::int > 0 AND $2::interval > '0'", table, strings.Join(names, ", "), strings.Join(values, ", "), table), nil
}

// kinds returns what is asked.
func (b *queryBench) kinds(ctx context.Context) ([]queryKind, error) {
	read := func(sql string, args ...any) ([]string, error) {
		rows, err := b.conn.Query(ctx, sql, args...)
		if err != nil {
			return nil, fmt.Errorf("pick what to ask for: %w", err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(all) == 0 {
			return nil, fmt.Errorf("pick what to ask for: %d found by %s: %w", len(all), sql, err)
		}
		return all[:min(queryPool, len(all))], nil
	}
	pick := func(column, table, condition string) ([]string, error) {
		return read(fmt.Sprintf(`SELECT %s FROM %s TABLESAMPLE SYSTEM_ROWS($1) WHERE tenant_id = 'talma-pe' AND %s`, column, table, condition), 20*queryPool)
	}
	if _, err := b.conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS tsm_system_rows"); err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	journeys, err := pick("correlation_id", "traces", "true")
	if err != nil {
		return nil, err
	}
	things, err := pick("aggregate_id", "event_store", "aggregate_id <> ''")
	if err != nil {
		return nil, err
	}
	uids, err := pick("uid::text", "event_store", "true")
	if err != nil {
		return nil, err
	}
	each := func(before string, values []string) (paths []string) {
		for _, value := range values {
			paths = append(paths, before+url.QueryEscape(value))
		}
		return paths
	}
	flights, err := read("SELECT DISTINCT substr(facet, 3) FROM trace_facets WHERE tenant_id = 'talma-pe' AND facet >= 'f:' AND facet < 'f;'")
	if err != nil {
		return nil, err
	}
	sources, err := pick("source", "event_store", "true")
	if err != nil {
		return nil, err
	}
	between := url.Values{
		"firstEventFrom": {time.Now().Add(-40 * 24 * time.Hour).Format(time.RFC3339)}, "firstEventUntil": {time.Now().Add(-38 * 24 * time.Hour).Format(time.RFC3339)},
	}.Encode()
	return []queryKind{
		{What: "trace by correlation", paths: each("/api/v1/trace/", journeys)},
		{What: "trace by aggregate", paths: each("/api/v1/trace?aggregateId=", things)},
		{What: "page of traces by status and place", paths: each("/api/v1/traces?limit=50&location=LIM&status=", []string{"loaded", "arrived", "delivered", "in_transit"})},
		{What: "page of traces by flight", paths: each("/api/v1/traces?limit=50&flight=", flights)},
		{What: "page of traces by milestone and time", paths: []string{"/api/v1/traces?limit=50&milestone=loaded&sort=first_event_at&" + between}},
		{What: "page of traces by beginning of an id", paths: each("/api/v1/traces?limit=50&q=", journeys)},
		{What: "page of events by source", paths: each("/api/v1/events?limit=50&source=", sources)},
		{What: "event and its passport", paths: each("/api/v1/events/", uids)},
	}, nil
}

// ask asks a kind of question, and notes how long the answers take.
func (b *queryBench) ask(ctx context.Context, kind *queryKind) error {
	var mu sync.Mutex
	var times []float64
	var first error
	var group sync.WaitGroup
	for client := range queryClients {
		group.Go(func() {
			for i := client; i < queryRounds; i += queryClients {
				start := time.Now()
				status, body, err := b.stack.do(ctx, b.client, http.MethodGet, kind.paths[i%len(kind.paths)], "")
				took := milliseconds(time.Since(start))
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("GET %s was answered %d: %.300s", kind.paths[i%len(kind.paths)], status, body)
				}
				var page struct{ Items []json.RawMessage }
				some := err == nil && (json.Unmarshal(body, &page) != nil || page.Items == nil || len(page.Items) > 0)
				mu.Lock()
				if first == nil {
					first = err
				}
				if some {
					kind.Found++
				}
				times = append(times, took)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	kind.Took = summarise(times)
	return first
}

// print writes the figures as a table, and the plans behind it.
func (f queryFigures) print() {
	fmt.Printf("\n%d events of %d journeys, %d MiB, filled in %.0f s; %d clients, %d requests a kind\n\n%-38s %9s %10s %10s %10s\n",
		f.Events, f.Traces, f.Bytes>>20, f.Filled, queryClients, queryRounds, "GET", "p50", "p95", "p99", "max")
	for _, q := range f.Queries {
		fmt.Printf("%-38s %6.1f ms %7.1f ms %7.1f ms %7.1f ms   %d answers with something\n",
			q.What, q.Took.P50, q.Took.P95, q.Took.P99, q.Took.Max, q.Found)
	}
	for _, p := range f.Plans {
		fmt.Printf("\n--- %s\n%s\n", p.What, p.Plan)
	}
}
