package live

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/pipeline"
)

// Loaded is the configuration as it was read from its files.
type Loaded struct {
	Pipelines, Carriers []pipeline.Source
	// Specs are the pipelines that could be read.
	Specs    []pipeline.Spec
	Findings pipeline.Findings
	// Reload is what came of reading the configuration again; nil when the process has not since it started. A reading that found
	// nothing new does not take the place of one that changed something.
	Reload *Reload
}

// Reload is what came of having the configuration read again.
type Reload struct {
	At       time.Time    `json:"at" doc:"When it was read again"`
	Result   string       `json:"result" enum:"changed,unchanged,refused" doc:"Whether anything was changed by it; refused when it could not be taken, and everything goes on as before"`
	Changed  []Change     `json:"changed" doc:"The pipelines that it changed"`
	Findings []FindingOut `json:"findings" doc:"Why it was refused"`
}

// Change is what a reload changed of a pipeline.
type Change struct {
	Pipeline string   `json:"pipeline" doc:"The pipeline" example:"tracking"`
	Change   string   `json:"change" enum:"added,changed,removed" doc:"What became of it"`
	Stages   []string `json:"stages" doc:"Its stages that were added, changed or removed; none when only files changed that they read" example:"[\"dedupe\"]"`
}

// FindingOut is what may be wrong with the configuration, and where.
type FindingOut struct {
	File     string `json:"file" doc:"The file" example:"config/pipelines/tracking.yaml"`
	Line     int    `json:"line" doc:"The line in it, from 1; 0 when it is about the whole file" example:"7"`
	Column   int    `json:"column" doc:"The column, from 1" example:"10"`
	Code     string `json:"code" doc:"What it is about, in short" example:"unknown-stage"`
	Message  string `json:"message" doc:"What is wrong" example:"unknown stage \"dedup\""`
	Hint     string `json:"hint,omitempty" doc:"What to write instead" example:"did you mean \"dedupe\"?"`
	Severity string `json:"severity" enum:"error,warning" doc:"With an error no process takes the configuration"`
}

// ConfigFile is a file of the configuration.
type ConfigFile struct {
	File     string       `json:"file" doc:"The file" example:"config/pipelines/tracking.yaml"`
	Name     string       `json:"name,omitempty" doc:"The pipeline in it; missing when it cannot be read" example:"tracking"`
	Version  string       `json:"version,omitempty" doc:"Identifies the pipeline's configuration as it takes effect, as in /api/v1/stages/{id}; missing while it has errors" example:"3f1c9a0b77de"`
	YAML     string       `json:"yaml" doc:"What it says, with its references to the environment and to secrets as they are written" example:"pipeline: tracking\nfrom: events.ingested\n"`
	Findings []FindingOut `json:"findings" doc:"What may be wrong with it"`

	tenant  string // whose it is, when it is a carrier's
	nobodys bool   // it cannot be read whose it is
}

// Configuration is how the pipelines are configured.
type Configuration struct {
	Version   string       `json:"version,omitempty" doc:"Identifies the configuration of all pipelines, as in /api/v1/stages; missing while it has errors" example:"9d04c1ee52ab"`
	ReadAt    time.Time    `json:"read_at" doc:"When its files were read"`
	Valid     bool         `json:"valid" doc:"Whether a process would take it"`
	Pipelines []ConfigFile `json:"pipelines" doc:"The pipelines, in the order of their files"`
	Carriers  []ConfigFile `json:"carriers" doc:"The carriers of the tenant and those of all tenants, in the order of their files; with tenants:all every carrier"`
	Findings  []FindingOut `json:"findings" doc:"What may be wrong with other files, such as tenants.yaml"`
	Reload    *Reload      `json:"last_reload,omitempty" doc:"What came of having this process read it again: the last time that it changed something or was refused; missing when it has not since it started"`
}

type configOutput struct{ Body Configuration }

func (h *Handler) registerConfig(api huma.API) {
	if h.deps.Loaded == nil {
		return
	}
	huma.Register(api, operation("get-config", "config", "Operations", auth.RoleOpsRead, "The configuration",
		"The pipelines as their files say, with what the linter finds and where, and what reading them again changed last. Secrets and what "+
			"environment variables hold are not resolved. It is up to five seconds old.", http.StatusServiceUnavailable), h.getConfig)
}

