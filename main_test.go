package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/rastrohq/rastro"

// rooms are the rooms of the house, each on its floor. A room imports only from floors below its own, and rooms of one floor
// do not know each other; a room is a folder with all below it, and the longest match counts.
var rooms = map[string]float64{
	"":                        6, // main.go
	"cli":                     5,
	"api/ingest":              4,
	"api/query":               4,
	"api/ops":                 4,
	"api/live":                4,
	"api/dashboard":           4,
	"api/reference":           4,
	"api/auth":                3.5,
	"api/problem":             3.2,
	"api/conditional":         3.2,
	"stages":                  3,
	"routers":                 3,
	"pipeline/trial":          2.5,
	"pipeline":                2,
	"store":                   2,
	"internal/telemetry":      2,
	"internal/devstack":       2,
	"internal/outbound":       2,   // HTTP calls with limits, for stages
	"internal/bench":          5.5, // drives the binary and the public API alike
	"internal/chaos":          5.5, // drives the binary and kills it
	"tracking/formats/mapped": 2.5, // formats that a mapping of the pipelines' expressions decodes
	"carriers":                2.7, // carriers as they are configured, each with the decoder of its format
	"tracking":                1,
	"config":                  1,
	"dashboard":               1,
	"internal/crash":          0, // points where a binary built for chaos kills itself
	"internal/cborwire":       0, // single items of CBOR, for hot paths
	"internal/quantiles":      0,
	"internal/secrets":        0,
	"internal/seal":           0, // encryption under keys that can be destroyed
	"internal/jsonedit":       0, // JSON changed in place
	"internal/suggest":        0,
}

// roomOf returns the room that a package of the module lies in.
func roomOf(pkg string) (room string, floor float64, err error) {
	path := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
	for prefix := path; ; prefix = prefix[:max(0, strings.LastIndex(prefix, "/"))] {
		if floor, ok := rooms[prefix]; ok && (prefix != "" || path == "") {
			return prefix, floor, nil
		}
		if prefix == "" {
			return "", 0, fmt.Errorf("%s lies in no room: put it in one, or give the house a new one", pkg)
		}
	}
}

func checkImport(from, to string) error {
	fromRoom, fromFloor, err := roomOf(from)
	if err != nil {
		return err
	}
	toRoom, toFloor, err := roomOf(to)
	if err != nil {
		return err
	}
	if fromRoom != toRoom && toFloor >= fromFloor {
		return fmt.Errorf("%s (floor %g) imports %s (floor %g): a room imports only from floors below its own", from, fromFloor, to, toFloor)
	}
	return nil
}

func TestRoomsImportOnlyDownwards(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	packages := 0
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for _, imported := range pkg.Imports {
			if strings.HasPrefix(imported, module) {
				if err := checkImport(pkg.ImportPath, imported); err != nil {
					t.Error(err)
				}
			}
		}
	}
	require.Greater(t, packages, 15, "go list must have seen the house")
}

func TestTheFloorsHoldWhatTheyShould(t *testing.T) {
	for _, wrong := range [][2]string{
		{"/tracking", "/store"}, {"/store", "/pipeline"}, {"/pipeline", "/routers"}, {"/stages/dedupe", "/routers/nats"},
		{"/api/ingest", "/api/query"}, {"/config", "/tracking"}, {"/internal/devstack/broker", "/store"}, {"/utils", "/tracking"},
	} {
		require.Error(t, checkImport(module+wrong[0], module+wrong[1]), "%s must not import %s", wrong[0], wrong[1])
	}
	for _, right := range [][2]string{
		{"", "/cli"}, {"/cli", "/api/ingest"}, {"/api/ingest", "/api/auth"}, {"/stages", "/stages/dedupe"}, {"/routers", "/store"},
		{"/tracking/formats/native", "/tracking"},
	} {
		require.NoError(t, checkImport(module+right[0], module+right[1]))
	}
}
