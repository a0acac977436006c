package pipeline_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

// traits is a config that says of its stage whatever its fields say.
type traits struct {
	Takes    time.Duration `yaml:"takes"`
	PerEvent time.Duration `yaml:"per_event"`
	Does     string        `yaml:"does"`
	Keeps    string        `yaml:"keeps"`
	Dedupes  bool          `yaml:"dedupes"`
	Picks    bool          `yaml:"picks"`
	Stops    bool          `yaml:"stops"`
	Topics   []string      `yaml:"topics"`
	Stages   []string      `yaml:"stages"`
}

func (c traits) WorstCase(events int) time.Duration {
	return c.Takes + time.Duration(events)*c.PerEvent
}
func (c traits) Action() string     { return c.Does }
func (c traits) Delivers() string   { return c.Keeps }
func (c traits) Deduplicates() bool { return c.Dedupes }
func (c traits) Selects() bool      { return c.Picks }
func (c traits) PassesOn() bool     { return !c.Stops }
func (c traits) Destinations() []pipeline.Destination {
	var all []pipeline.Destination
	for i, topic := range c.Topics {
		all = append(all, pipeline.Destination{Topic: topic, Key: fmt.Sprintf("$.topics[%d]", i)})
	}
	for i, stage := range c.Stages {
		all = append(all, pipeline.Destination{Stage: stage, Key: fmt.Sprintf("$.stages[%d]", i)})
	}
	return all
}

func traitsRegistry(t require.TestingT, stages ...pipeline.Stage) *pipeline.Registry {
	r := pipeline.NewRegistry()
	define := func(name string, stage pipeline.Stage) {
		require.NoError(t, r.Register(pipeline.Define(name, "", func() traits { return traits{} },
			func(traits, pipeline.Settings) (pipeline.Stage, error) { return stage, nil })))
	}
	define("stage", pipeline.StageFunc(func(context.Context, *pipeline.Batch) error { return nil }))
	for i, stage := range stages {
		define(fmt.Sprintf("s%d", i), stage)
	}
	return r
}

// lint returns what is found in pipelines, each after a line `--- FILE` of its own.
func lint(t *testing.T, limits pipeline.Limits, text string) []string {
	t.Helper()
	var sources []pipeline.Source
	for part := range strings.SplitSeq(text, "--- ") {
		if file, source, ok := strings.Cut(part, "\n"); ok {
			sources = append(sources, pipeline.Source{File: file, Text: []byte(source)})
		}
	}
	_, findings := pipeline.Checker{Registry: traitsRegistry(t), Entries: []string{"in"}, Delivery: limits}.Check(sources...)
	found := make([]string, len(findings))
	for i, f := range findings {
		found[i] = f.String() + " [" + f.Code + "]"
	}
	return found
}

// one returns a pipeline of one hop whose stages have the settings given, one a line.
func one(stages ...string) string {
	text := "--- a.yaml\npipeline: a\nfrom: in\nstages:\n"
	for i, settings := range stages {
		text += fmt.Sprintf("  - use: stage\n    name: s%d\n", i)
		if i > 0 {
			text += "    fuse: true\n"
		}
		for line := range strings.SplitSeq(settings, "\n") {
			if line != "" {
				text += "    " + line + "\n"
			}
		}
	}
	return text
}

func hopOf(t *testing.T, stages ...string) pipeline.Hop {
	t.Helper()
	_, text, _ := strings.Cut(one(stages...), "\n")
	spec, err := pipeline.Parse("a.yaml", []byte(text), traitsRegistry(t))
	require.NoError(t, err)
	return spec.Plan().Hops[0]
}

