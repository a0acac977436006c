package persist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

var databases = postgrestest.New(func(ctx context.Context, url string) error {
	return store.Migrate(ctx, url, slog.New(slog.DiscardHandler))
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }

func openStore(tb testing.TB) *store.Store {
	tb.Helper()
	config := store.DefaultConfig()
	config.URL = databases.URL(tb)
	opened, err := store.Open(tb.Context(), config)
	require.NoError(tb, err)
	tb.Cleanup(opened.Close)
	require.NoError(tb, opened.EnsurePartitions(tb.Context(), time.Now()))
	return opened
}

func newStage(tb testing.TB, events Store) pipeline.Stage {
	tb.Helper()
	settings := pipeline.Settings{Name: "persist", Pipeline: "tracking", Logger: slog.New(slog.DiscardHandler)}
	built, err := build(Defaults(), pipeline.Provide(settings, events))
	require.NoError(tb, err)
	return built
}

func happened(correlation, code string, milestone tracking.Milestone, minute int) *tracking.Event {
	uid, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA", EventID: uid.String(), CorrelationID: correlation, AggregateID: correlation,
		Kind: tracking.Baggage, Type: code, Classifier: tracking.Actual,
		OccurredAt: time.Date(2026, 6, 20, 10, minute, 0, 0, time.UTC), ReceivedAt: time.Now().UTC().Truncate(time.Microsecond),
		Payload:    json.RawMessage(`{"belt":  4}`),
		Enrichment: tracking.Enrichment{Milestone: milestone},
	}
}

func process(tb testing.TB, stage pipeline.Stage, events ...*tracking.Event) *pipeline.Batch {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(tb, stage.Process(context.Background(), batch))
	return batch
}

func TestEventsAreStoredAndMoveTheirTrace(t *testing.T) {
	t.Parallel()
	opened := openStore(t)
	stage := newStage(t, opened)
	events := []*tracking.Event{
		happened("0045123456", "loaded", tracking.Loaded, 2), happened("0045123456", "checked_in", tracking.Accepted, 1),
		happened("0045123457", "checked_in", tracking.Accepted, 1),
	}
	batch := process(t, stage, events...)
	require.Equal(t, 3, batch.PendingLen())
	require.Same(t, events[1], batch.Event(1))

	trace, err := opened.Trace(t.Context(), "talma-pe", "0045123456")
	require.NoError(t, err)
	require.Equal(t, tracking.Loaded, trace.Status)
	require.Equal(t, 2, trace.EventCount)
	require.Equal(t, events[1].UID, trace.Events[0].UID)
	require.Equal(t, `{"belt":  4}`, string(trace.Events[0].Payload))
}

