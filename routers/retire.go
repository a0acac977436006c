package routers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// retireEvery is how often a processor that retires looks whether its topics are empty.
const retireEvery = 50 * time.Millisecond

// Retire closes a processor in favour of the next generation of its pipeline, which is running already. Topics that continue
// to be read are left to that one at once; those that are not, because their stage is gone or fused, are worked off first, so
// that what waits there goes its way. What is not done when ctx ends stays with the broker: the error says where.
//
// Invariant 11: a changed config is another generation, and nothing is lost between the two.
func (p *Processor) Retire(ctx context.Context, continued func(topic string) bool) error {
	var drains sync.WaitGroup
	var left []subscription
	for _, sub := range p.subs {
		if continued(sub.topic) {
			// What it cannot finish in time Close hands back.
			drains.Go(func() { _ = sub.Drain(ctx) })
		} else {
			left = append(left, sub)
		}
	}
	drains.Wait()
	return errors.Join(p.workOff(ctx, left), p.Close(ctx))
}

// workOff waits until nothing waits in topics that nobody else reads.
func (p *Processor) workOff(ctx context.Context, subs []subscription) error {
	var all error
	for _, sub := range subs {
		for {
			backlog, err := p.config.Transport.Backlog(ctx, sub.topic, p.config.Plan.Pipeline)
			if err == nil && backlog.Total() == 0 {
				break
			}
			select {
			case <-time.After(retireEvery):
				continue
			case <-ctx.Done():
			}
			if err == nil {
				err = fmt.Errorf("%d frames are left in topic %q, which no stage reads any more", backlog.Total(), sub.topic)
			}
			all = errors.Join(all, err)
			break
		}
	}
	return all
}
