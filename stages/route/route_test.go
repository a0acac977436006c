package route

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func delivery(kind tracking.Kind, payload string) *tracking.Event {
	return &tracking.Event{UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Kind: kind, Type: "loaded", Payload: json.RawMessage(payload)}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("r.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: route\n"+with), r)
}

func process(t *testing.T, with string, events ...*tracking.Event) *pipeline.Batch {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	built, err := spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	require.NoError(t, err)
	batch := pipeline.NewBatch(events)
	require.NoError(t, built.Process(context.Background(), batch))
	return batch
}

const cases = `
    with:
      cases:
        - when: event.kind == "cargo"
          to: cargo.events
        - {when: event.payload.n > 10, to: [a.b, c.d]}
        - {when: event.payload.n > 5, stage: persist}
        - {when: event.payload.n > 3, copy: audit.events}
        - {when: event.payload.n > 1, copy: [audit.events, b], stage: persist}
`

func TestTheFirstCaseThatHoldsRoutesAnEvent(t *testing.T) {
	t.Parallel()
	batch := process(t, cases,
		delivery("cargo", `{"n":20}`), delivery("parcel", `{"n":20}`), delivery("", `{"n":6}`), delivery("", `{"n":4}`), delivery("", `{"n":2}`), delivery("", `{}`),
		delivery("", `{"n":"many"}`), delivery("cargo", `{"n":"many"}`))
	for i, want := range []pipeline.Route{
		{Topics: []string{"cargo.events"}, Leave: true}, {Topics: []string{"a.b", "c.d"}, Leave: true}, {Stage: "persist"},
		{Topics: []string{"audit.events"}}, {Topics: []string{"audit.events", "b"}, Stage: "persist"}, {},
	} {
		require.Equal(t, pipeline.Pass, batch.Verdict(i).Outcome, i)
		got := batch.RouteOf(i)
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), i)
	}
	require.Equal(t, pipeline.Verdict{Outcome: pipeline.Reject, Reason: pipeline.Reason{
		Code: "route", Message: "case 2: evaluate `event.payload.n > 10`: no such overload"}}, batch.Verdict(6))
	require.True(t, batch.RouteOf(7).Leave, "the cases behind the first that holds do not matter")
}

func TestWhatIsNoCaseIsSettledAsConfigured(t *testing.T) {
	t.Parallel()
	unrouted := pipeline.Reason{Code: "unrouted", Message: "no case of the route holds for the event"}
	for otherwise, want := range map[string]struct {
		verdict pipeline.Verdict
		route   pipeline.Route
	}{
		"pass":                        {},
		"drop":                        {verdict: pipeline.Verdict{Outcome: pipeline.Drop, Reason: unrouted}},
		"reject":                      {verdict: pipeline.Verdict{Outcome: pipeline.Reject, Reason: unrouted}},
		"{outcome: drop}":             {verdict: pipeline.Verdict{Outcome: pipeline.Drop, Reason: unrouted}},
		"{to: other.events}":          {route: pipeline.Route{Topics: []string{"other.events"}, Leave: true}},
		"{stage: persist}":            {route: pipeline.Route{Stage: "persist"}},
		"{copy: [a, b], stage: last}": {route: pipeline.Route{Topics: []string{"a", "b"}, Stage: "last"}},
	} {
		batch := process(t, "    with:\n      cases: [{when: 'false', to: a}]\n      otherwise: "+otherwise+"\n", delivery("cargo", "{}"))
		require.Equal(t, want.verdict, batch.Verdict(0), otherwise)
		require.Equal(t, fmt.Sprint(want.route), fmt.Sprint(batch.RouteOf(0)), otherwise)
	}
}

