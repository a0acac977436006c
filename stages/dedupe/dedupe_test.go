package dedupe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

func openStore(tb testing.TB, url string, opts ...store.Option) *store.Store {
	tb.Helper()
	config := store.DefaultConfig()
	config.URL = url
	opened, err := store.Open(tb.Context(), config, opts...)
	require.NoError(tb, err)
	tb.Cleanup(opened.Close)
	require.NoError(tb, opened.EnsurePartitions(tb.Context(), time.Now()))
	return opened
}

func newStage(tb testing.TB, claims Claims, config Config) pipeline.Stage {
	tb.Helper()
	settings := pipeline.Settings{Name: "dedupe", Pipeline: "tracking", Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	built, err := build(config, pipeline.Provide(settings, claims))
	require.NoError(tb, err)
	return built
}

func delivery(eventID string, revision int64) *tracking.Event {
	uid, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA", EventID: eventID, Revision: revision, CorrelationID: "0045123456",
		Payload: json.RawMessage(`{"location": "LIM"}`),
	}
}

func process(tb testing.TB, stage pipeline.Stage, events ...*tracking.Event) *pipeline.Batch {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(tb, stage.Process(context.Background(), batch))
	return batch
}

func outcomes(batch *pipeline.Batch) []pipeline.Outcome {
	list := make([]pipeline.Outcome, batch.Len())
	for i := range list {
		list[i] = batch.Verdict(i).Outcome
	}
	return list
}

const (
	pass = pipeline.Pass
	drop = pipeline.Drop
)

func TestTheFirstDeliveryPassesAndOthersAreDropped(t *testing.T) {
	t.Parallel()
	stage := newStage(t, openStore(t, databases.URL(t)), Defaults())

	first, other := delivery("evt-1", 0), delivery("evt-2", 0)
	require.Equal(t, []pipeline.Outcome{pass, pass}, outcomes(process(t, stage, first, other)))

	again, correction := delivery("evt-1", 0), delivery("evt-1", 1)
	elsewhere, anotherSource := delivery("evt-1", 0), delivery("evt-1", 0)
	elsewhere.TenantID, anotherSource.Source = "talma-ec", "AV"
	batch := process(t, stage, again, correction, elsewhere, anotherSource)
	require.Equal(t, []pipeline.Outcome{drop, pass, pass, pass}, outcomes(batch))
	require.Equal(t, pipeline.Reason{Code: "duplicate", Message: "duplicate of " + first.UID.String(), Of: first.UID}, batch.Verdict(0).Reason)
	require.Same(t, again, batch.Event(0))
	require.JSONEq(t, `{"location":"LIM"}`, string(again.Payload))
}

func TestDuplicatesWithinABatch(t *testing.T) {
	t.Parallel()
	stage := newStage(t, openStore(t, databases.URL(t)), Defaults())
	events := []*tracking.Event{delivery("a", 0), delivery("b", 0), delivery("a", 0), delivery("a", 0), delivery("b", 1)}
	batch := process(t, stage, events...)
	require.Equal(t, []pipeline.Outcome{pass, pass, drop, drop, pass}, outcomes(batch))
	require.Equal(t, "duplicate of "+events[0].UID.String(), batch.Verdict(3).Reason.Message)
}

// Invariant 7: a process that dies after it claimed and before it published loses nothing, because the redelivery has the
// UID that holds the claim.
func TestARedeliveryPassesInAnotherProcess(t *testing.T) {
	t.Parallel()
	url := databases.URL(t)
	events := []*tracking.Event{delivery("a", 0), delivery("b", 0), delivery("a", 0)}
	for range 3 {
		stage := newStage(t, openStore(t, url), Defaults())
		require.Equal(t, []pipeline.Outcome{pass, pass, drop}, outcomes(process(t, stage, events...)))
	}
	// In another order, too, and with the duplicate delivered first.
	stage := newStage(t, openStore(t, url), Defaults())
	require.Equal(t, []pipeline.Outcome{drop, pass, pass}, outcomes(process(t, stage, events[2], events[1], events[0])))
}

