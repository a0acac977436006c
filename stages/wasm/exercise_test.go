package wasm

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

// However a module fails on some events, what becomes of the others is what becomes of them alone.
func TestBatchMatesDoNotMatter(t *testing.T) {
	t.Parallel()
	s := open(t, "{module: stages/test.wasm, memory: 4MiB, timeout: 10s}", assembly{}, io.Discard)
	want := map[rune]string{
		'@': "pass", '?': "pass", '#': "drop seen", '$': "reject wasm", '%': "retry", '&': "pass", '*': "pass",
		'!': "reject wasm_trap", '^': "reject wasm_trap",
	}
	rapid.Check(t, func(rt *rapid.T) {
		marks := rapid.StringOfN(rapid.RuneFrom([]rune("@?#$%&*!^")), 1, 12, -1).Draw(rt, "marks")
		batch := pipeline.NewBatch(deliveries(marks))
		require.NoError(rt, s.Process(context.Background(), batch))
		for i, mark := range marks {
			require.Equal(rt, want[mark], outcomes(batch)[i])
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, answer := range usual {
		f.Add([]byte("[" + answer + "]"))
	}
	f.Add([]byte(`[{"set":{"payload":{"a":[1]},"timestamp":"2026-06-20T10:05:00Z","location":{"latitude":1e3}}}]`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		results, err := decode(answer, 1)
		if err != nil {
			require.Equal(t, CodeResult, code(err))
			return
		}
		event := delivery("@")
		batch := pipeline.NewBatch([]*tracking.Event{event})
		settle(batch, 0, results[0])
		got := batch.Event(0)
		require.Equal(t, event.UID, got.UID)
		require.Equal(t, event.TenantID, got.TenantID)
		_, err = encodeEvent(got)
		require.NoError(t, err)
		if v := batch.Verdict(0); v.Outcome == pipeline.Drop || v.Outcome == pipeline.Reject {
			require.Regexp(t, codePattern, v.Reason.Code)
			require.NotEmpty(t, v.Reason.Message)
		}
	})
}

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register:   Register,
		With:       "{module: stages/test.wasm, config: {fields: [a, b], limit: 1.5}, memory: 4MiB, timeout: 2s, instances: 2, allow: [clock]}",
		NoDefaults: true,
		Settings:   func(testing.TB) pipeline.Settings { return pipeline.Settings{Files: files(assembly{})} },
		Events:     func() []*tracking.Event { return deliveries("@#$%*!") },
		Invalid: []string{
			"memory: 1MiB", "module: /etc/passwd", "{module: a.wasm, memory: lots}", "{module: a.wasm, timeout: -1s}", "module: [a]",
			"{module: a.wasm, instances: 1000}", "{module: a.wasm, allow: clock}",
		},
	})
}

// What the stage costs by itself: encoding, copying, calling and decoding, with a module that does next to nothing. The cost of
// a real one is that of examples/wasm-stage.
func BenchmarkProcess(b *testing.B) {
	for _, size := range []int{100, 500} {
		for name, mark := range map[string]string{"all-pass": " ", "drop": "#"} {
			b.Run(name+"/"+[]string{100: "100", 500: "500"}[size], func(b *testing.B) {
				spec, err := parse("{module: stages/test.wasm, memory: 8MiB}")
				require.NoError(b, err)
				built, err := spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Files: files(assembly{})})
				require.NoError(b, err)
				events := make([]*tracking.Event, size)
				for i := range events {
					events[i] = delivery(mark)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := built.Process(b.Context(), pipeline.NewBatch(events)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
				require.NoError(b, built.(io.Closer).Close()) //nolint:forcetypeassert // it is one
			})
		}
	}
}
