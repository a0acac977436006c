package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// KeyBytes is the length of every key: that of AES-256.
const KeyBytes = 32

// version begins all that is sealed or wrapped, so that another form can follow.
const version = 1

// ErrDamaged says that what is to be opened was changed, was sealed under another key, or belongs elsewhere.
var ErrDamaged = errors.New("the sealed data was changed or belongs elsewhere")

// Key is a data key.
type Key [KeyBytes]byte

// NewKey returns a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails: the program ends before
	return k
}

// String hides the key from whoever prints it.
func (Key) String() string { return "(redacted)" }

// GoString hides the key from whoever prints it.
func (Key) GoString() string { return "(redacted)" }

// Seal encrypts a text and binds it to where it belongs.
func (k Key) Seal(plain, bound []byte) ([]byte, error) {
	aead, err := gcm(k[:])
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{version}, nil, plain, bound), nil //nolint:gosec // the nonce is random: NewGCMWithRandomNonce takes none
}

// Open decrypts what Seal made with the same key and bound. Any other error than ErrDamaged says that the key is no key.
func (k Key) Open(sealed, bound []byte) ([]byte, error) {
	aead, err := gcm(k[:])
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrDamaged
	}
	plain, err := aead.Open(nil, nil, sealed[1:], bound)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("prepare cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("prepare cipher: %w", err)
	}
	return aead, nil
}

// Bind returns texts as one, such that no other sequence of texts gives the same.
func Bind(parts ...string) []byte {
	var bound []byte
	for _, part := range parts {
		bound = append(binary.AppendUvarint(bound, uint64(len(part))), part...)
	}
	return bound
}
