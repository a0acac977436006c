package tracking_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/tracking"
)

func TestIdentifiersAreDetected(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]tracking.Guess{
		"157-53806270":                         {Kind: tracking.IdentifierAirWaybill, Value: "157-53806270"},
		" 157 53806270 ":                       {Kind: tracking.IdentifierAirWaybill, Value: "157-53806270"},
		"15753806271":                          {Kind: tracking.IdentifierAirWaybill, Value: "157-53806271", Doubtful: true},
		"0117814872":                           {Kind: tracking.IdentifierBagTag, Value: "0117814872"},
		"csqu3054383":                          {Kind: tracking.IdentifierContainer, Value: "CSQU3054383"},
		"APNR7744962":                          {Kind: tracking.IdentifierContainer, Value: "APNR7744962", Doubtful: true},
		"106141412345678908":                   {Kind: tracking.IdentifierSSCC, Value: "106141412345678908"},
		"(00)106141412345678908":               {Kind: tracking.IdentifierSSCC, Value: "106141412345678908"},
		"00106141412345678908":                 {Kind: tracking.IdentifierSSCC, Value: "106141412345678908"},
		"PMC98669KZ":                           {Kind: tracking.IdentifierULD, Value: "PMC98669KZ"},
		"AKE1234 5X":                           {Kind: tracking.IdentifierULD, Value: "AKE12345X"},
		"LH400/16OCT":                          {Kind: tracking.IdentifierFlight, Value: "LH400/16OCT"},
		"dlh0505":                              {Kind: tracking.IdentifierFlight, Value: "DLH0505"},
		"5X123":                                {Kind: tracking.IdentifierFlight, Value: "5X123"},
		"0000000000":                           {Kind: tracking.IdentifierFree, Value: "0000000000"},
		"LH400/32OCT":                          {Kind: tracking.IdentifierFree, Value: "LH400/32OCT"},
		"Order 17":                             {Kind: tracking.IdentifierFree, Value: "Order 17"},
		"":                                     {Kind: tracking.IdentifierFree},
		strings.Repeat("1", 1000):              {Kind: tracking.IdentifierFree, Value: strings.Repeat("1", 1000)},
		"019012AB-0000-7000-8000-000000000001": {Kind: tracking.IdentifierEvent, Value: "019012ab-0000-7000-8000-000000000001"},
	} {
		got := tracking.DetectIdentifier(text)
		require.NotEmpty(t, got[0].Why)
		require.Equal(t, tracking.IdentifierFree, got[len(got)-1].Kind)
		got[0].Why = ""
		require.Equal(t, want, got[0], text)
	}
}

// Every air waybill is detected however it is written, and one wrong digit makes it doubtful at most.
func TestEveryAirWaybillIsDetected(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix, serial := rapid.IntRange(0, 999).Draw(t, "prefix"), rapid.IntRange(0, 9_999_999).Draw(t, "serial")
		digit := rapid.IntRange(0, 9).Draw(t, "digit")
		separator := rapid.SampledFrom([]string{"", "-", " "}).Draw(t, "separator")
		got := tracking.DetectIdentifier(fmt.Sprintf("%03d%s%07d%d", prefix, separator, serial, digit))[0]
		require.Equal(t, tracking.IdentifierAirWaybill, got.Kind)
		require.Equal(t, fmt.Sprintf("%03d-%07d%d", prefix, serial, digit), got.Value)
		require.Equal(t, digit != serial%7, got.Doubtful)
	})
}

// What is detected is detected again in the form in which it is written, and doubt comes behind certainty.
func TestDetectionIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Z0-9]{2,4}[0-9]{1,14}[A-Z0-9]{0,3}`)).Draw(t, "text")
		guesses := tracking.DetectIdentifier(text)
		for i, g := range guesses {
			require.True(t, i == 0 || g.Doubtful || !guesses[i-1].Doubtful || g.Kind == tracking.IdentifierFree)
			if g.Kind != tracking.IdentifierFree {
				require.Contains(t, kinds(tracking.DetectIdentifier(g.Value)), g.Kind)
			}
		}
	})
}

func kinds(guesses []tracking.Guess) (all []tracking.IdentifierKind) {
	for _, g := range guesses {
		all = append(all, g.Kind)
	}
	return all
}
