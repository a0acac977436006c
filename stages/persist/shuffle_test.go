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
		require.Equal(t, rowsOfFold(t, events), rowsOf(t, pool, tenant))
	})
}

// traceRow is what is compared of a row: the state of the fold, which everything else is made of, and some of the rest.
type traceRow struct {
	Correlation, Status, Exception, Aggregate string
	Events, Voided, Unknown                   int
	First, Last                               time.Time
	State                                     []byte
}

func rowsOfFold(t require.TestingT, events []*tracking.Event) []traceRow {
	var rows []traceRow
	for _, journey := range []string{"A", "B", "C"} {
		of := slices.DeleteFunc(slices.Clone(events), func(e *tracking.Event) bool { return e.CorrelationID != journey })
		if len(of) == 0 {
			continue
		}
		s := tracking.Fold(of).Summary
		state, err := tracking.Rebuild(of).MarshalBinary()
		require.NoError(t, err)
		rows = append(rows, traceRow{
			s.CorrelationID, string(s.Status), s.Exception, s.AggregateID, s.EventCount, s.VoidedCount, s.UnknownCount, s.FirstEventAt,
			s.LastEventAt, state,
		})
	}
	return rows
}

func rowsOf(t require.TestingT, pool *pgxpool.Pool, tenant string) []traceRow {
	rows, err := pool.Query(context.Background(), `SELECT correlation_id, status, exception, aggregate_id, event_count, voided_count,
		unknown_count, first_event_at, last_event_at, state FROM traces WHERE tenant_id = $1 ORDER BY correlation_id`, tenant)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[traceRow])
	require.NoError(t, err)
	for i := range found {
		found[i].First, found[i].Last = found[i].First.UTC(), found[i].Last.UTC()
	}
	return found
}
