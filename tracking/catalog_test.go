package tracking_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

const catalogText = `
# codes
vocabularies:
  native:
    checked_in: accepted
    on_hold: {exception: on_hold}
    offloaded:
      milestone: processing
      exception: offloaded
    NO: arrived      # not a boolean
    12: loaded
    lost: lost
    remark: {milestone: none}
  aftership:
    InTransit_003: arrived
kinds:
  cargo: {DEP: in_transit, NO: cancelled, DOC: none, DIS: {exception: discrepancy}, DIS/FDCA: {clears: missing}}
  parcel:
`

func TestCatalog(t *testing.T) {
	c, err := tracking.LoadCatalog(strings.NewReader(catalogText))
	require.NoError(t, err)
	for _, test := range []struct {
		kind tracking.Kind
		code string
		want tracking.Meaning
	}{
		{"", "checked_in", tracking.Meaning{Milestone: accepted}},
		{tracking.Cargo, " Checked_IN ", tracking.Meaning{Milestone: accepted}},
		{"", "on_hold", tracking.Meaning{Exception: "on_hold"}},
		{"", "offloaded", tracking.Meaning{Milestone: processing, Exception: "offloaded"}},
		{"", "no", tracking.Meaning{Milestone: arrived}},
		{"", "12", tracking.Meaning{Milestone: loaded}},
		{tracking.Cargo, "no", tracking.Meaning{Milestone: cancelled}},
		{tracking.Cargo, "dep", tracking.Meaning{Milestone: inTransit}},
		{tracking.Parcel, "com.andes.parcel.checked_in", tracking.Meaning{Milestone: accepted}},
		{tracking.Cargo, "https://onerecord.iata.org/StatusCode/DEP", tracking.Meaning{Milestone: inTransit}},
		{"", "out_for_delivery", tracking.Meaning{Milestone: outFor}},
		{tracking.Cargo, "doc", tracking.Meaning{Milestone: tracking.None}},
		{"", "remark", tracking.Meaning{Milestone: tracking.None}},
		{"", "a.Delivered", tracking.Meaning{Milestone: delivered}},
	} {
		got, ok := c.Lookup(test.kind, test.code)
		require.True(t, ok, test.code)
		require.Equal(t, test.want, got, test.code)
	}
	for _, code := range []string{"", ".", "a.", "dep", "unknown", "InTransit_003", "zzz"} {
		_, ok := c.Lookup(tracking.Parcel, code)
		require.False(t, ok, code)
	}
	for reason, want := range map[string]string{"": "discrepancy", "ZZZZ": "discrepancy", " fdca": "cleared:missing"} {
		got, ok := c.LookupReason(tracking.Cargo, "dis", reason)
		require.True(t, ok)
		require.Equal(t, tracking.Meaning{Exception: want}, got, reason)
	}
	_, ok := c.LookupReason(tracking.Parcel, "DIS", "FDCA")
	require.False(t, ok)
	got, ok := c.LookupIn("aftership", "intransit_003")
	require.True(t, ok)
	require.Equal(t, arrived, got.Milestone)
	_, ok = c.LookupIn("none", "x")
	require.False(t, ok)
}

// Every milestone's own name is a code for it, even in a catalogue that is empty.
func TestEmptyCatalog(t *testing.T) {
	for _, text := range []string{"", "# nothing", "vocabularies: {}\nkinds:\n"} {
		c, err := tracking.LoadCatalog(strings.NewReader(text))
		require.NoError(t, err)
		for _, m := range tracking.Milestones() {
			got, ok := c.Lookup("", string(m))
			require.True(t, ok)
			require.Equal(t, tracking.Meaning{Milestone: m}, got)
		}
	}
}

func TestCatalogErrors(t *testing.T) {
	for text, want := range map[string]string{
		"vocabularies:\n  native:\n    a: acepted":              `3:8: unknown milestone "acepted"; it must be one of announced`,
		"vocabularies:\n  native:\n    a: {milestone: unknown}": `3:20: unknown milestone "unknown"`,
		"vocabularies:\n  native:\n    a: [accepted]":           `3:8: code "a" must have`,
		"vocabularies:\n  native:\n    a: {}":                   `3:8: code "a" means nothing`,
		"vocabularies:\n  native:\n    a:":                      `unknown milestone`,
		"vocabularies:\n  native:\n    a: {status: lost}":       `3:9: unknown key "status"`,
		"vocabularies:\n  native:\n    a: {exception: On Hold}": `3:20: exception "On Hold"`,
		"vocabularies:\n  native:\n    a: {exception: [x]}":     `3:20: exception`,
		"kinds:\n  cargo: {a: {exception: x, clears: y}}":       `code "a" reports trouble or clears it, not both`,
		"kinds:\n  cargo: {a: {clears: X Y}}":                   `2:23: exception "X Y"`,
		"vocabularies:\n  native:\n    ab: lost\n    AB: lost":  `4:5: "AB" stands twice in native`,
		"vocabularies:\n  native:\n    lost: accepted":          `3:5: "lost" is the name of a milestone`,
		"vocabularies:\n  native:\n    \" \": lost":             `3:5: a code is empty`,
		"kinds:\n  bags: {a: lost}":                             `2:3: unknown kind "bags"; it must be one of baggage`,
		"kinds: [a]":                                            `1:8: kinds must be a mapping`,
		"codes: {}":                                             `1:1: unknown key "codes"`,
		"- a":                                                   `1:1: the catalogue must be a mapping`,
		"vocabularies:\n  native: {a: lost":                     `2:`,
		"kinds:\n  cargo: {a: x}\n  parcel: {a: y}":             "2:14: unknown milestone \"x\"; it must be one of",
	} {
		_, err := tracking.LoadCatalog(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
	}
	_, err := tracking.LoadCatalog(strings.NewReader("kinds:\n  cargo: {a: x}\n  parcel: {a: y}"))
	require.ErrorContains(t, err, `3:15: unknown milestone "y"`, "every fault is reported")
	_, err = tracking.LoadCatalog(iotest.ErrReader(errors.New("disk")))
	require.ErrorContains(t, err, "disk")
}

func FuzzLoadCatalog(f *testing.F) {
	f.Add(catalogText)
	f.Add("kinds: {cargo: &a {x: lost}, parcel: *a}")
	f.Add("? [a]\n: b")
	f.Fuzz(func(_ *testing.T, text string) {
		c, err := tracking.LoadCatalog(strings.NewReader(text))
		if err == nil {
			_, _ = c.Lookup(tracking.Cargo, text)
		}
	})
}
