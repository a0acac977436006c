// Package stages names the stages that come with the engine. Each has a folder of its own, with its config, its
// documentation and its tests.
package stages

import (
	"fmt"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/stages/aggregate"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/enrich"
	"github.com/rastrohq/rastro/stages/filter"
	"github.com/rastrohq/rastro/stages/http"
	"github.com/rastrohq/rastro/stages/log"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/stages/publish"
	"github.com/rastrohq/rastro/stages/route"
	"github.com/rastrohq/rastro/stages/split"
	"github.com/rastrohq/rastro/stages/throttle"
	"github.com/rastrohq/rastro/stages/transform"
	"github.com/rastrohq/rastro/stages/validate"
	"github.com/rastrohq/rastro/stages/wasm"
)

// Register adds every built-in stage to a registry.
func Register(r *pipeline.Registry) error {
	for _, register := range []func(*pipeline.Registry) error{
		validate.Register,
		dedupe.Register,
		enrich.Register,
		filter.Register,
		transform.Register,
		split.Register,
		route.Register,
		http.Register,
		aggregate.Register,
		persist.Register,
		publish.Register,
		wasm.Register,
		throttle.Register,
		log.Register,
	} {
		if err := register(r); err != nil {
			return fmt.Errorf("register built-in stages: %w", err)
		}
	}
	return nil
}
