package carriers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/rastrohq/rastro/internal/suggest"
	"github.com/rastrohq/rastro/tracking"
)

// Proposal is what a code may mean that nothing knows.
type Proposal struct {
	tracking.Meaning
	// Confidence is how sure that is, from 0 to 1: of an order, not a probability.
	Confidence float64
	// Why says what it is taken from.
	Why string
}

// How sure the ways are in which a meaning is found.
const (
	sameCode     = 0.9  // the code has one meaning elsewhere
	sameSpelling = 0.85 // it is a known word but for how its parts are joined
	itsWords     = 0.7  // a known word is all that it says
	aWord        = 0.6  // a known word is part of what it says
	itsText      = 0.5  // a text that is sent with it has a known word
	aSlip        = 0.45 // it is one or two letters away from a known code
	itsFamily    = 0.3  // the carrier's codes that begin alike mean that
)

// Proposer proposes meanings for a tenant's codes that nothing knows.
type Proposer struct {
	known []knownCode
}

// knownCode is a code whose meaning is known.
type knownCode struct {
	code    string // in lower case
	carrier string // empty: of the catalogue
	where   string
	native  bool
	kind    tracking.Kind
	tracking.Meaning
}

// NewProposer returns what proposes by the catalogue and by the tables of the carriers that a tenant sees.
func NewProposer(set *Set, tables Tables, tenant string) *Proposer {
	p := &Proposer{}
	if tables.catalog != nil {
		for _, e := range tables.catalog.Entries() {
			if strings.HasPrefix(e.Exception, tracking.ExceptionCleared) {
				continue // it clears what nobody knows to be open
			}
			where := "codes of " + cmp.Or(e.Vocabulary, string(e.Kind)) + " in milestones.yaml"
			if e.Vocabulary == tracking.NativeVocabulary {
				where = "milestones.yaml"
			}
			p.known = append(p.known, knownCode{code: e.Code, where: where, native: e.Vocabulary == tracking.NativeVocabulary, kind: e.Kind, Meaning: e.Meaning})
		}
	}
	for _, c := range set.All() {
		if !c.For(tenant) {
			continue
		}
		codes := make([]string, 0, len(c.Codes))
		for code := range c.Codes {
			codes = append(codes, code)
		}
		slices.Sort(codes)
		for _, code := range codes {
			p.known = append(p.known, knownCode{code: code, carrier: c.Name, where: "the table of " + c.Name, Meaning: c.Codes[code].Meaning})
		}
	}
	return p
}

// Propose returns what a code of a carrier may mean that came for some kinds of things, by a sample of what was sent with it, which may be
// nil; false when nothing tells.
func (p *Proposer) Propose(carrier, code string, kinds []string, payload []byte) (Proposal, bool) {
	folded := foldCode(code)
	ways := []func() (Proposal, bool){
		func() (Proposal, bool) { return p.exactly(folded, kinds) },
		func() (Proposal, bool) { return p.spelled(folded) },
		func() (Proposal, bool) { return p.worded(wordsOf(code), "the code", itsWords, aWord) },
		func() (Proposal, bool) {
			for _, text := range textsOf(payload) {
				if found, ok := p.worded(wordsOf(text), fmt.Sprintf("a text that is sent with it, %q,", text), itsText, itsText); ok {
					return found, true
				}
			}
			return Proposal{}, false
		},
		func() (Proposal, bool) { return p.slipped(folded, kinds) },
		func() (Proposal, bool) { return p.related(carrier, folded) },
	}
	for _, way := range ways { // the surest first
		if found, ok := way(); ok {
			return found, true
		}
	}
	return Proposal{}, false
}

// exactly looks for the same code elsewhere. Where it means several things, the one that most say counts, and less.
func (p *Proposer) exactly(code string, kinds []string) (Proposal, bool) {
	type says struct {
		n     int
		where string
	}
	meanings := map[tracking.Meaning]*says{}
	var order []tracking.Meaning
	all := 0
	for _, k := range p.known {
		if k.code != code {
			continue
		}
		weight := 1
		if slices.Contains(kinds, string(k.kind)) {
			weight = 2
		}
		if meanings[k.Meaning] == nil {
			meanings[k.Meaning] = &says{where: k.where}
			order = append(order, k.Meaning)
		}
		meanings[k.Meaning].n += weight
		all += weight
	}
	if all == 0 {
		return Proposal{}, false
	}
	best := slices.MaxFunc(order, func(a, b tracking.Meaning) int { return meanings[a].n - meanings[b].n })
	why := fmt.Sprintf("%s has the same code with this meaning", meanings[best].where)
	if len(order) > 1 {
		why += ", and others have it with another"
	}
	return Proposal{best, sameCode * float64(meanings[best].n) / float64(all), why}, true
}

