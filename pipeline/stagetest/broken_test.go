package stagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type types struct {
	Late []string `yaml:"late"`
}

var lateReason = pipeline.Reason{Code: "late", Message: "it is late"}

func isLate(e *tracking.Event) bool { return e.Type == "late" }

// judge is what a right stage does.
func judge(ctx context.Context, batch *pipeline.Batch) error {
	for i, event := range batch.Pending() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isLate(event) {
			batch.Drop(i, lateReason)
		}
	}
	return ctx.Err()
}

// events are two that pass and two that are late.
func events() []*tracking.Event {
	list := make([]*tracking.Event, 4)
	for i := range list {
		list[i] = &tracking.Event{
			UID: uuid.New(), TenantID: "talma-pe", EventID: fmt.Sprint(i), CorrelationID: "0045123456", Type: "loaded",
			OccurredAt: time.Now(), Location: &tracking.Location{IATA: "lim"}, Payload: json.RawMessage(`{"belt":4}`),
		}
	}
	list[1].Type, list[2].Type = "late", "late"
	return list
}

// with returns a subject whose stage's config is a C.
func with[C any](config string, defaults func() C, build func(c C) (pipeline.Stage, error)) Subject {
	return Subject{
		With: config, Events: events,
		Register: func(r *pipeline.Registry) error {
			return r.Register(pipeline.Define("mine", "A stage.", defaults,
				func(c C, _ pipeline.Settings) (pipeline.Stage, error) { return build(c) }))
		},
	}
}

// stage returns a subject whose config is right; make is called for each stage that is built.
func stage(build func() pipeline.StageFunc) Subject {
	return with("late: [late]", func() types { return types{} }, func(types) (pipeline.Stage, error) { return build(), nil })
}

// plain returns a subject whose stage has no state.
func plain(process pipeline.StageFunc) Subject {
	return stage(func() pipeline.StageFunc { return process })
}

// good returns a subject whose stage is right; only its config is of interest.
func good[C any](config string, defaults func() C) Subject {
	return with(config, defaults, func(C) (pipeline.Stage, error) { return pipeline.StageFunc(judge), nil })
}

type picky types

func (p *picky) Validate() error {
	if len(p.Late) == 0 {
		return errors.New("late: name at least one type")
	}
	return nil
}

// opaque unmarshals from a word and marshals to nothing of the kind.
type opaque struct {
	Level struct{ level } `yaml:"level"`
}

type level struct{ n int }

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low", "high":
		l.n = len(text)
		return nil
	default:
		return errors.New("level: low or high")
	}
}

// lax decodes itself and finds what is unknown without saying where.
type lax struct{ Late []string }

func (l *lax) UnmarshalYAML(node ast.Node) error {
	if strings.Contains(node.String(), strange) {
		return errors.New("there is something unknown")
	}
	l.Late = []string{"late"}
	return nil
}

// tags decodes into the map that it finds, which is that of the defaults.
type tags map[string]string

func (t tags) UnmarshalYAML(node ast.Node) error {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return errors.New("tags: write key: value")
	}
	for entries := mapping.MapRange(); entries.Next(); {
		t[entries.Key().String()] = entries.Value().String()
	}
	return nil
}

type tagged struct {
	Tags tags `yaml:"tags"`
}

func configSubjects() map[string]map[string]Subject {
	shared := tags{"a": "b"}
	invalid := good("late: [late]", func() types { return types{} })
	invalid.Invalid = []string{"late: []"}
	undemanding := good("late: [late]", func() types { return types{} })
	undemanding.NoDefaults = true
	return map[string]map[string]Subject{
		"config decodes": {
			"not of its own kind": good("late: 5", func() types { return types{} }),
			"cannot be built": with("", func() types { return types{} },
				func(types) (pipeline.Stage, error) { return nil, errors.New("no luck") }),
			"builds nothing": with("", func() types { return types{} }, func(types) (pipeline.Stage, error) { return nil, nil }),
		},
		"defaults lint clean": {
			"the defaults are refused":  good("late: [late]", func() picky { return picky{} }),
			"it needs no config at all": undemanding,
		},
		"config round-trips": {
			"marshals to something else": good("level: high", func() opaque { return opaque{} }),
			"shares its defaults":        good("tags: {c: d}", func() tagged { return tagged{shared} }),
		},
		"unknown keys are refused": {
			"takes anything":         good("late: [late]", func() map[string]any { return map[string]any{} }),
			"does not say where":     good("late: [late]\nother: 1", func() lax { return lax{Late: []string{"late"}} }),
			"takes anything in flow": good("{late: [late]}", func() map[string]any { return nil }),
		},
		"invalid configs are refused": {"takes what is wrong": invalid},
	}
}

