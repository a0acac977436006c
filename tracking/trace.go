package tracking

import (
	"time"

	"github.com/google/uuid"
)

// Trace is the whole story of a journey: its summary, and every event of it in order of occurrence. It marshals to one flat
// JSON object.
type Trace struct {
	Summary
	// Events holds every stored event of the journey, those that no longer count included, ordered by (occurred_at, rank of
	// the milestone, received_at, uid).
	Events []TraceEvent `json:"events"`
}

// TraceEvent is an event with what the rest of its journey says about it. It marshals to one flat JSON object.
type TraceEvent struct {
	*Event
	// Voided says that a correction took the event out of the trace.
	Voided bool `json:"voided,omitempty"`
	// Superseded says that another event with the same source and event id stands in its place: a later revision or, when
	// the revisions are equal, the one that came first.
	Superseded bool `json:"superseded,omitempty"`
	// Late says that the event was received after an event that occurred later than it.
	Late bool `json:"late,omitempty"`
}

// Summary is what a trace comes to, without its events. It is bounded, however long the journey. All times are UTC, to the
// microsecond.
type Summary struct {
	TenantID      string `json:"tenant_id"`
	CorrelationID string `json:"correlation_id"`
	// AggregateID is the aggregate of the earliest counted event.
	AggregateID string `json:"aggregate_id"`
	// Aggregates lists the distinct aggregates of the counted events in order; of more than 100, the smallest, and the journey itself.
	Aggregates []string `json:"aggregates"`
	// ByAggregate says how far each of Aggregates has come.
	ByAggregate []AggregateStatus `json:"by_aggregate"`
	// Kind is that of the earliest counted event that has one.
	Kind Kind `json:"kind,omitempty"`
	// Status is how far the journey has come; Unknown when nothing maps. Of several aggregates, or of pieces that are counted,
	// it is that of whatever is furthest behind: a journey is delivered when all that is known to be on it is.
	Status Milestone `json:"status"`
	// Furthest is the phase that whatever is furthest ahead has come to.
	Furthest Milestone `json:"furthest,omitempty"`
	// Exception is the trouble that is open, if any.
	Exception string `json:"exception,omitempty"`
	// Milestones lists those that actual events reached, in the order of a journey.
	Milestones []MilestoneReached `json:"milestones"`
	// FirstEventAt and LastEventAt are the first and last occurrence among the actual events that count. Where there are
	// none, they are those of the plans and estimates; where nothing counts, those of what was voided.
	FirstEventAt time.Time `json:"first_event_at"`
	LastEventAt  time.Time `json:"last_event_at"`
	// LastLocation is where the latest actual event that says where took place.
	LastLocation *Whereabouts `json:"last_location,omitempty"`
	// EventCount is the number of stored events, those that no longer count included.
	EventCount int `json:"event_count"`
	// VoidedCount is the number of stored events that no longer count: voided, replaced or superseded.
	VoidedCount int `json:"voided_count"`
	// UnknownCount is the number of counted events whose code no catalogue knows.
	UnknownCount int     `json:"unknown_count"`
	Pieces       *Pieces `json:"pieces,omitempty"`
	// Legs lists the flights, voyages and trucks that events named, in order; of more than 64 (or 512, counted for
	// each aggregate), the last to begin.
	Legs []LegStatus `json:"legs"`
	// EstimatedAt is the estimate or plan of delivery that was received last or, without one, that of arrival.
	EstimatedAt *time.Time `json:"estimated_at,omitempty"`
	// Anomalies lists what is odd about the journey, in alphabetical order.
	Anomalies []string `json:"anomalies,omitempty"`
	// UpdatedAt is when the last of the stored events was received.
	UpdatedAt time.Time `json:"updated_at"`
}

// The anomalies of a trace.
const (
	// PostTerminal says that the thing moved on after its journey had ended.
	PostTerminal = "post_terminal"
	// IDConflict says that one source used one event id and revision for different occurrences; the first received counts.
	IDConflict = "id_conflict"
)

// MilestoneReached says when, and by how many events, a milestone was reached.
type MilestoneReached struct {
	Milestone Milestone `json:"milestone"`
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	Count     int       `json:"count"`
}

// AggregateStatus is how far one of the things of a journey has come. What is said of the journey itself, under an aggregate id
// that is its correlation id, is said of every thing on it.
type AggregateStatus struct {
	AggregateID string `json:"aggregate_id"`
	// Status is Unknown while no actual event of the thing has a milestone.
	Status    Milestone `json:"status"`
	Exception string    `json:"exception,omitempty"`
	// Milestone is the furthest phase that the thing, or a part of it, has come to.
	Milestone Milestone `json:"milestone,omitempty"`
	// EventCount is the number of actual events that count and name the thing; LastEvent is the last of them to occur.
	EventCount int        `json:"event_count"`
	LastEvent  *LastEvent `json:"last_event,omitempty"`
}

// LastEvent is the event that a thing was last seen by.
type LastEvent struct {
	UID       uuid.UUID `json:"uid"`
	Type      string    `json:"event_type"`
	Milestone Milestone `json:"milestone,omitempty"`
	At        time.Time `json:"timestamp"`
}

// Pieces counts a consignment that may travel in parts.
type Pieces struct {
	Total int `json:"total"`
	// ByMilestone says how many pieces have reached a milestone. A piece that has arrived is also among those that departed.
	ByMilestone map[Milestone]int `json:"by_milestone"`
}

// LegStatus is how far the journey has come on one leg.
type LegStatus struct {
	Transport Transport `json:"transport"`
	// Status is at most Arrived.
	Status  Milestone `json:"status"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// Whereabouts is a location as the sender said it, with what the reference data knows of the place. It marshals to one flat
// JSON object.
type Whereabouts struct {
	Location
	City     string `json:"city,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	TimeZone string `json:"time_zone,omitempty"`
}
