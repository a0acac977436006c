package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"runtime/debug"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers"
	"github.com/rastrohq/rastro/routers/nats"
)

// deployEvery is how often processes are taken to be replaced at most.
const deployEvery = time.Hour

// deliveryLimits returns what the pipelines of a process are checked against.
func deliveryLimits(process config.Process) pipeline.Limits {
	l := nats.DefaultConfig().Limits()
	if process.Broker.Kind == config.BrokerSQS {
		l = sqsConfig(process).Limits()
	}
	l.FramesInHand, l.DeployEvery = routers.FramesInHand, deployEvery
	l.Shutdown, l.ShutdownBy = process.ShutdownTimeout, "RASTRO_SHUTDOWN_TIMEOUT"
	l.EventBytes, l.EventBytesBy = process.Ingest.MaxEventBytes, "RASTRO_INGEST_MAX_EVENT_BYTES"
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 { // asks, and sets nothing
		l.MemoryBytes = limit
	}
	return l
}

// check checks pipelines and the files beside them. It returns the pipelines that are right by themselves.
func check(ctx context.Context, files fs.FS, checker pipeline.Checker, sources []pipeline.Source) ([]pipeline.Spec, pipeline.Findings) {
	specs, findings := checker.CheckContext(ctx, sources...)
	l := checker.Delivery
	found := l.CheckEvent(l.EventBytes, "the largest payload that ingest takes", pipeline.Finding{File: l.EventBytesBy})
	found = append(found, checkTenants(files, l)...)
	return specs, append(findings, found...)
}

// checkTenants finds tenants that may send larger events than can be carried or are taken.
func checkTenants(files fs.FS, limits pipeline.Limits) pipeline.Findings {
	file := tenantsName
	if c, ok := files.(configuration); ok {
		file = c.name(tenantsName)
	}
	source, err := fs.ReadFile(files, tenantsName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return pipeline.Findings{tenantsFinding(file, err)}
	}
	tenants, wrong := parseTenants(file, source)
	if len(wrong) > 0 {
		return wrong
	}
	places := tenantPlaces(source)
	var all pipeline.Findings
	for i, tenant := range tenants {
		at := pipeline.Finding{File: file}
		if i < len(places) {
			at.Line, at.Column = places[i].line, places[i].column
		}
		said := fmt.Sprintf("max_payload_bytes of tenant %q", tenant.ID)
		found := limits.CheckEvent(tenant.MaxPayloadBytes, said, at)
		if len(found) == 0 && limits.EventBytes > 0 && tenant.MaxPayloadBytes > limits.EventBytes {
			at.Code, at.Severity = "event-bytes", pipeline.SeverityWarning
			at.Message = fmt.Sprintf("%s is %d, and no more than %d are taken (%s)", said, tenant.MaxPayloadBytes, limits.EventBytes, limits.EventBytesBy)
			at.Hint = fmt.Sprintf("write %d or less, or set %s to %d", limits.EventBytes, limits.EventBytesBy, tenant.MaxPayloadBytes)
			found = pipeline.Findings{at}
		}
		all = append(all, found...)
	}
	return all
}

// position is where something stands in a file.
type position struct{ line, column int }

// tenantPlaces returns where each tenant's max_payload_bytes stands in tenants.yaml, or else the tenant.
func tenantPlaces(source []byte) []position {
	tree, err := parser.ParseBytes(source, 0)
	if err != nil || len(tree.Docs) == 0 {
		return nil
	}
	path, err := yaml.PathString("$.tenants")
	if err != nil {
		return nil
	}
	found, err := path.FilterNode(tree.Docs[0].Body)
	list, ok := found.(*ast.SequenceNode)
	if err != nil || !ok {
		return nil
	}
	places := make([]position, len(list.Values))
	for i, tenant := range list.Values {
		at := tenant
		if mapping, ok := tenant.(ast.MapNode); ok {
			for entries := mapping.MapRange(); entries.Next(); {
				if entries.Key().GetToken().Value == "max_payload_bytes" {
					at = entries.Value()
				}
			}
		}
		if t := at.GetToken(); t != nil && t.Position != nil {
			places[i] = position{t.Position.Line, t.Position.Column}
		}
	}
	return places
}

// planner reads the pipelines that a process runs.
type planner struct {
	files    fs.FS
	registry *pipeline.Registry
	limits   pipeline.Limits
	logger   *slog.Logger
}

// newPlanner returns what reads the pipelines of a process that is connected to its broker.
func newPlanner(files fs.FS, registry *pipeline.Registry, process config.Process, transport routers.Transport, logger *slog.Logger) planner {
	limits := deliveryLimits(process)
	limits.FrameBytes = transport.MaxFrameBytes()
	return planner{files, registry, limits, logger}
}

// plans is load for what has no context.
func (p planner) plans() ([]pipeline.Plan, error) { return p.load(context.Background()) }

// load reads every pipeline of the configuration. What is wrong with any of them comes as one error, and what may be is logged.
func (p planner) load(ctx context.Context) ([]pipeline.Plan, error) {
	checker := newChecker(p.files, p.registry)
	checker.Delivery = p.limits
	plans, warnings, err := checkedPlans(ctx, p.files, checker)
	for _, warning := range warnings {
		p.logger.WarnContext(ctx, "the configuration may not be what was meant", slog.String("finding", warning.String()), slog.String("code", warning.Code))
	}
	return plans, err
}
