package main

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/stagetest"
	"github.com/rastrohq/rastro/stages"
	"github.com/rastrohq/rastro/tracking"
)

// at returns an event of a bag at a station, at a local time of day.
func at(station, clock string) *tracking.Event {
	occurred, err := time.Parse(time.RFC3339, "2026-06-20T"+clock+":00-05:00")
	if err != nil {
		panic(err)
	}
	var uid [16]byte
	_, _ = rand.Read(uid[:]) // it never fails
	return &tracking.Event{
		UID: uid, TenantID: "talma-pe", Source: "LA-baggage", EventID: station + clock, CorrelationID: "0045123456",
		AggregateID: "0045123456", Kind: tracking.Baggage, Type: "loaded", Classifier: tracking.Actual,
		OccurredAt: occurred, ReceivedAt: occurred.Add(time.Second).UTC(),
		Payload: json.RawMessage(`{"location":"` + station + `","flight":"LA2468"}`),
	}
}

// The suite that every stage passes.
func TestCurfewIsAGoodStage(t *testing.T) {
	stagetest.Exercise(t, stagetest.Subject{
		Register: register,
		With:     "open: {AQP: {from: 05:00, until: 23:30}}",
		Events: func() []*tracking.Event {
			return []*tracking.Event{at("AQP", "12:00"), at("AQP", "03:00"), at("LIM", "03:00")}
		},
		Invalid: []string{
			"station: nowhere", "open: AQP", "open: {AQP: {from: 05:00}}", "open: {AQP: {from: dawn, until: dusk}}",
			"open: {AQP: {from: 5:00, until: 23:30}}", "open: {AQP: {from: 05:00, to: 23:30}}",
		},
	})
}

// settings are what the process gives its stages.
func settings() pipeline.Settings {
	return pipeline.Settings{Logger: slog.New(slog.DiscardHandler), Files: config.Files(), Now: time.Now}
}

// The hop of the pipeline in which curfew stands, as it runs behind its topic.
func TestThePipelineRejectsWhatAClosedStationSent(t *testing.T) {
	const file = "config/pipelines/tracking.yaml"
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	registry := pipeline.NewRegistry()
	for _, add := range []func(*pipeline.Registry) error{stages.Register, register} {
		if err := add(registry); err != nil {
			t.Fatal(err)
		}
	}
	spec, err := pipeline.Parse(file, source, registry)
	if err != nil {
		t.Fatal(err)
	}
	plan := spec.Plan()
	chain, err := plan.Hops[2].Build(plan.Pipeline, settings(), nil)
	if err != nil {
		t.Fatal(err)
	}

	cases := []struct{ station, clock, want string }{
		{"AQP", "04:59", "curfew"}, {"AQP", "05:00", ""}, {"AQP", "23:29", ""}, {"AQP", "23:30", "curfew"},
		{"CUZ", "23:59", ""}, {"CUZ", "00:14", ""}, {"CUZ", "00:15", "curfew"}, {"CUZ", "04:30", ""}, {"LIM", "03:00", ""},
	}
	work := make([]*pipeline.Work, len(cases))
	for i, c := range cases {
		work[i] = &pipeline.Work{Event: at(c.station, c.clock)}
	}
	if _, err := chain.Run(t.Context(), work, unobserved{}); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		if got := work[i].Verdict.Reason.Code; got != c.want {
			t.Errorf("%s at %s: %q (%s), want %q", c.station, c.clock, got, work[i].Verdict.Reason.Message, c.want)
		}
		if work[i].Event.Enrichment.Milestone != tracking.Loaded {
			t.Errorf("%s at %s: enrich stands before curfew", c.station, c.clock)
		}
	}
}

type unobserved struct{}

func (unobserved) Observe(string, *pipeline.Batch, time.Duration) {}
