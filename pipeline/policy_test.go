package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func TestSettingsOfAStage(t *testing.T) {
	spec, err := pipeline.Parse("f.yaml", []byte(`pipeline: a
from: x
stages:
  - use: validate
  - use: dedupe
    when: event.event_type == "loaded"
    batch: {events: 20, linger: 5ms}
    retry: {attempts: 3, backoff: 10ms, max_backoff: 1s}
    timeout: 2s
    on_error: drop
  - use: enrich
    batch:
      linger: 1ms
    retry: {backoff: 10s}
  - use: persist
    batch: 7
    retry: {attempts: 1}
    on_error: dead_letter
`), registry(t))
	require.NoError(t, err)
	first, second, third, fourth := spec.Stages[0], spec.Stages[1], spec.Stages[2], spec.Stages[3]
	require.Equal(t, pipeline.Batching{Events: pipeline.DefaultBatch}, first.Batch)
	require.Equal(t, pipeline.DefaultRetry(), first.Retry)
	require.Equal(t, pipeline.OnErrorRetry, first.OnError)
	require.True(t, first.When.IsZero())
	require.Zero(t, first.Timeout)

	require.Equal(t, `event.event_type == "loaded"`, second.When.Text())
	require.Equal(t, pipeline.Batching{Events: 20, Linger: 5 * time.Millisecond}, second.Batch)
	require.Equal(t, pipeline.Retries{Attempts: 3, Backoff: 10 * time.Millisecond, MaxBackoff: time.Second}, second.Retry)
	require.Equal(t, 2*time.Second, second.Timeout)
	require.Equal(t, pipeline.OnErrorDrop, second.OnError)
	require.Equal(t, second.Batch, spec.Plan().Hops[1].Batch)

	require.Equal(t, pipeline.Batching{Events: pipeline.DefaultBatch, Linger: time.Millisecond}, third.Batch)
	require.Equal(t, pipeline.Retries{Backoff: 10 * time.Second, MaxBackoff: 10 * time.Second}, third.Retry)
	require.Equal(t, pipeline.Batching{Events: 7}, fourth.Batch)
	require.Equal(t, pipeline.OnErrorDeadLetter, fourth.OnError)
}

func TestWrongSettingsAreFindingsWhereTheyStand(t *testing.T) {
	const head = "pipeline: a\nfrom: x\nstages:\n  - use: persist\n"
	for source, want := range map[string]string{
		"    when: event.evnt_type == \"x\"\n":                         `f.yaml:5:17: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		"    when: 'event.evnt_type == \"x\"'\n":                       `f.yaml:5:18: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		"    when: |\n      true &&\n      event.evnt_type == \"x\"\n": `f.yaml:7:13: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		"    when: >\n      true &&\n      event.evnt_type == \"x\"\n": `f.yaml:5:11: at 1:15 of the expression: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		"    when: \"event.evnt_type == \\\"x\\\"\"\n":                 `f.yaml:5:11: at 1:7 of the expression: unknown field "event.evnt_type"; did you mean "event.event_type"?`,
		"    when: event.revision\n":                                   `f.yaml:5:11: a condition is true or false, and this is a int; compare it with something`,
		"    when: [1]\n":                                              `f.yaml:5:11: `,
		"    when:\n":                                                  "f.yaml:5:11: the expression is empty; write for example `event.event_type == \"loaded\"`",
		"    batch: 0\n":                                               `f.yaml:5:12: batch is 0; write a number from 1 to 10000`,
		"    batch: {events: 0}\n":                                     `f.yaml:5:21: events is 0; write a number from 1 to 10000`,
		"    batch: {evnts: 3}\n":                                      `f.yaml:5:13: batch has no key "evnts"; did you mean "events"?`,
		"    batch: {linger: 1h}\n":                                    `f.yaml:5:21: linger is 1h0m0s; write a duration from 0s to 10s, for example 500ms`,
		"    batch: {linger: soon}\n":                                  `f.yaml:5:21: linger: time: invalid duration "soon"`,
		"    timeout: 2h\n":                                            `f.yaml:5:14: timeout is 2h0m0s; write a duration from 1ms to 1h0m0s, for example 500ms`,
		"    timeout: 5\n":                                             `f.yaml:5:14: `,
		"    retry: 3\n":                                               "f.yaml:5:12: retry must be a mapping; write `key: value` lines",
		"    retry: {attempts: -1}\n":                                  `f.yaml:5:23: attempts is -1; write a number from 0 to 1000`,
		"    retry: {backoff: 2s, max_backoff: 1s}\n":                  `f.yaml:5:39: max_backoff is 1s, less than the backoff of 2s; write a longer max_backoff`,
		"    retry: {attempts: 3}\n":                                   "f.yaml:5:12: retry ends after 3 attempts, and nothing says what becomes of the event then; add `on_error: dead_letter` or `on_error: drop`, or leave out attempts",
		"    on_error: drop\n":                                         "f.yaml:5:15: on_error: drop never happens: an event is tried again until it works; add for example `retry: {attempts: 5}`",
		"    on_error: deadletter\n":                                   `f.yaml:5:15: on_error cannot be "deadletter"; did you mean "dead_letter"?`,
		"    on_error: ''\n":                                           `f.yaml:5:15: on_error cannot be ""; there is retry, dead_letter, drop`,
	} {
		_, err := pipeline.Parse("f.yaml", []byte(head+source), registry(t))
		var findings pipeline.Findings
		require.ErrorAs(t, err, &findings, source)
		require.Contains(t, findings[0].String(), want, source)
	}
}

