package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rastrohq/rastro/internal/crash"
)

const (
	// workOff is how long what is on its way may take to be worked off once nobody is killed any more.
	workOff = 3 * time.Minute
	// crashWithin bounds how long processes may take to crash as often as asked.
	crashWithin = 10 * time.Minute
)

// trial is one run over one broker.
type trial struct {
	options options
	broker  string
	stack   *stack
	fleet   *fleet
	journal *journal
	rand    *rand.Rand
	started time.Time
}

// try runs the roles over a broker, kills them, and returns what came of it.
func try(ctx context.Context, o options, kind string) (r *report, err error) {
	dir, err := os.MkdirTemp("", "rastro-chaos-")
	if err == nil {
		err = os.Chmod(dir, 0o711) //nolint:gosec // PostgreSQL's user must reach its data in it
	}
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	// Logs are kept when they are of use.
	defer func() {
		if err != nil || !r.ok() {
			_, _ = fmt.Fprintln(os.Stderr, "chaos: the processes' logs are in", dir)
			return
		}
		_ = os.RemoveAll(dir)
	}()
	t := &trial{
		options: o, broker: kind, journal: newJournal(), started: time.Now(),
		rand: rand.New(rand.NewPCG(o.seed, 0x6b111)), //nolint:gosec // a schedule, not a secret
	}
	t.say("starting PostgreSQL, %s and the roles; seed %d", kind, o.seed)
	if t.stack, err = startStack(ctx, kind, dir); err != nil {
		return nil, err
	}
	defer t.stack.stop(ctx)
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	if t.fleet, err = launch(ctx, t.stack, o.binary, o.processors); err != nil {
		return nil, errors.Join(err, t.logs(dir))
	}
	stopped := false
	defer func() {
		if !stopped {
			t.fleet.stop()
		}
	}()
	r = &report{Broker: kind, Seed: o.seed, OK: true}
	if o.kills > 0 {
		if err := t.phase(ctx, r, "kills", o.seed, t.killSome); err != nil {
			return nil, err
		}
	}
	// What the first phase found must not be covered by what the second stores.
	if o.crashes > 0 && (r.verdict == nil || r.sound()) {
		if err := t.phase(ctx, r, "crashes", o.seed+1_000_003, t.crashSome); err != nil {
			return nil, err
		}
	}
	t.fleet.stop()
	stopped = true
	t.sum(r)
	return r, nil
}

// prepare makes the database's tables and learns the topics.
func (t *trial) prepare(ctx context.Context) error {
	if _, err := t.stack.run(ctx, t.options.binary, "migrate"); err != nil {
		return err
	}
	topics, err := t.stack.run(ctx, t.options.binary, "pipeline", "topics", "--format", "json")
	if err != nil {
		return err
	}
	return t.stack.broker.know(topics)
}

// logs says how the processes' logs begin, for a start that fails.
func (t *trial) logs(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range found {
		content, readErr := os.ReadFile(name) //nolint:gosec // a file of our own
		if len(content) > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %s", filepath.Base(name), content[:min(len(content), 2000)]))
		}
		err = errors.Join(err, readErr)
	}
	return err
}

// phase sends traffic while harm is done, lets everything be worked off, and compares.
func (t *trial) phase(ctx context.Context, r *report, name string, seed uint64, harm func(context.Context) error) error {
	stop := make(chan struct{})
	sending := make(chan struct{})
	l := newLoad(t.stack, t.fleet.of(roleIngest), t.journal, t.options.rate, seed)
	sendCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(sending)
		l.run(sendCtx, stop)
	}()
	err := harm(ctx)
	t.say("%s done: waiting for the last answers", name)
	close(stop)
	if err != nil {
		cancel()
	}
	<-sending
	if err != nil {
		return err
	}
	for _, s := range t.fleet.of(roleIngest, roleProcessor) {
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	t.say("waiting until everything is worked off")
	if err := t.stack.drain(ctx, workOff); err != nil {
		return err
	}
	t.say("comparing")
	return t.judge(ctx, r)
}

// judge compares everything so far.
func (t *trial) judge(ctx context.Context, r *report) error {
	v, err := t.stack.verify(ctx, t.journal)
	if err != nil {
		return err
	}
	r.verdict = v
	at := t.fleet.of(roleQuery)[0]
	if r.Asked, r.ShownWrong, err = t.stack.ask(ctx, at); err != nil {
		return err
	}
	r.Balance, err = t.stack.balance(ctx, at)
	return err
}

// killSome kills a random process of ingest or processor every second or two, and now and then two at once.
func (t *trial) killSome(ctx context.Context) error {
	for t.fleet.killed() < t.options.kills {
		wait := time.Second + time.Duration(t.rand.Int64N(int64(time.Second)))
		victims := t.fleet.of(roleIngest, roleProcessor)
		t.rand.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		several := 1
		if t.rand.IntN(10) == 0 {
			several = 2
		}
		if err := t.pause(ctx, wait); err != nil {
			return err
		}
		var hit []string
		for _, victim := range victims[:several] {
			victim.busy(ctx)
			if victim.kill() {
				hit = append(hit, victim.name)
			}
		}
		t.progress(ctx, "killed "+strings.Join(hit, " and "))
	}
	return nil
}

// crashSome has processes kill themselves at each boundary, over and over.
func (t *trial) crashSome(ctx context.Context) error {
	t.fleet.use(t.options.crashBinary, true)
	t.replace()
	begun := time.Now()
	for t.fleet.leastCrashed() < t.options.crashes {
		if time.Since(begun) > crashWithin {
			return fmt.Errorf("within %v processes crashed only %v times, and not %d times at each point", crashWithin, t.fleet.crashes, t.options.crashes)
		}
		if err := t.pause(ctx, 2*time.Second); err != nil {
			return err
		}
		t.progress(ctx, "crashing")
	}
	t.fleet.use(t.options.binary, false)
	t.replace()
	return nil
}

// replace kills every process that may be killed, so that what is to be started next is.
func (t *trial) replace() {
	for _, s := range t.fleet.of(roleIngest, roleProcessor) {
		s.kill()
	}
}

func (t *trial) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// progress says how far it is.
func (t *trial) progress(ctx context.Context, what string) {
	left, err := t.stack.broker.backlog(ctx)
	backlog := fmt.Sprint(left)
	if err != nil {
		backlog = "?"
	}
	c := t.journal.tally()
	t.fleet.mu.Lock()
	crashes := 0
	for _, n := range t.fleet.crashes {
		crashes += n
	}
	t.fleet.mu.Unlock()
	t.say("%-28s kills %d, crashes %d, sent %d, accepted %d, unanswered %d, frames on their way %s", what,
		t.fleet.killed(), crashes, c.Sent, c.Accepted, c.Unanswered, backlog)
}

func (t *trial) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%6.1f s  %s: %s\n", time.Since(t.started).Seconds(), t.broker, fmt.Sprintf(format, args...))
}

// sum fills in what was done.
func (t *trial) sum(r *report) {
	f := t.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Kills, r.Crashes, r.Deaths = f.kills, map[string]int{}, f.deaths
	for _, point := range crash.Points() {
		if n := f.crashes[point]; n > 0 {
			r.Crashes[string(point)] = n
		}
	}
	t.journal.mu.Lock()
	defer t.journal.mu.Unlock()
	r.Load, r.Faults = t.journal.counts, t.journal.faults
	r.Seconds = time.Since(t.started).Seconds()
	r.OK = r.ok()
}
