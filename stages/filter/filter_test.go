package filter

import (
	"context"
	"encoding/json"
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
	uid, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return &tracking.Event{UID: uid, TenantID: "talma-pe", Kind: kind, Type: "loaded", Payload: json.RawMessage(payload)}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("f.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: filter\n"+with), r)
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

func TestOnlyWhatMeetsTheConditionGoesOn(t *testing.T) {
	t.Parallel()
	const keep = `event.kind == "baggage" && (event.payload.state != "test" && event.payload.weight > 20)`
	events := []*tracking.Event{
		delivery(tracking.Baggage, `{"weight":23}`), delivery(tracking.Cargo, `{"weight":23}`), delivery(tracking.Baggage, `{"weight":"23"}`),
		delivery(tracking.Baggage, `{}`), delivery(tracking.Baggage, `{"weight":23,"state":"test"}`),
	}
	batch := process(t, "    with:\n      keep: "+keep+"\n", events...)
	dropped := pipeline.Verdict{Outcome: pipeline.Drop, Reason: pipeline.Reason{Code: "filtered", Message: "not kept: " + keep}}
	require.Equal(t, pipeline.Pass, batch.Verdict(0).Outcome)
	require.Equal(t, dropped, batch.Verdict(1))
	require.Equal(t, pipeline.Reject, batch.Verdict(2).Outcome)
	require.Equal(t, pipeline.Reason{Code: "keep", Message: "keep: evaluate `" + keep + "`: no such overload"}, batch.Verdict(2).Reason)
	require.Equal(t, dropped, batch.Verdict(3))
	require.Equal(t, dropped, batch.Verdict(4))
}

func TestTheReasonCanBeSaid(t *testing.T) {
	t.Parallel()
	batch := process(t, "    with: {keep: 'event.kind == \"cargo\"', reason: cargo only}\n", delivery(tracking.Baggage, "{}"))
	require.Equal(t, pipeline.Reason{Code: "filtered", Message: "cargo only"}, batch.Verdict(0).Reason)
}

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"":                           "keep: say which events go on",
		"    with: {reason: none}\n": "keep: say which events go on",
		"    with:\n      keep: event.knd == \"baggage\"\n":                               `f.yaml:6:19: unknown field "event.knd"; did you mean "event.kind"?`,
		"    with:\n      keep: event.kind == 3\n":                                        "f.yaml:6:24: `==` does not go between string and int",
		"    with:\n      keep: event.kind\n":                                             "f.yaml:6:13: a condition is true or false, and this is a string",
		"    with:\n      keep: 'true'\n      reason: " + strings.Repeat("x", 201) + "\n": "reason: 201 bytes are too many; 200 at most",
	} {
		_, err := parse(with)
		require.ErrorContains(t, err, want, with)
	}
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "{keep: 'event.kind == \"baggage\" && event.payload.weight > 20', reason: too light}",
		NoDefaults: true,
		Events: func() []*tracking.Event {
			return []*tracking.Event{
				delivery(tracking.Baggage, `{"weight":23}`), delivery(tracking.Cargo, `{}`), delivery(tracking.Baggage, `{"weight":"heavy"}`),
			}
		},
		Invalid: []string{"keep: ''", "keep: event.nowhere == 1", "keep: [1]", "keep: event.kind ==", "keep: event.revision + 1"},
	})
}
