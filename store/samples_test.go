package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSamplesOfAStageAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t)
	samples := make([]StageSample, KeptSamples+20)
	for i := range samples {
		samples[i] = StageSample{TenantID: "acme", Pipeline: "p", Stage: "s", At: time.Now(), UID: newUID(), Code: fmt.Sprint(i), Before: "{}\x00"}
	}
	other := samples[0]
	other.TenantID = "umbrella"
	require.NoError(t, s.AddStageSamples(t.Context(), slices.Concat(samples, []StageSample{other})))
	of := StageWatch{"acme", "p", "s"}
	found, err := s.StageSamples(t.Context(), of, 0, 1000)
	require.NoError(t, err)
	require.Len(t, found, KeptSamples)
	require.Equal(t, []string{"20", "219"}, []string{found[0].Code, found[KeptSamples-1].Code})
	found, err = s.StageSamples(t.Context(), of, found[KeptSamples-3].ID, 1000)
	require.NoError(t, err)
	require.Len(t, found, 2)
	found, err = s.StageSamples(t.Context(), StageWatch{"umbrella", "p", "s"}, 0, 1000)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, s.PruneTimings(t.Context(), time.Now().Add(time.Hour)))
	require.Equal(t, 0, get[int](t, s, "SELECT count(*) FROM stage_samples"))
}

func TestAStageIsWatchedForAWhile(t *testing.T) {
	t.Parallel()
	s := open(t)
	of := StageWatch{"acme", "p", "s"}
	for range 2 {
		require.NoError(t, s.WatchStage(t.Context(), of))
	}
	watches, err := s.StageWatches(t.Context())
	require.NoError(t, err)
	require.Equal(t, []StageWatch{of}, watches)
	_, err = s.pool.Exec(t.Context(), "UPDATE stage_watches SET until = now()")
	require.NoError(t, err)
	watches, err = s.StageWatches(t.Context())
	require.NoError(t, err)
	require.Empty(t, watches)
}
