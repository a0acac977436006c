// Package terraform_test holds terraform/ to the schema of the AWS provider, of which terraform/schema has the part that is used, and to
// itself: every reference leads somewhere, every variable is documented, given and used.
package terraform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
)

const root = "../../terraform"

// schemaBlock is what of a block's schema is checked, in the form of `terraform providers schema -json`.
type schemaBlock struct {
	Attributes map[string]struct {
		Required, Optional, Computed bool
	} `json:"attributes"`
	BlockTypes map[string]struct {
		MinItems int         `json:"min_items"`
		Nesting  string      `json:"nesting_mode"`
		Block    schemaBlock `json:"block"`
	} `json:"block_types"`
}

type schemas map[string]struct{ Block schemaBlock }

type provider struct {
	Resources   schemas `json:"resource_schemas"`
	DataSources schemas `json:"data_source_schemas"`
}

func readSchema(t *testing.T) provider {
	t.Helper()
	text, err := os.ReadFile(root + "/schema/aws.json")
	require.NoError(t, err)
	var all struct {
		Version   string              `json:"provider_version"`
		Providers map[string]provider `json:"provider_schemas"`
	}
	require.NoError(t, json.Unmarshal(text, &all))
	require.Equal(t, "6.34.0", all.Version)
	p := all.Providers["registry.terraform.io/hashicorp/aws"]
	require.Greater(t, len(p.Resources), 30)
	return p
}

// module is a folder of configuration.
type module struct {
	dir    string
	blocks []*hclsyntax.Block
}

func parse(t *testing.T, dir string, change func(name string, text []byte) []byte) module {
	t.Helper()
	paths, err := filepath.Glob(dir + "/*.tf")
	require.NoError(t, err)
	require.NotEmpty(t, paths, dir)
	m := module{dir: dir}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		file, diagnostics := hclsyntax.ParseConfig(change(path, text), path, hcl.InitialPos)
		require.False(t, diagnostics.HasErrors(), diagnostics.Error())
		body, ok := file.Body.(*hclsyntax.Body)
		require.True(t, ok)
		m.blocks = append(m.blocks, body.Blocks...)
	}
	return m
}

func (m module) named(kind string) map[string]*hclsyntax.Block {
	found := map[string]*hclsyntax.Block{}
	for _, block := range m.blocks {
		if block.Type == kind {
			found[strings.Join(block.Labels, ".")] = block
		}
	}
	return found
}

// metaArguments are Terraform's own in any resource.
var metaArguments = []string{"count", "for_each", "provider", "depends_on"}

// checker gathers what is wrong.
type checker struct {
	provider provider
	modules  map[string]module
	wrong    []string
}

func (c *checker) add(at hcl.Range, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s:%d: %s", strings.TrimPrefix(at.Filename, root+"/"), at.Start.Line, fmt.Sprintf(format, args...)))
}

// body checks a block's arguments and nested blocks.
func (c *checker) body(what string, body *hclsyntax.Body, schema schemaBlock, meta []string) {
	for name, attribute := range body.Attributes {
		known, ok := schema.Attributes[name]
		switch {
		case slices.Contains(meta, name):
		case !ok:
			c.add(attribute.NameRange, "%s has no argument %s", what, name)
		case known.Computed && !known.Optional:
			c.add(attribute.NameRange, "%s of %s can only be read", name, what)
		}
	}
	for name, known := range schema.Attributes {
		if _, given := body.Attributes[name]; known.Required && !given {
			c.add(body.SrcRange, "%s lacks %s", what, name)
		}
	}
	given := map[string]int{}
	for _, block := range body.Blocks {
		name, inner := block.Type, block.Body
		if name == "dynamic" && len(block.Labels) == 1 {
			name = block.Labels[0]
			for _, content := range block.Body.Blocks {
				if content.Type == "content" {
					inner = content.Body
				}
			}
		}
		if meta != nil && (name == "lifecycle" || name == "provisioner") {
			continue
		}
		known, ok := schema.BlockTypes[name]
		if !ok {
			c.add(block.TypeRange, "%s has no block %s", what, name)
			continue
		}
		given[name]++
		c.body(what+"."+name, inner, known.Block, nil)
	}
	for name, known := range schema.BlockTypes {
		if given[name] < known.MinItems {
			c.add(body.SrcRange, "%s lacks a block %s", what, name)
		}
	}
}

