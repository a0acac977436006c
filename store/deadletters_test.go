package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

func newLetterJob(tenant, action string, filter LetterFilter) NewLetterJob {
	return NewLetterJob{
		TenantID: tenant, Action: action, Filter: filter, Reason: "a fix is out", Rate: 100,
		By: Actor{Subject: "u1", Name: "Ana", Client: "test"},
	}
}

var lettersBegan = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func letterFor(e *tracking.Event, stage string, minutes int) DeadLetter {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return DeadLetter{
		UID: e.UID, TenantID: e.TenantID, Pipeline: "tracking", Stage: stage, Code: "schema", Message: "no", Source: e.Source,
		EventType: e.Type, CorrelationID: e.CorrelationID, Attempts: 1, Event: body, At: lettersBegan.Add(time.Duration(minutes) * time.Minute),
	}
}

func addLetters(t testing.TB, s *Store, letters ...DeadLetter) {
	t.Helper()
	require.NoError(t, s.AddDeadLetters(t.Context(), letters))
}

func only[T any](t testing.TB, list []T) T {
	t.Helper()
	require.Len(t, list, 1)
	return list[0]
}

func lettersOf(t testing.TB, s *Store, tenant string, filter LetterFilter) []Letter {
	t.Helper()
	letters, err := s.Letters(t.Context(), tenant, filter, nil, 1000)
	require.NoError(t, err)
	return letters
}

// tell is a letter's story in a few words.
func tell(t testing.TB, s *Store, l Letter) (words []string) {
	t.Helper()
	_, story, err := s.Letter(t.Context(), l.TenantID, l.ID)
	require.NoError(t, err)
	for _, e := range story {
		words = append(words, e.What)
	}
	return words
}

const testLease = time.Minute

// claim takes a job on as a process would.
func claim(t testing.TB, s *Store) (LetterJob, uuid.UUID) {
	t.Helper()
	holder := uuid.New()
	job, found, err := s.ClaimLetterJob(t.Context(), holder, testLease)
	require.NoError(t, err)
	require.True(t, found)
	return job, holder
}

func take(t testing.TB, s *Store, job LetterJob, holder uuid.UUID, n int) ([]Letter, bool) {
	t.Helper()
	send, _, done, err := s.TakeLetters(t.Context(), job.ID, holder, testLease, n)
	require.NoError(t, err)
	return send, done
}

func redriven(letters []Letter) []LetterResult {
	return column(letters, func(l Letter) LetterResult { return LetterResult{ID: l.ID, Result: "redriven"} })
}

// redriveAll runs a job for everything that a filter matches, as if publishing always worked.
func redriveAll(t testing.TB, s *Store, filter LetterFilter) LetterJob {
	t.Helper()
	_, err := s.StartLetterJob(t.Context(), newLetterJob("acme", LetterRedrive, filter))
	require.NoError(t, err)
	job, holder := claim(t, s)
	for {
		send, done := take(t, s, job, holder, 10)
		if done {
			break
		}
		require.NoError(t, s.SettleJobLetters(t.Context(), job.ID, holder, testLease, redriven(send)))
	}
	job, _, _, err = s.LetterJob(t.Context(), "acme", job.ID)
	require.NoError(t, err)
	return job
}

