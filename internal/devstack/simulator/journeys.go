package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// step is one event of a journey as it truly happens.
type step struct {
	code     string
	at       airport
	flight   *flight
	quantity *tracking.Quantity
	device   string
	detail   map[string]any
	// after is how long after the step before it takes place in life.
	after time.Duration
}

// journey is one thing on its way and how far its story has been told.
type journey struct {
	market      *market
	kind        tracking.Kind
	source      string
	correlation string
	aggregate   string
	steps       []step

	told int
	// held is an event that is told late: not before heldUntil steps are.
	held      *Wire
	heldUntil int
	// voice is who tells it in a format of its own, and message what it tells late.
	voice   *voice
	message *Message
	// live journeys happen as they are told; the others happened in the last days and are told in one go.
	live bool
	// start is when a journey that is not live began.
	start time.Time
	last  time.Time
}

// author invents journeys.
type author struct {
	rand    *rand.Rand
	network *network
	numbers map[string]*serials
	// half is which half of all numbers things have: so that those of two authors are different things.
	half uint64
}

func newAuthor(r *rand.Rand, half uint64) *author {
	return &author{rand: r, network: newNetwork(), numbers: map[string]*serials{}, half: half}
}

// invent makes a journey in a market. A live one begins now; another has ended by now.
func (a *author) invent(m *market, live bool, now time.Time) *journey {
	var j *journey
	switch draw := a.rand.Float64(); {
	case draw < 0.55:
		j = a.bag(m)
	case draw < 0.75:
		j = a.cargo(m)
	default:
		j = a.parcel(m)
	}
	a.begin(j, m, live, now)
	return j
}

// begin has a journey begin in a market.
func (a *author) begin(j *journey, m *market, live bool, now time.Time) {
	j.market, j.live = m, live
	var whole time.Duration
	for i := range j.steps {
		whole += j.steps[i].after
	}
	begin := now
	if !live {
		begin = now.Add(-whole - a.between(30*time.Minute, 72*time.Hour))
		j.start = begin
	}
	a.dateFlights(j, begin)
}

// dateFlights gives every flight of a journey its date: that of the first step which is its departure or, in the time that live
// journeys take, of their beginning.
func (a *author) dateFlights(j *journey, begin time.Time) {
	at := begin
	for i := range j.steps {
		if !j.live {
			at = at.Add(j.steps[i].after)
		}
		if f := j.steps[i].flight; f != nil && (f.date == "" || departs(j.steps[i].code)) {
			f.dated(at)
		}
	}
}

func departs(code string) bool { return code == "departed" || code == "DEP" }

func (a *author) between(low, high time.Duration) time.Duration {
	return low + time.Duration(a.rand.Int64N(int64(high-low)))
}

func (a *author) minutes(low, high int) time.Duration {
	return a.between(time.Duration(low)*time.Minute, time.Duration(high)*time.Minute)
}

// ends picks where a journey of a market begins and ends: one of them is the tenant's own station.
func (a *author) ends(m *market) (from, to airport) {
	home := a.network.airports[m.homes[a.rand.IntN(len(m.homes))]]
	away := a.network.elsewhere(a.rand, home.code)
	if a.rand.IntN(3) > 0 {
		return home, away
	}
	return away, home
}

func (a *author) pick(m *market) airline { return m.airlines[a.rand.IntN(len(m.airlines))] }

// serial hands out the next number of a kind, of so many.
func (a *author) serial(of string, size uint64) uint64 {
	if a.numbers[of] == nil {
		a.numbers[of] = newSerials(a.rand, size/2)
	}
	return a.half*size/2 + a.numbers[of].take()
}

func (a *author) device(kind string, of int) string {
	return fmt.Sprintf("%s-%d", kind, 1+a.rand.IntN(of))
}

// bag is a checked bag, on one flight or on two by way of the airline's hub. Its points are those of IATA Resolution 753.
func (a *author) bag(m *market) *journey {
	from, to := a.ends(m)
	by := a.pick(m)
	tag := bagTag(by.prefix, a.serial("bag "+by.prefix, 1_000_000))
	flights := []*flight{fly(a.rand, by, from, to)}
	if by.hub != "" && by.hub != from.code && by.hub != to.code && a.rand.IntN(3) > 0 {
		hub := a.network.airports[by.hub]
		flights = []*flight{fly(a.rand, by, from, hub), fly(a.rand, by, hub, to)}
	}
	first := flights[0]
	weight := map[string]any{"weight_kg": 8 + a.rand.IntN(16)}
	steps := []step{{code: "checked_in", at: from, flight: first, device: a.device("CTR", 60), detail: weight}}
	for i, f := range flights {
		if i > 0 {
			steps = append(steps, step{code: "transferred", at: f.from, flight: f, device: a.device("TRF", 4), after: a.minutes(15, 40)})
		}
		steps = append(steps,
			step{code: "screened", at: f.from, flight: f, device: a.device("HBS", 6), detail: map[string]any{"result": "CLR"}, after: a.minutes(6, 25)},
			step{code: "loaded", at: f.from, flight: f, device: a.device("BHS", 9), after: a.minutes(25, 70)},
			step{code: "departed", at: f.from, flight: f, device: "ACARS", after: a.minutes(15, 40)},
			step{code: "arrived", at: f.to, flight: f, device: "ACARS", after: f.duration() + a.minutes(0, 25)},
		)
	}
	final := flights[len(flights)-1]
	if a.rand.IntN(100) < 3 {
		steps = append(steps,
			step{code: "missing", at: to, flight: final, device: "WTR", after: a.minutes(30, 60)},
			step{code: "found", at: to, device: a.device("HHT", 30), after: a.minutes(60, 600)})
	}
	belt := map[string]any{"belt": 1 + a.rand.IntN(9)}
	steps = append(steps,
		step{code: "available", at: to, flight: final, device: a.device("BELT", 9), detail: belt, after: a.minutes(12, 35)},
		step{code: "delivered", at: to, flight: final, device: a.device("HHT", 30), after: a.minutes(5, 25)},
	)
	return &journey{kind: tracking.Baggage, source: by.code + "-baggage", correlation: tag, aggregate: tag, steps: steps}
}

