package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/tracking"
)

// ErrNoPersonalKey says that there is personal data, and no master key to seal or open it with. Nothing of it is stored in plain.
var ErrNoPersonalKey = errors.New("there is personal data, and no master key to keep it by: set RASTRO_PERSONAL_KEY")

// Where data keys and what they seal belong: whatever was moved elsewhere does not open.
func boundIndex(tenant string) []byte { return seal.Bind("index key", tenant) }

func boundKey(tenant string, key uuid.UUID) []byte {
	return seal.Bind("subject key", tenant, key.String())
}

func boundEvent(tenant string, uid, key uuid.UUID) []byte {
	return seal.Bind("event", tenant, uid.String(), key.String())
}

func boundLetter(l DeadLetter, key uuid.UUID) []byte {
	return seal.Bind("letter", storable(l.TenantID), l.UID.String(), storable(l.Pipeline), storable(l.Stage), key.String())
}

// indexes holds the keys by which tenants' subjects are found. They open nothing, and so may be kept.
type indexes struct {
	mu   sync.Mutex
	keys map[string]seal.Key
}

// maxIndexes bounds what is kept.
const maxIndexes = 10_000

func (x *indexes) get(tenant string) (seal.Key, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key, ok := x.keys[tenant]
	return key, ok
}

func (x *indexes) put(tenant string, key seal.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.keys == nil || len(x.keys) >= maxIndexes {
		x.keys = map[string]seal.Key{}
	}
	x.keys[tenant] = key
}

// index returns the key by which a tenant's subjects are found, and makes it when there is none if make says so; found is false
// when there is none.
func (s *Store) index(ctx context.Context, tenant string, create bool) (key seal.Key, found bool, err error) {
	ring := s.config.PersonalKeys
	if ring == nil {
		return seal.Key{}, false, ErrNoPersonalKey
	}
	if key, found = s.indexes.get(tenant); found {
		return key, true, nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	var wrapped []byte
	if create {
		fresh, err := ring.Wrap(seal.NewKey(), boundIndex(tenant))
		if err != nil {
			return seal.Key{}, false, fmt.Errorf("make index key: %w", err)
		}
		if _, err := s.pool.Exec(ctx, "INSERT INTO personal_indexes (tenant_id, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING", tenant, fresh); err != nil {
			return seal.Key{}, false, fmt.Errorf("make index key: %w", err)
		}
	}
	err = s.pool.QueryRow(ctx, "SELECT wrapped FROM personal_indexes WHERE tenant_id = $1", tenant).Scan(&wrapped)
	if errors.Is(err, pgx.ErrNoRows) {
		return seal.Key{}, false, nil
	}
	if err != nil {
		return seal.Key{}, false, fmt.Errorf("read index key: %w", err)
	}
	if key, err = ring.Unwrap(wrapped, boundIndex(tenant)); err != nil {
		return seal.Key{}, false, fmt.Errorf("open index key of tenant %s: %w", tenant, err)
	}
	s.indexes.put(tenant, key)
	return key, true, nil
}

// subjectID is a subject: a digest under its tenant's index key.
type subjectID struct{ tenant, subject string }

// person is a subject, and the key to seal by.
type person struct {
	subjectID
	// latest is when the last was received of what is to be sealed.
	latest time.Time
	// key is the live key; zero when there is none.
	key  seal.Key
	id   uuid.UUID
	gone goneKey // the key that was destroyed last
}

type goneKey struct {
	id uuid.UUID
	at time.Time
}

// people are the subjects of what is stored together. Keys are read with what is stored and are not kept: one that is destroyed
// seals and opens nothing from then on, in any process. A nil people is nobody.
type people struct {
	ring *seal.Ring
	all  map[subjectID]*person
	of   map[uuid.UUID]*person // by the uid of the event
}

// holder is one event's personal data.
type holder struct {
	uid      uuid.UUID
	tenant   string
	received time.Time
	personal *tracking.Personal
}

// peopleOf finds the subjects of what is to be stored.
func (s *Store) peopleOf(ctx context.Context, holders []holder) (*people, error) {
	var p *people
	for _, h := range holders {
		if !h.personal.Held() {
			continue
		}
		if p == nil {
			p = &people{ring: s.config.PersonalKeys, all: map[subjectID]*person{}, of: map[uuid.UUID]*person{}}
		}
		index, _, err := s.index(ctx, h.tenant, true)
		if err != nil {
			return nil, err
		}
		id := subjectID{h.tenant, string(index.Index([]byte(h.personal.Subject)))}
		if p.all[id] == nil {
			p.all[id] = &person{subjectID: id}
		}
		if h.received.After(p.all[id].latest) {
			p.all[id].latest = h.received
		}
		p.of[h.uid] = p.all[id]
	}
	return p, nil
}

// Keys are made in the order of their subjects, before anything else is locked, so that nobody waits in a circle. What was received
// before its subject was forgotten does not make it another key.
const (
	makeSubjectKeys = `
INSERT INTO subject_keys (id, tenant_id, subject, wrapped)
SELECT id, tenant_id, subject, wrapped
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::timestamptz[]) AS k (id, tenant_id, subject, wrapped, latest)
WHERE NOT EXISTS (SELECT FROM subject_keys d WHERE d.tenant_id = k.tenant_id AND d.subject = k.subject AND d.destroyed_at >= k.latest)
ORDER BY tenant_id COLLATE "C", subject
ON CONFLICT DO NOTHING`

	readSubjectKeys = `
SELECT k.tenant_id, k.subject, k.id, k.wrapped, k.destroyed_at
FROM subject_keys k JOIN unnest($1::text[], $2::bytea[]) AS s (tenant_id, subject) USING (tenant_id, subject)
ORDER BY k.destroyed_at NULLS LAST`
)

// queue adds to a batch, within a transaction, that the keys are made which are missing, and that all are read.
func (p *people) queue(batch *pgx.Batch) error {
	if p == nil {
		return nil
	}
	all := make([]*person, 0, len(p.all))
	for _, one := range p.all {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *person) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.subject, b.subject))
	})
	ids, wrapped := make([]uuid.UUID, len(all)), make([][]byte, len(all))
	for i, one := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("identify key: %w", err)
		}
		ids[i] = id
		if wrapped[i], err = p.ring.Wrap(seal.NewKey(), boundKey(one.tenant, id)); err != nil {
			return fmt.Errorf("wrap key: %w", err)
		}
	}
	tenants := column(all, func(one *person) string { return one.tenant })
	subjects := column(all, func(one *person) []byte { return []byte(one.subject) })
	batch.Queue(makeSubjectKeys, ids, tenants, subjects, wrapped, column(all, func(one *person) time.Time { return one.latest }))
	batch.Queue(readSubjectKeys, tenants, subjects).Query(p.read)
	return nil
}

