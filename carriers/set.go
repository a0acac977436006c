package carriers

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/pipeline"
)

// Set is all carriers of a configuration. It is immutable.
type Set struct{ byName map[string]*Carrier }

// Files lists the files of carriers in a configuration.
func Files(files fs.FS) ([]string, error) {
	names, err := fs.Glob(files, "carriers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list carriers: %w", err)
	}
	return names, nil
}

// Load reads all carriers of a configuration. name turns a path in it to what findings call it; nil leaves paths as they are. The
// findings say what is wrong with carriers: those with errors are not in the set.
func Load(files fs.FS, name func(path string) string) (*Set, pipeline.Findings, error) {
	tables, err := LoadTables(files)
	if err != nil {
		return nil, nil, err
	}
	paths, err := Files(files)
	if err != nil {
		return nil, nil, err
	}
	sources := make([]pipeline.Source, len(paths))
	for i, p := range paths {
		text, err := fs.ReadFile(files, p)
		if err != nil {
			return nil, nil, fmt.Errorf("read carrier: %w", err)
		}
		if name != nil {
			p = name(p)
		}
		sources[i] = pipeline.Source{File: p, Text: text}
	}
	set, found := LoadSources(sources, tables)
	return set, found, nil
}

// LoadSources is Load of files that were read.
func LoadSources(sources []pipeline.Source, tables Tables) (*Set, pipeline.Findings) {
	set := &Set{byName: map[string]*Carrier{}}
	var all pipeline.Findings
	for _, source := range sources {
		carrier, found := Parse(source.File, source.Text, tables)
		all = append(all, found...)
		if carrier != nil {
			set.byName[carrier.Name] = carrier
		}
	}
	return set, all
}

// All returns the carriers in the order of their names.
func (s *Set) All() []*Carrier {
	all := make([]*Carrier, 0, len(s.byName))
	for _, c := range s.byName {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Carrier) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Lookup returns a carrier that senders of a tenant may use. An error wraps ErrUnknown, and names the carrier that may have been
// meant; those of other tenants are as if they were not there.
func (s *Set) Lookup(tenant, name string) (*Carrier, error) {
	c := s.byName[name]
	if c != nil && c.For(tenant) {
		return c, nil
	}
	names := []string{}
	for _, c := range s.All() {
		if c.For(tenant) {
			names = append(names, c.Name)
		}
	}
	if best := suggest.Closest(name, names); best != "" {
		return nil, fmt.Errorf("%w %q; did you mean %q?", ErrUnknown, name, best)
	}
	return nil, fmt.Errorf("%w %q", ErrUnknown, name)
}

// Named returns the carrier of a name, whoever it is of.
func (s *Set) Named(name string) (*Carrier, bool) {
	c, ok := s.byName[name]
	return c, ok
}

// For reports whether senders of a tenant may use the carrier.
func (c *Carrier) For(tenant string) bool { return c.Tenant == "" || c.Tenant == tenant }
