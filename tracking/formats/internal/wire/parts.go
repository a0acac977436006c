package wire

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

const maxPieces = 1_000_000_000

// object reads the members of a nested object. It returns false when there is none.
func (d *Decoder) members(parent string, v scan.Value, fields []string, member func(i int, field string, v scan.Value)) bool {
	if !d.present(parent, v, scan.Object) {
		return false
	}
	var seen uint32
	s := scan.New(v.Raw)
	err := s.Members(func(key []byte, value scan.Value) {
		for i, f := range fields {
			if f != string(key) {
				continue
			}
			if field := parent + "." + f; seen&(1<<i) != 0 {
				d.Failf(field, formats.CodeDuplicateField, "%s stands twice", field)
			} else {
				seen |= 1 << i
				member(i, field, value)
			}
			return
		}
		d.Unknown(parent+".", key, fields, nil)
	})
	return err == nil // it has been read before, so there is none
}

// Location reads where an event happened.
func (d *Decoder) Location(field string, v scan.Value) *tracking.Location {
	var l tracking.Location
	texts := [...]*string{&l.IATA, &l.ICAO, &l.UNLocode, &l.GLN, &l.Name, &l.Facility}
	fields := []string{"iata", "icao", "unlocode", "gln", "name", "facility", "latitude", "longitude"}
	ok := d.members(field, v, fields, func(i int, field string, v scan.Value) {
		switch {
		case i < len(texts):
			*texts[i] = d.ID(field, v)
			if wrong := misshapen(i, *texts[i]); wrong != "" {
				d.Failf(field, formats.CodeFormat, "%s %q must be %s", field, shorten(*texts[i]), wrong)
			}
		case v.Kind == scan.Null:
		case i == 6:
			l.Lat = new(d.Float(field, v, -90, 90))
		default:
			l.Lon = new(d.Float(field, v, -180, 180))
		}
	})
	if !ok {
		return nil
	}
	if (l.Lat == nil) != (l.Lon == nil) {
		d.Failf(field, formats.CodeRequired, "%s must have both latitude and longitude, or neither", field)
	}
	if l == (tracking.Location{}) {
		return nil
	}
	return &l
}