func TestAClaimEndsWithItsWindow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 23, 59, 0, 0, time.UTC)
	var clock sync.Mutex
	opened := openStore(t, databases.URL(t), store.WithClock(func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return now
	}))
	config := Defaults()
	config.Window = time.Hour
	stage := newStage(t, opened, config)
	after := func(d time.Duration) []pipeline.Outcome {
		clock.Lock()
		now = now.Add(d)
		clock.Unlock()
		return outcomes(process(t, stage, delivery("reused tag", 0)))
	}
	require.Equal(t, []pipeline.Outcome{pass}, after(0))
	require.Equal(t, []pipeline.Outcome{drop}, after(59*time.Minute)) // the next day by then
	require.Equal(t, []pipeline.Outcome{pass}, after(2*time.Minute))
	require.Equal(t, []pipeline.Outcome{drop}, after(time.Minute))
}

func TestPipelinesDoNotStealEachOthersClaims(t *testing.T) {
	t.Parallel()
	opened := openStore(t, databases.URL(t))
	event := delivery("evt-1", 0)
	require.Equal(t, []pipeline.Outcome{pass}, outcomes(process(t, newStage(t, opened, Defaults()), event)))

	settings := pipeline.Settings{Name: "dedupe", Pipeline: "audit", Logger: slog.New(slog.DiscardHandler)}
	audit, err := build(Defaults(), pipeline.Provide[Claims](settings, opened))
	require.NoError(t, err)
	require.Equal(t, []pipeline.Outcome{pass}, outcomes(process(t, audit, delivery("evt-1", 0))))
	require.Equal(t, []pipeline.Outcome{drop}, outcomes(process(t, audit, delivery("evt-1", 0))))
}

func TestAnEventWithoutAKeyPasses(t *testing.T) {
	t.Parallel()
	config := Defaults()
	config.Key = paths("source", "payload.ref")
	stage := newStage(t, openStore(t, databases.URL(t)), config)
	with := func(payload string) *tracking.Event {
		event := delivery("x", 0)
		event.Payload = json.RawMessage(payload)
		return event
	}
	batch := process(t, stage, with(`{}`), with(`{"ref":1}`), with(`{}`), with(`{"ref":1}`), with(`null`))
	require.Equal(t, []pipeline.Outcome{pass, pass, pass, drop, pass}, outcomes(batch))
}

