// Package stages names the stages that come with the engine. Each has a folder of its own, with its config, its
// documentation and its tests.
package stages

import (
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/enrich"
	"github.com/rastrohq/rastro/stages/filter"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/stages/validate"
)

// Register adds every built-in stage to a registry.
func Register(r *pipeline.Registry) error {
	for _, register := range []func(*pipeline.Registry) error{
		validate.Register,
		dedupe.Register,
		enrich.Register,
		filter.Register,
		persist.Register,
	} {
		if err := register(r); err != nil {
			return fmt.Errorf("register built-in stages: %w", err)
		}
	}
	return nil
}
