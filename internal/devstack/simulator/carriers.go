package simulator

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// carriersTenant is whose the demonstration carriers are.
const carriersTenant = "talma-pe"

// NoRead is a bag whose tag a scanner could not read: nothing can be traced, and nothing is wrong.
const NoRead Nature = "no_read"

// Message is a body as a carrier sends it, in its own format.
type Message struct {
	// Carrier is one of the demonstration carriers.
	Carrier string
	// Path is the address to POST it to, and ContentType its media type.
	Path, ContentType string
	Body              []byte
	// Events is how many events it holds; none when its nature is NoRead.
	Events int
	// Valid is false when the API must refuse it.
	Valid  bool
	Nature Nature
	// CorrelationID is the journey that it tells of, and OccurredAt when what it tells took place.
	CorrelationID string
	OccurredAt    time.Time
}

// Carriers tells stories as the demonstration carriers do, each in its own format. It is not safe for concurrent use.
type Carriers struct {
	teller

	market *market
	voices []voice
	heard  int // of the voices, those that have told of something
}

// NewCarriers returns what tells the stories of the demonstration carriers, of tenant talma-pe. What the configuration leaves open has its
// default; EventsPerSecond is the rate of these carriers.
func NewCarriers(config Config) *Carriers {
	config = config.withDefaults()
	markets := marketsOf([]string{carriersTenant})
	c := &Carriers{teller: newTeller(config, 1), market: &markets[0], voices: allVoices()}
	c.begin(c.invent)
	return c
}

// voice is how a carrier tells of journeys.
type voice struct {
	carrier, media string
	// share is its part of the journeys, relative to the others'.
	share int
	// knows are the natures that its format can express besides those that all have.
	knows []Nature
	// invent makes a journey of it, of none but steps that it tells.
	invent func(a *author, m *market) *journey
	// say writes what is to be told, and how many events that is.
	say func(saying) (body []byte, events int)
	// path is where to, below the carrier's address; empty for events.
	path string
}

// saying is a step that is to be told.
type saying struct {
	*journey

	step *step
	// nature is Regular, Correction (of what was told wrong before), Mistake, Void (of the Mistake), UnknownCode, Malformed, NoRead.
	nature Nature
	at     time.Time
	// now is when it is told.
	now time.Time
	// id is the sender's of the event; a Correction and a Void have that of what was wrong.
	id string
	// strange is a code that nobody knows.
	strange string
	// number tells one saying from another.
	number uint64
}

// local is when it took place, where it did.
func (s saying) local() time.Time { return s.at.In(s.step.at.location()) }

// code is what is said: that of the step, or a strange one.
func (s saying) code() string {
	if s.nature == UnknownCode {
		return s.strange
	}
	return s.step.code
}

func (c *Carriers) invent(live bool, now time.Time) *journey {
	v := c.pick()
	j := v.invent(c.author, c.market)
	j.voice = v
	c.author.begin(j, c.market, live, now)
	return j
}

// pick picks a voice: first each once, so that all are heard soon, then by their shares.
func (c *Carriers) pick() *voice {
	if c.heard < len(c.voices) {
		c.heard++
		return &c.voices[c.heard-1]
	}
	all := 0
	for i := range c.voices {
		all += c.voices[i].share
	}
	draw, last := c.rand.IntN(all), len(c.voices)-1
	for i := range c.voices[:last] {
		if draw -= c.voices[i].share; draw < 0 {
			return &c.voices[i]
		}
	}
	return &c.voices[last]
}

// Next returns the next message. There always is one.
func (c *Carriers) Next() Message {
	next := c.next()
	if next.message != nil {
		return *next.message
	}
	return c.tell(next.journey)
}

