package simulator

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// Nature says why an event is sent.
type Nature string

// The natures. An ingest API must take all but Malformed.
const (
	// Regular is an event told in its turn.
	Regular Nature = "regular"
	// Late is an event told after later ones of its journey.
	Late Nature = "late"
	// Resend is an event told again, byte for byte.
	Resend Nature = "resend"
	// Correction is an event told again with the same event id and a later revision.
	Correction Nature = "correction"
	// Mistake is an event that never happened; a Void follows.
	Mistake Nature = "mistake"
	// Void takes a Mistake back.
	Void Nature = "void"
	// UnknownCode is an event whose code no catalogue knows.
	UnknownCode Nature = "unknown_code"
	// Malformed lacks a required field, or has one that is not what it must be.
	Malformed Nature = "malformed"
)

// Wire is an event as it is sent.
type Wire struct {
	Tenant string
	// Body is the JSON object for POST /api/v1/events.
	Body json.RawMessage
	// Valid is false when the API must reject the event.
	Valid  bool
	Nature Nature
	// CorrelationID, EventID, Type and OccurredAt are those in the body, or of the event that a malformed body was made of.
	// EventID is empty when the sender gives none.
	CorrelationID string
	EventID       string
	Type          string
	OccurredAt    time.Time
}

// The odds that something else than the plain next event is told, of a thousand.
const (
	oddsMalformed  = 10
	oddsUnknown    = 6
	oddsMistake    = 7
	oddsCorrection = 10
	oddsLate       = 25
	oddsResend     = 25
	oddsNoID       = 40
)

const (
	stepsPerJourney = 8      // about
	turn            = 1000   // virtual time between two steps of a live journey
	hurry           = 8      // journeys of the past are told this much faster
	pastShare       = 0.3    // of the events
	maxWeight       = 20_000 // bounds the memory, whatever the rate
)

// teller is what all need who tell stories.
type teller struct {
	config Config
	rand   *rand.Rand
	author *author
	run    string
	ids    uint64
	queue  queue
	order  uint64
	clock  uint64 // virtual
}

// newTeller returns a teller that makes up numbers of things out of one of the two halves that there are of each.
func newTeller(config Config, half uint64) teller {
	random := rand.New(rand.NewPCG(config.Seed, 0x9e3779b97f4a7c15+half)) //nolint:gosec // Stories, not secrets.
	return teller{
		config: config, rand: random, author: newAuthor(random, half),
		run: fmt.Sprintf("%08x", uint32(config.Seed^config.Seed>>32)), //nolint:gosec // Cut on purpose.
	}
}

// begin has as many journeys begin as are to be in hand, so that each takes about JourneyTime at the rate of the configuration.
func (g *teller) begin(invent func(live bool, now time.Time) *journey) {
	weight := g.config.EventsPerSecond * g.config.JourneyTime.Seconds() / stepsPerJourney
	weight = min(max(weight, 2*stepsPerJourney), maxWeight)
	now := g.config.Now()
	for range int(weight * (1 - pastShare)) {
		g.schedule(item{journey: invent(true, now)}, g.rand.Uint64N(turn))
	}
	for range max(1, int(weight*pastShare/hurry)) {
		g.schedule(item{journey: invent(false, now)}, g.rand.Uint64N(turn/hurry))
	}
}

// Generator tells stories, event by event. It is not safe for concurrent use.
type Generator struct {
	teller

	markets []market
}

// NewGenerator returns a Generator. What the configuration leaves open has its default.
func NewGenerator(config Config) *Generator {
	config = config.withDefaults()
	g := &Generator{teller: newTeller(config, 0), markets: marketsOf(config.Tenants)}
	g.begin(g.invent)
	return g
}

func marketsOf(tenants []string) []market {
	known := allMarkets()
	markets := make([]market, len(tenants))
	for i, tenant := range tenants {
		markets[i] = known[0]
		for _, m := range known {
			if m.tenant == tenant {
				markets[i] = m
			}
		}
		markets[i].tenant = tenant
	}
	return markets
}

func (g *Generator) invent(live bool, now time.Time) *journey {
	var all float64
	for i := range g.markets {
		all += g.markets[i].share
	}
	draw := g.rand.Float64() * all
	chosen := &g.markets[len(g.markets)-1]
	for i := range g.markets {
		if draw -= g.markets[i].share; draw < 0 {
			chosen = &g.markets[i]
			break
		}
	}
	return g.author.invent(chosen, live, now)
}

// Next returns the next event. There always is one.
func (g *Generator) Next() Wire {
	next := g.next()
	if next.wire != nil {
		return *next.wire
	}
	return g.tell(next.journey)
}

// next returns what is next.
func (g *teller) next() item {
	next := heap.Pop(&g.queue).(item) //nolint:forcetypeassert // Only items are pushed, and never all of them popped.
	g.clock = next.due
	return next
}

// gap is the virtual time between two steps of a journey, with some disorder.
func (g *teller) gap(j *journey) uint64 {
	gap := uint64(turn/2) + g.rand.Uint64N(turn)
	if !j.live {
		gap /= hurry
	}
	return gap
}

func (g *teller) schedule(i item, after uint64) {
	g.order++
	i.due, i.order = g.clock+after, g.order
	heap.Push(&g.queue, i)
}

