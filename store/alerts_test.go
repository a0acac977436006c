package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func alertAt(tenant, id string, at time.Time) AlertState {
	return AlertState{
		TenantID: tenant, ID: id, Kind: "carrier-silent", Subject: AlertSubject{Pipeline: "p", Stage: "s", Topic: "t", Source: "LA", Reason: "r"},
		Severity: AlertWarning, Value: 12.5, Threshold: 10, Base: 11, Since: at.Add(-time.Minute), SeenAt: at,
	}
}

func TestAlertsAreRemembered(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	looked, err := s.AlertsLookedAt(ctx)
	require.NoError(t, err)
	require.True(t, looked.IsZero())
	turn, err := s.TakeAlertTurn(ctx, now, time.Minute)
	require.NoError(t, err)
	require.True(t, turn)
	looked, err = s.AlertsLookedAt(ctx)
	require.NoError(t, err)
	require.True(t, looked.IsZero(), "somebody has set out to, no more")

	own, pending, system := alertAt("acme", "a", now), alertAt("acme", "b", now), alertAt("", "a", now)
	own.FiredAt, system.FiredAt = &now, &now
	require.NoError(t, s.PutAlerts(ctx, now, []AlertState{pending, own, system, alertAt("umbrella", "a", now)}, nil))
	read := func(tenant string) []AlertState {
		t.Helper()
		states, err := s.Alerts(ctx, tenant)
		require.NoError(t, err)
		return states
	}
	require.Equal(t, []AlertState{own, pending}, read("acme"))
	require.Equal(t, []AlertState{system}, read(""))
	all, err := s.AllAlerts(ctx)
	require.NoError(t, err)
	require.Len(t, all, 4)
	looked, err = s.AlertsLookedAt(ctx)
	require.NoError(t, err)
	require.Equal(t, now, looked)

	// What was seen earlier does not replace what was seen later, as when a process was slow.
	late := alertAt("acme", "a", now.Add(-time.Second))
	late.ResolvedAt, late.FiredAt = &now, &now
	require.NoError(t, s.PutAlerts(ctx, now.Add(-time.Second), []AlertState{late}, nil))
	require.Equal(t, own, read("acme")[0])
	looked, err = s.AlertsLookedAt(ctx)
	require.NoError(t, err)
	require.Equal(t, now, looked)

	// Only what has never been told of is gone without a trace.
	require.NoError(t, s.PutAlerts(ctx, now, nil, []AlertState{pending, own}))
	require.Equal(t, []AlertState{own}, read("acme"))
	over := own
	over.ResolvedAt, over.SeenAt = &now, now
	require.NoError(t, s.PutAlerts(ctx, now, []AlertState{over}, nil))
	require.NoError(t, s.PruneAlerts(ctx, now.Add(6*24*time.Hour)))
	require.Equal(t, []AlertState{over}, read("acme"))
	require.NoError(t, s.PruneAlerts(ctx, now.Add(8*24*time.Hour)))
	require.Empty(t, read("acme"))
	require.Len(t, read("umbrella"), 1, "it is not over")
}

func TestProcessesTakeTurnsToLookForAlerts(t *testing.T) {
	t.Parallel()
	s := open(t)
	now := time.Now().UTC()
	took := func(at time.Time) (n int) {
		t.Helper()
		turns := make(chan bool, 8)
		for range cap(turns) {
			go func() {
				turn, err := s.TakeAlertTurn(t.Context(), at, time.Minute)
				turns <- turn && err == nil
			}()
		}
		for range cap(turns) {
			if <-turns {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, took(now))
	require.Equal(t, 0, took(now.Add(59*time.Second)))
	require.Equal(t, 1, took(now.Add(time.Minute)))
	require.Equal(t, 1, took(now.Add(-time.Hour)), "a clock that was wrong does not keep others from it for ever")
}

func TestSilencesOfAlerts(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	by := Actor{Subject: "ana", Name: "Ana", Client: "test"}
	until := now.Add(time.Hour)
	first, err := s.SilenceAlert(ctx, AlertSilence{TenantID: "acme", AlertID: "a", At: now, Until: now.Add(time.Minute), Reason: "nul \x00"}, by)
	require.NoError(t, err)
	require.Equal(t, []string{"Ana", "nul \ufffd"}, []string{first.Who, first.Reason})
	longer := AlertSilence{TenantID: "acme", AlertID: "a", At: now, Until: until, Who: "Ana", Reason: "longer"}
	_, err = s.SilenceAlert(ctx, longer, by)
	require.NoError(t, err)
	silences := func(tenant string, at time.Time) map[string]AlertSilence {
		t.Helper()
		found, err := s.AlertSilences(ctx, tenant, at)
		require.NoError(t, err)
		return found
	}
	require.Equal(t, map[string]AlertSilence{"a": longer}, silences("acme", now))
	require.Empty(t, silences("umbrella", now))
	require.Empty(t, silences("acme", until), "it ends by itself")
	require.ErrorIs(t, s.UnsilenceAlert(ctx, "umbrella", "a", now, by), ErrNotFound)
	require.ErrorIs(t, s.UnsilenceAlert(ctx, "acme", "a", until, by), ErrNotFound, "it has ended")
	require.NoError(t, s.UnsilenceAlert(ctx, "acme", "a", now, by))
	require.ErrorIs(t, s.UnsilenceAlert(ctx, "acme", "a", now, by), ErrNotFound)
	require.Empty(t, silences("acme", now))
	audit, err := s.Audit(ctx, "acme", 0, 10)
	require.NoError(t, err)
	require.Len(t, audit, 3, "what did nothing left no trace")
	require.Equal(t, "alerts.unsilence", audit[0].Action)
	require.JSONEq(t, `{"alert":"a"}`, string(audit[0].Filter))
	require.Equal(t, "longer", audit[1].Reason)
	_, err = s.SilenceAlert(ctx, longer, by)
	require.NoError(t, err)
	require.NoError(t, s.PruneAlerts(ctx, until.Add(8*24*time.Hour)))
	require.Empty(t, silences("acme", now))
}

func TestMissingPartitions(t *testing.T) {
	t.Parallel()
	s := open(t)
	may := time.Date(2031, 5, 31, 12, 0, 0, 0, time.UTC)
	missing, err := s.MissingPartitions(t.Context(), may)
	require.NoError(t, err)
	require.Equal(t, []string{"event_store_2031_05", "event_store_2031_06", "dedupe_claims_2031_05_31", "dedupe_claims_2031_06_01"}, missing)
	require.NoError(t, s.EnsurePartitions(t.Context(), may))
	missing, err = s.MissingPartitions(t.Context(), may)
	require.NoError(t, err)
	require.Empty(t, missing)
}
