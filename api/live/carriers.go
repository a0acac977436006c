package live

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

// Carrier is how a source does: who sends events, as they name themselves.
type Carrier struct {
	Source     string    `json:"source" doc:"The source" example:"LA-baggage"`
	Rate       float64   `json:"per_second" doc:"Events a second, in the window"`
	Stored     int64     `json:"stored" doc:"Events that were stored, in the window"`
	LastAt     time.Time `json:"last_at" doc:"When its last event was received"`
	SilentMS   float64   `json:"silent_ms" doc:"How long ago that was"`
	UsualGapMS *float64  `json:"usual_gap_ms,omitempty" doc:"How long it is silent as a rule: 19 of 20 gaps of the last day were no longer, to the minute. Missing when too little is known"`
	Silent     bool      `json:"silent" doc:"Whether it has been silent for more than twice as long as is usual, and for ten minutes"`
	Errors     *float64  `json:"error_share,omitempty" doc:"Which share of its events was dead-lettered"`
	Unknown    *float64  `json:"unknown_code_share,omitempty" doc:"Which share of its stored events has a code that maps to nothing"`
	Duplicates *float64  `json:"duplicate_share,omitempty" doc:"Which share of its events were copies"`
	Delay      *Latency  `json:"delay,omitempty" doc:"From occurring to being received"`
	Health     string    `json:"health" enum:"silent,failing,unmapped,repeating,fine,unknown" doc:"What is to be said of it first: alerts go by the same limits"`
}

// CarrierList are the sources of a tenant.
type CarrierList struct {
	Items []Carrier `json:"items" doc:"Every source of the last day, in the order of their names"`
}

type carriersOutput struct{ Body CarrierList }

// cadenceFreshness is how old it may be what is usual.
const cadenceFreshness = 5 * time.Second

func (h *Handler) registerCarriers(api huma.API) {
	huma.Register(api, operation("list-carriers", "carriers", "Operations", auth.RoleOpsRead, "Who sends, and how well",
		"Each source's rate, how long it has been silent against what is usual, and the shares of errors, unknown codes and copies. "+
			"These are statistics: an event that is delivered again may count again.", http.StatusUnprocessableEntity, http.StatusServiceUnavailable), h.carriers)
}

func (h *Handler) carriers(ctx context.Context, in *WindowInput) (*carriersOutput, error) {
	_, tenant, err := authorize(ctx, auth.RoleOpsRead, in.Whose)
	if err != nil {
		return nil, err
	}
	window, err := in.window()
	if err != nil {
		return nil, err
	}
	list, err := remember(&h.cache, "carriers "+window.String()+" "+tenant, cadenceFreshness, h.deps.Now, func() ([]Carrier, error) {
		return h.readCarriers(context.WithoutCancel(ctx), tenant, window)
	})
	if err != nil {
		return nil, h.unavailable(ctx, "read how carriers do", err)
	}
	return &carriersOutput{CarrierList{list}}, nil
}

func (h *Handler) readCarriers(ctx context.Context, tenant string, window time.Duration) ([]Carrier, error) {
	now := h.deps.Now()
	cadences, err := h.deps.Reads.SourceCadences(ctx, tenant, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	stats, err := h.deps.Reads.SourceStats(ctx, tenant, now.Add(-window), now.Add(time.Minute))
	if err != nil {
		return nil, err
	}
	bySource := make(map[string]store.SourceStats, len(stats))
	for _, s := range stats {
		bySource[s.Source] = s
	}
	list := make([]Carrier, 0, len(cadences))
	for _, c := range cadences {
		list = append(list, h.carrierOf(c, bySource[c.Source], now, window))
	}
	return list, nil
}

func (h *Handler) carrierOf(cadence store.SourceCadence, s store.SourceStats, now time.Time, window time.Duration) Carrier {
	all := s.Stored + s.Rejected + s.Duplicates
	silent := max(now.Sub(cadence.LastAt), 0)
	c := Carrier{
		Source: cadence.Source, LastAt: cadence.LastAt, SilentMS: milliseconds(silent), Stored: s.Stored,
		Rate: rounded(float64(all) / window.Seconds()), Delay: latencyOf(s.Delay),
		Errors: share(s.Rejected, all), Duplicates: share(s.Duplicates, all), Unknown: share(s.Unmapped, s.Stored),
	}
	if gap := cadence.UsualGap; gap > 0 {
		usual := milliseconds(gap)
		c.UsualGapMS, c.Silent = &usual, silent > h.config.Alerts.silentBeyond(gap)
	}
	c.Health = h.config.Alerts.healthOfCarrier(c)
	return c
}

// share returns nil for a share of nothing.
func share(part, of int64) *float64 {
	if of == 0 {
		return nil
	}
	s := rounded(float64(part) / float64(of))
	return &s
}
