package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/routers/sqs"
)

// deployment is what of deploy/ runs rastro, in files of one kind.
type deployment struct {
	name  string
	files []string
	// untouched are the variables that it leaves at their defaults. Each can be set all the same: by env in the chart's values,
	// environment in Terraform, and in compose.yaml itself.
	untouched []string
}

// tuning are variables whose defaults are good anywhere.
var tuning = []string{
	"RASTRO_ALERTS_BACKLOG", "RASTRO_ALERTS_BALANCE_AFTER", "RASTRO_ALERTS_EVERY", "RASTRO_ALERTS_LATE", "RASTRO_ALERTS_REJECTED_SHARE",
	"RASTRO_ALERTS_SILENT_AFTER", "RASTRO_ALERTS_SLOW", "RASTRO_ALERTS_VERY_LATE",
	"RASTRO_CREDENTIALS_MAX_STALE", "RASTRO_CREDENTIALS_PREVIOUS_KEY", "RASTRO_DATABASE_MAX_CONN_LIFETIME", "RASTRO_DATABASE_READ_MAX_LAG",
	"RASTRO_DATABASE_STATEMENT_TIMEOUT", "RASTRO_INGEST_MAX_BODY_BYTES", "RASTRO_INGEST_MAX_EVENTS", "RASTRO_INGEST_MAX_EVENT_BYTES",
	"RASTRO_INGEST_MAX_IN_FLIGHT_BYTES", "RASTRO_INGEST_TIMEOUT", "RASTRO_LOG_FORMAT", "RASTRO_LOG_LEVEL", "RASTRO_MAX_CONNECTIONS",
	"RASTRO_NATS_ACK_WAIT", "RASTRO_NATS_DOMAIN", "RASTRO_NATS_MAX_BYTES", "RASTRO_NATS_MAX_IN_FLIGHT_BYTES", "RASTRO_OIDC_ROLE_CLAIMS",
	"RASTRO_OIDC_TENANT_CLAIM", "RASTRO_RETENTION_EVERY", "RASTRO_RETENTION_GRACE", "RASTRO_RETENTION_STATS_DAYS", "RASTRO_SQS_MAX_IN_FLIGHT_BYTES",
	"RASTRO_SQS_GATHER", "RASTRO_SQS_MAX_MESSAGE_BYTES", "RASTRO_SQS_MAX_RECEIVES", "RASTRO_SQS_POLLERS", "RASTRO_SQS_VISIBILITY_TIMEOUT", "RASTRO_SQS_WAIT",
	"RASTRO_STREAMS_MAX", "RASTRO_STREAMS_MAX_TENANT", "RASTRO_WEBHOOK_TOLERANCE",
}

