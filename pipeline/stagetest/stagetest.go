package stagetest

import (
	"io/fs"
	"log/slog"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// Subject is a stage to exercise.
type Subject struct {
	// Register adds the stage to a registry, as cli.WithStages takes it.
	Register func(*pipeline.Registry) error
	// Use names the stage. It may be left empty when Register adds only one.
	Use string
	// With is a valid config in YAML, what a pipeline has below `with:`. Defaults to none, which leaves the stage its defaults.
	With string
	// NoDefaults says that the stage cannot do without a config: a pipeline that gives it none must be refused.
	NoDefaults bool
	// Settings returns what the stage is given besides its config. It is called anew for every stage that is built, and what
	// it registers with tb.Cleanup is run as soon as that stage is done with. Defaults to the wall clock, no files and a logger
	// that discards; the same stands in for whichever of the three is left nil.
	Settings func(tb testing.TB) pipeline.Settings
	// Events returns valid input for the stage: two events at least, best one for every outcome that it gives. It is called
	// often. Each call returns other events than the last, with UIDs of their own and, where the stage remembers keys outside
	// of the process, with keys of their own.
	Events func() []*tracking.Event
	// Invalid lists configs in YAML that must be refused.
	Invalid []string
	// Stateful says that what becomes of an event depends on more than the event and those with the same UID, as with a rate
	// limit. Outcomes are then not compared between runs.
	Stateful bool
	// Patience is how long one batch may take before the stage counts as hanging. Defaults to 10s.
	Patience time.Duration
}

// Exercise runs the suite over a stage, a subtest for each check. Call it from a test that does not run in parallel to others
// of its package: it looks for goroutines that the stage leaves behind, and would find theirs.
func Exercise(t *testing.T, subject Subject) {
	t.Helper()
	exerciser, err := prepare(subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		passed := t.Run(c.name, func(t *testing.T) { c.run(t, exerciser) })
		if !passed && c.first {
			t.Fatalf("%q failed, so that nothing else can be said of the stage", c.name)
		}
	}
}

// check is one thing that every stage must hold.
type check struct {
	name string
	run  func(tb testing.TB, e *exerciser)
	// first says that without it the others cannot run.
	first bool
}

func checks() []check {
	return []check{
		{name: "config decodes", run: configDecodes, first: true},
		{name: "defaults lint clean", run: defaultsLintClean},
		{name: "config round-trips", run: configRoundTrips},
		{name: "unknown keys are refused", run: unknownKeysAreRefused},
		{name: "invalid configs are refused", run: invalidConfigsAreRefused},
		{name: "every event is settled with a reason", run: everyEventIsSettled},
		{name: "events keep order and identity", run: eventsKeepIdentity},
		{name: "enrichment is each event's own", run: enrichmentIsOwn},
		{name: "settled events are left alone", run: settledEventsAreLeftAlone},
		{name: "an empty batch is fine", run: anEmptyBatchIsFine},
		{name: "a redelivery is judged alike", run: aRedeliveryIsJudgedAlike},
		{name: "a redelivery leads to the same events", run: aRedeliveryLeadsToTheSame},
		{name: "a cancelled context is honoured", run: aCancelledContextIsHonoured},
		{name: "workers may share it", run: workersMayShareIt},
		{name: "the batch is let go", run: theBatchIsLetGo},
		{name: "no goroutine is left behind", run: noGoroutineIsLeftBehind},
	}
}

// settings returns what the subject gives a stage, with what it left open filled in.
func (e *exerciser) settings(tb testing.TB) pipeline.Settings {
	tb.Helper()
	var s pipeline.Settings
	if e.Settings != nil {
		s = e.Settings(tb)
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Files == nil {
		s.Files = fs.FS(fstest.MapFS{})
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return s
}

// outcome is a verdict as far as two runs can be compared: messages may name times and durations.
type outcome struct {
	outcome pipeline.Outcome
	code    string
}

func (o outcome) String() string {
	if o.code == "" {
		return o.outcome.String()
	}
	return o.outcome.String() + " (" + o.code + ")"
}

func outcomesOf(batch *pipeline.Batch) []outcome {
	list := make([]outcome, batch.Len())
	for i := range list {
		v := batch.Verdict(i)
		list[i] = outcome{v.Outcome, v.Reason.Code}
	}
	return list
}

// sameOutcomes fails when two runs over the same events ended otherwise.
func (e *exerciser) sameOutcomes(tb testing.TB, want, got []outcome, advice string) {
	tb.Helper()
	if e.Stateful || slices.Equal(want, got) {
		return
	}
	for i := range want {
		if want[i] != got[i] {
			tb.Errorf("event %d: %s where it was %s the first time; %s", i, got[i], want[i], advice)
		}
	}
}
