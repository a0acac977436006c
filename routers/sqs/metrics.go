package sqs

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the transport shows of its work: what it costs, and how old and how often received the messages are.
type Metrics struct {
	requests     *prometheus.CounterVec
	batch        *prometheus.HistogramVec
	bytes        *prometheus.CounterVec
	receives     *prometheus.HistogramVec
	age          *prometheus.HistogramVec
	inFlight     *prometheus.GaugeVec
	inFlightSize *prometheus.GaugeVec
	lost         *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	queue := []string{"topic", "reader"}
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_sqs_requests_total", Help: "Requests to SQS and SNS, each try counted, by what came of them: ok, refused or unanswered.",
		}, []string{"operation", "outcome"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_sqs_request_messages", Help: "Messages in a request that can have ten.",
			Buckets: prometheus.LinearBuckets(0, 1, 11),
		}, []string{"operation"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_sqs_message_bytes_total", Help: "Bytes of messages as SQS counts them; it charges a request for each 64 KiB begun.",
		}, []string{"direction"}),
		receives: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_sqs_message_receives", Help: "How often a message that is received was received, this time included.",
			Buckets: []float64{1, 2, 3, 5, 10, 20, 50},
		}, queue),
		age: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_sqs_message_age_seconds", Help: "Time that a message was in its queue when it was received.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 14),
		}, queue),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rastro_sqs_in_flight_messages", Help: "Messages received and not yet settled.",
		}, queue),
		inFlightSize: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rastro_sqs_in_flight_bytes", Help: "Bytes of the messages received and not yet settled.",
		}, queue),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_sqs_lost_messages_total",
			Help: "Messages that became visible to others while they were worked on, because their visibility could not be renewed in time.",
		}, queue),
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.batch, m.bytes, m.receives, m.age, m.inFlight, m.inFlightSize, m.lost,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register SQS metrics: %w", err)
		}
	}
	return m, nil
}
