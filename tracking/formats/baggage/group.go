package baggage

import (
	"errors"
	"slices"
	"strings"
)

// bags is a group of bags of a message that the same elements are about: those of one passenger or, in a manifest, in one
// container.
type bags struct {
	// context holds the elements before the group that hold for it too, and own those in it; both are indexes.
	context, own []int
	tagged       bool // whether own has tags
}

// contextLetters are those of the elements that say where bags are and go, rather than whose they are: they hold for
// all bags that follow, until the next of their kind.
const contextLetters = "FIOUJDGH"

// drops lists the elements that no longer hold when one of a kind comes again: another flight has other flights after it.
var drops = map[byte]string{'F': "FOU", 'I': "IFOU", 'U': "U", 'J': "J", 'O': "", 'D': "D", 'G': "G", 'H': "H"}

// group finds the groups of bags of a message. In most messages there is one. A group ends where a flight, container or other
// context of the bags to come begins, where tags follow what is said of a passenger, and where a passenger is named before his
// tags and one had been so before.
func group(m *message) ([]*bags, error) {
	g := &bags{}
	list := []*bags{g}
	open := func(without string) error {
		context := slices.Clone(g.context)
		for _, i := range g.own {
			if strings.IndexByte(contextLetters, m.elements[i].letter) >= 0 {
				context = append(context, i)
			}
		}
		context = slices.DeleteFunc(context, func(i int) bool { return strings.IndexByte(without, m.elements[i].letter) >= 0 })
		if len(context) > maxContext {
			return errors.New("too many elements precede the tags that they hold for; send fewer bags in a message")
		}
		g = &bags{context: context}
		list = append(list, g)
		return nil
	}
	next := nextKinds(m)
	var before [26]bool // the letters of the group's elements before its tags
	detailed := false   // whether a detail has followed them
	for i := range m.elements {
		letter := m.elements[i].letter
		kind := kindOfElement(letter)
		begins := false
		switch {
		case !g.tagged || letter == 'V' || letter == 0:
		case kind == tagKind:
			begins = detailed
		case kind == contextKind:
			begins = next[i] == tagKind
		default:
			begins = before[letter-'A'] && next[i] != noKind
		}
		if begins {
			without := ""
			if kind == contextKind {
				without = drops[letter]
			}
			if err := open(without); err != nil {
				return nil, err
			}
			before, detailed = [26]bool{}, false
		}
		switch {
		case letter == 'V':
			continue // of the message
		case letter == 0:
		case kind == tagKind:
			g.tagged = true
		case g.tagged:
			detailed = detailed || kind == detailKind
		default:
			before[letter-'A'] = true
		}
		g.own = append(g.own, i)
	}
	return list, nil
}

// elementKind is what an element means for the groups of a message.
type elementKind int

const (
	noKind elementKind = iota
	tagKind
	contextKind
	detailKind
)

func kindOfElement(letter byte) elementKind {
	switch {
	case letter == 0 || letter == 'V':
		return noKind
	case letter == 'N' || letter == 'B':
		return tagKind
	case strings.IndexByte(contextLetters, letter) >= 0:
		return contextKind
	default:
		return detailKind
	}
}

// nextKinds returns, for each element, what comes first after it: tags or a detail. It is noKind when no tags follow at all.
func nextKinds(m *message) []elementKind {
	next := make([]elementKind, len(m.elements))
	kind := noKind
	for i := len(m.elements) - 1; i >= 0; i-- {
		next[i] = kind
		switch k := kindOfElement(m.elements[i].letter); {
		case k == tagKind:
			kind = tagKind
		case k == detailKind && kind != noKind:
			kind = detailKind
		}
	}
	return next
}

// all returns the elements of a letter that hold for the group; those of its own hide those before it.
func (g *bags) all(m *message, letter byte) []*element {
	for _, indexes := range [2][]int{g.own, g.context} {
		var list []*element
		for _, i := range indexes {
			if m.elements[i].letter == letter {
				list = append(list, &m.elements[i])
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// one returns the first element of a letter that holds for the group; nil when there is none.
func (g *bags) one(m *message, letter byte) *element {
	if list := g.all(m, letter); len(list) > 0 {
		return list[0]
	}
	return nil
}
