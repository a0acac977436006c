package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/tracking/formats"
)

const (
	// decodeRounds is how many rounds each figure of a format is taken from, and decodeEvents about how many events one has.
	decodeRounds = 20
	decodeEvents = 1000
)

// formatFigures is what decoding the samples of a carrier's format costs, in process and on one core: medians over rounds. It is all that
// the ingest edge does with a body, from its bytes to events that have the meaning of the carrier's codes.
type formatFigures struct {
	name                   string
	time                   float64 // nanoseconds an event
	allocations, allocated float64 // an event
	eventBytes             float64 // of the body
}

// measureFormats measures the shipped carriers on their samples, which are in the folder config of the repository; those are left out of which most is refused.
func measureFormats(samples fs.FS, rounds, events int) ([]formatFigures, error) {
	set, found, err := carriers.Load(config.Files(), nil)
	if err == nil && len(found) > 0 {
		err = found
	}
	if err != nil {
		return nil, fmt.Errorf("measure formats: %w", err)
	}
	var all []formatFigures
	for _, c := range set.All() {
		f, err := measureFormat(c, samples, rounds, events)
		if err != nil {
			return nil, fmt.Errorf("measure carrier %s: %w", c.Name, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func measureFormat(c *carriers.Carrier, samples fs.FS, rounds, many int) (formatFigures, error) {
	f := formatFigures{name: c.Format}
	if c.Format == carriers.Mapped {
		f.name += "/" + c.Shape
	}
	bodies, events, bytes, err := samplesOf(c, samples)
	if err != nil {
		return f, err
	}
	repeat := max(1, many/events)
	n := float64(repeat * events)
	var took, mallocs, allocated []float64
	for round := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range repeat {
			for _, body := range bodies {
				if _, err := c.Decode(body, formats.Options{}); err != nil {
					return f, err
				}
			}
		}
		elapsed := time.Since(start)
		runtime.ReadMemStats(&after)
		if round < rounds/10 {
			continue // caches fill
		}
		took, mallocs = append(took, float64(elapsed.Nanoseconds())/n), append(mallocs, float64(after.Mallocs-before.Mallocs)/n)
		allocated = append(allocated, float64(after.TotalAlloc-before.TotalAlloc)/n)
	}
	f.time, f.allocations, f.allocated, f.eventBytes = median(took), median(mallocs), median(allocated), float64(bytes)/float64(events)
	return f, nil
}

// samplesOf returns the samples of a carrier of which most is taken, how many events they hold and how large they are.
func samplesOf(c *carriers.Carrier, files fs.FS) (bodies []carriers.Body, events, bytes int, err error) {
	cases, err := carriers.Cases(files, c.Name)
	if err != nil {
		return nil, 0, 0, err
	}
	for _, of := range cases {
		results, err := c.Decode(of.Body(), formats.Options{})
		taken := 0
		for _, r := range results {
			if r.OK() {
				taken++
			}
		}
		if err == nil && 2*taken > len(results) {
			bodies, events, bytes = append(bodies, of.Body()), events+len(results), bytes+len(of.Body().Bytes)
		}
	}
	if events == 0 {
		return nil, 0, 0, errors.New("there are no samples of it: run this in the folder of the repository")
	}
	return bodies, events, bytes, nil
}

// runFormats measures decoding.
func runFormats(to *records) error {
	progress("decoding formats in process")
	found, err := measureFormats(os.DirFS("config"), decodeRounds, decodeEvents)
	if err != nil {
		return err
	}
	for _, f := range found {
		to.add("Decode/"+f.name, quantity{f.time, "ns/event"}, quantity{1e9 / f.time, "events/s"}, quantity{1e3 * f.eventBytes / f.time, "MB/s"},
			quantity{f.allocations, "allocs/event"}, quantity{f.allocated, "B/event"}, quantity{f.eventBytes, "bytes/event"})
	}
	return nil
}
