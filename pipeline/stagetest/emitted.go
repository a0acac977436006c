package stagetest

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// aRedeliveryLeadsToTheSame checks the events that a stage makes of others: each has a UID of its own, the same every time, so that
// what is stored twice is stored once; and it belongs to whom the event that led to it does.
func aRedeliveryLeadsToTheSame(tb testing.TB, e *exerciser) {
	tb.Helper()
	within(tb, func(tb testing.TB) {
		tb.Helper()
		stage, events := e.build(tb), e.Events()
		first := pipeline.NewBatch(clone(events))
		if err := e.run(tb.Context(), tb, stage, first); err != nil {
			tb.Fatalf("Process failed on valid input: %v", err)
		}
		again := e.process(tb, stage, clone(events))
		seen := map[uuid.UUID]bool{}
		for i, event := range events {
			seen[event.UID] = true
			emitted := uidsOf(first.Emitted(i))
			if !e.Stateful && !slices.Equal(emitted, uidsOf(again.Emitted(i))) {
				tb.Errorf("event %d led to events with other UIDs when it was delivered again; derive them (tracking.DeriveUID)", i)
			}
			for n, made := range first.Emitted(i) {
				switch {
				case made.UID == uuid.Nil || seen[made.UID]:
					tb.Errorf("event %d: the UID of emitted event %d, %s, is none or another event's; derive it from the event's with a "+
						"label of its own (tracking.DeriveUID)", i, n, made.UID)
				case made.TenantID != event.TenantID:
					tb.Errorf("event %d: emitted event %d belongs to tenant %q and not to %q, whose event led to it", i, n, made.TenantID, event.TenantID)
				}
				seen[made.UID] = true
			}
		}
	})
}

func uidsOf(events []*tracking.Event) []uuid.UUID {
	uids := make([]uuid.UUID, len(events))
	for i, event := range events {
		uids[i] = event.UID
	}
	return uids
}