// reasons are verdicts that do not say enough.
func reasons() map[string]Subject {
	settle := func(f func(batch *pipeline.Batch, i int)) Subject {
		return plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i, event := range batch.Pending() {
				if err := ctx.Err(); err != nil {
					return err
				}
				if isLate(event) {
					f(batch, i)
				}
			}
			return nil
		})
	}
	return map[string]Subject{
		"no code": settle(func(b *pipeline.Batch, i int) { b.Drop(i, pipeline.Reason{Message: "late"}) }),
		"a code that is a sentence": settle(func(b *pipeline.Batch, i int) {
			b.Reject(i, pipeline.Reason{Code: "It came late.", Message: "late"})
		}),
		"no message":     settle(func(b *pipeline.Batch, i int) { b.Reject(i, pipeline.Reason{Code: "late"}) }),
		"a retry of nil": settle(func(b *pipeline.Batch, i int) { b.Retry(i, nil) }),
	}
}

// touching are stages that change events.
func touching() map[string]Subject {
	touch := func(f func(e *tracking.Event)) Subject {
		return plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for _, event := range batch.Pending() {
				if !isLate(event) {
					f(event)
				}
			}
			return judge(ctx, batch)
		})
	}
	return map[string]Subject{
		"payload":            touch(func(e *tracking.Event) { e.Payload = json.RawMessage(`{"belt":4,"mine":true}`) }),
		"payload in place":   touch(func(e *tracking.Event) { e.Payload[0] = '[' }),
		"tenant":             touch(func(e *tracking.Event) { e.TenantID = "talma-ec" }),
		"behind a pointer":   touch(func(e *tracking.Event) { e.Location.IATA = "LIM" }),
		"the zone of a time": touch(func(e *tracking.Event) { e.OccurredAt = e.OccurredAt.UTC() }),
		"what it replaces": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i, event := range batch.Pending() {
				shallow := *event
				shallow.Location.IATA = "LIM"
				batch.Replace(i, &shallow)
			}
			return judge(ctx, batch)
		}),
		"whose the replacement is": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i, event := range batch.Pending() {
				other := event.Clone()
				batch.Replace(i, other)
				other.TenantID = "talma-ec"
			}
			return judge(ctx, batch)
		}),
	}
}

// sharing are stages that hand the same thing to several events.
func sharing() map[string]Subject {
	lima := &tracking.Place{IATA: "LIM"}
	return map[string]Subject{
		"out of a table": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for _, event := range batch.Pending() {
				event.Enrichment.Place = lima
			}
			return judge(ctx, batch)
		}),
		"attributes for the batch": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			attributes := map[string]json.RawMessage{"gate": json.RawMessage("1")}
			for _, event := range batch.Pending() {
				event.Enrichment.Attributes = attributes
			}
			return judge(ctx, batch)
		}),
		"a leg for the batch": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			leg := &tracking.Transport{Carrier: "LA"}
			for _, event := range batch.Pending() {
				event.Enrichment.Transport = leg
			}
			return judge(ctx, batch)
		}),
	}
}

func settling() map[string]Subject {
	return map[string]Subject{
		"works on all": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i := range batch.Len() {
				batch.Event(i).Enrichment.Milestone = tracking.Loaded
			}
			return judge(ctx, batch)
		}),
		"counts for itself": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			n := 0
			var late []int
			for _, event := range batch.Pending() {
				if isLate(event) {
					late = append(late, n)
				}
				n++
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, i := range late {
				batch.Drop(i, lateReason)
			}
			return nil
		}),
	}
}

func redelivering() map[string]Subject {
	return map[string]Subject{
		"remembers that, not which": stage(func() pipeline.StageFunc {
			var seen sync.Map
			return func(ctx context.Context, batch *pipeline.Batch) error {
				if err := judge(ctx, batch); err != nil {
					return err
				}
				for i, event := range batch.Pending() {
					if _, again := seen.LoadOrStore(event.UID, true); again {
						batch.Drop(i, lateReason)
					}
				}
				return nil
			}
		}),
		"judges by the batch": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			if batch.Len() == 1 && ctx.Err() == nil {
				batch.Reject(0, pipeline.Reason{Code: "lonely", Message: "it came alone"})
			}
			return judge(ctx, batch)
		}),
	}
}

// emitting are stages that make events of others.
func emitting() map[string]Subject {
	emit := func(f func(made *tracking.Event)) Subject {
		return plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i, event := range batch.Pending() {
				made := event.Clone()
				made.UID = tracking.DeriveUID(event.UID, "part")
				f(made)
				batch.Emit(i, made)
			}
			return judge(ctx, batch)
		})
	}
	return map[string]Subject{
		"with random UIDs":  emit(func(e *tracking.Event) { e.UID = uuid.New() }),
		"without UIDs":      emit(func(e *tracking.Event) { e.UID = uuid.Nil }),
		"for somebody else": emit(func(e *tracking.Event) { e.TenantID = "talma-ec" }),
		"with the parents' own": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i, event := range batch.Pending() {
				batch.Emit(i, event.Clone())
			}
			return judge(ctx, batch)
		}),
	}
}

