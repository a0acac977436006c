package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/tracking"
)

var operator = Actor{Subject: "u1", Name: "Op", Client: "test"}

// withKeys opens a store on a database with master keys.
func withKeys(tb testing.TB, url string, keys ...string) *Store {
	tb.Helper()
	ring, err := seal.ParseRing(strings.Join(keys, ","))
	require.NoError(tb, err)
	s, err := Open(tb.Context(), Config{URL: url, PersonalKeys: ring})
	require.NoError(tb, err)
	tb.Cleanup(s.Close)
	return s
}

func personalEvent(tenant, correlation, subject string) *tracking.Event {
	e := newEvent(tenant, correlation, uuid.NewString())
	e.Payload = json.RawMessage(`{"passenger":{"name":"[personal]"}, "belt":  4}`)
	e.Personal = &tracking.Personal{
		Subject: subject, Data: json.RawMessage(`{"name":"Quispe Ana","seat":"12A"}`),
		Moved: []tracking.MovedValue{{Offset: 21, Pointer: "/passenger/name", Value: json.RawMessage(`"Quispe Ana"`)}},
	}
	return e
}

// dump returns all that the database holds, as text and as hexadecimal.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 15)
	var all strings.Builder
	for _, table := range tables {
		all.WriteString(get[string](t, s, "SELECT coalesce(string_agg(x::text, chr(10)), '') FROM "+table+" x"))
	}
	return all.String()
}

