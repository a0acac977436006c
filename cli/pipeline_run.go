package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/pipeline/trial"
	"github.com/rastrohq/rastro/stages/aggregate"
	"github.com/rastrohq/rastro/stages/dedupe"
	"github.com/rastrohq/rastro/stages/persist"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// runOptions are the flags of `rastro pipeline run`.
type runOptions struct {
	only     bool
	dead     string
	outcomes string
	database string
	tenant   string
	source   string
	pass     time.Duration
}

// runCommand makes `rastro pipeline run`.
func (p *pipelineCommand) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Run a pipeline over events from standard input, without a broker",
		Long: `Run a pipeline over the events on standard input and write what leaves it to standard output, an event a line. NAME is a
pipeline of the configuration, FILE one of your own beside those. The pipelines that read what it writes run as well, unless
--only: what leaves is then what none of them reads.

Each line of the input is an event as the ingest API takes it: Rastro's own JSON, or CloudEvents 1.0. It may also say when it
was received (received_at) and what is known of it (enrichment). One that has a uid is an event as it stands on a topic, such
as another run has written, and is taken as it is. A line that is no event is told on standard error with its number, and the
others go on.

Stages run as in production, hop by hop, with their batches, conditions, retries and routes; a retry waits as long as it does
there. What acts outside, such as http, does so. Without --database the claims of dedupe and the windows of aggregate are kept
in memory, and persist checks events without storing them.

What became of the events is told on standard error at the end, stage by stage.

Exit codes: 0 done, 1 something is wrong with a pipeline or with a file that is written, 2 the command line is wrong, 3 some
lines were no events, or some events were dead-lettered and --dead does not say where to, 4 there is no such pipeline.`,
		Example: `  rastro pipeline run tracking < events.ndjson > persisted.ndjson
  rastro pipeline run my-config/pipelines/cargo.yaml --only --dead dead.ndjson < events.ndjson | jq .event_type
  tail -f events.ndjson | rastro pipeline run tracking --outcomes outcomes.ndjson > /dev/null`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.pass < 0 {
				return exitWith(exitUsage, errors.New("--pass must not be negative"))
			}
			return p.run(cmd, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.only, "only", false, "run this pipeline alone, not those that it leads to")
	flags.StringVar(&o.dead, "dead", "", "`file` for dead letters: events with pipeline, stage, code, message and field")
	flags.StringVar(&o.outcomes, "outcomes", "", "`file` for what became of each event: a line an event and pipeline")
	flags.StringVar(&o.database, "database", "", "`URL` of a migrated database for what stages store, instead of memory")
	flags.StringVar(&o.tenant, "tenant", "local", "tenant of events that do not name theirs")
	flags.StringVar(&o.source, "source", "stdin", "source of events that do not name theirs")
	flags.DurationVar(&o.pass, "pass", 0, "at the end, let so much time go by at once, so that windows of time close")
	return cmd
}

func (p *pipelineCommand) run(cmd *cobra.Command, what string, o runOptions) (err error) {
	p.resolve = true
	specs, files, err := p.picked(cmd.Context(), what, o.only)
	if err != nil {
		return err
	}
	s := &runSession{clock: &skippingClock{}, logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))}
	defer func() { err = errors.Join(err, s.close()) }()
	settings, err := s.settings(cmd.Context(), o, files)
	if err != nil {
		return err
	}
	if err := s.open(cmd.OutOrStdout(), o); err != nil {
		return exitWith(exitUsage, err)
	}
	s.report = newRunReport(cmd.ErrOrStderr(), specs, p.terminal(cmd.ErrOrStderr()))
	carry, err := carrier()
	if err != nil {
		return err
	}
	s.runner, err = trial.New(trial.Config{
		Plans: plansOf(specs), Settings: settings, Clock: s.clock, Carry: carry,
		Observe: s.report.observe, Output: s.write, Done: s.done,
	})
	if err != nil {
		return err
	}
	s.topic = specs[0].From
	s.decoder = eventDecoder{tenant: o.tenant, source: o.source, now: s.clock.Now, uid: newUID}
	if o.database == "" {
		s.report.say(memoryNote(specs))
	}
	err = s.stream(cmd.Context(), cmd.InOrStdin(), specs[0].Stages[0].Batch.Events, o.pass)
	return errors.Join(err, s.report.finish(o.dead != "", err == nil))
}

// memoryNote says what is not kept.
func memoryNote(specs []pipeline.Spec) string {
	var uses []string
	for _, name := range []string{dedupe.Name, aggregate.Name, persist.Name} {
		for _, spec := range specs {
			for _, stage := range spec.Stages {
				if stage.Use == name && (len(uses) == 0 || uses[len(uses)-1] != name) {
					uses = append(uses, name)
				}
			}
		}
	}
	if len(uses) == 0 {
		return ""
	}
	return strings.Join(uses, ", ") + ": in memory, nothing is stored; --database has a database used"
}

// picked returns the pipelines to run, the one asked for first.
func (p *pipelineCommand) picked(ctx context.Context, what string, only bool) ([]pipeline.Spec, configuration, error) {
	dir, err := p.configDir()
	if err != nil {
		return nil, configuration{}, err
	}
	files := configFiles(dir)
	if !strings.ContainsRune(what, filepath.Separator) && filepath.Ext(what) != ".yaml" {
		specs, err := p.specs(ctx, files)
		if err == nil {
			specs, err = pick(specs, what, only)
		}
		return specs, files, err
	}
	text, err := os.ReadFile(what) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, files, exitWith(exitUsage, fmt.Errorf("read pipeline: %w", err))
	}
	specs, err := p.specs(ctx, files, pipeline.Source{File: what, Text: text})
	if err != nil {
		return nil, files, err
	}
	specs, err = pick(specs, specs[len(specs)-1].Name, only) // what is asked for comes last
	return specs, files, err
}

