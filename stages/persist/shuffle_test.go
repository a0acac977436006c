package persist

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/trackingtest"
)

// begin is when what is drawn begins to happen: so near to the end of a month that journeys go on in the next.
var begin = time.Date(2026, 5, 31, 17, 0, 0, 0, time.UTC)

// budget bounds how long a property is tested.
const budget = 10 * time.Second

var runs atomic.Uint64

// world returns a world of tenants that nobody else has, who have the same names otherwise.
func world() trackingtest.World {
	run := runs.Add(1)
	return trackingtest.World{Begin: begin, Run: run, Tenants: []string{fmt.Sprintf("%06d acme", run), fmt.Sprintf("%06d umbrella", run)}}
}

// within checks a property for as long as there is time.
func within(t *testing.T, property func(t *rapid.T)) {
	t.Helper()
	began, checked, failed := time.Now(), 0, false
	rapid.Check(t, func(t *rapid.T) {
		if !failed && time.Since(began) > budget {
			return
		}
		before := failed
		failed = true // unless it comes to its end; then what fails is made small, however long that takes
		property(t)
		failed = before
		checked++
	})
	t.Logf("%d sets of events", checked)
}

func openWorld(t *testing.T) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	opened, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	require.NoError(t, opened.EnsurePartitions(t.Context(), begin))
	pool, err := pgxpool.New(t.Context(), config.URL)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return opened, pool
}

