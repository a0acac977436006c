package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/internal/quantiles"
	"github.com/rastrohq/rastro/store"
)

// Point is a part of a series. What is not known is missing.
type Point struct {
	At    time.Time `json:"at" doc:"When it begins"`
	Value *float64  `json:"value,omitempty" doc:"Its mean, or its quantile"`
	Min   *float64  `json:"min,omitempty" doc:"The least of any minute in it"`
	Max   *float64  `json:"max,omitempty" doc:"The most of any minute in it"`
}

// Series is a figure over time.
type Series struct {
	Name   string  `json:"name" doc:"What it is of"`
	Unit   string  `json:"unit" enum:"per_second,ms" doc:"In what its values are"`
	Points []Point `json:"points" doc:"Oldest first"`
}

// Metrics are figures over time.
type Metrics struct {
	From   time.Time `json:"from" doc:"When the first point begins"`
	To     time.Time `json:"to" doc:"When the last point ends"`
	Step   float64   `json:"step_seconds" doc:"How long a point is"`
	Series []Series  `json:"series" doc:"In the order asked for"`
}

type metricsInput struct {
	Whose

	Series []string  `query:"series" required:"true" minItems:"1" maxItems:"12" doc:"accepted, stored, duplicates, dropped, dead_letters; p50, p95, p99 (from received to stored); or one of these of a stage: took.p95:tracking.dedupe, age.p95:tracking.dedupe; or what became of its events: pass:tracking.dedupe, and so drop, reject, retry, emit" example:"stored,p95"`
	From   time.Time `query:"from" doc:"From when; an hour before its end by default" example:"2026-06-20T12:00:00Z"`
	To     time.Time `query:"to" doc:"Until when; now by default" example:"2026-06-20T13:00:00Z"`
	Points int       `query:"points" default:"300" minimum:"1" maximum:"900" doc:"How many points at most" example:"300"`
}

type metricsOutput struct{ Body Metrics }

// maxAge is how far from now figures may be asked for: far beyond, there are no times to answer with (RFC 3339 ends with the year 9999).
const maxAge = 100 * 365 * 24 * time.Hour

// maxRange is how far back figures are kept.
const maxRange = 8 * 24 * time.Hour