func TestALetterKeepsItsStory(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	addLetters(t, s, letterFor(e, "validate", 0))
	addLetters(t, s, letterFor(e, "validate", 0), letterFor(e, "validate", 3))
	l := only(t, lettersOf(t, s, "acme", LetterFilter{}))
	require.Equal(t, []any{LetterOpen, 1, 0}, []any{l.State, l.Attempts, l.Redrives}, "a redelivery is no rejection")
	require.Equal(t, []string{"rejected"}, tell(t, s, l))

	job := redriveAll(t, s, LetterFilter{States: []string{LetterOpen}})
	require.Equal(t, []any{JobDone, 1, 1}, []any{job.State, job.Total, job.Redriven})
	require.Equal(t, LetterRedriving, only(t, lettersOf(t, s, "acme", LetterFilter{})).State)

	job = redriveAll(t, s, LetterFilter{})
	require.Equal(t, []any{JobDone, 1, 0, 1}, []any{job.State, job.Total, job.Redriven, job.Skipped}, "one is under way")

	addLetters(t, s, letterFor(e, "validate", 0))
	require.Equal(t, LetterRedriving, only(t, lettersOf(t, s, "acme", LetterFilter{})).State, "that was the first rejection again")
	again := letterFor(e, "validate", 9)
	again.Code = "future"
	addLetters(t, s, again)
	addLetters(t, s, again)
	l = only(t, lettersOf(t, s, "acme", LetterFilter{}))
	require.Equal(t, []any{LetterOpen, "future", 2, 1, again.At}, []any{l.State, l.Code, l.Attempts, l.Redrives, l.At.UTC()})
	require.Equal(t, []string{"rejected", "redriven", "rejected"}, tell(t, s, l))

	redriveAll(t, s, LetterFilter{})
	addLetters(t, s, letterFor(e, "persist", 12))
	require.Equal(t, LetterSuperseded, only(t, lettersOf(t, s, "acme", LetterFilter{Stages: []string{"validate"}})).State)
	later := only(t, lettersOf(t, s, "acme", LetterFilter{Stages: []string{"persist"}}))
	require.Equal(t, LetterOpen, later.State)

	redriveAll(t, s, LetterFilter{Stages: []string{"persist"}})
	addLetters(t, s, again)
	require.Equal(t, LetterRedriving, only(t, lettersOf(t, s, "acme", LetterFilter{Stages: []string{"persist"}})).State, "that came before")
	n, err := s.SettleLetters(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	persistAll(t, s, e)
	_, err = s.pool.Exec(t.Context(), "UPDATE dead_letters SET next_check_at = now() WHERE state = 'redriving'")
	require.NoError(t, err)
	n, err = s.SettleLetters(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	later = only(t, lettersOf(t, s, "acme", LetterFilter{Stages: []string{"persist"}}))
	require.Equal(t, LetterStored, later.State)
	require.Equal(t, []string{"rejected", "redriven", "stored"}, tell(t, s, later))
	job = redriveAll(t, s, LetterFilter{})
	require.Equal(t, []any{2, 2}, []any{job.Total, job.Skipped}, "nothing is left to do")

	whole, story, err := s.Letter(t.Context(), "acme", later.ID)
	require.NoError(t, err)
	require.JSONEq(t, string(letterFor(e, "", 0).Event), string(whole.Event))
	require.Equal(t, []any{"Ana", "a fix is out"}, []any{story[1].Who, story[1].Message})
	_, _, err = s.Letter(t.Context(), "umbrella", later.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

// What was stored before it was redriven, in a pipeline behind the store, is not taken for an answer.
func TestAnEventThatWasStoredBeforeSaysNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	persistAll(t, s, e)
	addLetters(t, s, letterFor(e, "publish", 0))
	redriveAll(t, s, LetterFilter{})
	n, err := s.SettleLetters(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, LetterRedriving, only(t, lettersOf(t, s, "acme", LetterFilter{})).State)
	// Nothing has been heard for long: it may be redriven again.
	_, err = s.pool.Exec(t.Context(), "UPDATE dead_letters SET redriven_at = now() - $1::interval", LetterPatience)
	require.NoError(t, err)
	require.Equal(t, 1, redriveAll(t, s, LetterFilter{}).Redriven)
	require.Equal(t, 2, only(t, lettersOf(t, s, "acme", LetterFilter{})).Redrives)
}

func TestFiltersAndGroups(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all []DeadLetter
	for i := range 12 {
		l := letterFor(newEvent("acme", fmt.Sprint("c", i%4), "e"), []string{"validate", "enrich"}[i%2], i)
		l.Code, l.Source = []string{"schema", "future", "unknown"}[i%3], []string{"LA", "IB"}[i/6]
		all = append(all, l)
	}
	addLetters(t, s, append(all, letterFor(newEvent("umbrella", "c", "e"), "validate", 0))...)
	at := func(minutes int) *time.Time { a := lettersBegan.Add(time.Duration(minutes) * time.Minute); return &a }
	whole := lettersOf(t, s, "acme", LetterFilter{})
	require.Len(t, whole, 12)
	for want, filter := range map[int]LetterFilter{
		6: {Stages: []string{"enrich"}}, 8: {Reasons: []string{"schema", "future"}}, 2: {Reasons: []string{"schema"}, Stages: []string{"enrich"}},
		3: {CorrelationID: "c1"}, 5: {Before: at(5)}, 7: {After: at(5)}, 1: {UIDs: []uuid.UUID{all[3].UID}},
		4: {IDs: []uuid.UUID{whole[0].ID, whole[1].ID, whole[2].ID, whole[5].ID}}, 0: {Pipelines: []string{"other"}},
		12: {Pipelines: []string{"tracking"}, EventTypes: []string{"loaded"}, States: []string{LetterOpen}, Sources: []string{"LA", "IB"}},
	} {
		require.Len(t, lettersOf(t, s, "acme", filter), want, "%+v", filter)
	}
	var paged []Letter
	var after *LetterCursor
	for {
		page, err := s.Letters(t.Context(), "acme", LetterFilter{}, after, 5)
		require.NoError(t, err)
		paged = append(paged, page...)
		if len(page) < 5 {
			break
		}
		after = &LetterCursor{page[4].At, page[4].ID}
	}
	require.Equal(t, whole, paged)
	require.True(t, slices.IsSortedFunc(whole, func(a, b Letter) int { return b.At.Compare(a.At) }))

	groups, err := s.LetterGroups(t.Context(), "acme", LetterFilter{Sources: []string{"LA"}}, []string{"stage", "reason"})
	require.NoError(t, err)
	require.Len(t, groups, 6)
	groups, err = s.LetterGroups(t.Context(), "acme", LetterFilter{}, []string{"source"})
	require.NoError(t, err)
	require.Equal(t, []any{"IB", 6, "LA", 6}, []any{groups[0].Source, groups[0].Count, groups[1].Source, groups[1].Count})
	require.Equal(t, *at(5), groups[1].Newest.UTC())
	groups, err = s.LetterGroups(t.Context(), "acme", LetterFilter{}, nil)
	require.NoError(t, err)
	require.Equal(t, 12, only(t, groups).Count)
	oldest, matched, err := s.WholeLetters(t.Context(), "acme", LetterFilter{}, 3)
	require.NoError(t, err)
	require.Equal(t, 12, matched)
	require.Equal(t, all[0].UID, oldest[0].UID)
	require.NotEmpty(t, oldest[0].Event)
}

func TestAJobIsForAsManyAsWereExpected(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 11 {
		addLetters(t, s, letterFor(newEvent("acme", "c", "e"), "validate", i))
	}
	for expected, taken := range map[int]bool{9: false, 10: true, 11: true, 12: true, 13: false, 0: false} {
		n := newLetterJob("acme", LetterDiscard, LetterFilter{Stages: []string{"validate"}})
		n.Expected = &expected
		job, err := s.StartLetterJob(t.Context(), n)
		if !taken {
			var differs *CountDiffersError
			require.ErrorAs(t, err, &differs)
			require.Equal(t, 11, differs.Matched)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 11, job.Total)
	}
	entries, err := s.Audit(t.Context(), "acme", 0, 100)
	require.NoError(t, err)
	require.Len(t, entries, 3, "what was refused was not done")
	require.Equal(t, []any{"u1", "Ana", "test", "dead_letters.discard", 11, "a fix is out", `{"stage": ["validate"]}`},
		[]any{entries[0].Subject, entries[0].Name, entries[0].Client, entries[0].Action, entries[0].Count, entries[0].Reason, string(entries[0].Filter)})
	for _, sql := range []string{"DELETE FROM ops_audit", "UPDATE ops_audit SET subject = 'x'", "TRUNCATE ops_audit"} {
		_, err := s.pool.Exec(t.Context(), sql)
		require.Equal(t, "23001", sqlState(err), sql)
	}
	other, err := s.Audit(t.Context(), "umbrella", 0, 100)
	require.NoError(t, err)
	require.Empty(t, other)
}

// A process that dies in the middle is succeeded by another one, which publishes what the first may not have, and counts
// nothing twice; what the first still tries is refused.
func TestAJobSurvivesWhoRunsIt(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 5 {
		addLetters(t, s, letterFor(newEvent("acme", "c", fmt.Sprint(i)), "validate", i))
	}
	_, err := s.StartLetterJob(t.Context(), newLetterJob("acme", LetterRedrive, LetterFilter{}))
	require.NoError(t, err)
	job, dead := claim(t, s)
	_, found, err := s.ClaimLetterJob(t.Context(), uuid.New(), testLease)
	require.NoError(t, err)
	require.False(t, found, "it is held")
	first, _ := take(t, s, job, dead, 2)
	require.Len(t, first, 2)

	_, err = s.pool.Exec(t.Context(), "UPDATE dead_letter_jobs SET held_until = now() - interval '1 second'")
	require.NoError(t, err)
	same, holder := claim(t, s)
	require.Equal(t, job.ID, same.ID)
	require.ErrorIs(t, s.SettleJobLetters(t.Context(), job.ID, dead, testLease, redriven(first)), ErrLeaseLost)
	_, _, _, err = s.TakeLetters(t.Context(), job.ID, dead, testLease, 2)
	require.ErrorIs(t, err, ErrLeaseLost)
	require.ErrorIs(t, s.HoldLetterJob(t.Context(), job.ID, dead, testLease, ""), ErrLeaseLost)

	again, _ := take(t, s, job, holder, 2)
	require.Equal(t, column(first, func(l Letter) uuid.UUID { return l.ID }), column(again, func(l Letter) uuid.UUID { return l.ID }))
	require.Equal(t, 1, again[0].Redrives, "once, whoever does it")
	results := redriven(again)
	results[1] = LetterResult{ID: again[1].ID, Result: "failed", Detail: "too large"}
	require.NoError(t, s.SettleJobLetters(t.Context(), job.ID, holder, testLease, results))
	require.NoError(t, s.SettleJobLetters(t.Context(), job.ID, holder, testLease, results), "twice is once")

	require.NoError(t, s.CancelLetterJob(t.Context(), "acme", job.ID, Actor{Subject: "u2"}))
	require.NoError(t, s.CancelLetterJob(t.Context(), "acme", job.ID, Actor{Subject: "u2"}))
	require.ErrorIs(t, s.CancelLetterJob(t.Context(), "umbrella", job.ID, Actor{Subject: "u2"}), ErrNotFound)
	none, done := take(t, s, job, holder, 2)
	require.Empty(t, none)
	require.True(t, done)
	job, outcomes, failures, err := s.LetterJob(t.Context(), "acme", job.ID)
	require.NoError(t, err)
	require.Equal(t, []any{JobCancelled, 5, 1, 1, LetterOutcomes{UnderWay: 1}}, []any{job.State, job.Total, job.Redriven, job.Failed, outcomes})
	require.Equal(t, []LetterNote{{"failed", "too large", 1, again[1].ID}}, failures)
	require.Len(t, lettersOf(t, s, "acme", LetterFilter{States: []string{LetterOpen}}), 4)
	require.Equal(t, []string{"rejected", "redriven", "failed"}, tell(t, s, again[1]))
	jobs, err := s.LetterJobs(t.Context(), "acme", 10)
	require.NoError(t, err)
	require.Equal(t, []LetterJob{job}, jobs)
}

// Whoever takes a job over sends again only what nothing has been heard of.
func TestWhatWasHeardOfIsNotSentAgain(t *testing.T) {
	t.Parallel()
	job, other := LetterJob{ID: uuid.New(), Action: LetterRedrive}, uuid.New()
	for _, c := range []struct {
		state string
		job   *uuid.UUID
		send  bool
	}{
		{LetterRedriving, &job.ID, true}, {LetterRedriving, &other, false}, {LetterRedriving, nil, false}, {LetterOpen, &job.ID, false},
		{LetterStored, &job.ID, false}, {LetterSuperseded, &job.ID, false}, {LetterDiscarded, &other, false},
	} {
		v := judge(job, jobItem{sending: true}, Letter{State: c.state, JobID: c.job}, lettersBegan)
		require.Equal(t, []any{c.send, !c.send, false, ""}, []any{v.send, v.result == "redriven", v.begin, v.state}, c.state)
	}
}

// Letters of before there was anything to do with them are open, and have a story.
func TestLettersOfBeforeAreOpen(t *testing.T) {
	t.Parallel()
	url := databases.EmptyURL(t)
	migrate := func(to int64, down bool) {
		t.Helper()
		require.NoError(t, withProvider(Config{URL: url}, func(_ *sql.DB, provider *goose.Provider) (err error) {
			if down {
				_, err = provider.DownTo(t.Context(), to)
			} else {
				_, err = provider.UpTo(t.Context(), to)
			}
			return err
		}))
	}
	migrate(3, false)
	s := openURL(t, url)
	e := newEvent("acme", "c", "e")
	_, err := s.pool.Exec(t.Context(), `
INSERT INTO dead_letters VALUES ($1, 'tracking', 'validate', 'acme', 'schema', 'no', '/x', 'LA', 'loaded', 'c', 2, '{}', '', $2)`, e.UID, lettersBegan)
	require.NoError(t, err)
	migrate(13, false)
	l := only(t, lettersOf(t, s, "acme", LetterFilter{States: []string{LetterOpen}}))
	require.Equal(t, []any{e.UID, 2, lettersBegan}, []any{l.UID, l.Attempts, l.At})
	require.Equal(t, []string{"rejected"}, tell(t, s, l))
	migrate(3, true)
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM dead_letters"))
	migrate(13, false)
	require.Len(t, lettersOf(t, s, "acme", LetterFilter{}), 1)
}

// world is dead letters, jobs and those who run them, each of whom may die at any moment.
type world struct {
	s       *Store
	events  []*tracking.Event
	clock   int
	stages  []string
	holders map[uuid.UUID]uuid.UUID // job by who holds it, or thinks so
	inHand  map[uuid.UUID][]Letter
	stored  map[uuid.UUID]bool
}

// Any sequence of actions, deaths, redeliveries and answers keeps letters, stories, jobs and counts consistent.
func TestWhateverHappensLettersAreConsistent(t *testing.T) {
	t.Parallel()
	s := open(t)
	rapid.Check(t, func(r *rapid.T) {
		_, err := s.pool.Exec(t.Context(), "TRUNCATE dead_letters, dead_letter_history, dead_letter_jobs, dead_letter_job_items")
		require.NoError(r, err)
		w := &world{
			s: s, stages: []string{"validate", "enrich"}, holders: map[uuid.UUID]uuid.UUID{}, inHand: map[uuid.UUID][]Letter{},
			stored: map[uuid.UUID]bool{},
		}
		for i := range 3 {
			w.events = append(w.events, newEvent("acme", uuid.NewString(), fmt.Sprint(i)))
		}
		r.Repeat(map[string]func(*rapid.T){
			"reject":  w.reject,
			"ask":     w.ask,
			"cancel":  w.cancel,
			"claim":   w.claim,
			"work":    w.work,
			"settle":  w.settle,
			"die":     w.die,
			"persist": w.persist,
			"":        w.check,
		})
		w.finish(r)
		w.check(r)
	})
}

func (w *world) ctx() context.Context { return context.Background() }

func (w *world) reject(r *rapid.T) {
	if rapid.Bool().Draw(r, "later") {
		w.clock++
	}
	var letters []DeadLetter
	for range rapid.IntRange(1, 3).Draw(r, "letters") {
		e := rapid.SampledFrom(w.events).Draw(r, "event")
		letters = append(letters, letterFor(e, rapid.SampledFrom(w.stages).Draw(r, "stage"), w.clock))
	}
	require.NoError(r, w.s.AddDeadLetters(w.ctx(), letters))
}

func (w *world) ask(r *rapid.T) {
	action := rapid.SampledFrom([]string{LetterRedrive, LetterRedrive, LetterDiscard}).Draw(r, "action")
	filter := LetterFilter{States: rapid.SampledFrom([][]string{nil, {LetterOpen}, {LetterDiscarded}}).Draw(r, "states")}
	_, err := w.s.StartLetterJob(w.ctx(), newLetterJob("acme", action, filter))
	require.NoError(r, err)
}

func (w *world) cancel(r *rapid.T) {
	jobs, err := w.s.LetterJobs(w.ctx(), "acme", 100)
	require.NoError(r, err)
	if len(jobs) > 0 {
		require.NoError(r, w.s.CancelLetterJob(w.ctx(), "acme", rapid.SampledFrom(jobs).Draw(r, "job").ID, Actor{Subject: "u"}))
	}
}

func (w *world) claim(r *rapid.T) {
	holder := uuid.New()
	job, found, err := w.s.ClaimLetterJob(w.ctx(), holder, testLease)
	require.NoError(r, err)
	if found {
		w.holders[holder] = job.ID
	}
}

func (w *world) holder(r *rapid.T) (uuid.UUID, bool) {
	all := make([]uuid.UUID, 0, len(w.holders))
	for h := range w.holders {
		all = append(all, h)
	}
	if len(all) == 0 {
		return uuid.UUID{}, false
	}
	slices.SortFunc(all, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return all[rapid.IntRange(0, len(all)-1).Draw(r, "holder")], true
}

func (w *world) work(r *rapid.T) {
	holder, found := w.holder(r)
	if !found {
		return
	}
	send, _, done, err := w.s.TakeLetters(w.ctx(), w.holders[holder], holder, testLease, rapid.IntRange(1, 4).Draw(r, "n"))
	if errors.Is(err, ErrLeaseLost) || done {
		delete(w.holders, holder)
		return
	}
	require.NoError(r, err)
	w.inHand[holder] = send
}

func (w *world) settle(r *rapid.T) {
	holder, found := w.holder(r)
	if !found {
		return
	}
	var results []LetterResult
	for _, l := range w.inHand[holder] {
		result := LetterResult{ID: l.ID, Result: rapid.SampledFrom([]string{"redriven", "redriven", "failed"}).Draw(r, "result")}
		result.Over = result.Result == "redriven" && rapid.IntRange(0, 9).Draw(r, "over") == 0
		results = append(results, result)
	}
	err := w.s.SettleJobLetters(w.ctx(), w.holders[holder], holder, testLease, results)
	if errors.Is(err, ErrLeaseLost) {
		delete(w.holders, holder)
		return
	}
	require.NoError(r, err)
}

// die is everyone being taken for dead; they may not be, and go on.
func (w *world) die(r *rapid.T) {
	_, err := w.s.pool.Exec(w.ctx(), "UPDATE dead_letter_jobs SET held_until = now() - interval '1 second' WHERE held_until IS NOT NULL")
	require.NoError(r, err)
}

func (w *world) persist(r *rapid.T) {
	e := rapid.SampledFrom(w.events).Draw(r, "event")
	_, err := w.s.Persist(w.ctx(), []*tracking.Event{e})
	require.NoError(r, err)
	w.stored[e.UID] = true
	_, err = w.s.SettleLetters(w.ctx())
	require.NoError(r, err)
}

// finish has one process that does not die run what is left.
func (w *world) finish(r *rapid.T) {
	w.die(r)
	for {
		holder := uuid.New()
		job, found, err := w.s.ClaimLetterJob(w.ctx(), holder, testLease)
		require.NoError(r, err)
		if !found {
			break
		}
		for {
			send, _, done, err := w.s.TakeLetters(w.ctx(), job.ID, holder, testLease, 10)
			require.NoError(r, err)
			if done {
				break
			}
			require.NoError(r, w.s.SettleJobLetters(w.ctx(), job.ID, holder, testLease, redriven(send)))
		}
	}
	var left int
	require.NoError(r, w.s.pool.QueryRow(w.ctx(), "SELECT count(*) FROM dead_letter_jobs WHERE state = 'running'").Scan(&left))
	require.Zero(r, left, "every job ends")
}

// consistent are queries that must find nothing.
var consistent = map[string]string{
	"a letter's state is what its story ends with": `
SELECT d.id::text FROM dead_letters d CROSS JOIN LATERAL
    (SELECT what FROM dead_letter_history h WHERE h.letter_id = d.id ORDER BY seq DESC LIMIT 1) last
WHERE d.state <> CASE last.what WHEN 'rejected' THEN 'open' WHEN 'failed' THEN 'open' WHEN 'redriven' THEN 'redriving' ELSE last.what END`,
	"redrives are those that the story tells": `
SELECT id::text FROM dead_letters d WHERE redrives <> (SELECT count(*) FROM dead_letter_history h WHERE h.letter_id = d.id AND what = 'redriven')`,
	"each rejection is an attempt": `
SELECT id::text FROM dead_letters d WHERE attempts <> (SELECT count(*) FROM dead_letter_history h WHERE h.letter_id = d.id AND what = 'rejected')`,
	"a job does a thing to a letter once": `
SELECT letter_id::text FROM dead_letter_history WHERE what IN ('redriven', 'discarded') GROUP BY letter_id, job_id HAVING count(*) > 1`,
	"a job counts what its items say": `
SELECT id::text FROM dead_letter_jobs j WHERE (redriven, discarded, skipped, failed, total) <>
    (SELECT count(*) FILTER (WHERE result = 'redriven'), count(*) FILTER (WHERE result = 'discarded'), count(*) FILTER (WHERE result = 'skipped'),
        count(*) FILTER (WHERE result = 'failed'), count(*) FROM dead_letter_job_items i WHERE i.job_id = j.id)`,
	"an item has a result when it is done": `
SELECT letter_id::text FROM dead_letter_job_items WHERE (state = 'done') <> (result <> '')`,
	"what a job says it did, it did": `
SELECT i.letter_id::text FROM dead_letter_job_items i WHERE (state = 'sending' OR result IN ('redriven', 'discarded', 'failed')) AND NOT EXISTS (
    SELECT FROM dead_letter_history h WHERE h.letter_id = i.letter_id AND h.job_id = i.job_id
        AND h.what = CASE i.result WHEN 'discarded' THEN 'discarded' ELSE 'redriven' END)`,
	"a job that is done has no items left, one that is cancelled has none begun": `
SELECT j.id::text FROM dead_letter_jobs j JOIN dead_letter_job_items i ON i.job_id = j.id
WHERE j.state = 'done' AND i.state <> 'done' OR j.state = 'cancelled' AND i.state = 'sending'`,
}

// inconsistencies asks all of them at once.
var inconsistencies = func() string {
	parts := make([]string, 0, len(consistent))
	for what, sql := range consistent {
		parts = append(parts, fmt.Sprintf("SELECT $q$%s$q$ || ': ' || wrong FROM (%s) AS q (wrong)", what, sql))
	}
	return strings.Join(parts, "\nUNION ALL\n")
}()

func (w *world) check(r *rapid.T) {
	rows, err := w.s.pool.Query(w.ctx(), inconsistencies)
	require.NoError(r, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(r, err)
	require.Empty(r, wrong)
}
