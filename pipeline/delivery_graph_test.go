package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

func TestDuplicatesAreDroppedBeforeAnythingIsDone(t *testing.T) {
	const acts = "with: {does: calls X, takes: 1s}"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"behind a dedupe": {one("with: {dedupes: true}", acts), nil},
		"before a dedupe": {one(acts, "with: {dedupes: true}"), []string{
			`a.yaml:4:10: stage "s0" calls X, for an event that is sent twice as well: stage "s1" drops the second one only behind it; ` +
				`put it behind stage "s1" of pipeline "a" (a.yaml) [dedupe-late]`,
		}},
		"without any": {one(acts), []string{
			`a.yaml:4:10: warning: stage "s0" calls X, for an event that is sent twice as well: no stage before it drops the second one; ` +
				"put a `dedupe` before it [dedupe-missing]",
		}},
		"a copy makes no difference": {one("with: {does: ''}", "with: {dedupes: true}"), nil},
		"the dedupe is in the pipeline before": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: x\nstages: [{use: stage, with: {dedupes: true}}]\n" +
				"--- b.yaml\npipeline: b\nfrom: x\nstages: [{use: stage, with: {does: calls X, takes: 1s}}]\n", nil,
		},
		"the dedupe is in the pipeline behind": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: x\nstages: [{use: stage, with: {does: calls X, takes: 1s}}]\n" +
				"--- b.yaml\npipeline: b\nfrom: x\nstages: [{use: stage, name: once, with: {dedupes: true}}]\n", []string{
				`a.yaml:4:16: stage "stage" calls X, for an event that is sent twice as well: stage "once" drops the second one only behind it; ` +
					`put it behind stage "once" of pipeline "b" (b.yaml) [dedupe-late]`,
			},
		},
		"a tap before the dedupe": {
			"--- a.yaml\npipeline: a\nfrom: in\nstages:\n  - use: stage\n  - use: stage\n    name: once\n    with: {dedupes: true}\n  - use: stage\n    name: then\n" +
				"--- b.yaml\npipeline: b\nfrom: a.once\nstages: [{use: stage, with: {does: calls X, takes: 1s}}]\n" +
				"--- c.yaml\npipeline: c\nfrom: a.then\nstages: [{use: stage, with: {does: calls Y, takes: 1s}}]\n", []string{
				`b.yaml:3:16: warning: stage "stage" calls X, for an event that is sent twice as well: no stage before it drops the second one; ` +
					"put a `dedupe` before it [dedupe-missing]",
			},
		},
		"a route past the dedupe": {
			one("with: {stages: [s2]}", "with: {dedupes: true}", acts), []string{
				`a.yaml:11:10: warning: stage "s2" calls X, for an event that is sent twice as well: no stage before it drops the second one; ` +
					"put a `dedupe` before it [dedupe-missing]",
			},
		},
		"nobody sends it events": {"--- a.yaml\npipeline: a\nfrom: a.dead_letters\nstages: [{use: stage, with: {does: calls X, takes: 1s}}]\n", []string{
			"a.yaml:2:7: topics go in a circle: a.dead_letters (a) -> a.dead_letters; events would go round for ever [cycle]",
		}},
	} {
		t.Run(name, func(t *testing.T) { requireFindings(t, c.want, lint(t, pipeline.Limits{}, c.text)) })
	}
}

func requireFindings(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) == 0 {
		require.Empty(t, got)
		return
	}
	require.Equal(t, want, got)
}

