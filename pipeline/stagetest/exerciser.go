package stagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// exerciser is a subject made ready.
type exerciser struct {
	Subject
	registry *pipeline.Registry
	// defaults is the stage's config without `with`, in YAML, as it was before any other was decoded.
	defaults    string
	hasDefaults bool
}

func prepare(subject Subject) (*exerciser, error) {
	if subject.Register == nil || subject.Events == nil {
		return nil, errors.New("stagetest: a Subject needs Register and Events")
	}
	if subject.Patience <= 0 {
		subject.Patience = 10 * time.Second
	}
	e := &exerciser{Subject: subject, registry: pipeline.NewRegistry()}
	if err := subject.Register(e.registry); err != nil {
		return nil, fmt.Errorf("stagetest: %w", err)
	}
	names := e.registry.Names()
	switch {
	case e.Use == "" && len(names) == 1:
		e.Use = names[0]
	case e.Use == "":
		return nil, fmt.Errorf("stagetest: Register adds %d stages (%s): say in Subject.Use which one to exercise",
			len(names), strings.Join(names, ", "))
	case !slices.Contains(names, e.Use):
		return nil, fmt.Errorf("stagetest: Register adds no stage %q; there is %s", e.Use, strings.Join(names, ", "))
	}
	if n := len(subject.Events()); n < 2 {
		return nil, fmt.Errorf("stagetest: Subject.Events returns %d events: give two at least, best one for every outcome", n)
	}
	if spec, _, err := e.parse(""); err == nil {
		if e.defaults, err = written(spec); err != nil {
			return nil, fmt.Errorf("stagetest: write out the defaults of %q: %w", e.Use, err)
		}
		e.hasDefaults = true
	}
	return e, nil
}

// file is what findings call the pipelines of the suite.
const file = "exercise.yaml"

// source is a pipeline of the stage alone.
func (e *exerciser) source(with string) string {
	source := "pipeline: exercise\nfrom: exercise.in\nstages:\n  - use: " + e.Use + "\n"
	if strings.TrimSpace(with) == "" {
		return source
	}
	source += "    with:\n"
	for line := range strings.Lines(strings.TrimRight(strings.Trim(with, "\n"), " \t\n")) {
		source += "      " + line
	}
	return source + "\n"
}

func (e *exerciser) parse(with string) (pipeline.Spec, string, error) {
	source := e.source(with)
	spec, err := pipeline.Parse(file, []byte(source), e.registry)
	return spec, source, err
}

// build makes the stage with settings of its own, and closes it with tb. It fails tb when that cannot be done.
func (e *exerciser) build(tb testing.TB) pipeline.Stage {
	tb.Helper()
	spec, source, err := e.parse(e.With)
	if err != nil {
		tb.Fatalf("Subject.With is refused: %v\n%s", err, numbered(source))
	}
	stage, err := spec.Stages[0].Build(spec.Name, e.settings(tb))
	if err != nil {
		tb.Fatalf("the stage cannot be built with Subject.With and Subject.Settings: %v", err)
	}
	if stage == nil {
		tb.Fatalf("the stage's constructor returned neither a stage nor an error")
	}
	if closer, ok := stage.(io.Closer); ok {
		tb.Cleanup(func() {
			if err := closer.Close(); err != nil {
				tb.Errorf("the stage cannot be closed: %v", err)
			}
		})
	}
	return stage
}

// run has the stage process a batch, on a goroutine of its own so that one that hangs is told of. A panic or a hang fails tb.
func (e *exerciser) run(ctx context.Context, tb testing.TB, stage pipeline.Stage, batch *pipeline.Batch) error {
	tb.Helper()
	done := make(chan error, 1)
	go func() { done <- guarded(ctx, stage, batch) }()
	patience := time.NewTimer(e.Patience)
	defer patience.Stop()
	select {
	case err := <-done:
		if p, ok := errors.AsType[*panicked](err); ok {
			tb.Fatalf("Process panicked: %v; return an error instead, or reject the event\n%s", p.value, p.stack)
		}
		return err
	case <-patience.C:
		tb.Fatalf("Process did not return within %s; give up when ctx is done, and bound every wait (Subject.Patience allows more)", e.Patience)
		return nil
	}
}

type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint("panic: ", p.value) }

func guarded(ctx context.Context, stage pipeline.Stage, batch *pipeline.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{r, debug.Stack()}
		}
	}()
	return stage.Process(ctx, batch)
}

// process is run with a live context; the batch must be processed without an error.
func (e *exerciser) process(tb testing.TB, stage pipeline.Stage, events []*tracking.Event) *pipeline.Batch {
	tb.Helper()
	batch := pipeline.NewBatch(events)
	if err := e.run(tb.Context(), tb, stage, batch); err != nil {
		tb.Fatalf("Process failed on valid input: %v; an error is for trouble that a later attempt may not meet, "+
			"settle events that will never be right with batch.Reject", err)
	}
	return batch
}

// first returns what becomes of events at a stage that has seen nothing before.
func (e *exerciser) first(tb testing.TB, events []*tracking.Event) []outcome {
	tb.Helper()
	var outcomes []outcome
	within(tb, func(tb testing.TB) {
		tb.Helper()
		outcomes = outcomesOf(e.process(tb, e.build(tb), clone(events)))
	})
	return outcomes
}

// scope is a testing.TB whose cleanups run, and whose context ends, when the scope does.
type scope struct {
	testing.TB

	ctx context.Context

	mu       sync.Mutex
	cleanups []func()
}

// within runs f in a scope of tb.
func within(tb testing.TB, f func(tb testing.TB)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	s := &scope{TB: tb, ctx: ctx}
	defer s.end()
	defer cancel()
	f(s)
}

// Cleanup implements testing.TB.
func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

// Context implements testing.TB.
func (s *scope) Context() context.Context { return s.ctx }

// end runs the cleanups, the last one first; all of them, also when one ends the test.
func (s *scope) end() {
	s.mu.Lock()
	n := len(s.cleanups)
	if n == 0 {
		s.mu.Unlock()
		return
	}
	f := s.cleanups[n-1]
	s.cleanups = s.cleanups[:n-1]
	s.mu.Unlock()
	defer s.end()
	f()
}

// clone copies events with all they point to.
func clone(events []*tracking.Event) []*tracking.Event {
	copies := make([]*tracking.Event, len(events))
	for i, event := range events {
		copies[i], _ = deepCopy(reflect.ValueOf(event)).Interface().(*tracking.Event)
	}
	return copies
}

// deepCopy copies a value with all that its exported fields point to.
func deepCopy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		to := reflect.New(v.Type().Elem())
		to.Elem().Set(deepCopy(v.Elem()))
		return to
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		to := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			to.Index(i).Set(deepCopy(v.Index(i)))
		}
		return to
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		to := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entries := v.MapRange(); entries.Next(); {
			to.SetMapIndex(entries.Key(), deepCopy(entries.Value()))
		}
		return to
	case reflect.Struct:
		to := reflect.New(v.Type()).Elem()
		to.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				to.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
		return to
	default:
		return v
	}
}
