package persist

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// journeysOf draws events of a few journeys of a tenant: several aggregates, pieces, legs, late ones, plans, revisions, voids and
// replacements.
func journeysOf(tenant string) *rapid.Generator[[]*tracking.Event] {
	return rapid.Custom(func(t *rapid.T) []*tracking.Event {
		began := time.Now().UTC().Truncate(time.Second).Add(-24 * time.Hour)
		milestones := append(tracking.Milestones()[:10], tracking.Returned, tracking.Lost, tracking.Unknown, tracking.None)
		events := make([]*tracking.Event, rapid.IntRange(1, 24).Draw(t, "events"))
		for i := range events {
			correlation := rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "journey")
			e := happened(correlation, "code", rapid.SampledFrom(milestones).Draw(t, "milestone"), 0)
			e.TenantID, e.EventID = tenant, fmt.Sprint("e", i)
			e.AggregateID = rapid.SampledFrom([]string{correlation, "bag 1", "bag 2"}).Draw(t, "aggregate")
			e.OccurredAt = began.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "occurred")) * time.Minute)
			e.ReceivedAt = began.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "received")) * time.Minute)
			e.Classifier = rapid.SampledFrom([]tracking.Classifier{
				tracking.Actual, tracking.Actual, tracking.Actual, tracking.Estimated, tracking.Planned,
			}).Draw(t, "classifier")
			e.Enrichment.Exception = rapid.SampledFrom([]string{"", "", "", "missing", "cleared"}).Draw(t, "exception")
			if rapid.Bool().Draw(t, "counted") {
				e.Quantity = &tracking.Quantity{Pieces: rapid.IntRange(1, 4).Draw(t, "pieces"), TotalPieces: 4}
			}
			if rapid.Bool().Draw(t, "transported") {
				e.Transport = &tracking.Transport{Carrier: "LA", Number: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "flight"), Date: "2026-06-20"}
			}
			if rapid.Bool().Draw(t, "located") {
				lat := -12.0219
				e.Location = &tracking.Location{IATA: rapid.SampledFrom([]string{"LIM", "SCL"}).Draw(t, "place"), Lat: &lat}
			}
			correct(t, e, i)
			events[i] = e
		}
		return events
	})
}

// correct makes some events correct others, or revise them.
func correct(t *rapid.T, e *tracking.Event, i int) {
	other := fmt.Sprint("e", rapid.IntRange(0, i).Draw(t, "other"))
	switch rapid.IntRange(0, 11).Draw(t, "correction") {
	case 0:
		e.EventID, e.Revision = other, int64(rapid.IntRange(0, 2).Draw(t, "revision"))
	case 1:
		e.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{other}, Reason: "did_not_occur"}
	case 2:
		e.Corrects = &tracking.Correction{Kind: tracking.Replace, EventIDs: []string{other}, Reason: "incorrect_data"}
	}
}

