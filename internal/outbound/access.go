package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Access is how to present oneself to a service. It is meant to be inlined into the config of a stage.
type Access struct {
	Headers  map[string]string `yaml:"headers,omitempty" doc:"Headers to send with every request." secret:"true"`
	Token    string            `yaml:"token,omitempty" doc:"The bearer token to send (RFC 6750)." secret:"true"`
	User     string            `yaml:"user,omitempty" doc:"The user to sign in as (basic authentication, RFC 7617); needs a password."`
	Password string            `yaml:"password,omitempty" doc:"The password of the user." secret:"true"`
	TLS      *TLS              `yaml:"tls,omitempty" doc:"How the service and the caller prove who they are, if not by the certificates of the system."`
}

// TLS is how the two ends of a connection prove who they are.
type TLS struct {
	CA   string `yaml:"ca,omitempty" doc:"The file with the certificates that the service's must be signed by (PEM)."`
	Cert string `yaml:"cert,omitempty" doc:"The file with the caller's own certificate (PEM)."`
	Key  string `yaml:"key,omitempty" doc:"The file with the key of the caller's certificate (PEM)."`
}

// reserved are headers that are made for each request.
var reserved = []string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer"}

// Validate reports what is wrong. Its messages begin with the key that they are about, and never quote a secret.
func (a Access) Validate() error {
	for name, value := range a.Headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			return fmt.Errorf("headers: %q cannot be the name of a header", name)
		case !isFieldValue(value):
			return fmt.Errorf("headers: the value of %s has characters that no header can have", name)
		case slices.Contains(reserved, canonical):
			return fmt.Errorf("headers: %s is set for each request; leave it out", name)
		case canonical == "Authorization" && (a.Token != "" || a.User != ""):
			return errors.New("headers: there is Authorization besides token or user; write one of them")
		}
	}
	switch {
	case a.Token != "" && a.User != "":
		return errors.New("token: there is a user as well; write one of the two")
	case !isFieldValue(a.Token):
		return errors.New("token: it has characters that no header can have, such as the end of a line")
	case a.User == "" && a.Password != "":
		return errors.New("password: there is no user that it belongs to")
	case strings.Contains(a.User, ":"):
		return errors.New("user: a colon cannot be part of a user's name")
	}
	if a.TLS != nil {
		return a.TLS.validate()
	}
	return nil
}

// isToken reports whether text can be the name of a header (RFC 9110, 5.6.2).
func isToken(text string) bool {
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

// isFieldValue reports whether text can be the value of a header (RFC 9110, 5.5).
func isFieldValue(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

func (t TLS) validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("tls: cert and key belong together")
	}
	for _, path := range []string{t.CA, t.Cert, t.Key} {
		if path != "" && !fs.ValidPath(path) {
			return fmt.Errorf("tls: %q is not a path below the configuration's folder", path)
		}
	}
	return nil
}

// ValidateURL reports what is wrong with the address of a service. The message does not quote it.
func ValidateURL(raw string) error {
	if raw == "" {
		return errors.New("say which service to call, for example https://example.com/path")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("it is not an address; write for example https://example.com/path")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it must begin with https:// or http://")
	case u.Hostname() == "":
		return errors.New("it names no host; write for example https://example.com/path")
	case u.User != nil:
		return errors.New("credentials in an address show up in logs; write user and password beside it")
	case u.Fragment != "":
		return errors.New("what stands behind # is never sent; leave it out")
	}
	return nil
}

// config reads the files that t names.
func (t *TLS) config(files fs.FS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return config, nil
	}
	if files == nil && *t != (TLS{}) {
		return nil, errors.New("tls: there are no files to read")
	}
	if t.CA != "" {
		pem, err := fs.ReadFile(files, t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: read certificates: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := fs.ReadFile(files, t.Cert)
		if err != nil {
			return nil, fmt.Errorf("tls: read certificate: %w", err)
		}
		key, err := fs.ReadFile(files, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls: read key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("tls: %s and %s: %w", t.Cert, t.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
