package cli

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/internal/secrets"
	"github.com/rastrohq/rastro/pipeline"
)

// reloads remembers what came of reading the configuration again.
type reloads struct {
	mu   sync.Mutex
	last *live.Reload
}

func newReloads() *reloads { return &reloads{} }

// note remembers a reload: the pipelines before and after, those that were started anew, or why it was refused. One that found
// nothing new does not take the place of one that changed something: files that change one after the other are read more than once.
func (r *reloads) note(before, after []pipeline.Plan, touched []string, err error) {
	reload := live.Reload{At: time.Now().UTC(), Result: "unchanged", Changed: []live.Change{}, Findings: []live.FindingOut{}}
	if err != nil {
		reload.Result = "refused"
		if found, ok := errors.AsType[pipeline.Findings](err); ok {
			reload.Findings = live.Findings(found)
		}
	} else if reload.Changed = live.ChangesOf(before, after, touched); len(reload.Changed) > 0 {
		reload.Result = "changed"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if reload.Result == "unchanged" && r.last != nil && r.last.Result == "changed" {
		return
	}
	r.last = &reload
}

func (r *reloads) get() *live.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// loaded returns what reads the configuration to be shown: no secret is asked for.
func (p planner) loaded(r *reloads) func(context.Context) (live.Loaded, error) {
	return func(ctx context.Context) (live.Loaded, error) {
		l := live.Loaded{Reload: r.get()}
		var err error
		if l.Pipelines, err = pipelineSources(p.files); err != nil {
			return l, err
		}
		if l.Carriers, err = sourcesOf(p.files, "carriers/*.yaml"); err != nil {
			return l, err
		}
		checker := newChecker(p.files, p.registry)
		checker.Delivery = p.limits
		checker.Resolver = pipeline.Withheld(secrets.New(secrets.DefaultConfig()))
		l.Specs, l.Findings = check(ctx, p.files, checker, l.Pipelines)
		return l, nil
	}
}