func payload(list []*pipeline.Work, id, json string) {
	for _, w := range list {
		if w.Event.EventID == id {
			w.Event.Payload = []byte(json)
		}
	}
}

func TestWhatDoesNotMeetTheConditionPassesTheStageBy(t *testing.T) {
	for _, fused := range []bool{true, false} {
		var got []string
		note := pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			got = append(got, e.EventID)
			return nil
		})
		list := work("a", "b", "c", "d")
		payload(list, "a", `{"n":3}`)
		payload(list, "b", `{"n":1}`)
		payload(list, "c", `{"n":"three"}`)
		counts := observed{}
		chain := chainsWith(t, fused, []string{"when: event.payload.n > 2"}, note, note)[0]
		require.NoError(t, runChain(t.Context(), chain, list, counts))
		require.Equal(t, map[string]string{"a": "pass", "b": "pass", "c": "reject s0", "d": "pass"}, outcomes(list))
		require.Equal(t, pipeline.CodeWhen, list[2].Verdict.Reason.Code)
		require.Equal(t, "when: evaluate `event.payload.n > 2`: no such overload", list[2].Verdict.Reason.Message)
		if fused {
			require.Equal(t, []string{"a", "a", "b", "d"}, got)
			require.Equal(t, observed{"s0 pass": 1, "s0 reject": 1, "s1 pass": 3}, counts)
		} else {
			require.Equal(t, []string{"a"}, got)
			require.Equal(t, observed{"s0 pass": 1, "s0 reject": 1}, counts)
		}
	}
}

func TestAStageThatNoEventGetsToIsNotRun(t *testing.T) {
	chain := chainsWith(t, true, []string{"when: event.event_id == \"z\""}, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		return errors.New("must not run")
	}))[0]
	list, counts := work("a"), observed{}
	require.NoError(t, runChain(t.Context(), chain, list, counts))
	require.Empty(t, counts)
	require.Equal(t, map[string]string{"a": "pass"}, outcomes(list))

	unjudged := chainsWith(t, true, []string{"when: event.payload.n > 1"}, pipeline.StageFunc(func(context.Context, *pipeline.Batch) error {
		return errors.New("must not run")
	}))[0]
	list[0] = &pipeline.Work{Event: &tracking.Event{EventID: "a", Payload: json.RawMessage(`{"n":"x"}`)}}
	require.NoError(t, runChain(t.Context(), unjudged, list, counts))
	require.Equal(t, observed{"s0 reject": 1}, counts)
}

