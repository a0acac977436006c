package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest PostgreSQL that the store's schema works on.
const minMajor = 15

// binaries is one installation of the PostgreSQL programs.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect reports what is installed in dir; ok is false when it is no server installation, or none that the account can run.
func inspect(ctx context.Context, dir string, as account) (b binaries, ok bool) {
	for _, program := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, program))
		if err != nil || info.IsDir() {
			return binaries{}, false
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version") //nolint:gosec // A list of our own.
	cmd.Dir = "/"
	as.apply(cmd)
	out, err := cmd.Output()
	if err != nil {
		return binaries{}, false
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return binaries{}, false
	}
	major, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return binaries{}, false
	}
	return binaries{dir: dir, major: major}, true
}

// errNoBinaries says that no installation on this machine would do.
var errNoBinaries = errors.New("no PostgreSQL server found on this machine")

// findBinaries returns the first suitable installation of the machine. major is the version that existing data asks for,
// or 0 for any that the store works on.
func findBinaries(ctx context.Context, dirs []string, as account, major int) (binaries, error) {
	var unfit []string
	for _, dir := range dirs {
		b, ok := inspect(ctx, dir, as)
		switch {
		case !ok:
		case major != 0 && b.major != major, b.major < minMajor:
			unfit = append(unfit, fmt.Sprintf("%d in %s", b.major, dir))
		default:
			return b, nil
		}
	}
	if len(unfit) > 0 {
		return binaries{}, fmt.Errorf("%w in a version that fits (found %s)", errNoBinaries, strings.Join(unfit, ", "))
	}
	return binaries{}, errNoBinaries
}

// installDirs lists the folders in which PostgreSQL programs are commonly installed, in the order of preference.
func installDirs(ctx context.Context) []string {
	var dirs []string
	if program, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(program); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // the PGDG packages for RHEL
		"/usr/libexec/postgresql*",                           // Alpine
		"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // Only a malformed pattern is an error.
		}
		slices.SortFunc(found, func(a, b string) int { return versionIn(b) - versionIn(a) })
		dirs = append(dirs, found...)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		repeated := dir == "" || seen[dir]
		seen[dir] = true
		return repeated
	})
}

var digits = regexp.MustCompile(`\d+`)

// versionIn returns the number in a path such as /usr/lib/postgresql/15/bin, so that the newest sorts first. The path of
// Postgres.app's current version and Homebrew's unversioned formula have none and sort last.
func versionIn(path string) int {
	n, err := strconv.Atoi(digits.FindString(path))
	if err != nil {
		return 0
	}
	return n
}

// installHint says how people get PostgreSQL on this system.
func installHint() string {
	if runtime.GOOS == "darwin" {
		return "install it with `brew install postgresql@17`, or give the URL of a database you run"
	}
	return "install it (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; " +
		"Alpine: `apk add postgresql`), or give the URL of a database you run"
}
