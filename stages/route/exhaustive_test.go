package route

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

var _ pipeline.Exhaustive = Config{}

func TestWhetherAnyEventPassesOn(t *testing.T) {
	leaves, jumps, copied := Way{To: Topics{"x"}}, Way{Stage: "later"}, Way{Copy: Topics{"x"}}
	for name, c := range map[string]struct {
		ways      []Way
		otherwise Otherwise
		want      bool
	}{
		"those that are no case":              {[]Way{leaves}, Otherwise{Outcome: Pass}, true},
		"none: the others are dropped":        {[]Way{leaves, jumps}, Otherwise{Outcome: Drop}, false},
		"none: the others are rejected":       {[]Way{leaves}, Otherwise{Outcome: Reject}, false},
		"none: the others leave":              {[]Way{leaves}, Otherwise{Way: leaves}, false},
		"none: the others jump":               {[]Way{leaves}, Otherwise{Way: Way{Copy: Topics{"x"}, Stage: "later"}}, false},
		"the others are copied":               {[]Way{leaves}, Otherwise{Way: copied}, true},
		"a case that is copied":               {[]Way{leaves, copied}, Otherwise{Outcome: Drop}, true},
		"none: a case is copied and it jumps": {[]Way{{Copy: Topics{"x"}, Stage: "later"}}, Otherwise{Outcome: Drop}, false},
	} {
		config := Config{Otherwise: c.otherwise}
		for _, way := range c.ways {
			config.Cases = append(config.Cases, Case{Way: way})
		}
		require.Equal(t, c.want, config.PassesOn(), name)
	}
}