// module checks one folder.
func (c *checker) module(m module) {
	variables, outputs := m.named("variable"), m.named("output")
	for kind, declared := range map[string]map[string]*hclsyntax.Block{"variable": variables, "output": outputs} {
		for name, block := range declared {
			if _, ok := block.Body.Attributes["description"]; !ok {
				c.add(block.TypeRange, "%s %s has no description", kind, name)
			}
			if _, ok := block.Body.Attributes["type"]; kind == "variable" && !ok {
				c.add(block.TypeRange, "variable %s has no type", name)
			}
		}
	}
	for kind, known := range map[string]schemas{"resource": c.provider.Resources, "data": c.provider.DataSources} {
		for name, block := range m.named(kind) {
			schema, ok := known[block.Labels[0]]
			if !ok {
				c.add(block.TypeRange, "terraform/schema has no %s %s: see cut", kind, block.Labels[0])
				continue
			}
			c.body(kind+" "+name, block.Body, schema.Block, metaArguments)
		}
	}
	for name, block := range m.named("module") {
		c.call(m, name, block)
	}
	used := c.references(m)
	for name, block := range variables {
		if !used["var."+name] {
			c.add(block.TypeRange, "variable %s is not used", name)
		}
	}
}

// call checks what a module is given.
func (c *checker) call(m module, name string, block *hclsyntax.Block) {
	source, diagnostics := block.Body.Attributes["source"].Expr.Value(nil)
	called, ok := c.modules[filepath.Join(m.dir, source.AsString())]
	if diagnostics.HasErrors() || !ok {
		c.add(block.TypeRange, "module %s is of no folder here", name)
		return
	}
	variables := called.named("variable")
	for argument, attribute := range block.Body.Attributes {
		if _, ok := variables[argument]; !ok && argument != "source" && !slices.Contains(metaArguments, argument) {
			c.add(attribute.NameRange, "module %s has no variable %s", name, argument)
		}
	}
	for variable, declared := range variables {
		_, given := block.Body.Attributes[variable]
		if _, optional := declared.Body.Attributes["default"]; !given && !optional {
			c.add(block.TypeRange, "module %s is not given %s", name, variable)
		}
	}
}

// references checks that what expressions name is there, and returns it.
func (c *checker) references(m module) map[string]bool {
	resources, data, variables, calls, locals := m.named("resource"), m.named("data"), m.named("variable"), m.named("module"), map[string]bool{}
	for _, block := range m.blocks {
		if block.Type == "locals" {
			for name := range block.Body.Attributes {
				locals[name] = true
			}
		}
	}
	used := map[string]bool{}
	check := func(traversal hcl.Traversal) {
		names := attributeNames(traversal)
		at := traversal.SourceRange()
		first := func(n int) string { return strings.Join(names[:min(n, len(names))], ".") }
		switch {
		case names[0] == "var":
			used[first(2)] = true
			if len(names) < 2 || variables[names[1]] == nil {
				c.add(at, "there is no %s", first(2))
			}
		case names[0] == "local":
			if len(names) < 2 || !locals[names[1]] {
				c.add(at, "there is no %s", first(2))
			}
		case names[0] == "module":
			c.outputOf(m, calls, names, at)
		case names[0] == "data" && len(names) >= 3:
			c.attributeOf(data, c.provider.DataSources, names[1:], at)
		case strings.HasPrefix(names[0], "aws_") && len(names) >= 2:
			c.attributeOf(resources, c.provider.Resources, names, at)
		}
	}
	for _, block := range m.blocks {
		_ = hclsyntax.VisitAll(block.Body, func(node hclsyntax.Node) hcl.Diagnostics {
			if expression, ok := node.(*hclsyntax.ScopeTraversalExpr); ok {
				check(expression.Traversal)
			}
			if expression, ok := node.(*hclsyntax.RelativeTraversalExpr); ok {
				check(append(sourceOf(expression.Source), expression.Traversal...))
			}
			return nil
		})
	}
	return used
}

// sourceOf returns the traversal that an index expression begins with: aws_x.y of aws_x.y[each.key].
func sourceOf(expression hclsyntax.Expression) hcl.Traversal {
	switch e := expression.(type) {
	case *hclsyntax.IndexExpr:
		return sourceOf(e.Collection)
	case *hclsyntax.ScopeTraversalExpr:
		return slices.Clone(e.Traversal)
	}
	return hcl.Traversal{hcl.TraverseRoot{Name: "?"}}
}

// attributeNames are the names of a traversal, without its indexes.
func attributeNames(traversal hcl.Traversal) []string {
	names := []string{traversal.RootName()}
	for _, step := range traversal[1:] {
		if attribute, ok := step.(hcl.TraverseAttr); ok {
			names = append(names, attribute.Name)
		}
	}
	return names
}