func TestWorstCase(t *testing.T) {
	const retry = "\nretry: {attempts: 2, backoff: 100ms, max_backoff: 120ms}\non_error: dead_letter"
	for name, c := range map[string]struct {
		stages []string
		want   pipeline.WorstCase
		total  time.Duration
	}{
		"a timeout": {[]string{"timeout: 10s"}, pipeline.WorstCase{Pass: 10 * time.Second, Passes: 1}, 10 * time.Second},
		"linger counts once": {
			[]string{"timeout: 10s\nbatch: {linger: 2s}"},
			pipeline.WorstCase{Linger: 2 * time.Second, Pass: 10 * time.Second, Passes: 1}, 12 * time.Second,
		},
		"retries, each pause half as long again": {
			// 150 ms and, capped at 120 ms, 180 ms.
			[]string{"timeout: 10s" + retry},
			pipeline.WorstCase{Pass: 10 * time.Second, Passes: 3, Pauses: 330 * time.Millisecond}, 30*time.Second + 330*time.Millisecond,
		},
		"what its config says": {
			[]string{"with: {takes: 1s, per_event: 2ms}\nbatch: 250"}, pipeline.WorstCase{Pass: 1500 * time.Millisecond, Passes: 1}, 1500 * time.Millisecond,
		},
		"whichever is less": {
			[]string{"with: {takes: 3s}\ntimeout: 2s"}, pipeline.WorstCase{Pass: 2 * time.Second, Passes: 1}, 2 * time.Second,
		},
		"what nothing limits": {
			[]string{"", "timeout: 1s"}, pipeline.WorstCase{Pass: time.Second, Passes: 1, Untimed: []string{"s0"}}, time.Second,
		},
		"fused stages": {
			[]string{"timeout: 1s" + retry, "timeout: 2s" + retry},
			pipeline.WorstCase{Pass: 3 * time.Second, Passes: 9, Pauses: 660 * time.Millisecond}, 27*time.Second + 660*time.Millisecond,
		},
		"until it works": {
			[]string{"timeout: 1s\nretry: {backoff: 10s}"}, pipeline.WorstCase{Pass: time.Second, Passes: 1}, time.Second,
		},
		"longer than there is a word for": {
			[]string{"with: {takes: 2500000h}\nretry: {attempts: 1000}\non_error: drop"},
			pipeline.WorstCase{Pass: 2500000 * time.Hour, Passes: 1001, Pauses: 7429*time.Second + 311950681}, math.MaxInt64,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := hopOf(t, c.stages...).WorstCase()
			require.Equal(t, c.want, got)
			require.Equal(t, c.total, got.Total())
		})
	}
}

func TestReceivesOf(t *testing.T) {
	limits := pipeline.Limits{FramesInHand: 4, Hold: 2 * time.Hour, DeployEvery: time.Hour}
	for _, c := range []struct {
		batch time.Duration
		want  int
		ends  bool
	}{
		{0, 2, true}, {30 * time.Minute, 2, true}, {30*time.Minute + 1, 3, true}, {time.Hour, 3, true}, {time.Hour + 1, 3, false},
	} {
		n, ends := limits.ReceivesOf(c.batch)
		require.Equal(t, c.want, n, c.batch)
		require.Equal(t, c.ends, ends, c.batch)
	}
}