// The condition is asked once: what the stage has added before it failed does not take the event past it.
func TestAnEventThatIsRetriedStaysInTheStage(t *testing.T) {
	tries := 0
	chain := chainsWith(t, true, []string{`when: event.enrichment.exception == ""`}, pipeline.Each(func(_ context.Context, e *tracking.Event) error {
		e.Enrichment.Exception = "half done"
		if tries++; tries < 3 {
			return errors.New("lookup is down")
		}
		return nil
	}))[0]
	list := work("a")
	for range 3 {
		require.NoError(t, runChain(t.Context(), chain, list, observed{}))
	}
	require.Equal(t, 3, tries)
	require.Equal(t, "pass", outcomes(list)["a"])
}

func TestAttemptsAreUsedUp(t *testing.T) {
	for onError, want := range map[string]string{"dead_letter": "reject s0", "drop": "drop s0"} {
		tries := map[string]int{}
		chain := chainsWith(t, true, []string{"retry: {attempts: 2, backoff: 10ms, max_backoff: 12ms}\n    on_error: " + onError},
			pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				if tries[e.EventID]++; e.EventID == "never" || e.EventID == "late" && tries["late"] < 3 {
					return errors.New("lookup says no")
				}
				return nil
			}))[0]
		list, counts := work("never", "late", "ok"), observed{}
		for range 5 {
			require.NoError(t, runChain(t.Context(), chain, list, counts))
			if w := list[0]; w.Verdict.Outcome == pipeline.Retry {
				require.InDelta(t, 10*time.Millisecond, w.Pause, float64(8*time.Millisecond))
			}
		}
		require.Equal(t, map[string]string{"never": want, "late": "pass", "ok": "pass"}, outcomes(list))
		require.Equal(t, map[string]int{"never": 3, "late": 3, "ok": 1}, tries)
		require.Equal(t, pipeline.Reason{Code: pipeline.CodeAttempts, Message: "still fails after being tried again 2 times: lookup says no"},
			list[0].Verdict.Reason)
		require.Equal(t, observed{"s0 retry": 4, "s0 pass": 2, "s0 " + strings.TrimSuffix(want, " s0"): 1}, counts)
	}
}

// Invariant 8: an outage uses up no attempts, whether the stage says so for the batch, for an event, or by its timeout.
func TestAnOutageUsesUpNoAttempts(t *testing.T) {
	for name, outage := range map[string]func(context.Context) error{
		"error":   func(context.Context) error { return errors.New("database is down") },
		"timeout": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		down := true
		chain := chainsWith(t, true, []string{"retry: {attempts: 1}\n    on_error: drop\n    timeout: 1ms"},
			pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Batch) error {
				if down {
					return outage(ctx)
				}
				return nil
			}))[0]
		list := work("a", "b")
		for range 5 {
			err := runChain(t.Context(), chain, list, observed{})
			require.Error(t, err)
			if name == "timeout" {
				require.ErrorContains(t, err, `stage "s0" took longer than its timeout of 1ms`)
			}
			require.Equal(t, map[string]string{"a": "retry s0", "b": "retry s0"}, outcomes(list))
		}
		down = false
		require.NoError(t, runChain(t.Context(), chain, list, observed{}))
		require.Equal(t, map[string]string{"a": "pass", "b": "pass"}, outcomes(list))
	}

	cause := errors.New("lookup is down")
	chain := chainsWith(t, true, []string{"retry: {attempts: 1}\n    on_error: drop"},
		pipeline.Each(func(_ context.Context, e *tracking.Event) error {
			if e.EventID == "b" {
				return pipeline.Unavailable(cause)
			}
			return nil
		}))[0]
	list := work("a", "b", "c")
	for range 4 {
		require.ErrorIs(t, runChain(t.Context(), chain, list, observed{}), cause)
		require.Equal(t, "retry s0", outcomes(list)["b"])
	}
}
