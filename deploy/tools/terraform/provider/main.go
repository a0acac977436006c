// Command provider is an AWS provider that knows nothing but the schema: the part that terraform/schema has. With `mock_provider` Terraform
// asks a provider for no more than that, so `terraform validate` and `terraform test` run with it, in seconds. What it cannot say is which
// values AWS's own provider refuses; deploy/verify/terraform has that one as well.
//
//	RASTRO_AWS_SCHEMA=../../terraform/schema/aws.json terraform test
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const address = "registry.terraform.io/hashicorp/aws"

// block is a block of the schema in the form of `terraform providers schema -json`.
type block struct {
	Attributes map[string]struct {
		Type                                    json.RawMessage
		Required, Optional, Computed, Sensitive bool
	}
	BlockTypes map[string]struct {
		Nesting  string `json:"nesting_mode"`
		MinItems int64  `json:"min_items"`
		MaxItems int64  `json:"max_items"`
		Block    block
	} `json:"block_types"`
}

type schemas map[string]struct{ Block block }

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func serve() error {
	path := os.Getenv("RASTRO_AWS_SCHEMA")
	if path == "" {
		return errors.New("RASTRO_AWS_SCHEMA names no schema")
	}
	text, err := os.ReadFile(path) // #nosec G304 G703 -- whoever runs it says what it is to read
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	var all struct {
		Providers map[string]struct {
			Resources   schemas `json:"resource_schemas"`
			DataSources schemas `json:"data_source_schemas"`
		} `json:"provider_schemas"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	answer := &tfprotov6.GetProviderSchemaResponse{
		Provider:           providerSchema(),
		ServerCapabilities: &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true},
	}
	if answer.ResourceSchemas, err = schemasOf(all.Providers[address].Resources); err != nil {
		return err
	}
	if answer.DataSourceSchemas, err = schemasOf(all.Providers[address].DataSources); err != nil {
		return err
	}
	if err := tf6server.Serve(address, func() tfprotov6.ProviderServer { return server{schema: answer} }); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// providerSchema is what of the provider's own configuration terraform/ uses.
func providerSchema() *tfprotov6.Schema {
	return &tfprotov6.Schema{Block: &tfprotov6.SchemaBlock{
		Attributes: []*tfprotov6.SchemaAttribute{{Name: "region", Type: tftypes.String, Optional: true}},
		BlockTypes: []*tfprotov6.SchemaNestedBlock{{
			TypeName: "default_tags", Nesting: tfprotov6.SchemaNestedBlockNestingModeList, MaxItems: 1,
			Block: &tfprotov6.SchemaBlock{Attributes: []*tfprotov6.SchemaAttribute{
				{Name: "tags", Type: tftypes.Map{ElementType: tftypes.String}, Optional: true},
			}},
		}},
	}}
}

func schemasOf(from schemas) (map[string]*tfprotov6.Schema, error) {
	to := make(map[string]*tfprotov6.Schema, len(from))
	for name, schema := range from {
		made, err := blockOf(name, schema.Block)
		if err != nil {
			return nil, err
		}
		to[name] = &tfprotov6.Schema{Block: made}
	}
	return to, nil
}

func blockOf(path string, from block) (*tfprotov6.SchemaBlock, error) {
	to := &tfprotov6.SchemaBlock{}
	for _, name := range slices.Sorted(maps.Keys(from.Attributes)) {
		attribute := from.Attributes[name]
		kind, err := typeOf(attribute.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", path, name, err)
		}
		to.Attributes = append(to.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: kind, Required: attribute.Required, Optional: attribute.Optional, Computed: attribute.Computed,
			Sensitive: attribute.Sensitive,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(from.BlockTypes)) {
		nested := from.BlockTypes[name]
		made, err := blockOf(path+"."+name, nested.Block)
		if err != nil {
			return nil, err
		}
		to.BlockTypes = append(to.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: made, Nesting: nestings()[nested.Nesting], MinItems: nested.MinItems, MaxItems: nested.MaxItems,
		})
	}
	return to, nil
}

func nestings() map[string]tfprotov6.SchemaNestedBlockNestingMode {
	return map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"list": tfprotov6.SchemaNestedBlockNestingModeList, "set": tfprotov6.SchemaNestedBlockNestingModeSet,
		"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	}
}

// typeOf reads a type: a word, or a kind with what is in it.
func typeOf(text json.RawMessage) (tftypes.Type, error) {
	var simple string
	if err := json.Unmarshal(text, &simple); err == nil {
		switch simple {
		case "number":
			return tftypes.Number, nil
		case "bool":
			return tftypes.Bool, nil
		case "string":
			return tftypes.String, nil
		}
		return nil, fmt.Errorf("type %q is none", simple)
	}
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil || len(pair) != 2 {
		return nil, fmt.Errorf("type %s is none", text)
	}
	var kind string
	if err := json.Unmarshal(pair[0], &kind); err != nil {
		return nil, fmt.Errorf("type %s is none: %w", text, err)
	}
	if kind == "object" {
		return objectOf(pair[1])
	}
	element, err := typeOf(pair[1])
	if err != nil {
		return nil, err
	}
	switch kind {
	case "list":
		return tftypes.List{ElementType: element}, nil
	case "set":
		return tftypes.Set{ElementType: element}, nil
	case "map":
		return tftypes.Map{ElementType: element}, nil
	}
	return nil, fmt.Errorf("type %s is none", text)
}

func objectOf(text json.RawMessage) (tftypes.Type, error) {
	var attributes map[string]json.RawMessage
	if err := json.Unmarshal(text, &attributes); err != nil {
		return nil, fmt.Errorf("type %s is none: %w", text, err)
	}
	types := make(map[string]tftypes.Type, len(attributes))
	for name, attribute := range attributes {
		kind, err := typeOf(attribute)
		if err != nil {
			return nil, err
		}
		types[name] = kind
	}
	return tftypes.Object{AttributeTypes: types}, nil
}

// server answers what Terraform asks of a provider that is mocked, or only validated with.
type server struct {
	tfprotov6.ProviderServer // what is not asked

	schema *tfprotov6.GetProviderSchemaResponse
}

// GetMetadata implements tfprotov6.ProviderServer.
func (s server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	answer := &tfprotov6.GetMetadataResponse{ServerCapabilities: s.schema.ServerCapabilities}
	for name := range s.schema.ResourceSchemas {
		answer.Resources = append(answer.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.schema.DataSourceSchemas {
		answer.DataSources = append(answer.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return answer, nil
}

// GetProviderSchema implements tfprotov6.ProviderServer.
func (s server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return s.schema, nil
}

// GetResourceIdentitySchemas implements tfprotov6.ProviderServer.
func (server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

// ValidateProviderConfig implements tfprotov6.ProviderServer.
func (server) ValidateProviderConfig(_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

// ConfigureProvider implements tfprotov6.ProviderServer.
func (server) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

// ValidateResourceConfig implements tfprotov6.ProviderServer.
func (server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

// ValidateDataResourceConfig implements tfprotov6.ProviderServer.
func (server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

// UpgradeResourceState implements tfprotov6.ProviderServer.
func (s server) UpgradeResourceState(_ context.Context, asked *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	schema, ok := s.schema.ResourceSchemas[asked.TypeName]
	if !ok {
		return nil, fmt.Errorf("there is no resource %s", asked.TypeName)
	}
	value, err := asked.RawState.Unmarshal(schema.ValueType())
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", asked.TypeName, err)
	}
	state, err := tfprotov6.NewDynamicValue(schema.ValueType(), value)
	if err != nil {
		return nil, fmt.Errorf("write the state of %s: %w", asked.TypeName, err)
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, nil
}

// StopProvider implements tfprotov6.ProviderServer.
func (server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}
