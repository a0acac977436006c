package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

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
	return opened
}

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("a.yaml", []byte("pipeline: tracking\nfrom: x\nstages:\n  - use: aggregate\n    with: {"+with+"}\n"), r)
}

// emitter is what the stage is.
type emitter interface {
	pipeline.Stage
	pipeline.Emitter
}

// newStage builds a stage of a pipeline as another process would.
func newStage(t require.TestingT, windows Windows, pipelineName, with string, now func() time.Time) emitter {
	spec, err := parse(with)
	require.NoError(t, err)
	settings := pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: now}
	built, err := spec.Stages[0].Build(pipelineName, pipeline.Provide(settings, windows))
	require.NoError(t, err)
	made, ok := built.(emitter)
	require.True(t, ok)
	return made
}

func delivery(at time.Time, payload string) *tracking.Event {
	return &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", Type: "loaded", OccurredAt: at,
		Location: &tracking.Location{IATA: "LIM"}, Payload: json.RawMessage(payload),
	}
}

func process(t require.TestingT, s pipeline.Stage, events ...*tracking.Event) []string {
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(context.Background(), batch))
	said := make([]string, len(events))
	for i := range said {
		v := batch.Verdict(i)
		said[i] = strings.TrimSpace(v.Outcome.String() + " " + v.Reason.Code)
	}
	return said
}

func take(t require.TestingT, s pipeline.Emitter, now time.Time) ([]*tracking.Event, func(context.Context) error) {
	events, sent, err := s.Due(context.Background(), now)
	require.NoError(t, err)
	require.NotNil(t, sent)
	return events, sent
}

const fiveMinutes = "window: {tumbling: 5m}, allowed_lateness: 2m, emit: {event_type: bags_per_5m}, "

func TestOneEventOfMany(t *testing.T) {
	t.Parallel()
	now := noon.Add(2 * time.Minute)
	s := newStage(t, NewMemory(), "tracking", fiveMinutes+`key: [location.iata, payload.belt], compute: {
		bags: count, weight: sum(payload.weight), heaviest: max(payload.weight), lightest: min(payload.weight), mean: avg(payload.weight),
		flights: distinct(payload.flight), opened: first(payload.flight), closed: last(payload.flight), weighed: count(payload.weight)}`,
		func() time.Time { return now })
	events := []*tracking.Event{
		delivery(noon.Add(4*time.Minute), `{"belt":"3","weight":0.1,"flight":"LA2047"}`),
		delivery(noon, `{"belt":3,"weight":"0.2","flight":"LA2468"}`),
		delivery(noon.Add(5*time.Minute-time.Microsecond), `{"belt":"3","weight":"heavy"}`),
		delivery(noon.Add(time.Minute), `{"weight":9007199254740993}`),
		delivery(noon.Add(5*time.Minute), `{"belt":"3","weight":1}`),
	}
	require.Equal(t, []string{"pass", "pass", "pass", "pass", "pass"}, process(t, s, events...))
	none, _ := take(t, s, noon.Add(7*time.Minute-time.Microsecond))
	require.Empty(t, none)

	got, sent := take(t, s, noon.Add(7*time.Minute))
	require.Len(t, got, 2)
	byID := map[string]*tracking.Event{}
	for _, event := range got {
		byID[event.CorrelationID] = event
	}
	belt := byID["aggregate/LIM/3"]
	require.Equal(t, &tracking.Event{
		UID: belt.UID, TenantID: "talma-pe", Source: "tracking", EventID: belt.UID.String(), CorrelationID: "aggregate/LIM/3", AggregateID: "aggregate/LIM/3",
		Type: "bags_per_5m", Classifier: tracking.Actual, OccurredAt: noon.Add(5 * time.Minute), ReceivedAt: noon.Add(7 * time.Minute),
		Payload: json.RawMessage(`{"window_start":"2026-03-10T12:00:00Z","window_end":"2026-03-10T12:05:00Z","key":{"location.iata":"LIM","payload.belt":"3"},` +
			`"bags":3,"closed":"LA2047","flights":2,"heaviest":0.2,"lightest":0.1,"mean":0.15,"opened":"LA2468","weighed":3,"weight":0.3}`),
	}, belt)
	require.Equal(t, uuid.Version(7), belt.UID.Version())
	seconds, nanos := belt.UID.Time().UnixTime()
	require.Equal(t, noon, time.Unix(seconds, nanos).UTC())
	require.JSONEq(t, `{"window_start":"2026-03-10T12:00:00Z","window_end":"2026-03-10T12:05:00Z","key":{"location.iata":"LIM","payload.belt":null},
		"bags":1,"weight":9007199254740993,"heaviest":9007199254740993,"lightest":9007199254740993,"mean":9007199254740993,"flights":0,"opened":null,
		"closed":null,"weighed":1}`, string(byID["aggregate/LIM/-"].Payload))
	require.Contains(t, string(byID["aggregate/LIM/-"].Payload), `"weight":9007199254740993`, "exactly")

	again, _ := take(t, s, noon.Add(8*time.Minute))
	require.Equal(t, got, again, "until they are sent")
	require.NoError(t, sent(t.Context()))
	none, _ = take(t, s, noon.Add(9*time.Minute))
	require.Empty(t, none)
}