// skippingClock is the clock on the wall, until time is to go by at once.
type skippingClock struct {
	trial.Real

	mu    sync.Mutex
	ahead time.Duration
	skip  bool
}

// Now implements trial.Clock.
func (c *skippingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Wait implements trial.Clock.
func (c *skippingClock) Wait(ctx context.Context, until time.Time) error {
	c.mu.Lock()
	if c.skip {
		c.ahead += max(0, time.Until(until)-c.ahead)
		c.mu.Unlock()
		return ctx.Err()
	}
	ahead := c.ahead
	c.mu.Unlock()
	return c.Real.Wait(ctx, until.Add(-ahead))
}

func (c *skippingClock) skipping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skip = true
}

// runSession is one run.
type runSession struct {
	runner  *trial.Runner
	clock   *skippingClock
	logger  *slog.Logger
	report  *runReport
	decoder eventDecoder
	topic   string
	db      *store.Store

	out, dead, outcomes *lineWriter
	// lines are those of the events in flight, by the number of the event.
	lines lineNumbers
}

func (s *runSession) settings(ctx context.Context, o runOptions, files configuration) (pipeline.Settings, error) {
	settings := inMemory(files, s.clock, persist.NewForgetful())
	settings.Logger = s.logger
	if o.database == "" {
		return settings, nil
	}
	c := store.DefaultConfig()
	c.URL = o.database
	var err error
	if s.db, err = store.Open(ctx, c); err != nil {
		return settings, err
	}
	if err := checkSchema(ctx, s.db); err != nil {
		return settings, err
	}
	settings = pipeline.Provide[dedupe.Claims](settings, s.db)
	settings = pipeline.Provide[persist.Store](settings, s.db)
	return pipeline.Provide[aggregate.Windows](settings, s.db), nil
}

func (s *runSession) open(out io.Writer, o runOptions) error {
	s.out = newLineWriter(out, nil)
	for _, f := range []struct {
		path string
		to   **lineWriter
	}{{o.dead, &s.dead}, {o.outcomes, &s.outcomes}} {
		if f.path == "" {
			continue
		}
		file, err := os.Create(f.path)
		if err != nil {
			return err
		}
		*f.to = newLineWriter(file, file)
	}
	return nil
}

func (s *runSession) close() error {
	var all error
	if s.runner != nil {
		all = s.runner.Close()
	}
	for _, w := range []*lineWriter{s.out, s.dead, s.outcomes} {
		all = errors.Join(all, w.close())
	}
	if s.db != nil {
		s.db.Close()
	}
	return all
}

// dueEvery is how often stages are asked what they have to send by themselves.
const dueEvery = time.Second

// stream sends every line, as they come, and works on them until nothing is in flight.
func (s *runSession) stream(ctx context.Context, in io.Reader, batch int, pass time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := readLines(ctx, in, batch)
	for open := true; open; {
		timer := time.NewTimer(s.nextLook())
		select {
		case taken, more := <-lines:
			timer.Stop()
			open = more
			if err := s.send(ctx, taken); err != nil {
				return err
			}
		case <-timer.C:
			if err := s.runner.Due(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := s.flush(); err != nil {
			return err
		}
		s.report.progress()
	}
	if err := s.runner.Settle(ctx); err != nil {
		return err
	}
	s.clock.skipping()
	if err := s.runner.Pass(ctx, pass); err != nil {
		return err
	}
	return s.flush()
}

// nextLook returns how long to wait for input before there is something else to do.
func (s *runSession) nextLook() time.Duration {
	wait := dueEvery
	if at, waiting := s.runner.Next(); waiting {
		wait = min(wait, max(0, at.Sub(s.clock.Now())))
	}
	return wait
}

func (s *runSession) flush() error {
	for _, w := range []*lineWriter{s.out, s.dead, s.outcomes} {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

// send sends the events of lines. What is no event is told.
func (s *runSession) send(ctx context.Context, lines []inputLine) error {
	events := make([]*tracking.Event, 0, len(lines))
	for _, line := range lines {
		err := line.err
		var event *tracking.Event
		if err == nil {
			event, err = s.decoder.decode(line.number, line.text)
		}
		if err != nil {
			if line.fatal {
				return fmt.Errorf("read standard input: line %d: %w", line.number, err)
			}
			s.report.refuse(line.number, err)
			continue
		}
		events = append(events, event)
		s.lines.add(line.number)
	}
	s.report.events += len(events)
	return s.runner.Send(ctx, s.topic, events...)
}

func (s *runSession) write(o trial.Output) error {
	s.report.left(o.Topic)
	return s.out.write(o.Event)
}

func (s *runSession) done(o trial.Outcome) error {
	switch o.Verdict.Outcome {
	case pipeline.Drop:
		s.report.dropped++
	case pipeline.Reject:
		s.report.dead++
		if err := s.dead.write(deadEvent(o)); err != nil {
			return err
		}
	default:
	}
	return s.outcomes.write(describeOutcome(o, s.lines.of(o.Seq)))
}