// Invariant 10, through the stage and the database: events shuffled, duplicated, delivered again, cut into batches of any size and
// written by several at once give the very rows that the events alone give, to the byte.
func TestAnyWayToStoreEventsGivesTheSameTraces(t *testing.T) {
	t.Parallel()
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	opened, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), config.URL)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	stage := newStage(t, opened)
	rapid.Check(t, func(t *rapid.T) {
		tenant := uuid.NewString()
		events := journeysOf(tenant).Draw(t, "set")
		writers := rapid.IntRange(1, 3).Draw(t, "writers")
		var group errgroup.Group
		for w := range writers {
			// Every writer but the first may have but some of the events; together they have all, some of them several times.
			own := slices.Clone(events)
			if w > 0 {
				own = rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "some")
			}
			own = append(own, rapid.SliceOfN(rapid.SampledFrom(events), 0, 4).Draw(t, "again")...)
			own = rapid.Permutation(own).Draw(t, "order")
			size := rapid.IntRange(1, len(own)+1).Draw(t, "batch")
			group.Go(func() error {
				for batch := range slices.Chunk(own, size) {
					if err := stage.Process(context.Background(), pipeline.NewBatch(batch)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		rows := rowsOfFold(t, events)
		require.Equal(t, rows, rowsOf(t, pool, tenant))

		// All has happened by now, so that the trace as of now is the one that is stored.
		for i := range rows {
			for _, times := range []store.Times{{}, {AsOf: time.Now()}, {KnownAt: time.Now()}} {
				trace, err := opened.TraceAt(context.Background(), tenant, rows[i].Correlation, times)
				require.NoError(t, err)
				require.Equal(t, rows[i], rowOf(trace.Summary, rows[i].State))
			}
		}
	})
}

// What was known at a time does not change by what is received later, be it that earlier events were wrong.
func TestWhatWasKnownStays(t *testing.T) {
	t.Parallel()
	config := store.DefaultConfig()
	config.URL = databases.URL(t)
	opened, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	stage := newStage(t, opened)
	rapid.Check(t, func(t *rapid.T) {
		tenant := uuid.NewString()
		events := journeysOf(tenant).Draw(t, "set")
		at := rapid.SampledFrom(events).Draw(t, "one").ReceivedAt
		later := func(e *tracking.Event) bool { return e.ReceivedAt.After(at) }
		known := slices.DeleteFunc(slices.Clone(events), later)
		require.NoError(t, stage.Process(context.Background(), pipeline.NewBatch(known)))
		before := map[string]tracking.Trace{}
		for _, row := range rowsOfFold(t, known) {
			before[row.Correlation], err = opened.Trace(context.Background(), tenant, row.Correlation)
			require.NoError(t, err)
		}
		if len(known) < len(events) {
			rest := slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool { return !later(e) })
			require.NoError(t, stage.Process(context.Background(), pipeline.NewBatch(rest)))
		}
		for _, journey := range []string{"A", "B", "C"} {
			trace, err := opened.TraceAt(context.Background(), tenant, journey, store.Times{KnownAt: at})
			if _, was := before[journey]; !was {
				require.ErrorIs(t, err, store.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, before[journey], trace)
		}
	})
}

// traceRow is a row of traces: every column but the tenant's, and updated_at, that the fold owns.
type traceRow struct {
	Correlation, Aggregate string
	Aggregates             []string
	Kind, Status, Trouble  string
	Anomalies              []string
	First, Last, Estimated *time.Time
	Place                  string
	Events, Voided         int
	Unknown                int
	Pieces, Delivered      *int
	State                  []byte
}

func rowOf(s tracking.Summary, state []byte) traceRow {
	row := traceRow{
		Correlation: s.CorrelationID, Aggregate: s.AggregateID, Aggregates: s.Aggregates, Kind: string(s.Kind), Status: string(s.Status),
		Trouble: s.Exception, Anomalies: s.Anomalies, First: &s.FirstEventAt, Last: &s.LastEventAt, Estimated: s.EstimatedAt,
		Events: s.EventCount, Voided: s.VoidedCount, Unknown: s.UnknownCount, State: state,
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

func rowsOfFold(t require.TestingT, events []*tracking.Event) []traceRow {
	var rows []traceRow
	for _, journey := range []string{"A", "B", "C"} {
		of := slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool { return e.CorrelationID != journey })
		if len(of) == 0 {
			continue
		}
		state, err := tracking.Rebuild(of).MarshalBinary()
		require.NoError(t, err)
		rows = append(rows, rowOf(tracking.Fold(of).Summary, state))
	}
	return rows
}

func rowsOf(t require.TestingT, pool *pgxpool.Pool, tenant string) []traceRow {
	rows, err := pool.Query(context.Background(), `SELECT correlation_id, aggregate_id, aggregates, kind, status, exception, anomalies,
		first_event_at, last_event_at, estimated_at, last_place, event_count, voided_count, unknown_count, pieces_total,
		pieces_delivered, state FROM traces WHERE tenant_id = $1 ORDER BY correlation_id`, tenant)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[traceRow])
	require.NoError(t, err)
	for i := range found {
		for _, at := range []*time.Time{found[i].First, found[i].Last, found[i].Estimated} {
			if at != nil {
				*at = at.UTC()
			}
		}
	}
	return found
}
