package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// WebhookMessage is a signed message that a sender may send several times.
type WebhookMessage struct {
	CredentialID uuid.UUID
	ID           string // the sender's
	TenantID     string
	Digest       []byte // of the body
	// Holder is who claims to have it in hand.
	Holder uuid.UUID
}

// The states in which ClaimWebhook finds a message.
const (
	WebhookNew      = iota // it is the holder's now
	WebhookInHand          // another has it in hand
	WebhookTaken           // it was taken before
	WebhookConflict        // another body was sent with its id
)

// WebhookClaim is what is known of a message.
type WebhookClaim struct {
	State int
	// Accepted and Rejected are how many of its events were, when it was taken.
	Accepted, Rejected int
}

// claimWebhook takes a message over from a holder whose time is up, and forgets two others that are old: so the table stays as
// small as the traffic.
const claimWebhook = `
WITH old AS (
    DELETE FROM webhook_messages WHERE (credential_id, message_id) IN (
        SELECT credential_id, message_id FROM webhook_messages
        WHERE forget_at < now() AND NOT (credential_id = $1 AND message_id = $2)
        ORDER BY forget_at LIMIT 2 FOR UPDATE SKIP LOCKED)
)
INSERT INTO webhook_messages AS m (credential_id, message_id, tenant_id, digest, holder, held_until, forget_at)
VALUES ($1, $2, $3, $4, $5, now() + $6, now() + $7)
ON CONFLICT (credential_id, message_id) DO UPDATE
SET digest = excluded.digest, holder = excluded.holder, held_until = excluded.held_until, forget_at = excluded.forget_at,
    taken_at = NULL, accepted = 0, rejected = 0
WHERE m.forget_at <= now() OR m.taken_at IS NULL AND m.held_until <= now()
RETURNING holder`

// ClaimWebhook has the holder be the only one who has a message in hand, for as long as hold; remember is for how long the
// message is known once it was taken.
func (s *Store) ClaimWebhook(ctx context.Context, m WebhookMessage, hold, remember time.Duration) (WebhookClaim, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var holder uuid.UUID
	err := s.pool.QueryRow(ctx, claimWebhook, m.CredentialID, m.ID, m.TenantID, m.Digest, m.Holder, hold, remember).Scan(&holder)
	if err == nil {
		return WebhookClaim{State: WebhookNew}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return WebhookClaim{}, fmt.Errorf("claim webhook: %w", err)
	}
	var claim WebhookClaim
	var same, taken bool
	err = s.pool.QueryRow(ctx, `
SELECT digest = $3, taken_at IS NOT NULL, accepted, rejected FROM webhook_messages WHERE credential_id = $1 AND message_id = $2`,
		m.CredentialID, m.ID, m.Digest).Scan(&same, &taken, &claim.Accepted, &claim.Rejected)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // let go of this very moment
		claim.State = WebhookInHand
	case err != nil:
		return WebhookClaim{}, fmt.Errorf("claim webhook: %w", err)
	case !same:
		claim.State = WebhookConflict
	case taken:
		claim.State = WebhookTaken
	default:
		claim.State = WebhookInHand
	}
	return claim, nil
}

// SettleWebhook notes that the holder took a message, and what became of its events.
func (s *Store) SettleWebhook(ctx context.Context, m WebhookMessage, accepted, rejected int) error {
	return s.settleWebhook(ctx, `
UPDATE webhook_messages SET taken_at = now(), accepted = $4, rejected = $5 WHERE credential_id = $1 AND message_id = $2 AND holder = $3`,
		m.CredentialID, m.ID, m.Holder, accepted, rejected)
}

// ReleaseWebhook lets go of a message that the holder could not take: the next try of the sender is as the first.
func (s *Store) ReleaseWebhook(ctx context.Context, m WebhookMessage) error {
	return s.settleWebhook(ctx, `
DELETE FROM webhook_messages WHERE credential_id = $1 AND message_id = $2 AND holder = $3 AND taken_at IS NULL`,
		m.CredentialID, m.ID, m.Holder)
}

func (s *Store) settleWebhook(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if _, err := s.pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("settle webhook: %w", err)
	}
	return nil
}
