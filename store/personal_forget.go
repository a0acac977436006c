package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rastrohq/rastro/tracking"
)

// ForgottenError says that personal data cannot be read any more, because its subject was forgotten.
type ForgottenError struct{ At time.Time }

// Error implements error.
func (e *ForgottenError) Error() string {
	return "its subject was forgotten at " + e.At.UTC().Format(time.RFC3339)
}

// Personal returns what an event says about a person, and notes who read it and why. The error is ErrNotFound when there is no
// personal data of that event, or it is another tenant's, and ForgottenError when its subject was forgotten.
func (s *Store) Personal(ctx context.Context, tenant string, uid uuid.UUID, by Actor, reason string) (*tracking.Personal, error) {
	type found struct {
		key             uuid.UUID
		sealed, wrapped []byte
		destroyed       *time.Time
	}
	rows, err := readAs(ctx, s, tenant, func(row pgx.CollectableRow) (f found, err error) {
		err = row.Scan(&f.key, &f.sealed, &f.wrapped, &f.destroyed)
		return f, err
	}, `
SELECT p.key_id, p.sealed, k.wrapped, k.destroyed_at
FROM personal_data p LEFT JOIN subject_keys k ON k.id = p.key_id AND k.tenant_id = p.tenant_id
WHERE p.tenant_id = $1 AND p.uid = $2`, tenant, uid)
	if err != nil {
		return nil, fmt.Errorf("read personal data: %w", err)
	}
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	row := rows[0]
	if row.destroyed != nil {
		return nil, &ForgottenError{At: row.destroyed.UTC()}
	}
	if s.config.PersonalKeys == nil {
		return nil, ErrNoPersonalKey
	}
	personal, err := openPersonal(s.config.PersonalKeys, tenant, row.key, row.wrapped, row.sealed, boundEvent(tenant, uid, row.key))
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", uid, err)
	}
	filter, err := json.Marshal(map[string]string{"uid": uid.String(), "key": row.key.String()})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	// What is not noted is not read.
	if err := auditAtOnce(ctx, s.pool, tenant, by, "personal.show", filter, 1, reason); err != nil {
		return nil, err
	}
	return personal, nil
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// auditAtOnce notes an action that no job does.
func auditAtOnce(ctx context.Context, db execer, tenant string, by Actor, action string, filter []byte, count int, reason string) error {
	_, err := db.Exec(ctx, `
INSERT INTO ops_audit (tenant_id, subject, name, client, action, filter, count, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tenant, storable(by.Subject), storable(by.Name), storable(by.Client), action, filter, count, storable(reason))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Forgotten is what there is, or was, of a subject.
type Forgotten struct {
	Known         bool       `json:"known" doc:"Whether anything was ever kept of the subject"`
	Events        int        `json:"events" doc:"Events whose personal data becomes unreadable"`
	Traces        int        `json:"traces" doc:"Journeys that they belong to"`
	DeadLetters   int        `json:"dead_letters" doc:"Dead letters whose personal data becomes unreadable"`
	Since         *time.Time `json:"since,omitempty" doc:"When the first of the events was received"`
	Keys          int        `json:"keys" doc:"Keys that were destroyed; 0 when that had been done, and for a dry run"`
	ForgottenAt   *time.Time `json:"forgotten_at,omitempty" doc:"When the subject was forgotten last"`
	SubjectDigest string     `json:"subject_digest,omitempty" doc:"Stands for the subject in the audit: a digest under a key of the tenant"`
}

// Forget destroys the key of a subject, which makes unreadable for ever what was sealed under it, in every process and at once, and
// notes who asked and why. Events stay as they are. A dry run only says what there is. Forgetting again changes nothing.
func (s *Store) Forget(ctx context.Context, tenant, subject string, by Actor, reason string, dryRun bool) (Forgotten, error) {
	index, known, err := s.index(ctx, tenant, false)
	if err != nil || !known {
		return Forgotten{}, err
	}
	digest := index.Index([]byte(subject))
	f := Forgotten{SubjectDigest: hex.EncodeToString(digest)}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var live, all []uuid.UUID
		rows, err := tx.Query(ctx, "SELECT id, destroyed_at FROM subject_keys WHERE tenant_id = $1 AND subject = $2 ORDER BY id FOR UPDATE", tenant, digest)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var destroyed *time.Time
		if _, err := pgx.ForEachRow(rows, []any{&id, &destroyed}, func() error {
			all = append(all, id)
			if destroyed == nil {
				live = append(live, id)
			} else if f.ForgottenAt == nil || destroyed.After(*f.ForgottenAt) {
				at := destroyed.UTC()
				f.ForgottenAt = &at
			}
			return nil
		}); err != nil {
			return err
		}
		f.Known = len(all) > 0
		if err := tx.QueryRow(ctx, `
SELECT count(*), count(DISTINCT e.correlation_id), min(e.received_at)
FROM personal_data p JOIN event_store e ON e.uid = p.uid AND e.tenant_id = p.tenant_id WHERE p.key_id = ANY($1::uuid[])`, live).
			Scan(&f.Events, &f.Traces, &f.Since); err != nil {
			return err
		}
		inUTC(f.Since)
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM dead_letters WHERE personal_key = ANY($1::uuid[])", live).Scan(&f.DeadLetters); err != nil {
			return err
		}
		if dryRun || !f.Known {
			return nil
		}
		return f.destroy(ctx, tx, tenant, live, by, reason)
	})
	if err != nil {
		return Forgotten{}, fmt.Errorf("forget: %w", err)
	}
	return f, nil
}

// destroy destroys keys, and notes it.
func (f *Forgotten) destroy(ctx context.Context, tx pgx.Tx, tenant string, live []uuid.UUID, by Actor, reason string) error {
	if len(live) > 0 {
		var at time.Time
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
			return err
		}
		at = at.UTC()
		tag, err := tx.Exec(ctx, "UPDATE subject_keys SET wrapped = NULL, destroyed_at = $2 WHERE id = ANY($1::uuid[])", live, at)
		if err != nil {
			return err
		}
		f.Keys, f.ForgottenAt = int(tag.RowsAffected()), &at
	}
	filter, err := json.Marshal(map[string]any{"subject_digest": f.SubjectDigest, "keys": live})
	if err != nil {
		return err
	}
	return auditAtOnce(ctx, tx, tenant, by, "personal.forget", filter, f.Events, reason)
}

// rewrapped is how many keys are wrapped anew at once.
const rewrapped = 500

// Rewrap wraps every key by the first master key that is not wrapped by it, so that the others can be taken away. It returns how
// many it wrapped anew. It may be broken off and repeated. progress is called now and then with how many were looked at; it may be
// nil.
func (s *Store) Rewrap(ctx context.Context, progress func(looked int)) (int, error) {
	ring := s.config.PersonalKeys
	if ring == nil {
		return 0, ErrNoPersonalKey
	}
	count, looked := 0, 0
	for _, table := range []struct {
		read, write string
		bound       func(tenant, id string) []byte
	}{
		{
			"SELECT tenant_id, tenant_id, wrapped FROM personal_indexes WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2",
			"UPDATE personal_indexes SET wrapped = $2 WHERE tenant_id = $1 AND wrapped = $3",
			func(tenant, _ string) []byte { return boundIndex(tenant) },
		},
		{
			"SELECT id::text, tenant_id, wrapped FROM subject_keys WHERE id > coalesce(nullif($1, ''), '00000000-0000-0000-0000-000000000000')::uuid AND destroyed_at IS NULL ORDER BY id LIMIT $2",
			"UPDATE subject_keys SET wrapped = $2 WHERE id = $1::text::uuid AND wrapped = $3 AND destroyed_at IS NULL",
			func(tenant, id string) []byte { return boundKey(tenant, uuid.MustParse(id)) },
		},
	} {
		for last := ""; ; {
			rows, err := s.pool.Query(ctx, table.read, last, rewrapped)
			if err != nil {
				return count, fmt.Errorf("read keys: %w", err)
			}
			type wrappedKey struct {
				id, tenant string
				wrapped    []byte
			}
			keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k wrappedKey, err error) {
				err = row.Scan(&k.id, &k.tenant, &k.wrapped)
				return k, err
			})
			if err != nil {
				return count, fmt.Errorf("read keys: %w", err)
			}
			if len(keys) == 0 {
				break
			}
			var batch pgx.Batch
			for _, k := range keys {
				last = k.id
				if ring.Current(k.wrapped) {
					continue
				}
				key, err := ring.Unwrap(k.wrapped, table.bound(k.tenant, k.id))
				if err != nil {
					return count, fmt.Errorf("open key %s: %w", k.id, err)
				}
				anew, err := ring.Wrap(key, table.bound(k.tenant, k.id))
				if err != nil {
					return count, fmt.Errorf("wrap key %s: %w", k.id, err)
				}
				batch.Queue(table.write, k.id, anew, k.wrapped)
			}
			if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
				return count, fmt.Errorf("write keys: %w", err)
			}
			count, looked = count+batch.Len(), looked+len(keys)
			if progress != nil {
				progress(looked)
			}
		}
	}
	return count, nil
}

// PrunePersonal deletes the personal data of events from before an instant that are not in the event store any more, as retention
// removed them. It returns how many that were. It goes through the table piece by piece, so that no statement takes long.
func (s *Store) PrunePersonal(ctx context.Context, before time.Time) (int, error) {
	last, end, deleted := uuid.Nil, firstUUIDv7(before), 0
	for {
		from := last
		var err error
		if last, err = s.personalUntil(ctx, from, end); err != nil {
			return deleted, fmt.Errorf("prune personal data: %w", err)
		}
		tag, err := s.exec(ctx, `
DELETE FROM personal_data p WHERE uid > $1 AND uid <= $2 AND uid < $3
    AND NOT EXISTS (SELECT FROM event_store e WHERE e.uid = p.uid AND e.uid > $1 AND e.uid <= $2)`, from, last, end)
		if err != nil {
			return deleted, fmt.Errorf("prune personal data: %w", err)
		}
		deleted += int(tag.RowsAffected())
		if last == end {
			return deleted, nil
		}
	}
}

// personalUntil returns the last event of the next piece of personal data, or end when nothing lies beyond.
func (s *Store) personalUntil(ctx context.Context, from, end uuid.UUID) (last uuid.UUID, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT uid FROM personal_data WHERE uid > $1 AND uid < $2 ORDER BY uid OFFSET $3 LIMIT 1", from, end, pruneChunk).Scan(&last)
	if errors.Is(err, pgx.ErrNoRows) {
		return end, nil
	}
	return last, err
}
