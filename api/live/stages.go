package live

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/goccy/go-yaml"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
)

// Stage is how a stage of a pipeline does.
type Stage struct {
	ID        string         `json:"id" doc:"pipeline.stage" example:"tracking.dedupe"`
	Pipeline  string         `json:"pipeline" doc:"The pipeline"`
	Name      string         `json:"name" doc:"The stage's name in it"`
	Use       string         `json:"use" doc:"What kind of stage it is"`
	Hop       string         `json:"hop" doc:"The hop that it runs in: fused stages share one"`
	Topic     string         `json:"topic" doc:"The topic that the hop reads"`
	To        []string       `json:"to" doc:"The topics that the hop writes to"`
	Workers   int            `json:"workers" doc:"Batches that the hop works on at once in a process"`
	Processes int            `json:"processes" doc:"Processes that run it"`
	Paused    *Pause         `json:"paused,omitempty" doc:"Why it stands still: it was paused, or a stage that is fused with it; missing when it does not"`
	Standing  int            `json:"paused_processes" doc:"Of the processes that run it, those that have it stand still by now: all follow within a few seconds"`
	Breaker   string         `json:"breaker" enum:"closed,half-open,open,unknown" doc:"The worst state of its circuit breakers in these processes"`
	Now       StageGauge     `json:"now" doc:"How it does just now"`
	Took      *Latency       `json:"took,omitempty" doc:"What it took for the batches that events were in, in the window"`
	Age       *Latency       `json:"age,omitempty" doc:"How long ago events that it let pass had been received, in the window"`
	Fill      *float64       `json:"batch_fill,omitempty" doc:"How full its batches were on average, as a share of the largest that it takes"`
	Outcomes  map[string]int `json:"outcomes" doc:"What became of events in the window: pass, drop, reject, retry, emit"`

	took *quantiles.Histogram
}

// StageDetail is a stage with its configuration.
type StageDetail struct {
	Stage

	Summary string           `json:"summary" doc:"What stages of its kind do"`
	Config  string           `json:"config" doc:"Its configuration as it takes effect, as YAML; secrets are left out"`
	Fields  []pipeline.Field `json:"fields" doc:"The keys of the configuration, with their defaults"`
	Version string           `json:"version" doc:"Identifies the configuration of its pipeline: another one has another version"`
	TookMS  []Bar            `json:"took_distribution" doc:"How many events were in batches that took how long, in the window; the quickest first"`
}

// StageList are all stages.
type StageList struct {
	Items   []Stage `json:"items" doc:"In the order of the pipelines' names, and of the stages in them"`
	Version string  `json:"version" doc:"Identifies the configuration of all pipelines"`
}

type stagesOutput struct{ Body StageList }

type stageInput struct {
	WindowInput

	ID string `path:"id" maxLength:"128" doc:"pipeline.stage" example:"tracking.dedupe"`
}

type stageOutput struct{ Body StageDetail }

// Edge is a topic between stages.
type Edge struct {
	Topic string   `json:"topic" doc:"The topic"`
	From  []string `json:"from" doc:"The stages that write to it; none when it comes from outside"`
	To    []string `json:"to" doc:"The stages that read it; none when it leads outside"`
	Rate  float64  `json:"per_second" doc:"Events a second that pass over it, as far as its writers' or else its readers' counts tell"`
}

// Topology is how stages and topics hang together.
type Topology struct {
	Nodes []Stage `json:"nodes" doc:"The stages"`
	Edges []Edge  `json:"edges" doc:"The topics between them"`
}

type topologyOutput struct{ Body Topology }

