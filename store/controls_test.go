package store

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A pause is kept with who wants it and why; what changes nothing is not noted and leaves it as it is.
func TestAStageIsPausedOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	eva, omar := Actor{Subject: "eva", Name: "Eva Soto", Client: "dashboard"}, Actor{Subject: "omar"}
	changed, err := s.ResumeStage(t.Context(), "p", "s", omar, "")
	require.NoError(t, err)
	require.False(t, changed)

	first, changed, err := s.PauseStage(t.Context(), "p", "s", eva, "the warehouse moves\x00")
	require.NoError(t, err)
	require.True(t, changed)
	require.NotZero(t, first.Since)
	require.Equal(t, StagePause{Pipeline: "p", Stage: "s", By: "eva", Name: "Eva Soto", Reason: "the warehouse moves\ufffd", Since: first.Since}, first)
	again, changed, err := s.PauseStage(t.Context(), "p", "s", omar, "another reason")
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, first, again, "the pause is still Eva's")
	_, changed, err = s.PauseStage(t.Context(), "other", "s", omar, "too")
	require.NoError(t, err)
	require.True(t, changed)
	paused, err := s.PausedStages(t.Context())
	require.NoError(t, err)
	require.Len(t, paused, 2)
	require.Equal(t, []string{"other.s", "p.s"}, []string{paused[0].ID(), paused[1].ID()})
	require.Equal(t, first, paused[1])

	changed, err = s.ResumeStage(t.Context(), "p", "s", omar, "moved")
	require.NoError(t, err)
	require.True(t, changed)
	paused, err = s.PausedStages(t.Context())
	require.NoError(t, err)
	require.Len(t, paused, 1)

	entries, err := s.Audit(t.Context(), "", 0, 10)
	require.NoError(t, err)
	var told []string
	for _, e := range entries {
		told = append(told, fmt.Sprint(e.Subject, " ", e.Action, " ", string(e.Filter), " ", e.Reason))
	}
	require.Equal(t, []string{
		`omar stages.resume {"stage": "s", "pipeline": "p"} moved`,
		`omar stages.pause {"stage": "s", "pipeline": "other"} too`,
		`eva stages.pause {"stage": "s", "pipeline": "p"} the warehouse moves` + "\ufffd",
	}, told)
	own, err := s.Audit(t.Context(), "acme", 0, 10)
	require.NoError(t, err)
	require.Empty(t, own, "it is no tenant's")
}

// Of many who pause and resume at once each is told what they did, and the audit says the same.
func TestManyPauseAndResumeAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	var mu sync.Mutex
	pausedBy, resumed := 0, 0
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, changed, err := s.PauseStage(t.Context(), "p", "s", Actor{Subject: "eva"}, "busy")
			assert.NoError(t, err)
			gone, err := s.ResumeStage(t.Context(), "p", "s", Actor{Subject: "omar"}, "done")
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			if changed {
				pausedBy++
			}
			if gone {
				resumed++
			}
		})
	}
	wait.Wait()
	require.Equal(t, pausedBy, resumed)
	require.Positive(t, pausedBy)
	require.Equal(t, pausedBy+resumed, get[int](t, s, "SELECT count(*) FROM ops_audit"))
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM stage_controls"))
}

func TestWhoListensIsToldOfPauses(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, stop := context.WithCancel(t.Context())
	woken := make(chan struct{}, 10)
	var tasks sync.WaitGroup
	tasks.Go(func() { assert.ErrorIs(t, s.ListenStages(ctx, func() { woken <- struct{}{} }), context.Canceled) })
	<-woken // it listens
	_, _, err := s.PauseStage(t.Context(), "p", "s", Actor{Subject: "eva"}, "why not")
	require.NoError(t, err)
	<-woken
	_, err = s.ResumeStage(t.Context(), "p", "s", Actor{Subject: "eva"}, "")
	require.NoError(t, err)
	<-woken
	stop()
	tasks.Wait()
}

// What a process says of its stages has whether they stand still.
func TestAProcessSaysWhetherAStageStandsStill(t *testing.T) {
	t.Parallel()
	s := open(t)
	process := uuid.New()
	for _, paused := range []bool{false, true, false} {
		require.NoError(t, s.PutTimings(t.Context(), process, nil, nil, []StageState{{Pipeline: "p", Stage: "s", Breaker: "closed", Paused: paused}}))
		states, err := s.StageStates(t.Context())
		require.NoError(t, err)
		require.Len(t, states, 1)
		require.Equal(t, paused, states[0].Paused)
	}
}
