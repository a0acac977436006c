package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// delivery is an event that has the module do something.
func delivery(mark string) *tracking.Event {
	uid, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 6, 20, 10, 5, 0, 0, time.FixedZone("", -5*3600))
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: "e1", CorrelationID: "0045123456", AggregateID: "0045123456",
		Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at.UTC(),
		Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468"}, Payload: json.RawMessage(`{"m":"` + mark + `"}`),
	}
}

func deliveries(marks string) []*tracking.Event {
	events := make([]*tracking.Event, 0, len(marks))
	for _, mark := range marks {
		events = append(events, delivery(string(mark)))
	}
	return events
}

func files(a assembly) fs.FS {
	if a.answers == nil {
		a.answers = usual
	}
	return fstest.MapFS{"stages/test.wasm": {Data: a.bytes()}}
}

func parse(with string) (pipeline.Spec, error) {
	r := pipeline.NewRegistry()
	if err := Register(r); err != nil {
		return pipeline.Spec{}, err
	}
	return pipeline.Parse("w.yaml", []byte("pipeline: p\nfrom: x\nstages:\n  - use: wasm\n    with:\n      "+with+"\n"), r)
}

func tryBuild(t *testing.T, with string, module fs.FS, log io.Writer) (pipeline.Stage, error) {
	t.Helper()
	spec, err := parse(with)
	require.NoError(t, err)
	return spec.Stages[0].Build("p", pipeline.Settings{Logger: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Files: module})
}

func open(t *testing.T, with string, a assembly, log io.Writer) *stage {
	t.Helper()
	built, err := tryBuild(t, with, files(a), log)
	require.NoError(t, err)
	s, ok := built.(*stage)
	require.True(t, ok)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func outcomes(batch *pipeline.Batch) []string {
	list := make([]string, batch.Len())
	for i := range list {
		v := batch.Verdict(i)
		list[i] = strings.TrimSpace(v.Outcome.String() + " " + v.Reason.Code)
	}
	return list
}

const with = "{module: stages/test.wasm, timeout: 500ms, memory: 4MiB}"

func TestEachEventGetsItsResult(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{}, io.Discard)
	events := deliveries("@?#$%&*")
	before := make([]*tracking.Event, len(events))
	for i, e := range events {
		before[i] = e.Clone()
	}
	batch := pipeline.NewBatch(slices.Clone(events))
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "pass", "drop seen", "reject wasm", "retry", "pass", "pass"}, outcomes(batch))
	require.Equal(t, pipeline.Reason{Code: "seen", Message: "seen before"}, batch.Verdict(2).Reason)
	require.Equal(t, pipeline.Reason{Code: "wasm", Message: "not right", Field: "/payload/m"}, batch.Verdict(3).Reason)
	require.EqualError(t, batch.Verdict(4).Err, "not yet")
	require.Equal(t, 30*time.Second, batch.Verdict(4).After)

	changed := before[5].Clone()
	changed.Type, changed.Location, changed.Transport = "changed", &tracking.Location{IATA: "CUZ"}, nil
	changed.Enrichment.Attributes = map[string]json.RawMessage{"by": json.RawMessage(`"set"`)}
	require.Equal(t, changed, batch.Event(5))
	require.Equal(t, before[5], events[5], "the event that was given is not changed")

	require.JSONEq(t, `{"risk":0.5}`, string(batch.Event(6).Enrichment.Attributes["score"]))
	require.Same(t, events[6], batch.Event(6))
}

func TestAttributesJoinThoseThatAreThere(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{}, io.Discard)
	event := delivery("*")
	theirs := map[string]json.RawMessage{"tags": json.RawMessage(`0`), "other": json.RawMessage(`1`)}
	event.Enrichment.Attributes = theirs
	require.NoError(t, s.Process(t.Context(), pipeline.NewBatch([]*tracking.Event{event})))
	require.Len(t, event.Enrichment.Attributes, 3)
	require.Equal(t, `["a"]`, string(event.Enrichment.Attributes["tags"]))
	require.Len(t, theirs, 2, "the map may be shared with a copy")
}

func TestAModuleThatAnswersNothingPassesAll(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{answers: map[byte]string{}}, io.Discard)
	batch := pipeline.NewBatch(deliveries("@#$"))
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, 3, batch.PendingLen())
}