func (h *Handler) registerStages(api huma.API) {
	huma.Register(api, operation("list-stages", "stages", "Operations", auth.RoleOpsRead, "The stages",
		"How each stage of the pipelines does with the tenant's events.", http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.listStages)
	huma.Register(api, operation("get-stage", "stages/{id}", "Operations", auth.RoleOpsRead, "A stage",
		"How it does, and how it is configured.", http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.getStage)
	huma.Register(api, operation("get-topology", "topology", "Operations", auth.RoleOpsRead, "How stages hang together",
		"The stages and the topics between them as the pipelines are configured, with rates.", http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.topology)
}

func (h *Handler) listStages(ctx context.Context, in *WindowInput) (*stagesOutput, error) {
	stages, plans, err := h.stages(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &stagesOutput{StageList{stages, pipeline.Version(plans...)}}, nil
}

func (h *Handler) getStage(ctx context.Context, in *stageInput) (*stageOutput, error) {
	stages, plans, err := h.stages(ctx, in.WindowInput)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(stages, func(s Stage) bool { return s.ID == in.ID })
	if i < 0 {
		return nil, problem.New(http.StatusNotFound, "not-found", fmt.Sprintf("There is no stage %q; GET /api/v1/stages lists what there is.", in.ID))
	}
	d := StageDetail{Stage: stages[i], Fields: []pipeline.Field{}, TookMS: barsOf(stages[i].took)}
	for _, r := range h.deps.Registry.References() {
		if r.Name == d.Use {
			d.Summary, d.Fields = r.Summary, r.Fields
		}
	}
	for _, plan := range plans {
		if plan.Pipeline == d.Pipeline {
			d.Version = pipeline.Version(plan)
			d.Config = configOf(plan, d.Name)
		}
	}
	return &stageOutput{d}, nil
}

// configOf returns a stage's config as it takes effect, without secrets.
func configOf(plan pipeline.Plan, name string) string {
	for _, hop := range plan.Hops {
		for _, s := range hop.Stages {
			if s.Name == name {
				text, err := yaml.MarshalWithOptions(s.With(true), yaml.IndentSequence(true))
				if err == nil {
					return string(text)
				}
			}
		}
	}
	return ""
}

// stages returns how the stages do; the error is a Problem.
func (h *Handler) stages(ctx context.Context, in WindowInput) ([]Stage, []pipeline.Plan, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, nil, err
	}
	window, err := in.window()
	if err != nil {
		return nil, nil, err
	}
	plans, err := h.deps.Plans(ctx)
	if err != nil {
		return nil, nil, h.unavailable(ctx, "read the configuration", err)
	}
	stages, err := remember(&h.cache, "stages "+window.String()+" "+tenant, freshness, h.deps.Now, func() ([]Stage, error) {
		return h.readStages(context.WithoutCancel(ctx), plans, tenant, window)
	})
	if err != nil {
		return nil, nil, h.unavailable(ctx, "read how stages do", err)
	}
	stages, err = h.withPauses(ctx, plans, stages)
	if err != nil {
		return nil, nil, h.unavailable(ctx, "read which stages are paused", err)
	}
	return stages, plans, nil
}

func (h *Handler) readStages(ctx context.Context, plans []pipeline.Plan, tenant string, window time.Duration) ([]Stage, error) {
	now := h.deps.Now()
	gauges, err := h.gauge.of(ctx, tenant)
	if err != nil {
		return nil, err
	}
	stats, err := h.deps.Reads.StatsByMinute(ctx, tenant, now.Add(-window))
	if err != nil {
		return nil, err
	}
	times, err := h.deps.Reads.StageTimes(ctx, tenant, now.Add(-window), now.Add(time.Minute))
	if err != nil {
		return nil, err
	}
	states, err := h.deps.Reads.StageStates(ctx)
	if err != nil {
		return nil, err
	}
	merged := mergeTimes(times)
	stages := []Stage{}
	for _, plan := range plans {
		for _, hop := range plan.Hops {
			for _, spec := range hop.Stages {
				s := stageOf(plan, hop, spec)
				s.Now = gauges.Stages[plan.Pipeline+"/"+spec.Name]
				s.measure(hop, merged[plan.Pipeline+"/"+spec.Name], stats, states)
				stages = append(stages, s)
			}
		}
	}
	return stages, nil
}

func stageOf(plan pipeline.Plan, hop pipeline.Hop, spec pipeline.StageSpec) Stage {
	return Stage{
		ID: plan.Pipeline + "." + spec.Name, Pipeline: plan.Pipeline, Name: spec.Name, Use: spec.Use, Hop: hop.Name, Topic: hop.From,
		To: append([]string{}, hop.Topics()...), Workers: hop.Workers, Breaker: "unknown", Outcomes: map[string]int{},
	}
}

// measure adds what is known of how the stage did.
func (s *Stage) measure(hop pipeline.Hop, times store.StageTimes, stats []store.StatMinute, states []store.StageState) {
	s.Took, s.Age, s.took = latencyOf(times.Took), latencyOf(times.Age), times.Took
	if times.Batches > 0 && hop.Batch.Events > 0 {
		fill := rounded(float64(times.Batched) / float64(times.Batches) / float64(hop.Batch.Events))
		s.Fill = &fill
	}
	for _, m := range stats {
		if m.Pipeline == s.Pipeline && m.Stage == s.Name {
			s.Outcomes[m.Outcome] += int(m.Events)
		}
	}
	worse := []string{"unknown", "closed", "half-open", "open"}
	for _, state := range states {
		if state.Pipeline == s.Pipeline && state.Stage == s.Name {
			s.Processes++
			if state.Paused {
				s.Standing++
			}
			if slices.Index(worse, state.Breaker) > slices.Index(worse, s.Breaker) {
				s.Breaker = state.Breaker
			}
		}
	}
}

func (h *Handler) topology(ctx context.Context, in *WindowInput) (*topologyOutput, error) {
	stages, plans, err := h.stages(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &topologyOutput{Topology{stages, edgesOf(plans, stages)}}, nil
}

func edgesOf(plans []pipeline.Plan, stages []Stage) []Edge {
	edges := map[string]*Edge{}
	edge := func(topic string) *Edge {
		if edges[topic] == nil {
			edges[topic] = &Edge{Topic: topic, From: []string{}, To: []string{}}
		}
		return edges[topic]
	}
	gauges := map[string]StageGauge{}
	for _, s := range stages {
		gauges[s.ID] = s.Now
	}
	for _, plan := range plans {
		for _, hop := range plan.Hops {
			first, last := plan.Pipeline+"."+hop.Stages[0].Name, plan.Pipeline+"."+hop.Stages[len(hop.Stages)-1].Name
			in := edge(hop.From)
			in.To = append(in.To, first)
			if len(in.From) == 0 {
				in.Rate = gauges[first].In
			}
			for _, topic := range hop.To {
				out := edge(topic)
				if len(out.From) == 0 {
					out.Rate = 0
				}
				out.From, out.Rate = append(out.From, last), out.Rate+gauges[last].Out
			}
			for _, topic := range hop.Topics() { // what routes send elsewhere is not counted by where to
				if out := edge(topic); !slices.Contains(out.From, last) {
					out.From = append(out.From, last)
				}
			}
		}
	}
	list := make([]Edge, 0, len(edges))
	for _, topic := range slices.SortedFunc(maps.Keys(edges), strings.Compare) {
		list = append(list, *edges[topic])
	}
	return list
}