func deployments(t *testing.T) []deployment {
	t.Helper()
	glob := func(pattern string) []string {
		paths, err := filepath.Glob(filepath.Join("..", "deploy", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		return paths
	}
	return []deployment{
		{"compose", glob("compose.yaml"), []string{
			"RASTRO_LISTEN", "RASTRO_CONFIG_DIR", "RASTRO_DATABASE_READ_URL", "RASTRO_DATABASE_AUTH", "RASTRO_DATABASE_CA_FILE", "RASTRO_DATABASE_MAX_CONNS",
			"RASTRO_NATS_URL", "RASTRO_NATS_REPLICAS", "RASTRO_SQS_REGION", "RASTRO_SNS_ENDPOINT", "RASTRO_SQS_PREFIX", "RASTRO_OIDC_AUDIENCE",
			"RASTRO_OIDC_CLIENT_ID", "RASTRO_OIDC_CLIENT_SECRET", "RASTRO_PERSONAL_KEY", "RASTRO_RETENTION_DAYS", "RASTRO_SHUTDOWN_DELAY",
			"RASTRO_SHUTDOWN_TIMEOUT",
		}},
		{"helm", append(glob("helm/rastro/templates/*"), glob("helm/values/*.yaml")...), []string{
			"RASTRO_SHUTDOWN_TIMEOUT", "RASTRO_SQS_ENDPOINT", "RASTRO_SNS_ENDPOINT", "RASTRO_OIDC_DISCOVERY_URL",
		}},
		{"terraform", append(glob("terraform/modules/*/*.tf"), glob("terraform/examples/*/*.tf")...), []string{
			"RASTRO_CONFIG_DIR", "RASTRO_DATABASE_MAX_CONNS", "RASTRO_NATS_URL", "RASTRO_NATS_REPLICAS", "RASTRO_SQS_ENDPOINT", "RASTRO_SNS_ENDPOINT",
			"RASTRO_SQS_PROVISION", "RASTRO_OIDC_DISCOVERY_URL", "RASTRO_OIDC_AUDIENCE", "RASTRO_OIDC_CLIENT_ID",
		}},
	}
}

func (d deployment) text(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range d.files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// settings returns the variables below a struct.
func settings(in reflect.Type) []string {
	var names []string
	for i := range in.NumField() {
		if name, ok := in.Field(i).Tag.Lookup("env"); ok {
			names = append(names, name)
		} else {
			names = append(names, settings(in.Field(i).Type)...)
		}
	}
	return names
}

var (
	variableName = regexp.MustCompile(`\bRASTRO_[A-Z_]+[A-Z]\b`)
	serveRole    = regexp.MustCompile(`serve"?, "?([a-z]+)"?\]`)
	otelName     = regexp.MustCompile(`\bOTEL_[A-Z_]+[A-Z]\b`)
	metricName   = regexp.MustCompile(`\brastro_[a-z_]+[a-z]\b`)
)

// Every variable that is set somewhere is one that the code reads, and every variable that the code reads is set or left at its default
// on purpose: who adds one decides for each place.
func TestDeploymentsSetVariablesThatThereAre(t *testing.T) {
	known := settings(reflect.TypeFor[config.Process]())
	require.Greater(t, len(known), 50)
	for _, d := range deployments(t) {
		set := map[string]bool{}
		for _, name := range variableName.FindAllString(d.text(t), -1) {
			set[name] = true
			require.True(t, slices.Contains(known, name) || name == "RASTRO_VERSION", "%s names %s, which the code does not read", d.name, name)
		}
		for _, name := range known {
			left := slices.Contains(d.untouched, name)
			require.False(t, left && set[name], "%s sets %s: it is not left alone", d.name, name)
			require.True(t, left || set[name] || slices.Contains(tuning, name), "%s neither sets %s nor leaves it at its default on purpose", d.name, name)
		}
		for _, name := range otelName.FindAllString(d.text(t), -1) {
			require.Contains(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SERVICE_NAME"}, name, d.name)
		}
	}
	for _, name := range tuning {
		require.Contains(t, known, name, "the code does not read it any more")
	}
}

// Each role runs everywhere, listens where it is looked for, and is asked how it is at addresses that answer.
func TestDeploymentsRunEveryRole(t *testing.T) {
	process, err := config.Default()
	require.NoError(t, err)
	require.Equal(t, ":8080", process.Listen)
	require.Equal(t, process.Listen, defaultListen)
	for _, d := range deployments(t) {
		text := d.text(t)
		for _, role := range allRoles() {
			require.Regexp(t, `\b`+role+`\b`, text, d.name)
		}
		for _, match := range serveRole.FindAllStringSubmatch(text, -1) {
			require.Contains(t, allRoles(), match[1], d.name)
		}
		require.Contains(t, text, "migrate", d.name)
		require.Contains(t, text, "8080", d.name)
	}
	rendered, err := filepath.Glob("../deploy/helm/rendered/*.yaml")
	require.NoError(t, err)
	require.Len(t, rendered, 3)
	for _, path := range rendered {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var roles []string
		for _, match := range serveRole.FindAllStringSubmatch(string(text), -1) {
			roles = append(roles, match[1])
		}
		require.ElementsMatch(t, allRoles(), roles, path)
		for _, probe := range regexp.MustCompile(`httpGet: \{path: (\S+),`).FindAllStringSubmatch(string(text), -1) {
			require.Contains(t, []string{livePath, readyPath}, probe[1])
		}
	}
	for name, arguments := range map[string]string{
		"../deploy/docker/Dockerfile": `["serve", "ingest", "query", "processor"]`, "../deploy/docker/dashboard.Dockerfile": `["serve", "dashboard"]`,
	} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(text), "CMD "+arguments)
	}
}

// Metrics name tenants: they are told apart from the API, and asked for where they are told.
func TestDeploymentsTellMetricsApart(t *testing.T) {
	const port = "9464"
	for _, d := range deployments(t) {
		require.Regexp(t, `RASTRO_METRICS_LISTEN.*(`+port+`|local\.metrics)`, d.text(t), d.name)
	}
	for path, asked := range map[string]string{
		"../deploy/prometheus/prometheus.yaml":                  `"processor:` + port + `"`,
		"../deploy/terraform/modules/services/main.tf":          `metrics  = "127.0.0.1:` + port + `"`,
		"../deploy/helm/rastro/templates/deployments.yaml":      `{name: metrics, containerPort: ` + port + `}`,
		"../deploy/helm/rastro/templates/networkpolicy.yaml":    `port: ` + port + `}`,
		"../deploy/helm/rastro/templates/monitoring.yaml":       "port: metrics\n",
		"../deploy/terraform/modules/services/load_balancer.tf": `["` + metricsPath + `"]`,
		"../deploy/compose/gateway/nginx.conf":                  "location = " + metricsPath + " { return 404; }",
	} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(text), asked, path)
	}
	text, err := os.ReadFile("../deploy/prometheus/prometheus.yaml")
	require.NoError(t, err)
	var roles []string
	for _, target := range regexp.MustCompile(`targets: \["(\w+):(\d+)"\], labels: \{role: (\w+)\}`).FindAllStringSubmatch(string(text), -1) {
		require.Equal(t, port, target[2], target[1])
		require.Equal(t, target[1], target[3])
		roles = append(roles, target[1])
	}
	require.ElementsMatch(t, allRoles(), roles, "Prometheus asks every role, and nobody else")
}