func TestTheEventIsAsConfigured(t *testing.T) {
	t.Parallel()
	s := newStage(t, NewMemory(), "tracking", `window: {sliding: 10m, every: 5m}, key: [tenant_id, payload.awb, payload.piece], compute: {n: count},
		emit: {event_type: pieces, source: rastro, kind: cargo, correlation_id: payload.awb, aggregate_id: payload.piece}`, func() time.Time { return noon })
	long := strings.Repeat("9", 300)
	process(t, s, delivery(noon, `{"awb":"045-12345675","piece":"2"}`), delivery(noon, `{"piece":"`+long+`"}`))
	got, _ := take(t, s, noon.Add(time.Hour))
	require.Len(t, got, 4, "each is in two windows")
	for _, event := range got {
		require.Equal(t, "rastro", event.Source)
		require.Equal(t, tracking.Cargo, event.Kind)
		if event.CorrelationID != "045-12345675" {
			require.Regexp(t, `^aggregate/[0-9a-f]{32}$`, event.CorrelationID, "an id of its own where the key has none, and a short one")
			require.Equal(t, long, event.AggregateID)
			continue
		}
		require.Equal(t, "2", event.AggregateID)
	}
	require.Equal(t, got[0].OccurredAt, noon.Add(5*time.Minute), "the first to close first")
}

func TestWhatComesLate(t *testing.T) {
	t.Parallel()
	for _, late := range []string{"pass", "drop", "reject"} {
		now := noon
		with := fiveMinutes + "max_ahead: 1h, events: drop, compute: {n: count}, late: " + late
		s := newStage(t, NewMemory(), "tracking", with, func() time.Time { return now })
		inTime, tooLate := delivery(noon, ""), delivery(noon, "")
		require.Equal(t, []string{"drop aggregated"}, process(t, s, inTime))
		now = noon.Add(7 * time.Minute)
		want, ahead := late+" late", late+" ahead"
		if late == "pass" {
			want, ahead = "pass", "pass"
		}
		require.Equal(t, []string{want, "drop aggregated", ahead, "drop aggregated"}, process(t, s, tooLate, inTime,
			delivery(now.Add(time.Hour+time.Microsecond), ""), delivery(now.Add(time.Hour), "")), "a redelivery is not late")
		got, sent := take(t, s, now)
		require.Len(t, got, 1)
		require.Contains(t, string(got[0].Payload), `"n":1`)
		require.NoError(t, sent(t.Context()))
		require.Equal(t, []string{"drop aggregated", want}, process(t, s, inTime, tooLate))

		take(t, s, now.Add(24*time.Hour))
		require.Equal(t, []string{want}, process(t, s, inTime), "by now it is forgotten")
	}
}

func TestSlidingWindowsThatAreStillOpenCount(t *testing.T) {
	t.Parallel()
	now := noon.Add(6 * time.Minute)
	s := newStage(t, NewMemory(), "tracking", "window: {sliding: 10m, every: 5m}, allowed_lateness: 0s, compute: {n: count}, late: drop, emit: {event_type: x}",
		func() time.Time { return now })
	require.Equal(t, []string{"pass", "drop late"}, process(t, s, delivery(noon.Add(time.Minute), ""), delivery(noon.Add(-time.Minute-5*time.Minute), "")))
	got, _ := take(t, s, noon.Add(time.Hour))
	require.Len(t, got, 1, "one of the two was closed")
	require.Contains(t, string(got[0].Payload), `"window_start":"2026-03-10T12:00:00Z"`)
}