// write writes events in a way that is drawn.
func write(t *rapid.T, stage pipeline.Stage, events []*tracking.Event) {
	var group errgroup.Group
	for _, batches := range trackingtest.Ways(events).Draw(t, "way") {
		group.Go(func() error {
			for _, batch := range batches {
				if err := deliver(stage, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}

func deliver(stage pipeline.Stage, batch trackingtest.Batch) error {
	process := func(ctx context.Context) error {
		delivered := pipeline.NewBatch(batch.Events)
		err := stage.Process(ctx, delivered)
		if err == nil && delivered.PendingLen() != len(batch.Events) {
			err = errors.New("an event was rejected")
		}
		return err
	}
	switch batch.Fate {
	case trackingtest.Interrupted: // nobody knows how far it came
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(len(batch.Events))*500*time.Microsecond)
		_ = process(ctx)
		cancel()
	case trackingtest.Redelivered:
		if err := process(context.Background()); err != nil {
			return err
		}
	case trackingtest.Acknowledged:
	}
	return process(context.Background())
}

// Invariant 10, through the stage and the database: what carriers send, shuffled, duplicated, delivered again, cut into batches of any
// size and written by several at once, gives the very rows that the events alone give, to the byte; and whatever is kept beside them.
func TestAnyWayToStoreEventsGivesTheSameTraces(t *testing.T) {
	t.Parallel()
	opened, pool := openWorld(t)
	stage := newStage(t, opened)
	within(t, func(t *rapid.T) {
		w := world()
		events := w.Events().Draw(t, "events")
		write(t, stage, events)
		journeys := byJourney(events)
		rows := make([]traceRow, len(journeys))
		for i, of := range journeys {
			rows[i] = rowOfFold(t, of)
		}
		require.Equal(t, rows, rowsOf(t, pool, w.Tenants))
		for _, of := range journeys {
			requireAsItWas(t, opened, of)
		}
		requireFacets(t, pool, w.Tenants)
		requireNothingToMend(t, opened, w.Tenants)
	})
	_, err := opened.Seal(t.Context())
	require.NoError(t, err)
	requireNothingToMend(t, opened, []string{""})
}

// requireAsItWas requires that the store tells of a journey what the fold does, as of times at which it changed.
func requireAsItWas(t *rapid.T, opened *store.Store, events []*tracking.Event) {
	one, other := rapid.SampledFrom(events).Draw(t, "known"), rapid.SampledFrom(events).Draw(t, "happened")
	for _, times := range []store.Times{
		{}, {AsOf: other.OccurredAt}, {KnownAt: one.ReceivedAt}, {AsOf: other.OccurredAt, KnownAt: one.ReceivedAt},
		{AsOf: other.OccurredAt.Add(-time.Microsecond), KnownAt: one.ReceivedAt.Add(-time.Microsecond)},
	} {
		known := slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool {
			return !times.KnownAt.IsZero() && e.ReceivedAt.After(times.KnownAt)
		})
		want := tracking.Fold(known)
		if !times.AsOf.IsZero() {
			want = tracking.FoldAsOf(known, times.AsOf)
		}
		got, err := opened.TraceAt(context.Background(), events[0].TenantID, events[0].CorrelationID, times)
		if len(want.Events) == 0 {
			require.ErrorIs(t, err, store.ErrNotFound)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, asJSON(t, want), asJSON(t, got), "%+v", times)
	}
}

func asJSON(t require.TestingT, v any) string {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// requireFacets requires that traces are found by just what their events say, as the schema has it, and that live streams hear of each.
func requireFacets(t *rapid.T, pool *pgxpool.Pool, tenants []string) {
	var wrong int
	require.NoError(t, pool.QueryRow(context.Background(), `
WITH said AS (
    SELECT DISTINCT tenant_id, facet, correlation_id FROM event_store,
        event_facets(source, event_type, kind, classifier, milestone, details::jsonb) AS f (facet) WHERE tenant_id = ANY ($1)),
kept AS (SELECT tenant_id, facet, correlation_id FROM trace_facets WHERE tenant_id = ANY ($1)),
told AS (SELECT DISTINCT tenant_id, unnest(correlation_ids) AS correlation_id FROM trace_changes WHERE tenant_id = ANY ($1)),
there AS (SELECT tenant_id, correlation_id FROM traces WHERE tenant_id = ANY ($1))
SELECT (SELECT count(*) FROM (SELECT * FROM said EXCEPT SELECT * FROM kept) a) + (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM said) a)
    + (SELECT count(*) FROM (SELECT * FROM told EXCEPT SELECT * FROM there) a) + (SELECT count(*) FROM (SELECT * FROM there EXCEPT SELECT * FROM told) a)
`, tenants).Scan(&wrong))
	require.Zero(t, wrong, "facets or changes that are not those of the events")
}

// requireNothingToMend requires that a replay and an audit find nothing.
func requireNothingToMend(t require.TestingT, opened *store.Store, tenants []string) {
	for _, tenant := range tenants {
		var differences []store.TraceDifference
		report, err := opened.Replay(context.Background(), store.Replay{DryRun: true, Tenant: tenant, Difference: func(d store.TraceDifference) {
			differences = append(differences, d)
		}})
		require.NoError(t, err)
		require.Empty(t, differences)
		require.Positive(t, report.Traces)
		var findings []store.AuditFinding
		sums, err := opened.Verify(context.Background(), store.AuditScope{Tenant: tenant}, func(f store.AuditFinding) { findings = append(findings, f) }, nil)
		require.NoError(t, err)
		require.Empty(t, findings)
		require.Equal(t, report.Events, sums.Events)
	}
}

// DOMAIN: what an event that is voided said is gone, whether the void came before it or after; an older revision after a newer one
// changes nothing; what was withdrawn stays so when an older revision comes.
func TestCorrectionsHoldHoweverTheyAreStored(t *testing.T) {
	t.Parallel()
	opened, pool := openWorld(t)
	stage := newStage(t, opened)
	within(t, func(t *rapid.T) {
		w := world()
		w.Plain, w.Tenants = true, w.Tenants[:1]
		events := w.Events().Draw(t, "events")
		gone := rapid.IntRange(0, len(events)-1).Draw(t, "gone")
		wrong := events[gone]
		received := begin.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "minute")) * time.Minute)
		say := func(n int, change func(*tracking.Event)) *tracking.Event {
			e := wrong.Clone()
			e.UID[7], e.UID[15] = byte(n), e.UID[15]^byte(n) // another one, of about the same time
			e.ReceivedAt = received
			change(e)
			return e
		}
		void := &tracking.Correction{Kind: tracking.Void, EventIDs: []string{wrong.EventID}}
		var more []*tracking.Event
		stays := false
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			more = append(more, say(1, func(e *tracking.Event) { e.EventID, e.Corrects = "void", void }))
		case 1: // withdrawn by a later revision under its own id, and then an older one comes
			more = append(more, say(1, func(e *tracking.Event) { e.Revision, e.Corrects = 5, void }),
				say(2, func(e *tracking.Event) { e.Revision, e.Enrichment.Milestone = 3, tracking.Lost }))
		case 2: // revised; the older revisions say what is not so
			stays = true
			wrong.Revision = 9
			more = append(more, say(1, func(e *tracking.Event) { e.Revision, e.Enrichment.Milestone = 3, tracking.Lost }),
				say(2, func(e *tracking.Event) { e.Revision, e.Enrichment.Exception = 4, "missing" }))
		}
		write(t, stage, append(slices.Clone(events), more...))

		left := slices.Clone(events)
		if !stays {
			left = slices.Delete(left, gone, gone+1)
		}
		for _, row := range rowsOf(t, pool, w.Tenants) {
			of := slices.DeleteFunc(slices.Clone(left), func(e *tracking.Event) bool { return e.CorrelationID != row.Correlation })
			if len(of) == 0 {
				require.Equal(t, row.Events, row.Voided+1, "but for the void all of it is void")
				continue
			}
			want := rowOfFold(t, of)
			if row.Correlation == wrong.CorrelationID {
				require.Equal(t, want.Events+len(more)+map[bool]int{false: 1}[stays], row.Events)
				want.Events, want.Voided, want.State, want.Updated = row.Events, row.Voided, row.State, row.Updated
			}
			require.Equal(t, want, row)
		}
	})
}

