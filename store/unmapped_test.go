package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// unmappedEvent has a code that nothing knew.
func unmappedEvent(tenant, correlation, source, code string) *tracking.Event {
	e := newEvent(tenant, correlation, uuid.NewString())
	e.Source, e.Type, e.Enrichment.Milestone = source, code, tracking.Unknown
	return e
}

func inbox(t testing.TB, s *Store, tenant string, f UnmappedFilter) []UnmappedCode {
	t.Helper()
	if f.Limit == 0 {
		f.Limit = 100
	}
	found, err := s.UnmappedCodes(t.Context(), tenant, f)
	require.NoError(t, err)
	return found
}

// refoldAll works on jobs until there are none.
func refoldAll(t testing.TB, s *Store) {
	t.Helper()
	for {
		worked, err := s.RefoldCodes(t.Context())
		require.NoError(t, err)
		if !worked {
			return
		}
	}
}

// decide decides about a code and has the traces folded anew.
func decide(t testing.TB, s *Store, d CodeDecision) CodeJob {
	t.Helper()
	job, err := s.DecideCode(t.Context(), d)
	require.NoError(t, err)
	refoldAll(t, s)
	job, err = s.CodeJob(t.Context(), d.TenantID, job.ID)
	require.NoError(t, err)
	require.Equal(t, "done", job.State)
	require.NotNil(t, job.FinishedAt)
	return job
}

func standing(t testing.TB, s *Store, tenant, correlation string) string {
	t.Helper()
	trace, err := s.Trace(t.Context(), tenant, correlation)
	require.NoError(t, err)
	row := get[string](t, s, "SELECT status || '/' || exception FROM traces WHERE tenant_id = $1 AND correlation_id = $2", tenant, correlation)
	require.Equal(t, row, string(trace.Status)+"/"+trace.Exception, "the row says what the trace does")
	return row
}

func nothingDiffers(t testing.TB, s *Store) {
	t.Helper()
	_, err := s.Replay(t.Context(), Replay{DryRun: true, Difference: func(d TraceDifference) { t.Errorf("%+v", d) }})
	require.NoError(t, err)
}

func TestUnmappedCodesAreCounted(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := unmappedEvent("acme", "c1", "acme/lim", "ZZ9")
	persistAll(t, s, first, newEvent("acme", "c1", "known"), unmappedEvent("acme", "c1", "acme/lim", " zz9 "), unmappedEvent("acme", "c2", "acme/cuz", "Zz9"))
	var last *tracking.Event
	for range 7 {
		last = unmappedEvent("acme", "c3", "lonely", "Q")
		persistAll(t, s, last)
	}
	explained := unmappedEvent("acme", "c4", "acme", "not in the inbox")
	explained.Enrichment.Exception = "delayed"
	persistAll(t, s, explained, unmappedEvent("umbrella", "c1", "acme", "ZZ9"))
	results, err := s.Persist(t.Context(), []*tracking.Event{first, last})
	require.NoError(t, err)
	require.Equal(t, []Persisted{{}, {}}, results, "what is stored counts once")

	sources := []CarrierSource{{"acme", "acme"}}
	found := inbox(t, s, "acme", UnmappedFilter{Sources: sources})
	require.Len(t, found, 2)
	require.Equal(t, "lonely", found[0].Carrier)
	require.EqualValues(t, 7, found[0].Count)
	require.Len(t, found[0].Samples, maxSamples)
	require.Equal(t, UnmappedSample{UID: last.UID, CorrelationID: "c3", OccurredAt: last.OccurredAt}, found[0].Samples[0])
	require.True(t, last.ReceivedAt.Equal(found[0].LastAt))
	require.Equal(t, "acme", found[1].Carrier)
	require.EqualValues(t, 3, found[1].Count)
	require.Equal(t, []string{"acme/cuz", "acme/lim"}, found[1].Sources)
	require.Equal(t, []string{"baggage"}, found[1].Kinds)
	require.Equal(t, CodeOpen, found[1].State)
	require.True(t, first.ReceivedAt.Equal(found[1].FirstAt))

	require.Equal(t, found[1:], inbox(t, s, "acme", UnmappedFilter{Sources: sources, Carrier: "acme"}))
	require.Equal(t, found[1:], inbox(t, s, "acme", UnmappedFilter{Sources: sources, Code: "zZ9"}))
	require.Equal(t, found[:1], inbox(t, s, "acme", UnmappedFilter{Sources: sources, Limit: 1}))
	require.Equal(t, found[1:], inbox(t, s, "acme", UnmappedFilter{Sources: sources, After: &UnmappedCursor{7, "lonely", "Q"}}))
	require.Empty(t, inbox(t, s, "acme", UnmappedFilter{Sources: sources, States: []string{CodeApplied, CodeDismissed}}))
	require.Len(t, inbox(t, s, "acme", UnmappedFilter{}), 3, "without carriers each source stands for itself")
	require.Empty(t, inbox(t, s, "nobody", UnmappedFilter{}))
}

