// Command cut writes the part of the AWS provider's schema that terraform/ uses. It is taken from what Terraform says of the provider itself,
// so a new version, or a resource that was not used before, takes a folder where `terraform init` has been run:
//
//	terraform providers schema -json > /tmp/schema.json
//	go run ./cut 6.34.0 /tmp/schema.json ../../terraform > ../../terraform/schema/aws.json
//
// deploy/verify/terraform does that with the provider that it builds, and fails where something else comes out.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const address = "registry.terraform.io/hashicorp/aws"

// attribute and block are in the form of `terraform providers schema -json`, without what is only said to people.
type attribute struct {
	Type      json.RawMessage `json:"type"`
	Required  bool            `json:"required,omitempty"`
	Optional  bool            `json:"optional,omitempty"`
	Computed  bool            `json:"computed,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
}

type nested struct {
	Nesting  string `json:"nesting_mode"`
	MinItems int    `json:"min_items,omitempty"`
	MaxItems int    `json:"max_items,omitempty"`
	Block    block  `json:"block"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes,omitempty"`
	BlockTypes map[string]nested    `json:"block_types,omitempty"`
}

type schema struct {
	Version int   `json:"version"`
	Block   block `json:"block"`
}

type provider struct {
	Resources   map[string]schema `json:"resource_schemas"`
	DataSources map[string]schema `json:"data_source_schemas"`
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: cut VERSION SCHEMA TERRAFORM")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "cut:", err)
		os.Exit(1)
	}
}

func run(to io.Writer, version, from, terraform string) error {
	text, err := os.ReadFile(from) // #nosec G304 G703 -- whoever runs it says what it is to read
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	var all struct {
		Providers map[string]provider `json:"provider_schemas"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	var whole provider
	for name, p := range all.Providers {
		if strings.HasSuffix(name, "/hashicorp/aws") {
			whole = p
		}
	}
	used, err := usedBy(terraform)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(to)
	_, _ = fmt.Fprintf(out, `{"format_version":"1.0","provider_version":%q,"provider_schemas":{%q:{`, version, address)
	if err := write(out, "resource_schemas", used["resource"], whole.Resources); err != nil {
		return err
	}
	_, _ = out.WriteString(",")
	if err := write(out, "data_source_schemas", used["data"], whole.DataSources); err != nil {
		return err
	}
	_, _ = out.WriteString("}}}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

var declaration = regexp.MustCompile(`(?m)^(resource|data) "(aws_\w+)"`)

// usedBy returns the types that the configuration below a folder declares, by their kind.
func usedBy(folder string) (map[string]map[string]bool, error) {
	used := map[string]map[string]bool{"resource": {}, "data": {}}
	// #nosec G703 -- as above
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".tf" {
			return err
		}
		text, err := os.ReadFile(path) // #nosec G304 G122 -- as above
		if err != nil {
			return err
		}
		for _, match := range declaration.FindAllStringSubmatch(string(text), -1) {
			used[match[1]][match[2]] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder, err)
	}
	if len(used["resource"]) == 0 {
		return nil, errors.New("there are no resources in " + folder)
	}
	return used, nil
}

// write writes schemas one a line, so that a change shows what it changes.
func write(to *bufio.Writer, name string, used map[string]bool, schemas map[string]schema) error {
	_, _ = fmt.Fprintf(to, "%q:{", name)
	separator := "\n"
	for _, kind := range slices.Sorted(maps.Keys(used)) {
		s, ok := schemas[kind]
		if !ok {
			return fmt.Errorf("the provider has no %s", kind)
		}
		text, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("write %s: %w", kind, err)
		}
		_, _ = fmt.Fprintf(to, "%s%q:%s", separator, kind, text)
		separator = ",\n"
	}
	_, _ = to.WriteString("}")
	return nil
}
