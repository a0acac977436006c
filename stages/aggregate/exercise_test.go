package aggregate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestExercise(t *testing.T) {
	for name, windows := range map[string]Windows{"memory": NewMemory(), "PostgreSQL": openStore(t)} {
		t.Run(name, func(t *testing.T) {
			stagetest.Exercise(t, stagetest.Subject{
				Register: Register,
				With: "{window: {sliding: 1h, every: 20m, offset: 1m}, allowed_lateness: 1h, key: [location.iata, payload.belt], late: reject, events: drop, " +
					"compute: {n: count, w: sum(payload.w)}, emit: {event_type: bags, source: rastro, kind: baggage, correlation_id: location.iata}, max_ahead: 1h, remember: 1h}",
				NoDefaults: true,
				Settings: func(testing.TB) pipeline.Settings {
					return pipeline.Provide(pipeline.Settings{}, windows)
				},
				Events: func() []*tracking.Event {
					now := time.Now()
					return []*tracking.Event{
						delivery(now, `{"w":1,"belt":"3"}`), delivery(now.Add(-90*time.Minute), `{}`), delivery(now.Add(-24*time.Hour), ``),
						delivery(now.Add(24*time.Hour), `{"w":"x"}`), delivery(now, `{"w":1,"belt":"3"}`),
					}
				},
				Invalid: invalid(),
			})
		})
	}
}

func invalid() []string {
	const rest = ", compute: {n: count}, emit: {event_type: x}}"
	return []string{
		"{window: {tumbling: 5m}, emit: {event_type: x}}", "{window: {tumbling: 5m}, compute: {n: count}}", "{compute: {n: count}, emit: {event_type: x}}",
		"{window: 5m" + rest, "{window: {tumbling: 5m, every: 1m}" + rest, "{window: {sliding: 5m}" + rest, "{window: {sliding: 5m, every: 6m}" + rest,
		"{window: {sliding: 24h, every: 1m}" + rest, "{window: {tumbling: 1ms}" + rest, "{window: {tumbling: 1s, offset: 1s}" + rest,
		"{window: {tumbling: 1500000001ns}" + rest, "{window: {tumbling: 1000h}" + rest, "{window: {tumbling: 5m, sliding: 5m}" + rest,
		"{window: {tumbling: 5m}, compute: {n: sum}, emit: {event_type: x}}", "{window: {tumbling: 5m}, compute: {N: count}, emit: {event_type: x}}",
		"{window: {tumbling: 5m}, compute: {key: count}, emit: {event_type: x}}", "{window: {tumbling: 5m}, compute: {n: median(payload.a)}, emit: {event_type: x}}",
		"{window: {tumbling: 5m}, compute: {n: count}, emit: {event_type: x, kind: bags}}",
		"{window: {tumbling: 5m}, compute: {n: count}, emit: {event_type: x, correlation_id: payload.awb}}",
		"{window: {tumbling: 5m}, key: [uid]" + rest, "{window: {tumbling: 5m}, key: [source, source]" + rest, "{window: {tumbling: 5m}, late: keep" + rest,
		"{window: {tumbling: 5m}, events: reject" + rest, "{window: {tumbling: 5m}, allowed_lateness: -1s" + rest, "{window: {tumbling: 5m}, max_ahead: 9999h" + rest,
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"window: {tumbling: 5m}, compute: {n: sum(payload..a)}, emit: {event_type: x}":                                            `a.yaml:5:49: field path "payload..a" has an empty part`,
		"window: {sliding: 24h, every: 1m}, compute: {n: count}, emit: {event_type: x}":                                           "an event would be in 1440 windows; 100 at most",
		"window: {tumbling: 5m}, compute: {window_end: count}, emit: {event_type: x}":                                             "the payload has a window_end already",
		"window: {tumbling: 5m}, compute: {n: count}, emit: {}":                                                                   "emit: event_type is missing",
		"window: {tumbling: 5m}, key: [source], compute: {n: count}, late: wait, emit: {event_type: x, aggregate_id: event_type}": "aggregate_id: event_type is not in the key",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}
