package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Names in a DataDir.
const (
	lockName     = "lock"     // held by the process whose server it is
	locationName = "location" // where the place is, when it could not be here
)

// Names in a place.
const (
	dataName     = "data"         // PostgreSQL's own data directory
	logName      = "postgres.log" // what the server said
	passwordName = "password"     // of every role
	originName   = "origin"       // the DataDir of a place that lies elsewhere
)

// ephemeralPrefix starts the name of every ephemeral place.
const ephemeralPrefix = "rastro-postgres-"

// rootPlaces is where root keeps what an ordinary user must reach, when the DataDir is out of that user's reach.
const rootPlaces = "/var/lib/rastro"

// place is the folder that the files of one server lie in. It is the DataDir itself, except when we are root and the user
// that the server must run as cannot reach it, as below /root.
type place string

func (p place) data() string     { return filepath.Join(string(p), dataName) }
func (p place) log() string      { return filepath.Join(string(p), logName) }
func (p place) password() string { return filepath.Join(string(p), passwordName) }

// initialized reports whether the place holds data, and of which major version.
func (p place) initialized() (major string, ok bool, err error) {
	version, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read the version of existing data: %w", err)
	}
	return strings.TrimSpace(string(version)), true, nil
}

// knownPlace returns the place that an earlier start chose for dataDir; ok is false when there was none or it is gone.
func knownPlace(dataDir string) (p place, ok bool, err error) {
	if _, err := os.Stat(filepath.Join(dataDir, dataName, "PG_VERSION")); err == nil {
		return place(dataDir), true, nil
	}
	location, err := os.ReadFile(filepath.Join(dataDir, locationName)) //nolint:gosec // A path of ours.
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read where the data is: %w", err)
	}
	p = place(strings.TrimSpace(string(location)))
	return p, p.belongsTo(dataDir), nil
}

// belongsTo reports whether a place that lies elsewhere was made for dataDir.
func (p place) belongsTo(dataDir string) bool {
	origin, err := os.ReadFile(filepath.Join(string(p), originName)) //nolint:gosec // a folder of our own making
	return err == nil && string(origin) == dataDir
}

// newPlace makes an empty place: dataDir itself, or one elsewhere when the account cannot reach it.
func newPlace(ctx context.Context, dataDir string, as account, bins binaries, logger *slog.Logger) (place, error) {
	if !as.drop {
		if err := os.Chmod(dataDir, 0o700); err != nil { //nolint:gosec // A folder must be executable.
			return "", fmt.Errorf("close %s to others: %w", dataDir, err)
		}
		return place(dataDir), nil
	}
	if err := os.Chmod(dataDir, 0o711); err != nil { //nolint:gosec // The server's user must pass through.
		return "", fmt.Errorf("open %s to user %s: %w", dataDir, as.name, err)
	}
	if reachable(ctx, dataDir, as, bins) == nil {
		return place(dataDir), nil
	}
	sweepMoved(ctx, dataDir)
	p, err := reachablePlace(ctx, "postgres-", as, bins, rootPlaces, os.TempDir())
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(string(p), originName), []byte(dataDir), 0o600); err != nil {
		return "", fmt.Errorf("note whose data this is: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, locationName), []byte(string(p)+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("note where the data is: %w", err)
	}
	logger.Info("PostgreSQL runs as another user, who cannot reach the data folder: the data lies elsewhere",
		"user", as.name, "folder", dataDir, "data", string(p))
	return p, nil
}

// reachablePlace makes a new folder in the first of the parents where the account can reach it.
func reachablePlace(ctx context.Context, prefix string, as account, bins binaries, parents ...string) (place, error) {
	var errs []error
	for _, parent := range parents {
		if parent == rootPlaces {
			if err := errors.Join(os.MkdirAll(parent, 0o711), os.Chmod(parent, 0o711)); err != nil { //nolint:gosec // As above.
				errs = append(errs, err)
				continue
			}
		}
		dir, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if as.drop {
			err = errors.Join(os.Chmod(dir, 0o711), reachable(ctx, dir, as, bins)) //nolint:gosec // As above.
		}
		if err == nil {
			return place(dir), nil
		}
		errs = append(errs, err, os.Remove(dir))
	}
	return "", fmt.Errorf("no folder that user %s can reach: %w", as.name, errors.Join(errs...))
}

// reachable reports whether the account can run a PostgreSQL program in dir and owns what is given to it there. Trying is the
// only test that sees permissions, access lists, mounts and root squashing alike.
func reachable(ctx context.Context, dir string, as account, bins binaries) error {
	cmd := exec.CommandContext(ctx, bins.path("postgres"), "--version") //nolint:gosec // An installation we found.
	cmd.Dir = dir
	as.apply(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run postgres in %s as %s: %w", dir, as.name, err)
	}
	probe, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return fmt.Errorf("write in %s: %w", dir, err)
	}
	return errors.Join(as.give(probe), os.Remove(probe))
}

// sweepMoved removes places made for a dataDir that has since been deleted and made anew.
func sweepMoved(ctx context.Context, dataDir string) {
	for _, parent := range []string{rootPlaces, os.TempDir()} {
		found, err := filepath.Glob(filepath.Join(parent, "postgres-*"))
		if err != nil {
			continue // Only a malformed pattern is an error.
		}
		for _, dir := range found {
			if p := place(dir); (account{}).trusted(dir) && p.belongsTo(dataDir) {
				// The caller holds dataDir's lock, so nobody serves this; what cannot be removed is left.
				if stopLeftover(ctx, p.data()) == nil {
					_ = os.RemoveAll(dir)
				}
			}
		}
	}
}

// ephemeralPlace makes an empty place in the temporary folder and takes its lock.
func ephemeralPlace(ctx context.Context, as account, bins binaries) (place, *os.File, error) {
	p, err := reachablePlace(ctx, ephemeralPrefix, as, bins, ephemeralParents()...)
	if err != nil {
		return "", nil, err
	}
	lock, err := lockFile(filepath.Join(string(p), lockName), true)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", p, err), os.RemoveAll(string(p)))
	}
	return p, lock, nil
}

func ephemeralParents() []string {
	parents := []string{os.TempDir()}
	if os.Geteuid() == 0 {
		parents = append(parents, "/tmp", "/var/tmp", rootPlaces)
	}
	return parents
}

// sweepEphemeral removes ephemeral places whose process was killed. It leaves alone what is younger than a minute, which may
// not be locked yet, and what it has no right to.
func sweepEphemeral(ctx context.Context, as account) {
	for _, parent := range ephemeralParents() {
		found, err := filepath.Glob(filepath.Join(parent, ephemeralPrefix+"*"))
		if err != nil {
			continue // Only a malformed pattern is an error.
		}
		for _, dir := range found {
			info, err := os.Lstat(dir)
			if err != nil || time.Since(info.ModTime()) < time.Minute || !as.trusted(dir) {
				continue
			}
			lock, err := lockFile(filepath.Join(dir, lockName), false)
			if err != nil {
				continue
			}
			if stopLeftover(ctx, place(dir).data()) == nil {
				_ = os.RemoveAll(dir)
			}
			_ = unlock(lock)
		}
	}
}
