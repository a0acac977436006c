package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func trailOf(tenant string, uids ...uuid.UUID) Trail {
	t := Trail{TenantID: tenant, Steps: []TrailStep{{Stage: "s", Version: "v1", Outcome: "pass", At: 1_781_000_000_000_000, Took: 1500, Attempt: 1, Events: len(uids)}}}
	for _, uid := range uids {
		t.UIDs = append(t.UIDs, uid[:]...)
	}
	return t
}

// Whatever events are noted together, each is found with how it came, and nobody else's is.
func TestTrailsAreFoundByTheirEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	start := time.Date(2031, 5, 20, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		_, err := s.pool.Exec(t.Context(), "DELETE FROM event_trails")
		require.NoError(t, err)
		want := map[string]map[uuid.UUID]int{"acme": {}, "umbrella": {}}
		var trails []Trail
		for i := range rapid.IntRange(1, 5).Draw(t, "trails") {
			tenant := rapid.SampledFrom([]string{"acme", "umbrella"}).Draw(t, "tenant")
			var uids []uuid.UUID
			for range rapid.IntRange(1, 20).Draw(t, "events") {
				uid := newUID()
				at := firstUUIDv7(start.Add(time.Duration(rapid.Int64Range(0, 5000).Draw(t, "ms")) * time.Millisecond))
				copy(uid[:6], at[:6])
				uids = append(uids, uid)
				want[tenant][uid] = i
			}
			trail := trailOf(tenant, uids...)
			trail.Steps[0].Took = int64(i)
			trails = append(trails, trail)
		}
		require.NoError(t, s.AddLedger(t.Context(), "p", nil, nil, trails...))
		require.NoError(t, s.AddLedger(t.Context(), "p", nil, nil, trails...), "as when a message comes again")
		for tenant, events := range want {
			for uid, i := range events {
				found, err := s.trails(t.Context(), tenant, uid)
				require.NoError(t, err)
				require.Equal(t, []walked{{"p", trails[i].Steps}}, found)
				other := map[string]string{"acme": "umbrella", "umbrella": "acme"}[tenant]
				found, err = s.trails(t.Context(), other, uid)
				require.NoError(t, err)
				require.Empty(t, found)
			}
		}
	})
}

// The bytes of an event that lie across those of two others are not it.
func TestTrailsAreReadInStep(t *testing.T) {
	t.Parallel()
	s := open(t)
	one := newUID()
	two := one
	two[15]++
	across := uuid.UUID(append(append([]byte{}, one[6:]...), two[:6]...))
	require.NoError(t, s.AddLedger(t.Context(), "p", nil, nil, trailOf("acme", one, two)))
	_, err := s.pool.Exec(t.Context(), "UPDATE event_trails SET first_at = $1, last_at = $1", time.UnixMilli(0))
	require.NoError(t, err)
	copy(across[:6], make([]byte, 6))
	found, err := s.trails(t.Context(), "acme", across)
	require.NoError(t, err)
	require.Empty(t, found)
}

// However many events there are, few rows are read.
func TestTrailsAreNotScanned(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, err := s.pool.Exec(t.Context(), `
INSERT INTO event_trails (tenant_id, pipeline, first_at, last_at, uids, steps)
SELECT 'acme', 'p', now() - i * interval '100 ms', now() - i * interval '100 ms', uuid_send(gen_random_uuid()), '[]' FROM generate_series(1, 20000) i`)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "ANALYZE event_trails")
	require.NoError(t, err)
	uid := newUID()
	plan, err := readAs(t.Context(), s, "acme", pgx.RowTo[string], "EXPLAIN "+selectTrails, "acme", time.Now(), trailSpan, uid[:])
	require.NoError(t, err)
	require.Contains(t, strings.Join(plan, "\n"), "event_trails_received")
	require.NotContains(t, strings.Join(plan, "\n"), "Seq Scan")
}

