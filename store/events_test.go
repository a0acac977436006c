package store

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// sameEvent compares events as the wire does: times by instant and offset, absent and empty lists alike.
var sameEvent = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b time.Time) bool {
		_, offsetA := a.Zone()
		_, offsetB := b.Zone()
		return a.Equal(b) && offsetA == offsetB
	}),
}

// anyText generates text of any script; PostgreSQL's text cannot hold NUL.
func anyText() *rapid.Generator[string] {
	return rapid.Map(rapid.StringN(0, 30, 200), func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
}

func maybe[T any](value *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(value, true) }

// anyPayload generates JSON that a parser would not give back as it was.
func anyPayload() *rapid.Generator[json.RawMessage] {
	return rapid.Map(rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "null", " \n\t{ \"a\" :\t1 }\r\n ", `{"b":1,"a":2,"a":3}`, `[1e400, -0.0, 123456789012345678901234567890, 1.10]`,
			`"\u0000 \ud800 \/ \u00e9 é 漢字 🧳"`, `{"":{}, "nested":[[[[]]]]}`, `"</script>&\u2028"`,
		}),
		rapid.Map(anyText(), func(s string) string {
			encoded, _ := json.Marshal(map[string]string{"text": s})
			return "\n" + string(encoded) + " "
		}),
	), func(s string) json.RawMessage { return json.RawMessage(s) })
}

func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := time.UnixMicro(rapid.Int64Range(-62135510400000000, 253402214400000000).Draw(t, "us"))
		if offset := rapid.IntRange(-14*60, 14*60).Draw(t, "offset"); offset != 0 {
			return at.In(time.FixedZone("", offset*60))
		}
		return at.UTC()
	})
}

func anyTransport() *rapid.Generator[tracking.Transport] {
	return rapid.Make[tracking.Transport]().Filter(storableValue)
}

// storableValue reports whether a value has no text that PostgreSQL cannot hold.
func storableValue[T any](v T) bool {
	encoded, err := json.Marshal(v)
	return err == nil && !strings.Contains(string(encoded), `\u0000`)
}

func anyEvent() *rapid.Generator[*tracking.Event] {
	text := anyText()
	return rapid.Custom(func(t *rapid.T) *tracking.Event {
		return &tracking.Event{
			UID: uuid.Must(uuid.NewV7()), TenantID: text.Draw(t, "tenant"), Source: text.Draw(t, "source"),
			EventID: text.Draw(t, "event id"), Revision: rapid.Int64().Draw(t, "revision"),
			CorrelationID: text.Draw(t, "correlation"), AggregateID: text.Draw(t, "aggregate"),
			Kind: tracking.Kind(text.Draw(t, "kind")), Type: text.Draw(t, "type"),
			Classifier:  rapid.SampledFrom(tracking.Classifiers()).Draw(t, "classifier"),
			TimeQuality: rapid.SampledFrom(append(tracking.TimeQualities(), "")).Draw(t, "quality"),
			OccurredAt:  anyTime().Draw(t, "occurred"), ReceivedAt: anyTime().Draw(t, "received").UTC(),
			Location:  maybe(rapid.Make[tracking.Location]().Filter(storableValue)).Draw(t, "location"),
			Quantity:  maybe(rapid.Make[tracking.Quantity]().Filter(storableValue)).Draw(t, "quantity"),
			Transport: maybe(anyTransport()).Draw(t, "transport"),
			Corrects:  maybe(rapid.Make[tracking.Correction]().Filter(storableValue)).Draw(t, "corrects"),
			Payload:   anyPayload().Draw(t, "payload"),
			Enrichment: tracking.Enrichment{
				Milestone: rapid.SampledFrom(append(tracking.Milestones(), "", tracking.Unknown)).Draw(t, "milestone"),
				Exception: text.Draw(t, "exception"),
				Place:     maybe(rapid.Make[tracking.Place]().Filter(storableValue)).Draw(t, "place"),
				Airline:   maybe(rapid.Make[tracking.Airline]().Filter(storableValue)).Draw(t, "airline"),
				Transport: maybe(anyTransport()).Draw(t, "leg"),
			},
		}
	})
}

func TestEventsReadBackAsWritten(t *testing.T) {
	t.Parallel()
	s := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		written := rapid.SliceOfN(anyEvent(), 1, 5).Draw(rt, "events")
		results, err := s.Persist(t.Context(), written)
		require.NoError(rt, err)
		for i, e := range written {
			require.NoError(rt, results[i].Refused)
			require.True(rt, results[i].Inserted)
			rows, err := s.pool.Query(t.Context(), "SELECT "+eventColumns+" FROM event_store WHERE uid = $1", e.UID)
			require.NoError(rt, err)
			read, err := pgx.CollectExactlyOneRow(rows, scanEvent)
			require.NoError(rt, err)
			require.Empty(rt, cmp.Diff(e, read, sameEvent))
			require.Equal(rt, string(e.Payload), string(read.Payload))
		}
	})
}
