// Package devstack holds what a development stack (`rastro dev`) leaves behind for others to find it by.
package devstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// StateFile is the name of the state file in a data folder.
	StateFile = "dev.json"
	// DefaultDataDir is where a stack keeps its data unless told otherwise, relative to the working directory.
	DefaultDataDir = ".rastro"

	maxStateBytes = 64 << 10
	liveTimeout   = time.Second
)

// ErrNotRunning says that no running stack was found.
var ErrNotRunning = errors.New("no running Rastro found")

// State is what a running `rastro dev` writes so that the client commands find it by themselves. It holds a secret, so its
// files are for their owner only.
type State struct {
	// URL is where the HTTP API is served, without a trailing slash: "http://localhost:8080".
	URL string `json:"url"`
	// Issuer is the OIDC issuer that the API trusts.
	Issuer string `json:"issuer"`
	// TokenURL is the issuer's token endpoint.
	TokenURL string `json:"token_url"`
	// ClientID and ClientSecret are the credentials of the command line's client at the issuer.
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	// DatabaseURL is its database.
	DatabaseURL string `json:"database_url,omitempty"`
	// PID is the process that serves it.
	PID int `json:"pid"`
	// StartedAt tells apart two runs that were given the same PID.
	StartedAt time.Time `json:"started_at"`
	// DataDir is the data folder, absolute.
	DataDir string `json:"data_dir"`
	// Version is the version of the binary that runs.
	Version string `json:"version"`
}

// Write puts the state into its data folder and, so that it is found from any working directory, into the user's cache
// folder. Each file appears whole or not at all. An error that concerns only the second copy comes after the first is
// written: the stack can be found by its data folder all the same.
func (s State) Write() error {
	if s.DataDir == "" {
		return errors.New("write dev state: no data folder")
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return fmt.Errorf("write dev state: %w", err)
	}
	if err := s.writeTo(s.DataDir); err != nil {
		return err
	}
	dir, err := userDir()
	if err != nil {
		return fmt.Errorf("write the user's copy of the dev state: %w", err)
	}
	return s.writeTo(dir)
}

// Remove takes away the files that Write made, except those that another run has since replaced with its own.
func (s State) Remove() error {
	var errs []error
	for _, dir := range append([]string{s.DataDir}, userDirs()...) {
		path := filepath.Join(dir, StateFile)
		found, err := read(path)
		if err != nil || found.PID != s.PID || !found.StartedAt.Equal(s.StartedAt) {
			continue // gone, unreadable or another run's: not ours to remove
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove dev state: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (s State) writeTo(dir string) (err error) {
	body, err := json.MarshalIndent(s, "", "  ") //nolint:gosec // The secret is what the file is for; its mode is 0600.
	if err != nil {
		return fmt.Errorf("encode dev state: %w", err)
	}
	file, err := os.CreateTemp(dir, StateFile+".*") // created at mode 0600
	if err != nil {
		return fmt.Errorf("write dev state: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreNotExist(os.Remove(file.Name())))
		}
	}()
	_, err = file.Write(append(body, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write dev state: %w", err)
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, StateFile)); err != nil {
		return fmt.Errorf("write dev state: %w", err)
	}
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Find returns the state of a running stack. It looks in dataDir (when it is not empty), then in ./.rastro, then at the user's
// copy, and passes over what is left of a stack that no longer runs. A stack whose process is there but does not answer yet
// is taken only when no other answers. The error wraps ErrNotRunning and says where it looked and what to do.
func Find(ctx context.Context, dataDir string) (State, error) {
	client := &http.Client{Timeout: liveTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	var silent *State
	var looked []string
	for _, dir := range searchDirs(dataDir) {
		path := filepath.Join(dir, StateFile)
		state, err := read(path)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				looked = append(looked, fmt.Sprintf("%s: %v", path, err))
			}
			continue
		}
		if state.live(ctx, client) {
			return state, nil
		}
		if err := ctx.Err(); err != nil {
			return State{}, fmt.Errorf("find a running Rastro: %w", err)
		}
		if processAlive(state.PID) {
			if silent == nil {
				silent = &state
			}
			continue
		}
		looked = append(looked, fmt.Sprintf("%s is left from process %d, which is gone", path, state.PID))
	}
	if silent != nil {
		return *silent, nil
	}
	hint := "start one with `make run` or `rastro dev`, or name a server with --url and --token"
	if len(looked) > 0 {
		return State{}, fmt.Errorf("%w (%s); %s", ErrNotRunning, strings.Join(looked, "; "), hint)
	}
	return State{}, fmt.Errorf("%w; %s", ErrNotRunning, hint)
}

// live asks the stack itself.
func (s State) live(ctx context.Context, client *http.Client) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/livez", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_, drainErr := io.Copy(io.Discard, io.LimitReader(response.Body, maxStateBytes))
	return errors.Join(drainErr, response.Body.Close()) == nil && response.StatusCode == http.StatusOK
}

// read returns the state in a file that nobody but its owner can have written.
func read(path string) (State, error) {
	file, err := os.Open(path) //nolint:gosec // The path is made of a folder that the caller names and a fixed name.
	if err != nil {
		return State{}, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return State{}, err
	}
	if err := trustworthy(info); err != nil {
		return State{}, err
	}
	body, err := io.ReadAll(io.LimitReader(file, maxStateBytes))
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(body, &s); err != nil {
		return State{}, fmt.Errorf("not a dev state: %w", err)
	}
	for _, address := range []string{s.URL, s.TokenURL} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return State{}, fmt.Errorf("not a dev state: %q is no http address", address)
		}
	}
	s.URL = strings.TrimRight(s.URL, "/")
	return s, nil
}

func searchDirs(dataDir string) []string {
	var dirs []string
	for _, dir := range append([]string{dataDir, DefaultDataDir}, userDirs()...) {
		if dir == "" {
			continue
		}
		if absolute, err := filepath.Abs(dir); err == nil {
			dir = absolute
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// userDirs lists the folders that may hold the user's copy, the preferred one first. None need exist.
func userDirs() []string {
	var dirs []string
	if cache, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(cache, "rastro"))
	}
	return append(dirs, filepath.Join(os.TempDir(), "rastro-"+strconv.Itoa(os.Getuid())))
}

// userDir makes and returns the folder for the user's copy. The temporary folder is everybody's, so a folder there counts
// only when it is ours, closed to others, and no link.
func userDir() (string, error) {
	var errs []error
	for _, dir := range userDirs() {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			var info os.FileInfo
			if info, err = os.Lstat(dir); err == nil {
				err = trustworthy(info)
			}
			if err == nil && !info.IsDir() {
				err = errors.New("not a folder")
			}
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", dir, err))
	}
	return "", errors.Join(errs...)
}
