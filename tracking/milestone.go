package tracking

// Milestone is a phase of a journey that all trades share. Its text is the status of a trace that has come so far.
type Milestone string

// The phases in the order of a journey, then the endings other than delivery, then Unknown for codes that no table maps:
// those are kept and counted, never dropped.
const (
	Announced      Milestone = "announced"
	Accepted       Milestone = "accepted"
	Processing     Milestone = "processing"
	Loaded         Milestone = "loaded"
	InTransit      Milestone = "in_transit"
	Arrived        Milestone = "arrived"
	Transfer       Milestone = "transfer"
	Available      Milestone = "available"
	OutForDelivery Milestone = "out_for_delivery"
	Delivered      Milestone = "delivered"

	Returned  Milestone = "returned"
	Cancelled Milestone = "cancelled"
	Lost      Milestone = "lost"
	Destroyed Milestone = "destroyed"
	Expired   Milestone = "expired"

	Unknown Milestone = "unknown"

	// None is what a code means that is known and moves nothing: documents were received, a remark was made. It is never the
	// status of a trace.
	None Milestone = "none"
)

// Milestones lists every milestone but Unknown and None, in the order of a journey.
func Milestones() []Milestone {
	return []Milestone{
		Announced, Accepted, Processing, Loaded, InTransit, Arrived, Transfer, Available, OutForDelivery, Delivered,
		Returned, Cancelled, Lost, Destroyed, Expired,
	}
}

// Rank orders the phases of a journey: a higher rank is further along. Endings rank above every phase; Unknown, None
// and anything that is no milestone rank 0.
func (m Milestone) Rank() int {
	switch m {
	case Announced:
		return 10
	case Accepted:
		return 20
	case Processing:
		return 30
	case Loaded:
		return 40
	case InTransit:
		return 50
	case Arrived:
		return 60
	case Transfer:
		return 65
	case Available:
		return 70
	case OutForDelivery:
		return 80
	case Delivered:
		return 90
	case Returned, Cancelled, Lost, Destroyed, Expired:
		return 100
	default:
		return 0
	}
}

// Terminal reports whether a journey that reached m has ended.
func (m Milestone) Terminal() bool { return m.Rank() >= Delivered.Rank() }