// tell tells the next step of a journey, or something that gets in its way.
func (c *Carriers) tell(j *journey) Message {
	draw := c.rand.IntN(1000)
	happens := func(odds int) bool {
		hit := draw >= 0 && draw < odds
		draw -= odds
		return hit
	}
	knows := func(n Nature) bool { return slices.Contains(j.voice.knows, n) }
	s := saying{journey: j, step: &j.steps[j.told], nature: Regular, id: c.newID()}
	switch {
	case happens(oddsMalformed):
		return c.aside(s, Malformed)
	case happens(oddsUnknown):
		return c.aside(s, UnknownCode)
	case happens(oddsUnknown) && knows(NoRead):
		return c.aside(s, NoRead)
	case happens(oddsMistake) && knows(Void) && j.told > 0:
		s.nature, s.at = Mistake, c.occurred(j, j.told, false)
		wrong, void := c.write(s), s
		void.nature = Void
		c.later(void, c.gap(j)/4)
		c.schedule(item{journey: j}, c.gap(j)/2)
		return wrong
	}
	s.at = c.occurred(j, j.told, true)
	if happens(oddsLate) && j.message == nil && j.told < len(j.steps)-1 {
		s.nature = Late
		held := c.write(s)
		j.message, j.heldUntil = &held, min(j.told+2+c.rand.IntN(3), len(j.steps)) // behind the next one, or several
		j.told++
		return c.tell(j)
	}
	c.advance(j)
	told := c.write(s)
	switch {
	case happens(oddsCorrection) && knows(Correction):
		s.nature = Correction
		c.later(s, c.gap(j))
	case happens(oddsResend):
		again := told
		again.Nature = Resend
		c.schedule(item{message: &again}, c.gap(j)*(1+c.rand.Uint64N(3)))
	}
	return told
}

// aside tells something that gets in the way of a journey, which then goes on.
func (c *Carriers) aside(s saying, nature Nature) Message {
	s.nature, s.at, s.strange = nature, c.occurred(s.journey, s.told, false), strangeCodes[c.rand.IntN(len(strangeCodes))]
	c.schedule(item{journey: s.journey}, c.gap(s.journey)/4)
	return c.write(s)
}

// strangeCodes are codes that nobody knows, in letters that every format takes.
var strangeCodes = []string{"ZZ9", "QQX", "XRY", "ZZZ"}

// later has something told later.
func (c *Carriers) later(s saying, after uint64) {
	told := c.write(s)
	c.schedule(item{message: &told}, after)
}

// advance moves a journey on; one that has ended makes room for another.
func (c *Carriers) advance(j *journey) {
	j.told++
	if j.message != nil && j.told >= j.heldUntil {
		c.schedule(item{message: j.message}, c.gap(j)/4)
		j.message = nil
	}
	if j.told < len(j.steps) {
		c.schedule(item{journey: j}, c.gap(j))
		return
	}
	next := c.invent(j.live, c.config.Now())
	c.schedule(item{journey: next}, c.gap(next))
}

// write has the voice of a journey say something.
func (c *Carriers) write(s saying) Message {
	c.ids++
	s.number, s.now = c.ids, c.config.Now()
	v := s.voice
	body, events := v.say(s)
	path := "events"
	if v.path != "" && s.number%2 == 0 {
		path = v.path
	}
	return Message{
		Carrier: v.carrier, Path: "/api/v1/carriers/" + v.carrier + "/" + path, ContentType: v.media, Body: body, Events: events,
		Valid: s.nature != Malformed, Nature: s.nature, CorrelationID: s.correlation, OccurredAt: s.at,
	}
}

// newID makes a UUID out of what is drawn, so that the same seed makes the same.
func (c *Carriers) newID() string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(c.rand.UintN(256)) //nolint:gosec // that fits
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// only leaves a journey the steps of which a voice tells.
func (j *journey) only(tells func(step) bool) *journey {
	var wait time.Duration
	kept := make([]step, 0, len(j.steps))
	for _, s := range j.steps {
		if s.after += wait; !tells(s) {
			wait = s.after
			continue
		}
		wait, kept = 0, append(kept, s)
	}
	j.steps = kept
	return j
}

// dated writes a time as Cargo-IMP and baggage messages do.
func dated(t time.Time) string { return upper(t.Format("02Jan")) }

func upper(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

func text(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
