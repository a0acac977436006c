// Command bench measures Rastro on this machine: the engine in process, decoding carriers' formats, what PostgreSQL and the broker take at most and what of it
// we use, and the built binary from outside, from HTTP to what a query shows. It prints what it finds as it finds it, and writes it in
// the format of `go test -bench` for benchstat, and as JSON. What a load on a schedule is answered counts from the schedule, so that
// a stall is not hidden by the requests that it held back.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

type options struct {
	binary string
	warmUp time.Duration
	during time.Duration
	json   bool
	only   string
	events int
	keep   string
	// scenario and floods narrow what is measured on the binary.
	scenario string
	floods   bool
	profile  string
	out      string
}

// parts are what -only names.
var parts = []string{"engine", "formats", "ceiling", "binary", "processors", "stored", "sizes", "query"}

func main() {
	var c options
	flag.StringVar(&c.binary, "binary", "bin/rastro", "the rastro to measure")
	flag.DurationVar(&c.warmUp, "warm-up", 3*time.Second, "how long to send before measuring")
	flag.DurationVar(&c.during, "during", 10*time.Second, "how long to measure each thing")
	flag.BoolVar(&c.json, "json", false, "print the figures as JSON")
	flag.StringVar(&c.only, "only", "engine,formats,ceiling,binary", "what to measure, of "+strings.Join(parts, ", "))
	flag.IntVar(&c.events, "events", 10_000_000, "how many events are stored when queries, and growth, are measured")
	flag.StringVar(&c.scenario, "scenario", "", "of what is measured on the binary only this, as nats/unfused")
	flag.BoolVar(&c.floods, "floods", false, "of what is measured on the binary only what goes through at most, no latencies at a rate")
	flag.StringVar(&c.keep, "keep", "", "fill the store that queries are asked of in this folder, or take the one that is there, and keep it")
	flag.StringVar(&c.profile, "profile", "", "write a CPU profile of rastro, flooded over NATS unfused, to this file")
	flag.StringVar(&c.out, "out", "", "write the figures for benchstat to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c options) error {
	chosen := strings.Split(c.only, ",")
	for _, part := range chosen {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only %q: give some of %s", part, strings.Join(parts, ","))
		}
	}
	all := &records{quiet: c.json}
	var query *queryFigures
	for _, part := range chosen {
		var err error
		switch part {
		case "engine":
			err = runEngine(ctx, all)
		case "formats":
			err = runFormats(all)
		case "ceiling":
			err = runCeiling(ctx, all)
		case "binary":
			for _, s := range scenarios(c) {
				err = errors.Join(err, s.run(ctx, c, all))
			}
		case "processors":
			err = runProcessors(ctx, c, all)
		case "stored":
			err = runStored(ctx, c, all)
		case "sizes":
			err = sizes(c).run(ctx, c, all)
		case "query":
			var found queryFigures
			if found, err = measureQueries(ctx, c); err == nil && !c.json {
				found.print()
			}
			query = &found
		}
		if err != nil {
			return err
		}
	}
	ratios(all)
	if c.out != "" {
		if err := all.write(c.out); err != nil {
			return err
		}
	}
	if c.json {
		return json.NewEncoder(os.Stdout).Encode(struct {
			Figures []record      `json:"figures"`
			Query   *queryFigures `json:"query,omitempty"`
		}{all.all, query})
	}
	return nil
}

func runEngine(ctx context.Context, to *records) error {
	progress("the engine in process")
	found, err := measureEngine(ctx)
	if err == nil {
		found.add(to)
	}
	return err
}

// ratios says how much of what is possible, as the same run found it, ours comes to.
func ratios(all *records) {
	all.ratio("Store/persist", "Ceiling/postgres/insert")
	all.ratio("Store/persist", "Ceiling/postgres/insert-and-upsert")
	all.ratio("Store/persist", "Ceiling/postgres/insert-and-upsert/by-two")
	all.ratio("Store/persist", "Ceiling/postgres/copy")
	for _, how := range []string{"nats/unfused", "nats/fused", "sqs/unfused", "sqs/fused"} {
		all.ratio("EndToEnd/"+how+"/batch=100", "Ceiling/postgres/insert-and-upsert")
	}
	all.ratio("Ingest/batch=100", "Ceiling/nats/publish")
}