// Of many deliveries of one event, at the same time in several workers, exactly one passes, and all name it.
func TestConcurrentDeliveries(t *testing.T) {
	t.Parallel()
	stage := newStage(t, openStore(t, databases.URL(t)), Defaults())
	const workers, keys = 8, 20
	batches := make([]*pipeline.Batch, workers)
	var group sync.WaitGroup
	for w := range workers {
		events := make([]*tracking.Event, keys)
		for k := range events {
			events[k] = delivery(fmt.Sprintf("evt-%d", k), 0)
		}
		batches[w] = pipeline.NewBatch(events)
		group.Go(func() {
			if err := stage.Process(context.Background(), batches[w]); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for k := range keys {
		winner := ""
		for _, batch := range batches {
			if batch.Verdict(k).Outcome == pass {
				require.Empty(t, winner, "two deliveries of one event passed")
				winner = batch.Event(k).UID.String()
			}
		}
		require.NotEmpty(t, winner)
		for _, batch := range batches {
			if v := batch.Verdict(k); v.Outcome == drop {
				require.Equal(t, "duplicate of "+winner, v.Reason.Message)
			}
		}
	}
}

// claimsFunc stands for a store that misbehaves in a way that the real one cannot be made to.
type claimsFunc func(ctx context.Context, claims []store.Claim) ([]uuid.UUID, error)

func (f claimsFunc) Claim(ctx context.Context, _ time.Duration, claims []store.Claim) ([]uuid.UUID, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	return f(ctx, claims)
}

func TestAnOutageIsAnErrorAndSettlesNothing(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	stage := newStage(t, claimsFunc(func(context.Context, []store.Claim) ([]uuid.UUID, error) { return nil, down }), Defaults())
	batch := pipeline.NewBatch([]*tracking.Event{delivery("a", 0), delivery("a", 0)})
	require.ErrorIs(t, stage.Process(context.Background(), batch), down)
	require.Equal(t, 2, batch.PendingLen())

	short := newStage(t, claimsFunc(func(context.Context, []store.Claim) ([]uuid.UUID, error) { return make([]uuid.UUID, 1), nil }), Defaults())
	require.ErrorContains(t, short.Process(context.Background(), batch), "2 keys got 1 answers")
	require.Equal(t, 2, batch.PendingLen())
}

func TestSettledEventsAreNotClaimed(t *testing.T) {
	t.Parallel()
	var claimed []store.Claim
	stage := newStage(t, claimsFunc(func(_ context.Context, claims []store.Claim) ([]uuid.UUID, error) {
		claimed = append(claimed, claims...)
		uids := make([]uuid.UUID, len(claims))
		for i := range uids {
			uids[i] = claims[i].UID
		}
		return uids, nil
	}), Defaults())
	events := []*tracking.Event{delivery("a", 0), delivery("b", 0), delivery("c", 0)}
	batch := pipeline.NewBatch(events)
	batch.Reject(1, pipeline.Reason{Code: "schema"})
	require.NoError(t, stage.Process(context.Background(), batch))
	require.Len(t, claimed, 2)
	require.Equal(t, events[2].UID, claimed[1].UID)
	require.Equal(t, pipeline.Reject, batch.Verdict(1).Outcome)
}

func TestContextIsHonoured(t *testing.T) {
	t.Parallel()
	stage := newStage(t, openStore(t, databases.URL(t)), Defaults())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	batch := pipeline.NewBatch([]*tracking.Event{delivery("a", 0)})
	require.ErrorIs(t, stage.Process(ctx, batch), context.Canceled)
	require.Equal(t, 1, batch.PendingLen())
	require.ErrorIs(t, stage.Process(ctx, pipeline.NewBatch(nil)), context.Canceled)
	require.NoError(t, stage.Process(context.Background(), batch))
}

func TestConfigInYAML(t *testing.T) {
	t.Parallel()
	cases := []struct{ with, want string }{
		{"{}", ""},
		{"{key: [tenant_id, source, event_id, revision], window: 72h}", ""},
		{"{key: [payload.tag.number, correlation_id], window: 30m}", ""},
		{"{keys: [source]}", `unknown field "keys"`},
		{"{key: [source, event_idd]}", `p.yaml:5:26: unknown field "event_idd"; did you mean "event_id"?`},
		{"{key: source}", "p.yaml:5:"},
		{"{key: [3]}", "unknown field \"3\""},
		{"{key: []}", "no field tells one event from another"},
		{"{key: [tenant_id, source]}", "no field tells one event from another"},
		{"{key: [event_id, event_id]}", "event_id is named twice"},
		{"{key: [uid]}", "uid is new with every delivery"},
		{"{window: 0s}", "window: 0s is no time at all"},
		{"{window: -1h}", "window: -1h0m0s is no time at all"},
		{"{window: 3 days}", "p.yaml:5:"},
	}
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	claims := claimsFunc(func(context.Context, []store.Claim) ([]uuid.UUID, error) { return nil, nil })
	for _, c := range cases {
		t.Run(c.with, func(t *testing.T) {
			t.Parallel()
			source := fmt.Sprintf("pipeline: p\nfrom: a\nstages:\n  - use: dedupe\n    with: %s\n", c.with)
			spec, err := pipeline.Parse("p.yaml", []byte(source), registry)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			settings := pipeline.Settings{Logger: slog.New(slog.DiscardHandler)}
			_, err = spec.Plan().Hops[0].Build("p", settings, nil)
			require.ErrorIs(t, err, pipeline.ErrNoResource)
			_, err = spec.Plan().Hops[0].Build("p", pipeline.Provide[Claims](settings, claims), nil)
			require.NoError(t, err)
		})
	}
}

func TestAWindowThatCannotBeKeptIsAnErrorAtStart(t *testing.T) {
	t.Parallel()
	config := Defaults()
	config.Window = 10 * 365 * 24 * time.Hour
	settings := pipeline.Settings{Name: "dedupe", Pipeline: "tracking", Logger: slog.New(slog.DiscardHandler)}
	_, err := build(config, pipeline.Provide[Claims](settings, openStore(t, databases.URL(t))))
	require.ErrorContains(t, err, "window: ")
}

func BenchmarkDedupe(b *testing.B) {
	const batchSize = 500
	own := claimsFunc(func(_ context.Context, claims []store.Claim) ([]uuid.UUID, error) {
		uids := make([]uuid.UUID, len(claims))
		for i := range claims {
			uids[i] = claims[i].UID
		}
		return uids, nil
	})
	run := func(b *testing.B, claims Claims) {
		b.Helper()
		stage := newStage(b, claims, Defaults())
		events := make([]*tracking.Event, batchSize)
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			for i := range events {
				events[i] = delivery(uuid.NewString(), 0)
			}
			b.StartTimer()
			process(b, stage, events...)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/event")
	}
	b.Run("keys only", func(b *testing.B) { run(b, own) })
	b.Run("postgres", func(b *testing.B) { run(b, openStore(b, databases.URL(b))) })
}
