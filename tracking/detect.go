package tracking

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// IdentifierKind says what an identifier looks like.
type IdentifierKind string

// The kinds of identifiers that people look for.
const (
	IdentifierAirWaybill IdentifierKind = "air_waybill"
	IdentifierBagTag     IdentifierKind = "bag_tag"
	IdentifierContainer  IdentifierKind = "container"
	IdentifierSSCC       IdentifierKind = "sscc"
	IdentifierULD        IdentifierKind = "uld"
	IdentifierFlight     IdentifierKind = "flight"
	IdentifierEvent      IdentifierKind = "event"
	IdentifierFree       IdentifierKind = "free"
)

// Guess is what a text may be.
type Guess struct {
	Kind IdentifierKind `json:"kind" enum:"air_waybill,bag_tag,container,sscc,uld,flight,event,free" doc:"What it looks like"`
	// Value is the text as it is written by convention: capitals, no blanks, an air waybill with its hyphen.
	Value string `json:"value" doc:"As it is written by convention"`
	Why   string `json:"why" doc:"What tells" example:"eleven digits, and the check digit matches"`
	// Doubtful says that the form fits and the check digit does not. Such identifiers do travel.
	Doubtful bool `json:"doubtful,omitempty" doc:"Whether the form fits, but not the check digit"`
}

var (
	eventForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	// uldForm is a unit load device by IATA's ULD Regulations: type, base and contour; four or five digits; the owner.
	uldForm = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}\d{4,5}(?:[A-Z]{2}|[A-Z]\d|\d[A-Z])$`)
	// flightForm is a carrier of two characters, or three letters, up to four digits and perhaps a letter, and perhaps the date of
	// origin as DDMMM.
	flightForm = regexp.MustCompile(`^([A-Z]{2,3}|[A-Z]\d|\d[A-Z])(\d{1,4})([A-Z]?)(/(?:0[1-9]|[12]\d|3[01])(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC))?$`)
)

// maxIdentifier bounds what is looked at, in bytes.
const maxIdentifier = 256

// DetectIdentifier returns what a text may be, the likeliest first. The last guess is always that it is free text, as it was given
// but for blanks around it.
func DetectIdentifier(text string) []Guess {
	text = strings.TrimSpace(text)
	free := Guess{Kind: IdentifierFree, Value: text, Why: "any text may be an identifier of its sender"}
	if len(text) > maxIdentifier || text == "" {
		return []Guess{free}
	}
	if lower := strings.ToLower(text); eventForm.MatchString(lower) {
		return []Guess{{Kind: IdentifierEvent, Value: lower, Why: "a UUID, as events have"}, free}
	}
	plain := strings.ToUpper(strings.Join(strings.Fields(text), ""))
	var sure, doubtful []Guess
	add := func(kind IdentifierKind, value, form string, err error) {
		switch {
		case err == nil:
			sure = append(sure, Guess{Kind: kind, Value: value, Why: form + ", and the check digit matches"})
		case errors.Is(err, ErrCheckDigit):
			doubtful = append(doubtful, Guess{Kind: kind, Value: value, Why: fmt.Sprintf("%s, but the %v", form, cause(err)), Doubtful: true})
		}
	}
	add(IdentifierAirWaybill, hyphenated(plain), "eleven digits as of an air waybill", CheckAirWaybill(plain))
	add(IdentifierContainer, plain, "four letters and seven digits as of a container", CheckContainer(plain))
	if sscc := withoutPrefix(plain); len(sscc) == 18 {
		add(IdentifierSSCC, sscc, "eighteen digits as of an SSCC", CheckGS1(sscc))
	}
	if _, err := ParseBagTag(plain); err == nil {
		sure = append(sure, Guess{Kind: IdentifierBagTag, Value: plain, Why: "ten digits as of a bag tag, which has no check digit"})
	}
	if uldForm.MatchString(plain) {
		sure = append(sure, Guess{Kind: IdentifierULD, Value: plain, Why: "a type, a serial number and an owner as of a unit load device"})
	}
	if flightForm.MatchString(plain) {
		sure = append(sure, Guess{Kind: IdentifierFlight, Value: plain, Why: "a carrier and a number as of a flight"})
	}
	return append(append(sure, doubtful...), free)
}

// cause returns what is wrong with a check digit, without the identifier.
func cause(err error) string {
	_, why, found := strings.Cut(err.Error(), "check digit")
	if !found {
		return "check digit does not match"
	}
	return "check digit" + why
}

// hyphenated writes an air waybill number by convention.
func hyphenated(plain string) string {
	if len(plain) == 11 {
		return plain[:3] + "-" + plain[3:]
	}
	return plain
}

// withoutPrefix takes the application identifier 00 off an SSCC as it is scanned (GS1 General Specifications 3.2).
func withoutPrefix(plain string) string {
	plain = strings.TrimPrefix(plain, "(00)")
	if len(plain) == 20 && strings.HasPrefix(plain, "00") {
		return plain[2:]
	}
	return plain
}
