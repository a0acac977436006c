//go:build unix

package postgres

import (
	"archive/zip"
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// archive makes what a repository serves: a jar with a tar.xz, here of programs that call the installed ones.
func archive(t *testing.T, installed binaries) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz to make an archive with")
	}
	tree := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(tree, "bin"), 0o755))
	for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", installed.path(program))
		require.NoError(t, os.WriteFile(filepath.Join(tree, "bin", program), []byte(script), 0o700))
	}
	out, err := exec.Command("tar", "-C", tree, "-cJf", filepath.Join(tree, "a.txz"), "bin").CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(filepath.Join(tree, "a.txz"))
	require.NoError(t, err)
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	entry, err := z.Create("postgres.txz")
	require.NoError(t, err)
	_, err = entry.Write(content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return jar.Bytes()
}

func TestFetchedProgramsServe(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // The library leaves its log there.
	installed, err := findBinaries(t.Context(), installDirs(t.Context()), account{}, 0)
	require.NoError(t, err)
	jar := archive(t, installed)
	asked := 0
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r)
			return
		}
		asked++
		_, _ = w.Write(jar)
	}))
	t.Cleanup(repository.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)

	as, err := serverAccount()
	require.NoError(t, err)
	cache := openDir(t)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	fetched, err := fetch(t.Context(), as, cache, repository.URL, logger)
	require.NoError(t, err)
	require.Equal(t, installed.major, fetched.major)
	s := start(t, Config{Ephemeral: true, BinDir: fetched.dir})
	require.Equal(t, 1, query[int](t, s, "SELECT 1"))

	_, err = fetch(t.Context(), as, cache, repository.URL, logger)
	require.NoError(t, err)
	require.Equal(t, 1, asked, "what is in the cache is not downloaded again")
}

func TestFetchSaysWhyItFailed(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // The library leaves its log there.
	repository := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(repository.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	_, err := fetch(t.Context(), account{}, t.TempDir(), repository.URL, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "no version found")
}

func TestFindBinaries(t *testing.T) {
	t.Parallel()
	fake := func(version string) string {
		dir := t.TempDir()
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
		for _, program := range []string{"postgres", "initdb"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755))
		}
		return dir
	}
	old, fifteen, eighteen, empty := fake("14.9"), fake("15.18 (Debian 15.18-0)"), fake("18.1"), t.TempDir()
	for name, test := range map[string]struct {
		dirs  []string
		major int
		want  string
		err   string
	}{
		"first that fits":  {dirs: []string{empty, old, eighteen, fifteen}, want: eighteen},
		"as existing data": {dirs: []string{eighteen, fifteen}, major: 15, want: fifteen},
		"too old":          {dirs: []string{old}, err: "found 14 in " + old},
		"not that of data": {dirs: []string{eighteen}, major: 15, err: "found 18 in " + eighteen},
		"nothing":          {dirs: []string{empty, "/nowhere"}, err: "no PostgreSQL server found on this machine"},
	} {
		b, err := findBinaries(t.Context(), test.dirs, account{}, test.major)
		if test.err != "" {
			require.ErrorContains(t, err, test.err, name)
			require.ErrorIs(t, err, errNoBinaries, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, test.want, b.dir, name)
	}
}