// spelled looks for a known word of the same letters and digits.
func (p *Proposer) spelled(code string) (Proposal, bool) {
	plain := lettersOf(code)
	for _, k := range p.known {
		if len(plain) > 3 && lettersOf(k.code) == plain {
			return Proposal{k.Meaning, sameSpelling, fmt.Sprintf("it is spelled as %q in %s", k.code, k.where)}, true
		}
	}
	return Proposal{}, false
}

// negations turn what words say into something else.
func negations() []string {
	return []string{"not", "no", "non", "un", "failed", "failure", "fail", "cannot", "never", "without", "missed", "denied", "refused"}
}

// worded looks for the longest known word, or words, in what is said.
func (p *Proposer) worded(words []string, what string, whole, part float64) (Proposal, bool) {
	for n := len(words); n > 0; n-- {
		for begin := 0; begin+n <= len(words); begin++ {
			phrase := words[begin : begin+n]
			rest := slices.Concat(words[:begin], words[begin+n:])
			if slices.ContainsFunc(rest, func(w string) bool { return slices.Contains(negations(), w) }) {
				continue
			}
			for _, k := range p.known {
				if !k.native || strings.Join(phrase, "_") != k.code {
					continue
				}
				confidence := part
				if len(rest) == 0 {
					confidence = whole
				}
				return Proposal{k.Meaning, confidence, fmt.Sprintf("%s says %q, which %s knows", what, k.code, k.where)}, true
			}
		}
	}
	return Proposal{}, false
}

// slipped looks for a code that is nearly the same. Of short codes all are.
func (p *Proposer) slipped(code string, kinds []string) (Proposal, bool) {
	if len(lettersOf(code)) < 7 {
		return Proposal{}, false
	}
	var candidates []string
	for _, k := range p.known {
		if k.native || k.carrier != "" || slices.Contains(kinds, string(k.kind)) {
			candidates = append(candidates, k.code)
		}
	}
	best := suggest.Closest(code, candidates)
	for _, k := range p.known {
		if best != "" && k.code == best {
			return Proposal{k.Meaning, aSlip, fmt.Sprintf("it is nearly %q of %s", k.code, k.where)}, true
		}
	}
	return Proposal{}, false
}

// related looks for codes of the carrier that begin alike and all mean one thing.
func (p *Proposer) related(carrier, code string) (Proposal, bool) {
	at := strings.IndexFunc(code, func(r rune) bool { return !unicode.IsLetter(r) })
	if at < 2 {
		return Proposal{}, false
	}
	family := code[:at]
	var found []knownCode
	for _, k := range p.known {
		if rest, ok := strings.CutPrefix(k.code, family); ok && k.carrier == carrier && rest != "" && !unicode.IsLetter([]rune(rest)[0]) {
			found = append(found, k)
		}
	}
	if len(found) == 0 || slices.ContainsFunc(found, func(k knownCode) bool { return k.Meaning != found[0].Meaning }) {
		return Proposal{}, false
	}
	return Proposal{found[0].Meaning, itsFamily, fmt.Sprintf("the codes of %s that begin with %q mean that", carrier, family)}, true
}

func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// wordsOf cuts a text into its words, in lower case: at what is no letter, and where a capital follows a small letter. Digits are left
// out.
func wordsOf(s string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
		}
		word = word[:0]
	}
	var last rune
	for _, r := range s {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && unicode.IsLower(last) {
			end()
		}
		if unicode.IsLetter(r) {
			word = append(word, r)
		}
		last = r
	}
	end()
	return words[:min(len(words), maxWords)]
}

const (
	maxWords = 24
	maxTexts = 8
)

// textsOf returns what a payload says in words: values of keys such as description, at any depth.
func textsOf(payload []byte) []string {
	var value any
	if json.Unmarshal(payload, &value) != nil {
		return nil
	}
	var texts []string
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				walk(k, v[k])
			}
		case []any:
			for _, each := range v {
				walk(key, each)
			}
		case string:
			if describes(key) && len(texts) < maxTexts && len(v) <= 200 {
				texts = append(texts, v)
			}
		}
	}
	walk("", value)
	return texts
}

func describes(key string) bool {
	for _, word := range wordsOf(key) {
		if slices.Contains([]string{"description", "desc", "message", "text", "status", "remark", "remarks", "detail", "details"}, word) {
			return true
		}
	}
	return false
}