func TestUnmappedCodesAreCountedTogether(t *testing.T) {
	t.Parallel()
	s := open(t)
	var group errgroup.Group
	for w := range 8 {
		group.Go(func() error {
			for i := range 10 {
				var events []*tracking.Event
				for _, code := range []string{"B", "A", "C"} {
					events = append(events, unmappedEvent("acme", fmt.Sprint("c", w, "-", i), "acme", code))
				}
				if _, err := s.Persist(context.WithoutCancel(t.Context()), events); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for _, c := range inbox(t, s, "acme", UnmappedFilter{}) {
		require.EqualValues(t, 80, c.Count, c.Code)
	}
}

func TestApplyingACodeRefoldsItsTraces(t *testing.T) {
	t.Parallel()
	s := open(t)
	before := unmappedEvent("acme", "c1", "acme/lim", "ZZ9")
	persistAll(t, s, before, unmappedEvent("acme", "c2", "other", "ZZ9"), unmappedEvent("umbrella", "c1", "acme/lim", "ZZ9"))
	for i := range refoldEvents + 50 { // more than one transaction's worth
		persistAll(t, s, unmappedEvent("acme", fmt.Sprint("many", i), "acme", "zz9"))
	}
	require.Equal(t, "unknown/", standing(t, s, "acme", "c1"))

	d := CodeDecision{
		TenantID: "acme", Carrier: "acme", Sources: []string{"acme"}, Code: "ZZ9", Meaning: tracking.Meaning{Milestone: tracking.Arrived, Exception: "delayed"},
		Reason: "they said so", By: Actor{Subject: "u1", Name: "Rosa"},
	}
	job := decide(t, s, d)
	require.EqualValues(t, refoldEvents+51, job.Total)
	require.Equal(t, job.Total, job.Done)
	require.Equal(t, job.Total, job.Traces)
	require.Equal(t, job.Total, job.Changed)
	require.Equal(t, "Rosa", job.Who)
	require.Equal(t, "arrived/delayed", standing(t, s, "acme", "c1"))
	require.Equal(t, "arrived/delayed", standing(t, s, "acme", "many249"))
	require.Equal(t, "unknown/", standing(t, s, "acme", "c2"), "another carrier's code is another code")
	require.Equal(t, "unknown/", standing(t, s, "umbrella", "c1"), "another tenant's is as well")
	require.Equal(t, "unknown", get[string](t, s, "SELECT milestone FROM event_store WHERE uid = $1", before.UID), "what is stored stays")
	persistAll(t, s, unmappedEvent("acme", "c9", "acme/cuz", "zz9")) // until the line is in the carrier's table
	require.Equal(t, "arrived/delayed", standing(t, s, "acme", "c9"))
	nothingDiffers(t, s)
	findings, _ := verify(t, s, AuditScope{})
	require.Empty(t, findings)

	found, err := s.SearchEvents(t.Context(), "acme", EventFilter{Milestones: []string{"arrived"}, CorrelationIDs: []string{"c1"}}, SearchPage{Limit: 10})
	require.NoError(t, err)
	require.Len(t, found, 1)
	found, err = s.SearchEvents(t.Context(), "acme", EventFilter{Milestones: []string{"unknown"}}, SearchPage{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, "c2", only(t, found).CorrelationID)
	traces, err := s.SearchTraces(t.Context(), "acme", TraceFilter{Milestones: []string{"arrived"}}, SearchPage{Limit: 500})
	require.NoError(t, err)
	require.Len(t, traces, refoldEvents+52)

	c := only(t, inbox(t, s, "acme", UnmappedFilter{Carrier: "acme", Sources: []CarrierSource{{"acme", "acme"}}}))
	require.Equal(t, CodeApplied, c.State)
	require.WithinDuration(t, time.Now(), c.Decision.At, time.Minute)
	c.Decision.At = time.Time{}
	require.Equal(t, &CodeDecided{Milestone: "arrived", Exception: "delayed", Reason: "they said so", Who: "Rosa"}, c.Decision)
	entries, err := s.Audit(t.Context(), "acme", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "codes.apply", only(t, entries).Action)
	require.Equal(t, job.ID, *entries[0].JobID)
	require.Equal(t, "they said so", entries[0].Reason)
	entries, err = s.Audit(t.Context(), "umbrella", 0, 10)
	require.NoError(t, err)
	require.Empty(t, entries)

	d.Meaning = tracking.Meaning{Milestone: tracking.Loaded} // they were wrong
	decide(t, s, d)
	require.Equal(t, "loaded/", standing(t, s, "acme", "c1"))
	nothingDiffers(t, s)
	d.Dismiss = true
	decide(t, s, d)
	require.Equal(t, "unknown/", standing(t, s, "acme", "c1"), "what is dismissed means nothing")
	require.Equal(t, CodeDismissed, only(t, inbox(t, s, "acme", UnmappedFilter{States: []string{CodeDismissed}, Sources: []CarrierSource{{"acme", "acme"}}})).State)
	nothingDiffers(t, s)
}

func TestDecidingNeedsACodeThatCame(t *testing.T) {
	t.Parallel()
	s := open(t)
	persistAll(t, s, unmappedEvent("acme", "c1", "acmeville", "ZZ9"))
	for _, d := range []CodeDecision{
		{TenantID: "acme", Sources: []string{"acmeville"}, Code: "ZZ8"},
		{TenantID: "acme", Sources: []string{"acme"}, Code: "ZZ9"}, // not below it
		{TenantID: "umbrella", Sources: []string{"acmeville"}, Code: "ZZ9"},
		{TenantID: "acme", Sources: nil, Code: "ZZ9"},
	} {
		_, err := s.DecideCode(t.Context(), d)
		require.ErrorIs(t, err, ErrNotFound, "%+v", d)
	}
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM ops_audit"))
	_, err := s.CodeJob(t.Context(), "acme", newUID())
	require.ErrorIs(t, err, ErrNotFound)
	job, err := s.DecideCode(t.Context(), CodeDecision{TenantID: "acme", Sources: []string{"acmeville"}, Code: "ZZ9"})
	require.NoError(t, err)
	_, err = s.CodeJob(t.Context(), "umbrella", job.ID)
	require.ErrorIs(t, err, ErrNotFound, "a job is its tenant's")
}

// Who stores a code while it is decided about either knows the decision or is found by the job.
func TestDecidingWhileEventsArePersisted(t *testing.T) {
	t.Parallel()
	s := open(t)
	persistAll(t, s, unmappedEvent("acme", "c0", "acme", "ZZ9"))
	begun, stop := make(chan struct{}), make(chan struct{})
	var group errgroup.Group
	stored := make([]int, 4)
	for w := range stored {
		group.Go(func() error {
			for i := 1; ; i++ {
				if _, err := s.Persist(context.WithoutCancel(t.Context()), []*tracking.Event{unmappedEvent("acme", fmt.Sprint("c", w, "-", i), "acme", "ZZ9")}); err != nil {
					return err
				}
				stored[w] = i
				switch {
				case i == 5 && w == 0:
					close(begun)
				case i > 5:
					select {
					case <-stop:
						return nil
					default:
					}
				}
			}
		})
	}
	<-begun
	job, err := s.DecideCode(t.Context(), CodeDecision{TenantID: "acme", Carrier: "acme", Sources: []string{"acme"}, Code: "ZZ9", Meaning: tracking.Meaning{Milestone: tracking.Delivered}})
	require.NoError(t, err)
	refoldAll(t, s)
	close(stop)
	require.NoError(t, group.Wait())
	require.NotZero(t, job.Total)
	nothingDiffers(t, s)
	require.Zero(t, get[int](t, s, "SELECT count(*) FROM traces WHERE status <> 'delivered'"))
}

// Two that work on jobs at once do each piece of work once.
func TestRefoldingByManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 40 {
		persistAll(t, s, unmappedEvent("acme", fmt.Sprint("c", i%7), "acme", fmt.Sprint("Z", i%3)))
	}
	var jobs []CodeJob
	for i := range 3 {
		job, err := s.DecideCode(t.Context(), CodeDecision{TenantID: "acme", Carrier: "acme", Sources: []string{"acme"}, Code: fmt.Sprint("z", i), Meaning: tracking.Meaning{Milestone: tracking.Arrived}})
		require.NoError(t, err)
		jobs = append(jobs, job)
	}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			for {
				worked, err := s.RefoldCodes(context.WithoutCancel(t.Context()))
				if err != nil || !worked {
					return err
				}
			}
		})
	}
	require.NoError(t, group.Wait())
	refoldAll(t, s)
	for _, job := range jobs {
		done, err := s.CodeJob(t.Context(), "acme", job.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"done", job.Total}, []any{done.State, done.Done})
	}
	nothingDiffers(t, s)
}

