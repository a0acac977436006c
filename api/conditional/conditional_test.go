package conditional_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/conditional"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, `"a"`: true, `W/"a"`: true, `"b", W/"a"`: true, `"b"`: false, "*": true, "a": false, `"b" "a"`: false,
	} {
		require.Equal(t, want, conditional.Matches(header, `"a"`), header)
		require.Equal(t, want, conditional.Matches(header, `W/"a"`), header)
	}
}
