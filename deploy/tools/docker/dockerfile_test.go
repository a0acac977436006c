// Package docker_test holds what images are built from, and the composition of the whole system, to what their own tools say.
package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

const folder = "../../docker"

// images answers for every image, as no registry is asked.
type images struct{}

func (images) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}})
	return ref, "", config, err
}

// convert makes of a Dockerfile what BuildKit builds, and returns what its linter says on the way.
func convert(t *testing.T, name string, text []byte, target string) ([]string, error) {
	t.Helper()
	var warnings []string
	opt := dockerfile2llb.ConvertOpt{
		MetaResolver: images{},
		SourceMap:    llb.NewSourceMap(nil, name, "Dockerfile", text),
		Warn: func(rule, _, _, message string, at []parser.Range) {
			line := 0
			if len(at) > 0 {
				line = at[0].Start.Line
			}
			warnings = append(warnings, fmt.Sprintf("%s:%d: %s (%s)", name, line, message, rule))
		},
	}
	opt.Config.Target = target
	_, err := dockerfile2llb.Dockerfile2LLB(t.Context(), text, opt)
	return warnings, err
}

// stages parses a Dockerfile.
func stages(t *testing.T, text []byte) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(string(text)))
	require.NoError(t, err)
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{}))
	require.NoError(t, err)
	return stages
}

// strangers returns what is copied from, or mounted from, what is no stage before.
func strangers(stages []instructions.Stage) []string {
	var wrong, known []string
	for _, stage := range stages {
		for _, command := range stage.Commands {
			var from []string
			switch c := command.(type) {
			case *instructions.CopyCommand:
				from = append(from, c.From)
			case *instructions.RunCommand:
				for _, mount := range instructions.GetMounts(c) {
					from = append(from, mount.From)
				}
			}
			for _, name := range from {
				if name != "" && !slices.Contains(known, name) {
					wrong = append(wrong, name)
				}
			}
		}
		known = append(known, stage.Name)
	}
	return wrong
}

func dockerfiles(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(folder + "/*Dockerfile")
	require.NoError(t, err)
	require.Len(t, paths, 2)
	texts := map[string][]byte{}
	for _, path := range paths {
		texts[filepath.Base(path)], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	return texts
}

func TestDockerfilesPassBuildKitsLinter(t *testing.T) {
	for name, text := range dockerfiles(t) {
		for _, target := range []string{"", "sbom"} {
			warnings, err := convert(t, name, text, target)
			require.NoError(t, err, name)
			require.Empty(t, warnings)
		}
		require.Empty(t, strangers(stages(t, text)), "%s copies from what is no stage", name)
	}
}

// The checks find what they are for.
func TestTheLinterAndTheCheckOfStagesFindMistakes(t *testing.T) {
	text := dockerfiles(t)["Dockerfile"]
	broken := func(pattern, with string) []byte {
		t.Helper()
		changed := regexp.MustCompile(pattern).ReplaceAll(text, []byte(with))
		require.NotEqual(t, string(text), string(changed), pattern)
		return changed
	}
	for pattern, with := range map[string]string{
		`(?m)^CMD \[.*$`:               "CMD serve ingest",
		`(?m)^WORKDIR /src`:            "WORKDIR src",
		`AS rastro`:                    "AS Rastro",
		`(?m)^ENV CGO_ENABLED`:         "ENV DATABASE_PASSWORD=secret CGO_ENABLED",
		`(?m)^(COPY --from=build .*)$`: "maintainer me\n$1",
	} {
		warnings, err := convert(t, "Dockerfile", broken(pattern, with), "")
		require.NoError(t, err, with)
		require.NotEmpty(t, warnings, with)
	}
	_, err := convert(t, "Dockerfile", broken(`(?m)^COPY go.mod`, "COPYY go.mod"), "")
	require.Error(t, err)
	require.Equal(t, []string{"biuld"}, strangers(stages(t, broken(`--from=build`, "--from=biuld"))))
}

// What is deployed runs as nobody in particular, has no shell, can be asked how it is, and says what it is.
func TestWhatRunsIsBare(t *testing.T) {
	for name, text := range dockerfiles(t) {
		all := stages(t, text)
		last := all[len(all)-1]
		require.Equal(t, "${RUNTIME_IMAGE}", last.BaseName, name)
		require.Contains(t, string(text), "ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot", name)
		var user, labels []string
		healthy, exposed := false, false
		for _, command := range last.Commands {
			switch c := command.(type) {
			case *instructions.UserCommand:
				user = append(user, c.User)
			case *instructions.HealthCheckCommand:
				healthy = true
				require.Equal(t, []string{"CMD", "/usr/local/bin/rastro", "healthcheck", "--live"}, c.Health.Test, name)
			case *instructions.LabelCommand:
				for _, label := range c.Labels {
					labels = append(labels, strings.TrimPrefix(label.Key, "org.opencontainers.image."))
				}
			case *instructions.ExposeCommand:
				exposed = slices.Equal(c.Ports, []string{"8080"})
			case *instructions.RunCommand:
				require.Fail(t, "there is no shell to run anything", "%s: %s", name, c)
			case *instructions.EntrypointCommand:
				require.False(t, c.PrependShell, name)
			case *instructions.CmdCommand:
				require.False(t, c.PrependShell, name)
			}
		}
		require.Equal(t, []string{"65532:65532"}, user, name)
		require.True(t, healthy, name)
		require.True(t, exposed, name)
		require.Subset(t, labels, []string{"title", "description", "source", "licenses", "version", "revision", "created"}, name)
		require.Contains(t, string(text), `GOFLAGS="-trimpath -buildvcs=false"`, "%s is reproducible", name)
		require.Contains(t, string(text), "/usr/share/sbom/rastro.cdx.json", "%s says what is in it", name)
	}
}
