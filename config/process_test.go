package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
)

func TestDefaultsHoldWhateverTheEnvironmentSays(t *testing.T) {
	t.Setenv("RASTRO_LISTEN", "1.2.3.4:5")
	process, err := config.Default()
	require.NoError(t, err)
	require.Equal(t, ":8080", process.Listen)
	require.Equal(t, 10*time.Second, process.Ingest.Timeout)
	require.Equal(t, []string{"realm_access.roles", "roles"}, process.Identity.RoleClaims)
}

func TestTheEnvironmentIsRead(t *testing.T) {
	process, err := config.FromEnvironment([]string{
		"RASTRO_LISTEN=:9000", "RASTRO_INGEST_TIMEOUT=3s", "RASTRO_OIDC_ROLE_CLAIMS=groups,roles", "RASTRO_DATABASE_MAX_CONNS=40",
	})
	require.NoError(t, err)
	require.Equal(t, ":9000", process.Listen)
	require.Equal(t, 3*time.Second, process.Ingest.Timeout)
	require.Equal(t, []string{"groups", "roles"}, process.Identity.RoleClaims)
	require.EqualValues(t, 40, process.Database.MaxConns)
}

func TestWhatNoProcessCouldWorkWithIsNamed(t *testing.T) {
	for setting, want := range map[string]string{
		"RASTRO_DATABASE_MAX_CONNS=1":             "RASTRO_DATABASE_MAX_CONNS is 1",
		"RASTRO_DATABASE_AUTH=kerberos":           `RASTRO_DATABASE_AUTH is "kerberos"`,
		"RASTRO_DATABASE_MAX_CONN_LIFETIME=0s":    "RASTRO_DATABASE_MAX_CONN_LIFETIME is 0s",
		"RASTRO_DATABASE_READ_MAX_LAG=1ms":        "RASTRO_DATABASE_READ_MAX_LAG is 1ms",
		"RASTRO_DATABASE_READ_URL=postgres://r/d": "RASTRO_DATABASE_READ_URL is set without RASTRO_DATABASE_URL",
		"RASTRO_DATABASE_MAX_CONNS=many":          "many",
		"RASTRO_INGEST_MAX_BODY_BYTES=10":         "RASTRO_INGEST_MAX_BODY_BYTES is 10",
		"RASTRO_INGEST_MAX_EVENTS=0":              "RASTRO_INGEST_MAX_EVENTS is 0",
		"RASTRO_INGEST_MAX_EVENT_BYTES=1":         "RASTRO_INGEST_MAX_EVENT_BYTES is 1",
		"RASTRO_INGEST_TIMEOUT=0s":                "RASTRO_INGEST_TIMEOUT is 0s",
		"RASTRO_SHUTDOWN_TIMEOUT=-1s":             "RASTRO_SHUTDOWN_TIMEOUT is -1s",
		"RASTRO_SESSION_KEY=short":                "RASTRO_SESSION_KEY has 5 characters",
		"RASTRO_LOG_FORMAT=xml":                   `RASTRO_LOG_FORMAT is "xml"`,
		"RASTRO_LOG_LEVEL=loud":                   `RASTRO_LOG_LEVEL is "loud"`,
	} {
		_, err := config.FromEnvironment([]string{setting})
		require.ErrorContains(t, err, want, setting)
	}
}

func TestSecretsMayBeInFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte("postgres://rastro:hunter2@db/rastro\n"), 0o600))
	process, err := config.FromEnvironment([]string{"RASTRO_DATABASE_URL_FILE=" + file, "RASTRO_SESSION_KEY_FILE="})
	require.NoError(t, err)
	require.Equal(t, "postgres://rastro:hunter2@db/rastro", process.Database.URL)

	_, err = config.FromEnvironment([]string{"RASTRO_DATABASE_URL_FILE=" + file, "RASTRO_DATABASE_URL=x", "RASTRO_NATS_URL_FILE=/nowhere/url"})
	require.ErrorContains(t, err, "RASTRO_DATABASE_URL and RASTRO_DATABASE_URL_FILE are both set")
	require.ErrorContains(t, err, "RASTRO_NATS_URL_FILE: read secret: stat /nowhere/url")
	require.NotContains(t, err.Error(), "hunter2")

	// What is no secret is not read from files.
	process, err = config.FromEnvironment([]string{"RASTRO_LISTEN_FILE=" + file})
	require.NoError(t, err)
	require.Equal(t, ":8080", process.Listen)

	var help strings.Builder
	require.NoError(t, config.WriteHelp(&help))
	for _, name := range []string{"RASTRO_DATABASE_URL", "RASTRO_DATABASE_READ_URL", "RASTRO_NATS_URL", "RASTRO_OIDC_CLIENT_SECRET", "RASTRO_SESSION_KEY", "RASTRO_PERSONAL_KEY"} {
		require.Contains(t, help.String(), "or "+name+"_FILE: the file that holds it")
	}
	require.Equal(t, 8, strings.Count(help.String(), "_FILE: the file that holds it"))
}

func TestMetricsHaveAnAddressOfTheirOwnOrThatOfTheAPI(t *testing.T) {
	for address, wrong := range map[string]string{
		"": "", ":9464": "", "127.0.0.1:9464": "", "9464": "RASTRO_METRICS_LISTEN is \"9464\"; it is HOST:PORT or :PORT", ":8080": "as RASTRO_LISTEN is",
	} {
		process, err := config.Default()
		require.NoError(t, err)
		process.MetricsListen = address
		if err = process.Validate(); wrong == "" {
			require.NoError(t, err, address)
		} else {
			require.ErrorContains(t, err, wrong)
		}
	}
}

// Every variable has its line in the help, with what it is for.
func TestHelpListsEveryVariable(t *testing.T) {
	var help strings.Builder
	require.NoError(t, config.WriteHelp(&help))
	lines := map[string]string{}
	for line := range strings.Lines(help.String()) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[name] = strings.TrimSpace(text)
	}
	var walk func(reflect.Type) int
	walk = func(in reflect.Type) int {
		n := 0
		for i := range in.NumField() {
			field := in.Field(i)
			name, ok := field.Tag.Lookup("env")
			if !ok {
				n += walk(field.Type)
				continue
			}
			n++
			require.NotEmpty(t, lines[name], name)
			if value := field.Tag.Get("envDefault"); value != "" {
				require.Contains(t, lines[name], "(default "+value+")")
			}
		}
		return n
	}
	require.Equal(t, len(lines), walk(reflect.TypeFor[config.Process]()))
	require.Greater(t, len(lines), 20)
}
