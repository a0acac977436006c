// Command bench measures what the engine costs in process, and then the built binary from outside: how long from sending an
// event until a query shows it, at a stated load on this machine. Requests leave on schedule whether or not earlier ones were
// answered, and their latency counts from the schedule, so that a stall is not hidden by the requests it held back.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type options struct {
	binary  string
	rate    int
	warmUp  time.Duration
	during  time.Duration
	json    bool
	only    string
	events  int
	profile string
}

func main() {
	var c options
	flag.StringVar(&c.binary, "binary", "bin/rastro", "the rastro to measure")
	flag.IntVar(&c.rate, "rate", 500, "events a second")
	flag.DurationVar(&c.warmUp, "warm-up", 5*time.Second, "how long to send before measuring")
	flag.DurationVar(&c.during, "during", 20*time.Second, "how long to measure")
	flag.BoolVar(&c.json, "json", false, "print the figures as JSON")
	flag.StringVar(&c.only, "only", "", "measure only the engine, binary, flood or query; query is measured only when it is named")
	flag.IntVar(&c.events, "events", 10_000_000, "how many events are stored when queries are measured")
	flag.StringVar(&c.profile, "profile", "", "write a CPU profile of the flooded rastro to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figures is what a run found. Times are in milliseconds.
type figures struct {
	Rate          int     `json:"events_per_second"`
	Sent          int64   `json:"events_sent"`
	Refused       int64   `json:"events_refused"`
	ReadyMS       float64 `json:"ready_ms"`
	Acknowledged  summary `json:"post_to_acknowledged_ms"`
	Visible       summary `json:"post_to_visible_ms"`
	ProbesMissing int     `json:"probes_not_seen"`
}

func run(ctx context.Context, c options) error {
	var all struct {
		Engine *engineFigures `json:"engine,omitempty"`
		Binary *figures       `json:"binary,omitempty"`
		Floods []floodFigures `json:"floods,omitempty"`
		Query  *queryFigures  `json:"query,omitempty"`
	}
	switch c.only {
	case "", "engine", "binary", "flood", "query":
	default:
		return fmt.Errorf("-only %q: give engine, binary, flood or query", c.only)
	}
	if c.only == "" || c.only == "engine" {
		_, _ = fmt.Fprintln(os.Stderr, "measuring the engine ...")
		found, err := measureEngine(ctx)
		if err != nil {
			return err
		}
		all.Engine = &found
		if !c.json {
			found.print()
		}
	}
	if c.only == "" || c.only == "flood" {
		found, err := measureFloods(ctx, c)
		if err != nil {
			return err
		}
		all.Floods = found
	}
	if c.only == "query" {
		found, err := measureQueries(ctx, c)
		if err != nil {
			return err
		}
		all.Query = &found
		if !c.json {
			found.print()
		}
	}
	if c.only == "" || c.only == "binary" {
		found, err := measureBinary(ctx, c)
		if err != nil {
			return err
		}
		all.Binary = &found
		if !c.json {
			found.print()
		}
	}
	if c.json {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return nil
}

func measureBinary(ctx context.Context, c options) (figures, error) {
	if c.rate < perRequest {
		return figures{}, fmt.Errorf("-rate %d: give %d or more", c.rate, perRequest)
	}
	data, err := os.MkdirTemp("", "rastro-bench-")
	if err != nil {
		return figures{}, fmt.Errorf("make data folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(data) }()
	_, _ = fmt.Fprintln(os.Stderr, "starting rastro dev ...")
	stack, err := startStack(ctx, c.binary, data)
	if err != nil {
		return figures{}, err
	}
	defer stack.stop()
	l := newLoad(stack)
	_, _ = fmt.Fprintf(os.Stderr, "warming up for %v ...\n", c.warmUp)
	if _, err := l.run(ctx, c.rate, c.warmUp); err != nil {
		return figures{}, err
	}
	_, _ = fmt.Fprintf(os.Stderr, "measuring %d events/s for %v ...\n", c.rate, c.during)
	found, err := l.run(ctx, c.rate, c.during)
	if err != nil {
		return figures{}, err
	}
	found.ReadyMS = milliseconds(stack.ready)
	return found, nil
}

// measureFloods measures how much goes through the whole of it.
func measureFloods(ctx context.Context, c options) ([]floodFigures, error) {
	data, err := os.MkdirTemp("", "rastro-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(data) }()
	stack, err := startStack(ctx, c.binary, data)
	if err != nil {
		return nil, err
	}
	defer stack.stop()
	var all []floodFigures
	for i, how := range []flooding{{16, 100, c.warmUp, floodAhead}, {16, 100, c.during, floodAhead}} {
		if i == 1 && c.profile != "" {
			defer stack.profile(ctx, c.profile, c.during)()
		}
		found, err := newFlood(stack, how, fmt.Sprintf("F%d", len(all))).measure(ctx)
		if err != nil {
			return nil, err
		}
		found.print(fmt.Sprintf("HTTP to queryable, batches of %d", how.Batch))
		all = append(all, found)
	}
	return all, nil
}

func (f figures) print() {
	fmt.Printf(`
POST to query, rastro dev, %d events/s (%d events in requests of %d, open loop)

                         p50        p95        p99        max
POST to acknowledged  %s
POST to visible       %s

ready in %.1f s (cold data folder); events refused: %d; probes never seen: %d
`, f.Rate, f.Sent, perRequest, f.Acknowledged, f.Visible, f.ReadyMS/1000, f.Refused, f.ProbesMissing)
}
