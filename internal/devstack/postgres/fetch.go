package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchedVersion is what is downloaded where nothing is installed.
const fetchedVersion = embeddedpostgres.V17

// fetch downloads the PostgreSQL programs into the cache, unless they are there already.
func fetch(ctx context.Context, as account, cacheDir, repositoryURL string, logger *slog.Logger) (binaries, error) {
	home := filepath.Join(cacheDir, "postgresql-"+string(fetchedVersion))
	if b, ok := inspect(ctx, filepath.Join(home, "bin"), as); ok {
		return b, nil
	}
	logger.Info("no PostgreSQL installed: downloading it", "version", string(fetchedVersion), "to", home)
	if err := os.MkdirAll(home, 0o755); err != nil { //nolint:gosec // The user that the server runs as must read it.
		return binaries{}, fmt.Errorf("create cache folder: %w", err)
	}
	scratch, err := os.MkdirTemp("", "rastro-fetch-")
	if err != nil {
		return binaries{}, fmt.Errorf("create scratch folder: %w", err)
	}

	// The library fetches only as part of a start. A data folder that holds nothing but a version ends that start right
	// after the unpacking, which is all we want: our own starter also works as root. The download cannot be cancelled, so
	// it is left to end by itself when ctx does.
	done := make(chan error, 1)
	go func() {
		defer func() { _ = os.RemoveAll(scratch) }()
		done <- unpackOnly(home, scratch, cacheDir, repositoryURL)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return binaries{}, fmt.Errorf("download PostgreSQL %s: %w", fetchedVersion, ctx.Err())
	}
	if openErr := openToAll(home); openErr != nil {
		return binaries{}, fmt.Errorf("make the downloaded programs readable: %w", openErr)
	}
	b, ok := inspect(ctx, filepath.Join(home, "bin"), as)
	if !ok {
		return binaries{}, fmt.Errorf("download PostgreSQL %s: %w", fetchedVersion, err)
	}
	return b, nil
}

func unpackOnly(home, scratch, cacheDir, repositoryURL string) error {
	data := filepath.Join(scratch, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("create scratch data folder: %w", err)
	}
	major, _, _ := strings.Cut(string(fetchedVersion), ".")
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		return fmt.Errorf("write scratch version: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	config := embeddedpostgres.DefaultConfig().
		Version(fetchedVersion).
		Port(uint32(port)). //nolint:gosec // A TCP port.
		CachePath(cacheDir).
		RuntimePath(filepath.Join(scratch, "run")).
		BinariesPath(home).
		DataPath(data).
		Logger(&bytes.Buffer{})
	if repositoryURL != "" {
		config = config.BinaryRepositoryURL(repositoryURL)
	}
	server := embeddedpostgres.NewDatabase(config)
	if err := server.Start(); err != nil {
		return err // The caller looks whether the programs arrived, and wraps this when they did not.
	}
	return server.Stop()
}

// openToAll lets every user read what lies under root and enter its folders, whatever the umask was.
func openToAll(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // Programs are no secret.
	})
}

// cacheDir returns where downloads are kept: somewhere that the user the server runs as can reach.
func (c Config) cacheDir(as account) (string, error) {
	if c.CacheDir != "" {
		return filepath.Abs(c.CacheDir)
	}
	if as.drop {
		dir := "/var/cache/rastro"
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // See above.
			return "", fmt.Errorf("create cache folder: %w", err)
		}
		return dir, os.Chmod(dir, 0o755) //nolint:gosec // See above.
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "rastro"), nil
}

// freePort returns a loopback TCP port that nobody listened on a moment ago.
func freePort() (int, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	addr, ok := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil {
		return 0, fmt.Errorf("release the port found: %w", err)
	}
	if !ok {
		return 0, fmt.Errorf("find a free port: %w", syscall.EAFNOSUPPORT)
	}
	return addr.Port, nil
}
