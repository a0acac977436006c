// Package suggest guesses what a mistyped word was meant to be.
package suggest

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// longest is the longest word that is guessed at: longer ones are no slips of the finger.
const longest = 64

// Closest returns the candidate that a mistyped word most likely stands for, or "" when none is near. Case, underscores and
// hyphens do not count; then at most two edits of one character do (a swap is two), and at most one for each two characters.
func Closest(word string, candidates []string) string {
	if len(word) > longest {
		return ""
	}
	plain := simplify(word)
	best, bestEdits := "", min(2, len(plain)/2)+1
	for _, c := range candidates {
		if edits := levenshtein.ComputeDistance(plain, simplify(c)); edits < bestEdits {
			best, bestEdits = c, edits
		}
	}
	return best
}

func simplify(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}
