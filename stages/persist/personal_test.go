package persist

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// What the config calls personal leaves the payload, is kept apart, and goes no further than this stage.
func TestWhatIsPersonalIsKeptApart(t *testing.T) {
	t.Parallel()
	ring, err := seal.ParseRing(seal.NewMaster())
	require.NoError(t, err)
	config := store.DefaultConfig()
	config.URL, config.PersonalKeys = databases.URL(t), ring
	db, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	require.NoError(t, db.EnsurePartitions(t.Context(), time.Now()))
	registry := pipeline.NewRegistry()
	require.NoError(t, Register(registry))
	spec, err := pipeline.Parse("p.yaml", []byte(`
pipeline: p
from: a
stages:
  - use: persist
    with:
      personal:
        - when: event.kind == "baggage"
          subject: event.payload.passenger.reference
          fields: [payload.passenger.name, "payload.items[*].owner"]
`), registry)
	require.NoError(t, err)
	settings := pipeline.Provide[Store](pipeline.Settings{Logger: slog.New(slog.DiscardHandler)}, db)
	stage, err := spec.Stages[0].Build("p", settings)
	require.NoError(t, err)

	bag, anonymous, cargo := happened("A", "loaded", tracking.Loaded, 1), happened("A", "loaded", tracking.Loaded, 2), happened("B", "DEP", tracking.Loaded, 3)
	bag.Payload = json.RawMessage(`{"passenger": {"name":"Quispe","reference":"C-1"},  "items":[{"owner":"Ana"}]}`)
	anonymous.Payload = json.RawMessage(`{"passenger":{"name":"Quispe"}}`)
	cargo.Kind, cargo.Payload = tracking.Cargo, json.RawMessage(`{"passenger":{"name":"nobody"}}`)
	sent := string(bag.Payload)
	events := []*tracking.Event{bag, anonymous, cargo}
	batch := process(t, stage, events...)
	require.Equal(t, sent, string(bag.Payload), "what was given is not changed")
	for _, event := range []*tracking.Event{batch.Event(0), batch.Event(1)} {
		require.NotContains(t, string(event.Payload), "Quispe")
		require.False(t, event.Personal.Held(), "nothing personal goes on")
	}
	require.Same(t, cargo, batch.Event(2))

	trace, err := db.Trace(t.Context(), "talma-pe", "A")
	require.NoError(t, err)
	require.Equal(t, `{"passenger": {"name":"[personal]","reference":"C-1"},  "items":[{"owner":"[personal]"}]}`, string(trace.Events[0].Payload))
	for event, subject := range map[*tracking.Event]string{bag: "C-1", anonymous: anonymous.UID.String()} {
		personal, err := db.Personal(t.Context(), "talma-pe", event.UID, store.Actor{Subject: "u"}, "test")
		require.NoError(t, err)
		require.Equal(t, subject, personal.Subject)
		require.Equal(t, `"Quispe"`, string(personal.Moved[0].Value))
	}
	_, err = db.Personal(t.Context(), "talma-pe", cargo.UID, store.Actor{Subject: "u"}, "test")
	require.ErrorIs(t, err, store.ErrNotFound)

	// The dead letters of the pipeline are kept so too, whichever stage rejects.
	kept := spec.Plan().Personal().Apply(bag)
	require.Equal(t, "C-1", kept.Personal.Subject)
	back, err := kept.RestorePersonal()
	require.NoError(t, err)
	require.Equal(t, sent, string(back.Payload))

	config.PersonalKeys = nil
	without, err := store.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(without.Close)
	stage, err = spec.Stages[0].Build("p", pipeline.Provide[Store](settings, without))
	require.NoError(t, err)
	waits := pipeline.NewBatch([]*tracking.Event{happened("C", "loaded", tracking.Loaded, 1), bag})
	require.ErrorIs(t, stage.Process(context.Background(), waits), store.ErrNoPersonalKey)
	require.Equal(t, 2, waits.PendingLen(), "events wait, and none is lost")
}
