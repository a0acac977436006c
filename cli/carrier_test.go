package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/pipeline"
)

func TestNewCarriersLintAndPass(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "own")
	for _, format := range carriers.Formats() {
		got := runWith(t, options{}, nil, "carrier", "new", "a-"+format, "--format", format, "--config", dir)
		require.Zero(t, got.code, got.failure)
		require.Contains(t, got.out, "rastro carrier test --config "+dir+" a-"+format)
		again := runWith(t, options{}, nil, "carrier", "new", "a-"+format, "--format", format, "--config", dir)
		require.Equal(t, exitFailure, again.code, "nothing is written over")
	}
	got := runWith(t, options{}, nil, "carrier", "lint", "--strict", "--config", dir)
	require.Zero(t, got.code, got.out)
	got = runWith(t, options{}, nil, "carrier", "test", "--config", dir)
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "7 cases, 0 failed\n")
	for args, want := range map[string]string{
		"carrier new x --format epics --config " + dir: `did you mean "epcis"?`,
		"carrier new -x- --config " + dir:              "",
		"carrier new x":                                "--config",
		"carrier new a.b --config " + dir:              "is no carrier's name",
	} {
		got := runWith(t, options{}, nil, strings.Fields(args)...)
		require.Equal(t, exitUsage, got.code, args)
		require.ErrorContains(t, got.failure, want)
	}
}

func TestCarrierLint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := filepath.Join(dir, "carriers", "acme.yaml")
	require.NoError(t, writeNew(own, "carrier: acme\nformt: native\ndefaults: {time_zone: UTC}\n"))
	got := runWith(t, options{}, nil, "carrier", "lint", "--config", dir)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, own+`:2:1: a carrier has no "formt"; did you mean "format"? [unknown-key]`)
	got = runWith(t, options{}, nil, "carrier", "lint", "--json", own)
	require.Equal(t, exitFailure, got.code)
	var findings pipeline.Findings
	require.NoError(t, json.Unmarshal([]byte(got.out), &findings))
	require.Equal(t, []string{"required", "unknown-key"}, []string{findings[0].Code, findings[1].Code})

	require.NoError(t, os.WriteFile(own, []byte("carrier: acme\nformat: native\ndefaults: {time_zone: UTC}\n"), 0o600))
	require.Zero(t, runWith(t, options{}, nil, "carrier", "lint", "--config", dir, "acme").code)
	require.Equal(t, exitFailure, runWith(t, options{}, nil, "carrier", "lint", "--strict", "--config", dir, "acme").code)
	got = runWith(t, options{}, nil, "carrier", "lint", "demo-natve")
	require.Equal(t, exitNotFound, got.code)
	require.ErrorContains(t, got.failure, `did you mean "demo-native"?`)
}

func TestCarrierTest(t *testing.T) {
	t.Parallel()
	got := runWith(t, options{}, nil, "carrier", "test", "--config", "../config")
	require.Zero(t, got.code, got.out)

	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, "carriers", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("acme.yaml", "carrier: acme\nformat: native\n")
	write("tests/acme/one.json", `{"correlation_id":"1","aggregate_id":"1","event_type":"loaded","timestamp":"2026-06-20T10:05:00Z"}`)
	got = runWith(t, options{}, nil, "carrier", "test", "--config", dir)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, "FAIL  acme/one  1 item\n      nothing says what is wanted")
	got = runWith(t, options{}, nil, "carrier", "test", "--config", dir, "--update")
	require.Zero(t, got.code, got.out)
	require.Contains(t, got.out, "ok    acme/one  1 item\n      written\n")
	require.Zero(t, runWith(t, options{}, nil, "carrier", "test", "--config", dir).code)
	write("tests/acme/one.want.ndjson", `{"event_type":"loaded","milestone":"arrived"}`)
	got = runWith(t, options{}, nil, "carrier", "test", "--config", dir)
	require.Equal(t, exitFailure, got.code)
	require.Contains(t, got.out, `item 1: milestone: want "arrived", is "loaded"`)
	require.Equal(t, exitNotFound, runWith(t, options{}, nil, "carrier", "test", "--config", dir, "nobody").code)
	require.Equal(t, exitNotFound, runWith(t, options{}, nil, "carrier", "test", "--config", dir, "--run", "zzz").code)
	require.Equal(t, exitUsage, runWith(t, options{}, nil, "carrier", "test", "--run", "(").code)
}

func TestCarrierList(t *testing.T) {
	t.Parallel()
	got := runWith(t, options{}, nil, "carrier", "list", "-o", "json")
	require.Zero(t, got.code)
	var list []listedCarrier
	require.NoError(t, json.Unmarshal([]byte(got.out), &list))
	require.Len(t, list, 12)
	require.Equal(t, []string{"oidc", "hmac", "api_key"}, list[0].Ways)
	require.Contains(t, runWith(t, options{}, nil, "carrier", "list").out, "demo-epcis")
}

// A process does not start with a carrier that is wrong.
func TestAProcessKnowsItsCarriers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeNew(filepath.Join(dir, "carriers", "acme.yaml"), "carrier: acme\nformat: natve\n"))
	_, _, err := checkedCarriers(configFiles(dir))
	require.ErrorContains(t, err, `acme.yaml:2:9: there is no format "natve"; did you mean "native"?`)
}
