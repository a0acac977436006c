package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The kinds of credentials.
const (
	// CredentialAPIKey is a key that is sent with each request.
	CredentialAPIKey = "api_key"
	// CredentialHMAC is a secret that requests are signed with.
	CredentialHMAC = "hmac"
)

// ErrRevoked says that a credential has been revoked, and so cannot be used or changed any more.
var ErrRevoked = errors.New("credential is revoked")

// Credential is what a carrier that has no OpenID Connect sends events with.
type Credential struct {
	ID       uuid.UUID `json:"id"`
	TenantID string    `json:"tenant_id"`
	Kind     string    `json:"kind"` // CredentialAPIKey or CredentialHMAC
	Name     string    `json:"name"` // for people
	// Carrier is whose address it opens besides that for events of our own form; empty opens no carrier's.
	Carrier string `json:"carrier"`
	// Source is what events sent with it come from; empty leaves that to the events.
	Source     string     `json:"source"`
	Roles      []string   `json:"roles"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"` // to the minute or so
	// Secrets are those that have not ended, the latest first.
	Secrets []CredentialSecret `json:"secrets"`
}

// CredentialSecret is one secret of a credential, as it is kept.
type CredentialSecret struct {
	ID        uuid.UUID  `json:"id"`
	Prefix    string     `json:"prefix,omitempty"` // what an API key begins with
	Hash      []byte     `json:"-"`                // SHA-256 of an API key
	Sealed    []byte     `json:"-"`                // a secret for signatures, sealed
	CreatedAt time.Time  `json:"created_at"`
	EndsAt    *time.Time `json:"ends_at,omitempty"` // nil: with the credential
}

// CreateCredential keeps a new credential with its first secret, and notes who made it. The tenant must exist: else it fails with
// ErrNotFound.
func (s *Store) CreateCredential(ctx context.Context, c Credential, secret CredentialSecret, by Actor) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `
INSERT INTO credentials (id, tenant_id, kind, name, carrier, source, roles, expires_at)
SELECT $1, tenant_id, $3, $4, $5, $6, $7, $8 FROM tenant_tracking_settings WHERE tenant_id = $2`,
			c.ID, c.TenantID, c.Kind, c.Name, c.Carrier, c.Source, append([]string{}, c.Roles...), c.ExpiresAt)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return fmt.Errorf("tenant %s: %w", c.TenantID, ErrNotFound)
		}
		if err := addSecret(ctx, tx, c.ID, secret); err != nil {
			return err
		}
		return auditCredential(ctx, tx, c, by, "credentials.create", nil)
	})
	if err != nil {
		return fmt.Errorf("create credential: %w", err)
	}
	return nil
}

func addSecret(ctx context.Context, tx pgx.Tx, credential uuid.UUID, secret CredentialSecret) error {
	_, err := tx.Exec(ctx, `
INSERT INTO credential_secrets (id, credential_id, tenant_id, prefix, hash, sealed)
SELECT $2, id, tenant_id, $3, $4, $5 FROM credentials WHERE id = $1`, credential, secret.ID, secret.Prefix, secret.Hash, secret.Sealed)
	return err
}

// auditCredential notes what was done to a credential; none of its secrets.
func auditCredential(ctx context.Context, tx pgx.Tx, c Credential, by Actor, action string, more map[string]any) error {
	what := map[string]any{"id": c.ID, "kind": c.Kind, "name": c.Name, "carrier": c.Carrier, "source": c.Source}
	for key, value := range more {
		what[key] = value
	}
	filter, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return auditAtOnce(ctx, tx, c.TenantID, by, action, filter, 1, "")
}

// RotateCredential gives a credential another secret. The one that was its latest goes on working for as long as grace, all before
// that one end at once, so that no more than two ever work. It fails with ErrNotFound or ErrRevoked.
func (s *Store) RotateCredential(ctx context.Context, id uuid.UUID, secret CredentialSecret, grace time.Duration, by Actor) (Credential, error) {
	return s.changeCredential(ctx, id, func(ctx context.Context, tx pgx.Tx, c Credential) error {
		if c.RevokedAt != nil {
			return ErrRevoked
		}
		if _, err := tx.Exec(ctx, `
UPDATE credential_secrets AS s SET ends_at = least(ends_at, now() + CASE WHEN s.id = latest.id THEN $2 ELSE interval '0' END)
FROM (SELECT id FROM credential_secrets WHERE credential_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1) AS latest
WHERE s.credential_id = $1`, id, grace); err != nil {
			return err
		}
		if err := addSecret(ctx, tx, id, secret); err != nil {
			return err
		}
		return auditCredential(ctx, tx, c, by, "credentials.rotate", map[string]any{"grace": grace.String()})
	})
}

