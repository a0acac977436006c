package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// MinKeyBytes is the least length of the secret that session cookies are sealed with.
const MinKeyBytes = 32

var errSeal = errors.New("not sealed by us")

// sealer seals values into cookies by AES-256-GCM with random nonces. Every purpose is its own: what was sealed as one
// thing does not open as another.
type sealer struct {
	seals cipher.AEAD
	opens []cipher.AEAD // seals first, then those of earlier keys
}

func newSealer(key []byte, previous [][]byte) (*sealer, error) {
	s := &sealer{}
	for _, secret := range append([][]byte{key}, previous...) {
		if len(secret) < MinKeyBytes {
			return nil, fmt.Errorf("session key of %d bytes; use at least %d random ones", len(secret), MinKeyBytes)
		}
		derived, err := hkdf.Key(sha256.New, secret, nil, "rastro session cookies 1", 32)
		if err != nil {
			return nil, fmt.Errorf("derive session key: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		s.opens = append(s.opens, aead)
	}
	s.seals = s.opens[0]
	return s, nil
}

func (s *sealer) seal(purpose string, value any) (string, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	box := s.seals.Seal(nil, nil, plain, []byte(purpose)) //nolint:gosec // no nonce is given: this AEAD draws its own
	return base64.RawURLEncoding.EncodeToString(box), nil
}

func (s *sealer) open(purpose, sealed string, into any) error {
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return fmt.Errorf("open %s: %w", purpose, errSeal)
	}
	for _, aead := range s.opens {
		plain, err := aead.Open(nil, nil, data, []byte(purpose))
		if err != nil {
			continue
		}
		if err := json.Unmarshal(plain, into); err != nil {
			return fmt.Errorf("open %s: %w", purpose, err)
		}
		return nil
	}
	return fmt.Errorf("open %s: %w", purpose, errSeal)
}
