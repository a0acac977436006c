package carriers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/tracking"
)

const head = "# About acme.\ncarrier: acme # the name\nformat: native\n"

func TestSetCode(t *testing.T) {
	t.Parallel()
	loaded, late := tracking.Meaning{Milestone: tracking.Loaded}, tracking.Meaning{Milestone: tracking.Arrived, Exception: "delayed"}
	for name, c := range map[string]struct {
		before, code string
		meaning      tracking.Meaning
		after        string
	}{
		"no table":           {head + "limits:\n  max_events: 5\n", "ZZ9", loaded, head + "limits:\n  max_events: 5\ncodes:\n  ZZ9: loaded\n"},
		"no end of the line": {strings.TrimSuffix(head, "\n"), "ZZ9", loaded, head + "codes:\n  ZZ9: loaded\n"},
		"windows":            {strings.ReplaceAll(head+"codes:\n  A: loaded\n", "\n", "\r\n"), "ZZ9", loaded, strings.ReplaceAll(head+"codes:\n  A: loaded\n  ZZ9: loaded\n", "\n", "\r\n")},
		"empty table":        {head + "codes: # none yet\nlimits:\n  max_events: 5\n", "ZZ9", late, head + "codes: # none yet\n  ZZ9: {milestone: arrived, exception: delayed}\nlimits:\n  max_events: 5\n"},
		"behind the last": {
			head + "codes:\n    A: loaded # as they say\n    # more of it\n    B:\n      exception: delayed\n\n# Limits.\nlimits:\n  max_events: 5\n", "C:D", loaded,
			head + "codes:\n    A: loaded # as they say\n    # more of it\n    B:\n      exception: delayed\n    \"C:D\": loaded\n\n# Limits.\nlimits:\n  max_events: 5\n",
		},
		"braces":               {head + "codes: {A: loaded} # few\n", "7", late, head + "codes: {A: loaded, \"7\": {milestone: arrived, exception: delayed}} # few\n"},
		"empty braces":         {head + "codes: {}\n", "no", loaded, head + "codes: {\"no\": loaded}\n"},
		"another meaning":      {head + "codes:\n  zz9: picked_up # they said\n  B: loaded\n", "ZZ9", loaded, head + "codes:\n  zz9: loaded # they said\n  B: loaded\n"},
		"another than braces":  {head + "codes:\n  ñandú: {exception: lost} # they said\n", "Ñandú", loaded, head + "codes:\n  ñandú: loaded # they said\n"},
		"another in braces":    {head + "codes: {A: loaded, B: {exception: lost}}\n", "b", late, head + "codes: {A: loaded, B: {milestone: arrived, exception: delayed}}\n"},
		"the same as it stood": {head + "codes: {A: loaded}\n", "a", loaded, head + "codes: {A: loaded}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, err := carriers.SetCode("carriers/acme.yaml", []byte(c.before), c.code, c.meaning, tables(t))
			require.NoError(t, err)
			require.Equal(t, c.after, string(after))
		})
	}
}

func TestSetCodeIsRefused(t *testing.T) {
	t.Parallel()
	loaded := tracking.Meaning{Milestone: tracking.Loaded}
	for name, c := range map[string]struct {
		source, code string
		meaning      tracking.Meaning
		says         string
	}{
		"in braces":       {"{carrier: acme, format: native}", "A", loaded, "by hand: it is written in braces"},
		"on many lines":   {head + "codes:\n  A:\n    exception: lost\n", "A", loaded, "by hand: the code has a meaning already, in line 6"},
		"faulty":          {head + "cods: {}\n", "A", loaded, `acme.yaml:4:1: a carrier has no "cods"; did you mean "codes"?`},
		"no code":         {head, " ", loaded, "no code"},
		"no milestone":    {head, "A", tracking.Meaning{Milestone: "gone"}, `"gone" is no milestone`},
		"means nothing":   {head, "A", tracking.Meaning{}, ""},
		"not all of YAML": {head + "codes: &all\n  A: loaded\ndefaults: {source: acme}\n...\n", "B", loaded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, err := carriers.SetCode("carriers/acme.yaml", []byte(c.source), c.code, c.meaning, tables(t))
			if name == "not all of YAML" && err == nil {
				requireCode(t, tables(t), after, c.code, c.meaning)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}

func requireCode(t require.TestingT, tables carriers.Tables, source []byte, code string, m tracking.Meaning) {
	carrier, found := carriers.Parse("carriers/acme.yaml", source, tables)
	require.NotNil(t, carrier, "%v", found)
	require.Equal(t, m, carrier.Codes[strings.ToLower(strings.TrimSpace(code))].Meaning)
}

// Whatever codes a table gets, one after the other, it has them all, and every line that was there before stays.
func TestSetCodeKeepsAllElse(t *testing.T) {
	t.Parallel()
	tables := tables(t)
	known := tracking.Milestones()
	rapid.Check(t, func(r *rapid.T) {
		lines := strings.SplitAfter(head+"codes:\n  # Ours.\n  OLD: picked_up   # kept\n\n# The end.\n", "\n")
		source := []byte(strings.Join(lines, ""))
		want := map[string]tracking.Meaning{}
		for range rapid.IntRange(1, 5).Draw(r, "codes") {
			code := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_./:#'"{}\[\], -]{1,12}`), rapid.StringN(1, 8, 40)).Draw(r, "code")
			m := tracking.Meaning{Milestone: rapid.SampledFrom(known).Draw(r, "milestone"), Exception: rapid.SampledFrom([]string{"", "delayed"}).Draw(r, "exception")}
			changed, err := carriers.SetCode("carriers/acme.yaml", source, code, m, tables)
			if strings.TrimSpace(code) == "" || strings.EqualFold(strings.TrimSpace(code), "old") {
				return
			}
			if err != nil {
				require.ErrorIs(r, err, carriers.ErrByHand) // control characters and the like, which the reader does not take
				for _, c := range code {
					if c >= ' ' && c < 127 {
						continue
					}
					return
				}
				require.NoError(r, err, "%q", code)
			}
			source = changed
			want[code] = m
			for _, line := range lines {
				require.Contains(r, string(source), line)
			}
		}
		for code, m := range want {
			fold := func(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
			twice := 0
			for other := range want {
				if fold(other) == fold(code) {
					twice++
				}
			}
			if twice == 1 {
				requireCode(r, tables, source, code, m)
			}
		}
	})
}

func FuzzSetCode(f *testing.F) {
	for _, source := range []string{head, head + "codes:\n  A: loaded\n", head + "codes: {A: loaded, B: {exception: lost}}\n", "{carrier: acme}", head + "codes:\n- A\n"} {
		f.Add([]byte(source), "ZZ9")
	}
	tables := tables(f)
	f.Fuzz(func(t *testing.T, source []byte, code string) {
		m := tracking.Meaning{Milestone: tracking.Loaded}
		if after, err := carriers.SetCode("carriers/acme.yaml", source, code, m, tables); err == nil {
			requireCode(t, tables, after, code, m)
		}
	})
}
