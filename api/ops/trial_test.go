package ops

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// acts is the config of a stage that does something outside.
type acts struct{}

func (acts) Action() string { return "calls" }

// room is a transport of which only the size of frames matters.
type room struct{ routers.Transport }

func (room) MaxFrameBytes() int { return 1 << 16 }

var errDown = errors.New("lookup is down")

const tryPipeline = `
pipeline: p
from: in
stages:
  - {use: never, name: first}
  - {use: never, name: second, fuse: true}
  - {use: judge, fuse: true}
  - {use: call, retry: {attempts: 2}, on_error: dead_letter}
  - {use: judge, name: last}
to: out`

// What would become of a letter is what its stage and those behind it say today; what acts outside is not run, nothing that
// fails for one keeps the others from their answer.
func TestATrialAnswersForEachLetter(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	registry := pipeline.NewRegistry()
	define := func(name string, stage pipeline.Stage) {
		require.NoError(t, registry.Register(pipeline.Define(name, "", func() struct{} { return struct{}{} },
			func(struct{}, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	}
	define("never", pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return errors.New("a stage before the letter's") }))
	define("judge", pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		seen[e.EventID]++
		switch e.EventID {
		case "bad":
			return pipeline.Rejected(pipeline.Reason{Code: "schema", Message: "still wrong", Field: "/payload"})
		case "copy":
			return pipeline.Dropped(pipeline.Reason{Code: "duplicate", Message: "of another"})
		case "stuck":
			return pipeline.Unavailable(errDown)
		}
		return nil
	}))
	require.NoError(t, registry.Register(pipeline.Define("call", "", func() acts { return acts{} },
		func(acts, pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { panic("it acts") }), nil
		})))
	spec, err := pipeline.Parse("p.yaml", []byte(tryPipeline), registry)
	require.NoError(t, err)
	codec, err := routers.NewCodec()
	require.NoError(t, err)
	h, err := New(DefaultConfig(), Deps{
		Redriver: routers.NewRedriver(codec, room{}), Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Trial: func(trial.Clock) pipeline.Settings { return pipeline.Settings{} },
	})
	require.NoError(t, err)

	letter := func(id, stage string) store.Letter {
		e := tracking.Event{UID: uuid.Must(uuid.NewV7()), TenantID: "acme", EventID: id}
		body, err := json.Marshal(e)
		require.NoError(t, err)
		return store.Letter{ID: uuid.New(), UID: e.UID, TenantID: "acme", Pipeline: "p", Stage: stage, Event: body}
	}
	letters := []store.Letter{
		letter("good", "judge"), letter("bad", "judge"), letter("copy", "judge"), letter("stuck", "judge"), letter("good", "last"),
		letter("good", "elsewhere"), {ID: uuid.New(), Pipeline: "p", Stage: "judge", Event: []byte("?")},
	}
	got := h.try(t.Context(), []pipeline.Plan{spec.Plan()}, letters)
	require.Equal(t, []string{"p.call"}, got.NotRun)
	require.Equal(t, map[string]int{"pass": 2, "rejected": 1, "dropped": 1, "unknown": 2, "failed": 1}, got.Outcomes)
	outcomes := make([][]string, len(letters))
	for i, l := range got.Letters {
		require.Equal(t, letters[i].ID, l.LetterID)
		outcomes[i] = []string{l.Outcome, l.Enters, l.At, l.Code}
	}
	require.Equal(t, [][]string{
		{"pass", "judge", "", ""}, {"rejected", "judge", "judge", "schema"}, {"dropped", "judge", "judge", "duplicate"},
		{"unknown", "judge", "", ""}, {"pass", "last", "", ""}, {"unknown", "first", "", ""}, {"failed", "", "", ""},
	}, outcomes)
	require.Contains(t, got.Letters[3].Message, "lookup is down")
	require.True(t, got.Letters[5].FromStart)
	require.Positive(t, seen["bad"])
}

func TestOfTheEventsOfALetterTheWorstCounts(t *testing.T) {
	t.Parallel()
	var l LetterTrial
	for _, outcome := range []string{wouldPass, wouldReject, wouldDrop, wouldPass} {
		l.settle(outcome, "", pipeline.Reason{})
	}
	require.Equal(t, wouldReject, l.Outcome)
}
