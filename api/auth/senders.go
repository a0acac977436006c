package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
)

// CredentialStore keeps the credentials of carriers, and which of their messages were taken.
type CredentialStore interface {
	// Credentials returns those of a tenant, or of all tenants when it is empty.
	Credentials(ctx context.Context, tenant string) ([]store.Credential, error)
	NoteCredentialUse(ctx context.Context, used map[uuid.UUID]time.Time) error
	ClaimWebhook(ctx context.Context, m store.WebhookMessage, hold, remember time.Duration) (store.WebhookClaim, error)
	SettleWebhook(ctx context.Context, m store.WebhookMessage, accepted, rejected int) error
	ReleaseWebhook(ctx context.Context, m store.WebhookMessage) error
}

// SendersConfig says how the credentials of carriers are checked.
type SendersConfig struct {
	// Tolerance is how far the time of a signed message may be from now. A message is remembered for twice as long. Default: 5
	// min, as Standard Webhooks recommends.
	Tolerance time.Duration
	// Freshness is how old what is known of credentials may be: that long a revoked one still works. Default: 3 s.
	Freshness time.Duration
	// MaxStale is how long known credentials go on working while the database does not answer. Default: 1 h.
	MaxStale time.Duration
	// Hold is after how long a message that a process had in hand when it died may be sent again. It must be longer than a
	// request takes. Default: 30 s.
	Hold time.Duration
	// ReadTimeout bounds one reading of the credentials. Default: 5 s.
	ReadTimeout time.Duration
}

// DefaultSendersConfig returns the defaults.
func DefaultSendersConfig() SendersConfig {
	return SendersConfig{
		Tolerance: 5 * time.Minute, Freshness: 3 * time.Second, MaxStale: time.Hour, Hold: 30 * time.Second, ReadTimeout: 5 * time.Second,
	}
}

// Validate reports what is wrong with the config.
func (c SendersConfig) Validate() error {
	if c.Tolerance < time.Second || c.Freshness <= 0 || c.MaxStale < c.Freshness || c.Hold <= 0 || c.ReadTimeout <= 0 {
		return errors.New("senders config: the tolerance must be 1s or more, the other durations above zero, and the stale time no less than freshness")
	}
	return nil
}

const (
	// unknownInterval is the least time between two readings that unknown credentials provoke: anybody can make them up.
	unknownInterval = 500 * time.Millisecond
	// failedInterval is the least time between a reading that failed and the next.
	failedInterval = time.Second
	// readPatience is how long a request whose credential is known waits for it to be read again.
	readPatience = 250 * time.Millisecond
	// useInterval is how exactly it is noted when a credential was last used.
	useInterval = time.Minute
)

// Senders knows the credentials of carriers that cannot do OpenID Connect. It reads them all when it is asked and they are not
// fresh, so that neither revoking nor an outage of the database waits for any one of them. It is safe for concurrent use.
type Senders struct {
	config SendersConfig
	store  CredentialStore
	vault  *Vault // nil: signatures cannot be checked
	logger *slog.Logger
	now    func() time.Time
	memory *messageMemory

	mu       sync.Mutex
	known    *senderSet
	failedAt time.Time
	reading  *reading // under way
	used     map[uuid.UUID]time.Time
	noted    time.Time
}

// reading is one reading of the credentials, which all who wait for them share.
type reading struct {
	done chan struct{} // closed when err is set
	err  error
}

// NewSenders returns what checks credentials. Without a vault signatures are answered with 503.
func NewSenders(config SendersConfig, credentials CredentialStore, vault *Vault, logger *slog.Logger, now func() time.Time) (*Senders, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Senders{
		config: config, store: credentials, vault: vault, logger: logger, now: now,
		memory: newMessageMemory(now), used: map[uuid.UUID]time.Time{},
	}, nil
}

// sender is a credential, ready to check with.
type sender struct {
	store.Credential

	keys   []sealedKey
	broken bool // a secret of it cannot be opened
}

type sealedKey struct {
	key  []byte
	ends *time.Time
}

// hashed is an API key.
type hashed struct {
	sender *sender
	ends   *time.Time
}

// senderSet is all credentials at one time.
type senderSet struct {
	at        time.Time
	byHash    map[[sha256.Size]byte]hashed
	byID      map[uuid.UUID]*sender
	byCarrier map[string][]*sender // those that sign
}

func over(end *time.Time, now time.Time) bool { return end != nil && !now.Before(*end) }

// state returns nil when the credential may be used.
func (s *sender) state(now time.Time) error {
	switch {
	case s.RevokedAt != nil:
		return ErrRevokedCredential
	case over(s.ExpiresAt, now):
		return ErrExpiredCredential
	default:
		return nil
	}
}

