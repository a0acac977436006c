package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

func load(t *testing.T, path string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory("../.."), cli.WithResolvedPaths(true))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func TestTheCompositionLoads(t *testing.T) {
	project, err := load(t, "../../compose.yaml")
	require.NoError(t, err)
	ours := map[string]bool{"migrate": true, "ingest": true, "query": true, "processor": true, "dashboard": true}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is to be reached from this machine only", name)
		}
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				require.FileExists(t, strings.TrimSuffix(volume.Source, "/")+exists(volume.Source), name)
			}
		}
		if service.Build == nil {
			image, tag, ok := strings.Cut(service.Image[strings.LastIndex(service.Image, "/")+1:], ":")
			require.True(t, ok && tag != "latest", "%s runs any version of %s", name, image)
			require.False(t, ours[name], "%s is built here", name)
			continue
		}
		require.True(t, ours[name], name)
		require.FileExists(t, filepath.Join(service.Build.Context, service.Build.Dockerfile))
		require.FileExists(t, filepath.Join(service.Build.Context, "go.mod"), "the context is the repository")
		require.True(t, service.ReadOnly, name)
		require.Equal(t, "65532:65532", service.User, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Contains(t, service.SecurityOpt, "no-new-privileges:true", name)
		if name != "migrate" {
			require.NotNil(t, service.HealthCheck, name)
			require.Equal(t, types.ServiceConditionCompletedSuccessfully, service.DependsOn["migrate"].Condition, name)
		}
		delete(ours, name)
	}
	require.Empty(t, ours, "services that are missing")
}

// exists is what to look for below a folder: itself for a file.
func exists(source string) string {
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		entries, err := os.ReadDir(source)
		if err == nil {
			for _, entry := range entries {
				if !entry.IsDir() {
					return "/" + entry.Name()
				}
			}
			for _, entry := range entries {
				if inner := exists(filepath.Join(source, entry.Name())); inner != "" {
					return "/" + entry.Name() + inner
				}
			}
		}
	}
	return ""
}

func TestACompositionWithAMistakeDoesNotLoad(t *testing.T) {
	text, err := os.ReadFile("../../compose.yaml")
	require.NoError(t, err)
	for from, to := range map[string]string{
		"restart: unless-stopped": "restrat: unless-stopped",
		"migrate: {condition":     "migrat: {condition",
		"networks: [rastro]":      "networks: [rastrow]",
	} {
		require.Contains(t, string(text), from)
		path := filepath.Join(t.TempDir(), "compose.yaml")
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
		_, err := load(t, path)
		require.Error(t, err, to)
	}
}