func (p *people) read(rows pgx.Rows) error {
	var tenant string
	var subject, wrapped []byte
	var id uuid.UUID
	var destroyed *time.Time
	_, err := pgx.ForEachRow(rows, []any{&tenant, &subject, &id, &wrapped, &destroyed}, func() (err error) {
		one := p.all[subjectID{tenant, string(subject)}]
		if destroyed != nil {
			one.gone = goneKey{id, *destroyed}
			return nil
		}
		one.id = id
		if one.key, err = p.ring.Unwrap(wrapped, boundKey(tenant, id)); err != nil {
			return fmt.Errorf("open key %s: %w", id, err)
		}
		return nil
	})
	return err
}

// seal encrypts personal data under the key of its subject. It gives nothing for what was received before its subject was forgotten.
func (p *people) seal(h holder, bound func(key uuid.UUID) []byte) (key uuid.UUID, sealed []byte, err error) {
	one := p.of[h.uid]
	if !one.gone.at.IsZero() && !h.received.After(one.gone.at) || one.id == uuid.Nil {
		return one.gone.id, []byte{}, nil
	}
	plain, err := cbor.Marshal(h.personal)
	if err != nil {
		return uuid.UUID{}, nil, fmt.Errorf("encode personal data: %w", err)
	}
	sealed, err = one.key.Seal(plain, bound(one.id))
	return one.id, sealed, err
}

func holderOf(row eventRow) holder {
	return holder{uid: row.UID, tenant: row.TenantID, received: row.ReceivedAt, personal: row.Personal}
}

