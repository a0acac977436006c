package config_test

import (
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
		"RASTRO_DATABASE_MAX_CONNS=1":     "RASTRO_DATABASE_MAX_CONNS is 1",
		"RASTRO_DATABASE_MAX_CONNS=many":  "many",
		"RASTRO_INGEST_MAX_BODY_BYTES=10": "RASTRO_INGEST_MAX_BODY_BYTES is 10",
		"RASTRO_INGEST_MAX_EVENTS=0":      "RASTRO_INGEST_MAX_EVENTS is 0",
		"RASTRO_INGEST_MAX_EVENT_BYTES=1": "RASTRO_INGEST_MAX_EVENT_BYTES is 1",
		"RASTRO_INGEST_TIMEOUT=0s":        "RASTRO_INGEST_TIMEOUT is 0s",
		"RASTRO_SHUTDOWN_TIMEOUT=-1s":     "RASTRO_SHUTDOWN_TIMEOUT is -1s",
		"RASTRO_SESSION_KEY=short":        "RASTRO_SESSION_KEY has 5 characters",
		"RASTRO_LOG_FORMAT=xml":           `RASTRO_LOG_FORMAT is "xml"`,
		"RASTRO_LOG_LEVEL=loud":           `RASTRO_LOG_LEVEL is "loud"`,
	} {
		_, err := config.FromEnvironment([]string{setting})
		require.ErrorContains(t, err, want, setting)
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
