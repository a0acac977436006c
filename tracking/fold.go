package tracking

import (
	"cmp"
	"time"
)

// Fold is the definition of a trace: a pure function of the set of its events, all of one tenant and correlation. Any
// permutation, duplication (the same UID) or redelivery of them gives the same trace (Invariant 10 of package pipeline).
func Fold(events []*Event) Trace { return traceOf(resolve(events)) }

// FoldAsOf is the trace of what had happened at a time, as far as is known from events. Actual events that occurred later are left
// out, and so are plans and estimates that were received later: they are about what is to come, and were made by then. What
// corrections and revisions say of the others holds whenever they were made: what did not occur had not occurred then.
func FoldAsOf(events []*Event, at time.Time) Trace {
	r := resolve(events)
	then := &resolution{corrected: r.corrected, conflict: r.conflict}
	for i, e := range r.events {
		when := e.OccurredAt
		if e.Classifier != Actual && e.Classifier != "" {
			when = e.ReceivedAt
		}
		if !when.After(at) {
			then.events = append(then.events, e)
			then.voided, then.superseded = append(then.voided, r.voided[i]), append(then.superseded, r.superseded[i])
		}
	}
	return traceOf(then)
}

func traceOf(r *resolution) Trace {
	state := rebuild(r)
	trace := Trace{Summary: state.Summary(), Events: make([]TraceEvent, len(r.events))}
	for i, e := range r.events {
		trace.Events[i] = TraceEvent{Event: e, Voided: r.voided[i], Superseded: r.superseded[i]}
	}
	markLate(r, trace.Events)
	return trace
}

// markLate marks the actual events that were received after one that occurred later than they did.
func markLate(r *resolution, events []TraceEvent) {
	var earliest, tied time.Time // first receipt of the events that occurred later, and of those as late as the current one
	var at time.Time
	var later, ties bool
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i].Event
		if !r.counts(i) || e.Classifier != Actual && e.Classifier != "" {
			continue
		}
		if ties && !e.OccurredAt.Equal(at) {
			if !later || tied.Before(earliest) {
				earliest, later = tied, true
			}
			ties = false
		}
		events[i].Late = later && e.ReceivedAt.After(earliest)
		if !ties || e.ReceivedAt.Before(tied) {
			tied, ties = e.ReceivedAt, true
		}
		at = e.OccurredAt
	}
}

// Summary returns what the trace comes to.
func (s *State) Summary() Summary {
	f := &s.data
	whole := f.whole()
	legs := inOrder(whole.Legs)
	o := f.outcome(whole, legs)
	span := f.span()
	out := Summary{
		TenantID: f.Tenant, CorrelationID: f.Correlation,
		AggregateID: span.Aggregate.Word,
		Aggregates:  make([]string, 0, len(f.Parts)),
		ByAggregate: o.things,
		Kind:        f.kind(),
		Status:      o.status,
		Furthest:    o.furthest,
		Exception:   o.exception,
		Milestones:  make([]MilestoneReached, 0, len(whole.Milestones)),
		EventCount:  f.Events, VoidedCount: f.Voided, UnknownCount: f.Unknown,
		Pieces:    o.pieces,
		Legs:      make([]LegStatus, 0, len(legs)),
		Anomalies: o.anomalies,
	}
	for i := range f.Parts {
		out.Aggregates = append(out.Aggregates, f.Parts[i].ID)
	}
	if f.Events > 0 {
		out.FirstEventAt, out.LastEventAt = microTime(span.First.At), microTime(span.Last.At)
		out.UpdatedAt = microTime(f.Updated)
	}
	for _, b := range whole.Milestones {
		out.Milestones = append(out.Milestones, MilestoneReached{b.Milestone, microTime(b.First), microTime(b.Last), b.Count})
	}
	for i := range legs {
		l := &legs[i]
		out.Legs = append(out.Legs, LegStatus{l.transport(), l.status(), microTime(l.First), microTime(l.Last)})
	}
	if f.Located {
		where := f.Location
		out.LastLocation = &where
	}
	if f.Estimate.Set {
		at := microTime(f.Estimate.At)
		out.EstimatedAt = &at
	}
	return out
}

// span is the frame that dates the trace: that of the actual events if there are any, else of the plans, else of what no
// longer counts.
func (f *fold) span() *frame {
	switch {
	case f.Actual.Count > 0:
		return &f.Actual
	case f.Foreseen.Count > 0:
		return &f.Foreseen
	default:
		return &f.Out
	}
}

func (f *fold) kind() Kind {
	if f.Actual.Count+f.Foreseen.Count == 0 {
		return Kind(f.Out.Kind.Word)
	}
	return Kind(cmp.Or(f.Actual.Kind.Word, f.Foreseen.Kind.Word))
}

// whereabouts is where an event took place: what the sender said, completed by what the reference data knows.
func whereabouts(e *Event) (Whereabouts, bool) {
	if e.Location == nil && e.Enrichment.Place == nil {
		return Whereabouts{}, false
	}
	var w Whereabouts
	if e.Location != nil {
		w.Location = *e.Location
	}
	if p := e.Enrichment.Place; p != nil {
		w.IATA, w.ICAO, w.Name = cmp.Or(p.IATA, w.IATA), cmp.Or(p.ICAO, w.ICAO), cmp.Or(w.Name, p.Name)
		w.City, w.Country, w.TimeZone = p.City, p.Country, p.TimeZone
		if w.Lat == nil || w.Lon == nil {
			lat, lon := p.Lat, p.Lon
			w.Lat, w.Lon = &lat, &lon
		}
	}
	return w, w != Whereabouts{}
}
