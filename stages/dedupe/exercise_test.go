package dedupe

import (
	"testing"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestExercise(t *testing.T) {
	opened := openStore(t, databases.URL(t))
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		With:     "{key: [tenant_id, event_id, payload.location], window: 2h}",
		Settings: func(testing.TB) pipeline.Settings { return pipeline.Provide[Claims](pipeline.Settings{}, opened) },
		Events: func() []*tracking.Event {
			round := uuid.NewString() // what was claimed stays claimed
			keyless := delivery(round+"c", 0)
			keyless.Payload = nil
			return []*tracking.Event{
				delivery(round+"a", 0), delivery(round+"b", 0), keyless, delivery(round+"a", 1), delivery(round+"a", 0),
			}
		},
		Invalid: []string{
			"key: []", "key: [uid]", "key: [event_id, event_id]", "key: [tenant_id, source]", "key: [nowhere]", "key: event_id",
			"window: 0s", "window: -1h", "window: soon",
		},
	})
}