// Invariant: a trace with codes whose meaning was said later is the trace that it would be had the table known them from the start.
func TestAMeaningIsAsIfItHadBeenKnown(t *testing.T) {
	t.Parallel()
	s := open(t)
	known := append(tracking.Milestones(), tracking.None)
	rapid.Check(t, func(r *rapid.T) {
		tenant := uuid.NewString()
		meanings := map[string]tracking.Meaning{}
		codes := []string{"Z0", "Z1", "Z2"}
		events := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) *tracking.Event {
			e := unmappedEvent(tenant, rapid.SampledFrom([]string{"c1", "c2"}).Draw(r, "trace"), rapid.SampledFrom([]string{"acme", "acme/lim"}).Draw(r, "source"),
				rapid.SampledFrom(codes).Draw(r, "code"))
			e.AggregateID = rapid.SampledFrom([]string{"a", "b"}).Draw(r, "thing")
			e.OccurredAt = e.OccurredAt.Add(time.Duration(rapid.IntRange(-100, 100).Draw(r, "minutes")) * time.Minute)
			e.Classifier = rapid.SampledFrom([]tracking.Classifier{tracking.Actual, tracking.Actual, tracking.Estimated}).Draw(r, "classifier")
			if rapid.Bool().Draw(r, "known") {
				e.Type, e.Enrichment.Milestone = "known", rapid.SampledFrom(known).Draw(r, "milestone")
			}
			return e
		}), 1, 12).Draw(r, "events")
		if n := len(events); n > 2 && rapid.Bool().Draw(r, "voids") {
			events[n-1].Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{events[0].EventID}}
		}
		for left := events; ; {
			n := rapid.IntRange(0, len(left)).Draw(r, "batch")
			persistAll(t, s, left[:n]...)
			if left = left[n:]; len(left) == 0 {
				break
			}
			d := CodeDecision{TenantID: tenant, Carrier: "acme", Sources: []string{"acme"}, Code: rapid.SampledFrom(codes).Draw(r, "decided")}
			d.Meaning = tracking.Meaning{Milestone: rapid.SampledFrom(known).Draw(r, "meaning"), Exception: rapid.SampledFrom([]string{"", "delayed", "lost"}).Draw(r, "exception")}
			d.Dismiss = rapid.IntRange(0, 4).Draw(r, "dismiss") == 0
			if !slices.ContainsFunc(events[:len(events)-len(left)], func(e *tracking.Event) bool { return e.Type == d.Code }) {
				continue
			}
			decide(t, s, d)
			meanings[d.Code] = d.Meaning
			if d.Dismiss {
				delete(meanings, d.Code)
			}
		}
		mapped := map[string][]*tracking.Event{}
		for _, e := range events {
			m := e.Clone()
			if meaning, ok := meanings[m.Type]; ok {
				m.Enrichment.Milestone, m.Enrichment.Exception = meaning.Milestone, meaning.Exception
			}
			mapped[m.CorrelationID] = append(mapped[m.CorrelationID], m)
		}
		for correlation, of := range mapped {
			got, err := s.Trace(t.Context(), tenant, correlation)
			require.NoError(r, err)
			require.Empty(r, cmp.Diff(tracking.Fold(of), got, sameEvent))
			state := tracking.Rebuild(of)
			require.Empty(r, cmp.Diff(state.Summary().Status, tracking.Milestone(get[string](t, s, "SELECT status FROM traces WHERE tenant_id = $1 AND correlation_id = $2", tenant, correlation))))
		}
		_, err := s.Replay(t.Context(), Replay{DryRun: true, Tenant: tenant, Difference: func(d TraceDifference) { r.Errorf("%+v", d) }})
		require.NoError(r, err)
	})
}
