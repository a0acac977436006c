package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// drain waits until no reader has anything left to do.
func (s *stack) drain(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	var left int64
	// A frame may move from a topic that is not looked at yet to one that was: it must be quiet several times.
	for quiet := 0; quiet < 5; {
		var err error
		if left, err = s.broker.backlog(ctx); err != nil {
			return err
		}
		if quiet++; left > 0 {
			quiet = 0
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages are not worked off after %v: %w", left, within, ctx.Err())
		}
	}
	return nil
}

const (
	readEvents = `
SELECT uid, tenant_id, source, event_id, revision, correlation_id, aggregate_id, event_type, occurred_at, coalesce(payload::text, '')
FROM event_store`
	readLetters = `SELECT uid, tenant_id, stage, code, event FROM dead_letters`
	readTraces  = `
SELECT tenant_id, correlation_id, state, status, exception, event_count, voided_count, unknown_count FROM traces`
	readCounted = `SELECT coalesce(sum(events), 0)::bigint FROM stage_totals WHERE stage = 'ingest' AND outcome = 'accepted'`
)

// verify compares what clients were told with what the database holds. Nothing may be on its way any more.
func (s *stack) verify(ctx context.Context, j *journal) (*verdict, error) {
	conn, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		return nil, fmt.Errorf("connect to verify: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	rows, err := query(ctx, conn, readEvents, func(row pgx.CollectableRow) (e storedEvent, err error) {
		err = row.Scan(&e.uid, &e.key.tenant, &e.key.source, &e.key.eventID, &e.key.revision, &e.correlation, &e.aggregate, &e.eventType,
			&e.occurred, &e.payload)
		return e, err
	})
	if err != nil {
		return nil, err
	}
	letters, err := query(ctx, conn, readLetters, scanLetter)
	if err != nil {
		return nil, err
	}
	traces, err := query(ctx, conn, readTraces, scanTrace)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	v := compare(j.events, rows, letters)
	j.mu.Unlock()
	if err := conn.QueryRow(ctx, readCounted).Scan(&v.Counted); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return v, s.compareTraces(ctx, v, rows, traces)
}

func query[T any](ctx context.Context, conn *pgx.Conn, sql string, scan pgx.RowToFunc[T]) ([]T, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	return found, nil
}

func scanLetter(row pgx.CollectableRow) (l letter, err error) {
	var tenant string
	var body []byte
	if err := row.Scan(&l.uid, &tenant, &l.stage, &l.code, &body); err != nil {
		return l, err
	}
	// A frame that could not be decoded is a letter too, of an event that nobody sent.
	var e tracking.Event
	if json.Unmarshal(body, &e) != nil {
		e = tracking.Event{UID: uuid.Nil, EventID: string(body)}
	}
	l.key = keyOf(&e)
	l.key.tenant = tenant
	return l, nil
}

// traceKey identifies a trace.
type traceKey struct{ tenant, correlation string }

// storedTrace is a row of traces.
type storedTrace struct {
	traceKey
	state               tracking.State
	status, exception   string
	events, voided, odd int
}

func scanTrace(row pgx.CollectableRow) (t storedTrace, err error) {
	var state []byte
	if err := row.Scan(&t.tenant, &t.correlation, &state, &t.status, &t.exception, &t.events, &t.voided, &t.odd); err != nil {
		return t, err
	}
	return t, t.state.UnmarshalBinary(state)
}

// compareTraces folds the events of each journey anew, as the store gives them, and compares that with its row.
func (s *stack) compareTraces(ctx context.Context, v *verdict, rows []storedEvent, traces []storedTrace) error {
	db, err := store.Open(ctx, func() store.Config { c := store.DefaultConfig(); c.URL, c.MaxConns = s.postgres.URL(), 4; return c }())
	if err != nil {
		return err
	}
	defer db.Close()
	journeys := map[traceKey]bool{}
	for _, row := range rows {
		journeys[traceKey{row.key.tenant, row.correlation}] = true
	}
	v.Traces = len(traces)
	for _, t := range traces {
		if !journeys[t.traceKey] {
			v.find(&v.WrongTrace, "trace %s of %s has no events", t.correlation, t.tenant)
		}
		delete(journeys, t.traceKey)
	}
	for k := range journeys {
		v.find(&v.WrongTrace, "journey %s of %s has no trace", k.correlation, k.tenant)
	}
	var mu sync.Mutex
	var failed error
	var readers sync.WaitGroup
	work := make(chan storedTrace)
	for range 4 {
		readers.Go(func() {
			for t := range work {
				folded, err := db.Trace(ctx, t.tenant, t.correlation)
				mu.Lock()
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					failed = errors.Join(failed, err)
				} else if why := differs(t, folded.Summary); why != "" {
					v.find(&v.WrongTrace, "trace %s of %s is not the fold of its events: %s", t.correlation, t.tenant, why)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range traces {
		work <- t
	}
	close(work)
	readers.Wait()
	// What replay says is the same in every column.
	if _, err := db.Replay(ctx, store.Replay{DryRun: true, Difference: func(d store.TraceDifference) {
		v.find(&v.WrongTrace, "replay of trace %s of %s differs: %+v", d.CorrelationID, d.TenantID, d.Fields)
	}}); err != nil {
		failed = errors.Join(failed, err)
	}
	return failed
}

// differs says what of a stored trace is not as the fold of its events has it.
func differs(t storedTrace, want tracking.Summary) string {
	if got := t.state.Summary(); !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("its state comes to %+v, the events to %+v", got, want)
	}
	type columns struct {
		status, exception   string
		events, voided, odd int
	}
	got := columns{t.status, t.exception, t.events, t.voided, t.odd}
	if should := (columns{string(want.Status), want.Exception, want.EventCount, want.VoidedCount, want.UnknownCount}); got != should {
		return fmt.Sprintf("its row says %+v, the events %+v", got, should)
	}
	return ""
}

// mostAsked is how many traces are asked of the query role.
const mostAsked = 200

// ask asks the query role for some of the traces and returns how many it shows otherwise than they are stored.
func (s *stack) ask(ctx context.Context, at *seat) (asked, wrong int, err error) {
	conn, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		return 0, 0, fmt.Errorf("connect to verify: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	traces, err := query(ctx, conn, fmt.Sprintf("%s ORDER BY event_count DESC, correlation_id LIMIT %d", readTraces, mostAsked), scanTrace)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range traces {
		status, body, err := s.get(ctx, at, t.tenant, "/api/v1/trace/"+url.PathEscape(t.correlation))
		if err != nil {
			return asked, wrong, err
		}
		var shown struct {
			Status string            `json:"status"`
			Events []json.RawMessage `json:"events"`
		}
		asked++
		if status != http.StatusOK || json.Unmarshal(body, &shown) != nil || shown.Status != t.status || len(shown.Events) != t.events {
			wrong++
		}
	}
	return asked, wrong, nil
}

func (s *stack) get(ctx context.Context, at *seat, tenant, path string) (int, []byte, error) {
	token, err := s.token(ctx, tenant)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.url+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, errors.Join(err, response.Body.Close())
}
