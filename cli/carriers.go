package cli

import (
	"io/fs"
	"log/slog"
	"sync/atomic"

	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/pipeline"
)

// carrierSet is the carriers that hold in a process; reading the configuration again puts others in their place.
type carrierSet struct {
	files fs.FS
	set   atomic.Pointer[carriers.Set]
}

// newCarrierSet reads the carriers of the configuration. What is wrong with any of them comes as one error.
func newCarrierSet(files fs.FS, logger *slog.Logger) (*carrierSet, error) {
	s := &carrierSet{files: files}
	set, warnings, err := checkedCarriers(files)
	for _, warning := range warnings {
		logger.Warn("a carrier may not be what was meant", slog.String("finding", warning.String()))
	}
	s.set.Store(set)
	return s, err
}

// read reads the carriers anew.
func (s *carrierSet) read() (*carriers.Set, error) {
	set, _, err := checkedCarriers(s.files)
	return set, err
}

// checkedCarriers reads every carrier of a configuration. What is wrong with any of them comes as one error.
func checkedCarriers(files fs.FS) (*carriers.Set, pipeline.Findings, error) {
	name := configuration{}.name
	if c, ok := files.(configuration); ok {
		name = c.name
	}
	set, found, err := carriers.Load(files, name)
	if err != nil {
		return nil, nil, err
	}
	if wrong := found.Errors(); len(wrong) > 0 {
		return nil, found.Warnings(), wrong
	}
	return set, found.Warnings(), nil
}

// configuredCarriers reads the carriers for the edge from which the system is looked after. One that has faults is left out there: what it
// sent before can be seen to all the same.
func configuredCarriers(files fs.FS) (c ops.Carriers, err error) {
	if c.Tables, err = carriers.LoadTables(files); err != nil {
		return c, err
	}
	c.Set, _, err = carriers.Load(files, nil)
	return c, err
}

// Lookup implements ingest.Carriers.
func (s *carrierSet) Lookup(tenant, name string) (*carriers.Carrier, error) {
	return s.set.Load().Lookup(tenant, name)
}

// Named implements ingest.Carriers.
func (s *carrierSet) Named(name string) (*carriers.Carrier, bool) { return s.set.Load().Named(name) }

// All implements ingest.Carriers.
func (s *carrierSet) All() []*carriers.Carrier { return s.set.Load().All() }