func TestARedeliveryPassesAndChangesNothing(t *testing.T) {
	t.Parallel()
	opened := openStore(t)
	stage := newStage(t, opened)
	first := happened("0045123456", "loaded", tracking.Loaded, 2)
	process(t, stage, first)
	before, err := opened.Trace(t.Context(), "talma-pe", "0045123456")
	require.NoError(t, err)

	batch := process(t, stage, first, first)
	require.Equal(t, 2, batch.PendingLen())
	after, err := opened.Trace(t.Context(), "talma-pe", "0045123456")
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestWhatTheStoreRefusesIsRejectedAndItsMatesAreStored(t *testing.T) {
	t.Parallel()
	opened := openStore(t)
	stage := newStage(t, opened)
	events := make([]*tracking.Event, 9)
	for i := range events {
		events[i] = happened(fmt.Sprintf("tag-%d", i), "loaded", tracking.Loaded, i)
	}
	events[2].AggregateID = "nul \x00 byte"
	events[5].OccurredAt = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	batch := pipeline.NewBatch(events)
	batch.Drop(7, pipeline.Reason{Code: "duplicate"})
	require.NoError(t, stage.Process(context.Background(), batch))

	for i, event := range events {
		verdict := batch.Verdict(i)
		_, err := opened.Trace(t.Context(), "talma-pe", event.CorrelationID)
		switch i {
		case 2, 5:
			require.Equal(t, pipeline.Reject, verdict.Outcome)
			require.Equal(t, CodeRefused, verdict.Reason.Code)
			require.Contains(t, verdict.Reason.Message, "the event store cannot hold the event: ")
			require.ErrorIs(t, err, store.ErrNotFound)
		case 7:
			require.Equal(t, pipeline.Drop, verdict.Outcome)
			require.ErrorIs(t, err, store.ErrNotFound)
		default:
			require.Equal(t, pipeline.Pass, verdict.Outcome)
			require.NoError(t, err)
		}
	}
}

func TestConcurrentWorkersStoreEachEventOnce(t *testing.T) {
	t.Parallel()
	opened := openStore(t)
	stage := newStage(t, opened)
	events := make([]*tracking.Event, 40)
	for i := range events {
		events[i] = happened(fmt.Sprintf("tag-%d", i%4), "scanned", tracking.Processing, i)
	}
	var group sync.WaitGroup
	for w := range 6 {
		group.Go(func() {
			// Every worker has all the events, each in an order of its own.
			own := append(append([]*tracking.Event{}, events[w*5:]...), events[:w*5]...)
			if err := stage.Process(context.Background(), pipeline.NewBatch(own)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range 4 {
		trace, err := opened.Trace(t.Context(), "talma-pe", fmt.Sprintf("tag-%d", i))
		require.NoError(t, err)
		require.Equal(t, 10, trace.EventCount)
		require.Equal(t, 10, trace.Milestones[0].Count)
	}
}

func TestContextIsHonoured(t *testing.T) {
	t.Parallel()
	stage := newStage(t, openStore(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := pipeline.NewBatch([]*tracking.Event{happened("tag", "loaded", tracking.Loaded, 1)})
	require.ErrorIs(t, stage.Process(ctx, batch), context.Canceled)
	require.Equal(t, 1, batch.PendingLen())
	require.ErrorIs(t, stage.Process(ctx, pipeline.NewBatch(nil)), context.Canceled)
	require.NoError(t, stage.Process(context.Background(), batch))
}

func TestAnOutageIsAnErrorAndSettlesNothing(t *testing.T) {
	t.Parallel()
	opened := openStore(t)
	stage := newStage(t, opened)
	opened.Close()
	batch := pipeline.NewBatch([]*tracking.Event{happened("tag", "loaded", tracking.Loaded, 1)})
	require.ErrorContains(t, stage.Process(context.Background(), batch), "store events: ")
	require.Equal(t, 1, batch.PendingLen())
}

// storeFunc stands for a store that answers as the real one cannot be made to.
type storeFunc func(events []*tracking.Event) ([]store.Persisted, error)

func (f storeFunc) Persist(_ context.Context, events []*tracking.Event) ([]store.Persisted, error) {
	return f(events)
}

func TestAnswersThatDoNotFitAreAnError(t *testing.T) {
	t.Parallel()
	stage := newStage(t, storeFunc(func([]*tracking.Event) ([]store.Persisted, error) { return make([]store.Persisted, 1), nil }))
	batch := pipeline.NewBatch([]*tracking.Event{{}, {}})
	require.ErrorContains(t, stage.Process(context.Background(), batch), "2 events got 1 answers")
	require.Equal(t, 2, batch.PendingLen())
}

func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	stage := newStage(t, storeFunc(func([]*tracking.Event) ([]store.Persisted, error) {
		return []store.Persisted{{Refused: errors.New(strings.Repeat("ñ", 10_000))}}, nil
	}))
	reason := process(t, stage, &tracking.Event{}).Verdict(0).Reason
	require.Less(t, len(reason.Message), 300)
	require.True(t, strings.HasSuffix(reason.Message, "ñ…"))
}

func TestConfigInYAML(t *testing.T) {
	t.Parallel()
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	parse := func(stage string) (pipeline.Spec, error) {
		return pipeline.Parse("p.yaml", []byte("pipeline: p\nfrom: a\nstages:\n  - use: persist\n"+stage), registry)
	}
	spec, err := parse("")
	require.NoError(t, err)
	_, err = parse("    with: {}\n")
	require.NoError(t, err)
	_, err = parse("    with: {table: events}\n")
	require.ErrorContains(t, err, `unknown field "table"`)
	_, err = parse("    with: [events]\n")
	require.ErrorContains(t, err, "p.yaml:5:")

	settings := pipeline.Settings{Logger: slog.New(slog.DiscardHandler)}
	_, err = spec.Plan().Hops[0].Build("p", settings, nil)
	require.ErrorIs(t, err, pipeline.ErrNoResource)
	_, err = spec.Plan().Hops[0].Build("p", pipeline.Provide[Store](settings, openStore(t)), nil)
	require.NoError(t, err)
}

func BenchmarkPersist(b *testing.B) {
	const batchSize = 500
	stage := newStage(b, openStore(b))
	events := make([]*tracking.Event, batchSize)
	journey := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range events {
			if i%4 == 0 {
				journey++
			}
			events[i] = happened(fmt.Sprintf("tag-%d", journey), "scanned", tracking.Processing, i%60)
		}
		b.StartTimer()
		process(b, stage, events...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/event")
}
