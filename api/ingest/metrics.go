package ingest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the edge is seen by.
type Metrics struct {
	events   *prometheus.CounterVec
	carriers *prometheus.CounterVec
	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_ingest_events_total", Help: "Events that were sent, by what was answered.",
		}, []string{"outcome"}),
		carriers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_carrier_events_total", Help: "Events that were sent to carriers' addresses, by carrier and what was answered.",
		}, []string{"carrier", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_ingest_request_seconds", Help: "Time to answer a request with events, by HTTP status.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rastro_ingest_in_flight_bytes", Help: "Room that the bodies of requests in hand take.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rastro_ingest_overloads_total", Help: "Requests that were told to come again because there was no room for them.",
		}),
	}
	for _, c := range []prometheus.Collector{m.events, m.carriers, m.requests, m.inFlight, m.refused} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register ingest metrics: %w", err)
		}
	}
	return m, nil
}
