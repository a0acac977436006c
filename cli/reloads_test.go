package cli

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/pipeline"
)

// Editors write in several steps, and each may be read: what a reload changed stays to be seen, until another changes something or is refused.
func TestAReloadThatChangedSomethingIsNotForgottenForOneThatDidNot(t *testing.T) {
	before, after := []pipeline.Plan{{Pipeline: "tracking"}}, []pipeline.Plan{{Pipeline: "tracking"}, {Pipeline: "parcels"}}
	r := newReloads()
	result := func() string { return r.get().Result }

	r.note(before, before, nil, nil)
	require.Equal(t, "unchanged", result())
	r.note(before, after, []string{"parcels"}, nil)
	require.Equal(t, "changed", result())
	changed := r.get()
	r.note(after, after, nil, nil)
	require.Equal(t, changed, r.get())
	r.note(after, after, nil, errors.New("a stage is unknown"))
	require.Equal(t, "refused", result())
	r.note(after, after, nil, nil)
	require.Equal(t, "unchanged", result())
}
