package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// verify returns what an audit finds.
func verify(t testing.TB, s *Store, scope AuditScope) ([]AuditFinding, AuditReport) {
	t.Helper()
	var findings []AuditFinding
	report, err := s.Verify(t.Context(), scope, func(f AuditFinding) { findings = append(findings, f) }, nil)
	require.NoError(t, err)
	require.Len(t, findings, int(report.Findings))
	return findings, report
}

// tamper changes the store as the owner of its tables can: with the triggers off.
func tamper(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		for _, table := range []string{"event_store", "audit_seals"} {
			if _, err := tx.Exec(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER USER"); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(t.Context(), sql, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("nothing is changed by %s", sql)
		}
		if err != nil {
			return err
		}
		for _, table := range []string{"event_store", "audit_seals"} {
			if _, err := tx.Exec(t.Context(), "ALTER TABLE "+table+" ENABLE TRIGGER USER"); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// storeJourneys stores traces of four events each, in batches that touch several of them.
func storeJourneys(t testing.TB, s *Store, tenant string, traces int) [][]*tracking.Event {
	t.Helper()
	byTrace := make([][]*tracking.Event, traces)
	for i := range 4 {
		var batch []*tracking.Event
		for c := range traces {
			e := newEvent(tenant, fmt.Sprint("c", c), fmt.Sprint("e", i))
			e.Payload = json.RawMessage(`{"as" : "sent"}`)
			e.Quantity = &tracking.Quantity{Weight: 21.5}
			byTrace[c] = append(byTrace[c], e)
			batch = append(batch, e)
		}
		persistAll(t, s, batch...)
	}
	return byTrace
}

func TestEveryColumnIsHashed(t *testing.T) {
	t.Parallel()
	s := open(t)
	var uid uuid.UUID
	var others []uuid.UUID
	for c, trace := range storeJourneys(t, s, "acme", 3) {
		for i, e := range trace {
			if c == 1 && i == 2 {
				uid = e.UID
			} else {
				others = append(others, e.UID)
			}
		}
	}
	findings, report := verify(t, s, AuditScope{})
	require.Empty(t, findings)
	require.EqualValues(t, 12, report.Events)
	require.EqualValues(t, 3, report.Traces)

	columns := map[string]string{
		"uid": "gen_random_uuid()", "tenant_id": "'umbrella'", "correlation_id": "'c9'", "aggregate_id": "'x'", "source": "'x'",
		"event_id": "'x'", "revision": "revision + 1", "kind": "'cargo'", "event_type": "'x'", "classifier": "'planned'",
		"milestone": "'delivered'", "time_quality": "'x'", "occurred_at": "occurred_at + interval '1 microsecond'",
		"utc_offset_minutes": "60", "received_at": "'infinity'", "payload": `'{"as": "sent"}'`, "details": `'{"quantity":{"weight":21.50}}'`,
		"chain_epoch": "chain_epoch + 1", "chain_seq": "7", "chain_prev": `'\x00'`, "chain_hash": `sha256('x')`,
	}
	rows, err := s.pool.Query(t.Context(), "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'event_store'")
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, name := range names {
		for _, value := range []string{columns[name], "NULL"} {
			require.NotEmpty(t, value, "how to change %s?", name)
			var nullable string
			require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT is_nullable FROM information_schema.columns
				WHERE table_name = 'event_store' AND column_name = $1`, name).Scan(&nullable))
			if value == "NULL" && nullable == "NO" {
				continue
			}
			_, err := s.pool.Exec(t.Context(), "DROP TABLE IF EXISTS before; CREATE TABLE before AS SELECT * FROM event_store WHERE uid = '"+uid.String()+"'")
			require.NoError(t, err)
			tamper(t, s, fmt.Sprintf("UPDATE event_store SET %s = %s WHERE uid = $1", name, value), uid)
			findings, _ := verify(t, s, AuditScope{})
			require.NotEmpty(t, findings, "%s = %s", name, value)
			named := false
			for _, f := range findings {
				named = named || f.UID != nil && (*f.UID == uid || name == "uid") && f.Problem == AuditChanged
			}
			require.True(t, named, "%s = %s: %+v", name, value, findings)
			tamper(t, s, "DELETE FROM event_store WHERE NOT uid = ANY ($1)", others)
			tamper(t, s, "INSERT INTO event_store SELECT * FROM before")
		}
	}
	findings, _ = verify(t, s, AuditScope{})
	require.Empty(t, findings)
}

// rechain makes the hashes of a trace, and its head, right again, as somebody can who knows how.
func rechain(t testing.TB, s *Store, tenant, correlation string) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "SELECT "+storedColumns+` FROM event_store WHERE tenant_id = $1 AND correlation_id = $2
		ORDER BY chain_seq`, tenant, correlation)
	require.NoError(t, err)
	stored, err := pgx.CollectRows(rows, scanStored)
	require.NoError(t, err)
	prev := firstPrev
	var h hasher
	for i, r := range stored {
		seq := int64(i + 1)
		r.seq, r.prev = &seq, prev
		sum := h.sum(r)
		tamper(t, s, "UPDATE event_store SET chain_seq = $2, chain_prev = $3, chain_hash = $4 WHERE uid = $1", r.uid, seq, prev, sum[:])
		prev = sum[:]
	}
	tamper(t, s, "UPDATE traces SET chain_seq = $3, chain_hash = $4 WHERE tenant_id = $1 AND correlation_id = $2", tenant, correlation,
		len(stored), prev)
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	type want struct {
		problem string
		row     int // of trace c1, that is named; -1 for none
		place   int64
	}
	swap := `UPDATE event_store SET %[1]s = (SELECT %[1]s FROM event_store o WHERE o.uid = CASE event_store.uid WHEN $1 THEN $2 ELSE $1 END::uuid)
		WHERE uid IN ($1::uuid, $2::uuid)`
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *Store, trace []*tracking.Event)
		want []want
	}{
		"first row deleted": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE uid = $1", trace[0].UID)
		}, []want{{AuditRemoved, -1, 1}, {AuditSeal, -1, 0}}},
		"row in the middle deleted": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE uid = $1", trace[1].UID)
		}, []want{{AuditRemoved, -1, 2}, {AuditSeal, -1, 0}}},
		"last row deleted": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE uid = $1", trace[3].UID)
		}, []want{{AuditRemoved, -1, 4}, {AuditSeal, -1, 0}}},
		"all rows deleted": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE correlation_id = 'c1'")
		}, []want{{AuditRemoved, -1, 1}, {AuditSeal, -1, 0}}},
		"whole trace deleted": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE correlation_id = 'c1'")
			tamper(t, s, "DELETE FROM traces WHERE correlation_id = 'c1'")
		}, []want{{AuditSeal, -1, 0}}},
		"every trace deleted": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store")
			tamper(t, s, "DELETE FROM traces")
		}, []want{{AuditSeal, -1, 0}}},
		"trace unlisted": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM traces WHERE correlation_id = 'c1'")
		}, []want{{AuditHead, -1, 0}}},
		"trace invented": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "INSERT INTO traces (tenant_id, correlation_id) VALUES ('acme', 'c77')")
		}, []want{{AuditHead, -1, 0}}},
		"rows swapped": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, fmt.Sprintf(swap, "chain_seq"), trace[1].UID, trace[2].UID)
		}, []want{{AuditChanged, 1, 0}, {AuditChanged, 2, 0}}},
		"rows swapped with their links": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, `UPDATE event_store e SET chain_seq = o.chain_seq, chain_prev = o.chain_prev, chain_hash = o.chain_hash
				FROM event_store o WHERE e.uid IN ($1, $2) AND o.uid IN ($1, $2) AND e.uid <> o.uid`, trace[1].UID, trace[2].UID)
		}, []want{{AuditChanged, 1, 0}, {AuditChanged, 2, 0}}},
		"payload changed and hashed again": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE event_store SET payload = '{}' WHERE uid = $1", trace[1].UID)
			rehash(t, s, trace[1].UID)
		}, []want{{AuditUnlinked, 2, 3}, {AuditSeal, -1, 0}}},
		"payload changed and all hashed again": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE event_store SET payload = '{}' WHERE uid = $1", trace[1].UID)
			rechain(t, s, "acme", "c1")
		}, []want{{AuditSeal, -1, 0}}},
		"row inserted without a link": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, `INSERT INTO event_store SELECT $2::uuid, tenant_id, correlation_id, aggregate_id, source, 'forged', revision, kind,
				event_type, classifier, milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload, details
				FROM event_store WHERE uid = $1`, trace[3].UID, newUID())
		}, []want{{AuditInserted, -2, 0}}},
		"row appended": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			uid := newUID()
			tamper(t, s, `INSERT INTO event_store SELECT $2::uuid, tenant_id, correlation_id, aggregate_id, source, 'forged', revision, kind,
				event_type, classifier, milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload, details, chain_epoch, 5,
				chain_hash, chain_hash FROM event_store WHERE uid = $1`, trace[3].UID, uid)
			rehash(t, s, uid)
		}, []want{{AuditInserted, -2, 5}, {AuditSeal, -1, 0}}},
		"row put in a place that is taken": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			uid := newUID()
			tamper(t, s, `INSERT INTO event_store SELECT $2::uuid, tenant_id, correlation_id, aggregate_id, source, 'forged', revision, kind,
				event_type, classifier, milestone, time_quality, occurred_at, utc_offset_minutes, received_at, payload, details, chain_epoch,
				chain_seq, chain_prev, chain_hash FROM event_store WHERE uid = $1`, trace[1].UID, uid)
			rehash(t, s, uid)
		}, []want{{AuditInserted, -2, 2}, {AuditSeal, -1, 0}}},
		"head changed": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE traces SET chain_hash = sha256('x') WHERE correlation_id = 'c1'")
		}, []want{{AuditHead, 3, 4}}},
		"head set back": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE traces SET chain_seq = 3 WHERE correlation_id = 'c1'")
		}, []want{{AuditInserted, 3, 4}}},
		"retention blamed": {func(t *testing.T, s *Store, trace []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM event_store WHERE uid = $1", trace[1].UID)
			tamper(t, s, "UPDATE traces SET chain_removed = 1 WHERE correlation_id = 'c1'")
		}, []want{{AuditSeal, -1, 0}}},
		"retention blamed for nothing": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE traces SET chain_removed = 1 WHERE correlation_id = 'c1'")
		}, []want{{AuditHead, -1, 0}}},
		"seal changed": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "UPDATE audit_seals SET events = 11")
		}, []want{{AuditSeals, -1, 0}, {AuditSeal, -1, 0}}},
		"seal removed": {func(t *testing.T, s *Store, _ []*tracking.Event) {
			t.Helper()
			tamper(t, s, "DELETE FROM audit_seals")
		}, []want{{AuditSeal, -1, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			byTrace := storeJourneys(t, s, "acme", 3)
			seals, err := s.Seal(t.Context())
			require.NoError(t, err)
			require.Len(t, seals, 1)
			before, _ := verify(t, s, AuditScope{})
			require.Empty(t, before)
			c.do(t, s, byTrace[1])
			findings, _ := verify(t, s, AuditScope{})
			for _, w := range c.want {
				found := false
				for _, f := range findings {
					ok := f.Problem == w.problem && (w.place == 0 || f.Place == w.place) && f.TenantID == "acme"
					ok = ok && (w.row < 0 || f.UID != nil && *f.UID == byTrace[1][w.row].UID) && (w.row != -2 || f.UID != nil)
					if ok && f.Problem != AuditSeal && f.Problem != AuditSeals {
						ok = f.CorrelationID == "c1" || f.CorrelationID == "c77"
					}
					found = found || ok
				}
				require.True(t, found, "%+v in %+v", w, findings)
			}
			kept, _ := verify(t, s, AuditScope{Kept: seals})
			require.NotEmpty(t, kept)
		})
	}
}

// rehash makes a row's own hash right.
func rehash(t testing.TB, s *Store, uid uuid.UUID) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "SELECT "+storedColumns+" FROM event_store WHERE uid = $1", uid)
	require.NoError(t, err)
	r, err := pgx.CollectExactlyOneRow(rows, scanStored)
	require.NoError(t, err)
	var h hasher
	sum := h.sum(r)
	tamper(t, s, "UPDATE event_store SET chain_hash = $2 WHERE uid = $1", uid, sum[:])
}

// Who can change everything is found by a seal that was kept elsewhere.
func TestAKeptSealFindsWhatWasSealedAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	trace := storeJourneys(t, s, "acme", 2)[1]
	kept, err := s.Seal(t.Context())
	require.NoError(t, err)
	persistAll(t, s, newEvent("acme", "c9", "e1"))
	_, err = s.Seal(t.Context())
	require.NoError(t, err)
	findings, _ := verify(t, s, AuditScope{Kept: kept})
	require.Empty(t, findings)

	tamper(t, s, "UPDATE event_store SET payload = '{}' WHERE uid = $1", trace[1].UID)
	rechain(t, s, "acme", "c1")
	tamper(t, s, "DELETE FROM audit_seals")
	tamper(t, s, "UPDATE audit_epochs SET sealed_at = NULL")
	_, err = s.Seal(t.Context())
	require.NoError(t, err)
	findings, _ = verify(t, s, AuditScope{})
	require.Empty(t, findings, "nothing in the database tells any more")
	findings, _ = verify(t, s, AuditScope{Kept: kept})
	require.Len(t, findings, 1)
	require.Equal(t, AuditSeals, findings[0].Problem)
}

func TestSealsAreAppendOnlyAndChained(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all []Seal
	for i := range 3 {
		persistAll(t, s, newEvent("acme", "c1", fmt.Sprint("a", i)), newEvent("umbrella", "c1", fmt.Sprint("u", i)))
		seals, err := s.Seal(t.Context())
		require.NoError(t, err)
		require.Len(t, seals, 2)
		all = append(all, seals...)
	}
	seals, err := s.Seal(t.Context())
	require.NoError(t, err)
	require.Empty(t, seals, "nothing was written since")
	require.Equal(t, all[0].Hash, all[2].Prev)
	require.EqualValues(t, 3, all[5].Number)
	latest, err := s.Seals(t.Context(), "", true)
	require.NoError(t, err)
	require.Equal(t, []HexBytes{all[4].Hash, all[5].Hash}, []HexBytes{latest[0].Hash, latest[1].Hash})
	for _, sql := range []string{"UPDATE audit_seals SET events = 0", "DELETE FROM audit_seals", "TRUNCATE audit_seals"} {
		_, err := s.pool.Exec(t.Context(), sql)
		require.Equal(t, "23001", sqlState(err), sql)
	}
	// One tenant's data is of no other's concern.
	tamper(t, s, "UPDATE event_store SET source = 'x' WHERE tenant_id = 'umbrella'")
	findings, report := verify(t, s, AuditScope{Tenant: "acme"})
	require.Empty(t, findings)
	require.EqualValues(t, 3, report.Events)
	require.EqualValues(t, 3, report.Sealed)
	findings, _ = verify(t, s, AuditScope{Tenant: "umbrella"})
	require.Len(t, findings, 3)
	findings, report = verify(t, s, AuditScope{To: time.Now().Add(-time.Hour)})
	require.Empty(t, findings)
	require.Zero(t, report.Events)
	findings, _ = verify(t, s, AuditScope{From: time.Now().Add(-time.Hour)})
	require.Len(t, findings, 3)
}

// The store verifies at every moment, while several processes write to the same traces, deliver again and seal.
func TestAStoreVerifiesWhileItIsWritten(t *testing.T) {
	t.Parallel()
	s := open(t)
	var all []*tracking.Event
	for _, events := range journeys(rand.New(rand.NewPCG(3, 4)), 12, 30) {
		all = append(all, events...)
	}
	var writers, audits sync.WaitGroup
	written := make(chan struct{})
	errs := make(chan error, 1000)
	for w := range 6 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 11))
			mine := append([]*tracking.Event{}, all...)
			random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			for len(mine) > 0 {
				n := min(len(mine), 1+random.IntN(40))
				if _, err := s.Persist(context.Background(), mine[:n]); err != nil {
					errs <- err
				}
				mine = mine[n:]
			}
		})
	}
	rounds := 0
	audits.Go(func() {
		for done := false; !done; rounds++ {
			select {
			case <-written:
				done = true
			default:
			}
			if _, err := s.Seal(context.Background()); err != nil {
				errs <- err
			}
			if _, err := s.Verify(context.Background(), AuditScope{Workers: 2}, func(f AuditFinding) { errs <- fmt.Errorf("%+v", f) }, nil); err != nil {
				errs <- err
			}
		}
	})
	writers.Wait()
	close(written)
	audits.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Greater(t, rounds, 1)
	_, report := verify(t, s, AuditScope{})
	require.EqualValues(t, len(all), report.Events)
	require.EqualValues(t, len(all), report.Sealed)
	require.Equal(t, len(all), get[int](t, s, "SELECT sum(chain_seq)::int FROM traces"))
}

func TestRowsOfBeforeTheChainAreCounted(t *testing.T) {
	t.Parallel()
	s := open(t)
	storeJourneys(t, s, "acme", 1)
	tamper(t, s, "UPDATE event_store SET chain_epoch = NULL, chain_seq = NULL, chain_prev = NULL, chain_hash = NULL")
	tamper(t, s, "UPDATE traces SET chain_before = 4, chain_seq = 0, chain_hash = NULL") // As the migration leaves them.
	persistAll(t, s, newEvent("acme", "c0", "e9"))
	findings, report := verify(t, s, AuditScope{})
	require.Empty(t, findings)
	require.EqualValues(t, 4, report.BeforeChain)
	tamper(t, s, "DELETE FROM event_store WHERE event_id = 'e2'")
	findings, _ = verify(t, s, AuditScope{})
	require.Len(t, findings, 1)
	require.Equal(t, AuditRemoved, findings[0].Problem)
}

// What is hashed is what PostgreSQL keeps, whatever the event holds.
func TestAnyEventVerifies(t *testing.T) {
	t.Parallel()
	s := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		written := rapid.SliceOfN(anyEvent(), 1, 5).Draw(rt, "events")
		_, err := s.Persist(t.Context(), written)
		require.NoError(rt, err)
		var h hasher
		for _, e := range written {
			rows, err := s.pool.Query(t.Context(), "SELECT "+storedColumns+" FROM event_store WHERE uid = $1", e.UID)
			require.NoError(rt, err)
			r, err := pgx.CollectExactlyOneRow(rows, scanStored)
			require.NoError(rt, err)
			sum := h.sum(r)
			require.Equal(rt, sum[:], r.hash)
		}
	})
}

// No two rows are encoded alike, wherever the border between two texts lies.
func TestTheEncodingIsUnambiguous(t *testing.T) {
	t.Parallel()
	var h hasher
	seen := map[[sha256.Size]byte]string{}
	for _, r := range []storedRow{
		{tenant: "ab", correlation: "c"}, {tenant: "a", correlation: "bc"}, {correlation: "abc"}, {aggregate: "abc"},
		{payload: []byte{}}, {payload: nil}, {details: []byte("abc")}, {payload: []byte("abc")}, {revision: 1}, {offset: 1},
	} {
		sum := h.sum(&r)
		require.Empty(t, seen[sum])
		seen[sum] = fmt.Sprintf("%+v", r)
	}
	require.True(t, hasNUL([]byte(`{"a":"\u0000"}`)))
	require.False(t, hasNUL([]byte(`{"a":"\\u0000"}`)))
	require.True(t, hasNUL([]byte(`{"a":"\\u0000 \\\u0000"}`)))
	require.False(t, hasNUL([]byte(strings.Repeat(`\\u0000`, 3))))
}
