package pipeline

import "slices"

// Wrapped returns the plan with what wrap makes of a stage in the place of each, once it is built: a trial has stages fail on
// purpose that way. What wrap returns takes over what the stage holds and has to send (io.Closer, Emitter).
func (p Plan) Wrapped(wrap func(stage string, built Stage) Stage) Plan {
	p.Hops = slices.Clone(p.Hops)
	for i := range p.Hops {
		stages := slices.Clone(p.Hops[i].Stages)
		for n := range stages {
			name, build := stages[n].Name, stages[n].definition.build
			stages[n].definition.build = func(config any, settings Settings) (Stage, error) {
				built, err := build(config, settings)
				if err != nil {
					return nil, err
				}
				return wrap(name, built), nil
			}
		}
		p.Hops[i].Stages = stages
	}
	return p
}

// Fused returns the spec with every stage in one hop, or each in a hop of its own, which makes no difference to what becomes
// of events (Invariant 9).
func (s Spec) Fused(fused bool) Spec {
	s.Stages = slices.Clone(s.Stages)
	for i := range s.Stages {
		s.Stages[i].Fuse = fused && i > 0
	}
	return s
}
