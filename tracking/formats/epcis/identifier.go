package epcis

import (
	"strconv"
	"strings"

	"github.com/rastrohq/rastro/tracking"
)

// scheme says how the parts of an EPC URI become those of a GS1 Digital Link (EPC Tag Data Standard 2.0, section 6; GS1 Digital
// Link: URI syntax 1.4).
type scheme struct {
	// ai is the application identifier of the key, and qualifier that of what follows the key after a slash; empty when it
	// follows immediately.
	ai, qualifier string
	// digits is how many digits the company prefix and the reference have together; 0 when the reference is free text.
	digits int
	// indicator says that the first digit of the reference goes before the company prefix.
	indicator bool
	// filler goes before the key.
	filler string
	// check says that a check digit follows the key.
	check bool
	// parts is how many parts an identifier has: prefix, reference and what identifies the instance.
	parts int
}

var schemes = map[string]scheme{
	"sgtin": {ai: "01", qualifier: "21", digits: 13, indicator: true, check: true, parts: 3},
	"upui":  {ai: "01", qualifier: "235", digits: 13, indicator: true, check: true, parts: 3},
	"lgtin": {ai: "01", qualifier: "10", digits: 13, indicator: true, check: true, parts: 3},
	"itip":  {ai: "8006", qualifier: "21", digits: 13, indicator: true, check: true, parts: 5},
	"sscc":  {ai: "00", digits: 17, indicator: true, check: true, parts: 2},
	"sgln":  {ai: "414", qualifier: "254", digits: 12, check: true, parts: 3},
	"pgln":  {ai: "417", digits: 12, check: true, parts: 2},
	"grai":  {ai: "8003", digits: 12, filler: "0", check: true, parts: 3},
	"gdti":  {ai: "253", digits: 12, check: true, parts: 3},
	"sgcn":  {ai: "255", digits: 12, check: true, parts: 3},
	"gsrn":  {ai: "8018", digits: 17, check: true, parts: 2},
	"gsrnp": {ai: "8017", digits: 17, check: true, parts: 2},
	"gsin":  {ai: "402", digits: 16, check: true, parts: 2},
	"giai":  {ai: "8004", parts: 2},
	"ginc":  {ai: "401", parts: 2},
	"cpi":   {ai: "8010", qualifier: "8011", parts: 3},
}

// canonicalDomain is the domain of canonical GS1 Digital Links.
const canonicalDomain = "https://id.gs1.org/"

// Canonical returns the canonical GS1 Digital Link of an identifier that holds a GS1 key, whether it is written as EPC URI,
// EPC class, EPC pattern or GS1 Digital Link of any domain; with the finest level only, without a query. Other identifiers are
// returned as they are.
func Canonical(uri string) string {
	if rest, ok := strings.CutPrefix(uri, "urn:epc:"); ok {
		kind, rest, _ := strings.Cut(rest, ":")
		name, value, _ := strings.Cut(rest, ":")
		if s, known := schemes[name]; known && (kind == "id" || kind == "idpat" || kind == "class") {
			if link := s.link(value, kind == "idpat"); link != "" {
				return link
			}
		}
		return uri
	}
	if link := digitalLink(uri); link != "" {
		return link
	}
	return uri
}

var reserved = strings.NewReplacer("!", "%21", "(", "%28", ")", "%29", "*", "%2A", "+", "%2B", ",", "%2C", ":", "%3A")

func (s scheme) link(value string, pattern bool) string {
	parts := strings.SplitN(value, ".", s.parts)
	if len(parts) != s.parts || pattern && parts[len(parts)-1] != "*" {
		return ""
	}
	prefix, reference := parts[0], parts[1]
	if len(prefix) < 6 || len(prefix) > 12 || !digits(prefix) || s.digits > 0 && (len(prefix)+len(reference) != s.digits || !digits(reference)) {
		return ""
	}
	key := prefix + reserved.Replace(reference)
	if s.indicator {
		key = reference[:1] + prefix + reference[1:]
	}
	key = s.filler + key
	if s.check {
		digit, err := tracking.GS1CheckDigit(key)
		if err != nil {
			return ""
		}
		key += strconv.Itoa(digit)
	}
	link := canonicalDomain + s.ai + "/" + key
	if s.parts == 5 {
		if !digits(parts[2]) || !digits(parts[3]) {
			return ""
		}
		link += parts[2] + parts[3]
	}
	if s.parts == 2 || pattern {
		return link
	}
	instance := parts[len(parts)-1]
	switch {
	case instance == "":
		return ""
	case s.ai == "414" && instance == "0": // the location itself, without an extension
		return link
	case s.qualifier != "":
		return link + "/" + s.qualifier + "/" + reserved.Replace(instance)
	default:
		return link + reserved.Replace(instance)
	}
}

// shortNames are the words that earlier versions of GS1 Digital Link allowed for application identifiers.
var shortNames = map[string]string{
	"gtin": "01", "itip": "8006", "cpid": "8010", "gln": "414", "party": "417", "gsrnp": "8017", "gsrn": "8018", "gcn": "255",
	"sscc": "00", "gdti": "253", "ginc": "401", "gsin": "402", "grai": "8003", "giai": "8004", "cpv": "22", "lot": "10", "ser": "21",
}

// keyDigits is how many digits the value of a key begins with.
var keyDigits = map[string]int{
	"01": 14, "8006": 18, "8010": 4, "414": 13, "417": 13, "8017": 18, "8018": 18, "255": 13, "00": 18, "253": 13, "401": 4,
	"402": 17, "8003": 14, "8004": 4,
}

// finest lists the qualifiers of a key from the finest; only the first of them that is there is kept.
var finest = map[string][]string{"01": {"21", "235", "10"}, "8006": {"21", "10"}, "414": {"254"}, "8010": {"8011"}}

// digitalLink returns the canonical form of a GS1 Digital Link; empty when it is none.
func digitalLink(uri string) string {
	rest, ok := strings.CutPrefix(uri, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(uri, "http://"); !ok {
			return ""
		}
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(parts) > 64 {
		return ""
	}
	for i := 1; i+1 < len(parts); i++ {
		ai := application(parts[i])
		want, known := keyDigits[ai]
		if !known {
			continue
		}
		value := parts[i+1]
		if ai == "01" && digits(value) && (len(value) == 8 || len(value) == 12 || len(value) == 13) {
			value = strings.Repeat("0", 14-len(value)) + value
		}
		if len(value) < want || !digits(value[:want]) || len(parts)%2 != i%2 {
			continue
		}
		link := canonicalDomain + ai + "/" + value
		for _, qualifier := range finest[ai] {
			for j := i + 2; j+1 < len(parts); j += 2 {
				if application(parts[j]) == qualifier {
					return link + "/" + qualifier + "/" + parts[j+1]
				}
			}
		}
		return link
	}
	return ""
}

func application(segment string) string {
	if ai, ok := shortNames[segment]; ok {
		return ai
	}
	return segment
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// gln returns the GLN of a location that has one.
func gln(canonical string) string {
	for _, ai := range [...]string{"414/", "417/"} {
		if rest, ok := strings.CutPrefix(canonical, canonicalDomain+ai); ok {
			number, _, _ := strings.Cut(rest, "/")
			if len(number) == 13 && digits(number) {
				return number
			}
		}
	}
	return ""
}
