package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/store"
)

// figures are metrics of the whole system, which no process knows by what it does itself: what waits in the queues, whether all
// events are accounted for, and whose events stay away. Processes of the query role have them, whether processors run or not. Each of
// several tells the same: take the maximum.
type figures struct {
	messages *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
	balance  *prometheus.GaugeVec
	silence  *prometheus.GaugeVec
	usual    *prometheus.GaugeVec
	updated  *prometheus.GaugeVec
}

const (
	// queuesEvery is how often the queues are looked at: a request a queue.
	queuesEvery = 30 * time.Second
	// storeEvery is how often the database is asked for the rest: a few statements a tenant.
	storeEvery = time.Minute
	// cadenceOf is the time by which it is told how often a source is usually heard of.
	cadenceOf = 24 * time.Hour
)

func newFigures(registerer prometheus.Registerer) (*figures, error) {
	queue := []string{"topic", "pipeline"}
	source := []string{"tenant", "source"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	f := &figures{
		messages: gauge("rastro_queue_messages", "Messages that a pipeline has not settled of a topic: ready, in flight or delayed.", "topic", "pipeline", "state"),
		oldest:   gauge("rastro_queue_oldest_seconds", "Age of the oldest message that a pipeline has not settled of a topic; absent where the broker does not say.", queue...),
		balance: gauge("rastro_balance_events", "Events of all tenants that a pipeline has received and not ended (in_flight), ended twice, or ended without having received (unreceived).",
			"pipeline", "state"),
		silence: gauge("rastro_source_silence_seconds", "Time since an event of a source was received, of sources heard of within a day.", source...),
		usual:   gauge("rastro_source_usual_gap_seconds", "Time that 19 of 20 pauses of a source did not exceed within a day; absent where there were too few to tell.", source...),
		updated: gauge("rastro_figures_updated_timestamp_seconds", "When the figures of the queues and of the store were read last.", "of"),
	}
	for _, c := range []prometheus.Collector{f.messages, f.oldest, f.balance, f.silence, f.usual, f.updated} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register figures: %w", err)
		}
	}
	return f, nil
}

// figuresDeps is what keepFigures needs.
type figuresDeps struct {
	fx.In
	Lifecycle  fx.Lifecycle
	Process    config.Process
	Logger     *slog.Logger
	Reads      readStore
	Transport  routers.Transport
	Planner    planner
	Registerer prometheus.Registerer
}

// keepFigures reads the figures from time to time, from OnStart to OnStop.
func keepFigures(d figuresDeps) error {
	f, err := newFigures(d.Registerer)
	if err != nil {
		return err
	}
	quiet := d.Planner
	quiet.logger = slog.New(slog.DiscardHandler) // what may be wrong was said at the start
	ctx, stop := context.WithCancel(context.Background())
	read := map[string]func(context.Context) error{
		"queues": func(ctx context.Context) error { return f.readQueues(ctx, quiet.load, d.Transport) },
		"store":  func(ctx context.Context) error { return f.readStore(ctx, d.Reads.Store, time.Now()) },
	}
	every := map[string]time.Duration{"queues": queuesEvery, "store": storeEvery}
	done := make(chan struct{}, len(read))
	d.Lifecycle.Append(fx.StartStopHook(func() {
		for of, what := range read {
			go func() {
				f.keep(ctx, of, every[of], what, d.Logger)
				done <- struct{}{}
			}()
		}
	}, func() {
		stop()
		for range read {
			<-done
		}
	}))
	return nil
}

// keep reads figures now, soon, and then every so often until ctx ends.
func (f *figures) keep(ctx context.Context, of string, every time.Duration, read func(context.Context) error, logger *slog.Logger) {
	for pause := time.Second; ; pause = min(2*pause, every) {
		bounded, cancel := context.WithTimeout(ctx, every)
		err := read(bounded)
		cancel()
		if err == nil {
			f.updated.WithLabelValues(of).SetToCurrentTime()
		} else if ctx.Err() == nil {
			logger.WarnContext(ctx, "cannot read figures for metrics; they are absent until it works", slog.String("of", of), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// readQueues reads what waits. What was known before is forgotten: figures that are not known are absent, not old.
func (f *figures) readQueues(ctx context.Context, load func(context.Context) ([]pipeline.Plan, error), transport routers.Transport) error {
	f.messages.Reset()
	f.oldest.Reset()
	plans, err := load(ctx)
	if err != nil {
		return err
	}
	for _, topic := range pipeline.Topics(plans...) {
		for _, reader := range topic.Readers {
			backlog, err := transport.Backlog(ctx, topic.Name, reader)
			if errors.Is(err, routers.ErrNoQueue) {
				continue // its processor has not started yet, or has stopped for good
			}
			if err != nil {
				return err
			}
			for state, n := range map[string]int64{"ready": backlog.Ready, "in_flight": backlog.InFlight, "delayed": backlog.Delayed} {
				f.messages.WithLabelValues(topic.Name, reader, state).Set(float64(n))
			}
			switch {
			case !backlog.Oldest.IsZero():
				f.oldest.WithLabelValues(topic.Name, reader).Set(max(time.Since(backlog.Oldest), 0).Seconds())
			case backlog.Total() == 0:
				f.oldest.WithLabelValues(topic.Name, reader).Set(0)
			}
		}
	}
	return nil
}

// readStore reads what the database knows, of every tenant.
func (f *figures) readStore(ctx context.Context, db *store.Store, now time.Time) error {
	f.balance.Reset()
	f.silence.Reset()
	f.usual.Reset()
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		balances, err := db.Balance(ctx, tenant.ID)
		if err != nil {
			return err
		}
		for _, b := range balances {
			for state, n := range map[string]int64{"in_flight": b.InFlight, "twice": b.Twice, "unreceived": b.Unreceived} {
				f.balance.WithLabelValues(b.Pipeline, state).Add(float64(n))
			}
		}
		cadences, err := db.SourceCadences(ctx, tenant.ID, now.Add(-cadenceOf))
		if err != nil {
			return err
		}
		for _, c := range cadences {
			f.silence.WithLabelValues(tenant.ID, c.Source).Set(max(now.Sub(c.LastAt), 0).Seconds())
			if c.UsualGap > 0 {
				f.usual.WithLabelValues(tenant.ID, c.Source).Set(c.UsualGap.Seconds())
			}
		}
	}
	return nil
}
