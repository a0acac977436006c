package cli_test

import (
	"context"
	"os"
	"slices"

	"github.com/rastrohq/rastro/cli"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

type config struct {
	Types []string `yaml:"types"` // the event types that pass
}

func register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define("only", "Lets some event types pass.",
		func() config { return config{} },
		func(c config, _ pipeline.Settings) (pipeline.Stage, error) {
			return pipeline.Each(func(_ context.Context, e *tracking.Event) error {
				if slices.Contains(c.Types, e.Type) {
					return nil
				}
				return pipeline.Dropped(pipeline.Reason{Code: "type", Message: "not one of ours"})
			}), nil
		}))
}

// A module of your own builds a binary that has the built-in stages and yours.
func ExampleWithStages() {
	os.Exit(cli.Main(cli.WithStages(register)))
}
