// Package helm_test renders the chart for sets of values, holds what comes out to the schemas of what takes it, and keeps it under rendered/,
// where a change of the chart shows what it changes.
package helm_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const (
	chartDir    = "../../helm/rastro"
	valuesDir   = "../../helm/values"
	renderedDir = "../../helm/rendered"
	schemas     = "../../helm/schemas/{{.ResourceKind}}{{.KindSuffix}}.json"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	return c
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// render returns what the chart makes of values, one text of YAML documents in the order of the templates.
func render(t *testing.T, c *chart.Chart, texts ...string) (string, error) {
	t.Helper()
	values := chartutil.Values{}
	for _, text := range texts {
		read, err := chartutil.ReadValues([]byte(text))
		require.NoError(t, err)
		values = chartutil.CoalesceTables(read, values)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.31.0", Major: "1", Minor: "31"}
	options := chartutil.ReleaseOptions{Name: "rastro", Namespace: "tracking", Revision: 1, IsInstall: true}
	rendering, err := chartutil.ToRenderValues(c, values, options, capabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, rendering)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		if text := strings.TrimSpace(files[name]); text != "" && strings.HasSuffix(name, ".yaml") {
			out.WriteString("---\n# " + name + "\n" + strings.TrimPrefix(text, "---\n") + "\n")
		}
	}
	return out.String(), nil
}

// newValidator keeps the schemas that it has read.
var newValidator = sync.OnceValues(func() (validator.Validator, error) {
	return validator.New([]string{schemas}, validator.Opts{Strict: true})
})

// wrong returns what is wrong with documents by the schemas, and how many there are.
func wrong(t *testing.T, documents string) (messages []string, count int) {
	t.Helper()
	v, err := newValidator()
	require.NoError(t, err)
	for _, result := range v.Validate("rendered.yaml", io.NopCloser(strings.NewReader(documents))) {
		switch result.Status {
		case validator.Empty:
		case validator.Valid:
			count++
		default:
			signature, err := result.Resource.Signature()
			name := "?"
			if err == nil {
				name = signature.Kind + " " + signature.Name
			}
			messages = append(messages, name+": "+result.Err.Error())
		}
	}
	return messages, count
}

func sets(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(valuesDir + "/*.yaml")
	require.NoError(t, err)
	paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) == "topics.yaml" })
	require.GreaterOrEqual(t, len(paths), 3)
	return paths
}

func TestTheChartRendersWhatKubernetesTakes(t *testing.T) {
	c, topics := loadChart(t), read(t, valuesDir+"/topics.yaml")
	for _, path := range sets(t) {
		name := filepath.Base(path)
		documents, err := render(t, c, topics, read(t, path))
		require.NoError(t, err, name)
		messages, count := wrong(t, documents)
		require.Empty(t, messages, name)
		require.Greater(t, count, 10, name)
		golden := filepath.Join(renderedDir, name)
		if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(golden, []byte(documents), 0o600))
			continue
		}
		require.Equal(t, read(t, golden), documents, "RASTRO_UPDATE_GOLDEN=1 writes what is rendered now to %s", golden)
	}
}

// The schemas refuse what Kubernetes, KEDA and the Prometheus operator refuse.
func TestTheSchemasFindMistakes(t *testing.T) {
	c, topics := loadChart(t), read(t, valuesDir+"/topics.yaml")
	var documents strings.Builder
	for _, path := range sets(t) {
		text, err := render(t, c, topics, read(t, path))
		require.NoError(t, err)
		documents.WriteString(text)
	}
	for from, to := range map[string]string{
		"imagePullPolicy:":       "imagePullPolicyy:",
		"containerPort: 8080":    `containerPort: "http80"`,
		"minReplicaCount: 2":     `minReplicaCount: "two"`,
		"interval: ":             "intervall: ",
		"maxUnavailable: ":       "maxUnavailible: ",
		"policyTypes:":           "policyType:",
		"scaleTargetRef:":        "scaleTargetReff:",
		"pathType: Prefix":       "pathTyp: Prefix",
		"secretStoreRef:":        "secretStore:",
		"averageUtilization: ":   "averageUtilisation: ",
		"kind: ServiceAccount\n": "kind: ServiceAccounts\n",
	} {
		require.Contains(t, documents.String(), from)
		messages, _ := wrong(t, strings.Replace(documents.String(), from, to, 1))
		require.NotEmpty(t, messages, to)
	}
}

// The values have a schema that says what is wrong before anything is rendered.
func TestValuesAreChecked(t *testing.T) {
	c, topics := loadChart(t), read(t, valuesDir+"/topics.yaml")
	good := read(t, valuesDir+"/aws.yaml")
	for _, mistake := range []string{
		"roles: {ingest: {replicas: many}}", "roles: {ingset: {replicas: 2}}", "broker: {kind: kafka}", "image: {tagg: x}", "unknown: 1",
		"database: {auth: trust}", "serviceMonitor: {interval: often}", "ingress: {enabled: yes, hosts: 7}",
	} {
		_, err := render(t, c, topics, good, mistake)
		require.Error(t, err, mistake)
	}
	_, err := render(t, c, topics)
	require.ErrorContains(t, err, "secrets.existing", "what everybody must say for themselves")
	_, err = render(t, c, topics, "secrets: {existing: rastro}")
	require.ErrorContains(t, err, "oidc.issuer")
	_, err = render(t, c, "keda: {enabled: true}", "secrets: {existing: rastro}", "oidc: {issuer: https://issuer.example}")
	require.ErrorContains(t, err, "rastro pipeline topics")
}
