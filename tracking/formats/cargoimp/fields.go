package cargoimp

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/tracking"
	"github.com/rastrohq/rastro/tracking/formats"
)

// quantity is a quantity detail: shipment description code, pieces, weight, volume, density, and the pieces of the whole consignment.
type quantity struct {
	// Code is T (total), P (part), S (split), D (divided) or M (multiple).
	Code   string `json:"code"`
	Pieces int    `json:"pieces"`
	// Weight is as sent; WeightUnit is kg or lb.
	Weight     string `json:"weight,omitempty"`
	WeightUnit string `json:"weight_unit,omitempty"`
	Volume     string `json:"volume,omitempty"`
	// VolumeUnit is m3, ft3, cm3 or in3.
	VolumeUnit   string `json:"volume_unit,omitempty"`
	DensityGroup int    `json:"density_group,omitempty"`
	Total        int    `json:"total_pieces,omitempty"`
}

var (
	weightUnits = map[string]string{"K": "kg", "L": "lb"}
	volumeUnits = map[string]string{"MC": "m3", "CF": "ft3", "CC": "cm3", "CI": "in3"}
)

// looksLikeQuantity reports whether a field is meant as a quantity, right or wrong.
func looksLikeQuantity(s string) bool {
	if s == "" || strings.IndexByte("TPSDM", s[0]) < 0 {
		return false
	}
	if len(s) == 1 {
		return true
	}
	rest := strings.TrimLeft(s[1:], "0123456789")
	switch {
	case len(rest) == len(s)-1: // no pieces: TK100 is one gone wrong, THE SHIPPER a name
		return len(s) > 2 && (s[1] == 'K' || s[1] == 'L') && s[2] >= '0' && s[2] <= '9'
	case rest == "":
		return true
	default:
		return strings.IndexByte("KLMCDT", rest[0]) >= 0 && !strings.Contains(rest, " ")
	}
}

// parseQuantity reads a quantity detail: T10K505.0, P2K101.0T10, T3K41.5MC0.3DG2, D2K440.1MC0.39T298.
func parseQuantity(s string) (quantity, error) {
	q := quantity{Code: s[:1]}
	rest := s[1:]
	var ok bool
	if q.Pieces, rest, ok = leadingPieces(rest); !ok {
		return q, errors.New("the number of pieces must follow the " + s[:1])
	}
	if q.Pieces == 0 {
		return q, errors.New("there must be one piece at least")
	}
	for rest != "" {
		var err error
		if rest, err = q.part(rest); err != nil {
			return q, err
		}
	}
	return q, nil
}

// part reads the part of a quantity that a text begins with, and returns what follows.
func (q *quantity) part(text string) (rest string, err error) {
	twice := func(set bool, what string) error {
		if set {
			return fmt.Errorf("the %s stands twice", what)
		}
		return nil
	}
	switch {
	case len(text) > 2 && volumeUnits[text[:2]] != "":
		if err := twice(q.Volume != "", "volume"); err != nil {
			return "", err
		}
		q.VolumeUnit = volumeUnits[text[:2]]
		q.Volume, rest = leadingDecimal(text[2:])
		if q.Volume == "" {
			return "", errors.New("a number must follow " + text[:2])
		}
	case strings.HasPrefix(text, "DG"):
		n, after, ok := leadingPieces(text[2:])
		if !ok || n > 99 {
			return "", errors.New("a number must follow DG")
		}
		q.DensityGroup, rest = n, after
	case weightUnits[text[:1]] != "":
		if err := twice(q.Weight != "", "weight"); err != nil {
			return "", err
		}
		q.WeightUnit = weightUnits[text[:1]]
		q.Weight, rest = leadingDecimal(text[1:])
		if q.Weight == "" {
			return "", errors.New("the weight must follow the " + text[:1])
		}
	case text[0] == 'T':
		if err := twice(q.Total != 0, "total"); err != nil {
			return "", err
		}
		n, after, ok := leadingPieces(text[1:])
		if !ok || n == 0 {
			return "", errors.New("the pieces of the whole consignment must follow the T")
		}
		q.Total, rest = n, after
	default:
		return "", fmt.Errorf("%q is none of weight (K, L), volume (MC, CF, CC, CI), density (DG) and total (T)", quote(text))
	}
	return rest, nil
}

// apart reports whether a field is the part of a volume that is missing: its density group, or the volume itself.
func (q *quantity) apart(field string) bool {
	if strings.HasPrefix(field, "DG") {
		return q.DensityGroup == 0
	}
	return q.Volume == ""
}

// leadingPieces reads up to five digits; the standard has four.
func leadingPieces(s string) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 || i > 5 {
		return 0, s, false
	}
	n, err := strconv.Atoi(s[:i])
	return n, s[i:], err == nil
}

// leadingDecimal reads digits with a point among them, or at either end; nothing when there are none, or too many.
func leadingDecimal(s string) (number, rest string) {
	i, digits, points := 0, 0, 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		if s[i] == '.' {
			points++
		} else {
			digits++
		}
		i++
	}
	if digits == 0 || digits > 12 || points > 1 {
		return "", s
	}
	return s[:i], s[i:]
}

