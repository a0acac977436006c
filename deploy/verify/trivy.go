//go:build ignore

// Scans files with Trivy's scanners and all checks that it brings along, and writes what fails with severity high or critical as JSON.
//
// deploy/verify/trivy builds it against Trivy's module. `trivy config` is the same scanners and checks, and beside them what reads
// images, clouds and clusters, which takes three times as long to build.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/aquasecurity/trivy/pkg/iac/rego"
	"github.com/aquasecurity/trivy/pkg/iac/scanners"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/dockerfile"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/options"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/terraform"
	"github.com/aquasecurity/trivy/pkg/iac/severity"
)

type finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Resource string `json:"resource"`
	Message  string `json:"message"`
}

type report struct {
	Checked  int       `json:"checked"`
	Findings []finding `json:"findings"`
}

func main() {
	if err := scan(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scan looks at a directory, or below it at one: dockerfile|kubernetes|terraform ROOT [DIRECTORY].
func scan(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: trivy dockerfile|kubernetes|terraform ROOT [DIRECTORY]")
	}
	opts := []options.ScannerOption{rego.WithEmbeddedPolicies(true), rego.WithEmbeddedLibraries(true), rego.WithMaxAllowedErrors(0)}
	var scanner scanners.FSScanner
	switch args[0] {
	case "dockerfile":
		scanner = dockerfile.NewScanner(opts...)
	case "kubernetes":
		scanner = kubernetes.NewScanner(opts...)
	case "terraform":
		scanner = terraform.New(opts...)
	default:
		return fmt.Errorf("no scanner of %s", args[0])
	}
	directory := "."
	if len(args) > 2 {
		directory = args[2]
	}
	results, err := scanner.ScanFS(ctx, os.DirFS(args[1]), directory)
	if err != nil {
		return fmt.Errorf("scan %s: %w", args[1], err)
	}
	told := report{Checked: len(results), Findings: []finding{}}
	for _, result := range results.GetFailed() {
		flat := result.Flatten()
		if flat.Severity != severity.High && flat.Severity != severity.Critical {
			continue
		}
		told.Findings = append(told.Findings, finding{
			ID: result.Rule().ID, Severity: string(flat.Severity), File: flat.Location.Filename, Line: flat.Location.StartLine,
			Resource: cmp.Or(result.Metadata().Reference(), flat.Resource), Message: flat.Description,
		})
	}
	slices.SortFunc(told.Findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Resource, b.Resource))
	})
	return json.NewEncoder(os.Stdout).Encode(told)
}
