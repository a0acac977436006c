package carriers_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

func proposer(t testing.TB, tenant string) *carriers.Proposer {
	t.Helper()
	set, found := carriers.LoadSources([]pipeline.Source{
		{File: "carriers/acme.yaml", Text: []byte("carrier: acme\ntenant: acme\nformat: native\ncodes: {BHS-IN: accepted, BHS-SORT: accepted, QX1: {exception: lost}}\n")},
		{File: "carriers/secret.yaml", Text: []byte("carrier: secret\ntenant: umbrella\nformat: native\ncodes: {QQ77: lost}\n")},
	}, tables(t))
	require.Empty(t, found)
	return carriers.NewProposer(set, tables(t), tenant)
}

func TestProposals(t *testing.T) {
	t.Parallel()
	p := proposer(t, "acme")
	for _, c := range []struct {
		carrier, code, kind, payload string
		milestone                    tracking.Milestone
		exception                    string
		from, to                     float64
		why                          string
	}{
		{"other", "qx1", "baggage", "", "", "lost", 0.9, 0.9, "the table of acme has the same code"},
		{"other", "RCS", "parcel", "", tracking.Accepted, "", 0.8, 0.9, "codes of cargo in milestones.yaml has the same code"},
		{"other", "PICKEDUP", "parcel", "", tracking.Accepted, "", 0.85, 0.85, `spelled as "picked_up"`},
		{"other", "ParcelPickedUp_007", "parcel", "", tracking.Accepted, "", 0.6, 0.6, `the code says "picked_up"`},
		{"other", "Loaded 12", "parcel", "", tracking.Loaded, "", 0.7, 0.7, `the code says "loaded"`},
		{"other", "Q7", "parcel", `{"scan":{"description":"Parcel delivered at the door"}}`, tracking.Delivered, "", 0.5, 0.5, `says "delivered"`},
		{"other", "Q7", "parcel", `{"consignee":"delivered"}`, "", "", 0, 0, ""},
		{"other", "LoadedNot", "baggage", "", "", "", 0, 0, ""},
		{"other", "delievred", "parcel", "", tracking.Delivered, "", 0.45, 0.45, `nearly "delivered"`},
		{"acme", "BHS-OUT", "baggage", "", tracking.Accepted, "", 0.3, 0.3, `the codes of acme that begin with "bhs"`},
		{"other", "BHS-OUT", "baggage", "", "", "", 0, 0, ""},
		{"other", "QQ77", "baggage", "", "", "", 0, 0, ""}, // another tenant's table is nobody else's business
		{"other", "ZZ9", "baggage", "not json", "", "", 0, 0, ""},
	} {
		got, ok := p.Propose(c.carrier, c.code, []string{c.kind}, []byte(c.payload))
		require.Equal(t, c.why != "", ok, "%+v", got)
		if !ok {
			continue
		}
		require.Equal(t, tracking.Meaning{Milestone: c.milestone, Exception: c.exception}, got.Meaning, c.code)
		require.Contains(t, got.Why, c.why)
		require.GreaterOrEqual(t, got.Confidence, c.from, c.code)
		require.LessOrEqual(t, got.Confidence, c.to, c.code)
	}
	_, ok := proposer(t, "umbrella").Propose("other", "QQ77", nil, nil)
	require.True(t, ok)
}

// Whatever is proposed can be written into a carrier's table.
func TestProposalsCanBeWritten(t *testing.T) {
	t.Parallel()
	p, tables := proposer(t, "acme"), tables(t)
	rapid.Check(t, func(r *rapid.T) {
		code := rapid.StringMatching(`(picked up|delivrd|X|DLV|Loaded|un|BHS|[-_ .7/]){1,6}`).Draw(r, "code")
		got, ok := p.Propose("acme", code, []string{"cargo"}, nil)
		if !ok || code == "" {
			return
		}
		require.Greater(r, got.Confidence, 0.0)
		require.LessOrEqual(r, got.Confidence, 1.0)
		_, err := carriers.SetCode("carriers/acme.yaml", []byte(head), code, got.Meaning, tables)
		require.NoError(r, err, "%q %+v", code, got)
	})
}
