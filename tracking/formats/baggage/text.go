package baggage

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/rastrohq/rastro/tracking"
)

// marker stands in the text of a payload for what is personal.
const marker = "[personal]"

// personal reports whether a field of an element says who the passenger is: names, booking, group and frequent flyer number as a
// whole, seat and numbers of check-in and security, and the address that a bag is brought to.
func personal(letter byte, field int) bool {
	switch letter {
	case 'P', 'L', 'Y', 'C', 0:
		return true
	case 'S':
		return field == 2 || field == 4 || field == 5
	case 'G':
		return field > 2
	default:
		return false
	}
}

// personalLetters are those of which some fields are personal.
const personalLetters = "PLYCSG\x00"

// text is the text of a message as far as it is about a group of bags, with markers for what is personal.
type text struct {
	parts []piece
	data  json.RawMessage // what is personal; empty when nothing is
	whole []byte          // as JSON, with all tags
}

// piece is the text of one element, -1 of none.
type piece struct {
	element int
	tags    bool
	text    string
}

// passenger is what is said of a passenger, to be kept apart.
type passenger struct {
	Names         []passengerName `json:"names,omitempty"`
	Booking       []string        `json:"booking_reference,omitempty"`
	FrequentFlyer []string        `json:"frequent_flyer,omitempty"`
	Group         []string        `json:"group,omitempty"`
	Seat          string          `json:"seat,omitempty"`
	Sequence      string          `json:"sequence_number,omitempty"`
	Security      string          `json:"security_number,omitempty"`
	Address       []string        `json:"address,omitempty"`
	// Text is what the markers in the text stand for, in their order.
	Text []string `json:"text"`
}

type passengerName struct {
	Surname string   `json:"surname,omitempty"`
	Given   []string `json:"given,omitempty"`
}

// newText makes the text of a group.
func newText(m *message, g *bags) *text {
	list := slices.Concat(m.versions, g.context, g.own)
	slices.Sort(list)
	t := &text{parts: append(make([]piece, 0, len(list)+2), piece{-1, false, m.head})}
	var p passenger
	for _, i := range list {
		e := &m.elements[i]
		masked := e.text
		if strings.IndexByte(personalLetters, e.letter) >= 0 {
			p.read(e)
			masked = p.mask(e)
		}
		t.parts = append(t.parts, piece{i, e.hasTags(), masked})
	}
	t.parts = append(t.parts, piece{-1, false, m.foot})
	if len(p.Text) > 0 {
		t.data, _ = encode(&p) // strings only: it cannot fail
	}
	return t
}

// read gathers what an element says of the passenger.
func (p *passenger) read(e *element) {
	fields := slices.DeleteFunc(slices.Clone(e.fields), func(f string) bool { return f == "" })
	whole := strings.Join(fields, "/")
	switch e.letter {
	case 'P':
		if len(fields) > 0 {
			p.Names = append(p.Names, passengerName{strings.TrimLeft(fields[0], "0123456789"), fields[1:]})
		}
	case 'L':
		p.Booking = append(p.Booking, whole)
	case 'Y':
		p.FrequentFlyer = append(p.FrequentFlyer, whole)
	case 'C':
		p.Group = append(p.Group, whole)
	case 'S':
		if p.Seat == "" && p.Sequence == "" && p.Security == "" {
			p.Seat, p.Sequence, p.Security = e.field(2), e.field(4), e.field(5)
		}
	case 'G':
		p.Address = append(p.Address, slices.DeleteFunc(slices.Clone(e.fields[min(2, len(e.fields)):]), func(f string) bool { return f == "" })...)
	}
}

// mask returns the text of an element with markers, and keeps what they stand for.
func (p *passenger) mask(e *element) string {
	if e.letter == 0 {
		if e.content == 0 {
			return e.text
		}
		p.Text = append(p.Text, e.text[:e.content])
		return marker + e.text[e.content:]
	}
	masked := false
	start := 2 // after the point and the letter
	if start < e.content && e.text[start] == '/' {
		start++
	}
	fields := strings.Split(e.text[start:e.content], "/")
	for i, f := range fields {
		if personal(e.letter, i+1) && strings.TrimSpace(f) != "" {
			p.Text = append(p.Text, f)
			fields[i], masked = marker, true
		}
	}
	if !masked {
		return e.text
	}
	return e.text[:start] + strings.Join(fields, "/") + e.text[e.content:]
}

// personal returns what is kept apart of an event; nil when there is nothing. The subject is the tag: it is what passengers and
// those who help them know, and every message has it.
func (t *text) personal(tag string) *tracking.Personal {
	if len(t.data) == 0 {
		return nil
	}
	return &tracking.Personal{Subject: tag, Data: t.data}
}

// json returns the text as JSON; of tags, only those of one element where alone says so.
func (t *text) json(element int, alone bool) []byte {
	if !alone && t.whole != nil {
		return t.whole
	}
	size := 0
	for _, p := range t.parts {
		if !alone || !p.tags || p.element == element {
			size += len(p.text)
		}
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range t.parts {
		if !alone || !p.tags || p.element == element {
			b.WriteString(p.text)
		}
	}
	encoded, _ := encode(b.String()) // a string: it cannot fail
	if !alone {
		t.whole = encoded
	}
	return encoded
}
