package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
)

// generations runs the pipelines of a configuration, and replaces those that a changed configuration changes.
//
// Invariant 11: a pipeline that runs never changes; another config is another processor, and one that does not lint changes
// nothing.
type generations struct {
	in       processors
	settings pipeline.Settings
	load     func() ([]pipeline.Plan, error)
	noted    *reloads
	reloads  *prometheus.CounterVec

	mu      sync.Mutex // held by whoever starts, reloads or closes
	plans   []pipeline.Plan
	current map[string]generation // by the name of the pipeline
	closed  bool
}

// generation is a processor, and what it was made of.
type generation struct {
	*routers.Processor
	digest [sha256.Size]byte
}

func newGenerations(p processors, settings pipeline.Settings, planner planner, noted *reloads, registerer prometheus.Registerer) (*generations, error) {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rastro_config_reloads_total", Help: "Times the configuration was read again, by how that went.",
	}, []string{"result"})
	if err := registerer.Register(reloads); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	for _, result := range []string{"refused", "unchanged", "changed"} { // a counter that begins with its first event shows no increase
		reloads.WithLabelValues(result)
	}
	return &generations{
		in: p, settings: settings, reloads: reloads, current: map[string]generation{},
		load: planner.plans, noted: noted,
	}, nil
}

// start runs the first generation.
func (g *generations) start(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	started, err := g.run(ctx, g.in.Plans)
	if err != nil {
		return err
	}
	if g.in.Process.Personal.Key == "" {
		g.in.Logger.WarnContext(ctx, "RASTRO_PERSONAL_KEY is not set: events whose senders say what of them is personal wait, and what is with them in a batch")
	}
	g.plans, g.current = g.in.Plans, started
	g.tidy(ctx)
	return nil
}

// reload reads the configuration again. Pipelines that did not change go on as they are; for the others the new generation is
// started, and then the old one drained. When anything is wrong nothing changes, and the error says what it is.
func (g *generations) reload(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	before := g.plans
	changed, err := g.replace(ctx)
	g.noted.note(before, g.plans, changed, err)
	switch {
	case err != nil:
		g.reloads.WithLabelValues("refused").Inc()
		return err
	case len(changed) == 0:
		g.reloads.WithLabelValues("unchanged").Inc()
		g.in.Logger.InfoContext(ctx, "configuration read again: nothing has changed")
	default:
		g.reloads.WithLabelValues("changed").Inc()
		g.in.Logger.InfoContext(ctx, "configuration read again: what has changed runs", slog.Any("pipelines", changed))
	}
	return nil
}

// replace returns the names of the pipelines that were started, replaced or ended.
func (g *generations) replace(ctx context.Context) ([]string, error) {
	plans, err := g.load()
	if err != nil {
		return nil, err
	}
	if err := g.in.Transport.Provision(ctx, pipeline.Topics(plans...)); err != nil {
		return nil, err
	}
	started, err := g.run(ctx, plans)
	if err != nil {
		return nil, err
	}
	old, before := g.current, g.plans
	g.current, g.plans = map[string]generation{}, plans
	var changed []string
	for _, plan := range plans {
		next, replaced := started[plan.Pipeline]
		if !replaced {
			next = old[plan.Pipeline]
			delete(old, plan.Pipeline)
		} else {
			changed = append(changed, plan.Pipeline)
		}
		g.current[plan.Pipeline] = next
	}
	for name := range old {
		if _, goesOn := started[name]; !goesOn {
			changed = append(changed, name)
		}
	}
	g.retire(ctx, old, readersOf(before))
	slices.Sort(changed)
	return changed, nil
}

// keyed refuses pipelines with rules on personal data where there is no key: each event that the rules hold for would wait for ever. It
// would not be stored in plain.
func (g *generations) keyed(plans []pipeline.Plan) error {
	if g.in.Process.Personal.Key != "" {
		return nil
	}
	var errs []error
	for _, plan := range plans {
		if len(plan.Personal()) > 0 {
			errs = append(errs, fmt.Errorf("pipeline %q says what is personal, and RASTRO_PERSONAL_KEY is not set, without which none of it is "+
				"stored: set it (`openssl rand -base64 32` makes a key), the same for every process", plan.Pipeline))
		}
	}
	return errors.Join(errs...)
}

// run builds and starts the processors of those pipelines that do not run as planned already. Either all of them run then, or
// none.
func (g *generations) run(ctx context.Context, plans []pipeline.Plan) (map[string]generation, error) {
	if err := g.keyed(plans); err != nil {
		return nil, err
	}
	files, err := digestFiles(g.in.Files)
	if err != nil {
		return nil, err
	}
	next := map[string]generation{}
	for _, plan := range plans {
		digest, err := digestPlan(plan, files)
		if err == nil && g.current[plan.Pipeline].digest == digest {
			continue
		}
		var processor *routers.Processor
		if err == nil {
			processor, err = routers.NewProcessor(routers.ProcessorConfig{ //nolint:contextcheck // its handlers have their messages' contexts
				Plan: plan, Transport: g.in.Transport, Settings: g.settings, Letters: g.in.Store, Ledger: g.in.Store,
				Recorder: g.in.Recorder, Pauses: g.in.Pauses, Metrics: g.in.Metrics, Logger: g.in.Logger, Tracers: g.in.Tracers,
			}, g.in.Codec)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(ctx, next))
		}
		next[plan.Pipeline] = generation{processor, digest}
	}
	for name, processor := range next {
		if err := startProcessor(ctx, processor.Processor, name); err != nil {
			return nil, errors.Join(err, closeAll(ctx, next))
		}
	}
	return next, nil
}

