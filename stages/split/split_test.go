package split

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func delivery(payload string) *tracking.Event {
	return &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "e1", CorrelationID: "045-12345675", AggregateID: "awb",
		Kind: tracking.Cargo, Type: "RCF", Classifier: tracking.Actual, OccurredAt: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		Location: &tracking.Location{IATA: "LIM"}, Payload: json.RawMessage(payload),
	}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("s.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: split\n"+with), r)
}

func stageOf(t testing.TB, name, with string) pipeline.Stage {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	built, err := spec.Stages[0].Build(name, pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.NoError(t, err)
	return built
}

func process(t testing.TB, with string, events ...*tracking.Event) *pipeline.Batch {
	t.Helper()
	batch := pipeline.NewBatch(events)
	require.NoError(t, stageOf(t, "p", with).Process(context.Background(), batch))
	return batch
}

const documented = `
    with:
      items: event.payload.pieces
      set:
        aggregate_id: item.id
        quantity.pieces: index + 1
        payload: item
`

func TestEveryItemBecomesAnEvent(t *testing.T) {
	t.Parallel()
	event := delivery(`{"pieces":[ {"id":"p1", "w":1.50}, null, {"w":2}]}`)
	given := event.Clone()
	batch := process(t, documented, event)
	require.Equal(t, given, event)
	require.Equal(t, pipeline.Verdict{Outcome: pipeline.Drop, Reason: pipeline.Reason{Code: "split", Message: "split into 2"}}, batch.Verdict(0))
	parts := batch.Emitted(0)
	require.Len(t, parts, 2, "null is no item")

	want := given.Clone()
	want.UID, want.EventID, want.AggregateID = tracking.DeriveUID(event.UID, "p/split#0"), "e1#0", "p1"
	want.Quantity, want.Payload = &tracking.Quantity{Pieces: 1}, json.RawMessage(`{"id":"p1", "w":1.50}`)
	require.Equal(t, want, parts[0])
	want.UID, want.EventID, want.AggregateID = tracking.DeriveUID(event.UID, "p/split#2"), "e1#2", "awb"
	want.Quantity, want.Payload = &tracking.Quantity{Pieces: 3}, json.RawMessage(`{"w":2}`)
	require.Equal(t, want, parts[1])

	parts = process(t, "    with: {items: event.payload.ids, set: {event_id: item, aggregate_id: 'item.lowerAscii()'}}\n", delivery(`{"ids":["A","B"]}`)).Emitted(0)
	require.Equal(t, []string{"A", "B", "a", "b"}, []string{parts[0].EventID, parts[1].EventID, parts[0].AggregateID, parts[1].AggregateID})
	require.JSONEq(t, `{"ids":["A","B"]}`, string(parts[0].Payload), "what set does not name is the event's")
	parts = process(t, "    with: {items: '[1.5, event.event_type]'}\n", delivery(`{}`)).Emitted(0)
	require.Equal(t, []string{`1.5`, `"RCF"`}, []string{string(parts[0].Payload), string(parts[1].Payload)})
}

func TestALongIDIsShortened(t *testing.T) {
	t.Parallel()
	event := delivery(`{"pieces":[1,2]}`)
	event.EventID = strings.Repeat("x", 255)
	parts := process(t, "    with: {items: event.payload.pieces}\n", event).Emitted(0)
	require.Len(t, parts[0].EventID, 66)
	require.Equal(t, strings.TrimSuffix(parts[0].EventID, "#0"), strings.TrimSuffix(parts[1].EventID, "#1"))
}

func TestAnEventWithoutItemsIsSettledAsConfigured(t *testing.T) {
	t.Parallel()
	for empty, want := range map[string]pipeline.Outcome{"pass": pipeline.Pass, "drop": pipeline.Drop, "reject": pipeline.Reject} {
		events := []*tracking.Event{delivery(`{}`), delivery(`{"pieces":[]}`), delivery(`{"pieces":null}`), delivery(`{"pieces":[null]}`), delivery(``)}
		batch := process(t, "    with: {items: event.payload.pieces, empty: "+empty+"}\n", events...)
		for i := range events {
			require.Equal(t, want, batch.Verdict(i).Outcome, empty)
			require.Empty(t, batch.Emitted(i))
			if want != pipeline.Pass {
				require.Equal(t, pipeline.Reason{Code: "empty", Message: "`event.payload.pieces` has no items"}, batch.Verdict(i).Reason)
			}
		}
	}
}

func TestAnEventOfWhichAPartCannotBeMadeIsRejected(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]pipeline.Reason{
		`{"pieces":{"a":1}}`:               {Message: "items: a list is wanted, and this is a map"},
		`{"pieces":"x"}`:                   {Message: "items: a list is wanted, and this is a string; write [...]"},
		`{"pieces":[1,2,3,4]}`:             {Message: "items: 4 are too many; 3 at most"},
		`{"pieces":[{"id":"a"},{"id":1}]}`: {Message: "item 1: /aggregate_id: a text is wanted, and this is a int; write string(...)", Field: "/aggregate_id"},
	} {
		batch := process(t, "    with: {items: event.payload.pieces, max: 3, set: {aggregate_id: item.id}}\n", delivery(payload))
		want.Code = "split"
		require.Equal(t, pipeline.Verdict{Outcome: pipeline.Reject, Reason: want}, batch.Verdict(0), payload)
		require.Empty(t, batch.Emitted(0), "all of its parts go on or none")
	}
}

