package throttle

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"golang.org/x/time/rate"
)

// Limits of a rate.
const (
	maxEvents = 1_000_000_000
	minPer    = time.Millisecond
	maxPer    = 24 * time.Hour
)

// Rate is how many events may pass within a time, written "100/s", "6000/m", "50000/h" or "20/10s". The zero Rate is none.
type Rate struct {
	text   string
	events int
	per    time.Duration
}

// ParseRate reads a rate.
func ParseRate(text string) (Rate, error) {
	count, unit, found := strings.Cut(text, "/")
	events, err := strconv.Atoi(strings.TrimSpace(count))
	if !found || err != nil {
		return Rate{}, fmt.Errorf("%q is no rate; write for example 100/s, 6000/m or 20/10s", text)
	}
	if events < 1 || events > maxEvents {
		return Rate{}, fmt.Errorf("rate %q: %d events; write a number from 1 to %d", text, events, maxEvents)
	}
	unit = strings.TrimSpace(unit)
	if unit != "" && (unit[0] < '0' || unit[0] > '9') {
		unit = "1" + unit
	}
	per, err := time.ParseDuration(unit)
	if err != nil {
		return Rate{}, fmt.Errorf("rate %q: what stands behind the / is no time; write s, m, h or for example 10s", text)
	}
	if per < minPer || per > maxPer {
		return Rate{}, fmt.Errorf("rate %q: %s is out of bounds; write a time from %s to %s", text, per, minPer, maxPer)
	}
	return Rate{text: text, events: events, per: per}, nil
}

// IsZero reports whether r is the zero Rate, which is none.
func (r Rate) IsZero() bool { return r.events == 0 }

// String returns the rate as it was written.
func (r Rate) String() string { return r.text }

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// UnmarshalYAML implements yaml.NodeUnmarshaler: a rate that is wrong is an error at its place in the file.
func (r *Rate) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	parsed, err := ParseRate(text)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	*r = parsed
	return nil
}

func (r Rate) limit() rate.Limit { return rate.Limit(float64(r.events) / r.per.Seconds()) }

// oneSecond is how many events the rate lets through in a second, 1 at least.
func (r Rate) oneSecond() int { return max(1, int(r.limit())) }

var _ yaml.NodeUnmarshaler = (*Rate)(nil)
