package throttle

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

var start = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func delivery(tenant, source string) *tracking.Event {
	return &tracking.Event{UID: uuid.Must(uuid.NewV7()), TenantID: tenant, Source: source, Type: "loaded"}
}

func deliveries(n int, tenant string) []*tracking.Event {
	events := make([]*tracking.Event, n)
	for i := range events {
		events[i] = delivery(tenant, "LA")
	}
	return events
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("t.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: throttle\n    with: "+with+"\n"), r)
}

// clocked is a stage and its clock.
type clocked struct {
	pipeline.Stage
	at time.Time
}

func open(t require.TestingT, with string) *clocked {
	spec, err := parse(with)
	require.NoError(t, err)
	c := &clocked{at: start}
	c.Stage, err = spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return c.at }})
	require.NoError(t, err)
	return c
}

// come returns what becomes of events: "pass", "drop throttled", or how long to wait.
func (c *clocked) come(t require.TestingT, events ...*tracking.Event) []string {
	batch := pipeline.NewBatch(events)
	require.NoError(t, c.Process(context.Background(), batch))
	said := make([]string, len(events))
	for i := range said {
		switch v := batch.Verdict(i); v.Outcome {
		case pipeline.Pass:
			said[i] = "pass"
		case pipeline.Retry:
			require.Error(t, v.Err)
			said[i] = v.After.String()
		default:
			said[i] = v.Outcome.String() + " " + v.Reason.Code
		}
	}
	return said
}

func TestWhatComesTooFastWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	c := open(t, "{rate: 10/s, burst: 2}")
	events := deliveries(5, "talma-pe")
	require.Equal(t, []string{"pass", "pass", "100ms", "200ms", "300ms"}, c.come(t, events...))
	require.Equal(t, []string{"pass"}, c.come(t, delivery("menzies-cl", "LA")), "another key")

	c.at = start.Add(50 * time.Millisecond)
	require.Equal(t, []string{"250ms", "50ms", "150ms"}, c.come(t, events[4], events[2], events[3]), "each keeps its turn")
	c.at = start.Add(200 * time.Millisecond)
	late := delivery("talma-pe", "LA")
	require.Equal(t, []string{"200ms", "pass", "pass"}, c.come(t, late, events[2], events[3]), "who comes later has a later turn")
	c.at = start.Add(400 * time.Millisecond)
	require.Equal(t, []string{"pass", "pass"}, c.come(t, events[4], late))
	c.at = start.Add(time.Hour)
	require.Equal(t, []string{"pass", "pass", "100ms"}, c.come(t, deliveries(3, "talma-pe")...), "after a rest a burst")
}

func TestTurnsAreGivenOutForSoLongAhead(t *testing.T) {
	t.Parallel()
	c := open(t, "{rate: 1/s, max_wait: 2s}")
	events := deliveries(5, "talma-pe")
	require.Equal(t, []string{"pass", "1s", "2s", "2s", "2s"}, c.come(t, events...))
	c.at = start.Add(2 * time.Second)
	require.Equal(t, []string{"pass", "pass", "1s", "2s"}, c.come(t, events[1:]...), "what asked for too much took nothing")
	c.at = start.Add(4 * time.Second)
	require.Equal(t, []string{"pass", "pass"}, c.come(t, events[3:]...))
}

func TestWhatComesTooFastEnds(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"drop", "reject"} {
		c := open(t, "{key: [tenant_id, source], rate: 60/m, over: "+over+"}")
		require.Equal(t, []string{"pass", "pass", over + " throttled"},
			c.come(t, delivery("talma-pe", "LA"), delivery("talma-pe", "H2"), delivery("talma-pe", "LA")))
		c.at = start.Add(time.Second)
		require.Equal(t, []string{"pass", over + " throttled"}, c.come(t, deliveries(2, "talma-pe")...))
	}
}

func TestKeysAreToldApart(t *testing.T) {
	t.Parallel()
	c := open(t, "{key: [tenant_id, payload.a, payload.b], rate: 1/h, over: drop}")
	with := func(payload string) *tracking.Event {
		event := delivery("talma-pe", "LA")
		event.Payload = json.RawMessage(payload)
		return event
	}
	require.Equal(t, []string{"pass", "pass", "pass", "drop throttled", "pass"},
		c.come(t, with(`{"a":"x"}`), with(`{"b":"x"}`), with(`{}`), with(`{"b":null}`), with(`{"a":"x1:y"}`)))
	all := open(t, "{key: [], rate: 1/h, over: drop}")
	require.Equal(t, []string{"pass", "drop throttled"}, all.come(t, delivery("a", "x"), delivery("b", "y")), "without a key there is one rate")
}

func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	c := open(t, "{rate: 1/s, over: drop, max_keys: 2}")
	held := func() int { return len(c.Stage.(*stage).buckets.byKey) }
	require.Equal(t, []string{"pass", "pass", "pass", "drop throttled", "drop throttled"},
		c.come(t, delivery("a", ""), delivery("b", ""), delivery("c", ""), delivery("b", ""), delivery("c", "")))
	require.Equal(t, 2, held())
	require.Equal(t, []string{"pass"}, c.come(t, delivery("a", "")), "the one that was unused for the longest time made room")
	c.at = start.Add(time.Hour)
	require.Equal(t, []string{"pass"}, c.come(t, delivery("d", "")))
	require.Equal(t, 1, held(), "the others are full again")
}