// A redelivered event leads to the same parts, whatever batch it is in; another stage, pipeline or event leads to others.
func TestPartsAreTheSameEveryTime(t *testing.T) {
	t.Parallel()
	here, there := stageOf(t, "p", documented), stageOf(t, "q", documented)
	named := stageOf(t, "p", "    name: pieces\n"+strings.TrimPrefix(documented, "\n"))
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *tracking.Event {
			raw, err := json.Marshal(map[string]any{"pieces": rapid.SliceOfN(rapid.SampledFrom([]any{nil, 1, "x", map[string]any{"id": "p"}}), 0, 5).Draw(t, "items")})
			require.NoError(t, err)
			return delivery(string(raw))
		}), 1, 4).Draw(t, "events")
		parts := func(s pipeline.Stage, events ...*tracking.Event) (all []*tracking.Event) {
			batch := pipeline.NewBatch(append([]*tracking.Event{}, events...))
			require.NoError(t, s.Process(context.Background(), batch))
			for i := range events {
				all = append(all, batch.Emitted(i)...)
			}
			return all
		}
		first := parts(here, events...)
		var alone []*tracking.Event
		for _, event := range events {
			alone = append(alone, parts(here, event.Clone())...)
		}
		require.Equal(t, first, alone)
		seen := map[uuid.UUID]bool{}
		for _, made := range [][]*tracking.Event{events, first, parts(there, events...), parts(named, events...)} {
			for _, event := range made {
				require.False(t, seen[event.UID])
				seen[event.UID] = true
			}
		}
	})
}

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"":                     "items: say what to split",
		"    with: {max: 3}\n": "items: say what to split",
		"    with:\n      items: event.event_type\n":                           "s.yaml:6:14: a list is wanted here, and this is a string; write [...]",
		"    with:\n      items: event.payload.x\n      max: 0\n":              "s.yaml:7:12: max: 0 is not between 1 and 10000",
		"    with:\n      items: event.payload.x\n      empty: ignore\n":       "s.yaml:7:14: empty: \"ignore\" is not one of pass, drop, reject",
		"    with:\n      items: event.payload.x\n      on_missing: x\n":       "s.yaml:7:19: on_missing: \"x\" is not one of keep, reject, null",
		"    with:\n      items: event.payload.x\n      set: {payload: itm}\n": "s.yaml:7:22: unknown name \"itm\"; the event is `event`",
		"    with:\n      items: event.payload.x\n      set: {kind: index}\n":  "s.yaml:7:19: a text is wanted here, and this is a int; write string(...)",
		"    with:\n      items: item\n":                                       "s.yaml:6:14: unknown name \"item\"",
		"    with:\n      items: event.payload.x\n      set: {uid: item}\n":    "s.yaml:7:13: uid cannot be changed",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"item"}, []string{func() string { e := Defaults().Set["payload"]; return e.Text() }()})
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "{items: event.payload.pieces, set: {aggregate_id: item.id, payload: item}, empty: drop, max: 3, on_missing: reject}",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			return []*tracking.Event{
				delivery(`{"pieces":[{"id":"a"},{"id":"b"}]}`), delivery(`{"pieces":[]}`), delivery(`{"pieces":"x"}`), delivery(`{"pieces":[{}]}`),
				delivery(`{"pieces":[1,2,3,4]}`),
			}
		},
		Invalid: []string{
			"items: event.kind", "items: event.payload.x\nmax: -1", "items: event.payload.x\nempty: x", "items: event.payload.x\nset: {uid: item}", "set: {payload: item}",
		},
	})
}
