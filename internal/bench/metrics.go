package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// metrics are the values that processes tell at /metrics, by name and labels.
type metrics map[string]float64

// metrics adds up what the watched processes tell.
func (s *stack) metrics(ctx context.Context, client *http.Client) (metrics, error) {
	found := metrics{}
	for _, url := range s.telling {
		status, body, err := s.ask(ctx, client, http.MethodGet, url+"/metrics", "")
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("GET %s/metrics: %d: %w", url, status, err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
			name, value, ok := cutLast(lines.Text(), ' ')
			if n, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
				found[name] += n
			}
		}
	}
	return found, nil
}

func cutLast(line string, at byte) (before, after string, found bool) {
	i := strings.LastIndexByte(line, at)
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// sum adds up the values of a metric whose labels hold some.
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
next:
	for key, value := range m {
		if key != name && !strings.HasPrefix(key, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(key, label) {
				continue next
			}
		}
		total += value
	}
	return total
}

// per1000 is how many requests to SQS and SNS there were for a thousand of so many events.
func (m metrics) per1000(before metrics, events float64) float64 {
	if events == 0 {
		return 0
	}
	return 1000 * (m.sum("rastro_sqs_requests_total") - before.sum("rastro_sqs_requests_total")) / events
}

// stageTime is what a stage took, waiting included.
type stageTime struct {
	Stage  string  `json:"stage"`
	Time   float64 `json:"us_per_event"`
	Events float64 `json:"events_per_batch"`
}

func (m metrics) stages(before metrics) []stageTime {
	var all []stageTime
	for _, stage := range []string{"validate", "dedupe", "enrich", "persist"} {
		label := `stage="` + stage + `"`
		since := func(name string) float64 { return m.sum(name, label) - before.sum(name, label) }
		events, batches := since("rastro_stage_batch_events_sum"), since("rastro_stage_batch_events_count")
		if events > 0 && batches > 0 {
			all = append(all, stageTime{stage, 1e6 * since("rastro_stage_batch_seconds_sum") / events, events / batches})
		}
	}
	return all
}
