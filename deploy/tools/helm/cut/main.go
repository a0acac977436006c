// Command cut writes the JSON schemas of the kinds that the chart has, one file a kind, as kubeconform finds them: whole, without
// references, and closed to fields that do not exist. It is run by hand when a kind or a version changes:
//
//	go mod download k8s.io/kubernetes@v1.34.4 github.com/kedacore/keda/v2@v2.21.0 \
//	  github.com/prometheus-operator/prometheus-operator@v0.85.0 github.com/external-secrets/external-secrets@v1.3.2
//	go run ./cut ../../helm/schemas "$(go env GOMODCACHE)"
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// kinds are those of Kubernetes itself, by the names of their definitions.
var kinds = []string{
	"io.k8s.api.apps.v1.Deployment", "io.k8s.api.core.v1.Service", "io.k8s.api.core.v1.ServiceAccount", "io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.batch.v1.Job", "io.k8s.api.policy.v1.PodDisruptionBudget", "io.k8s.api.networking.v1.NetworkPolicy",
	"io.k8s.api.networking.v1.Ingress", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
}

const openapi = "k8s.io/kubernetes@v1.34.4/api/openapi-spec/swagger.json"

// crds are the custom resources, by the files that define them.
var crds = []string{
	"github.com/kedacore/keda/v2@v2.21.0/config/crd/bases/keda.sh_scaledobjects.yaml",
	"github.com/kedacore/keda/v2@v2.21.0/config/crd/bases/keda.sh_triggerauthentications.yaml",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	"github.com/external-secrets/external-secrets@v1.3.2/config/crds/bases/external-secrets.io_externalsecrets.yaml",
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cut FOLDER MODULE_CACHE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "cut:", err)
		os.Exit(1)
	}
}

type object = map[string]any

func run(to, cache string) error {
	text, err := os.ReadFile(filepath.Join(cache, openapi))
	if err != nil {
		return fmt.Errorf("read the API of Kubernetes: %w", err)
	}
	var swagger struct{ Definitions map[string]object }
	if err := json.Unmarshal(text, &swagger); err != nil {
		return fmt.Errorf("read the API of Kubernetes: %w", err)
	}
	for _, name := range kinds {
		schema, ok := inline(swagger.Definitions[name], swagger.Definitions, 0).(object)
		if !ok {
			return fmt.Errorf("Kubernetes knows no %s", name)
		}
		parts := strings.Split(name, ".")
		group, version, kind := parts[3], parts[4], parts[5]
		if group == "networking" {
			group = "networking.k8s.io"
		}
		if err := write(to, group, version, kind, schema); err != nil {
			return err
		}
	}
	for _, path := range crds {
		text, err := os.ReadFile(filepath.Join(cache, path))
		if err != nil {
			return fmt.Errorf("read a custom resource: %w", err)
		}
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Served bool
					Schema struct{ OpenAPIV3Schema object }
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for _, version := range crd.Spec.Versions {
			if !version.Served || strings.Contains(version.Name, "beta") {
				continue
			}
			schema, _ := inline(version.Schema.OpenAPIV3Schema, nil, 0).(object)
			if err := write(to, crd.Spec.Group, version.Name, crd.Spec.Names.Kind, schema); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(to, group, version, kind string, schema object) error {
	if properties, ok := schema["properties"].(object); ok {
		// Of the metadata of an object the server fills most; what a person writes is here.
		labels := object{"type": "object", "additionalProperties": object{"type": "string"}}
		properties["metadata"] = object{
			"type": "object", "additionalProperties": false, "required": []string{"name"},
			"properties": object{"name": object{"type": "string"}, "namespace": object{"type": "string"}, "labels": labels, "annotations": labels},
		}
		delete(properties, "status")
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	prefix, _, _ := strings.Cut(group, ".")
	name := strings.ToLower(kind) + "-" + prefix + "-" + version + ".json"
	if group == "core" {
		name = strings.ToLower(kind) + "-" + version + ".json"
	}
	return os.WriteFile(filepath.Join(to, name), append(text, '\n'), 0o600)
}

// inline copies a schema with what it refers to in place, closed, and without what nothing is checked by.
func inline(schema any, definitions map[string]object, depth int) any {
	switch s := schema.(type) {
	case object:
		if ref, ok := s["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			switch {
			case strings.HasSuffix(name, ".IntOrString"):
				return object{"oneOf": []any{object{"type": "string"}, object{"type": "integer"}}}
			case strings.HasSuffix(name, ".Quantity"):
				return object{"oneOf": []any{object{"type": "string"}, object{"type": "number"}}}
			case strings.HasSuffix(name, ".JSONSchemaProps"), depth > 60:
				return object{}
			}
			return inline(definitions[name], definitions, depth+1)
		}
		if s["x-kubernetes-int-or-string"] == true {
			return object{"oneOf": []any{object{"type": "string"}, object{"type": "integer"}}}
		}
		copied := object{}
		for key, value := range s {
			if properties, ok := value.(object); ok && key == "properties" {
				kept := object{}
				for name, property := range properties {
					kept[name] = inline(property, definitions, depth+1)
				}
				copied[key] = kept
				continue
			}
			if key == "description" || key == "example" || key == "default" || strings.HasPrefix(key, "x-kubernetes-") {
				continue
			}
			copied[key] = inline(value, definitions, depth+1)
		}
		_, closed := copied["additionalProperties"]
		if _, has := copied["properties"]; has && !closed && s["x-kubernetes-preserve-unknown-fields"] != true {
			copied["additionalProperties"] = false
		}
		return copied
	case []any:
		copied := make([]any, len(s))
		for i, value := range s {
			copied[i] = inline(value, definitions, depth+1)
		}
		return copied
	}
	return schema
}
