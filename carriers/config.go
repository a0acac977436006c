package carriers

import (
	"regexp"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats/mapped"
)

// The formats.
const (
	Native      = "native"
	CloudEvents = "cloudevents"
	EPCIS       = "epcis"
	DCSA        = "dcsa"
	CargoIMP    = "cargo-imp"
	Baggage     = "baggage"
	Mapped      = "mapped"
)

// Config is a carrier as its file says it.
type Config struct {
	// Name is the carrier's name in addresses: that of its file.
	Name string
	// Summary says, for people, who it is.
	Summary string
	// Tenant owns what the carrier sends. Defaults to none: any tenant's senders may use the carrier, each for its own tenant.
	Tenant string
	// Format is how its bodies are written: one of Formats.
	Format string
	// Mapping says how events are read of JSON of another shape. Format mapped has one: written in the file, or one that is shipped,
	// by `shape`.
	Mapping mapped.Config
	// Shape names the mapping that is shipped; empty for one that is written in the file.
	Shape string
	// Authentication says how senders prove who they are. Defaults to all ways.
	Authentication Authentication
	// Codes is the carrier's own table: what its codes mean, before config/milestones.yaml is asked. Case does not matter.
	Codes map[string]Meaning
	// Defaults fill in what bodies leave open.
	Defaults Defaults
	// Sources are the names besides its own that the carrier may send under. Events that name any other source have the carrier's
	// before it, after a slash. Defaults to none.
	Sources []string
	// Limits bound what the carrier may take.
	Limits Limits
}

// Meaning is what a code of a carrier means.
type Meaning struct {
	tracking.Meaning
	// Text is how the file writes it.
	Text string
}

// Authentication is how the senders of a carrier may prove who they are.
type Authentication struct {
	// OIDC takes access tokens with the role events:write. Defaults to true.
	OIDC bool
	// Clients are the clients of the issuer whose tokens are taken. Defaults to any.
	Clients []string
	// HMAC takes messages signed as in Standard Webhooks by a credential of the carrier. Defaults to true.
	HMAC bool
	// APIKey takes API keys of the carrier. Defaults to true.
	APIKey bool
}

// Defaults fill in what bodies leave open.
type Defaults struct {
	// Source is what events come from. Defaults to the name of the carrier.
	Source string
	// TimeZone is the IANA zone of times without one, where the station does not tell. Defaults to UTC.
	TimeZone string
	// Station is the IATA code of where events without a location happened. Defaults to none.
	Station string
}

// Limits bound what one carrier may take of a process, so that none takes from the others.
type Limits struct {
	// EventsPerSecond is how many events are taken in the long run; ten seconds' worth may come at once. Defaults to 0: only the
	// tenant's limit holds.
	EventsPerSecond float64
	// MaxBodyBytes is the largest body, in bytes. Defaults to that of the process.
	MaxBodyBytes int
	// MaxEvents is the most events in a body. Defaults to that of the process.
	MaxEvents int
	// RequestsInHand is how many of its requests are worked on at once; further ones wait for a moment, and are then told to
	// come again. Defaults to 32.
	RequestsInHand int
}

const defaultRequestsInHand = 32

// Form is what the name of a carrier looks like.
var Form = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