func (h *Handler) registerMetrics(api huma.API) {
	huma.Register(api, operation("get-metrics", "metrics", "Operations", auth.RoleOpsRead, "Figures over time",
		"Counts and latencies by the minute, of the last eight days, put together to as many points as are asked for. A point keeps the "+
			"least and the most of its minutes, and its quantiles are those of all its events: quantiles are never averaged.",
		http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.metrics)
}

func (h *Handler) metrics(ctx context.Context, in *metricsInput) (*metricsOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	var wanted []wantedSeries
	for _, name := range in.Series {
		w, ok := parseSeries(name)
		if !ok {
			return nil, invalid("series", fmt.Sprintf("%q is no series", name))
		}
		wanted = append(wanted, w)
	}
	now := h.deps.Now().UTC()
	if in.To.IsZero() {
		in.To = now
	}
	if in.From.IsZero() {
		in.From = in.To.Add(-time.Hour)
	}
	grid, ok := newGrid(in.From, in.To, in.Points)
	if !ok || in.To.Sub(in.From) > maxRange || in.To.Sub(now).Abs() > maxAge {
		return nil, invalid("from", "the range must end after it begins, be of eight days at most, and lie within a hundred years")
	}
	out := Metrics{From: grid.from, To: grid.at(grid.points), Step: grid.step.Seconds(), Series: []Series{}}
	stats, times, err := h.readSeries(ctx, tenant, wanted, grid)
	if err != nil {
		return nil, h.unavailable(ctx, "read figures", err)
	}
	for _, w := range wanted {
		if w.quantile > 0 {
			out.Series = append(out.Series, Series{Name: w.name, Unit: "ms", Points: w.quantiles(grid, times)})
		} else {
			out.Series = append(out.Series, Series{Name: w.name, Unit: "per_second", Points: w.rates(grid, stats, now)})
		}
	}
	return &metricsOutput{out}, nil
}

// readSeries reads what the series wanted need.
func (h *Handler) readSeries(ctx context.Context, tenant string, wanted []wantedSeries, g grid) (stats []store.StatMinute, times []store.StageTimes, err error) {
	if slices.ContainsFunc(wanted, func(w wantedSeries) bool { return w.quantile == 0 }) {
		if stats, err = h.deps.Reads.StatsByMinute(ctx, tenant, g.from); err != nil {
			return nil, nil, err
		}
	}
	if slices.ContainsFunc(wanted, func(w wantedSeries) bool { return w.quantile > 0 }) {
		if times, err = h.deps.Reads.StageTimes(ctx, tenant, g.from, g.at(g.points)); err != nil {
			return nil, nil, err
		}
	}
	return stats, times, nil
}

// outcomes are what may become of an event at a stage.
var outcomes = []string{"pass", "drop", "reject", "retry", "emit"}

// wantedSeries is a series that is asked for.
type wantedSeries struct {
	name            string
	count           func(Totals) int64 // of a count
	outcome         string             // of the events of a stage
	quantile        float64            // of a latency; 0 for a count
	took            bool               // what a stage took rather than the age of events
	pipeline, stage string             // empty for all that is stored
}

func parseSeries(name string) (wantedSeries, bool) {
	w := wantedSeries{name: name}
	counts := map[string]func(Totals) int64{
		"accepted": func(t Totals) int64 { return t.Accepted }, "stored": func(t Totals) int64 { return t.Stored },
		"duplicates": func(t Totals) int64 { return t.Duplicates }, "dropped": func(t Totals) int64 { return t.Dropped },
		"dead_letters": func(t Totals) int64 { return t.DeadLetters },
	}
	if w.count = counts[name]; w.count != nil {
		return w, true
	}
	what, of, staged := strings.Cut(name, ":")
	if staged && slices.Contains(outcomes, what) {
		w.outcome = what
		w.pipeline, w.stage, staged = strings.Cut(of, ".")
		return w, staged
	}
	if staged {
		kind, rest, _ := strings.Cut(what, ".")
		if kind != "took" && kind != "age" {
			return w, false
		}
		var ok bool
		if w.pipeline, w.stage, ok = strings.Cut(of, "."); !ok {
			return w, false
		}
		w.took, what = kind == "took", rest
	}
	w.quantile = map[string]float64{"p50": 0.5, "p95": 0.95, "p99": 0.99}[what]
	return w, w.quantile > 0
}

// grid cuts a range into points of whole minutes.
type grid struct {
	from   time.Time
	step   time.Duration
	points int
}

func newGrid(from, to time.Time, points int) (grid, bool) {
	from = from.UTC().Truncate(time.Minute)
	if !to.After(from) || points < 1 {
		return grid{}, false
	}
	minutes := int((to.Sub(from) + time.Minute - 1) / time.Minute)
	each := (minutes + points - 1) / points
	return grid{from: from, step: time.Duration(each) * time.Minute, points: (minutes + each - 1) / each}, true
}

func (g grid) at(point int) time.Time { return g.from.Add(time.Duration(point) * g.step) }

// index returns the point that a minute lies in.
func (g grid) index(minute time.Time) (int, bool) {
	i := int(minute.Sub(g.from) / g.step)
	return i, !minute.Before(g.from) && i < g.points
}

// rates returns counts a second. A minute in which nothing was counted is one of none.
func (w wantedSeries) rates(g grid, stats []store.StatMinute, now time.Time) []Point {
	minutes := w.byMinute(stats)
	points := make([]Point, g.points)
	for i := range points {
		points[i].At = g.at(i)
		var sum, least, most, seconds float64
		first := true
		for minute := g.at(i); minute.Before(g.at(i+1)) && minute.Before(now); minute = minute.Add(time.Minute) {
			length := min(now.Sub(minute), time.Minute).Seconds() // the minute that runs is not over
			n := float64(minutes[minute])
			rate := n / max(length, 1)
			if first {
				least, most, first = rate, rate, false
			}
			sum, seconds, least, most = sum+n, seconds+length, min(least, rate), max(most, rate)
		}
		if !first {
			value, least, most := rounded(sum/max(seconds, 1)), rounded(least), rounded(most)
			points[i].Value, points[i].Min, points[i].Max = &value, &least, &most
		}
	}
	return points
}

// byMinute returns what is counted in each minute.
func (w wantedSeries) byMinute(stats []store.StatMinute) map[time.Time]int64 {
	counts, totals := map[time.Time]int64{}, map[time.Time]*Totals{}
	for _, s := range stats {
		switch {
		case w.outcome == "":
			if totals[s.Minute] == nil {
				totals[s.Minute] = &Totals{}
			}
			totals[s.Minute].add(s.Stage, s.Outcome, s.Events)
		case s.Pipeline == w.pipeline && s.Stage == w.stage && s.Outcome == w.outcome:
			counts[s.Minute] += s.Events
		}
	}
	for minute, t := range totals {
		counts[minute] = w.count(*t)
	}
	return counts
}

// quantiles returns a quantile of all events of each point.
func (w wantedSeries) quantiles(g grid, times []store.StageTimes) []Point {
	points := make([]Point, g.points)
	merged := make([]quantiles.Histogram, g.points)
	for i := range points {
		points[i].At = g.at(i)
	}
	for start := 0; start < len(times); {
		end := start
		var minute quantiles.Histogram // of all pipelines that store
		for ; end < len(times) && times[end].Minute.Equal(times[start].Minute); end++ {
			t := times[end]
			switch {
			case w.stage == "" && t.Stage == storingStage, w.stage == t.Stage && w.pipeline == t.Pipeline && !w.took:
				minute.Merge(t.Age)
			case w.stage == t.Stage && w.pipeline == t.Pipeline:
				minute.Merge(t.Took)
			}
		}
		if i, ok := g.index(times[start].Minute); ok {
			merged[i].Merge(&minute)
			if q := quantile(&minute, w.quantile); q != nil {
				points[i].Min, points[i].Max = lesser(points[i].Min, q), greater(points[i].Max, q)
			}
		}
		start = end
	}
	for i := range points {
		points[i].Value = quantile(&merged[i], w.quantile)
	}
	return points
}

func lesser(a, b *float64) *float64 {
	if a == nil || *b < *a {
		return b
	}
	return a
}

func greater(a, b *float64) *float64 {
	if a == nil || *b > *a {
		return b
	}
	return a
}
