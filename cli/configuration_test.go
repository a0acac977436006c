package cli

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/live"
)

func (r *reloadable) configuration() (c live.Configuration, text string) {
	r.t.Helper()
	status, text := r.as(r.t, []string{auth.RoleOpsRead}, http.MethodGet, r.url+"/api/v1/config", "")
	require.Equal(r.t, http.StatusOK, status, text)
	require.NoError(r.t, json.Unmarshal([]byte(text), &c))
	return c, text
}

// eventually waits until the configuration that is shown is one that a condition holds for: it may be five seconds old.
func (r *reloadable) eventually(holds func(live.Configuration) bool) live.Configuration {
	r.t.Helper()
	var c live.Configuration
	require.Eventually(r.t, func() bool { c, _ = r.configuration(); return holds(c) }, 20*time.Second, 100*time.Millisecond)
	return c
}

// What is configured is shown as it is written, with what is wrong with it and what the last reload changed, and without secrets.
func TestTheConfigurationIsShown(t *testing.T) {
	t.Setenv("RASTRO_TEST_TYPE", "the value of the environment")
	t.Setenv("RASTRO_TEST_SECRET", "hunter2hunter2")
	const guarded = "  - use: validate\n  - use: filter\n    with: {keep: 'event.source != \"${RASTRO_TEST_TYPE}\"'}\n  - use: dedupe\n  - use: persist\n"
	r := newReloadable(t, guarded)
	carriers := filepath.Join(r.process.ConfigDir, "carriers")
	require.NoError(t, os.Mkdir(carriers, 0o750))
	const own = "carrier: la\nsummary: Of its own\nformat: native\n"
	require.NoError(t, os.WriteFile(filepath.Join(carriers, "la.yaml"), []byte(own), 0o600))
	isOwn := func(f live.ConfigFile) bool { return strings.HasSuffix(f.File, "carriers/la.yaml") }

	c := r.eventually(func(c live.Configuration) bool { return slices.ContainsFunc(c.Carriers, isOwn) })
	require.True(t, c.Valid)
	require.Equal(t, own, c.Carriers[slices.IndexFunc(c.Carriers, isOwn)].YAML)
	find := func(c live.Configuration) live.ConfigFile {
		for _, f := range c.Pipelines {
			if f.File == r.file {
				return f
			}
		}
		require.FailNow(t, "the pipeline is not there", "%+v", c)
		return live.ConfigFile{}
	}
	first := find(c)
	require.Equal(t, "tracking", first.Name)
	require.Equal(t, stagesOf(guarded), first.YAML)
	require.NotNil(t, first.Findings)
	var stages live.StageList
	status, text := r.as(t, []string{auth.RoleOpsRead}, http.MethodGet, r.url+"/api/v1/stages", "")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, json.Unmarshal([]byte(text), &stages))
	require.Equal(t, stages.Version, c.Version)

	r.change(renamed, "changed")
	c = r.eventually(func(c live.Configuration) bool {
		return c.Reload != nil && c.Reload.Result == "changed" && find(c).YAML == stagesOf(renamed)
	})
	require.Equal(t, []live.Change{{Pipeline: "tracking", Change: "changed", Stages: []string{"dedupe", "filter", "once"}}}, c.Reload.Changed)
	require.NotEqual(t, first.Version, find(c).Version)
	require.WithinDuration(t, time.Now(), c.Reload.At, time.Minute)

	leaky := "  - use: enrich\n    with:\n      - lookup:\n          url: postgres://u:hunter2hunter2@db.example.com/x\n          password: ${secret:env:RASTRO_TEST_SECRET}\n" + doesNotLint
	r.change(leaky, "refused")
	c = r.eventually(func(c live.Configuration) bool { return c.Reload.Result == "refused" && !c.Valid })
	broken := find(c)
	require.Empty(t, broken.Version)
	require.Empty(t, c.Version)
	require.Contains(t, broken.YAML, "postgres://u:(redacted)@db.example.com/x")
	require.Contains(t, broken.YAML, "${secret:env:RASTRO_TEST_SECRET}")
	unknown := live.FindingOut{}
	for _, f := range broken.Findings {
		if f.Code == "unknown-stage" {
			unknown = f
		}
	}
	require.Equal(t, live.FindingOut{
		File: r.file, Line: 10, Column: 10, Code: "unknown-stage", Message: `unknown stage "valdate"`, Hint: unknown.Hint, Severity: "error",
	}, unknown)
	require.NotEmpty(t, c.Reload.Findings)
	_, text = r.configuration()
	require.NotContains(t, text, "hunter2")
	require.NotContains(t, text, "the value of the environment")

	status, _ = r.as(t, []string{auth.RoleTracesRead}, http.MethodGet, r.url+"/api/v1/config", "")
	require.Equal(t, http.StatusForbidden, status)
}

// A process that runs no pipelines tells what reading them again changed as well.
func TestAProcessWithoutPipelinesTellsOfReloads(t *testing.T) {
	e := newEnvironment(t)
	e.process.ConfigDir = t.TempDir()
	r := &reloadable{environment: e, t: t, file: filepath.Join(e.process.ConfigDir, "pipelines", "tracking.yaml")}
	require.NoError(t, os.MkdirAll(filepath.Dir(r.file), 0o750))
	r.write(apart)
	noted := newReloads()
	registry, err := options{}.registry()
	require.NoError(t, err)
	p := planner{files: configFiles(e.process.ConfigDir), registry: registry, limits: deliveryLimits(e.process), logger: slog.New(slog.DiscardHandler)}
	plans, err := p.plans()
	require.NoError(t, err)
	again := reloading{Planner: p, Plans: plans, Noted: noted}
	require.NoError(t, again.reread(t.Context()))
	require.Equal(t, "unchanged", noted.get().Result)
	r.write(fusedWhole)
	require.NoError(t, again.reread(t.Context()))
	require.Equal(t, "changed", noted.get().Result)
	require.Equal(t, "tracking", noted.get().Changed[0].Pipeline)
	r.write(doesNotLint)
	require.Error(t, again.reread(t.Context()))
	require.Equal(t, "refused", noted.get().Result)
	require.NotEmpty(t, noted.get().Findings)
	r.write(fusedWhole)
	require.NoError(t, again.reread(t.Context()))
	require.Equal(t, "unchanged", noted.get().Result, "against what was taken last")
}
