package tracking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestCheckDigits(t *testing.T) {
	for name, test := range map[string]struct {
		check                func(string) error
		right, wrong, unlike []string
	}{
		"air waybill": {
			check:  tracking.CheckAirWaybill,
			right:  []string{"157-53806270", "020-12345675", "239-12345675", "933-22405670", "02012345675"},
			wrong:  []string{"157-53806271", "020-12345679"},
			unlike: []string{"", "157-5380627", "157-538062700", "15-753806270", "157 53806270", "157-5380627X", "1575-3806270", "157--5380627"},
		},
		"container": {
			check:  tracking.CheckContainer,
			right:  []string{"CSQU3054383", "APZU4812090", "CBHU3202732", "MWCU6059784"},
			wrong:  []string{"APNR7744962", "CSQU3054384"},
			unlike: []string{"", "CSQU305438", "CSQ13054383", "csqu3054383", "CSQU30543830", "CSQU305438X"},
		},
		"GS1 key": {
			check:  tracking.CheckGS1,
			right:  []string{"106141412345678908", "340123451111111111", "96385074", "036000291452", "4006381333931"},
			wrong:  []string{"106141412345678907", "4006381333932"},
			unlike: []string{"", "1", "10614141234567890", "10614141234567890X", "X06141412345678908"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range test.right {
				require.NoError(t, test.check(id))
			}
			for _, id := range test.wrong {
				require.ErrorIs(t, test.check(id), tracking.ErrCheckDigit, id)
			}
			for _, id := range test.unlike {
				require.ErrorIs(t, test.check(id), tracking.ErrStructure, id)
			}
		})
	}
}

func TestBagTags(t *testing.T) {
	tag, err := tracking.ParseBagTag("0117814872")
	require.NoError(t, err)
	require.Equal(t, tracking.BagTag{Leading: 0, Issuer: "117", Serial: "814872"}, tag)
	for _, s := range []string{"", "0000000000", "011781487", "01178148720", "011781487X"} {
		_, err := tracking.ParseBagTag(s)
		require.ErrorIs(t, err, tracking.ErrStructure, s)
	}

	tags, err := tracking.ExpandBagTags("0085123456003")
	require.NoError(t, err)
	require.Equal(t, []string{"0085123456", "0085123457", "0085123458"}, tags)
	tags, err = tracking.ExpandBagTags("0117000009002")
	require.NoError(t, err)
	require.Equal(t, []string{"0117000009", "0117000010"}, tags)
	for _, s := range []string{"", "0117814872", "0117814872000", "0117999999002", "0000000000001", "01178148720 1"} {
		_, err := tracking.ExpandBagTags(s)
		require.ErrorIs(t, err, tracking.ErrStructure, s)
	}
}

func TestGS1CheckDigit(t *testing.T) {
	digit, err := tracking.GS1CheckDigit("10614141234567890")
	require.NoError(t, err)
	require.Equal(t, 8, digit)
	_, err = tracking.GS1CheckDigit("x")
	require.ErrorIs(t, err, tracking.ErrStructure)
}

func FuzzIdentifiers(f *testing.F) {
	f.Add("157-53806270")
	f.Add("0085123456003")
	f.Add("CSQU3054383")
	f.Fuzz(func(t *testing.T, s string) {
		for _, check := range []func(string) error{tracking.CheckAirWaybill, tracking.CheckContainer, tracking.CheckGS1} {
			_ = check(s)
		}
		if tags, err := tracking.ExpandBagTags(s); err == nil {
			require.Equal(t, s[:10], tags[0])
			require.Less(t, len(tags), 1000)
			for _, tag := range tags {
				_, err := tracking.ParseBagTag(tag)
				require.NoError(t, err)
			}
		}
	})
}