func cancelling(t *testing.T) map[string]Subject {
	t.Helper()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	hangs := plain(func(ctx context.Context, batch *pipeline.Batch) error {
		if ctx.Err() != nil {
			<-never
		}
		return judge(ctx, batch)
	})
	hangs.Patience = time.Second
	return map[string]Subject{
		"never looks": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			return judge(context.WithoutCancel(ctx), batch)
		}),
		"hangs": hangs,
		"rejects what it could not look up": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			for i := range batch.Pending() {
				if ctx.Err() != nil {
					batch.Reject(i, pipeline.Reason{Code: "lookup", Message: ctx.Err().Error()})
				}
			}
			return judge(ctx, batch)
		}),
	}
}

func crowding() map[string]Subject {
	return map[string]Subject{
		"takes one worker only": stage(func() pipeline.StageFunc {
			var inside atomic.Int32
			return func(ctx context.Context, batch *pipeline.Batch) error {
				defer inside.Add(-1)
				if inside.Add(1) > 1 {
					return errors.New("somebody is in here")
				}
				for range 1000 {
					runtime.Gosched()
				}
				return judge(ctx, batch)
			}
		}),
		"mixes up what calls share": stage(func() pipeline.StageFunc {
			var current atomic.Pointer[tracking.Event]
			return func(ctx context.Context, batch *pipeline.Batch) error {
				defer current.Store(nil)
				for i, event := range batch.Pending() {
					if err := ctx.Err(); err != nil {
						return err
					}
					current.Store(event)
					for range 200 {
						runtime.Gosched()
					}
					if now := current.Load(); now == nil || isLate(now) {
						batch.Drop(i, lateReason)
					}
				}
				return nil
			}
		}),
	}
}

func keeping() map[string]Subject {
	return map[string]Subject{
		"settles the batch before": stage(func() pipeline.StageFunc {
			var calls atomic.Int32
			var first *pipeline.Batch
			return func(ctx context.Context, batch *pipeline.Batch) error {
				switch calls.Add(1) {
				case 1:
					first = batch
				case 2:
					if first.Len() > 0 {
						first.Drop(0, lateReason)
					}
				}
				return judge(ctx, batch)
			}
		}),
		"remembers an event": stage(func() pipeline.StageFunc {
			var last atomic.Pointer[tracking.Event]
			return func(ctx context.Context, batch *pipeline.Batch) error {
				for _, event := range batch.Pending() {
					last.Store(event)
				}
				return judge(ctx, batch)
			}
		}),
	}
}

func leaking(t *testing.T) map[string]Subject {
	t.Helper()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return map[string]Subject{
		"in Process": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			go func() { <-end }()
			return judge(ctx, batch)
		}),
		"in the constructor": stage(func() pipeline.StageFunc {
			go func() { <-end }()
			return judge
		}),
	}
}

// Every broken stage fails the check that is about what it breaks, and no other.
func TestEachBrokenStageFailsItsCheckAlone(t *testing.T) {
	broken := configSubjects()
	broken["every event is settled with a reason"] = reasons()
	broken["events keep order and identity"] = touching()
	broken["enrichment is each event's own"] = sharing()
	broken["settled events are left alone"] = settling()
	broken["an empty batch is fine"] = map[string]Subject{
		"fails": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			if batch.PendingLen() == 0 {
				return errors.New("nothing to do")
			}
			return judge(ctx, batch)
		}),
		"panics": plain(func(ctx context.Context, batch *pipeline.Batch) error {
			_ = batch.Event(0)
			return judge(ctx, batch)
		}),
	}
	broken["a redelivery is judged alike"] = redelivering()
	broken["a redelivery leads to the same events"] = emitting()
	broken["a cancelled context is honoured"] = cancelling(t)
	broken["workers may share it"] = crowding()
	broken["the batch is let go"] = keeping()
	broken["no goroutine is left behind"] = leaking(t)
	for _, c := range checks() {
		require.NotEmpty(t, broken[c.name], "no stage breaks %q", c.name)
		for how, subject := range broken[c.name] {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				e, err := prepare(subject)
				require.NoError(t, err)
				failedAny := false
				for _, other := range checks() {
					said := record(t, other, e)
					if other.name == c.name {
						require.NotEmpty(t, said, "the check must find it")
						t.Log(said)
						failedAny = true
					} else {
						require.Empty(t, said, "%q must not mind", other.name)
					}
					if failedAny && other.first {
						break
					}
				}
			})
		}
	}
}

