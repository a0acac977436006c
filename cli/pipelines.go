package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// configFiles returns the configuration files: those of dir, the built-in ones behind.
func configFiles(dir string) fs.FS {
	if dir == "" {
		return config.Files()
	}
	return config.Overlay(dir)
}

// loadPlans reads every pipeline of the configuration. What is wrong with any of them comes as one error.
func loadPlans(files fs.FS, registry *pipeline.Registry) ([]pipeline.Plan, error) {
	paths, err := fs.Glob(files, "pipelines/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	var plans []pipeline.Plan
	var errs []error
	names := map[string]string{}
	for _, path := range paths {
		source, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, fmt.Errorf("read pipeline: %w", err)
		}
		spec, err := pipeline.Parse("config/"+path, source, registry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, taken := names[spec.Name]; taken {
			errs = append(errs, fmt.Errorf("%s: pipeline %q is also that of %s; give one of them another name", path, spec.Name, other))
			continue
		}
		names[spec.Name] = path
		plans = append(plans, spec.Plan())
	}
	if len(plans) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("there are no pipelines: put at least one under pipelines/ in the configuration folder"))
	}
	return plans, errors.Join(errs...)
}

// tenantFile is tenants.yaml.
type tenantFile struct {
	Tenants []tenantEntry `yaml:"tenants"`
}

type tenantEntry struct {
	ID              string   `yaml:"id"`
	Name            string   `yaml:"name"`
	Country         string   `yaml:"country"`
	EventTypes      []string `yaml:"event_types"`
	Sources         []string `yaml:"sources"`
	RetentionDays   int      `yaml:"retention_days"`
	MaxPayloadBytes int      `yaml:"max_payload_bytes"`
	RatePerSecond   float64  `yaml:"rate_per_second"`
}

// loadTenants reads the tenants of the configuration.
func loadTenants(files fs.FS) ([]store.Tenant, error) {
	const name = "tenants.yaml"
	source, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	var file tenantFile
	if err := yaml.UnmarshalWithOptions(source, &file, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tenants := make([]store.Tenant, len(file.Tenants))
	for i, t := range file.Tenants {
		tenants[i] = store.Tenant{
			ID: t.ID, Name: t.Name, Country: t.Country, EventTypes: t.EventTypes, Sources: t.Sources,
			RetentionDays: t.RetentionDays, MaxPayloadBytes: t.MaxPayloadBytes, RatePerSecond: t.RatePerSecond, Active: true,
		}
	}
	return tenants, nil
}

// setUp makes the tenants of the configuration and the partitions of the next months exist.
func setUp(ctx context.Context, process config.Process) error {
	tenants, err := loadTenants(configFiles(process.ConfigDir))
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, storeConfig(process))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.ApplyTenants(ctx, tenants)
}

func storeConfig(process config.Process) store.Config {
	c := store.DefaultConfig()
	c.URL = process.Database.URL
	c.MaxConns = process.Database.MaxConns
	c.StatementTimeout = process.Database.StatementTimeout
	return c
}
