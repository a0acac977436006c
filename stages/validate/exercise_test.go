package validate

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		With:     "{schema: event.schema.json, future_skew: 1m}",
		Settings: func(testing.TB) pipeline.Settings { return settings() },
		Events: func() []*tracking.Event {
			good, future, untyped, malformed := goodEvent(), goodEvent(), goodEvent(), goodEvent()
			future.OccurredAt = clock.Add(time.Hour)
			untyped.Type = ""
			malformed.Payload = json.RawMessage(`{"flight":`)
			events := []*tracking.Event{good, future, untyped, malformed, goodEvent()}
			for _, event := range events {
				event.UID = uuid.New()
			}
			return events
		},
		Invalid: []string{"schema: /etc/passwd", "schema: ''", "future_skew: -1s", "future_skew: soon", "[schema]"},
	})
}
