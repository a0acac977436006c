package persist

import (
	"encoding/json"
	"testing"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestExercise(t *testing.T) {
	opened := openStore(t)
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		Settings: func(testing.TB) pipeline.Settings { return pipeline.Provide[Store](pipeline.Settings{}, opened) },
		Events: func() []*tracking.Event {
			unstorable := happened("0045123456", "screened", tracking.Processing, 3)
			unstorable.Payload = json.RawMessage(`{"belt":"\u0000"}`)
			return []*tracking.Event{
				happened("0045123456", "loaded", tracking.Loaded, 2), happened("0045123456", "checked_in", tracking.Accepted, 1),
				unstorable, happened("0045123457", "checked_in", tracking.Accepted, 1),
			}
		},
		Invalid: []string{"table: events", "[table]"},
	})
}