// Each limit is checked at the number that is just right and at the one that is just wrong.
func TestHopsAreCheckedAgainstLimits(t *testing.T) {
	sqs := pipeline.Limits{
		Broker: "SQS", FrameBytes: 200 << 10, FramesInHand: 64, InHandBytes: 16 << 20, Hold: 12 * time.Hour, Receives: 5,
		DeployEvery: time.Hour, Shutdown: 25 * time.Second, MemoryBytes: 20 << 20,
		ShutdownBy: "RASTRO_SHUTDOWN_TIMEOUT", ReceivesBy: "RASTRO_SQS_MAX_RECEIVES",
	}
	long := sqs
	long.Shutdown = 0
	for name, c := range map[string]struct {
		limits pipeline.Limits
		stage  string
		want   []string
	}{
		"hold, just right": {long, "timeout: 11m15s", nil}, // 64 x 11m15s = 12h
		"hold": {long, "timeout: 11m15s1ms", []string{
			"a.yaml:6:14: a frame may be in hand for 12h0m0.064s (11m for a batch, 11m, behind up to 63 others), and SQS delivers it again after 12h; `timeout: 11m` fits [hold]",
		}},
		"hold by retries, just right": { // 7 x 90s + 6 x 7.5s = 11m15s
			long, "timeout: 90s\nretry: {attempts: 6, backoff: 5s, max_backoff: 5s}\non_error: drop", nil,
		},
		"hold by retries": {long, "timeout: 90s\nretry: {attempts: 7, backoff: 5s, max_backoff: 5s}\non_error: drop", []string{
			"a.yaml:7:23: a frame may be in hand for 13h44m (13m for a batch, 8 x 1m30s + 52.5s of pauses, behind up to 63 others), " +
				"and SQS delivers it again after 12h; `attempts: 6` fits [hold]",
		}},
		"hold by pauses alone": {long, "timeout: 1s\nretry: {attempts: 1, backoff: 1h, max_backoff: 1h}\non_error: drop", []string{
			"a.yaml:7:52: a frame may be in hand for 96h2m (1h30m for a batch, 2 x 1s + 1h30m of pauses, behind up to 63 others), " +
				"and SQS delivers it again after 12h; `backoff: 7m28s` fits, with the same max_backoff [hold]",
			"a.yaml:7:52: a batch may take 1h30m (2 x 1s + 1h30m of pauses), longer than the 1h between two deploys, each of which has it begin again: " +
				"SQS puts a good frame in its dead-letter queue after 5 deliveries (RASTRO_SQS_MAX_RECEIVES); `backoff: 29m` fits, with the same max_backoff [receives]",
		}},
		"a broker that waits for ever": {pipeline.Limits{Broker: "NATS JetStream", FramesInHand: 64, DeployEvery: time.Hour}, "timeout: 1h", nil},
		"receives": {
			pipeline.Limits{Broker: "SQS", FramesInHand: 64, Hold: 12 * time.Hour, Receives: 1, ReceivesBy: "RASTRO_SQS_MAX_RECEIVES"},
			"timeout: 1s", []string{
				"a.yaml:4:10: a good frame may have to be delivered 2 times, and SQS puts it in its dead-letter queue after 1 (RASTRO_SQS_MAX_RECEIVES); " +
					"set RASTRO_SQS_MAX_RECEIVES to 2 or more [receives]",
			},
		},
		"receives between deploys, just right": {pipeline.Limits{Broker: "SQS", Receives: 2, DeployEvery: time.Hour}, "timeout: 1h", nil},
		"receives between deploys": {
			pipeline.Limits{Broker: "SQS", Receives: 1000, DeployEvery: time.Hour, ReceivesBy: "X"}, "timeout: 20m\nretry: {attempts: 3}\non_error: drop", []string{
				"a.yaml:7:23: a batch may take 1h20m (4 x 20m + 356ms of pauses), longer than the 1h between two deploys, each of which has it begin again: " +
					"SQS puts a good frame in its dead-letter queue after 1000 deliveries (X); `attempts: 1` fits [receives]",
			},
		},
		"shutdown, just right": {sqs, "timeout: 25s", nil},
		"shutdown": {sqs, "timeout: 25s1ms", []string{
			`a.yaml:6:14: warning: stage "s0" may take 25.001s over a batch, and a stopping process waits 25s (RASTRO_SHUTDOWN_TIMEOUT): every deploy may ` +
				"break it off and deliver its frames again; write `timeout: 25s` or less, or a longer RASTRO_SHUTDOWN_TIMEOUT [shutdown]",
		}},
		"no more than a batch of many": {sqs, "with: {takes: 1s, per_event: 1s}", nil},
		"shutdown by what its config says": {sqs, "with: {takes: 26s}", []string{
			`a.yaml:4:10: warning: stage "s0" may take 26s over a single event, and a stopping process waits 25s (RASTRO_SHUTDOWN_TIMEOUT): every deploy may ` +
				"break it off and deliver its frames again; write `timeout: 25s` or less, or a longer RASTRO_SHUTDOWN_TIMEOUT [shutdown]",
		}},
		"a batch as large as a frame":     {sqs, "batch: {bytes: 200KiB}", nil},
		"a batch as large as all in hand": {sqs, "batch: {bytes: 16MiB}", nil},
		"a batch less than a frame": {sqs, "batch: {bytes: 204799}", []string{
			"a.yaml:6:20: warning: bytes is 204799B, less than the 200KiB that one frame of SQS may have: a batch is never less than a frame; write 200KiB or more [batch-bytes]",
		}},
		"a batch more than all in hand": {sqs, "batch: {bytes: 17MiB}", []string{
			"a.yaml:6:20: warning: bytes is 17MiB, more than the 16MiB that the hop has in hand at most; write 16MiB or less, or leave it out [batch-bytes]",
		}},
		"memory": {
			pipeline.Limits{FrameBytes: 1 << 20, FramesInHand: 64, MemoryBytes: 128<<20 - 1}, "workers: 2", []string{
				`a.yaml:6:14: warning: the frames that the 2 workers of stage "s0" have in hand may hold 128MiB, and the process may take 134217727B; ` +
					"`workers: 1` fits [memory]",
			},
		},
		"memory, just right": {pipeline.Limits{FrameBytes: 1 << 20, FramesInHand: 64, MemoryBytes: 128 << 20}, "workers: 2", nil},
		"what acts and may wait for ever": {pipeline.Limits{}, "with: {does: 'calls https://example.com', dedupes: true}", []string{
			`a.yaml:4:10: warning: nothing says how long stage "s0" may take, which calls https://example.com: a worker that waits for it is stuck; ` +
				"add for example `timeout: 10s` [no-timeout]",
		}},
		"what is stored is not dropped": {pipeline.Limits{}, "with: {keeps: stores events}\nretry: {attempts: 3}\non_error: drop", []string{
			`a.yaml:8:15: warning: stage "s0" stores events, and an event that it fails 4 times on is dropped: nothing keeps it; ` +
				"write `on_error: dead_letter` [loses]",
		}},
		"what is stored is dead-lettered": {pipeline.Limits{}, "with: {keeps: stores events}\nretry: {attempts: 3}\non_error: dead_letter", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := lint(t, c.limits, one(c.stage))
			if len(c.want) == 0 {
				require.Empty(t, got)
				return
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestEventsAreCheckedAgainstFrames(t *testing.T) {
	limits := pipeline.Limits{Broker: "SQS", FrameBytes: 200_000}
	at := pipeline.Finding{File: "tenants.yaml", Line: 3, Column: 5}
	require.Empty(t, limits.CheckEvent(100_000, "SIZE", at))
	require.Empty(t, pipeline.Limits{}.CheckEvent(1<<30, "SIZE", at), "no broker, no limit")

	found := limits.CheckEvent(100_001, "SIZE", at)
	require.Equal(t, "tenants.yaml:3:5: warning: SIZE is 100001, and no more than 100000 are taken: a frame of SQS has 200000 bytes at most, "+
		"and keeps half for what stages add; write 100000 or less", found.Error())
	require.Equal(t, pipeline.SeverityWarning, limits.CheckEvent(200_000, "SIZE", at)[0].Severity)

	found = limits.CheckEvent(200_001, "SIZE", at)
	require.Equal(t, "tenants.yaml:3:5: SIZE is 200001, and a frame of SQS has 200000 bytes at most: no frame could carry such an event; "+
		"write 100000 or less", found.Error())
	require.Equal(t, "event-bytes", found[0].Code)
}
