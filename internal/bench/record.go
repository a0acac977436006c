package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// quantity is a value with its unit.
type quantity struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// record is what was found of one thing.
type record struct {
	Name   string     `json:"name"`
	Values []quantity `json:"values"`
}

func (r record) value(unit string) float64 {
	for _, q := range r.Values {
		if q.Unit == unit {
			return q.Value
		}
	}
	return 0
}

// records gathers what a run finds, and shows it as it comes.
type records struct {
	all   []record
	quiet bool
}

func (r *records) add(name string, values ...quantity) {
	kept := record{Name: name}
	for _, q := range values {
		if q.Value != 0 {
			kept.Values = append(kept.Values, q)
		}
	}
	r.all = append(r.all, kept)
	if r.quiet {
		return
	}
	var line strings.Builder
	for _, q := range kept.Values {
		fmt.Fprintf(&line, "  %s %s", rounded(q.Value), q.Unit)
	}
	fmt.Printf("%-44s%s\n", name, line.String())
}

// rounded writes a number with about three digits.
func rounded(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// find returns a record by its name.
func (r *records) find(name string) record {
	for _, found := range r.all {
		if found.Name == name {
			return found
		}
	}
	return record{}
}

// ratio adds how much of one figure's events a second another comes to, when both are there.
func (r *records) ratio(of, to string) {
	const unit = "events/s"
	if mine, theirs := r.find(of).value(unit), r.find(to).value(unit); mine > 0 && theirs > 0 {
		r.add("Ratio/"+of+"/of/"+to, quantity{100 * mine / theirs, "%"})
	}
}

// write writes the records as `go test -bench` does, for benchstat.
func (r *records) write(path string) (err error) {
	file, err := os.Create(path) //nolint:gosec // where we were told to
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	out := bufio.NewWriter(file)
	r.format(out)
	return out.Flush()
}

func (r *records) format(out io.Writer) {
	_, _ = fmt.Fprintf(out, "goos: %s\ngoarch: %s\npkg: github.com/rastrohq/rastro/internal/bench\n", runtime.GOOS, runtime.GOARCH)
	for _, unit := range []string{"events/s", "MB/s", "requests/s", "claims/s", "%"} {
		_, _ = fmt.Fprintf(out, "Unit %s better=higher\n", unit)
	}
	for _, found := range r.all {
		_, _ = fmt.Fprintf(out, "Benchmark%s 1", strings.ReplaceAll(found.Name, " ", "_"))
		for _, q := range found.Values {
			_, _ = fmt.Fprintf(out, " %.6g %s", q.Value, q.Unit)
		}
		_, _ = fmt.Fprintln(out)
	}
}
