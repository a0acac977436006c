package baggage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kinds are the standard message identifiers.
var kinds = []string{"BSM", "BPM", "BTM", "BUM", "BNS", "BCM", "BMM", "BRQ"}

// message is one message, or one part of one, as it stands in a body.
type message struct {
	kind string
	// unknown says that kind is none of kinds.
	unknown bool
	// change is CHG, DEL or empty, and control what a BCM is: FOM, FCM.
	change, control string
	// repeat says that the message is marked as one that may have been sent before.
	repeat bool
	// origin is the DDHHMM of the envelope's line of origin.
	origin string
	// part is 0 for a message in one part; more says that another must follow.
	part int
	more bool

	line, start int
	head, foot  string // the text before the first element and from the last on
	elements    []element
	versions    []int // the elements .V, once the head has been read
	latin1      bool
	notes       notes
}

// element is one element of a message: ".F/LA2468/20JUN/JFK/Y". The letter of a line that is no element is 0.
type element struct {
	letter byte
	fields []string
	line   int
	// text is what stands in the body up to the next element, and content of it what is not the end of a line.
	text    string
	content int
}

// name is how findings call an element, or one of its fields, from 1.
func (e *element) name(field int) string {
	if field == 0 {
		return "." + string(rune(e.letter))
	}
	return "." + string(rune(e.letter)) + "/" + strconv.Itoa(field)
}

// field returns a field, from 1, without blanks around it; empty when there is none.
func (e *element) field(i int) string {
	if i > len(e.fields) {
		return ""
	}
	return e.fields[i-1]
}

func (e *element) hasTags() bool { return e.letter == 'N' || e.letter == 'B' }

func (m *message) tagElements() []int {
	var list []int
	for i := range m.elements {
		if m.elements[i].hasTags() {
			list = append(list, i)
		}
	}
	return list
}

func (m *message) controlName() string {
	if m.control == "" {
		return ""
	}
	return " (" + m.control + ")"
}

// readPart reads the number of the part from the element .V, where ENDPARTn has not given it.
func (m *message) readPart(v *element) {
	for _, f := range v.fields {
		if n, ok := partNumber(strings.ToUpper(f)); ok {
			if m.part > 0 && m.part != n {
				m.notes.warnf(v.line, v.name(0), CodeDeviation, "the part is number %d here and %d where it ends", n, m.part)
			}
			m.part = n
		}
	}
}

// partNumber reads PARTn.
func partNumber(s string) (int, bool) {
	s, ok := strings.CutPrefix(s, "PART")
	if !ok || !digits(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && n < 1000
}

// assemble puts the parts of messages together, in their order, and says which of them are missing.
func assemble(frames []*message) []*message {
	type series struct {
		at    int // in list
		parts []*message
	}
	var list []*message
	var all []*series
	open := map[string]*series{}
	for _, m := range frames {
		if m.part == 0 {
			list = append(list, m)
			continue
		}
		key := m.kind + " " + m.version()
		s := open[key]
		if s == nil || slices.ContainsFunc(s.parts, func(o *message) bool { return o.part == m.part }) {
			s = &series{at: len(list)} // the same part again is of another message
			open[key] = s
			all = append(all, s)
			list = append(list, m)
		}
		s.parts = append(s.parts, m)
	}
	for _, s := range all {
		slices.SortStableFunc(s.parts, func(a, b *message) int { return a.part - b.part })
		list[s.at] = join(s.parts)
	}
	return list
}

// version is what the parts of a message have in common in their .V: all but the number of the part.
func (m *message) version() string {
	for i := range m.elements {
		if e := &m.elements[i]; e.letter == 'V' {
			fields := slices.DeleteFunc(slices.Clone(e.fields), func(f string) bool {
				_, part := partNumber(strings.ToUpper(f))
				return part
			})
			return strings.ToUpper(strings.Join(fields, "/"))
		}
	}
	return ""
}

// join makes one message of its parts, which are in order.
func join(parts []*message) *message {
	m := parts[0]
	var missing []string
	next := 1
	all := *m
	all.elements, all.notes = nil, notes{}
	for _, p := range parts {
		switch gap := p.part - next; {
		case gap == 1:
			missing = append(missing, strconv.Itoa(next))
		case gap > 1:
			missing = append(missing, fmt.Sprintf("%d to %d", next, p.part-1))
		}
		next = p.part + 1
		all.repeat = all.repeat || p.repeat
		all.notes = all.notes.with(p.notes)
		first := len(all.elements)
		all.elements = append(all.elements, p.elements...)
		if p == m {
			continue
		}
		// What stands between the elements of two parts belongs to the text of the one before.
		if first > 0 {
			all.elements[first-1].text += all.foot + p.head
		} else {
			all.head += all.foot + p.head
		}
		all.foot = p.foot
	}
	last := parts[len(parts)-1]
	if last.more {
		missing = append(missing, strconv.Itoa(next)+" and perhaps more")
	}
	if len(missing) > 0 {
		all.notes.warnf(m.line, ".V", CodeIncomplete, "part %s of the message is missing; its bags are not among these. Send all parts in one body",
			strings.Join(missing, ", "))
	}
	return &all
}
