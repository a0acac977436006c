package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/internal/scan"
)

// Decoder checks the fields of one event after the other and gathers what is found.
type Decoder struct {
	Options  formats.Options
	at       formats.Result
	findings []formats.Finding
	refused  bool
}

func (d *Decoder) begin(at formats.Result) { d.at, d.findings, d.refused = at, nil, false }

// Failf refuses the event for what is wrong with a field.
func (d *Decoder) Failf(field, code, format string, args ...any) {
	d.refused = true
	d.note(formats.SeverityError, field, code, fmt.Sprintf(format, args...))
}

// Warnf says something of an event that is taken.
func (d *Decoder) Warnf(field, code, format string, args ...any) {
	d.note(formats.SeverityWarning, field, code, fmt.Sprintf(format, args...))
}

// Infof says something of an event that is taken and right.
func (d *Decoder) Infof(field, code, format string, args ...any) {
	d.note(formats.SeverityInfo, field, code, fmt.Sprintf(format, args...))
}

func (d *Decoder) note(severity formats.Severity, field, code, message string) {
	if len(d.findings) >= formats.MaxFindings {
		return
	}
	d.findings = append(d.findings, formats.Finding{
		Index: d.at.Index, Line: d.at.Line, Field: field, Code: code, Message: message, Severity: severity,
	})
}

// Unknown refuses a field that there is not, with the one that was meant if that can be guessed. also names other fields by
// what senders may call them.
func (d *Decoder) Unknown(parent string, key []byte, fields []string, also map[string]string) {
	field := name(key)
	meant := also[field]
	if meant == "" {
		meant = suggest.Closest(field, fields)
	}
	if meant == "" {
		d.Failf(parent+field, formats.CodeUnknownField, "there is no field %q; the fields here are %s", parent+field, strings.Join(fields, ", "))
		return
	}
	d.Failf(parent+field, formats.CodeUnknownField, "there is no field %q; did you mean %q?", parent+field, parent+meant)
}

// name is a key as messages quote it: not too long.
func name(key []byte) string { return shorten(string(key)) }

func shorten(s string) string {
	const longest = 60
	if len(s) <= longest {
		return s
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// present reports whether there is a value and refuses one that is not of the kind it must be.
func (d *Decoder) present(field string, v scan.Value, kind scan.Kind) bool {
	if v.Kind == scan.Null {
		return false
	}
	if v.Kind != kind {
		d.Failf(field, formats.CodeType, "%s must be %s, not %s", field, kind, v.Kind)
		return false
	}
	return true
}

// Text reads a string that may be empty.
func (d *Decoder) Text(field string, v scan.Value) string {
	if !d.present(field, v, scan.String) {
		return ""
	}
	s := v.Text()
	if strings.ContainsRune(s, utf8.RuneError) && !replacement(v.Raw) {
		d.Failf(field, formats.CodeFormat, "%s holds half of a surrogate pair; it must be whole Unicode text", field)
		return ""
	}
	d.checkText(field, s)
	return s
}

// replacement reports whether the text of a JSON string itself has the character U+FFFD, which also stands for what cannot be
// read.
func replacement(raw []byte) bool {
	return bytes.ContainsRune(raw, utf8.RuneError) || bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
}

// ID reads an identifier: what stands around it in white space is no part of it.
func (d *Decoder) ID(field string, v scan.Value) string { return strings.TrimSpace(d.Text(field, v)) }

// checkText refuses text that is too long, or that a database or a terminal could choke on.
func (d *Decoder) checkText(field, s string) {
	if len(s) > formats.MaxIDBytes {
		d.Failf(field, formats.CodeTooLong, "%s has %d bytes; it may have %d", field, len(s), formats.MaxIDBytes)
		return
	}
	if plain(s) {
		return
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		d.Failf(field, formats.CodeFormat, "%s holds the control character %U at byte %d; it must be plain text", field, r, i)
	}
}

// plain reports whether a text is printable ASCII, as nearly all are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Required refuses an event without a field.
func (d *Decoder) Required(field, value, meaning string) {
	if value == "" && !slices.ContainsFunc(d.findings, func(f formats.Finding) bool { return f.Field == field }) {
		d.Failf(field, formats.CodeRequired, "%s is required: %s", field, meaning)
	}
}

// Enum reads one of the values of a list.
func Enum[T ~string](d *Decoder, field string, v scan.Value, values []T) T {
	s := d.Text(field, v)
	if s == "" || slices.Contains(values, T(s)) {
		return T(s)
	}
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = string(value)
	}
	if meant := suggest.Closest(s, names); meant != "" {
		d.Failf(field, formats.CodeEnum, "%s cannot be %q; did you mean %q?", field, shorten(s), meant)
	} else {
		d.Failf(field, formats.CodeEnum, "%s cannot be %q; it must be one of %s", field, shorten(s), strings.Join(names, ", "))
	}
	return ""
}

// Integer reads a whole number within bounds.
func (d *Decoder) Integer(field string, v scan.Value, least, most int64) int64 {
	if !d.present(field, v, scan.Number) {
		return 0
	}
	return d.integer(field, string(v.Raw), least, most)
}

func (d *Decoder) integer(field, text string, least, most int64) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if f, e := strconv.ParseFloat(text, 64); e == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			n, err = int64(f), nil // 10.0 and 1e1 are whole numbers too
		}
	}
	switch {
	case err != nil:
		d.Failf(field, formats.CodeFormat, "%s must be a whole number, not %s", field, shorten(text))
	case n < least || n > most:
		d.Failf(field, formats.CodeRange, "%s must be from %d to %d, not %s", field, least, most, shorten(text))
	default:
		return n
	}
	return 0
}

