package log

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func delivery(payload string) *tracking.Event {
	return &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "talma-pe", Source: "LA", EventID: "e1", CorrelationID: "0045123456", AggregateID: "0045123456",
		Type: "loaded", OccurredAt: time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), Location: &tracking.Location{IATA: "LIM"},
		Payload: json.RawMessage(payload),
	}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("l.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: log\n"+with), r)
}

// lines returns what a stage logs of events, line by line.
func lines(t *testing.T, with string, level slog.Level, batch *pipeline.Batch) []map[string]any {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	built, err := spec.Stages[0].Build("p", pipeline.Settings{Logger: logger, Now: time.Now})
	require.NoError(t, err)
	require.NoError(t, built.Process(context.Background(), batch))
	var logged []map[string]any
	for line := range strings.Lines(out.String()) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		delete(one, "time")
		logged = append(logged, one)
	}
	return logged
}

func TestByDefaultNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	event := delivery(`{"passenger":"Quispe"}`)
	logged := lines(t, "", slog.LevelInfo, pipeline.NewBatch([]*tracking.Event{event}))
	require.Len(t, logged, 1)
	for _, own := range []string{"pipeline", "stage"} { // what the engine's own logger says
		delete(logged[0], own)
	}
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "event", "uid": event.UID.String(), "tenant_id": "talma-pe", "source": "LA", "event_type": "loaded",
	}, logged[0])
}

func TestTheLineIsAsConfigured(t *testing.T) {
	t.Parallel()
	const with = "    with: {level: warn, message: a bag is missing, fields: [location.iata, payload.note, payload.nothing]}\n"
	long := strings.Repeat("ñ", 300)
	batch := pipeline.NewBatch([]*tracking.Event{delivery(`{"note":"` + long + `"}`), delivery(`{}`), delivery(`{}`)})
	batch.Drop(1, pipeline.Reason{Code: "test", Message: "settled before"})
	logged := lines(t, with, slog.LevelInfo, batch)
	require.Len(t, logged, 2, "what is settled is not logged")
	require.Equal(t, "WARN", logged[0]["level"])
	require.Equal(t, "a bag is missing", logged[0]["msg"])
	require.Equal(t, "LIM", logged[0]["location.iata"])
	require.Equal(t, strings.Repeat("ñ", 128)+"…", logged[0]["payload.note"])
	require.NotContains(t, logged[0], "payload.nothing")
	require.NotContains(t, logged[1], "payload.note")
	require.NotContains(t, logged[0], "uid")
	require.Equal(t, 2, batch.PendingLen(), "every event goes on")

	require.Empty(t, lines(t, "    with: {level: debug}\n", slog.LevelInfo, pipeline.NewBatch([]*tracking.Event{delivery("{}")})))
}

func TestASampleIsAShareAndAlwaysTheSame(t *testing.T) {
	t.Parallel()
	const n = 4000
	taken := 0
	for range n {
		uid := uuid.Must(uuid.NewV7())
		if sampled(uid, 0.1) {
			taken++
			require.True(t, sampled(uid, 0.1))
			require.True(t, sampled(uid, 0.2), "a larger share holds the smaller one")
		}
		require.True(t, sampled(uid, 1))
	}
	require.InDelta(t, 0.1, float64(taken)/n, 0.03) // six standard deviations
	logged := lines(t, "    with: {sample: 0.5}\n", slog.LevelInfo, pipeline.NewBatch([]*tracking.Event{
		{UID: uuid.MustParse("019a0000-0000-7000-8000-000000000000")}, {UID: uuid.MustParse("019a0000-0000-7000-bfff-ffffffffffff")},
	}))
	require.Len(t, logged, 1)
	require.Equal(t, "019a0000-0000-7000-8000-000000000000", logged[0]["uid"])
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value") + strings.Repeat(rapid.SampledFrom([]string{"a", "ñ", "€", "😀"}).Draw(t, "rune"), 300)
		got := cut(value)
		require.LessOrEqual(t, len(got), maxValue+len("…"))
		require.Greater(t, len(got), maxValue-utf8.UTFMax)
		require.True(t, strings.HasPrefix(value, strings.TrimSuffix(got, "…")))
		require.True(t, utf8.ValidString(got))
	})
	require.LessOrEqual(t, len(cut(strings.Repeat("\x80", 300))), maxValue+len("…"), "also what is no text")
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		With:     "{level: warn, message: seen, fields: [uid, payload], sample: 0.5}",
		Settings: func(testing.TB) pipeline.Settings {
			return pipeline.Settings{Logger: slog.New(slog.NewJSONHandler(&bytes.Buffer{}, nil))}
		},
		Events: func() []*tracking.Event { return []*tracking.Event{delivery(`{"a":1}`), delivery(``), delivery(`{}`)} },
		Invalid: []string{
			"level: loud", "message: ''", "message: " + strings.Repeat("x", 201), "sample: 0", "sample: 1.5", "sample: -1", "sample: .nan",
			"fields: [nowhere]", "fields: [uid, uid]", "fields: uid",
		},
	})
}
