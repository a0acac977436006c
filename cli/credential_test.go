package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
)

func TestCredentialsAreMadeRotatedAndRevoked(t *testing.T) {
	url := databases.URL(t)
	process, err := config.Default()
	require.NoError(t, err)
	process.Database.URL = url
	require.NoError(t, setUp(t.Context(), process))
	t.Setenv("RASTRO_DATABASE_URL", url)
	run := func(args ...string) (string, error) {
		t.Helper()
		var out bytes.Buffer
		cmd := newRootCommand(options{}, processStreams())
		cmd.SetArgs(append([]string{"credential"}, args...))
		cmd.SetOut(&out)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}

	_, err = run("create", "--tenant", "talma-pe", "--kind", "hmac")
	require.ErrorContains(t, err, "RASTRO_CREDENTIALS_KEY is not set")
	t.Setenv("RASTRO_CREDENTIALS_KEY", strings.Repeat("k", 32))
	_, err = run("create", "--tenant", "nobody")
	require.Equal(t, exitNotFound, exitCode(err))
	_, err = run("create", "--tenant", "talma-pe", "--kind", "password")
	require.Equal(t, exitUsage, exitCode(err))

	for kind, prefix := range map[string]string{"api-key": "rk_", "hmac": "whsec_"} {
		text, err := run("create", "--tenant", "talma-pe", "--kind", kind, "--carrier", "latam", "-o", "json")
		require.NoError(t, err)
		var first, second made
		require.NoError(t, json.Unmarshal([]byte(text), &first))
		require.True(t, strings.HasPrefix(first.Secret, prefix))
		require.Equal(t, "latam", first.Source)
		id := first.ID.String()
		text, err = run("rotate", id, "--grace", "1h", "-o", "json")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal([]byte(text), &second))
		require.NotEqual(t, first.Secret, second.Secret)
		require.Len(t, second.Secrets, 2)
		_, err = run("revoke", id)
		require.NoError(t, err)
		_, err = run("rotate", id)
		require.ErrorIs(t, err, store.ErrRevoked)
		text, err = run("list", "--tenant", "talma-pe")
		require.NoError(t, err)
		require.Contains(t, text, id)
		require.Contains(t, text, "revoked")
		require.NotContains(t, text, first.Secret)
		require.NotContains(t, text, second.Secret)
	}
	_, err = run("revoke", "01890f4e-8c5a-7cc0-9e3f-1a2b3c4d5e6f")
	require.Equal(t, exitNotFound, exitCode(err))
}
