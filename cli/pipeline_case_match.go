package cli

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// matches reports whether what was got has all that is wanted: of a mapping the keys that are named, with null for one that
// must not be there; of a list every item.
func matches(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range w {
			if found, there := g[key]; value == nil && there && found != nil || value != nil && (!there || !matches(value, found)) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		return ok && len(w) == len(g) && !slices.ContainsFunc(indices(w), func(i int) bool { return !matches(w[i], g[i]) })
	case json.Number:
		g, ok := got.(json.Number)
		return ok && sameNumber(w, g)
	default:
		return want == got
	}
}

func indices(list []any) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	const bits = 200 // of numbers as carriers send them
	x, _, errX := big.ParseFloat(a.String(), 10, bits, big.ToNearestEven)
	y, _, errY := big.ParseFloat(b.String(), 10, bits, big.ToNearestEven)
	return errX == nil && errY == nil && x.Cmp(y) == 0
}

// project returns of what was got the parts that are wanted, for a difference that shows nothing else.
func project(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return got
		}
		out := map[string]any{}
		for key, value := range w {
			found, there := g[key]
			switch {
			case !there && value == nil:
				out[key] = nil
			case there:
				out[key] = project(value, found)
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) != len(g) {
			return got
		}
		out := make([]any, len(w))
		for i := range w {
			out[i] = project(w[i], g[i])
		}
		return out
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(w, g) {
			return w
		}
		return got
	default:
		return got
	}
}

// volatile are the fields that are new with every delivery: of what was not wanted they are not shown, and exact cases need
// not name them.
var volatile = []string{"uid", "received_at"}

// notOfEvent are the fields that a result has besides those of its event.
var notOfEvent = []string{"topic", "pipeline", "stage", "code", "message", "field"}

// comparison is what was wanted beside what was got, as lines of text for a difference.
type comparison struct {
	want, got []string
	// first is the place, among the lines that are wanted, of the first that differs; -1 when none does.
	first int
	// updated is what to write instead of what was wanted.
	updated []string
}

// compare compares lists. Exact compares whole events, but for what is new with every delivery unless it is wanted.
func compare(want []caseLine, got []map[string]any, exact bool) (comparison, error) {
	wanted := make([]any, len(want))
	for i, line := range want {
		value, err := parseJSON(line.text)
		if err != nil {
			return comparison{}, err
		}
		wanted[i] = value
	}
	equal := func(i, j int) bool {
		return matches(wanted[i], seen(wanted[i], got[j], exact)) && (!exact || onlyWanted(wanted[i], got[j]))
	}
	c := comparison{first: -1}
	pairs := align(len(wanted), len(got), equal)
	differ := func(i int) {
		if c.first < 0 {
			c.first = i
		}
	}
	i, j := 0, 0
	for _, p := range append(pairs, [2]int{len(wanted), len(got)}) {
		for i < p[0] || j < p[1] {
			differ(min(i, len(wanted)))
			switch {
			case i < p[0] && j < p[1]: // what stands in the place of what is wanted
				c.want = append(c.want, canonical(wanted[i]))
				shown := project(wanted[i], got[j])
				if exact {
					shown = seen(wanted[i], got[j], true)
				}
				c.got, c.updated = append(c.got, canonical(shown)), append(c.updated, canonical(shown))
				i, j = i+1, j+1
			case i < p[0]:
				c.want = append(c.want, canonical(wanted[i]))
				i++
			default:
				text := canonical(seen(nil, got[j], true))
				c.got, c.updated = append(c.got, text), append(c.updated, text)
				j++
			}
		}
		if i < len(wanted) && j < len(got) {
			text := canonical(wanted[i])
			c.want, c.got, c.updated = append(c.want, text), append(c.got, text), append(c.updated, string(want[i].text))
			i, j = i+1, j+1
		}
	}
	return c, nil
}

// seen returns what was got without what an exact comparison does not look at.
func seen(want any, got map[string]any, exact bool) map[string]any {
	if !exact {
		return got
	}
	w, _ := want.(map[string]any)
	out := map[string]any{}
	for key, value := range got {
		if _, named := w[key]; !named && (slices.Contains(volatile, key) || want != nil && slices.Contains(notOfEvent, key)) {
			continue
		}
		out[key] = value
	}
	return out
}

