package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/rastrohq/rastro/store"
)

const (
	// apiKeyPrefix begins every API key, for people and for scanners that look for leaked secrets.
	apiKeyPrefix = "rk_"
	// apiKeyShown is how much of an API key is kept to know it by: not enough to guess the rest.
	apiKeyShown = len(apiKeyPrefix) + 6
	// webhookPrefix begins every secret for signatures, as Standard Webhooks has it.
	webhookPrefix = "whsec_"
	// webhookKeyBytes is the length of those that we make; Standard Webhooks asks for 24 to 64.
	webhookKeyBytes = 32
)

// apiKeyForm is what every key looks like that was ever made: rk_ and 160 bits in base 32.
var apiKeyForm = regexp.MustCompile(`^rk_[a-z2-7]{32}$`)

// NewAPIKey makes an API key and what is kept of it.
func NewAPIKey() (key string, kept store.CredentialSecret, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", kept, fmt.Errorf("make API key: %w", err)
	}
	for len(key) < 32 {
		key += strings.ToLower(rand.Text())
	}
	key = apiKeyPrefix + key[:32]
	hash := hashAPIKey(key)
	return key, store.CredentialSecret{ID: id, Prefix: key[:apiKeyShown], Hash: hash[:]}, nil
}

// hashAPIKey needs no salt and no work factor: nobody guesses 160 bits.
func hashAPIKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Vault seals secrets for signatures, which must be known to check with and so cannot be hashed, by AES-256-GCM.
type Vault struct {
	seals cipher.AEAD
	opens []cipher.AEAD // seals first, then those of earlier keys
}

// NewVault makes a vault of a key of MinKeyBytes or more. What was sealed with the previous keys still opens.
func NewVault(key string, previous ...string) (*Vault, error) {
	v := &Vault{}
	for _, secret := range append([]string{key}, previous...) {
		if len(secret) < MinKeyBytes {
			return nil, fmt.Errorf("credentials key of %d bytes; use at least %d random ones", len(secret), MinKeyBytes)
		}
		derived, err := hkdf.Key(sha256.New, []byte(secret), nil, "rastro credentials 1", 32)
		if err != nil {
			return nil, fmt.Errorf("derive credentials key: %w", err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		v.opens = append(v.opens, aead)
	}
	v.seals = v.opens[0]
	return v, nil
}

// NewWebhookSecret makes a secret for the signatures of a credential: as its sender is given it, and as it is kept.
func (v *Vault) NewWebhookSecret(credential uuid.UUID) (secret string, kept store.CredentialSecret, err error) {
	key := make([]byte, webhookKeyBytes)
	_, _ = rand.Read(key) // never fails
	id, err := uuid.NewV7()
	if err != nil {
		return "", kept, fmt.Errorf("make webhook secret: %w", err)
	}
	box := v.seals.Seal(nil, nil, key, credential[:]) //nolint:gosec // no nonce is given: this AEAD draws its own
	return webhookPrefix + base64.StdEncoding.EncodeToString(key), store.CredentialSecret{ID: id, Sealed: box}, nil
}

// open returns the key of a secret. It opens for the credential only that it was made for.
func (v *Vault) open(credential uuid.UUID, sealed []byte) ([]byte, error) {
	for _, aead := range v.opens {
		if key, err := aead.Open(nil, nil, sealed, credential[:]); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("open secret of credential %s: %w", credential, errSeal)
}
