package dashboard

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	placeholder := &fstest.MapFile{Data: []byte("placeholder")}
	app := &fstest.MapFile{Data: []byte("app")}

	tests := map[string]struct {
		files fstest.MapFS
		want  string
		built bool
	}{
		"not built": {fstest.MapFS{"dist/index.html": placeholder}, "placeholder", false},
		"built":     {fstest.MapFS{"dist/index.html": placeholder, "dist/app/index.html": app}, "app", true},
		"half built": {
			fstest.MapFS{"dist/index.html": placeholder, "dist/app/assets/index.js": app}, "placeholder", false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fs.ReadFile(choose(tt.files), "index.html")
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
			require.Equal(t, tt.built, built(tt.files))
		})
	}
}

// The edge that serves the dashboard writes the path prefix and the nonce into these two exact strings, and the strict
// content security policy forbids anything inline.
func TestDistIsServable(t *testing.T) {
	t.Parallel()
	page, err := fs.ReadFile(Dist(), "index.html")
	require.NoError(t, err)
	html := string(page)
	require.Equal(t, 1, strings.Count(html, `<base href="/">`), "the base element is there once")
	require.Equal(t, 1, strings.Count(html, `<meta name="csp-nonce" content="">`), "the nonce element is there once")
	require.NotContains(t, html, "<style", "no inline style without a nonce")
	require.NotContains(t, html, ` style="`, "no inline style attribute")
	require.NotContains(t, html, "<script>", "no inline script")

	if !Built() {
		return
	}
	require.Less(t, strings.Index(html, "<base "), strings.Index(html, "./assets/"), "the base comes before every reference")
	_, err = fs.Stat(Dist(), "boot.js")
	require.NoError(t, err)
	scripts, err := fs.Glob(Dist(), "assets/*.js")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
}
