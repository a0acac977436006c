package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	idBytes   = 8
	saltBytes = 16
	// maxKeys bounds a ring: a rotation needs two.
	maxKeys = 16
)

// ErrUnknownMaster says that a key was wrapped by a master key that is not in the ring.
var ErrUnknownMaster = errors.New("the master key that it was wrapped by is not configured")

// Ring is the master keys of a system. The first of them wraps, each of them unwraps what it wrapped: to rotate, put a new one
// first and take the old one away once all is wrapped anew. A Ring is immutable and safe for concurrent use.
type Ring struct{ masters []master }

type master struct {
	id  [idBytes]byte
	key []byte
}

// ParseRing reads master keys: 32 random bytes each, in base64, with commas or white space between them. No error says what the
// text is.
func ParseRing(text string) (*Ring, error) {
	between := func(r rune) bool { return r == ',' || unicode.IsSpace(r) }
	r := &Ring{}
	for field := range strings.FieldsFuncSeq(text, between) {
		number := len(r.masters) + 1
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(field, "="))
		if err != nil || len(key) != KeyBytes {
			return nil, fmt.Errorf("key %d is not %d bytes in base64; `openssl rand -base64 %d` makes one", number, KeyBytes, KeyBytes)
		}
		m := master{id: idOf(key), key: key}
		for _, other := range r.masters {
			if other.id == m.id {
				return nil, fmt.Errorf("key %d stands twice", number)
			}
		}
		if number > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
		r.masters = append(r.masters, m)
	}
	if len(r.masters) == 0 {
		return nil, errors.New("no key")
	}
	return r, nil
}

// NewMaster returns a random master key as ParseRing reads it.
func NewMaster() string {
	key := NewKey()
	return base64.StdEncoding.EncodeToString(key[:])
}

// idOf names a master key without telling it.
func idOf(key []byte) (id [idBytes]byte) {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("rastro master key")) // a hash takes whatever it is given
	copy(id[:], mac.Sum(nil))
	return id
}

// String hides the keys from whoever prints them.
func (r *Ring) String() string { return "(redacted)" }

// Wrap encrypts a data key under the first master key, and binds it to where it belongs.
func (r *Ring) Wrap(key Key, bound []byte) ([]byte, error) {
	m := r.masters[0]
	var salt [saltBytes]byte
	_, _ = rand.Read(salt[:]) // never fails: the program ends before
	wrapping, err := m.derive(salt[:])
	if err != nil {
		return nil, err
	}
	sealed, err := wrapping.Seal(key[:], bound)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{{version}, m.id[:], salt[:], sealed}, nil), nil
}

// Unwrap decrypts what Wrap made, by any of the master keys, with the same bound. The error wraps ErrUnknownMaster or ErrDamaged.
func (r *Ring) Unwrap(wrapped, bound []byte) (Key, error) {
	if len(wrapped) < 1+idBytes+saltBytes || wrapped[0] != version {
		return Key{}, ErrDamaged
	}
	id, rest := wrapped[1:1+idBytes], wrapped[1+idBytes:]
	for _, m := range r.masters {
		if !bytes.Equal(m.id[:], id) {
			continue
		}
		wrapping, err := m.derive(rest[:saltBytes])
		if err != nil {
			return Key{}, err
		}
		plain, err := wrapping.Open(rest[saltBytes:], bound)
		if err != nil {
			return Key{}, err
		}
		if len(plain) != KeyBytes {
			return Key{}, ErrDamaged
		}
		return Key(plain), nil
	}
	return Key{}, fmt.Errorf("%w: it is %s, and configured are %s", ErrUnknownMaster, hex.EncodeToString(id), strings.Join(r.IDs(), ", "))
}

// Current reports whether a key was wrapped by the master key that wraps now.
func (r *Ring) Current(wrapped []byte) bool {
	return len(wrapped) > 1+idBytes && bytes.Equal(wrapped[1:1+idBytes], r.masters[0].id[:])
}

// IDs returns the names of the master keys, which tell nothing of them, the one that wraps first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.masters))
	for i, m := range r.masters {
		ids[i] = hex.EncodeToString(m.id[:])
	}
	return ids
}

// derive returns the key that wraps under a salt.
func (m master) derive(salt []byte) (Key, error) {
	key, err := hkdf.Key(sha256.New, m.key, salt, "rastro data key", KeyBytes)
	if err != nil {
		return Key{}, fmt.Errorf("derive key: %w", err)
	}
	return Key(key), nil
}

// Index returns a digest of a text that tells nothing of it to who does not have the key, for finding what is equal.
func (k Key) Index(bound []byte) []byte {
	mac := hmac.New(sha256.New, k[:])
	_, _ = mac.Write(bound) // a hash takes whatever it is given
	return mac.Sum(nil)
}
