package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/rastrohq/rastro/store"
)

const (
	// claimPatience is how long the database may take over one message before it counts as away.
	claimPatience = 2 * time.Second
	// claimPause is for how long it is then not asked.
	claimPause = 2 * time.Second
	// maxRemembered is how many messages a process remembers by itself: those of an outage.
	maxRemembered = 100_000
)

// Message is a signed message that its sender may send again. Whoever has it must settle or release it.
type Message struct {
	senders *Senders
	store.WebhookMessage
	// Repeated says that the message was taken before; Accepted and Rejected are then what became of its events.
	Repeated           bool
	Accepted, Rejected int

	shared bool // the database knows it
}

// claim takes a message in hand, for it to be taken once whichever processes it is sent to. While the database is away each process
// remembers for itself. Errors wrap ErrWebhookInHand or ErrWebhookReused.
func (s *Senders) claim(ctx context.Context, of *sender, w webhook, body []byte) (*Message, error) {
	digest := sha256.Sum256(body)
	m := &Message{senders: s, WebhookMessage: store.WebhookMessage{
		CredentialID: of.ID, ID: w.id, TenantID: of.TenantID, Digest: digest[:], Holder: uuid.New(),
	}}
	claim := s.memory.claim(m, s.config.Hold)
	if claim.State == store.WebhookNew && s.memory.ask() {
		asked, cancel := context.WithTimeout(ctx, claimPatience)
		shared, err := s.store.ClaimWebhook(asked, m.WebhookMessage, s.config.Hold, 2*s.config.Tolerance)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				s.memory.away()
			}
			s.logger.WarnContext(ctx, "cannot look up whether a signed message was taken before; going by what this process remembers",
				slog.String("credential", of.ID.String()), slog.String("tenant", of.TenantID), slog.Any("error", err))
		} else {
			claim, m.shared = shared, true
			if claim.State != store.WebhookNew {
				s.memory.release(m)
			}
		}
	}
	switch claim.State {
	case store.WebhookNew:
		return m, nil
	case store.WebhookTaken:
		m.Repeated, m.Accepted, m.Rejected = true, claim.Accepted, claim.Rejected
		return m, nil
	case store.WebhookConflict:
		return nil, fmt.Errorf("%w: %q", ErrWebhookReused, w.id)
	default:
		return nil, fmt.Errorf("%w: %q", ErrWebhookInHand, w.id)
	}
}

// Settle notes that the message was taken, and what became of its events: sent again, it is answered the same.
func (m *Message) Settle(ctx context.Context, accepted, rejected int) {
	if m.Repeated {
		return
	}
	m.senders.memory.settle(m, accepted, rejected, 2*m.senders.config.Tolerance)
	m.tell(ctx, func(ctx context.Context) error {
		return m.senders.store.SettleWebhook(ctx, m.WebhookMessage, accepted, rejected)
	})
}

// Release lets go of a message that was not taken: the sender's next try is as its first.
func (m *Message) Release(ctx context.Context) {
	if m.Repeated {
		return
	}
	m.senders.memory.release(m)
	m.tell(ctx, func(ctx context.Context) error { return m.senders.store.ReleaseWebhook(ctx, m.WebhookMessage) })
}

func (m *Message) tell(ctx context.Context, tell func(context.Context) error) {
	if !m.shared {
		return
	}
	// The request may be over: whoever sent it must find the message as it is all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimPatience)
	defer cancel()
	if err := tell(ctx); err != nil {
		m.senders.memory.away()
		m.senders.logger.WarnContext(ctx, "cannot note what became of a signed message; other processes may take it again",
			slog.String("credential", m.CredentialID.String()), slog.String("tenant", m.TenantID), slog.Any("error", err))
	}
}

// messageMemory is what one process remembers of messages, by the rules by which the database does.
type messageMemory struct {
	now func() time.Time

	mu       sync.Mutex
	messages *otter.Cache[messageKey, remembered]
	silent   time.Time // until when the database is not asked
}

type messageKey struct {
	credential uuid.UUID
	id         string
}

type remembered struct {
	holder             uuid.UUID
	digest             [sha256.Size]byte
	until              time.Time
	taken              bool
	accepted, rejected int
}

func newMessageMemory(now func() time.Time) *messageMemory {
	// No expiry calculator: entries carry their own end, and the cache needs no goroutine.
	return &messageMemory{now: now, messages: otter.Must(&otter.Options[messageKey, remembered]{MaximumSize: maxRemembered})}
}

func (m *messageMemory) claim(message *Message, hold time.Duration) store.WebhookClaim {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := messageKey{message.CredentialID, message.ID}
	r, known := m.messages.GetIfPresent(key)
	if !known || !m.now().Before(r.until) {
		m.messages.Set(key, remembered{holder: message.Holder, digest: [sha256.Size]byte(message.Digest), until: m.now().Add(hold)})
		return store.WebhookClaim{State: store.WebhookNew}
	}
	switch {
	case r.digest != [sha256.Size]byte(message.Digest):
		return store.WebhookClaim{State: store.WebhookConflict}
	case r.taken:
		return store.WebhookClaim{State: store.WebhookTaken, Accepted: r.accepted, Rejected: r.rejected}
	default:
		return store.WebhookClaim{State: store.WebhookInHand}
	}
}

func (m *messageMemory) settle(message *Message, accepted, rejected int, remember time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages.Set(messageKey{message.CredentialID, message.ID}, remembered{
		holder: message.Holder, digest: [sha256.Size]byte(message.Digest), until: m.now().Add(remember),
		taken: true, accepted: accepted, rejected: rejected,
	})
}

func (m *messageMemory) release(message *Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := messageKey{message.CredentialID, message.ID}
	if r, known := m.messages.GetIfPresent(key); known && r.holder == message.Holder && !r.taken {
		m.messages.Invalidate(key)
	}
}

// ask reports whether the database is worth asking.
func (m *messageMemory) ask() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.now().Before(m.silent)
}

func (m *messageMemory) away() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = m.now().Add(claimPause)
}
