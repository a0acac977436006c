package routers

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// LedgerStore takes what became of events. Entering the same twice has the effect of entering it once.
type LedgerStore interface {
	AddLedger(ctx context.Context, pipeline string, marks []store.LedgerMark, duplicates []store.Duplicate, trails ...store.Trail) error
	// Ended returns, for each mark that is asked for, the bits of the events that have ended.
	Ended(ctx context.Context, pipeline string, asked []store.LedgerMark) ([]uint64, error)
	// EndRedrives settles the dead letters of events that were redriven and have ended.
	EndRedrives(ctx context.Context, pipeline string, ends []store.RedriveEnd) error
}

const (
	// ledgerInHand is how many ledger frames are held until they are stored.
	ledgerInHand = 256
	// ledgerLinger is how long the first of them waits for others: nobody waits for the books.
	ledgerLinger = 20 * time.Millisecond
	// ledgerEntries is how many entries are stored at once, not much more than.
	ledgerEntries = 5000
)

// ledger stores what arrives on the ledger topic, many frames at once.
type ledger struct {
	processor *Processor
	gate      Gate
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	incoming  chan *ledgerFrame
}

type ledgerFrame struct {
	entries []*ledgerEntry
	done    chan error
}

func (p *Processor) addLedger() error {
	if p.config.Ledger == nil {
		return nil
	}
	l := &ledger{processor: p, incoming: make(chan *ledgerFrame)}
	l.breaker = newBreaker(p, "ledger", pipeline.DefaultBreaker(), func(open bool) { l.gate.set(open) })
	p.ledger = l
	return p.subscribe("ledger", p.config.Plan.Ledger, ledgerInHand, &l.gate, l.handle)
}

// handle is the Watermill handler of the ledger topic. Its return settles the frame.
func (l *ledger) handle(msg *message.Message) error {
	entries, err := decode[ledgerEntry](l.processor.codec.dec, msg.Payload)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	frame := &ledgerFrame{entries: entries, done: make(chan error, 1)}
	select {
	case l.incoming <- frame:
		return <-frame.done
	case <-l.processor.work.Done():
		return fmt.Errorf("ledger: %w", ErrClosed)
	}
}

// run stores what comes until ctx ends.
func (l *ledger) run(ctx context.Context) {
	for {
		select {
		case first := <-l.incoming:
			frames := l.gather(ctx, first)
			err := l.store(ctx, frames)
			for _, f := range frames {
				f.done <- err
			}
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what comes within a moment of the first.
func (l *ledger) gather(ctx context.Context, first *ledgerFrame) []*ledgerFrame {
	frames, entries := []*ledgerFrame{first}, len(first.entries)
	enough := time.NewTimer(ledgerLinger)
	defer enough.Stop()
	for entries < ledgerEntries && len(frames) < ledgerInHand {
		select {
		case next := <-l.incoming:
			frames, entries = append(frames, next), entries+len(next.entries)
		case <-enough.C:
			return frames
		case <-l.processor.receiving.Done(): // no more will come
			return frames
		case <-ctx.Done():
			return frames
		}
	}
	return frames
}

// store enters what the frames hold, trying until it can or ctx ends.
func (l *ledger) store(ctx context.Context, frames []*ledgerFrame) error {
	var marks []store.LedgerMark
	var duplicates []store.Duplicate
	var redrives []store.RedriveEnd
	var trails []store.Trail
	for _, f := range frames {
		for _, e := range f.entries {
			if e.Mark != nil {
				marks = append(marks, *e.Mark)
			}
			if e.Duplicate != nil {
				duplicates = append(duplicates, *e.Duplicate)
			}
			if e.Redriven != nil {
				redrives = append(redrives, *e.Redriven)
			}
			if e.Trail != nil {
				trails = append(trails, *e.Trail)
			}
		}
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		report, err := l.breaker.Allow()
		if err == nil {
			name := l.processor.config.Plan.Pipeline
			if err = l.processor.config.Ledger.AddLedger(ctx, name, marks, duplicates, trails...); err == nil {
				err = l.processor.config.Ledger.EndRedrives(ctx, name, redrives)
			}
			report(err)
		}
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return fmt.Errorf("store ledger: %w", err)
		}
	}
}