// Queues are those of the shipped pipelines, as the commands print them that the pages name.
func TestDeploymentsHaveThePipelinesQueues(t *testing.T) {
	registry, err := options{}.registry()
	require.NoError(t, err)
	files := configFiles("")
	plans, _, err := checkedPlans(t.Context(), files, newChecker(files, registry))
	require.NoError(t, err)
	topics := shownTopics(plans, sqs.Names{Prefix: sqs.DefaultConfig().Prefix})
	for path, format := range map[string]string{
		"../deploy/terraform/examples/one-region/topics.auto.tfvars": formatTFVars, "../deploy/helm/values/topics.yaml": formatHelm,
	} {
		var want bytes.Buffer
		require.NoError(t, writeTopics(&want, topics, format))
		if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want.String(), string(got), path)
	}
	// And nowhere else is one written down.
	for _, d := range deployments(t) {
		for _, path := range d.files {
			if filepath.Base(path) == "topics.yaml" {
				continue
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, topic := range topics {
				for _, reader := range topic.Readers {
					require.NotContains(t, string(text), reader.Queue, path)
				}
			}
		}
	}
}

// What the collectors of Terraform take to CloudWatch, and the alarms that are on it, are metrics that there are.
func TestTerraformNamesMetricsThatThereAre(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	text := deployments(t)[2].text(t)
	names := metricName.FindAllString(regexp.MustCompile(`rastro_\(([a-z_|]+)\)`).ReplaceAllStringFunc(text, func(alternatives string) string {
		inner := strings.TrimSuffix(strings.TrimPrefix(alternatives, "rastro_("), ")")
		return "rastro_" + strings.ReplaceAll(inner, "|", " rastro_")
	}), -1)
	found := 0
	for _, name := range names {
		if name == "rastro_topics" || name == "rastro_admin" {
			continue
		}
		found++
		require.Contains(t, string(page), "| `"+name+"` |")
	}
	require.Greater(t, found, 5)
}