func (g *Generator) later(w Wire, after uint64) { g.schedule(item{wire: &w}, after) }

// tell tells the next step of a journey, or something that gets in its way.
func (g *Generator) tell(j *journey) Wire {
	draw := g.rand.IntN(1000)
	happens := func(odds int) bool {
		hit := draw >= 0 && draw < odds
		draw -= odds
		return hit
	}
	s := &j.steps[j.told]
	switch {
	case happens(oddsMalformed):
		g.schedule(item{journey: j}, g.gap(j)/4)
		return g.garble(g.event(j, s, g.occurred(j, j.told, false)))
	case happens(oddsUnknown):
		g.schedule(item{journey: j}, g.gap(j)/4)
		strange := step{code: g.strangeCode(), at: s.at, device: s.device}
		return g.event(j, &strange, g.occurred(j, j.told, false)).wire(UnknownCode)
	case happens(oddsMistake) && j.told > 0:
		return g.mistake(j)
	}

	told := g.event(j, s, g.occurred(j, j.told, true))
	if happens(oddsLate) && j.held == nil && j.told < len(j.steps)-1 {
		held := told.wire(Late)
		j.held, j.heldUntil = &held, min(j.told+2+g.rand.IntN(3), len(j.steps)) // behind the next one, or several
		j.told++
		return g.tell(j)
	}
	g.advance(j)
	if happens(oddsCorrection) {
		return g.correct(j, told)
	}
	if happens(oddsNoID) {
		told.EventID = ""
		return told.wire(Regular)
	}
	w := told.wire(Regular)
	if happens(oddsResend) {
		again := w
		again.Nature = Resend
		g.later(again, g.gap(j)*(1+g.rand.Uint64N(3)))
	}
	return w
}

// advance moves a journey on; one that has ended makes room for another.
func (g *Generator) advance(j *journey) {
	j.told++
	if j.held != nil && j.told >= j.heldUntil {
		g.later(*j.held, g.gap(j)/4)
		j.held = nil
	}
	if j.told < len(j.steps) {
		g.schedule(item{journey: j}, g.gap(j))
		return
	}
	next := g.invent(j.live, g.config.Now())
	g.schedule(item{journey: next}, g.gap(next))
}

// occurred returns when a step of a journey took place: never in the future, and never before the step before it.
func (g *teller) occurred(j *journey, index int, keep bool) time.Time {
	now := g.config.Now()
	at := now.Add(-time.Duration(g.rand.Int64N(int64(1500 * time.Millisecond))))
	if !j.live {
		at = j.start
		for i := range index + 1 {
			at = at.Add(j.steps[i].after)
		}
	}
	at = at.Truncate(time.Millisecond)
	if !at.After(j.last) {
		at = j.last.Add(time.Millisecond)
	}
	if at.After(now) {
		at = now.Truncate(time.Millisecond)
	}
	if keep {
		j.last = at
	}
	return at
}

// mistake tells of something that never happened, at a station where the thing is not, and takes it back soon.
func (g *Generator) mistake(j *journey) Wire {
	s := j.steps[j.told]
	wrong := g.event(j, &step{
		code: s.code, at: g.author.network.elsewhere(g.rand, s.at.code), device: s.device, quantity: s.quantity,
	}, g.occurred(j, j.told, false))
	void := wrong
	void.EventID = g.eventID(j)
	void.Corrects = &tracking.Correction{Kind: tracking.Void, EventIDs: []string{wrong.EventID}, Reason: "did_not_occur"}
	g.later(void.wire(Void), g.gap(j)/4)
	g.schedule(item{journey: j}, g.gap(j)/2)
	return wrong.wire(Mistake)
}

// correct tells an event with a wrong device, and later its next revision with the right one.
func (g *Generator) correct(j *journey, right wireEvent) Wire {
	wrong := right
	wrong.payload = make(map[string]any, len(right.payload))
	for k, v := range right.payload {
		wrong.payload[k] = v
	}
	wrong.payload["device"] = "UNKNOWN"
	right.Revision = 1
	if g.rand.IntN(2) == 0 {
		wrong.Revision = right.occurred.UnixMicro()
		right.Revision = wrong.Revision + int64(time.Minute/time.Microsecond)
	}
	g.later(right.wire(Correction), g.gap(j))
	return wrong.wire(Regular)
}

func (g *Generator) strangeCode() string {
	codes := []string{"ZZ9", "BELT_TEMP_HOLD", "XRY-2", "evt.4711", "REVISADO_ADUANA_B", "QQ"}
	return codes[g.rand.IntN(len(codes))]
}

func (g *teller) eventID(j *journey) string {
	g.ids++
	return fmt.Sprintf("%s-%s-%06x", strings.ToLower(j.source), g.run, g.ids)
}

// item is what waits for its turn: a journey, or what is ready to be sent.
type item struct {
	due     uint64
	order   uint64
	journey *journey
	wire    *Wire
	message *Message
}

// queue is a heap of items, the next one first.
type queue []item

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].order < q[j].order
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(item)) } //nolint:forcetypeassert // Only items are pushed.

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = item{}
	*q = old[:len(old)-1]
	return last
}
