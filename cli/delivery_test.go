package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/sqs"
)

// configWith returns a folder with the files given.
func configWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

const doubtful = "pipeline: a\nfrom: events.ingested\nstages:\n  - use: persist\n    timeout: 30s\n"

func TestWarningsFailLintOnlyWhenItIsStrict(t *testing.T) {
	t.Parallel()
	dir := configWith(t, map[string]string{"pipelines/a.yaml": doubtful})
	want := filepath.Join(dir, "pipelines/a.yaml") + `:5:14: warning: stage "persist" may take 30s over a batch, and a stopping process waits 25s ` +
		"(RASTRO_SHUTDOWN_TIMEOUT): every deploy may break it off and deliver its frames again; " +
		"write `timeout: 25s` or less, or a longer RASTRO_SHUTDOWN_TIMEOUT [shutdown]\n"

	got := runPipeline(t, "lint", "--config", dir)
	require.Equal(t, exitOK, got.code)
	require.Equal(t, want, got.out)
	require.Equal(t, "2 pipelines checked, 1 warning\n", got.err)

	got = runPipeline(t, "lint", "--config", dir, "--strict")
	require.Equal(t, exitFailure, got.code)
	require.Equal(t, want, got.out)

	var findings pipeline.Findings
	require.NoError(t, json.Unmarshal([]byte(runPipeline(t, "lint", "--config", dir, "--json").out), &findings))
	require.Equal(t, pipeline.SeverityWarning, findings[0].Severity)
	require.Equal(t, exitOK, runPipeline(t, "plan", "--config", dir).code, "what is doubtful can be shown")

	got = runWith(t, options{}, map[string]string{"RASTRO_SHUTDOWN_TIMEOUT": "30s"}, "pipeline", "lint", "--config", dir, "--strict")
	require.Equal(t, exitOK, got.code, got.out)
	got = runWith(t, options{}, map[string]string{"RASTRO_SHUTDOWN_TIMEOUT": "soon"}, "pipeline", "lint", "--config", dir)
	require.Equal(t, exitUsage, got.code)
	require.ErrorContains(t, got.failure, "soon")
}

func TestWarningsAreLoggedAtStartUp(t *testing.T) {
	t.Parallel()
	registry, err := options{}.registry()
	require.NoError(t, err)
	process, err := config.Default()
	require.NoError(t, err)
	var log bytes.Buffer
	p := planner{
		files: configFiles(configWith(t, map[string]string{"pipelines/a.yaml": doubtful})), registry: registry,
		limits: deliveryLimits(process), logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	plans, err := p.plans()
	require.NoError(t, err)
	require.Len(t, plans, 2)
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "code=shutdown")

	p.limits.FrameBytes = process.Ingest.MaxEventBytes - 1
	_, err = p.plans()
	require.ErrorContains(t, err, "RASTRO_INGEST_MAX_EVENT_BYTES: the largest payload that ingest takes is 131072, and a frame of NATS JetStream has "+
		"131071 bytes at most: no frame could carry such an event; write 65535 or less")
}

func TestTenantsMaySendWhatIsTaken(t *testing.T) {
	t.Parallel()
	limits := pipeline.Limits{Broker: "SQS", FrameBytes: 2000, EventBytes: 900, EventBytesBy: "LARGEST"}
	for text, want := range map[string][]string{
		"tenants:\n  - id: a\n    max_payload_bytes: 900\n  - {id: b, max_payload_bytes: 0}\n": nil,
		"tenants:\n  - id: a\n    max_payload_bytes: 901\n  - {id: b, max_payload_bytes: 1001}\n  - {id: c, max_payload_bytes: 2001}\n": {
			`tenants.yaml:3:24: warning: max_payload_bytes of tenant "a" is 901, and no more than 900 are taken (LARGEST); write 900 or less, or set LARGEST to 901`,
			`tenants.yaml:4:32: warning: max_payload_bytes of tenant "b" is 1001, and no more than 1000 are taken: a frame of SQS has 2000 bytes at most, and keeps half for what stages add; write 1000 or less`,
			`tenants.yaml:5:32: max_payload_bytes of tenant "c" is 2001, and a frame of SQS has 2000 bytes at most: no frame could carry such an event; write 1000 or less`,
		},
		"tenants:\n  - id: a\n    max_payload: 900\n": {`tenants.yaml:3:5: unknown field "max_payload"; a tenant has id, name, country, event_types, sources, retention_days, ` +
			`retention_by_kind, max_payload_bytes, rate_per_second, active, preferences`},
		"tenants:\n": nil,
	} {
		dir := configWith(t, map[string]string{tenantsName: text})
		var got []string
		for _, f := range checkTenants(configFiles(dir), limits) {
			got = append(got, strings.TrimPrefix(f.String(), dir+string(filepath.Separator)))
		}
		require.Equal(t, want, got, text)
	}
}

// docs/delivery.md computes an example; the code computes the same.
func TestTheExampleOfTheDeliveryDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/delivery.md")
	require.NoError(t, err)
	docs := string(text)
	_, example, found := strings.Cut(docs, "```yaml\n")
	require.True(t, found)
	example, _, _ = strings.Cut(example, "```")
	registry, err := options{}.registry()
	require.NoError(t, err)
	process, err := config.Default()
	require.NoError(t, err)
	limits := deliveryLimits(process)
	queues := sqs.DefaultConfig().Limits()
	limits.Broker, limits.FrameBytes, limits.InHandBytes = queues.Broker, queues.FrameBytes, queues.InHandBytes
	limits.Hold, limits.Receives, limits.ReceivesBy, limits.MemoryBytes = queues.Hold, queues.Receives, queues.ReceivesBy, 0

	lint := func(text string) ([]pipeline.Spec, pipeline.Findings) {
		checker := newChecker(config.Files(), registry)
		checker.Entries, checker.Delivery = append(checker.Entries, "events.persisted"), limits
		return checker.Check(pipeline.Source{File: "notify.yaml", Text: []byte(text)})
	}
	specs, findings := lint(example)
	require.Empty(t, findings)
	worst := specs[0].Plan().Hops[0].WorstCase()
	receives, ends := limits.ReceivesOf(worst.Total())
	require.True(t, ends)
	for name, value := range map[string]string{
		"linger":   worst.Linger.String(),
		"pass":     worst.Pass.String(),
		"passes":   fmt.Sprint(worst.Passes),
		"pauses":   worst.Pauses.Round(100 * time.Millisecond).String(),
		"batch":    worst.Total().Round(time.Second).String(),
		"in hand":  limits.Held(worst.Total()).Round(time.Minute).String(),
		"receives": fmt.Sprint(receives),
	} {
		require.Regexp(t, `(?m)^\| `+name+` \| .* \| `+value+` \|$`, docs)
	}
	require.Contains(t, docs, fmt.Sprintf("%d frames", routers.FramesInHand))

	_, findings = lint(strings.Replace(example, "attempts: 8", "attempts: 20", 1))
	require.Len(t, findings, 1)
	require.Contains(t, strings.Join(strings.Fields(docs), " "), strings.Join(strings.Fields(findings.Error()), " "))
	for _, code := range []string{
		"hold", "receives", "shutdown", "no-timeout", "loses", "batch-bytes", "memory", "event-bytes", "dedupe-late", "dedupe-missing", "fan-in",
		"unreachable-stage", "unreachable-output",
	} {
		require.Contains(t, docs, "| `"+code+"` | ")
	}
}
