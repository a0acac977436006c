package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/rastrohq/rastro/api/ingest"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/secrets"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/store/rds"
)

// configuration is the files of a configuration. It knows where each was found.
type configuration struct {
	fs.FS
	dir string
}

// configFiles returns the configuration files: those of dir, the built-in ones behind.
func configFiles(dir string) configuration {
	if dir == "" {
		return configuration{FS: config.Files()}
	}
	return configuration{FS: config.Overlay(dir), dir: dir}
}

// ReadDir implements fs.ReadDirFS.
func (c configuration) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(c.FS, name) }

// name returns the name by which a person finds a file: its path, or below config/ when it is a built-in one.
func (c configuration) name(file string) string {
	if c.dir != "" {
		own := filepath.Join(c.dir, filepath.FromSlash(file))
		if _, err := os.Lstat(own); err == nil {
			return own
		}
	}
	return path.Join("config", file)
}

// pipelineSources reads the pipelines of a configuration, in the order of their names.
func pipelineSources(files fs.FS) ([]pipeline.Source, error) {
	return sourcesOf(files, "pipelines/*.yaml")
}

// sourcesOf reads the files of a configuration that a pattern matches, in the order of their names.
func sourcesOf(files fs.FS, pattern string) ([]pipeline.Source, error) {
	paths, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", pattern, err)
	}
	name := configuration{}.name
	if c, ok := files.(configuration); ok {
		name = c.name
	}
	sources := make([]pipeline.Source, len(paths))
	for i, p := range paths {
		text, err := fs.ReadFile(files, p)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
		sources[i] = pipeline.Source{File: name(p), Text: text}
	}
	return sources, nil
}

var errNoPipelines = errors.New("there are no pipelines: put at least one under pipelines/ in the configuration folder")

// newChecker returns what checks pipelines, the same at start-up and at `rastro pipeline lint`. What references stand for is
// asked for anew by each checker.
func newChecker(files fs.FS, registry *pipeline.Registry) pipeline.Checker {
	return pipeline.Checker{
		Registry: registry, Settings: pipeline.Settings{Files: files}, Entries: []string{ingest.Topic},
		Resolver: secrets.New(secrets.DefaultConfig()),
	}
}

// checkedPlans reads every pipeline of the configuration. What is wrong with any of them comes as one error.
func checkedPlans(ctx context.Context, files fs.FS, checker pipeline.Checker) (_ []pipeline.Plan, warnings pipeline.Findings, _ error) {
	sources, err := pipelineSources(files)
	if err != nil {
		return nil, nil, err
	}
	if len(sources) == 0 {
		return nil, nil, errNoPipelines
	}
	specs, findings := check(ctx, files, checker, sources)
	if wrong := findings.Errors(); len(wrong) > 0 {
		return nil, findings.Warnings(), wrong
	}
	plans := make([]pipeline.Plan, len(specs))
	for i, spec := range specs {
		plans[i] = spec.Plan()
	}
	return plans, findings.Warnings(), nil
}

const tenantsName = "tenants.yaml"

// loadTenants reads the tenants of the configuration.
func loadTenants(files configuration) ([]store.Tenant, error) {
	source, err := fs.ReadFile(files, tenantsName)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	tenants, wrong := parseTenants(files.name(tenantsName), source)
	if len(wrong) > 0 {
		return nil, wrong
	}
	return tenants, nil
}

// setUp makes the tenants of the configuration and the partitions of the next months exist. Tenants that exist stay as they are: they
// may have been changed since.
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
	return db.AddTenants(ctx, tenants)
}

func storeConfig(process config.Process) store.Config {
	d := process.Database
	c := store.DefaultConfig()
	c.URL, c.ReadURL, c.ReadMaxLag, c.CAFile = d.URL, d.ReadURL, d.ReadMaxLag, d.CAFile
	c.MaxConns, c.MaxConnLifetime, c.StatementTimeout = d.MaxConns, d.MaxConnLifetime, d.StatementTimeout
	if d.Auth == config.DatabaseAuthIAM {
		c.Password = rds.New().Token
	}
	c.PersonalKeys, _ = process.Personal.Keys() // what is wrong with them was said when the configuration was read
	return c
}
