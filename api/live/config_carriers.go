package live

import (
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/pipeline"
)

// carriersTenant returns whose a carrier's file is: a tenant's, or everybody's where it names none. What cannot be read is nobody's.
func carriersTenant(source pipeline.Source) (tenant string, ok bool) {
	var file struct {
		Tenant string `yaml:"tenant"`
	}
	err := yaml.Unmarshal(source.Text, &file)
	return file.Tenant, err == nil
}

// Invariant 13: of the carriers a tenant sees its own and those that are everybody's, and so with what may be wrong with them. Who runs
// the system, which tenants:all says, sees all.
func (c Configuration) seenBy(tenant string) Configuration {
	hidden := map[string]bool{}
	for _, f := range c.Carriers {
		hidden[f.File] = f.nobodys || f.tenant != "" && f.tenant != tenant
	}
	c.Carriers = slices.DeleteFunc(slices.Clone(c.Carriers), func(f ConfigFile) bool { return hidden[f.File] })
	if c.Reload != nil {
		reload := *c.Reload
		reload.Findings = slices.DeleteFunc(slices.Clone(reload.Findings), func(f FindingOut) bool { return hidden[f.File] })
		c.Reload = &reload
	}
	return c
}
