package secrets_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/secrets"
	"github.com/rastrohq/rastro/internal/secrets/secretfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager is an HTTP server that speaks the API of AWS Secrets Manager (JSON 1.1).
type manager struct {
	secrets map[string]string
	hang    chan struct{} // when not nil, requests wait for it

	mu       sync.Mutex
	requests []string // the region that signed, and the id
}

func (m *manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var input struct{ SecretId string } //nolint:revive // AWS's name
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	if m.hang != nil {
		select {
		case <-m.hang:
		case <-r.Context().Done():
		}
		return
	}
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	m.mu.Lock()
	m.requests = append(m.requests, strings.Split(credential, "/")[2]+" "+input.SecretId)
	m.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	answer := map[string]any{"Name": input.SecretId, "SecretString": m.secrets[input.SecretId]}
	if strings.HasPrefix(input.SecretId, "binary") {
		answer = map[string]any{"Name": input.SecretId, "SecretBinary": []byte(m.secrets[input.SecretId])}
	} else if _, ok := m.secrets[input.SecretId]; !ok {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"__type": "ResourceNotFoundException", "message": "Secrets Manager can't find the specified secret."}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (m *manager) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func source(t *testing.T, m *manager, environment map[string]string) *secrets.Source {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := secrets.DefaultConfig()
	c.Lookup = func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
	c.AWS = func(ctx context.Context) (aws.Config, error) {
		loaded, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-west-1"), config.WithBaseEndpoint(server.URL),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKID", "key", "")))
		loaded.HTTPClient = &http.Client{Transport: transport}
		return loaded, err
	}
	c.Timeout = 300 * time.Millisecond
	if m.hang == nil {
		c.Timeout = 10 * time.Second
	}
	return secrets.New(c)
}

func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	s := source(t, &manager{}, map[string]string{"TOKEN": "hunter2", "EMPTY": ""})
	value, err := s.Secret(t.Context(), "env", "TOKEN")
	require.NoError(t, err)
	require.Equal(t, "hunter2", value)
	_, err = s.Secret(t.Context(), "env", "OTHER")
	require.EqualError(t, err, "environment variable OTHER is not set")
	_, set := s.Variable("EMPTY")
	require.True(t, set)
	_, err = s.Secret(t.Context(), "vault", "x")
	require.Error(t, err)
}

func TestSecretsInFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(write("target", "linked\n"), link))
	s := source(t, &manager{}, nil)
	for name, c := range map[string]struct{ path, want, wrong string }{
		"no newline":       {write("a", "hunter2"), "hunter2", ""},
		"a newline":        {write("b", "hunter2\n"), "hunter2", ""},
		"CR LF":            {write("c", "hunter2\r\n"), "hunter2", ""},
		"only one newline": {write("d", "a\nhunter2\n\n"), "a\nhunter2\n", ""},
		"as large as may":  {write("e", strings.Repeat("x", secretfile.MaxBytes)), strings.Repeat("x", secretfile.MaxBytes), ""},
		"a link":           {link, "linked", ""},
		"too large":        {write("f", strings.Repeat("x", secretfile.MaxBytes+1)), "", "has more than 65536 bytes"},
		"none":             {filepath.Join(dir, "none"), "", "no such file"},
		"a folder":         {dir, "", "is not a file"},
		"a pipe":           {pipe, "", "is not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := s.Secret(t.Context(), "file", c.path)
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, value)
		})
	}
}

func TestSecretsOfAWS(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-2:123456789012:secret:db-AbCdEf"
	m := &manager{secrets: map[string]string{
		"plain": "hunter2", "binary": "hunter3", arn: `{"user":"me","password":"hunter4","port":5432,"tls":true,"a":{"b":"deep"},"a.b.c":"dotted"}`,
	}}
	s := source(t, m, nil)
	for name, want := range map[string]string{
		"plain": "hunter2", "binary": "hunter3", arn + "#password": "hunter4", arn + "#port": "5432", arn + "#tls": "true",
		arn + "#a.b": "deep", arn + "#a.b.c": "dotted", arn + "#a": `{"b":"deep"}`,
	} {
		value, err := s.Secret(t.Context(), "aws", name)
		require.NoError(t, err, name)
		require.Equal(t, want, value, name)
	}
	for name, want := range map[string]string{
		"plain#key":        "the secret is not JSON, and has no keys",
		arn + "#none":      `the secret's JSON has no key "none"`,
		arn + "#user.name": `the secret's JSON has no key "user.name"`,
		"missing":          "AWS Secrets Manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
	} {
		for range 2 {
			_, err := s.Secret(t.Context(), "aws", name)
			require.EqualError(t, err, want)
		}
	}
	require.ElementsMatch(t, []string{"eu-west-1 plain", "eu-west-1 binary", "us-east-2 " + arn, "eu-west-1 missing"}, m.asked(),
		"each is asked for once, in its own region")
}

func TestAWSThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m := &manager{hang: make(chan struct{})}
	t.Cleanup(func() { close(m.hang) })
	s := source(t, m, nil)
	_, err := s.Secret(t.Context(), "aws", "slow")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Secret(ended, "aws", "other")
	require.ErrorIs(t, err, context.Canceled)
}