// A change of config does not change what was begun.
func TestWindowsAreSentAsTheyWereBegun(t *testing.T) {
	t.Parallel()
	windows, clock := Windows(openStore(t)), func() time.Time { return noon }
	before := newStage(t, windows, "tracking", fiveMinutes+"key: [location.iata], compute: {n: count, w: sum(payload.w)}", clock)
	after := newStage(t, windows, "tracking", strings.Replace(fiveMinutes, "bags", "pieces", 1)+"compute: {w: max(payload.w)}", clock)
	elsewhere := newStage(t, windows, "other", fiveMinutes+"compute: {w: max(payload.w)}", clock)
	process(t, before, delivery(noon, `{"w":1}`), delivery(noon, `{"w":2}`))
	process(t, after, delivery(noon, `{"w":1}`), delivery(noon, `{"w":2}`))
	none, _ := take(t, elsewhere, noon.Add(time.Hour))
	require.Empty(t, none, "another pipeline's")
	got, sent := take(t, after, noon.Add(time.Hour))
	require.NoError(t, sent(t.Context()))
	payloads := map[string]string{}
	for _, event := range got {
		payloads[event.Type] = string(event.Payload)
	}
	span := `"window_start":"2026-03-10T12:00:00Z","window_end":"2026-03-10T12:05:00Z"`
	require.Equal(t, map[string]string{
		"bags_per_5m": `{` + span + `,"key":{"location.iata":"LIM"},"n":2,"w":3}`, "pieces_per_5m": `{` + span + `,"key":{},"w":2}`,
	}, payloads)
}

func TestManyWindowsAreSentByAndBy(t *testing.T) {
	t.Parallel()
	s := newStage(t, NewMemory(), "tracking", fiveMinutes+"key: [payload.bag], compute: {n: count}", func() time.Time { return noon })
	events := make([]*tracking.Event, maxDue+5)
	for i := range events {
		events[i] = delivery(noon, fmt.Sprintf(`{"bag":%d}`, i))
	}
	process(t, s, events...)
	first, sent := take(t, s, noon.Add(time.Hour))
	require.Len(t, first, maxDue)
	require.NoError(t, sent(t.Context()))
	rest, _ := take(t, s, noon.Add(time.Hour))
	require.Len(t, rest, 5)
}

// failing is Windows whose calls fail when told to.
type failing struct {
	Windows
	err error
}

func (f failing) JoinWindows(context.Context, store.WindowOwner, time.Time, []store.Window, []store.WindowMember) ([]bool, error) {
	return nil, f.err
}

func (f failing) SentWindows(context.Context, time.Time, [][32]byte) error { return f.err }

func TestAnOutageSettlesNobody(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	memory := NewMemory()
	s := newStage(t, failing{memory, down}, "tracking", fiveMinutes+"compute: {n: count}, late: drop", func() time.Time { return noon })
	batch := pipeline.NewBatch([]*tracking.Event{delivery(noon, ""), delivery(noon.Add(-time.Hour), "")})
	require.ErrorIs(t, s.Process(t.Context(), batch), down)
	require.Equal(t, 2, batch.PendingLen())

	process(t, newStage(t, memory, "tracking", fiveMinutes+"compute: {n: count}", func() time.Time { return noon }), delivery(noon, ""))
	_, sent := take(t, s, noon.Add(time.Hour))
	require.ErrorIs(t, sent(t.Context()), down)
}

func TestWithoutWindowsThereIsNoStage(t *testing.T) {
	t.Parallel()
	spec, err := parse(fiveMinutes + "compute: {n: count}")
	require.NoError(t, err)
	_, err = spec.Stages[0].Build("tracking", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.ErrorIs(t, err, pipeline.ErrNoResource)
}

// An instant is in just those windows that begin at a multiple, moved by the offset, and have not ended.
func TestWindowsOfAnInstant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.Int64Range(1, 50).Draw(t, "every")
		length := rapid.Int64Range(every, every*10).Draw(t, "length")
		offset := rapid.Int64Range(1-every, every-1).Draw(t, "offset")
		at := rapid.Int64Range(-1000, 1000).Draw(t, "at")
		w := Window{Sliding: time.Duration(length) * time.Second, Every: time.Duration(every) * time.Second, Offset: time.Duration(offset) * time.Second}
		require.NoError(t, w.validate())
		var want []time.Time
		for start := int64(3000); start >= -3000; start-- {
			if (start-offset)%every == 0 && start <= at && at < start+length {
				want = append(want, time.Unix(start, 0).UTC())
			}
		}
		require.Equal(t, want, w.starts(time.Unix(at, 0)))
	})
	lima := Window{Tumbling: 24 * time.Hour, Offset: 5 * time.Hour}
	require.Equal(t, []time.Time{time.Date(2026, 3, 9, 5, 0, 0, 0, time.UTC)}, lima.starts(time.Date(2026, 3, 10, 4, 59, 0, 0, time.UTC)))
}