func TestTrailsAreKeptForAMonth(t *testing.T) {
	t.Parallel()
	s := open(t)
	uid := newUID()
	require.NoError(t, s.AddLedger(t.Context(), "p", nil, nil, trailOf("acme", uid)))
	require.NoError(t, s.PruneLedger(t.Context(), time.Now().AddDate(0, 0, trailDays).Add(-time.Hour)))
	require.Equal(t, 1, get[int](t, s, "SELECT count(*) FROM event_trails"))
	require.NoError(t, s.PruneLedger(t.Context(), time.Now().AddDate(0, 0, trailDays).Add(time.Hour)))
	require.Equal(t, 0, get[int](t, s, "SELECT count(*) FROM event_trails"))
	_, err := s.Passport(t.Context(), "acme", uid)
	require.ErrorIs(t, err, ErrNotFound)
}

// The passport of an event tells every stage that it came through, and each verdict once.
func TestAPassportTellsEveryStage(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := newEvent("acme", "c1", "e1")
	copied, rejected, gone := newUID(), newUID(), newUID()
	began := receivedAt(e.UID).Add(40 * time.Millisecond)
	steps := func(outcome string) []TrailStep {
		return []TrailStep{
			{Stage: "validate", Version: "v1", Outcome: "pass", At: began.UnixMicro(), Took: 2500, Attempt: 1, Events: 3},
			{Stage: "dedupe", Version: "v2", Outcome: outcome, At: began.Add(10 * time.Millisecond).UnixMicro(), Took: 1000, Attempt: 2, Events: 1},
		}
	}
	trail := func(outcome string, uid uuid.UUID) Trail {
		copy(uid[:6], e.UID[:6])
		return Trail{TenantID: "acme", UIDs: uid[:], Steps: steps(outcome)}
	}
	persistAll(t, s, e)
	stored, dropped, refused, passed := trail("pass", e.UID), trail("drop", copied), trail("reject", rejected), trail("pass", gone)
	copied, rejected, gone = uuid.UUID(dropped.UIDs), uuid.UUID(refused.UIDs), uuid.UUID(passed.UIDs)
	require.NoError(t, s.AddLedger(t.Context(), "p", nil, []Duplicate{{
		UID: copied, Of: e.UID, TenantID: "acme", Stage: "dedupe", Code: "duplicate", ReceivedAt: e.ReceivedAt,
	}}, stored, dropped, refused, passed))
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{{
		UID: rejected, TenantID: "acme", Pipeline: "p", Stage: "dedupe", Code: "odd", Message: "why", Attempts: 2, At: began.Add(time.Second),
	}}))
	for uid, want := range map[uuid.UUID]struct{ outcome, verdict, code string }{
		e.UID: {"stored", "passed", ""}, copied: {"duplicate", "duplicate", "duplicate"}, rejected: {"dead_lettered", "rejected", "odd"}, gone: {"passed", "passed", ""},
	} {
		p, err := s.Passport(t.Context(), "acme", uid)
		require.NoError(t, err)
		require.Equal(t, want.outcome, p.Outcome)
		require.Len(t, p.Entries, 3, "%+v", p.Entries)
		require.Equal(t, "received", p.Entries[0].Verdict)
		first, second := p.Entries[1], p.Entries[2]
		require.Equal(t, PassportEntry{
			At: began.Add(2500 * time.Microsecond), Verdict: "passed", Pipeline: "p", Stage: "validate", Attempts: 1, Version: "v1",
			TookMS: new(2.5), WaitedMS: new(40.0), Batch: 3,
		}, first)
		require.Equal(t, want.verdict, second.Verdict)
		require.Equal(t, want.code, second.Code)
		require.Equal(t, []any{"dedupe", "v2", 2, 1, 1.0, 7.5}, []any{second.Stage, second.Version, second.Attempts, second.Batch, *second.TookMS, *second.WaitedMS})
	}
}
