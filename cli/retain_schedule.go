package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/store"
)

// retentionOf is what the configuration says of retention.
func retentionOf(r config.Retention) store.Retention {
	return store.Retention{DefaultDays: r.Days, Grace: r.Grace, StatsDays: r.StatsDays}
}

// retentionMetrics count what this process removed.
type retentionMetrics struct {
	removed    *prometheus.CounterVec
	partitions prometheus.Counter
	findings   prometheus.Gauge
	finished   prometheus.Gauge
}

func newRetentionMetrics(registerer prometheus.Registerer) (*retentionMetrics, error) {
	m := &retentionMetrics{
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rastro_retention_removed_total", Help: "What retention removed by this process: events, and rows of other tables.",
		}, []string{"table"}),
		partitions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rastro_retention_partitions_dropped_total", Help: "Months of events that retention dropped as a whole by this process.",
		}),
		findings: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rastro_retention_findings", Help: "What the last retention by this process kept because it is not as it was stored.",
		}),
		finished: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rastro_retention_finished_timestamp_seconds", Help: "When this process finished a retention last.",
		}),
	}
	for _, c := range []prometheus.Collector{m.removed, m.partitions, m.findings, m.finished} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add counts what a run removed, whether it finished or not.
func (m *retentionMetrics) add(r store.RetentionReport) {
	m.removed.WithLabelValues("event_store").Add(float64(r.Events))
	m.removed.WithLabelValues("traces").Add(float64(r.Traces))
	for table, rows := range r.Pruned {
		m.removed.WithLabelValues(table).Add(float64(rows))
	}
	for _, p := range r.Partitions {
		if p.Action == store.PartitionDropped {
			m.partitions.Inc()
		}
	}
	m.findings.Set(float64(len(r.Findings)))
}

// retentionScheduled is what retainBySchedule needs.
type retentionScheduled struct {
	fx.In
	Lifecycle  fx.Lifecycle
	Process    config.Process
	Logger     *slog.Logger
	Store      *store.Store
	Registerer prometheus.Registerer
}

// retentionLooks is how often a processor looks whether a retention is due, unless they are more frequent.
const retentionLooks = time.Hour

// retainBySchedule removes what is over, every RASTRO_RETENTION_EVERY. Whichever process looks first when it is due does it.
func retainBySchedule(p retentionScheduled) error {
	every := p.Process.Retention.Every
	if every == 0 {
		return nil
	}
	metrics, err := newRetentionMetrics(p.Registerer)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				ticker := time.NewTicker(min(every, retentionLooks))
				defer ticker.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-ticker.C:
						p.retain(ctx, metrics, every)
					}
				}
			}()
			return nil
		},
		OnStop: func(context.Context) error {
			stop()
			<-done
			return nil
		},
	})
	return nil
}

// retain removes what is over if it is time to.
func (p retentionScheduled) retain(ctx context.Context, metrics *retentionMetrics, every time.Duration) {
	r := retentionOf(p.Process.Retention)
	r.By = store.Actor{Subject: "rastro", Name: "retention by schedule", Client: "rastro serve processor"}
	report, ran, err := p.Store.RetainDue(ctx, r, every)
	if !ran && err == nil {
		return
	}
	metrics.add(report)
	log := p.Logger.With(slog.Int64("events", report.Events), slog.Int64("journeys", report.Traces), slog.Any("pruned", report.Pruned),
		slog.Duration("took", report.Elapsed))
	switch {
	case err != nil && ctx.Err() != nil: // what was done is done; the rest is when it is due again
	case err != nil:
		log.ErrorContext(ctx, "cannot remove what is over; it is tried again", slog.Any("error", err))
	case len(report.Findings) > 0:
		metrics.finished.SetToCurrentTime()
		log.ErrorContext(ctx, "retention kept what is not as it was stored: run `rastro audit verify`", slog.Int("findings", len(report.Findings)),
			slog.String("first", report.Findings[0].Detail), slog.String("tenant", report.Findings[0].TenantID))
	default:
		metrics.finished.SetToCurrentTime()
		log.InfoContext(ctx, "removed what is over")
	}
}