// identity is who sends with the credential.
func (s *sender) identity() Identity {
	id := Identity{
		Subject: "credential:" + s.ID.String(), ClientID: s.Source, Name: s.Name, TenantID: s.TenantID, Roles: s.Roles,
		CredentialID: s.ID.String(), Carrier: s.Carrier, Source: s.Source,
	}
	if s.ExpiresAt != nil {
		id.ExpiresAt = *s.ExpiresAt
	}
	return id.clone()
}

// find returns what pick finds among the credentials, which are read again when they are not fresh or it finds nothing. found is
// false when there is certainly no such credential. Errors wrap ErrCredentialsUnavailable.
func find[T any](ctx context.Context, s *Senders, pick func(*senderSet) (T, bool)) (picked T, found bool, err error) {
	look := func(set *senderSet) bool {
		if set != nil {
			picked, found = pick(set)
		}
		return found
	}
	s.mu.Lock()
	known, now := s.known, s.now()
	age := s.config.MaxStale + 1
	if known != nil {
		age = now.Sub(known.at)
	}
	has := look(known)
	if has && age <= s.config.Freshness || !has && age < unknownInterval {
		s.mu.Unlock()
		return picked, found, nil
	}
	failed := !s.failedAt.IsZero() && now.Sub(s.failedAt) < failedInterval
	r := s.reading
	if r == nil && !failed {
		r = s.read(ctx)
	}
	s.mu.Unlock()

	usable := has && age <= s.config.MaxStale
	if r != nil {
		wait := ctx
		if usable {
			var cancel context.CancelFunc
			wait, cancel = context.WithTimeout(ctx, readPatience)
			defer cancel()
		}
		select {
		case <-r.done:
			if r.err == nil {
				s.mu.Lock()
				known = s.known
				s.mu.Unlock()
				picked, found = pick(known)
				return picked, found, nil
			}
		case <-wait.Done():
		}
	}
	if usable {
		return picked, true, nil
	}
	var none T
	return none, false, ErrCredentialsUnavailable
}

// read begins to read the credentials. The caller holds the mutex.
func (s *Senders) read(ctx context.Context) *reading {
	r := &reading{done: make(chan struct{})}
	s.reading = r
	used := s.used
	if s.now().Sub(s.noted) < useInterval {
		used = nil
	} else {
		s.used, s.noted = map[uuid.UUID]time.Time{}, s.now()
	}
	began := s.now()
	go func() {
		// What is read is everybody's: that the first who asked went away does not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ReadTimeout)
		defer cancel()
		set, err := s.load(ctx)
		s.mu.Lock()
		switch {
		case err != nil:
			if s.failedAt.IsZero() { // say it once an outage
				s.logger.WarnContext(ctx, "cannot read credentials; going on with those that are known", slog.Any("error", err))
			}
			s.failedAt = s.now()
		default:
			// It is as old as the question was, not the answer: what was revoked in between is not in it.
			set.at, s.known, s.failedAt = began, set, time.Time{}
		}
		s.reading, r.err = nil, err
		s.mu.Unlock()
		close(r.done)
		s.note(ctx, used, err)
	}()
	return r
}

// note writes down when credentials were used, or keeps that for the next time.
func (s *Senders) note(ctx context.Context, used map[uuid.UUID]time.Time, err error) {
	if len(used) == 0 {
		return
	}
	if err == nil {
		if err = s.store.NoteCredentialUse(ctx, used); err == nil {
			return
		}
		s.logger.WarnContext(ctx, "cannot note when credentials were used", slog.Any("error", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(used, s.used)
	s.used, s.noted = used, time.Time{}
}

func (s *Senders) load(ctx context.Context) (*senderSet, error) {
	all, err := s.store.Credentials(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("load credentials: %w", err)
	}
	set := &senderSet{
		byHash: map[[sha256.Size]byte]hashed{}, byID: map[uuid.UUID]*sender{}, byCarrier: map[string][]*sender{},
	}
	for _, c := range all {
		one := &sender{Credential: c}
		for _, secret := range c.Secrets {
			switch {
			case len(secret.Hash) == sha256.Size:
				set.byHash[[sha256.Size]byte(secret.Hash)] = hashed{one, secret.EndsAt}
			case s.vault != nil && len(secret.Sealed) > 0:
				key, err := s.vault.open(c.ID, secret.Sealed)
				if err != nil {
					one.broken = true
					continue
				}
				one.keys = append(one.keys, sealedKey{key, secret.EndsAt})
			}
		}
		if c.Kind != store.CredentialHMAC {
			continue
		}
		set.byID[c.ID] = one
		if c.Carrier != "" {
			set.byCarrier[c.Carrier] = append(set.byCarrier[c.Carrier], one)
		}
	}
	return set, nil
}

// touch remembers that a credential was used.
func (s *Senders) touch(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[id] = s.now()
}
