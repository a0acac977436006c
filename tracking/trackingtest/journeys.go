package trackingtest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

// journey tells what happens to the things on one journey.
type journey struct {
	t           *rapid.T
	tenant      string
	correlation string
	kind        tracking.Kind
	route       []string
	at          time.Time // when the next thing happens
	events      []*tracking.Event
}

// step is what is told of a thing on its way. Of a hop, or, where it is 0, of none.
type step struct {
	code      string
	milestone tracking.Milestone
	source    string
	hop       int
}

// stations are in the order in which they are passed.
var stations = []string{"CUZ", "LIM", "SCL", "EZE"} //nolint:gochecknoglobals // A constant.

func (j *journey) travel() {
	from := rapid.IntRange(0, 1).Draw(j.t, "from")
	j.route = stations[from:rapid.IntRange(from+2, len(stations)).Draw(j.t, "to")]
}

// bags tells of the bags of a booking; or of one, whose tag is its journey.
func (j *journey) bags() {
	j.travel()
	j.kind, j.correlation = tracking.Baggage, rapid.SampledFrom([]string{"XK4T2P", "0045123456"}).Draw(j.t, "booking")
	steps := []step{{"checked_in", tracking.Accepted, "dcs", 0}, {"screened", tracking.Processing, "handler", 0}}
	for hop := 1; hop < len(j.route); hop++ {
		if hop > 1 {
			steps = append(steps, step{"transferred", tracking.Transfer, "handler", 0})
		}
		steps = append(steps, step{"loaded", tracking.Loaded, "handler", hop}, step{"departed", tracking.InTransit, "LA", hop},
			step{"arrived", tracking.Arrived, "LA", hop})
	}
	steps = append(steps, step{"on_belt", tracking.Available, "handler", 0}, step{"collected", tracking.Delivered, "handler", 0})
	for n := range rapid.IntRange(1, 2).Draw(j.t, "bags") {
		j.walk(steps, fmt.Sprint("004512345", 6+n), nil)
	}
}

// cargo tells of a consignment by its air waybill, in one part or several, which may be in containers (ULDs).
func (j *journey) cargo() {
	j.travel()
	j.kind, j.correlation = tracking.Cargo, rapid.SampledFrom([]string{"157-53806270", "020-12345675"}).Draw(j.t, "waybill")
	steps := []step{{"BKD", tracking.Announced, "LA", 1}, {"RCS", tracking.Accepted, "handler", 0}}
	for hop := 1; hop < len(j.route); hop++ {
		steps = append(steps, step{"MAN", tracking.Processing, "handler", hop}, step{"DEP", tracking.InTransit, "LA", hop},
			step{"RCF", tracking.Arrived, "handler", hop})
	}
	steps = append(steps, step{"NFD", tracking.Available, "handler", 0}, step{"DLV", tracking.Delivered, "handler", 0})
	parts := rapid.SliceOfN(rapid.IntRange(1, 6), 1, 3).Draw(j.t, "parts")
	total := 0
	for _, pieces := range parts {
		total += pieces
	}
	contained := rapid.Bool().Draw(j.t, "contained")
	for n, pieces := range parts {
		thing := j.correlation
		if contained {
			thing = fmt.Sprint("PMC9866", n, "LA")
		}
		j.walk(steps, thing, &tracking.Quantity{Pieces: pieces, TotalPieces: total, Weight: 12.5 * float64(pieces), WeightUnit: "kg"})
	}
}

// parcel tells of a parcel, which is brought to its place or comes back.
func (j *journey) parcel() {
	j.route = stations
	j.kind, j.correlation = tracking.Parcel, rapid.SampledFrom([]string{"1Z3F4W576807747148", "00340123451111111111"}).Draw(j.t, "parcel")
	end := rapid.SampledFrom([]tracking.Milestone{tracking.Delivered, tracking.Delivered, tracking.Returned, tracking.Lost}).Draw(j.t, "end")
	j.walk([]step{
		{"InfoReceived", tracking.Announced, "shop", 0}, {"InTransit_PickedUp", tracking.Accepted, "parcels", 0},
		{"InTransit_Departure", tracking.InTransit, "parcels", 0}, {"InTransit_Arrival", tracking.Arrived, "parcels", 0},
		{"OutForDelivery", tracking.OutForDelivery, "parcels", 0}, {string(end), end, "parcels", 0},
	}, j.correlation, nil)
}

// walk tells the steps of a thing, as far as it has come, and what else there is to say on the way.
func (j *journey) walk(steps []step, thing string, quantity *tracking.Quantity) {
	if rapid.Bool().Draw(j.t, "under way") {
		steps = steps[:rapid.IntRange(1, len(steps)).Draw(j.t, "come to")]
	}
	for _, s := range steps {
		e := j.tell(s, thing)
		e.Quantity = quantity
		if s.hop > 0 && s.code == "BKD" {
			e.Classifier = tracking.Planned
		}
		switch rapid.IntRange(0, 19).Draw(j.t, "besides") {
		case 0: // there is trouble, which may end
			j.tell(step{"trouble", "", s.source, 0}, thing).Enrichment.Exception = rapid.SampledFrom([]string{"missing", "on_hold"}).Draw(j.t, "trouble")
		case 1:
			j.tell(step{"found", "", s.source, 0}, thing).Enrichment.Exception = "cleared"
		case 2:
			j.tell(step{"DOC", tracking.None, s.source, 0}, thing)
		case 3:
			j.tell(step{"FIW?", tracking.Unknown, s.source, 0}, thing)
		case 4, 5: // what is to come
			ahead := j.tell(step{"ETA", rapid.SampledFrom([]tracking.Milestone{tracking.Arrived, tracking.Delivered}).Draw(j.t, "foreseen"), s.source, s.hop}, thing)
			ahead.Classifier = rapid.SampledFrom([]tracking.Classifier{tracking.Estimated, tracking.Planned, tracking.Requested}).Draw(j.t, "classifier")
			ahead.OccurredAt = ahead.OccurredAt.Add(time.Duration(rapid.IntRange(1, 40).Draw(j.t, "ahead")) * time.Hour)
		case 6: // of the whole journey
			j.tell(s, j.correlation)
		}
	}
}

// tell adds what happens to a thing, a while after what happened before or together with it.
func (j *journey) tell(s step, thing string) *tracking.Event {
	j.at = j.at.Add(time.Duration(rapid.IntRange(0, 50).Draw(j.t, "after")) * time.Minute)
	at := j.at.UTC().Truncate(time.Microsecond)
	e := &tracking.Event{
		TenantID: j.tenant, Source: s.source, CorrelationID: j.correlation, AggregateID: thing, Kind: j.kind, Type: s.code,
		Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at, Payload: payload(j.t),
		Enrichment: tracking.Enrichment{Milestone: s.milestone},
	}
	if s.hop > 0 {
		e.Transport = &tracking.Transport{
			Mode: "air", Carrier: "LA", Number: rapid.SampledFrom([]string{"2047", "501", "0033"}).Draw(j.t, "flight"), Date: at.Format(time.DateOnly),
			Origin: j.route[s.hop-1], Destination: j.route[s.hop],
		}
	}
	if place := rapid.IntRange(0, len(j.route)).Draw(j.t, "place"); place > 0 {
		e.Location = &tracking.Location{IATA: j.route[place-1]}
		if lat := -12.0219; s.source == "handler" {
			e.Location.Lat = &lat
		}
	}
	j.events = append(j.events, e)
	return e
}
