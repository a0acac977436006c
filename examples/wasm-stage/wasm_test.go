package wasmstage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/stages"
	"github.com/rastrohq/rastro/stages/wasm"
	"github.com/rastrohq/rastro/tracking"

	"example.com/rastro-wasm-stage/redact"
)

// module is the guest, built by TestMain as the README says; it is compiled once for all tests.
var (
	module []byte
	cache  = wasm.NewCache()
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "redact")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "redact.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s", "-o", file, "./guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	if module, err = os.ReadFile(file); err != nil {
		panic(err)
	}
	return m.Run()
}

func files() fs.FS { return fstest.MapFS{"stages/redact.wasm": {Data: module}} }

func settings() pipeline.Settings {
	return pipeline.Provide(pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Files: files(), Now: time.Now}, cache)
}

func event(code, payload string) *tracking.Event {
	var uid [16]byte
	_, _ = rand.Read(uid[:]) // it never fails
	at := time.Date(2026, 6, 20, 10, 5, 0, 0, time.UTC)
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: "e1", CorrelationID: "0045123456", AggregateID: "0045123456",
		Kind: tracking.Baggage, Type: code, Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at, Payload: json.RawMessage(payload),
	}
}

// The suite that every stage passes.
func TestRedactIsAGoodStage(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register:   stages.Register,
		Use:        "wasm",
		With:       "{module: stages/redact.wasm, config: {fields: [passenger]}, timeout: 30s}",
		NoDefaults: true,
		Settings:   func(testing.TB) pipeline.Settings { return settings() },
		Events: func() []*tracking.Event {
			return []*tracking.Event{event("loaded", `{"passenger":"Ana"}`), event("loaded", `{"n":1}`), event("test", `{}`)}
		},
		Patience: 2 * time.Minute, // compiling the module takes most of it
	})
}

// built returns the stage of the pipeline in config/.
func built(tb testing.TB) pipeline.Stage {
	tb.Helper()
	const file = "config/pipelines/tracking.yaml"
	source, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	registry := pipeline.NewRegistry()
	if err := stages.Register(registry); err != nil {
		tb.Fatal(err)
	}
	spec, err := pipeline.Parse(file, source, registry)
	if err != nil {
		tb.Fatal(err)
	}
	stage, err := spec.Stages[1].Build(spec.Name, settings())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := stage.(io.Closer).Close(); err != nil { //nolint:forcetypeassert // it is one
			tb.Error(err)
		}
	})
	return stage
}

func TestRedact(t *testing.T) {
	batch := pipeline.NewBatch([]*tracking.Event{
		event("loaded", `{"passenger":"Ana", "flight":"LA2468", "phone":1}`), event("loaded", `{"flight": "LA2468"}`), event("test", `{}`),
	})
	if err := built(t).Process(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got, want := string(batch.Event(0).Payload), `{"flight":"LA2468","passenger":"***","phone":"***"}`; got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	if got, want := string(batch.Event(0).Enrichment.Attributes["redacted"]), `["passenger","phone"]`; got != want {
		t.Errorf("redacted %s, want %s", got, want)
	}
	if got, want := string(batch.Event(1).Payload), `{"flight": "LA2468"}`; got != want {
		t.Errorf("payload %s, want it as it was sent", got)
	}
	if got := batch.Verdict(2); got.Outcome != pipeline.Drop || got.Reason.Code != "test" {
		t.Errorf("a test event: %v (%s), want it dropped", got.Outcome, got.Reason.Code)
	}
}

func TestAConfigThatRedactRefusesIsFoundWhenThePipelineIsLinted(t *testing.T) {
	registry := pipeline.NewRegistry()
	if err := stages.Register(registry); err != nil {
		t.Fatal(err)
	}
	source := "pipeline: p\nfrom: events.ingested\nstages:\n  - use: wasm\n    with:\n      module: stages/redact.wasm\n      config: {fields: []}\n"
	checker := pipeline.Checker{Registry: registry, Entries: []string{"events.ingested"}, Settings: settings()}
	_, findings := checker.Check(pipeline.Source{File: "p.yaml", Text: []byte(source)})
	const want = `p.yaml:6:15: stage "wasm" cannot be built: module stages/redact.wasm: it refuses its config: ` +
		"fields: name those of the payload to redact"
	if len(findings) != 1 || findings[0].String() != want {
		t.Errorf("found %v\nwant %s", findings, want)
	}
}

// inGo is the same stage in Go: the event's payload is read, changed and written, and nothing else.
func inGo(c redact.Config) pipeline.Stage {
	return pipeline.StageFunc(func(_ context.Context, batch *pipeline.Batch) error {
		for i, e := range batch.Pending() {
			in := redact.Event{Type: e.Type}
			if err := json.Unmarshal(e.Payload, &in.Payload); err != nil {
				return err
			}
			r := c.Apply(in)
			if r.Outcome == "drop" {
				batch.Drop(i, pipeline.Reason{Code: r.Code, Message: r.Message})
				continue
			}
			if len(r.Attributes) == 0 {
				continue
			}
			payload, err := json.Marshal(r.Set["payload"])
			if err != nil {
				return err
			}
			found, err := json.Marshal(r.Attributes["redacted"])
			if err != nil {
				return err
			}
			changed := e.Clone()
			changed.Payload, changed.Enrichment.Attributes = payload, map[string]json.RawMessage{"redacted": found}
			batch.Replace(i, changed)
		}
		return nil
	})
}

// BenchmarkRedact measures the stage in WebAssembly and in Go, over events of about 350 bytes of which one in ten is changed.
func BenchmarkRedact(b *testing.B) {
	for name, stage := range map[string]pipeline.Stage{"wasm": built(b), "go": inGo(redact.Config{Fields: []string{"passenger", "phone"}})} {
		for _, size := range []int{100, 500} {
			b.Run(name+"/"+strconv.Itoa(size), func(b *testing.B) {
				events := make([]*tracking.Event, size)
				for i := range events {
					payload := `{"location":"LIM","flight":"LA2468","weight":23.5,"belt":"B4"}`
					if i%10 == 0 {
						payload = `{"location":"LIM","flight":"LA2468","passenger":"Ana","belt":"B4"}`
					}
					events[i] = event("loaded", payload)
				}
				fresh := make([]*tracking.Event, size)
				b.ReportAllocs()
				for b.Loop() {
					copy(fresh, events)
					if err := stage.Process(b.Context(), pipeline.NewBatch(fresh)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