func TestPersonalDataIsSealedAndForgotten(t *testing.T) {
	t.Parallel()
	url, master := databases.URL(t), seal.NewMaster()
	s, other := withKeys(t, url, master), withKeys(t, url, master)
	ana, again, luis := personalEvent("acme", "c1", "C-20817"), personalEvent("acme", "c2", "C-20817"), personalEvent("acme", "c1", "C-1")
	foreign := personalEvent("umbrella", "c1", "C-20817")
	persistAll(t, s, ana, again, luis, foreign, newEvent("acme", "c3", "e"))
	letter := DeadLetter{
		UID: newUID(), TenantID: "acme", Pipeline: "p", Stage: "s", Event: json.RawMessage(`{"payload":{}}`), At: time.Now(),
		Personal: &tracking.Personal{Subject: "C-20817", Data: json.RawMessage(`{"name":"Quispe Ana"}`)},
	}
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{letter}))
	results, err := s.Persist(t.Context(), []*tracking.Event{ana, luis})
	require.NoError(t, err)
	require.False(t, results[0].Inserted)
	require.Equal(t, 4, get[int](t, s, "SELECT count(*) FROM personal_data"))
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM subject_keys"))

	read := func(s *Store, e *tracking.Event) (*tracking.Personal, error) {
		return s.Personal(t.Context(), e.TenantID, e.UID, operator, "claim 1")
	}
	for _, e := range []*tracking.Event{ana, luis, foreign} {
		got, err := read(other, e)
		require.NoError(t, err)
		require.Equal(t, e.Personal, got)
	}
	_, err = s.Personal(t.Context(), "acme", foreign.UID, operator, "x")
	require.ErrorIs(t, err, ErrNotFound, "another tenant's")
	trace, err := s.Trace(t.Context(), "acme", "c1")
	require.NoError(t, err)
	encoded, err := json.Marshal(trace)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"personal":{"masked":true}`)
	for _, secret := range []string{"Quispe", "C-20817", "12A", master, fmt.Sprintf("%x", "Quispe"), fmt.Sprintf("%x", "C-20817")} {
		require.NotContains(t, dump(t, s), secret)
		require.NotContains(t, string(encoded), secret)
	}

	before := get[string](t, s, "SELECT md5(string_agg(e::text, ',' ORDER BY uid)) FROM event_store e")
	dry, err := s.Forget(t.Context(), "acme", "C-20817", operator, "request 1", true)
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 1, 0}, []int{dry.Events, dry.Traces, dry.DeadLetters, dry.Keys})
	require.NotNil(t, dry.Since)
	_, err = read(other, ana)
	require.NoError(t, err, "a dry run changes nothing")
	done, err := s.Forget(t.Context(), "acme", "C-20817", operator, "request 1", false)
	require.NoError(t, err)
	require.Equal(t, 1, done.Keys)
	for _, e := range []*tracking.Event{ana, again} {
		_, err = read(other, e)
		var forgotten *ForgottenError
		require.ErrorAs(t, err, &forgotten, "another process has it no more")
		require.WithinDuration(t, *done.ForgottenAt, forgotten.At, time.Microsecond)
	}
	for _, e := range []*tracking.Event{luis, foreign} {
		_, err = read(other, e)
		require.NoError(t, err, "other subjects are as they were")
	}
	require.Equal(t, before, get[string](t, s, "SELECT md5(string_agg(e::text, ',' ORDER BY uid)) FROM event_store e"), "events do not change")
	repeated, err := s.Forget(t.Context(), "acme", "C-20817", operator, "request 1", false)
	require.NoError(t, err)
	require.True(t, repeated.Known)
	require.Zero(t, repeated.Keys)
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM ops_audit WHERE action = 'personal.forget'"))
	require.NotContains(t, dump(t, s), "C-20817")
	unknown, err := s.Forget(t.Context(), "acme", "nobody", operator, "request 2", false)
	require.NoError(t, err)
	require.False(t, unknown.Known)

	late, fresh := personalEvent("acme", "c9", "C-20817"), personalEvent("acme", "c9", "C-20817")
	late.ReceivedAt, fresh.ReceivedAt = done.ForgottenAt.Add(-time.Second), done.ForgottenAt.Add(time.Second)
	persistAll(t, other, late)
	require.Equal(t, 3, get[int](t, s, "SELECT count(*) FROM subject_keys"), "what was on its way makes no key")
	_, err = read(s, late)
	require.ErrorAs(t, err, new(*ForgottenError))
	persistAll(t, other, fresh)
	_, err = read(s, fresh)
	require.NoError(t, err, "what is received afterwards is kept under another key")
}

func TestSealedDataOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	url, master := databases.URL(t), seal.NewMaster()
	s := withKeys(t, url, master)
	a, b, foreign := personalEvent("acme", "c1", "C-1"), personalEvent("acme", "c1", "C-1"), personalEvent("umbrella", "c1", "C-1")
	persistAll(t, s, a, b, foreign)
	_, err := s.pool.Exec(t.Context(), "UPDATE personal_data SET sealed = sealed")
	require.Equal(t, "23001", sqlState(err))
	_, err = s.pool.Exec(t.Context(), "ALTER TABLE personal_data DISABLE TRIGGER personal_data_unchanged")
	require.NoError(t, err)
	for name, tamper := range map[string]string{
		"changed":                 "UPDATE personal_data SET sealed = set_byte(sealed, length(sealed) - 1, 255 - get_byte(sealed, length(sealed) - 1)) WHERE uid = $1",
		"another row's":           "UPDATE personal_data SET sealed = (SELECT p.sealed FROM personal_data p WHERE p.uid = '" + b.UID.String() + "') WHERE uid = $1",
		"another tenant's":        "UPDATE personal_data SET (sealed, key_id) = (SELECT p.sealed, p.key_id FROM personal_data p WHERE p.uid = '" + foreign.UID.String() + "') WHERE uid = $1",
		"another tenant's as own": "WITH k AS (UPDATE subject_keys SET tenant_id = 'acme', subject = 'x' WHERE tenant_id = 'umbrella' RETURNING id) UPDATE personal_data SET (sealed, key_id) = (SELECT p.sealed, p.key_id FROM personal_data p JOIN k ON k.id = p.key_id) WHERE uid = $1",
	} {
		before := get[[]byte](t, s, "SELECT sealed FROM personal_data WHERE uid = $1", a.UID)
		key := get[uuid.UUID](t, s, "SELECT key_id FROM personal_data WHERE uid = $1", a.UID)
		_, err = s.pool.Exec(t.Context(), tamper, a.UID)
		require.NoError(t, err)
		_, err = s.Personal(t.Context(), "acme", a.UID, operator, "x")
		require.ErrorIs(t, err, seal.ErrDamaged, name)
		_, err = s.pool.Exec(t.Context(), "UPDATE personal_data SET sealed = $2, key_id = $3 WHERE uid = $1", a.UID, before, key)
		require.NoError(t, err)
		_, err = s.pool.Exec(t.Context(), "UPDATE subject_keys SET tenant_id = 'umbrella' WHERE subject = 'x'")
		require.NoError(t, err)
	}
	_, err = s.Personal(t.Context(), "acme", a.UID, operator, "x")
	require.NoError(t, err)

	young := seal.NewMaster()
	_, err = withKeys(t, url, young).Personal(t.Context(), "acme", a.UID, operator, "x")
	require.ErrorIs(t, err, seal.ErrUnknownMaster)
	both := withKeys(t, url, young, master)
	count, err := both.Rewrap(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 4, count)
	count, err = both.Rewrap(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, count)
	got, err := withKeys(t, url, young).Personal(t.Context(), "acme", a.UID, operator, "x")
	require.NoError(t, err)
	require.Equal(t, a.Personal, got)
	persistAll(t, withKeys(t, url, young), personalEvent("acme", "c1", "C-1"))
	require.Equal(t, 2, get[int](t, s, "SELECT count(*) FROM subject_keys"), "subjects are found as before")
}

func TestWithoutAMasterKeyNothingPersonalIsStored(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := personalEvent("acme", "c1", "C-1")
	results, err := s.Persist(t.Context(), []*tracking.Event{e, newEvent("acme", "c1", "e")})
	require.ErrorIs(t, err, ErrNoPersonalKey)
	require.Equal(t, make([]Persisted, 2), results)
	letter := DeadLetter{UID: newUID(), TenantID: "acme", Pipeline: "p", Stage: "s", At: time.Now(), Personal: e.Personal}
	require.ErrorIs(t, s.AddDeadLetters(t.Context(), []DeadLetter{letter}), ErrNoPersonalKey)
	require.NotContains(t, dump(t, s), "Quispe")
	persistAll(t, s, newEvent("acme", "c1", "e"))
}

func TestLettersAreRedrivenWithWhatWasKeptApart(t *testing.T) {
	t.Parallel()
	s := withKeys(t, databases.URL(t), seal.NewMaster())
	e := personalEvent("acme", "c1", "C-1")
	letter := DeadLetter{UID: e.UID, TenantID: "acme", Pipeline: "p", Stage: "s", Event: json.RawMessage(`{}`), At: time.Now(), Personal: e.Personal}
	require.NoError(t, s.AddDeadLetters(t.Context(), []DeadLetter{letter, {UID: newUID(), TenantID: "acme", Pipeline: "p", Stage: "s", At: time.Now()}}))
	letters, _, err := s.WholeLetters(t.Context(), "acme", LetterFilter{UIDs: []uuid.UUID{e.UID}}, 10)
	require.NoError(t, err)
	require.Nil(t, letters[0].Personal)
	require.NoError(t, s.openLetters(t.Context(), letters))
	require.NoError(t, letters[0].PersonalError)
	require.Equal(t, e.Personal, letters[0].Personal)
	_, err = s.Forget(t.Context(), "acme", "C-1", operator, "request 1", false)
	require.NoError(t, err)
	letters[0].Personal = nil
	require.NoError(t, s.openLetters(t.Context(), letters))
	require.Nil(t, letters[0].Personal)
	pruned, err := s.PrunePersonal(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Zero(t, pruned)
}