// What was known at a time does not change by what is received later, be it that earlier events were wrong.
func TestWhatWasKnownStays(t *testing.T) {
	t.Parallel()
	opened, _ := openWorld(t)
	stage := newStage(t, opened)
	within(t, func(t *rapid.T) {
		w := world()
		events := w.Events().Draw(t, "events")
		at := rapid.SampledFrom(events).Draw(t, "one").ReceivedAt
		later := func(e *tracking.Event) bool { return e.ReceivedAt.After(at) }
		known := slices.DeleteFunc(slices.Clone(events), later)
		write(t, stage, known)
		type id struct{ tenant, correlation string }
		before := map[id]tracking.Trace{}
		for _, of := range byJourney(known) {
			trace, err := opened.Trace(context.Background(), of[0].TenantID, of[0].CorrelationID)
			require.NoError(t, err)
			before[id{trace.TenantID, trace.CorrelationID}] = trace
		}
		if len(known) < len(events) {
			write(t, stage, slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool { return !later(e) }))
		}
		for _, of := range byJourney(events) {
			trace, err := opened.TraceAt(context.Background(), of[0].TenantID, of[0].CorrelationID, store.Times{KnownAt: at})
			was, there := before[id{of[0].TenantID, of[0].CorrelationID}]
			if !there {
				require.ErrorIs(t, err, store.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, was, trace)
		}
	})
}

// byJourney returns the events of each trace, in the order of tenant and correlation.
func byJourney(events []*tracking.Event) [][]*tracking.Event {
	compare := func(a, b *tracking.Event) int {
		return cmp.Or(strings.Compare(a.TenantID, b.TenantID), strings.Compare(a.CorrelationID, b.CorrelationID))
	}
	sorted := slices.SortedStableFunc(slices.Values(events), compare)
	var journeys [][]*tracking.Event
	for i, e := range sorted {
		if i == 0 || compare(sorted[i-1], e) != 0 {
			journeys = append(journeys, nil)
		}
		journeys[len(journeys)-1] = append(journeys[len(journeys)-1], e)
	}
	return journeys
}

// traceRow is a row of traces: every column that the fold owns.
type traceRow struct {
	Tenant                 string
	Correlation, Aggregate string
	Aggregates             []string
	Kind, Status, Trouble  string
	Anomalies              []string
	First, Last, Estimated *time.Time
	Place                  string
	Events, Voided         int
	Unknown                int
	Pieces, Delivered      *int
	Updated                time.Time
	State                  []byte
}

func rowOf(s tracking.Summary, state []byte) traceRow {
	row := traceRow{
		Tenant: s.TenantID, Correlation: s.CorrelationID, Aggregate: s.AggregateID, Aggregates: s.Aggregates, Kind: string(s.Kind), Status: string(s.Status),
		Trouble: s.Exception, Anomalies: s.Anomalies, First: &s.FirstEventAt, Last: &s.LastEventAt, Estimated: s.EstimatedAt,
		Events: s.EventCount, Voided: s.VoidedCount, Unknown: s.UnknownCount, Updated: s.UpdatedAt, State: state,
	}
	if row.Anomalies == nil {
		row.Anomalies = []string{}
	}
	if s.LastLocation != nil {
		row.Place = s.LastLocation.IATA
	}
	if p := s.Pieces; p != nil {
		delivered := p.ByMilestone[tracking.Delivered]
		row.Pieces, row.Delivered = &p.Total, &delivered
	}
	return row
}

func rowOfFold(t require.TestingT, events []*tracking.Event) traceRow {
	state, err := tracking.Rebuild(events).MarshalBinary()
	require.NoError(t, err)
	return rowOf(tracking.Fold(events).Summary, state)
}

func rowsOf(t require.TestingT, pool *pgxpool.Pool, tenants []string) []traceRow {
	rows, err := pool.Query(context.Background(), `SELECT tenant_id, correlation_id, aggregate_id, aggregates, kind, status, exception, anomalies,
		first_event_at, last_event_at, estimated_at, last_place, event_count, voided_count, unknown_count, pieces_total,
		pieces_delivered, updated_at, state FROM traces WHERE tenant_id = ANY ($1) ORDER BY tenant_id, correlation_id`, tenants)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[traceRow])
	require.NoError(t, err)
	for i := range found {
		for _, at := range []*time.Time{found[i].First, found[i].Last, found[i].Estimated, &found[i].Updated} {
			if at != nil {
				*at = at.UTC()
			}
		}
	}
	return found
}