const insertPersonal = `
INSERT INTO personal_data (uid, tenant_id, key_id, sealed)
SELECT uid, tenant_id, key_id, sealed FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[]) AS p (uid, tenant_id, key_id, sealed)
ORDER BY uid`

// store adds to a batch, within the transaction, that the personal data of the events is stored that are new.
func (p *people) store(batch *pgx.Batch, rows []eventRow, inserted map[uuid.UUID]bool) error {
	if p == nil {
		return nil
	}
	var uids, keys []uuid.UUID
	var tenants []string
	var all [][]byte
	for _, row := range rows {
		if p.of[row.UID] == nil || !inserted[row.UID] {
			continue
		}
		key, sealed, err := p.seal(holderOf(row), func(key uuid.UUID) []byte { return boundEvent(row.TenantID, row.UID, key) })
		if err != nil {
			return fmt.Errorf("seal personal data of event %s: %w", row.UID, err)
		}
		uids, tenants, keys, all = append(uids, row.UID), append(tenants, row.TenantID), append(keys, key), append(all, sealed)
	}
	if len(uids) > 0 {
		batch.Queue(insertPersonal, uids, tenants, keys, all)
	}
	return nil
}

// letterPersonal is the sealed personal data of a letter.
type letterPersonal struct {
	key    string
	sealed []byte
}

// sealLetters opens the transaction that letters are stored in when some have personal data, and seals it.
func (p *people) sealLetters(letters []DeadLetter) ([]letterPersonal, error) {
	all := make([]letterPersonal, len(letters))
	for i, l := range letters {
		if p == nil || !l.Personal.Held() {
			continue
		}
		key, sealed, err := p.seal(l.holder(), func(key uuid.UUID) []byte { return boundLetter(l, key) })
		if err != nil {
			return nil, fmt.Errorf("seal personal data of dead letter of event %s: %w", l.UID, err)
		}
		all[i] = letterPersonal{key.String(), sealed}
	}
	return all, nil
}

func (d DeadLetter) holder() holder {
	ms := binary.BigEndian.Uint64(append([]byte{0, 0}, d.UID[:6]...))                                                  // RFC 9562, section 5.7
	return holder{uid: d.UID, tenant: storable(d.TenantID), received: time.UnixMilli(int64(ms)), personal: d.Personal} //nolint:gosec // 48 bits
}

// openLetters gives letters the personal data that was sealed with them. That of a subject which was forgotten stays away.
func (s *Store) openLetters(ctx context.Context, letters []Letter) error {
	var ids []uuid.UUID
	for _, l := range letters {
		if l.personalKey != nil {
			ids = append(ids, *l.personalKey)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	ring := s.config.PersonalKeys
	if ring == nil {
		return ErrNoPersonalKey
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT id, wrapped FROM subject_keys WHERE id = ANY($1::uuid[]) AND destroyed_at IS NULL", ids)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	live := map[uuid.UUID][]byte{}
	var id uuid.UUID
	var wrapped []byte
	if _, err := pgx.ForEachRow(rows, []any{&id, &wrapped}, func() error { live[id] = bytes.Clone(wrapped); return nil }); err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	for i := range letters {
		l := &letters[i]
		if l.personalKey == nil || live[*l.personalKey] == nil || len(l.personal) == 0 {
			continue
		}
		bound := boundLetter(DeadLetter{UID: l.UID, TenantID: l.TenantID, Pipeline: l.Pipeline, Stage: l.Stage}, *l.personalKey)
		l.Personal, l.PersonalError = openPersonal(ring, l.TenantID, *l.personalKey, live[*l.personalKey], l.personal, bound)
	}
	return nil
}

func openPersonal(ring *seal.Ring, tenant string, id uuid.UUID, wrapped, sealed, bound []byte) (*tracking.Personal, error) {
	key, err := ring.Unwrap(wrapped, boundKey(tenant, id))
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", id, err)
	}
	plain, err := key.Open(sealed, bound)
	if err != nil {
		return nil, fmt.Errorf("open personal data: %w", err)
	}
	var p tracking.Personal
	if err := cbor.Unmarshal(plain, &p); err != nil {
		return nil, fmt.Errorf("decode personal data: %w", err)
	}
	return &p, nil
}