// consigned makes of a quantity what an event has. whole is that of the consignment line, which may say how many pieces there are in
// all; nil when there is none.
func (q *quantity) consigned(whole *quantity) *tracking.Quantity {
	out := &tracking.Quantity{Pieces: q.Pieces, TotalPieces: q.Total}
	if whole != nil && out.TotalPieces == 0 {
		out.TotalPieces = whole.Total
		if whole.Total == 0 && whole.Code == "T" {
			out.TotalPieces = whole.Pieces
		}
	}
	if out.TotalPieces == 0 && q.Code == "T" {
		out.TotalPieces = q.Pieces
	}
	if weight, err := strconv.ParseFloat(q.Weight, 64); err == nil {
		out.Weight, out.WeightUnit = weight, q.WeightUnit
	}
	return out
}

// waybill is a consignment line: the air waybill, its origin and destination, and the quantity.
type waybill struct {
	Number      string `json:"number"`
	Prefix      string `json:"prefix"`
	Serial      string `json:"serial"`
	Origin      string `json:"origin,omitempty"`
	Destination string `json:"destination,omitempty"`
	// Airline is the carrier that the prefix belongs to, where the reference data knows it.
	Airline  string    `json:"airline,omitempty"`
	Quantity *quantity `json:"-"`
	rest     string
}

var (
	waybillStart = regexp.MustCompile(`^\d{3}[- ]?\d`)
	waybillForm  = regexp.MustCompile(`^(\d{3})([- ]?)(\d+)\s*([A-Z]*)\s*(?:/(.*))?$`)
)

// waybillLine reads a consignment line. Faults make n refuse; rest is what follows the quantity.
func (d *decoder) waybillLine(n *notes, l line) *waybill {
	m := waybillForm.FindStringSubmatch(l.text)
	if m == nil {
		n.fail(l.no, "AWB", formats.CodeFormat, "%q is no consignment: it must be as 045-53806270LIMJFK/T10K505.0", quote(l.said))
		return nil
	}
	w := &waybill{Prefix: m[1], Serial: m[3], Number: m[1] + "-" + m[3], rest: m[5]}
	if len(m[3]) != 8 {
		n.fail(l.no, "AWB.serial", formats.CodeFormat, "the air waybill %s-%s has %d digits after the prefix; it must have 8", m[1], quote(m[3]), len(m[3]))
	} else if err := tracking.CheckAirWaybill(w.Number); err != nil {
		n.warn(l.no, "AWB.serial", CodeCheckDigit, "%v", err)
	}
	if m[2] != "-" {
		n.info(l.no, "AWB", CodeDeviation, "the air waybill is written without its hyphen")
	}
	switch len(m[4]) {
	case 6:
		w.Origin, w.Destination = m[4][:3], m[4][3:]
	case 0:
		n.info(l.no, "AWB.route", CodeDeviation, "the consignment line has no origin and destination")
	default:
		n.fail(l.no, "AWB.route", formats.CodeFormat, "%q must be origin and destination, three letters each, as LIMJFK", quote(m[4]))
	}
	text, rest, more := strings.Cut(w.rest, "/")
	text = strings.TrimSpace(text)
	switch {
	case text == "" && strings.Contains(l.text, "/") && strings.Trim(w.rest, "/ ") != "":
		n.fail(l.no, "AWB.quantity", formats.CodeFormat, "the quantity is missing; it must be as T10K505.0")
	case text == "":
		n.info(l.no, "AWB.quantity", CodeDeviation, "the consignment line has no quantity")
	case !looksLikeQuantity(text):
		n.fail(l.no, "AWB.quantity", formats.CodeFormat, "%q is no quantity; it must be as T10K505.0 or P2K101.0T10", quote(text))
	default:
		q, err := parseQuantity(text)
		if err != nil {
			n.fail(l.no, "AWB.quantity", formats.CodeFormat, "%q is no quantity: %v", quote(text), err)
			break
		}
		w.Quantity = &q
		d.doubtQuantity(n, l.no, "AWB", &q)
	}
	w.rest = ""
	if more {
		w.rest = rest
	}
	w.Airline = d.airline(w.Prefix)
	return w
}

// airline returns the carrier that an accounting prefix belongs to; nothing where nobody knows.
func (d *decoder) airline(prefix string) string {
	if d.options.Airlines == nil {
		return ""
	}
	if a, ok := d.options.Airlines.ByPrefix(prefix); ok {
		return cmp.Or(a.IATA, a.ICAO)
	}
	return ""
}

// doubtQuantity says what is odd about a quantity that can be read.
func (d *decoder) doubtQuantity(n *notes, no int, field string, q *quantity) {
	if q.Total > 0 && q.Pieces > q.Total {
		n.warn(no, field+".quantity", formats.CodeConflict, "%d pieces are more than the %d of the whole consignment", q.Pieces, q.Total)
	}
	if q.Pieces > 9999 || q.Total > 9999 {
		n.info(no, field+".quantity", CodeDeviation, "the standard allows 9999 pieces")
	}
	if q.Weight == "" {
		n.info(no, field+".quantity", CodeDeviation, "the quantity has no weight")
	}
}
