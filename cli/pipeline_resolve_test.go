package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Lint and plan ask for no secret unless they are told to, and show none even then.
func TestSecretsAreFetchedWhenAsked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "pipelines", "own.yaml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	secret := filepath.Join(dir, "reason")
	writeFile(t, file, "pipeline: own\nfrom: events.ingested\nstages:\n  - use: filter\n    workers: ${WORKERS:3}\n    with:\n"+
		"      keep: event.kind == \"${KIND}\"\n      reason: for ${secret:file:"+secret+"}\n")

	got := runWith(t, options{}, nil, "pipeline", "lint", file)
	require.Equal(t, file+":7:28: environment variable KIND is not set; set it, or write a default: ${KIND:default} [env]\n", got.out)

	env := map[string]string{"KIND": "baggage", "WORKERS": "5"}
	got = runWith(t, options{}, env, "pipeline", "lint", file)
	require.Zero(t, got.code, got.out)
	got = runWith(t, options{}, env, "pipeline", "lint", "--resolve", file)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, file+":8:19: ${secret:file:"+secret+"} cannot be read")
	require.Contains(t, got.out, "[secret]")

	got = runWith(t, options{}, env, "pipeline", "plan", "--config", dir, "own")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "workers: 5")
	require.Contains(t, got.out, `keep: event.kind == "baggage"`)
	require.Contains(t, got.out, "reason: for (redacted)")

	writeFile(t, secret, "hunter2\n")
	require.Zero(t, runWith(t, options{}, env, "pipeline", "lint", "--resolve", file).code)
	got = runWith(t, options{}, env, "pipeline", "plan", "--config", dir, "own", "--redacted=false")
	require.Contains(t, got.out, "reason: for hunter2")
}