func TestDestinationsAreNamedWithTheirPlaces(t *testing.T) {
	t.Parallel()
	spec, err := parse(cases + "      otherwise: {copy: rest, stage: last}\n")
	require.NoError(t, err)
	config, ok := spec.Stages[0].Config().(pipeline.Destined)
	require.True(t, ok)
	require.Equal(t, []pipeline.Destination{
		{Topic: "cargo.events", Key: "$.cases[0].to"},
		{Topic: "a.b", Key: "$.cases[1].to[0]"}, {Topic: "c.d", Key: "$.cases[1].to[1]"},
		{Stage: "persist", Key: "$.cases[2].stage"},
		{Topic: "audit.events", Key: "$.cases[3].copy"},
		{Topic: "audit.events", Key: "$.cases[4].copy[0]"}, {Topic: "b", Key: "$.cases[4].copy[1]"}, {Stage: "persist", Key: "$.cases[4].stage"},
		{Topic: "rest", Key: "$.otherwise.copy"}, {Stage: "last", Key: "$.otherwise.stage"},
	}, config.Destinations())
}

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"":                        "cases: name at least one",
		"    with: {cases: []}\n": "cases: name at least one",
		"    with:\n      cases:\n        - when: event.knd == 'x'\n          to: a\n":                 `r.yaml:7:23: unknown field "event.knd"; did you mean "event.kind"?`,
		"    with:\n      cases:\n        - when: event.kind == 'x'\n          to: Big.Topic\n":        `r.yaml:8:15: "Big.Topic" cannot be used as a topic`,
		"    with:\n      cases:\n        - when: event.kind == 'x'\n          to: [a, a]\n":           `r.yaml:8:19: topic "a" is named twice`,
		"    with:\n      cases:\n        - when: event.kind == 'x'\n          to: []\n":               "r.yaml:8:15: name at least one topic",
		"    with:\n      cases:\n        - when: event.kind == 'x'\n          too: a\n":               "r.yaml:8:11: unknown field \"too\"",
		"    with:\n      cases:\n        - when: event.kind == 'x'\n":                                 "r.yaml:7:11: say where the events go: to, copy or stage",
		"    with:\n      cases:\n        - to: a\n":                                                   "r.yaml:7:11: a case needs a condition",
		"    with:\n      cases:\n        - when: 'true'\n          to: a\n          stage: persist\n": "an event that goes `to` a topic leaves the pipeline",
		"    with:\n      cases: [{when: 'true', to: a}]\n      otherwise: ignore\n":                   "r.yaml:7:18: write pass, drop, reject, or where the events go",
		"    with:\n      cases: [{when: 'true', to: a}]\n      otherwise: {}\n":                       "r.yaml:7:18: say where the events go",
		"    with:\n      cases: [{when: 'true', to: a}]\n      otherwise: {drop: true}\n":             "unknown field \"drop\"",
		"    with:\n      cases: [{when: 'true', to: a}]\n      otherwise: {outcome: pass, to: a}\n":   "r.yaml:7:18: an event has an outcome or a way to go, not both",
		"    with:\n      cases: [{when: 'true', to: a}]\n      otherwise: {outcome: x}\n":             "r.yaml:7:18: write pass, drop, reject",
		"    with:\n      cases: [a]\n":                                                                "r.yaml:6:15: write a case as",
		"    with:\n      cases: [" + strings.Repeat("{when: 'true', to: a},", 101) + "]\n":            "cases: 101 are too many; 100 at most",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "cases:\n  - {when: event.kind == \"cargo\", to: cargo.events}\n  - {when: event.payload.n > 3, copy: [a, b], stage: persist}\notherwise: {to: other}\n",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			return []*tracking.Event{delivery("cargo", `{}`), delivery("", `{"n":5}`), delivery("", `{}`), delivery("", `{"n":"x"}`)}
		},
		Invalid: []string{
			"cases: []", "cases: [{when: 'true'}]", "cases: [{to: a}]", "cases: [{when: 'true', to: A}]", "cases: [{when: event.kind, to: a}]",
			"cases: [{when: 'true', to: a}]\notherwise: x", "cases: [{when: 'true', to: a, copy: b}]",
		},
	})
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register, NoDefaults: true, With: "cases: [{when: event.kind == \"cargo\", to: cargo.events}]\notherwise: drop",
		Events: func() []*tracking.Event { return []*tracking.Event{delivery("cargo", `{}`), delivery("", `{"n":5}`)} },
	})
}