func TestOnlyTheEventThatTheModuleFailsOnIsRejected(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, with, assembly{prints: "careful\n"}, &log)
	batch := pipeline.NewBatch(deliveries("@!#^@"))
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "reject wasm_trap", "drop seen", "reject wasm_trap", "pass"}, outcomes(batch))
	require.Equal(t, "the module fails on this event: wasm error: unreachable", batch.Verdict(1).Reason.Message)
	require.Contains(t, log.String(), "its events are run one by one")

	batch = pipeline.NewBatch(deliveries("@@"))
	require.NoError(t, s.Process(t.Context(), batch), "another instance takes the place of the one that failed")

	batch = pipeline.NewBatch([]*tracking.Event{delivery(">!")})
	require.NoError(t, s.Process(t.Context(), batch))
	require.Contains(t, batch.Verdict(0).Reason.Message, "it says: careful")
}

func TestAnEndlessLoopEndsAtTheTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, "{module: stages/test.wasm, timeout: 100ms, memory: 4MiB, instances: 1}", assembly{}, io.Discard)
	batch := pipeline.NewBatch(deliveries("@~#"))
	start := time.Now()
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"pass", "reject wasm_timeout", "drop seen"}, outcomes(batch))
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestEventsThatAreNotReachedInTimeAreRetried(t *testing.T) {
	t.Parallel()
	s := open(t, "{module: stages/test.wasm, timeout: 250ms, memory: 4MiB}", assembly{}, io.Discard)
	batch := pipeline.NewBatch(deliveries("~~~~~~~~#"))
	require.NoError(t, s.Process(t.Context(), batch))
	got := outcomes(batch)
	require.Equal(t, "reject wasm_timeout", got[0], "each time one at least is settled")
	require.Equal(t, []string{"retry", "retry"}, got[7:])
	require.ErrorIs(t, batch.Verdict(8).Err, errBudget)
}

func TestTheCallersDeadlineIsNoFaultOfTheEvent(t *testing.T) {
	t.Parallel()
	s := open(t, "{module: stages/test.wasm, timeout: 1m, memory: 4MiB, instances: 1}", assembly{}, io.Discard)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	batch := pipeline.NewBatch(deliveries("~@"))
	require.ErrorIs(t, s.Process(ctx, batch), context.DeadlineExceeded)
	require.Equal(t, 2, batch.PendingLen())

	// All instances are taken: the wait ends with the context too.
	in, err := s.guest.take(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, s.Process(ctx, batch), context.DeadlineExceeded)
	s.guest.give(in)
}