// misshapen says what a code of a location must be when it is not: IATA's three letters, ICAO's four letters or digits, the
// UN/LOCODE's two letters and three more (recommendation 16: letters, or digits from 2), the GLN's 13 digits.
func misshapen(field int, code string) string {
	compact := strings.Replace(code, " ", "", 1)
	switch {
	case code == "":
		return ""
	case field == 0 && (len(code) != 3 || !only(code, letter)):
		return "three letters, as LIM"
	case field == 1 && (len(code) != 4 || !only(code, letter, digit)):
		return "four letters or digits, as SPJC"
	case field == 2 && (len(compact) != 5 || !only(compact[:2], letter) || !only(compact[2:], letter, digit) ||
		strings.ContainsAny(compact[2:], "01") || len(code) == 6 && code[2] != ' '):
		return "a UN/LOCODE, as PELIM"
	case field == 3 && (len(code) != 13 || !only(code, digit)):
		return "13 digits"
	default:
		return ""
	}
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// only reports whether every byte of text is of one of the classes.
func only(text string, classes ...func(byte) bool) bool {
	for i := range len(text) {
		if !slices.ContainsFunc(classes, func(in func(byte) bool) bool { return in(text[i]) }) {
			return false
		}
	}
	return true
}

// Quantity reads how much an event is about.
func (d *Decoder) Quantity(field string, v scan.Value) *tracking.Quantity {
	var q tracking.Quantity
	ok := d.members(field, v, []string{"pieces", "total_pieces", "weight", "weight_unit"}, func(i int, field string, v scan.Value) {
		switch i {
		case 0:
			q.Pieces = int(d.Integer(field, v, 0, maxPieces))
		case 1:
			q.TotalPieces = int(d.Integer(field, v, 0, maxPieces))
		case 2:
			q.Weight = d.Float(field, v, 0, 1e12)
		default:
			q.WeightUnit = Enum(d, field, v, []string{"kg", "lb"})
		}
	})
	if !ok || q == (tracking.Quantity{}) {
		return nil
	}
	if q.TotalPieces > 0 && q.Pieces > q.TotalPieces {
		d.Warnf(field+".pieces", formats.CodeConflict, "%s.pieces is %d, and %s.total_pieces only %d", field, q.Pieces, field, q.TotalPieces)
	}
	return &q
}

// Transport reads the leg.
func (d *Decoder) Transport(field string, v scan.Value) *tracking.Transport {
	var t tracking.Transport
	texts := [...]*string{&t.Mode, &t.Carrier, &t.Number, &t.Date, &t.Origin, &t.Destination}
	fields := []string{"mode", "carrier", "number", "date", "origin", "destination"}
	ok := d.members(field, v, fields, func(i int, field string, v scan.Value) {
		if i == 0 {
			t.Mode = Enum(d, field, v, []string{"air", "sea", "road", "rail"})
			return
		}
		*texts[i] = d.ID(field, v)
		if i == 3 && t.Date != "" {
			if _, err := time.Parse(time.DateOnly, t.Date); err != nil {
				d.Failf(field, formats.CodeFormat, "%s %q must be the local date of origin as YYYY-MM-DD", field, shorten(t.Date))
			}
		}
	})
	if !ok || t == (tracking.Transport{}) {
		return nil
	}
	return &t
}

// Correction reads what an event voids or replaces.
func (d *Decoder) Correction(field string, v scan.Value) *tracking.Correction {
	var c tracking.Correction
	ok := d.members(field, v, []string{"kind", "event_ids", "reason"}, func(i int, field string, v scan.Value) {
		switch i {
		case 0:
			c.Kind = Enum(d, field, v, []tracking.CorrectionKind{tracking.Void, tracking.Replace})
		case 1:
			c.EventIDs = d.ids(field, v)
		default:
			c.Reason = d.Text(field, v)
		}
	})
	if !ok {
		return nil
	}
	d.Required(field+".kind", string(c.Kind), "void takes the named events out, replace puts this one in their place")
	if len(c.EventIDs) == 0 {
		d.Required(field+".event_ids", "", "the ids of the events to take out, as their sender gave them")
	}
	return &c
}

// Personal reads what an event says about a person.
func (d *Decoder) Personal(field string, v scan.Value) *tracking.Personal {
	var p tracking.Personal
	ok := d.members(field, v, []string{"subject", "data"}, func(i int, field string, v scan.Value) {
		if i == 0 {
			p.Subject = d.ID(field, v)
			if len(p.Subject) > tracking.MaxPersonalSubject {
				d.Failf(field, formats.CodeTooLong, "%s has %d bytes; it may have %d", field, len(p.Subject), tracking.MaxPersonalSubject)
			}
			return
		}
		switch {
		case !d.present(field, v, scan.Object):
		case len(v.Raw) > tracking.MaxPersonalBytes:
			d.Failf(field, formats.CodeTooLong, "%s has %d bytes; it may have %d", field, len(v.Raw), tracking.MaxPersonalBytes)
		default:
			p.Data = json.RawMessage(v.Raw)
		}
	})
	if !ok {
		return nil
	}
	d.Required(field+".subject", p.Subject, "who the data is about, such as a customer number or a booking reference")
	if len(p.Data) == 0 {
		d.Required(field+".data", "", "an object of what is personal, such as {\"name\":\"...\",\"seat\":\"...\"}")
	}
	return &p
}

// ids reads a list of identifiers.
func (d *Decoder) ids(field string, v scan.Value) []string {
	if !d.present(field, v, scan.Array) {
		return nil
	}
	var ids []string
	s := scan.New(v.Raw)
	err := s.Items(func() error {
		item, err := s.Value()
		if err != nil || len(ids) > formats.MaxCorrected {
			return err
		}
		id := d.ID(field, item)
		d.Required(field, id, "each of them must be a non-empty string")
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil // cannot be: it has been read before
	}
	if len(ids) > formats.MaxCorrected {
		d.Failf(field, formats.CodeTooLong, "%s may name %d events; send several corrections", field, formats.MaxCorrected)
	}
	return ids
}

// Complete fills in what follows from the rest of the event: the classifier, the source and, without an id of the sender's,
// the fingerprint. It must come last.
func (d *Decoder) Complete(e *tracking.Event) {
	if e.Classifier == "" {
		e.Classifier = tracking.Actual
	}
	if e.EventID == "" && !d.refused {
		e.EventID = tracking.Fingerprint(e)
	}
}
