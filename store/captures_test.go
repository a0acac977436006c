package store

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestCaptures(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := time.Date(2026, 6, 20, 12, 0, 0, 1000, time.UTC)
	all := make([]Capture, 5)
	for i := range all {
		all[i] = Capture{
			TenantID: "acme", ID: newUID(), Carrier: "gs1", CreatedAt: at.Add(time.Duration(i/2) * time.Second), FinishedAt: at.Add(time.Minute),
			Behaviour: "rollback", Accepted: i, Rejected: 1, Errors: json.RawMessage(`[{"detail":"it quotes \u0000 and ñ"}]`),
		}
	}
	others := []Capture{all[0], all[0]}
	others[0].TenantID, others[1].Carrier, others[1].ID = "umbrella", "another", newUID()
	require.NoError(t, s.SaveCaptures(t.Context(), append(others, all...)))
	require.NoError(t, s.SaveCaptures(t.Context(), nil))

	for _, c := range all {
		got, err := s.Capture(t.Context(), "acme", "gs1", c.ID)
		require.NoError(t, err)
		require.Equal(t, c, got)
		_, err = s.Capture(t.Context(), "acme", "another", c.ID)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Capture(t.Context(), "nobody", "gs1", c.ID)
		require.ErrorIs(t, err, ErrNotFound)
	}

	var listed []Capture
	var behind *Capture
	for {
		page, err := s.Captures(t.Context(), "acme", "gs1", behind, 2)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		listed, behind = append(listed, page...), &page[len(page)-1]
	}
	require.Len(t, listed, len(all), "each once, however many came at one time")
	require.ElementsMatch(t, all, listed)
	require.Equal(t, all[4], listed[0])
	for i := range listed[1:] {
		require.False(t, listed[i+1].CreatedAt.After(listed[i].CreatedAt))
	}

	all[0].Accepted, all[0].Errors = 7, json.RawMessage(`[]`)
	require.NoError(t, s.SaveCaptures(t.Context(), all[:1]))
	got, err := s.Capture(t.Context(), "acme", "gs1", all[0].ID)
	require.NoError(t, err)
	require.Equal(t, all[0], got, "the later word stands")
	other, err := s.Capture(t.Context(), "umbrella", "gs1", all[0].ID)
	require.NoError(t, err)
	require.Equal(t, others[0], other)
}

func TestCapturesAreForgotten(t *testing.T) {
	t.Parallel()
	s := open(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	old := Capture{TenantID: "acme", ID: newUID(), Carrier: "gs1", CreatedAt: now.AddDate(0, 0, -captureDays).Add(-time.Second), FinishedAt: now}
	young := old
	young.ID, young.CreatedAt = uuid.Must(uuid.NewV7()), now.AddDate(0, 0, -captureDays).Add(time.Minute)
	require.NoError(t, s.SaveCaptures(t.Context(), []Capture{old, young}))
	report, err := s.Retain(t.Context(), Retention{Now: now})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Pruned["captures"])
	left, err := s.Captures(t.Context(), "acme", "gs1", nil, 10)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, young.ID, left[0].ID)
}