func TestAnAnswerThatIsNoneRejectsItsEvent(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"outcome":"explode"}`:                          `the outcome "explode"; there is pass, drop, reject, retry`,
		`{"outcome":"drop","code":"No Such"}`:            `the code "No Such"; a code is lower case`,
		`{"outcome":"retry","after":"soon"}`:             `after "soon"; it is a duration`,
		`{"outcome":"retry","after":"-1s"}`:              `after "-1s"; it is a duration`,
		`{"attributes":{"":1}}`:                          `the attribute ""; a name is 1 to 256 bytes`,
		`{"attributes":{"a":"x\u0000"}}`:                 `the attribute a holds the character U+0000`,
		`{"set":{"tenant_id":"x"}}`:                      "tenant_id cannot be set",
		`{"set":{"uid":"x"}}`:                            "uid is set by Rastro; leave it out",
		`{"set":{"event_typ":"x"}}`:                      `did you mean "event_type"?`,
		`{"set":{"kind":"bag"}}`:                         "kind cannot be",
		`{"set":{"correlation_id":null}}`:                "correlation_id is required",
		`{"outcom":"drop"}`:                              `unknown field "outcom"`,
		`7`:                                              "no list of results",
		`{},{}`:                                          "it answers with 2 results for 1 events",
		`{"attributes":{"a":"` + big + `"}}`:             "attributes of 70003 bytes; 65536 at most",
		`{"set":{"payload":` + deep + `}}`:               "payload nests 80 levels deep",
		`{"outcome":"reject","code":"` + big[:65] + `"}`: "64 at most",
	} {
		s := open(t, with, assembly{answers: map[byte]string{'@': `{}`, '#': answer}}, io.Discard)
		batch := pipeline.NewBatch(deliveries("@#@"))
		require.NoError(t, s.Process(t.Context(), batch))
		require.Equal(t, []string{"pass", "reject wasm_result", "pass"}, outcomes(batch), answer)
		require.Contains(t, batch.Verdict(1).Reason.Message, want)
	}
}

var (
	big  = strings.Repeat("x", 70_000)
	deep = strings.Repeat("[", 80) + strings.Repeat("]", 80)
)

func TestSetKeepsThePayloadByteForByte(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{answers: map[byte]string{'#': `{"set":{"event_type":"x"}}`, '&': `{"set":{"payload":{"n": 1}}}`}}, io.Discard)
	events := deliveries("##&")
	events[1].Payload = json.RawMessage(`{"m": "#", "n": 1.00, "h":"<>"}`)
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, `{"m": "#", "n": 1.00, "h":"<>"}`, string(batch.Event(1).Payload))
	require.Equal(t, `{"n":1}`, string(batch.Event(2).Payload))
	require.Equal(t, events[0].OccurredAt, batch.Event(0).OccurredAt)
}

func TestAnEventWithoutJSONIsRejected(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{}, io.Discard)
	events := deliveries("@#")
	events[0].Payload = json.RawMessage(`{"m"`)
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"reject wasm_encode", "drop seen"}, outcomes(batch))
}

func TestABatchThatDoesNotFitIsRunOneByOne(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{}, io.Discard)
	events := deliveries("###")
	for _, e := range events {
		e.Payload = json.RawMessage(`{"m":"#","fill":"` + strings.Repeat("x", room/2) + `"}`)
	}
	events[1].Payload = json.RawMessage(`{"m":"#","fill":"` + strings.Repeat("x", room) + `"}`)
	batch := pipeline.NewBatch(events)
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"drop seen", "reject wasm_trap", "drop seen"}, outcomes(batch))
	require.Contains(t, batch.Verdict(1).Reason.Message, "alloc gives no memory for")
}

func TestWhatAModulePrintsIsLoggedWithinBounds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, with, assembly{prints: manyLines()}, &log)
	require.NoError(t, s.Process(t.Context(), pipeline.NewBatch([]*tracking.Event{delivery("@"), delivery(">@")})))
	require.Equal(t, maxLines, strings.Count(log.String(), "the module says"))
	require.Contains(t, log.String(), "lines=201 logged=100")
	require.Less(t, log.Len(), 20_000)

	log.Reset()
	require.NoError(t, s.Process(t.Context(), pipeline.NewBatch([]*tracking.Event{delivery("@"), delivery(">@")})))
	require.Equal(t, maxLines, strings.Count(log.String(), "the module says"), "each batch has its own")
}

func TestALineWithoutAnEndIsLoggedToo(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, with, assembly{prints: "a\x00b\nhalf"}, &log)
	require.NoError(t, s.Process(t.Context(), pipeline.NewBatch(deliveries(">"))))
	require.Contains(t, log.String(), `line="a b"`)
	require.Contains(t, log.String(), "line=half")
}

// Without leave the clock stands still and chance is none: a redelivery is judged alike, in whatever instance.
func TestClockAndChanceAreThoseOfTheConfig(t *testing.T) {
	t.Parallel()
	random := func(s *stage) string {
		batch := pipeline.NewBatch(deliveries("|"))
		require.NoError(t, s.Process(t.Context(), batch))
		return string(batch.Event(0).Enrichment.Attributes["random"])
	}
	closed, again := open(t, with, assembly{}, io.Discard), open(t, with, assembly{}, io.Discard)
	require.Equal(t, random(closed), random(again))
	batch := pipeline.NewBatch(deliveries("=="))
	require.NoError(t, closed.Process(t.Context(), batch))
	require.Equal(t, 2, batch.PendingLen())

	given := open(t, "{module: stages/test.wasm, allow: [clock, random]}", assembly{}, io.Discard)
	require.NotEqual(t, random(closed), random(given))
	batch = pipeline.NewBatch(deliveries("=@"))
	require.NoError(t, given.Process(t.Context(), batch))
	require.Equal(t, []string{"reject wasm_trap", "pass"}, outcomes(batch))
}

func TestWhatIsWrongWithAModuleIsFoundWhenItIsBuilt(t *testing.T) {
	t.Parallel()
	module := func(a assembly) []byte { a.answers = usual; return a.bytes() }
	whole := module(assembly{})
	for name, c := range map[string]struct {
		source     []byte
		with, want string
	}{
		"none":           {nil, with, "it is no WebAssembly module"},
		"text":           {[]byte("\n(module)"), with, "it is the text of a module"},
		"component":      {[]byte("\x00asm\x0d\x00\x01\x00..."), with, "it is a component"},
		"cut off":        {whole[:len(whole)-10], with, "compile: "},
		"no memory":      {module(assembly{omit: []string{"memory"}}), with, `does not export its memory as "memory"`},
		"no process":     {module(assembly{omit: []string{"process", "alloc"}}), with, "it does not export alloc(i32) -> i32; it does not export process(i32, i32) -> i64"},
		"another type":   {module(assembly{omit: []string{"process"}, rename: map[string]string{"free": "process"}}), with, "it exports process(i32, i32), which must be (i32, i32) -> i64"},
		"newer":          {module(assembly{version: 2}), with, "it has version 2 of the interface; this is for version 1"},
		"a command":      {module(assembly{commands: true}), with, "it is built as a command"},
		"foreign":        {module(assembly{foreign: true}), with, "it imports env.now; there is only WASI"},
		"too large":      {module(assembly{pages: 100}), with, "compile: "},
		"never ready":    {module(assembly{spins: true}), "{module: stages/test.wasm, timeout: 50ms}", "the module takes longer than its timeout"},
		"refused config": {whole, "{module: stages/test.wasm, config: not this}", `it refuses its config: "not this"`},
		"no config":      {module(assembly{omit: []string{"configure"}}), "{module: stages/test.wasm, config: {a: 1}}", "it takes no config"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryBuild(t, c.with, fstest.MapFS{"stages/test.wasm": {Data: c.source}}, io.Discard)
			require.ErrorContains(t, err, "module stages/test.wasm: ")
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := tryBuild(t, with, fstest.MapFS{}, io.Discard)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "stages/test.wasm")
}

func TestWithoutConfigOrFreeAModuleWorks(t *testing.T) {
	t.Parallel()
	s := open(t, with, assembly{omit: []string{"configure", "free"}}, io.Discard)
	batch := pipeline.NewBatch(deliveries("#@"))
	require.NoError(t, s.Process(t.Context(), batch))
	require.Equal(t, []string{"drop seen", "pass"}, outcomes(batch))
}

func TestWhatIsWrongIsNamedWhereItStands(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"memory: 1MiB":                             "module: name the file of a WebAssembly module",
		"{module: ../x.wasm}":                      `w.yaml:6:16: module: "../x.wasm" is not a path below`,
		"{module: a.wasm, memory: 1KiB}":           "w.yaml:6:32: memory: 1KiB is not between 64KiB and 1GiB",
		"{module: a.wasm, memory: 4GiB}":           "memory: 4GiB is not between",
		"{module: a.wasm, timeout: 0s}":            "w.yaml:6:33: timeout: 0s is not more than 0s",
		"{module: a.wasm, timeout: 11m}":           "timeout: 11m0s is not more than",
		"{module: a.wasm, instances: 0}":           "instances: 0 is not between 1 and 256",
		"{module: a.wasm, allow: [net]}":           `allow: there is no "net"; there is clock, random`,
		"{module: a.wasm, allow: [clock, clock]}":  "allow: clock is named twice",
		"{module: a.wasm, config: {ratio: .inf}}":  "config: it has no JSON form",
		"{module: a.wasm, modul: a}":               `did you mean "module"?`,
		"{module: a.wasm, config: [a, {b: 1.50}]}": "",
	} {
		spec, err := parse(with)
		if want == "" {
			require.NoError(t, err)
			require.Equal(t, 20*time.Second, spec.Stages[0].Config().(pipeline.Timed).WorstCase(100)) //nolint:forcetypeassert // a test
			continue
		}
		require.ErrorContains(t, err, want, with)
	}
}

func TestACacheServesSeveralStages(t *testing.T) {
	t.Parallel()
	cache := NewCache()
	settings := pipeline.Provide(pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Files: files(assembly{})}, cache)
	for _, with := range []string{with, "{module: stages/test.wasm, memory: 8MiB, instances: 1}", with} {
		spec, err := parse(with)
		require.NoError(t, err)
		built, err := spec.Stages[0].Build("p", settings)
		require.NoError(t, err)
		batch := pipeline.NewBatch(deliveries("@#!"))
		require.NoError(t, built.Process(t.Context(), batch))
		require.Equal(t, []string{"pass", "drop seen", "reject wasm_trap"}, outcomes(batch))
		require.NoError(t, built.(io.Closer).Close()) //nolint:forcetypeassert // it is one
	}
	require.NoError(t, cache.Close())
}

func TestInstancesAreNotShared(t *testing.T) {
	t.Parallel()
	s := open(t, "{module: stages/test.wasm, memory: 4MiB, instances: 3, timeout: 10s}", assembly{}, io.Discard)
	var wg sync.WaitGroup
	errs := make(chan error, 8*10)
	for w := range 8 {
		wg.Go(func() {
			for range 10 {
				marks := []string{"#", "$", "@", "!"}[w%4]
				batch := pipeline.NewBatch(deliveries(strings.Repeat(marks, 5)))
				if err := s.Process(t.Context(), batch); err != nil {
					errs <- err
				}
				want := []string{"drop seen", "reject wasm", "pass", "reject wasm_trap"}[w%4]
				for _, got := range outcomes(batch) {
					if got != want {
						errs <- errors.New("worker with " + marks + ": " + got)
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, s.guest.slots, 3)
}