// Float reads a number within bounds.
func (d *Decoder) Float(field string, v scan.Value, least, most float64) float64 {
	if !d.present(field, v, scan.Number) {
		return 0
	}
	f, err := strconv.ParseFloat(string(v.Raw), 64)
	if err != nil || f < least || f > most {
		d.Failf(field, formats.CodeRange, "%s must be from %g to %g, not %s", field, least, most, shorten(string(v.Raw)))
		return 0
	}
	return f
}

// Time reads an RFC 3339 time with a zone, which it keeps, to the microsecond.
func (d *Decoder) Time(field string, v scan.Value) time.Time {
	if !d.present(field, v, scan.String) {
		return time.Time{}
	}
	s := strings.TrimSpace(v.Text())
	if s == "" {
		return time.Time{}
	}
	t, ok := ParseTime(s)
	if !ok {
		d.Failf(field, formats.CodeFormat, "%s %q %s", field, shorten(s), timeHint(s))
		return time.Time{}
	}
	if y, utc := t.Year(), t.UTC().Year(); y < 1970 || utc < 1970 || y > 9999 || utc > 9999 {
		d.Failf(field, formats.CodeRange, "%s %q must be in the years 1970 to 9999", field, shorten(s))
		return time.Time{}
	}
	return t
}

// ParseTime reads an RFC 3339 time, to the microsecond, in the zone it is written in.
func ParseTime(s string) (time.Time, bool) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		if err = t.UnmarshalText([]byte(strings.ToUpper(s))); err != nil { // RFC 3339 allows a small t and z
			return time.Time{}, false
		}
	}
	// The zone must not depend on that of the machine, which UnmarshalText prefers when it has the same offset.
	if _, offset := t.Zone(); offset == 0 {
		t = t.UTC()
	} else {
		t = t.In(time.FixedZone("", offset))
	}
	return t.Truncate(time.Microsecond), true
}

func timeHint(s string) string {
	const example = "2026-06-20T10:05:00-05:00"
	if _, ok := ParseTime(s + "Z"); ok {
		return "has no zone; add one, as in " + example + ", or Z for UTC"
	}
	if len(s) > 10 && s[10] == ' ' {
		if _, ok := ParseTime(s[:10] + "T" + s[11:]); ok {
			return "must have a T between date and time, as in " + example
		}
	}
	return "must be an RFC 3339 time with a zone, such as " + example
}

// Revision reads the sender's version of an event: a whole number, or a time as microseconds since the Unix epoch.
func (d *Decoder) Revision(field string, v scan.Value) int64 {
	if v.Kind != scan.String {
		if v.Kind != scan.Number && v.Kind != scan.Null {
			d.Failf(field, formats.CodeType, "%s must be a whole number or an RFC 3339 time, not %s", field, v.Kind)
			return 0
		}
		return d.Integer(field, v, 0, math.MaxInt64)
	}
	t := d.Time(field, v)
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