// RevokeCredential ends a credential; ending it twice is once. It fails with ErrNotFound.
func (s *Store) RevokeCredential(ctx context.Context, id uuid.UUID, by Actor) (Credential, error) {
	return s.changeCredential(ctx, id, func(ctx context.Context, tx pgx.Tx, c Credential) error {
		if c.RevokedAt != nil {
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE credentials SET revoked_at = now() WHERE id = $1", id); err != nil {
			return err
		}
		return auditCredential(ctx, tx, c, by, "credentials.revoke", nil)
	})
}

func (s *Store) changeCredential(ctx context.Context, id uuid.UUID, change func(context.Context, pgx.Tx, Credential) error) (Credential, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var c Credential
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM credentials WHERE id = $1 FOR UPDATE", id); err != nil {
			return err
		}
		one := func() error {
			found, err := credentials(ctx, tx, "WHERE id = $1", id)
			if err == nil && len(found) == 0 {
				err = ErrNotFound
			}
			if err == nil {
				c = found[0]
			}
			return err
		}
		if err := one(); err != nil {
			return err
		}
		if err := change(ctx, tx, c); err != nil {
			return err
		}
		return one()
	})
	if err != nil {
		return Credential{}, fmt.Errorf("change credential %s: %w", id, err)
	}
	return c, nil
}

// Credentials returns the credentials of a tenant, those that no longer work too, in the order they were made; of all tenants when
// tenant is empty.
func (s *Store) Credentials(ctx context.Context, tenant string) ([]Credential, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var found []Credential
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		found, err = credentials(ctx, tx, "WHERE $1 = '' OR tenant_id = $1", tenant)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return found, nil
}

func credentials(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Credential, error) {
	rows, err := tx.Query(ctx, `
SELECT id, tenant_id, kind, name, carrier, source, roles, created_at, expires_at, revoked_at, last_used_at
FROM credentials `+where+` ORDER BY created_at, id`, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Credential, err error) {
		err = row.Scan(&c.ID, &c.TenantID, &c.Kind, &c.Name, &c.Carrier, &c.Source, &c.Roles, &c.CreatedAt, &c.ExpiresAt, &c.RevokedAt, &c.LastUsedAt)
		inUTC(&c.CreatedAt, c.ExpiresAt, c.RevokedAt, c.LastUsedAt)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	at, ids := make(map[uuid.UUID]int, len(found)), make([]uuid.UUID, len(found))
	for i, c := range found {
		at[c.ID], ids[i] = i, c.ID
	}
	if rows, err = tx.Query(ctx, `
SELECT credential_id, id, prefix, hash, sealed, created_at, ends_at FROM credential_secrets
WHERE credential_id = ANY ($1) AND (ends_at IS NULL OR ends_at > now()) ORDER BY created_at DESC, id DESC`, ids); err != nil {
		return nil, err
	}
	var of uuid.UUID
	var secret CredentialSecret
	_, err = pgx.ForEachRow(rows, []any{&of, &secret.ID, &secret.Prefix, &secret.Hash, &secret.Sealed, &secret.CreatedAt, &secret.EndsAt}, func() error {
		inUTC(&secret.CreatedAt, secret.EndsAt)
		found[at[of]].Secrets = append(found[at[of]].Secrets, secret)
		secret = CredentialSecret{}
		return nil
	})
	return found, err
}

// NoteCredentialUse notes when credentials were used last.
func (s *Store) NoteCredentialUse(ctx context.Context, used map[uuid.UUID]time.Time) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	ids, times := make([]uuid.UUID, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, at)
	}
	// Those that another process is noting just now may be passed over: it is the same minute.
	_, err := s.pool.Exec(ctx, `
UPDATE credentials AS c SET last_used_at = u.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS u (id, at), (SELECT id FROM credentials WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED) AS free
WHERE c.id = u.id AND free.id = c.id AND (c.last_used_at IS NULL OR c.last_used_at < u.at)`, ids, times)
	if err != nil {
		return fmt.Errorf("note use of %d credentials: %w", len(used), err)
	}
	return nil
}
