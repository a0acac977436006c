// Package simulator plays believable carrier traffic for development and demonstration: bags, air waybills and parcels that
// travel through the airports of Latin America, told by senders that repeat, reorder, backdate, correct and sometimes
// garble what they send.
//
// A Generator tells the stories in Rastro's own form, and Carriers in the formats of the demonstration carriers; neither does I/O. A
// Simulator sends what both tell to an ingest API at a steady rate.
package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config says what to play and where to send it.
type Config struct {
	// URL is the address of the server, without /api/v1/events. A Simulator needs it, a Generator does not.
	URL string
	// TokenSource returns a bearer token that may write events of a tenant. It is asked before every request, so it should
	// keep tokens for as long as they are good. A Simulator needs it.
	TokenSource func(ctx context.Context, tenant string) (string, error)
	// EventsPerSecond is the rate of all tenants together. Defaults to 20.
	EventsPerSecond float64
	// Tenants are those to play. Defaults to the four demonstration tenants. A tenant that the simulator does not know
	// has the traffic of talma-pe.
	Tenants []string
	// Seed makes the stories repeatable: generators of the same seed, configuration and clock tell the same. Defaults to one
	// taken from the clock, so that a restart does not tell again of journeys that have long ended.
	Seed uint64
	// JourneyTime is about how long a journey that is told live takes; that is much less than in life. Defaults to two minutes.
	JourneyTime time.Duration
	// Logger hears when delivery starts to fail and when it is well again. Defaults to none.
	Logger *slog.Logger
	// HTTPClient sends the requests. Defaults to one with a timeout of ten seconds.
	HTTPClient *http.Client
	// Now is the clock that events are dated by. Defaults to time.Now.
	Now func() time.Time
}

// DefaultConfig returns the defaults. URL and TokenSource have none.
func DefaultConfig() Config { return Config{}.withDefaults() }

// DefaultTenants lists the demonstration tenants.
func DefaultTenants() []string {
	markets := allMarkets()
	tenants := make([]string, len(markets))
	for i := range markets {
		tenants[i] = markets[i].tenant
	}
	return tenants
}

func (c Config) withDefaults() Config {
	if c.EventsPerSecond == 0 {
		c.EventsPerSecond = 20
	}
	if len(c.Tenants) == 0 {
		c.Tenants = DefaultTenants()
	}
	if c.JourneyTime == 0 {
		c.JourneyTime = 2 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Seed == 0 {
		c.Seed = uint64(c.Now().UnixNano())
	}
	return c
}

// Validate returns what is wrong with the configuration of a Simulator.
func (c Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("URL: %q is no http address", c.URL))
	}
	if c.TokenSource == nil {
		errs = append(errs, errors.New("TokenSource: is missing"))
	}
	if c.EventsPerSecond < 0 || c.EventsPerSecond > 1e6 {
		errs = append(errs, fmt.Errorf("EventsPerSecond: %v is not between 0 and a million", c.EventsPerSecond))
	}
	if c.JourneyTime < 0 {
		errs = append(errs, fmt.Errorf("JourneyTime: %s is negative", c.JourneyTime))
	}
	for i, tenant := range c.Tenants {
		if strings.TrimSpace(tenant) == "" || slices.Contains(c.Tenants[:i], tenant) {
			errs = append(errs, fmt.Errorf("among Tenants: %q is empty or named twice", tenant))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	return nil
}
