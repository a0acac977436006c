package routers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rastrohq/rastro/pipeline"
)

// Metrics is what every stage has without writing a line.
type Metrics struct {
	events    *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	batchSize *prometheus.HistogramVec
	latency   *prometheus.HistogramVec
	breaker   *prometheus.GaugeVec
	paused    *prometheus.GaugeVec
	frames    *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	stage := []string{"pipeline", "stage"}
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_stage_events_total", Help: "Events by what became of them at a stage.",
		}, append(stage, "outcome")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_stage_batch_seconds", Help: "Time a stage took for a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14),
		}, stage),
		batchSize: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_stage_batch_events", Help: "Events in the batches that a stage got.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, stage),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rastro_pipeline_latency_seconds", Help: "Time from receiving an event to the end of its pipeline.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 18),
		}, []string{"pipeline"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rastro_breaker_state", Help: "State of a stage's circuit breaker: 0 closed, 1 half open, 2 open.",
		}, stage),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rastro_stage_paused", Help: "Whether a stage stands still because it, or one that is fused with it, was paused by hand: 1 or 0; with the topic that it then leaves alone.",
		}, append(stage, "topic")),
		frames: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_hop_frames_total", Help: "Frames that a hop received and published.",
		}, append(stage, "direction")),
	}
	for _, c := range []prometheus.Collector{m.events, m.duration, m.batchSize, m.latency, m.breaker, m.paused, m.frames} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Recorder keeps the counts that dashboards draw without a Prometheus.
type Recorder interface {
	// Record adds events of a tenant that ended at a stage with an outcome. It must not block.
	Record(tenant, pipeline, stage, outcome string, events int64)
}

// stageObserver implements pipeline.Observer for one pipeline.
type stageObserver struct {
	pipeline string
	metrics  *Metrics
	recorder Recorder
	timings  TimingsRecorder // nil when the recorder keeps none
	sampler  *sampler        // nil when the recorder takes no samples
	personal pipeline.PersonalRules
	now      func() time.Time
}

func newStageObserver(c ProcessorConfig) stageObserver {
	o := stageObserver{pipeline: c.Plan.Pipeline, metrics: c.Metrics, recorder: c.Recorder, now: c.Settings.Now, personal: c.Plan.Personal()}
	o.timings, _ = c.Recorder.(TimingsRecorder)
	if r, ok := c.Recorder.(*StatsRecorder); ok {
		o.sampler = r.samples
	}
	return o
}

// Observe implements pipeline.Observer.
func (o stageObserver) Observe(stage string, batch *pipeline.Batch, took time.Duration) {
	o.metrics.duration.WithLabelValues(o.pipeline, stage).Observe(took.Seconds())
	o.metrics.batchSize.WithLabelValues(o.pipeline, stage).Observe(float64(batch.Len()))
	type key struct {
		tenant  string
		outcome pipeline.Outcome
	}
	counts := map[key]int64{}
	var byOutcome [4]int64
	for i := range batch.Len() {
		if emitted := int64(len(batch.Emitted(i))); emitted > 0 {
			o.emitted(batch.Event(i).TenantID, stage, emitted)
		}
		outcome := batch.Verdict(i).Outcome
		byOutcome[outcome]++
		counts[key{batch.Event(i).TenantID, outcome}]++
	}
	for outcome, n := range byOutcome {
		if n > 0 {
			o.metrics.events.WithLabelValues(o.pipeline, stage, pipeline.Outcome(outcome).String()).Add(float64(n))
		}
	}
	if o.timings != nil {
		o.timings.RecordBatch(o.pipeline, stage, batch, took, o.now())
	}
	for k, n := range counts {
		o.recorder.Record(k.tenant, o.pipeline, stage, k.outcome.String(), n)
	}
}

// emitted counts events that a stage made.
func (o stageObserver) emitted(tenant, stage string, n int64) {
	o.metrics.events.WithLabelValues(o.pipeline, stage, "emit").Add(float64(n))
	o.recorder.Record(tenant, o.pipeline, stage, "emit", n)
}
