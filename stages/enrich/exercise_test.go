package enrich

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/tracking"
)

func TestExercise(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: Register,
		With:     shipped,
		Settings: func(testing.TB) pipeline.Settings { return settings() },
		Events: func() []*tracking.Event {
			return []*tracking.Event{
				{UID: uuid.New(), Kind: tracking.Baggage, Type: "loaded", Payload: json.RawMessage(`{"location":"LIM","flight":"LA2468"}`)},
				{UID: uuid.New(), Kind: tracking.Cargo, Type: "DEP", Location: &tracking.Location{IATA: "LIM"},
					Transport: &tracking.Transport{Mode: "air", Carrier: "LA", Number: "2468"}},
				{UID: uuid.New(), Kind: tracking.Parcel, Type: "QQ"},
				{UID: uuid.New()},
			}
		},
		Invalid: []string{
			"[]", "- {}", "- nowhere: {}", "- location: {places: ../airports.csv}", "- airline: {date: payload.date}", "milestone",
			"- location: {from: payload.location, place: airports.csv}", "- location: {from: nowhere}",
		},
	})
}