// onlyWanted reports whether what was got has nothing that is not wanted.
func onlyWanted(want any, got map[string]any) bool {
	return matches(any(seen(want, got, true)), want)
}

// align returns the longest list of pairs that are equal, in order.
func align(n, m int, equal func(i, j int) bool) [][2]int {
	var pairs [][2]int
	low := 0
	for low < n && low < m && equal(low, low) {
		pairs = append(pairs, [2]int{low, low})
		low++
	}
	var tail [][2]int
	for n > low && m > low && equal(n-1, m-1) {
		n, m = n-1, m-1
		tail = append(tail, [2]int{n, m})
	}
	slices.Reverse(tail)
	return append(append(pairs, longest(low, n, m, equal)...), tail...)
}

// maxAligned bounds the table of what differs: beyond it everything there differs.
const maxAligned = 4_000_000

func longest(low, n, m int, equal func(i, j int) bool) [][2]int {
	rows, columns := n-low, m-low
	if rows <= 0 || columns <= 0 || rows*columns > maxAligned {
		return nil
	}
	same := make([]bool, rows*columns)
	length := make([]int32, (rows+1)*(columns+1))
	for i := rows - 1; i >= 0; i-- {
		for j := columns - 1; j >= 0; j-- {
			at := i*(columns+1) + j
			if same[i*columns+j] = equal(low+i, low+j); same[i*columns+j] {
				length[at] = length[at+columns+2] + 1
			} else {
				length[at] = max(length[at+columns+1], length[at+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < rows && j < columns; {
		at := i*(columns+1) + j
		switch {
		case same[i*columns+j]:
			pairs = append(pairs, [2]int{low + i, low + j})
			i, j = i+1, j+1
		case length[at+columns+1] >= length[at+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// diffContext is how many lines that are the same are shown around those that differ.
const diffContext = 2

// unified returns the unified difference of two texts; empty when they are the same.
func unified(wantName, gotName string, want, got []string) string {
	pairs := align(len(want), len(got), func(i, j int) bool { return want[i] == got[j] })
	if len(pairs) == len(want) && len(pairs) == len(got) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", wantName, gotName)
	i, j := 0, 0
	shown := 0 // pairs before this one are shown, or passed over
	for n := 0; n <= len(pairs); {
		p := [2]int{len(want), len(got)}
		if n < len(pairs) {
			p = pairs[n]
		}
		if i == p[0] && j == p[1] {
			i, j, n = i+1, j+1, n+1
			continue
		}
		// A hunk begins: what is the same before it, what differs, and on until enough is the same.
		from := max(shown, n-diffContext)
		var lines []string
		start := [2]int{i - (n - from), j - (n - from)}
		for _, q := range pairs[from:n] {
			lines = append(lines, " "+want[q[0]])
		}
		for same := 0; same <= 2*diffContext; {
			if n < len(pairs) {
				p = pairs[n]
			} else {
				p = [2]int{len(want), len(got)}
			}
			if i < p[0] || j < p[1] {
				same = 0
			}
			for ; i < p[0]; i++ {
				lines = append(lines, "-"+want[i])
			}
			for ; j < p[1]; j++ {
				lines = append(lines, "+"+got[j])
			}
			if n == len(pairs) {
				break
			}
			lines = append(lines, " "+want[i])
			i, j, n, same = i+1, j+1, n+1, same+1
		}
		lines = trimContext(lines)
		writeHunk(&b, start, lines)
		shown = n
		if n == len(pairs) && i >= len(want) && j >= len(got) {
			break
		}
	}
	return b.String()
}

// trimContext leaves of what is the same at the end of a hunk no more than its context.
func trimContext(lines []string) []string {
	same := 0
	for same < len(lines) && lines[len(lines)-1-same][0] == ' ' {
		same++
	}
	return lines[:len(lines)-max(0, same-diffContext)]
}

func writeHunk(b *strings.Builder, start [2]int, lines []string) {
	var counts [2]int
	for _, line := range lines {
		if line[0] != '+' {
			counts[0]++
		}
		if line[0] != '-' {
			counts[1]++
		}
	}
	for i := range start {
		if counts[i] > 0 {
			start[i]++ // lines are counted from 1
		}
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", start[0], counts[0], start[1], counts[1])
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
}