func TestTurnsThatNobodyComesForAreForgotten(t *testing.T) {
	t.Parallel()
	c := open(t, "{rate: 1/s, burst: 1}")
	c.come(t, deliveries(30, "talma-pe")...)
	for range 10 { // the key itself stays in use
		c.at = c.at.Add(time.Minute)
		c.come(t, delivery("talma-pe", "LA"))
	}
	for _, element := range c.Stage.(*stage).buckets.byKey {
		require.Empty(t, element.Value.(*bucket).turns)
	}
}

// Whatever comes when: no key is ever faster than its rate, every event gets through having been told once how long to wait,
// and those of a key get through in the order in which they came.
func TestAtNoTimeTooFastAndNobodyIsForgotten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		perSecond, burst := rapid.IntRange(1, 50).Draw(t, "rate"), rapid.IntRange(1, 20).Draw(t, "burst")
		c := open(t, fmt.Sprintf("{rate: %d/s, burst: %d, max_wait: 1h}", perSecond, burst))
		type arrival struct {
			event *tracking.Event
			at    time.Time
			told  bool
		}
		var queue []arrival
		at := start
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "gap")) * time.Millisecond)
			queue = append(queue, arrival{event: delivery(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), ""), at: at})
		}
		came := map[string][]uuid.UUID{}
		for _, a := range queue {
			came[a.event.TenantID] = append(came[a.event.TenantID], a.event.UID)
		}
		passed, times := map[string][]uuid.UUID{}, map[string][]time.Time{}
		for len(queue) > 0 {
			slices.SortStableFunc(queue, func(a, b arrival) int { return a.at.Compare(b.at) })
			next := queue[0]
			queue = queue[1:]
			c.at = next.at
			said := c.come(t, next.event)[0]
			if said == "pass" {
				key := next.event.TenantID
				passed[key], times[key] = append(passed[key], next.event.UID), append(times[key], next.at)
				continue
			}
			require.False(t, next.told, "told to wait a second time: %s", said)
			wait, err := time.ParseDuration(said)
			require.NoError(t, err)
			queue = append([]arrival{{next.event, next.at.Add(wait), true}}, queue...)
		}
		require.Equal(t, came, passed)
		for _, at := range times {
			for i := range at {
				for j := i; j < len(at); j++ {
					allowed := float64(burst) + at[j].Sub(at[i]).Seconds()*float64(perSecond) + 1e-6
					require.LessOrEqual(t, float64(j-i+1), allowed, "%d events from %s to %s", j-i+1, at[i], at[j])
				}
			}
		}
	})
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, perSecond := range map[string]float64{"100/s": 100, "6000/m": 100, "36/h": 0.01, "20/10s": 2, "1 / s": 1, "5/500ms": 10, "24/24h": 24.0 / 86400} {
		got, err := ParseRate(text)
		require.NoError(t, err, text)
		require.InDelta(t, perSecond, float64(got.limit()), 1e-9, text)
		require.Equal(t, text, got.String())
		require.False(t, got.IsZero())
	}
	for text, want := range map[string]string{
		"": "no rate", "100": "no rate", "fast/s": "no rate", "1.5/s": "no rate", "0/s": "from 1 to", "-1/s": "from 1 to",
		"2000000000/s": "from 1 to", "1/": "no time", "1/d": "no time", "1/10": "no time", "1/1us": "out of bounds", "1/48h": "out of bounds",
		"1/-1s": "no time", "1/0s": "out of bounds",
	} {
		got, err := ParseRate(text)
		require.ErrorContains(t, err, want, text)
		require.True(t, got.IsZero())
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"100/s", "6000/m", "20/10s", "1/1h30m", "/", "9223372036854775808/s", "1/s/s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseRate(text)
		if err != nil {
			require.True(t, got.IsZero())
			return
		}
		require.Positive(t, float64(got.limit()))
		require.GreaterOrEqual(t, got.oneSecond(), 1)
		again, err := ParseRate(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

func TestExercise(t *testing.T) {
	for _, over := range []string{"wait", "drop", "reject"} {
		t.Run(over, func(t *testing.T) {
			stagetest.Exercise(t, stagetest.Subject{
				Register:   Register,
				With:       "{key: [tenant_id, payload.location], rate: 2/m, burst: 2, over: " + over + ", max_wait: 10m, max_keys: 5}",
				NoDefaults: true,
				// How fast an event comes depends on the others.
				Stateful: true,
				Events: func() []*tracking.Event {
					return append(deliveries(4, "talma-pe"), delivery("menzies-cl", "H2"))
				},
				Invalid: []string{
					"rate: fast", "rate: 0/s", "rate: 100", "rate: [1]", "{rate: 1/s, burst: -1}", "{rate: 1/s, over: queue}",
					"{rate: 1/s, max_wait: 0s}", "{rate: 1/s, max_keys: 0}", "{rate: 1/s, key: [uid]}", "{rate: 1/s, key: [source, source]}",
					"{rate: 1/s, key: [nowhere]}",
				},
			})
		})
	}
}
