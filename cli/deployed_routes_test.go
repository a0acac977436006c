package cli

import (
	"cmp"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// router says which role a request is given to, by the rules of one place; nothing where it is given to none.
type router func(role, method, path string) string

var (
	gatewayRule   = regexp.MustCompile(`(?m)^ {4}"~([^"]+)" +(\w+);`)
	pathParameter = regexp.MustCompile(`\{\w+\}`)
	albRule       = regexp.MustCompile(`(?ms)^resource "aws_lb_listener_rule" "(\w+)" \{\n(.*?)^\}`)
	albPriority   = regexp.MustCompile(`priority += (\d+)`)
	albTarget     = regexp.MustCompile(`aws_lb_target_group\.role\["(\w+)"\]`)
	albValues     = regexp.MustCompile(`(path_pattern|http_request_method) \{\s+values = \[([^\]]+)\]`)
	quoted        = regexp.MustCompile(`"([^"]+)"`)
)

// gateway is that of compose.yaml.
func gateway(t *testing.T) router {
	t.Helper()
	text, err := os.ReadFile("../deploy/compose/gateway/nginx.conf")
	require.NoError(t, err)
	require.Contains(t, string(text), `map "$request_method $uri" $role {`)
	require.Regexp(t, `(?m)^ {4}default +dashboard;`, string(text))
	require.Contains(t, string(text), "location / { proxy_pass http://$role:8080; }")
	type rule struct {
		of   *regexp.Regexp
		role string
	}
	var rules []rule
	for _, match := range gatewayRule.FindAllStringSubmatch(string(text), -1) {
		rules = append(rules, rule{regexp.MustCompile(match[1]), match[2]})
	}
	require.Greater(t, len(rules), 3)
	return func(_, method, path string) string {
		if path == metricsPath { // TestDeploymentsTellMetricsApart has the rule
			return ""
		}
		for _, r := range rules {
			if r.of.MatchString(method + " " + path) {
				return r.role
			}
		}
		return roleDashboard
	}
}

// loadBalancer is that of Terraform.
func loadBalancer(t *testing.T) router {
	t.Helper()
	text, err := os.ReadFile("../deploy/terraform/modules/services/load_balancer.tf")
	require.NoError(t, err)
	type rule struct {
		priority int
		paths    []*regexp.Regexp
		methods  []string
		role     string
	}
	var rules []rule
	for _, match := range albRule.FindAllStringSubmatch(string(text), -1) {
		var r rule
		priority := albPriority.FindStringSubmatch(match[2])
		require.NotNil(t, priority, match[1])
		r.priority, err = strconv.Atoi(priority[1])
		require.NoError(t, err)
		if target := albTarget.FindStringSubmatch(match[2]); target != nil {
			r.role = target[1]
		}
		for _, condition := range albValues.FindAllStringSubmatch(match[2], -1) {
			for _, value := range quoted.FindAllStringSubmatch(condition[2], -1) {
				if condition[1] == "http_request_method" {
					r.methods = append(r.methods, value[1])
					continue
				}
				pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(value[1]))
				r.paths = append(r.paths, regexp.MustCompile("^"+pattern+"$"))
			}
		}
		require.NotEmpty(t, r.paths, match[1])
		rules = append(rules, r)
	}
	require.Len(t, rules, 4)
	require.Regexp(t, `(?s)resource "aws_lb_listener" "https".*default_action \{\n +type +=.*role\["dashboard"\]`, string(text))
	slices.SortFunc(rules, func(a, b rule) int { return cmp.Compare(a.priority, b.priority) })
	return func(_, method, path string) string {
		for _, r := range rules {
			if (r.methods == nil || slices.Contains(r.methods, method)) && slices.ContainsFunc(r.paths, func(p *regexp.Regexp) bool { return p.MatchString(path) }) {
				return r.role
			}
		}
		return roleDashboard
	}
}

// ingress is that of the chart, which has a host for those who send and one for everybody else: the longest prefix counts.
func ingress(t *testing.T, rendered string) router {
	t.Helper()
	type object struct {
		Kind string
		Spec struct {
			Rules []struct {
				Host string
				HTTP struct {
					Paths []struct {
						Path     string
						PathType string `yaml:"pathType"`
						Backend  struct{ Service struct{ Name string } }
					}
				}
			}
		}
	}
	file, err := os.Open(rendered)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	hosts := map[string]map[string]string{}
	decoder := yaml.NewDecoder(file)
	for {
		var o object
		if err = decoder.Decode(&o); err != nil {
			break
		}
		if o.Kind != "Ingress" {
			continue
		}
		for _, rule := range o.Spec.Rules {
			hosts[rule.Host] = map[string]string{}
			for _, path := range rule.HTTP.Paths {
				require.Equal(t, "Prefix", path.PathType)
				hosts[rule.Host][path.Path] = strings.TrimPrefix(path.Backend.Service.Name, "rastro-")
			}
		}
	}
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, hosts, 2, rendered)
	return func(role, _, path string) string {
		host := "rastro.example.com"
		if role == roleIngest {
			host = "ingest." + host
		}
		longest, to := 0, ""
		for prefix, service := range hosts[host] {
			if (path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")) && len(prefix) > longest {
				longest, to = len(prefix), service
			}
		}
		return to
	}
}

// Whatever is before the roles gives each operation of the API to the role that has it, as the roles say themselves.
func TestDeploymentsLeadToTheRoleThatAnswers(t *testing.T) {
	e := newEnvironment(t)
	routers := map[string]router{
		"compose": gateway(t), "terraform": loadBalancer(t),
		"helm with SQS": ingress(t, "../deploy/helm/rendered/aws.yaml"), "helm with NATS": ingress(t, "../deploy/helm/rendered/nats.yaml"),
	}
	total := 0
	for _, role := range []string{roleIngest, roleQuery, roleDashboard} {
		address, stop := e.serve(t, role)
		operations := readDocument(t, address).operations()
		stop()
		for _, o := range operations {
			total++
			path := pathParameter.ReplaceAllString(o.path, "a-1")
			for name, to := range routers {
				require.Equal(t, role, to(role, o.method, path), "%s: %s %s", name, o.method, o.path)
			}
		}
		t.Logf("%s: %d operations", role, len(operations))
	}
	require.GreaterOrEqual(t, total, len(operationsUnderAttack))
	for name, to := range routers {
		for _, path := range []string{"/", "/traces/a-1", "/auth/sign-in", "/auth/callback", "/app/index.js"} {
			require.Equal(t, roleDashboard, to(roleDashboard, "GET", path), "%s: %s", name, path)
		}
		for _, path := range []string{"/openapi.json", "/reference"} {
			require.Equal(t, roleQuery, to(roleQuery, "GET", path), "%s: %s", name, path)
		}
		if !strings.HasPrefix(name, "helm") { // there they are told at a port that no ingress leads to
			require.Empty(t, to(roleQuery, "GET", metricsPath), name)
		}
	}
}
