package tracking_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/jsonedit"
	"github.com/rastrohq/rastro/tracking"
)

func pathsOf(tb testing.TB, texts ...string) []jsonedit.Path {
	tb.Helper()
	var paths []jsonedit.Path
	for _, text := range texts {
		path, err := jsonedit.ParsePath(text)
		require.NoError(tb, err)
		paths = append(paths, path)
	}
	return paths
}

func TestPersonalDataIsNotPrinted(t *testing.T) {
	t.Parallel()
	p := tracking.Personal{Subject: "Quispe", Data: json.RawMessage(`{"name":"Quispe"}`), Moved: []tracking.MovedValue{{Value: json.RawMessage(`"Quispe"`)}}}
	e := tracking.Event{Personal: &p}
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"personal":{"masked":true}`)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("event", e), slog.Any("personal", p), slog.Any("pointer", &p))
	for _, text := range []string{string(encoded), log.String(), fmt.Sprintf("%v %+v %#v %s %v %+v", p, p, p, p, &p, e)} {
		require.NotContains(t, text, "Quispe")
	}
	var back tracking.Event
	require.NoError(t, json.Unmarshal([]byte(`{"uid":"018f0000-0000-7000-8000-000000000000","timestamp":"2026-01-01T00:00:00Z","received_at":"2026-01-01T00:00:00Z","personal":{"masked":true}}`), &back))
	require.NotNil(t, back.Personal)
	require.False(t, back.Personal.Held())
}

func TestPersonalDataMovesOutOfThePayloadAndBack(t *testing.T) {
	t.Parallel()
	paths := pathsOf(t, "passenger.name", "items[*].owner")
	e := &tracking.Event{Payload: json.RawMessage(`{ "passenger":{"name":"Ana \u0051"},"items":[{"owner":1.0}] }`)}
	moved := e.MovePersonal(paths, "PNR1")
	require.Equal(t, `{ "passenger":{"name":"[personal]"},"items":[{"owner":"[personal]"}] }`, string(moved.Payload))
	require.Equal(t, "PNR1", moved.Personal.Subject)
	require.Equal(t, "/items/0/owner", moved.Personal.Moved[1].Pointer)
	require.Nil(t, e.Personal)
	require.Same(t, moved, moved.MovePersonal(pathsOf(t, "items"), "other"), "what was moved is not moved again")

	frame, err := cbor.Marshal(moved)
	require.NoError(t, err)
	var carried tracking.Event
	require.NoError(t, cbor.Unmarshal(frame, &carried))
	back, err := carried.RestorePersonal()
	require.NoError(t, err)
	require.Equal(t, string(e.Payload), string(back.Payload))
	require.Nil(t, back.Personal)

	carried.Payload = json.RawMessage(`{}`)
	_, err = carried.RestorePersonal()
	require.Error(t, err)

	bare := &tracking.Event{Payload: json.RawMessage(`{"belt":4}`)}
	require.Same(t, bare, bare.MovePersonal(paths, "x"))
	same, err := bare.RestorePersonal()
	require.NoError(t, err)
	require.Same(t, bare, same)
	require.Same(t, bare, bare.Masked())
	require.False(t, moved.Masked().Personal.Held())
}

func TestAPayloadThatIsNoJSONIsMovedWhole(t *testing.T) {
	t.Parallel()
	e := &tracking.Event{Payload: json.RawMessage(`{"passenger":{"name":"Ana`)}
	moved := e.MovePersonal(pathsOf(t, "x"), "PNR1")
	require.Equal(t, tracking.PersonalMarker, string(moved.Payload))
	back, err := moved.RestorePersonal()
	require.NoError(t, err)
	require.Equal(t, string(e.Payload), string(back.Payload))
}

func TestWhatTheSenderSaysOfASubjectStands(t *testing.T) {
	t.Parallel()
	e := &tracking.Event{
		Payload:  json.RawMessage(`{"passenger":"Ana"}`),
		Personal: &tracking.Personal{Subject: "C7", Data: json.RawMessage(`{"seat":"12A"}`)},
	}
	moved := e.MovePersonal(pathsOf(t, "passenger"), "PNR1")
	require.Equal(t, "C7", moved.Personal.Subject)
	require.JSONEq(t, `{"seat":"12A"}`, string(moved.Personal.Data))
	require.Empty(t, e.Personal.Moved)
	back, err := moved.RestorePersonal()
	require.NoError(t, err)
	require.Equal(t, e, back)
}