func (c *checker) attributeOf(declared map[string]*hclsyntax.Block, known schemas, names []string, at hcl.Range) {
	if declared[names[0]+"."+names[1]] == nil {
		c.add(at, "there is no %s.%s", names[0], names[1])
		return
	}
	if len(names) < 3 {
		return
	}
	block := known[names[0]].Block
	_, isAttribute := block.Attributes[names[2]]
	_, isBlock := block.BlockTypes[names[2]]
	if !isAttribute && !isBlock {
		c.add(at, "%s has no attribute %s", names[0], names[2])
	}
}

func (c *checker) outputOf(m module, calls map[string]*hclsyntax.Block, names []string, at hcl.Range) {
	if len(names) < 3 || calls[names[1]] == nil {
		c.add(at, "there is no %s", strings.Join(names, "."))
		return
	}
	source, _ := calls[names[1]].Body.Attributes["source"].Expr.Value(nil)
	if c.modules[filepath.Join(m.dir, source.AsString())].named("output")[names[2]] == nil {
		c.add(at, "module %s has no output %s", names[1], names[2])
	}
}

// check returns what is wrong with all of terraform/, with its files changed.
func check(t *testing.T, change func(name string, text []byte) []byte) []string {
	t.Helper()
	dirs, err := filepath.Glob(root + "/*/*")
	require.NoError(t, err)
	c := &checker{provider: readSchema(t), modules: map[string]module{}}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			c.modules[filepath.Clean(dir)] = parse(t, filepath.Clean(dir), change)
		}
	}
	require.Len(t, c.modules, 6)
	for _, m := range c.modules {
		c.module(m)
	}
	slices.Sort(c.wrong)
	return c.wrong
}

func TestTerraformIsAsTheProviderWantsIt(t *testing.T) {
	require.Empty(t, check(t, func(_ string, text []byte) []byte { return text }))
}

func TestMistakesInTerraformAreFound(t *testing.T) {
	for _, m := range []struct{ file, from, to, want string }{
		{"messaging/main.tf", "receive_wait_time_seconds  = 20", "recieve_wait_time_seconds = 20", "has no argument recieve_wait_time_seconds"},
		{"messaging/main.tf", "kms_master_key_id         = var.kms_key_arn", `arn = "x"`, "arn of resource aws_sqs_queue.dead_letters can only be read"},
		{"messaging/main.tf", `  protocol             = "sqs"`, "", "lacks protocol"},
		{"database/main.tf", "serverlessv2_scaling_configuration {", "serverless_v2_scaling_configuration {", "has no block serverless_v2_scaling_configuration"},
		{"database/main.tf", "  auth {", "  authentication {", "has no block authentication"},
		{"database/main.tf", "aws_rds_cluster.this.engine_version", "aws_rds_cluster.this.version", "aws_rds_cluster has no attribute version"},
		{"services/iam.tf", "aws_iam_role.execution.name", "aws_iam_role.executor.name", "there is no aws_iam_role.executor"},
		{"services/load_balancer.tf", `      values = ["POST"]`, `      value = ["POST"]`, "lacks values"},
		{"services/main.tf", "aws_iam_role.task[each.key].arn", "aws_iam_role.task[each.key].arm", "aws_iam_role has no attribute arm"},
		{"one-region/main.tf", "  cluster_identifier        =", "  cluster                   =", "module observability is not given cluster_identifier"},
		{"one-region/main.tf", "module.network.vpc_id", "module.network.vpc", "module network has no output vpc"},
		{"network/variables.tf", "  description = \"Addresses of the network, a /16 to /20.\"\n", "", "variable cidr has no description"},
		{"network/main.tf", "var.nat_gateway_per_zone", "var.nat_gateway_a_zone", "there is no var.nat_gateway_a_zone"},
	} {
		found := false
		wrong := check(t, func(name string, text []byte) []byte {
			if strings.HasSuffix(name, m.file) {
				require.Contains(t, string(text), m.from)
				found = true
				return []byte(strings.Replace(string(text), m.from, m.to, 1))
			}
			return text
		})
		require.True(t, found, m.file)
		require.Contains(t, strings.Join(wrong, "\n"), m.want, "%s: %s", m.file, m.to)
	}
}

// What is secret is put into Secrets Manager by hand or by AWS, so that no state has it.
func TestNoSecretIsInTheState(t *testing.T) {
	_ = check(t, func(name string, text []byte) []byte {
		for _, leak := range []string{"aws_secretsmanager_secret_version", "random_password", "master_password ", "secret_string"} {
			require.NotContains(t, string(text), leak, name)
		}
		return text
	})
}