// retire drains processors that are not to run any more, all at once: what one of them still sends another may have to take.
func (g *generations) retire(ctx context.Context, old map[string]generation, before map[string][]string) {
	if len(old) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, g.in.Process.ShutdownTimeout)
	defer cancel()
	now := readersOf(g.plans)
	var wait sync.WaitGroup
	for name, processor := range old {
		wait.Go(func() {
			err := processor.Retire(ctx, func(topic string) bool { return slices.Contains(now[topic], name) })
			if err != nil {
				g.in.Logger.WarnContext(ctx, "not everything of the old generation was finished", slog.String("pipeline", name), slog.Any("error", err))
			}
		})
	}
	wait.Wait()
	for topic, readers := range before {
		for _, reader := range readers {
			if !slices.Contains(now[topic], reader) {
				g.forget(ctx, topic, reader)
			}
		}
	}
}

// forget removes a reader that no pipeline has any more. Where other processes share the broker they may not know that yet:
// what they publish for it must not be lost.
func (g *generations) forget(ctx context.Context, topic, reader string) {
	tidier, ok := g.in.Transport.(routers.Tidier)
	if !ok || !g.in.Alone {
		return
	}
	backlog, err := g.in.Transport.Backlog(ctx, topic, reader)
	if err == nil && backlog.Total() > 0 {
		err = fmt.Errorf("%d frames wait for it", backlog.Total())
	}
	if err == nil {
		err = tidier.Forget(ctx, topic, reader)
	}
	if err != nil {
		g.in.Logger.WarnContext(ctx, "a reader that no pipeline has any more is kept", slog.String("topic", topic), slog.String("reader", reader),
			slog.Any("error", err))
	}
}

// tidy forgets readers that no pipeline has, left by another configuration, and tells of those that it must keep.
func (g *generations) tidy(ctx context.Context) {
	tidier, ok := g.in.Transport.(routers.Tidier)
	if !ok {
		return
	}
	stale, err := tidier.Stale(ctx, pipeline.Topics(g.plans...))
	if err != nil {
		g.in.Logger.WarnContext(ctx, "cannot tell whether the broker has readers that no pipeline has", slog.Any("error", err))
		return
	}
	for _, s := range stale {
		if s.Unsure {
			continue // it may be another installation's
		}
		if g.in.Alone && s.Backlog == 0 {
			g.forget(ctx, s.Topic, s.Reader)
			continue
		}
		g.in.Logger.WarnContext(ctx, "the broker keeps frames for a reader that no pipeline has: bring its stage back, or remove it with `rastro pipeline tidy`",
			slog.String("topic", s.Topic), slog.String("reader", s.Reader), slog.Int64("frames", s.Backlog))
	}
}

// close drains everything that runs.
func (g *generations) close(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	// The stages' last commits and the router's closing come after the drain and need a moment of their own.
	ctx, cancel := context.WithTimeout(ctx, g.in.Process.ShutdownTimeout)
	defer cancel()
	return closeAll(ctx, g.current)
}

func closeAll(ctx context.Context, all map[string]generation) error {
	var wait sync.WaitGroup
	errs := make(chan error, len(all))
	for _, processor := range all {
		wait.Go(func() { errs <- processor.Close(ctx) })
	}
	wait.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// readersOf returns who reads each topic.
func readersOf(plans []pipeline.Plan) map[string][]string {
	readers := map[string][]string{}
	for _, topic := range pipeline.Topics(plans...) {
		readers[topic.Name] = topic.Readers
	}
	return readers
}

// digestPlan returns what differs when anything that a plan is made of does.
func digestPlan(plan pipeline.Plan, files []byte) ([sha256.Size]byte, error) {
	text, err := yaml.Marshal(plan.Describe(false))
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("digest of pipeline %q: %w", plan.Pipeline, err)
	}
	return sha256.Sum256(append(text, files...)), nil
}

// digestFiles returns what differs when any file does that a stage may read: all but the pipelines, and the carriers, which the edge
// reads.
func digestFiles(files fs.FS) ([]byte, error) {
	sums := map[string][sha256.Size]byte{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(name, "pipelines/") || strings.HasPrefix(name, "carriers/") {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sums[name] = sha256.Sum256(content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	digest := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[name]
		_, _ = digest.Write(append([]byte(name+"\x00"), sum[:]...))
	}
	return digest.Sum(nil), nil
}

// startProcessor runs a processor and returns once it receives.
func startProcessor(ctx context.Context, processor *routers.Processor, name string) error {
	failed := make(chan error, 1)
	go func() { failed <- processor.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-processor.Running():
		return nil
	case err := <-failed:
		return fmt.Errorf("start pipeline %q: %w", name, err)
	case <-ctx.Done():
		return fmt.Errorf("start pipeline %q: %w", name, ctx.Err())
	}
}