// closable has a goroutine until it is closed.
type closable struct {
	pipeline.StageFunc
	end chan struct{}
}

func newClosable() *closable {
	c := &closable{judge, make(chan struct{})}
	go func() { <-c.end }()
	return c
}

// Close implements io.Closer.
func (c *closable) Close() error {
	close(c.end)
	return nil
}

func TestGoodStagesPassEveryCheck(t *testing.T) {
	limited := stage(func() pipeline.StageFunc {
		var taken atomic.Int32
		return func(ctx context.Context, batch *pipeline.Batch) error {
			for i := range batch.Pending() {
				if taken.Add(1) > 3 {
					batch.Retry(i, errors.New("enough for now"))
				}
			}
			return ctx.Err()
		}
	})
	limited.Stateful = true
	demanding := good("late: [late]", func() picky { return picky{} })
	demanding.NoDefaults = true
	for name, subject := range map[string]Subject{
		"by itself": plain(judge), "with a state of its own": limited, "that needs a config": demanding,
		"without a config": good("", func() struct{} { return struct{}{} }),
		"with a list":      good("- late: [a]\n- late: [b]\n", func() []types { return nil }),
		"that is closed":   with("late: [late]", func() types { return types{} }, func(types) (pipeline.Stage, error) { return newClosable(), nil }),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := prepare(subject)
			require.NoError(t, err)
			for _, c := range checks() {
				require.Empty(t, record(t, c, e), c.name)
			}
		})
	}
}

func TestASubjectThatCannotBeExercisedIsToldWhy(t *testing.T) {
	t.Parallel()
	right := plain(judge)
	for want, spoil := range map[string]func(s *Subject){
		"needs Register and Events":       func(s *Subject) { s.Register = nil },
		"give two at least":               func(s *Subject) { s.Events = func() []*tracking.Event { return events()[:1] } },
		`adds no stage "yours"`:           func(s *Subject) { s.Use = "yours" },
		"adds 2 stages (another, mine): ": func(s *Subject) { s.Register = both(s.Register) },
		"no luck":                         func(s *Subject) { s.Register = func(*pipeline.Registry) error { return errors.New("no luck") } },
	} {
		subject := right
		spoil(&subject)
		_, err := prepare(subject)
		require.ErrorContains(t, err, want)
	}
}

func both(one func(*pipeline.Registry) error) func(*pipeline.Registry) error {
	return func(r *pipeline.Registry) error {
		return errors.Join(one(r), r.Register(pipeline.Define("another", "Another.", func() types { return types{} },
			func(types, pipeline.Settings) (pipeline.Stage, error) { return pipeline.StageFunc(judge), nil })))
	}
}

const asChild = "STAGETEST_BROKEN"

// What a stage's author sees: the check that failed, by its name, and the others that did not.
func TestExerciseFailsTheTestOfABrokenStage(t *testing.T) {
	if os.Getenv(asChild) != "" {
		Exercise(t, touching()["tenant"])
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), asChild+"=1")
	out, err := command.CombinedOutput()
	require.Error(t, err)
	for _, c := range checks() {
		ended := "--- PASS: "
		if c.name == "events keep order and identity" {
			ended = "--- FAIL: "
		}
		require.Contains(t, string(out), ended+t.Name()+"/"+strings.ReplaceAll(c.name, " ", "_"))
	}
	require.Contains(t, string(out), "TenantID was changed; what a stage knows goes into Enrichment")
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	lat := 1.5
	full := &tracking.Event{
		UID: uuid.New(), OccurredAt: time.Now(), Location: &tracking.Location{IATA: "LIM", Lat: &lat}, Quantity: &tracking.Quantity{Pieces: 1},
		Transport: &tracking.Transport{Carrier: "LA"}, Corrects: &tracking.Correction{EventIDs: []string{"a"}},
		Payload: json.RawMessage(`{}`), Enrichment: tracking.Enrichment{Place: &tracking.Place{IATA: "LIM"}},
	}
	copied := clone([]*tracking.Event{full})[0]
	require.Equal(t, full, copied)
	require.Empty(t, changed(full, copied))
	for _, pair := range [][2]any{
		{full, copied}, {full.Location, copied.Location}, {full.Location.Lat, copied.Location.Lat}, {full.Quantity, copied.Quantity},
		{full.Transport, copied.Transport}, {full.Corrects, copied.Corrects}, {&full.Corrects.EventIDs[0], &copied.Corrects.EventIDs[0]},
		{&full.Payload[0], &copied.Payload[0]}, {full.Enrichment.Place, copied.Enrichment.Place},
	} {
		require.NotSame(t, pair[0], pair[1])
	}
}
