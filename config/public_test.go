package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
)

func TestFilesAreCheckedWithoutSecrets(t *testing.T) {
	environment := map[string]string{
		"RASTRO_SHUTDOWN_TIMEOUT": "5s", "RASTRO_SESSION_KEY": "short", "RASTRO_DATABASE_URL_FILE": "/no/such/file",
	}
	lookup := func(name string) (string, bool) { value, set := environment[name]; return value, set }
	process, err := config.WithoutSecrets(lookup)
	require.NoError(t, err)
	require.Equal(t, "5s", process.ShutdownTimeout.String())
	require.Empty(t, process.Identity.SessionKey)
	require.Equal(t, 131072, process.Ingest.MaxEventBytes, "what is not set has its default")

	environment["RASTRO_SHUTDOWN_TIMEOUT"] = "-1s"
	_, err = config.WithoutSecrets(lookup)
	require.ErrorContains(t, err, "RASTRO_SHUTDOWN_TIMEOUT is -1s")
}
