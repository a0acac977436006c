package store

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Each way in which a redrive ends settles its letter, whoever says so however often, and nothing else does.
func TestARedriveEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		storedBefore, stored bool
		end                  RedriveEnd
		state, code, inWords string
		stillAsked           int
	}{
		{name: "dropped", end: RedriveEnd{Stage: "filter", Code: "filtered", Message: "not ours"}, state: LetterDropped, code: "filtered",
			inWords: "dropped at stage filter: not ours"},
		{name: "dropped for no said reason", end: RedriveEnd{Stage: "filter", Code: "filtered"}, state: LetterDropped, code: "filtered",
			inWords: "dropped at stage filter"},
		{name: "stored", stored: true, end: RedriveEnd{Stage: "persist", Passed: true}, state: LetterStored},
		{name: "stored before", storedBefore: true, end: RedriveEnd{Stage: "publish", Passed: true}, state: LetterStored,
			inWords: "its event was stored already"},
		{name: "passed", end: RedriveEnd{Stage: "last", Passed: true}, state: LetterPassed,
			inWords: "its event left the pipeline, which does not store it", stillAsked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			e := newEvent("acme", "c1", "e1")
			if c.storedBefore {
				persistAll(t, s, e)
			}
			addLetters(t, s, letterFor(e, "validate", 0))
			job := redriveAll(t, s, LetterFilter{})
			if c.stored {
				persistAll(t, s, e)
			}
			c.end.UID, c.end.TenantID, c.end.Job = e.UID, "acme", job.ID
			for _, other := range []func(*RedriveEnd){
				func(end *RedriveEnd) { end.UID = newUID() },
				func(end *RedriveEnd) { end.TenantID = "umbrella" },
				func(end *RedriveEnd) { end.Job = uuid.New() },
			} {
				end := c.end
				other(&end)
				require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{end}))
			}
			require.NoError(t, s.EndRedrives(t.Context(), "another", []RedriveEnd{c.end}))
			require.NoError(t, s.EndRedrives(t.Context(), "tracking", nil))
			require.Equal(t, LetterRedriving, only(t, lettersOf(t, s, "acme", LetterFilter{})).State, "none of these is its end")

			for range 2 {
				require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{c.end, c.end}))
			}
			l := only(t, lettersOf(t, s, "acme", LetterFilter{}))
			require.Equal(t, c.state, l.State)
			_, story, err := s.Letter(t.Context(), "acme", l.ID)
			require.NoError(t, err)
			require.Len(t, story, 3, "what is told twice is noted once")
			last := story[2]
			require.Equal(t, []any{c.state, c.code, c.inWords, &job.ID}, []any{last.What, last.Code, last.Message, last.JobID})
			require.Equal(t, c.stillAsked, get[int](t, s, "SELECT count(*) FROM dead_letters WHERE next_check_at IS NOT NULL"))
			_, outcomes, _, err := s.LetterJob(t.Context(), "acme", job.ID)
			require.NoError(t, err)
			require.Zero(t, outcomes.UnderWay)
			require.Equal(t, 1, outcomes.Stored+outcomes.Passed+outcomes.Dropped)
		})
	}
}

// What a later redrive waits for is not answered by an earlier one.
func TestALateEndAnswersNoLaterRedrive(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	addLetters(t, s, letterFor(e, "validate", 0))
	first := RedriveEnd{UID: e.UID, TenantID: "acme", Job: redriveAll(t, s, LetterFilter{}).ID, Stage: "filter", Code: "filtered"}
	require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{first}))
	second := first
	second.Job = redriveAll(t, s, LetterFilter{States: []string{LetterDropped}}).ID // the filter was wrong, and is mended
	require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{first}))
	l := only(t, lettersOf(t, s, "acme", LetterFilter{}))
	require.Equal(t, []any{LetterRedriving, 2}, []any{l.State, l.Redrives})
	require.Equal(t, []string{"rejected", "redriven", "dropped", "redriven"}, tell(t, s, l))
	addLetters(t, s, letterFor(e, "validate", 9))
	require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{first, second}))
	require.Equal(t, LetterOpen, only(t, lettersOf(t, s, "acme", LetterFilter{})).State)
}

// What left its pipeline may be stored by another one later; that is looked for, for a day.
func TestWhatPassedMayYetBeStored(t *testing.T) {
	t.Parallel()
	s := open(t)
	e, lost := newEvent("acme", "c1", "e1"), newEvent("acme", "c2", "e2")
	addLetters(t, s, letterFor(e, "validate", 0), letterFor(lost, "validate", 0))
	job := redriveAll(t, s, LetterFilter{})
	require.NoError(t, s.EndRedrives(t.Context(), "tracking", []RedriveEnd{
		{UID: e.UID, TenantID: "acme", Job: job.ID, Stage: "last", Passed: true}, {UID: lost.UID, TenantID: "acme", Job: job.ID, Stage: "last", Passed: true},
	}))
	persistAll(t, s, e)
	_, err := s.pool.Exec(t.Context(), "UPDATE dead_letters SET next_check_at = now(), redriven_at = now() - interval '25 hours'")
	require.NoError(t, err)
	n, err := s.SettleLetters(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	stored := only(t, lettersOf(t, s, "acme", LetterFilter{UIDs: []uuid.UUID{e.UID}}))
	require.Equal(t, LetterStored, stored.State)
	require.Equal(t, []string{"rejected", "redriven", "passed", "stored"}, tell(t, s, stored))
	require.Equal(t, LetterPassed, only(t, lettersOf(t, s, "acme", LetterFilter{UIDs: []uuid.UUID{lost.UID}})).State)
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM dead_letters WHERE next_check_at IS NOT NULL"), "a day is over")
}