func TestTopicsThatGetEveryEventTwice(t *testing.T) {
	const (
		plain = "stages: [{use: stage}]\n"
		picks = "stages: [{use: stage, with: {picks: true}}]\n"
		hint  = "; a dedupe lets both pass, for they are one delivery; write to another topic, or have a `filter` let each event take one way only [fan-in]"
	)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a diamond": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: [x, y]\n" + plain + "--- b.yaml\npipeline: b\nfrom: x\nto: z\n" + plain +
				"--- c.yaml\npipeline: c\nfrom: y\nto: [w, z]\n" + plain, []string{
				`c.yaml:3:9: warning: every event of topic "in" gets to topic "z" twice: by pipeline "b" (b.yaml) and by pipeline "c"` + hint,
			},
		},
		"a diamond of which one side picks": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: [x, y]\n" + plain + "--- b.yaml\npipeline: b\nfrom: x\nto: z\n" + picks +
				"--- c.yaml\npipeline: c\nfrom: y\nto: [w, z]\n" + plain, nil,
		},
		"the last topic where the ways part": {
			"--- p.yaml\npipeline: p\nfrom: in\nto: mid\n" + plain + "--- a.yaml\npipeline: a\nfrom: mid\nto: z\n" + plain +
				"--- b.yaml\npipeline: b\nfrom: mid\nto: z\n" + plain, []string{
				`b.yaml:3:5: warning: every event of topic "mid" gets to topic "z" twice: by pipeline "a" (a.yaml) and by pipeline "b"` + hint,
			},
		},
		"a side that picks before it does more": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: z\nstages: [{use: stage}, {use: stage, name: s1, fuse: true, with: {picks: true}}, {use: stage, name: s2, fuse: true}]\n" +
				"--- b.yaml\npipeline: b\nfrom: in\nto: z\n" + plain, nil,
		},
		"two of one name": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: z\n" + plain + "--- b.yaml\npipeline: a\nfrom: in\nto: z\n" + plain, []string{
				`b.yaml:1:11: pipeline "a" is also that of a.yaml; give one of them another name [duplicate-pipeline]`,
			},
		},
		"a way with a detour": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: [x, y]\n" + plain + "--- b.yaml\npipeline: b\nfrom: x\nto: y\n" + plain, []string{
				`b.yaml:3:5: warning: every event of topic "in" gets to topic "y" twice: by pipeline "a" (a.yaml) and by pipeline "b"` + hint,
			},
		},
		"a tap that comes back": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: y\nstages: [{use: stage, with: {picks: true}}, {use: stage, name: next}]\n" +
				"--- b.yaml\npipeline: b\nfrom: a.next\nto: y\n" + plain, []string{
				`b.yaml:3:5: warning: every event of topic "a.next" gets to topic "y" twice: by pipeline "a" (a.yaml) and by pipeline "b"` + hint,
			},
		},
		"two that have nothing in common": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: y\nstages: [{use: stage, with: {topics: [x]}}]\n--- b.yaml\npipeline: b\nfrom: x\nto: y\n" + plain, nil,
		},
		"a fan-out that stays apart": {
			"--- a.yaml\npipeline: a\nfrom: in\nto: y\n" + plain + "--- b.yaml\npipeline: b\nfrom: in\nto: x\n" + plain, nil,
		},
	} {
		t.Run(name, func(t *testing.T) { requireFindings(t, c.want, lint(t, pipeline.Limits{}, c.text)) })
	}
}

func TestStagesThatNoEventGetsTo(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"behind a route that keeps all": {one("with: {topics: [x], stops: true}", "", "") + "to: y\n", []string{
			`a.yaml:8:11: no event gets to stage "s1": stage "s0" sends every one elsewhere; send some there with ` + "`stage: s1`, or let those that are no case pass [unreachable-stage]",
			`a.yaml:11:11: no event gets to stage "s2": stage "s0" sends every one elsewhere; send some there with ` + "`stage: s2`, or let those that are no case pass [unreachable-stage]",
			`a.yaml:13:5: no event gets to the end of the pipeline: stage "s0" sends every one elsewhere; leave out ` + "`to:`, or let those that are no case pass [unreachable-output]",
		}},
		"jumped over": {one("with: {stages: [s2], stops: true}", "", "") + "to: y\n", []string{
			`a.yaml:8:11: no event gets to stage "s1": stage "s0" sends every one elsewhere; send some there with ` + "`stage: s1`, or let those that are no case pass [unreachable-stage]",
		}},
		"some pass":                       {one("with: {stages: [s2]}", "", "") + "to: y\n", nil},
		"what is no case passes by":       {one("with: {topics: [x], stops: true}\nwhen: event.kind == \"cargo\"", "") + "to: y\n", nil},
		"the last one, and nothing reads": {one("", "with: {topics: [x], stops: true}"), nil},
	} {
		t.Run(name, func(t *testing.T) { requireFindings(t, c.want, lint(t, pipeline.Limits{}, c.text)) })
	}
}
