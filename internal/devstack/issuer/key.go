package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	keyBits  = 2048
	pemBlock = "PRIVATE KEY"
)

// signingKey implements op.SigningKey.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) ID() string                                  { return k.id }

// publicKey implements op.Key.
type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.private.PublicKey }

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publicKey{}
)

// loadKey reads the key in file, or makes one and keeps it there. With no file it only makes one.
func loadKey(file string) (signingKey, error) {
	if file != "" {
		data, err := os.ReadFile(file) //nolint:gosec // the path is the operator's configuration
		switch {
		case err == nil:
			return parseKey(file, data)
		case !errors.Is(err, fs.ErrNotExist):
			return signingKey{}, fmt.Errorf("read signing key: %w", err)
		}
	}
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return signingKey{}, fmt.Errorf("make signing key: %w", err)
	}
	if file != "" {
		if err := writeKey(file, private); err != nil {
			return signingKey{}, err
		}
	}
	return newKey(private)
}

func parseKey(file string, data []byte) (signingKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemBlock {
		return signingKey{}, fmt.Errorf("signing key %s holds no PEM block %q; delete it, and a new key is made", file, pemBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, fmt.Errorf("parse signing key %s: %w", file, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return signingKey{}, fmt.Errorf("signing key %s is a %T, not an RSA key; delete it, and a new key is made", file, parsed)
	}
	return newKey(private)
}

// writeKey writes beside the file and renames, so that a crash never leaves half a key.
func writeKey(file string, private *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encode signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make folder of signing key: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write signing key: %w", err)
	}
	err = pem.Encode(temp, &pem.Block{Type: pemBlock, Bytes: der})
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write signing key: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// newKey names the key by its thumbprint (RFC 7638): the same key has the same id after a restart, another has another.
func newKey(private *rsa.PrivateKey) (signingKey, error) {
	jwk := jose.JSONWebKey{Key: &private.PublicKey}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, fmt.Errorf("name signing key: %w", err)
	}
	return signingKey{id: base64.RawURLEncoding.EncodeToString(thumbprint), private: private}, nil
}
