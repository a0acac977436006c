package routers

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// A dead letter holds nothing personal but what is to be sealed, and leads back to the event as it was received.
func TestDeadLettersKeepPersonalDataApart(t *testing.T) {
	t.Parallel()
	field, err := pipeline.ParsePersonalField("payload.passenger.name")
	require.NoError(t, err)
	p := &Processor{personal: pipeline.PersonalRules{{Fields: []pipeline.PersonalField{field}}}}
	p.config.Settings.Now = time.Now
	event := &tracking.Event{
		UID: uuid.Must(uuid.NewV7()), TenantID: "acme", Type: "loaded", OccurredAt: time.Now().UTC(), ReceivedAt: time.Now().UTC(),
		Payload:  json.RawMessage(`{"passenger": {"name":"Quispe"}, "belt" : 4}`),
		Personal: &tracking.Personal{Subject: "C-1", Data: json.RawMessage(`{"seat":"12A"}`)},
	}
	work := &pipeline.Work{Event: event, Stage: "validate", Verdict: pipeline.Verdict{
		Reason: pipeline.Reason{Code: "schema", Message: `/passenger/name is "Quispe" and seat 12A, of C-1`},
	}}
	letter, err := p.deadLetter(work)
	require.NoError(t, err)
	for _, text := range []string{string(letter.Event), letter.Message} {
		for _, secret := range []string{"Quispe", "12A", "C-1"} {
			require.NotContains(t, text, secret)
		}
	}
	var again Redrive
	require.NoError(t, openEvent(&again, store.Letter{UID: event.UID, TenantID: "acme", Event: letter.Event, Personal: letter.Personal}))
	require.Equal(t, string(event.Payload), string(again.Events[0].Payload))
	require.Equal(t, event.Personal, again.Events[0].Personal)

	again = Redrive{}
	require.NoError(t, openEvent(&again, store.Letter{UID: event.UID, TenantID: "acme", Event: letter.Event}), "its subject was forgotten")
	require.Nil(t, again.Events[0].Personal)
	require.NotContains(t, string(again.Events[0].Payload), "Quispe")
}