// cargo is an air waybill, mostly split over two flights, with the codes of Cargo-IMP status messages (FSU).
func (a *author) cargo(m *market) *journey {
	from, to := a.ends(m)
	by := a.pick(m)
	awb := airWaybill(by.prefix, a.serial("waybill "+by.prefix, 10_000_000))
	total := 2 + a.rand.IntN(40)
	each := 5 + float64(a.rand.IntN(400))/10
	pieces := func(n int) *tracking.Quantity {
		return &tracking.Quantity{Pieces: n, TotalPieces: total, Weight: float64(int(each*float64(n)*10)) / 10, WeightUnit: "kg"}
	}
	parts := []int{total}
	if a.rand.IntN(4) > 0 {
		first := max(1, total*6/10)
		parts = []int{first, total - first}
	}
	flights := make([]*flight, len(parts))
	for i := range parts {
		flights[i] = fly(a.rand, by, from, to)
	}
	steps := []step{
		{code: "BKD", at: from, flight: flights[0], quantity: pieces(total), device: "RES"},
		{code: "RCS", at: from, quantity: pieces(total), device: a.device("DOCK", 12), after: a.minutes(60, 600)},
	}
	for i, f := range flights {
		steps = append(steps,
			step{code: "MAN", at: from, flight: f, quantity: pieces(parts[i]), device: "DCS", after: a.minutes(60, 240)},
			step{code: "DEP", at: from, flight: f, quantity: pieces(parts[i]), device: "ACARS", after: a.minutes(30, 70)})
	}
	for i, f := range flights {
		wait := a.minutes(60, 200)
		if i == 0 {
			wait += f.duration()
		}
		steps = append(steps, step{code: "RCF", at: to, flight: f, quantity: pieces(parts[i]), device: a.device("WHS", 5), after: wait})
	}
	if from.country != to.country {
		steps = append(steps,
			step{code: "TGC", at: to, quantity: pieces(total), device: "EDI", after: a.minutes(20, 60)},
			step{code: "CCD", at: to, quantity: pieces(total), device: "EDI", after: a.minutes(60, 900)})
	}
	steps = append(steps, step{code: "NFD", at: to, quantity: pieces(total), device: "EDI", after: a.minutes(20, 120)})
	for _, n := range parts {
		steps = append(steps, step{code: "DLV", at: to, quantity: pieces(n), device: a.device("GATE", 4), after: a.minutes(60, 900)})
	}
	return &journey{kind: tracking.Cargo, source: by.code + "-cargo", correlation: awb, aggregate: awb, steps: steps}
}

// parcel is a postal item between two hubs or more. Most are delivered, a few go back or are lost.
func (a *author) parcel(m *market) *journey {
	from, to := a.ends(m)
	number := parcelNumber([]string{"CP", "EE", "RR"}[a.rand.IntN(3)], m.country, a.serial("parcel", 100_000_000))
	steps := []step{
		{code: "announced", at: from, device: "WEB", detail: map[string]any{"service": []string{"express", "standard"}[a.rand.IntN(2)]}},
		{code: "accepted", at: from, device: a.device("POS", 40), after: a.minutes(60, 900)},
	}
	hubs := []airport{from, to}
	if a.rand.IntN(2) == 0 {
		hubs = []airport{from, a.network.elsewhere(a.rand, from.code, to.code), to}
	}
	for i, hub := range hubs[1:] {
		steps = append(steps,
			step{code: "in_transit", at: hubs[i], device: a.device("SORT", 8), after: a.minutes(90, 600)},
			step{code: "arrived", at: hub, device: a.device("SORT", 8), after: a.minutes(200, 900)})
	}
	if from.country != to.country && a.rand.IntN(4) == 0 {
		steps = append(steps,
			step{code: "customs_hold", at: to, device: "EDI", after: a.minutes(20, 90)},
			step{code: "customs_cleared", at: to, device: "EDI", after: a.minutes(90, 1200)})
	}
	if a.rand.IntN(100) < 2 {
		steps = append(steps, step{code: "lost", at: to, device: "CLAIMS", after: a.minutes(1000, 2000)})
		return &journey{kind: tracking.Parcel, source: m.post, correlation: number, aggregate: number, steps: steps}
	}
	steps = append(steps, step{code: "out_for_delivery", at: to, device: a.device("VAN", 50), after: a.minutes(120, 700)})
	if a.rand.IntN(100) < 12 {
		steps = append(steps,
			step{code: "delivery_failed", at: to, device: a.device("PDA", 90), detail: map[string]any{"reason": "nobody home"}, after: a.minutes(30, 300)},
			step{code: "out_for_delivery", at: to, device: a.device("VAN", 50), after: a.minutes(900, 1400)})
	}
	last := step{code: "delivered", at: to, device: a.device("PDA", 90), detail: map[string]any{"proof": "signature"}, after: a.minutes(20, 300)}
	if a.rand.IntN(100) < 4 {
		last = step{code: "returned", at: from, device: a.device("PDA", 90), detail: map[string]any{"reason": "refused"}, after: a.minutes(900, 2000)}
	}
	return &journey{kind: tracking.Parcel, source: m.post, correlation: number, aggregate: number, steps: append(steps, last)}
}
