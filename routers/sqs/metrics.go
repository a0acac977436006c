package sqs

import (
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the transport shows of its work: what it costs, and how old and how often received the messages are.
type Metrics struct {
	requests     *prometheus.CounterVec
	billed       *prometheus.CounterVec
	items        *prometheus.HistogramVec
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
		billed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_sqs_billed_requests_total", Help: "Requests to SQS and SNS as AWS charges them: each try once for every 64 KiB of messages begun.",
		}, []string{"operation"}),
		items: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_sqs_frame_events", Help: "Events in a frame, by topic; of the topics of dead letters and ledgers, their entries.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}, []string{"topic", "direction"}),
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
		m.requests, m.billed, m.items, m.batch, m.bytes, m.receives, m.age, m.inFlight, m.inFlightSize, m.lost,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register SQS metrics: %w", err)
		}
	}
	return m, nil
}

// chunk is how many bytes of messages a request may carry before it is charged as several.
const chunk = 64 << 10

// charged is how many requests AWS charges for one that carries so many bytes of messages.
func charged(bytes float64) float64 { return max(1, math.Ceil(bytes/chunk)) }

// carried adds what a request is charged for its messages besides itself, which the HTTP client counts.
func (m *Metrics) carried(operation string, bytes int) {
	m.billed.WithLabelValues(operation).Add(charged(float64(bytes)) - 1)
}

// framed counts the events of a frame.
func (m *Metrics) framed(topic, direction string, items int) {
	if items > 0 {
		m.items.WithLabelValues(topic, direction).Observe(float64(items))
	}
}
