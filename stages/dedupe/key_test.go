package dedupe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func paths(texts ...string) []pipeline.Path {
	list := make([]pipeline.Path, len(texts))
	for i, text := range texts {
		list[i] = pipeline.MustParsePath(text)
	}
	return list
}

// material returns what the key of an event is the digest of, or nil when it has none.
func material(k keyer, event *tracking.Event) []byte {
	var buffers keyBuffers
	if !k.encode(event, &buffers) {
		return nil
	}
	return buffers.material
}

// Keys are stored: what they are made of may not change unless all claims are given up.
func TestKeyIsStable(t *testing.T) {
	t.Parallel()
	k := newKeyer("tracking", Defaults().Key)
	event := &tracking.Event{TenantID: "talma-pe", Source: "LA", EventID: "evt-1", Revision: 7}
	require.Equal(t, "19:rastro dedupe key 1,8:tracking,4;9:tenant_id,6:source,8:event_id,8:revision,"+
		"8:talma-pe,8:talma-pe,2:LA,5:evt-1,1:7,", string(material(k, event)))
	key, ok := k.key(event, &keyBuffers{})
	require.True(t, ok)
	require.Equal(t, "f4ee7108023f4ee0557b013188dd4db0be0714d7bef3d54cb515bdf447634aa0", hex.EncodeToString(key[:]))
}

// Two events have the same key if, and only if, they are of one tenant and agree in every part of it. The letters are those
// that parts are told apart by, so that an encoding which merely joins them would fail.
func TestKeysAreEqualOnlyForEqualParts(t *testing.T) {
	t.Parallel()
	part := rapid.StringMatching(`[ab1-3:,;|."\\]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *tracking.Event {
			payload, err := json.Marshal(map[string]string{"ref": part.Draw(t, name+" ref")})
			require.NoError(t, err)
			return &tracking.Event{
				TenantID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, name+" tenant"), Source: part.Draw(t, name+" source"),
				EventID: part.Draw(t, name+" id"), Revision: rapid.Int64Range(0, 3).Draw(t, name+" revision"), Payload: payload,
			}
		}
		one, other := draw("one"), draw("other")
		if rapid.Bool().Draw(t, "alike") {
			other.Source, other.EventID = one.Source, one.EventID
		}
		k := newKeyer("tracking", paths("source", "event_id", "revision", "payload.ref"))
		same := one.TenantID == other.TenantID && one.Source == other.Source && one.EventID == other.EventID &&
			one.Revision == other.Revision && bytes.Equal(one.Payload, other.Payload)
		require.Equal(t, same, bytes.Equal(material(k, one), material(k, other)))
		oneKey, _ := k.key(one, &keyBuffers{})
		otherKey, _ := k.key(other, &keyBuffers{})
		require.Equal(t, same, oneKey == otherKey)
	})
}

// Stages that claim for different reasons never find each other's keys.
func TestKeysOfDifferentStagesDiffer(t *testing.T) {
	t.Parallel()
	event := &tracking.Event{TenantID: "t", Source: "x", EventID: "x", CorrelationID: "x"}
	keyers := map[string]keyer{
		"as it is":         newKeyer("tracking", paths("source", "event_id")),
		"another pipeline": newKeyer("tracking2", paths("source", "event_id")),
		"another field":    newKeyer("tracking", paths("source", "correlation_id")),
		"another order":    newKeyer("tracking", paths("event_id", "source")),
		"fewer":            newKeyer("tracking", paths("source")),
	}
	seen := map[[32]byte]string{}
	for name, k := range keyers {
		key, ok := k.key(event, &keyBuffers{})
		require.True(t, ok)
		require.NotContains(t, seen, key, "%s and %s", name, seen[key])
		seen[key] = name
	}
	foreign := *event
	foreign.TenantID = "u"
	key, _ := keyers["as it is"].key(&foreign, &keyBuffers{})
	require.NotContains(t, seen, key)
}

func TestAnEventWithoutAPartHasNoKey(t *testing.T) {
	t.Parallel()
	k := newKeyer("tracking", paths("source", "payload.ref"))
	for _, payload := range []string{``, `{}`, `{"ref":null}`, `{"ref":""}`} {
		_, ok := k.key(&tracking.Event{TenantID: "t", Source: "s", Payload: json.RawMessage(payload)}, &keyBuffers{})
		require.False(t, ok, payload)
	}
	_, ok := k.key(&tracking.Event{TenantID: "t", Source: "s", Payload: json.RawMessage(`{"ref":0}`)}, &keyBuffers{})
	require.True(t, ok)
}
