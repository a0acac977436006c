package cargoimp

import (
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/localtime"
)

// flightTime is a time of a flight in the payload.
type flightTime struct {
	// Of is departure or arrival, Kind scheduled, estimated or actual.
	Of   string    `json:"of"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

var kinds = map[byte]string{'S': "scheduled", 'E': "estimated", 'A': "actual"}

// occurrence is when a status took place.
type occurrence struct {
	at         time.Time
	quality    tracking.TimeQuality
	classifier tracking.Classifier
	// stated is at as far as the message says it: the zero time when it says none. It does not depend on when the message came.
	stated time.Time
	// flightDate is the local date of the flight's departure, as YYYY-MM-DD; empty when the message does not say it.
	flightDate string
	times      []flightTime
}

// reference is the time that dates without a year are near to.
func (d *decoder) reference(e *envelope) time.Time {
	if e != nil && e.dated {
		return *e.Sent
	}
	return d.options.ReceivedAt
}

// zone returns the time zone of a station, and says when it is not known.
func (d *decoder) zone(n *notes, no int, field, station string) *time.Location {
	zone := d.options.Places.Zone(station)
	if zone == nil && station != "" {
		n.warn(no, field, CodeInferred, "the time zone of %s is not known; its times are taken for UTC", station)
	}
	return zone
}

// when works out when a status took place; before is when the one before it in the message did, the zero time for the first.
func (d *decoder) when(n *notes, no int, t *detail, e *envelope, before time.Time) occurrence {
	o := occurrence{classifier: tracking.Actual}
	field := t.code + ".date"
	if t.date == nil {
		if n.refused {
			return o
		}
		d.undated(n, no, field, &o, e, before)
		return o
	}
	zone := d.zone(n, no, t.code+"."+slotNames[airport], t.station())
	day, err := t.date.In(d.reference(e), zone, t.time)
	if err != nil {
		n.fail(no, field, formats.CodeRange, "%v", err)
		return o
	}
	if day.Far {
		n.warn(no, field, CodeInferred, "the date lies far from when the message came; it is taken for %s", day.Time.Format(time.DateOnly))
	}
	o.at, o.quality = day.Time, day.Quality
	if t.grammar.leaves {
		o.flightDate = day.Time.Format(time.DateOnly)
		d.leaving(&o, t, zone)
	} else {
		d.staying(&o, t, zone)
	}
	if o.quality == tracking.DateOnly && t.grammar.late {
		local := o.at
		o.at = time.Date(local.Year(), local.Month(), local.Day(), 23, 59, 0, 0, local.Location())
	}
	o.stated = o.at
	if o.classifier == tracking.Actual {
		d.notAhead(n, no, field, &o, e, t)
	}
	return o
}

// undated dates a status whose line has no date: by the status before it in the message, or by when the message was sent, or else
// received.
func (d *decoder) undated(n *notes, no int, field string, o *occurrence, e *envelope, before time.Time) {
	o.at, o.quality = d.options.ReceivedAt, tracking.DateOnly
	if !before.IsZero() {
		o.at = before
		n.info(no, field, CodeInferred, "the line has no date; the time is that of the status before it")
		return
	}
	how := "received"
	if e != nil && e.Sent != nil && e.Sent.Before(o.at) {
		o.at, how = *e.Sent, "sent"
	}
	n.info(no, field, CodeInferred, "the line has no date; the time is that when the message was %s", how)
}

// notAhead keeps what has happened from lying after the message that says so, where its time is none of the status itself or not sure.
func (d *decoder) notAhead(n *notes, no int, field string, o *occurrence, e *envelope, t *detail) {
	latest := d.options.ReceivedAt
	if e != nil && e.Sent != nil && e.Sent.Before(latest) && o.quality == tracking.DateOnly {
		latest = *e.Sent
	}
	if !o.at.After(latest) || o.quality != tracking.DateOnly && o.quality != tracking.ZoneInferred {
		return
	}
	if !t.grammar.late { // a plain date is known to be no later than the message; of a day's end that goes without saying
		n.info(no, field, CodeInferred, "%s lies ahead of the message; the time is that of the message", o.at.Format(time.DateOnly))
	}
	o.at = latest.In(o.at.Location())
}

// leaving reads the times of a status that says when a flight departs: first that of departure, then that of arrival. Carriers write
// schedule and outcome of the departure side by side too, as S2350/A0012.
func (d *decoder) leaving(o *occurrence, t *detail, zone *time.Location) {
	first, second := t.times[0], t.times[1]
	if second != nil && (first == nil && second.Kind == 'A' || first != nil && first.Kind == 'S' && second.Kind != 'S') {
		var schedule *time.Time
		if first != nil {
			at := on(o.at, first, zone, nil)
			schedule = &at
			o.times = append(o.times, flightTime{"departure", kinds[first.Kind], at, first.Text})
		}
		o.times = append(o.times, flightTime{"departure", kinds[second.Kind], on(o.at, second, zone, schedule), second.Text})
	} else {
		var left *time.Time
		if first != nil {
			at := on(o.at, first, zone, nil)
			left = &at
			o.times = append(o.times, flightTime{"departure", kinds[first.Kind], at, first.Text})
		}
		if second != nil {
			there := d.options.Places.Zone(t.to)
			if there == nil {
				there = zone
			}
			at := on(o.at, second, there, nil)
			for left != nil && !second.Dated && at.Before(*left) {
				at = at.AddDate(0, 0, 1)
			}
			o.times = append(o.times, flightTime{"arrival", kinds[second.Kind], at, second.Text})
		}
	}
	if t.grammar.planned && t.time == nil {
		o.settle("departure", zone)
	}
}

// staying reads the times of a status at one station, which are those of the flight's arrival there.
func (d *decoder) staying(o *occurrence, t *detail, zone *time.Location) {
	var before *time.Time
	if t.time != nil {
		at := o.at
		before = &at
	}
	for _, m := range t.times {
		if m == nil {
			continue
		}
		at := on(o.at, m, zone, before)
		before = &at
		o.times = append(o.times, flightTime{"arrival", kinds[m.Kind], at, m.Text})
	}
	if t.grammar.planned && t.time == nil {
		o.settle("arrival", zone)
	}
}

// on returns when a time of a flight is: on the day of the flight, or as many days after as it says; or, when that is not said, the
// nearest to another time.
func on(day time.Time, m *moment, zone *time.Location, near *time.Time) time.Time {
	if zone == nil {
		zone = day.Location()
	}
	if near != nil && !m.Dated {
		return m.Clock.Near(*near, zone)
	}
	noon := time.Date(day.Year(), day.Month(), day.Day()+m.Days, 12, 0, 0, 0, zone)
	at := localtime.Date{Day: noon.Day(), Month: noon.Month(), Year: noon.Year()}
	in, err := at.In(noon, zone, &m.Clock)
	if err != nil {
		return noon // cannot be: the day is one of the calendar
	}
	return in.Time
}

// settle takes the surest of the times of departure, or of arrival, for that of the status: the actual one before one that is
// estimated or, at last, scheduled; the status then has not happened yet.
func (o *occurrence) settle(of string, zone *time.Location) {
	for _, kind := range []struct {
		name       string
		classifier tracking.Classifier
	}{{"actual", tracking.Actual}, {"estimated", tracking.Estimated}, {"scheduled", tracking.Planned}} {
		for _, t := range o.times {
			if t.Of != of || t.Kind != kind.name {
				continue
			}
			o.at, o.classifier, o.quality = t.At, kind.classifier, tracking.YearInferred
			if zone == nil {
				o.quality = tracking.ZoneInferred
			}
			return
		}
	}
}