func (h *Handler) getConfig(ctx context.Context, _ *struct{}) (*configOutput, error) {
	identity, tenant, err := authorize(ctx, auth.RoleOpsRead, Whose{})
	if err != nil {
		return nil, err
	}
	c, err := remember(&h.cache, "config", planFreshness, h.deps.Now, func() (Configuration, error) {
		loaded, err := h.deps.Loaded(context.WithoutCancel(ctx))
		if err != nil {
			return Configuration{}, err
		}
		return loaded.configuration(h.deps.Now().UTC()), nil
	})
	if err != nil {
		return nil, h.unavailable(ctx, "read the configuration", err)
	}
	if !identity.Has(auth.RoleTenantsAll) {
		c = c.seenBy(tenant)
	}
	return &configOutput{c}, nil
}

func (l Loaded) configuration(at time.Time) Configuration {
	c := Configuration{ReadAt: at, Valid: len(l.Findings.Errors()) == 0, Reload: l.Reload, Findings: []FindingOut{}}
	known := map[string]bool{}
	plans := make([]pipeline.Plan, len(l.Specs))
	files := func(sources []pipeline.Source) []ConfigFile {
		list := make([]ConfigFile, len(sources))
		for i, source := range sources {
			known[source.File] = true
			own := slices.DeleteFunc(slices.Clone(l.Findings), func(f pipeline.Finding) bool { return f.File != source.File })
			list[i] = ConfigFile{File: source.File, YAML: withoutPasswords(string(source.Text)), Findings: Findings(own)}
			for _, spec := range l.Specs {
				if spec.File != source.File {
					continue
				}
				if list[i].Name = spec.Name; c.Valid {
					list[i].Version = pipeline.Version(spec.Plan())
				}
			}
		}
		return list
	}
	c.Pipelines, c.Carriers = files(l.Pipelines), files(l.Carriers)
	for i, source := range l.Carriers {
		tenant, ok := carriersTenant(source)
		c.Carriers[i].tenant, c.Carriers[i].nobodys = tenant, !ok
	}
	for _, f := range l.Findings {
		if !known[f.File] {
			c.Findings = append(c.Findings, Findings(pipeline.Findings{f})...)
		}
	}
	if c.Valid {
		for i, spec := range l.Specs {
			plans[i] = spec.Plan()
		}
		c.Version = pipeline.Version(plans...)
	}
	return c
}

// Findings returns findings as they are answered.
func Findings(found pipeline.Findings) []FindingOut {
	list := make([]FindingOut, len(found))
	for i, f := range found {
		list[i] = FindingOut{f.File, f.Line, f.Column, f.Code, withoutPasswords(f.Message), withoutPasswords(f.Hint), f.Severity.String()}
	}
	return list
}

// urlPassword is a password in a URL that was written where a reference to a secret belongs.
var urlPassword = regexp.MustCompile(`(://[^\s:/@"']*:)[^\s/@"'$]+@`)

func withoutPasswords(text string) string {
	return urlPassword.ReplaceAllString(text, "${1}"+pipeline.Redacted+"@")
}

// ChangesOf returns what differs between the pipelines of two configurations. Those in touched count as changed in any case.
func ChangesOf(before, after []pipeline.Plan, touched []string) []Change {
	changes := []Change{}
	versions := map[string][]string{}
	plans := func(list []pipeline.Plan) map[string]map[string]string {
		stages := map[string]map[string]string{}
		for _, plan := range list {
			stages[plan.Pipeline] = map[string]string{}
			versions[plan.Pipeline] = append(versions[plan.Pipeline], pipeline.Version(plan))
			for _, hop := range plan.Hops {
				for _, stage := range hop.Stages {
					// Without its topics, which are other stages' names.
					stages[plan.Pipeline][stage.Name] = pipeline.Version(pipeline.Plan{Hops: []pipeline.Hop{
						{Name: hop.Name, Workers: hop.Workers, Batch: hop.Batch, Stages: []pipeline.StageSpec{stage}},
					}})
				}
			}
		}
		return stages
	}
	old, now := plans(before), plans(after)
	for _, name := range namesOf(old, now) {
		c := Change{Pipeline: name, Change: "changed", Stages: []string{}}
		switch {
		case old[name] == nil:
			c.Change = "added"
		case now[name] == nil:
			c.Change = "removed"
		}
		for _, stage := range namesOf(old[name], now[name]) {
			if old[name][stage] != now[name][stage] {
				c.Stages = append(c.Stages, stage)
			}
		}
		if len(slices.Compact(versions[name])) > 1 || c.Change != "changed" || slices.Contains(touched, name) {
			changes = append(changes, c)
		}
	}
	return changes
}

// namesOf returns the keys of two maps in their order.
func namesOf[T any](a, b map[string]T) []string {
	var names []string
	for _, m := range []map[string]T{a, b} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
