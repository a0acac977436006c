// Command rastro-custom-stage is rastro with one stage more. The stage, curfew, rejects events that stations sent while they
// were closed: a scanner whose clock or zone is wrong, which would otherwise move traces.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rastrohq/rastro/cli"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func main() { os.Exit(cli.Main(cli.WithStages(register))) }

type curfew struct {
	Station pipeline.Path    `yaml:"station" doc:"The field that names the station."`
	Open    map[string]hours `yaml:"open" doc:"When stations are open, in local time; those not named never close."`
}

type hours struct {
	From  string `yaml:"from" doc:"When the station opens, as 05:00."`
	Until string `yaml:"until" doc:"When it closes, as 23:30; earlier than From when that is past midnight."`
}

func defaults() curfew { return curfew{Station: pipeline.MustParsePath("payload.location")} }

// Validate implements pipeline.Validator.
func (c *curfew) Validate() error {
	for station, h := range c.Open {
		for _, clock := range []string{h.From, h.Until} {
			if _, err := time.Parse("15:04", clock); err != nil || len(clock) != 5 {
				return fmt.Errorf("open: %s: %q is no time of day; write for example {from: 05:00, until: 23:30}", station, clock)
			}
		}
	}
	return nil
}

func register(r *pipeline.Registry) error {
	return r.Register(pipeline.Define("curfew", "Rejects events of stations that were closed.", defaults, build))
}

func build(c curfew, _ pipeline.Settings) (pipeline.Stage, error) {
	return pipeline.Each(func(_ context.Context, event *tracking.Event) error {
		station, _ := c.Station.String(event)
		h, known := c.Open[station]
		clock := event.OccurredAt.Format("15:04") // in the zone that the sender wrote it in
		afterOpening, beforeClosing := h.From <= clock, clock < h.Until
		if !known || afterOpening && beforeClosing || h.Until < h.From && (afterOpening || beforeClosing) {
			return nil
		}
		return pipeline.Rejected(pipeline.Reason{Code: "curfew", Field: "/timestamp",
			Message: fmt.Sprintf("%s was closed at %s; check the clock and the zone of who sent it", station, clock)})
	}), nil
}
