package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stack is the rastro under measurement.
type stack struct {
	url, token string
	ready      time.Duration
	// watched are the processes that are measured, telling where their metrics are.
	watched []*process
	telling []string
	// beside are processes of rastro that are not; where there are any, PostgreSQL is not below a watched one but below this process.
	beside []*process
}

// process is a running rastro.
type process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// launch starts a process, which logs to a file of a folder.
func launch(cmd *exec.Cmd, folder, name string) (*process, error) {
	p := &process{cmd: cmd, log: filepath.Join(folder, name+".log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd.Stderr = log
	cmd.Env = append(append(os.Environ(), "RASTRO_LOG_LEVEL=error"), cmd.Env...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in what it failed to do
		close(p.exited)
	}()
	return p, nil
}

// said returns the end of what the process logged, for an error.
func (p *process) said() []byte {
	said, _ := os.ReadFile(p.log) // the error says enough without
	return said[max(0, len(said)-2000):]
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// dataFolder makes a folder for what is measured. Others may pass through it: PostgreSQL refuses to run as root, and what its user could not
// reach would be kept elsewhere, and outlast the folder.
func dataFolder() (string, error) {
	dir, err := os.MkdirTemp("", "rastro-bench-")
	if err == nil {
		err = os.Chmod(dir, 0o711) //nolint:gosec // as said
	}
	if err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	return dir, nil
}

// startStack runs `rastro dev` on a free port with the data folder, and asks it for a token.
func startStack(ctx context.Context, binary, data string, args ...string) (*stack, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("find binary: %w", err)
	}
	start := time.Now()
	cmd := exec.Command(binary, append([]string{"dev", "--data", data, "--listen", "127.0.0.1:0", "--simulate", "off"}, args...)...) //nolint:gosec,noctx // the binary is what we were asked to measure; stop ends it
	if err := os.MkdirAll(data, 0o711); err != nil {                                                                                 //nolint:gosec // as dataFolder says
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	address := filepath.Join(data, "dev.json")
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove what another run left: %w", err)
	}
	p, err := launch(cmd, data, "rastro")
	if err != nil {
		return nil, err
	}
	s := &stack{watched: []*process{p}}
	if s.url, err = p.await(ctx, address); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, p.said())
	}
	s.telling = []string{s.url}
	s.ready = time.Since(start)
	out, err := exec.CommandContext(ctx, binary, "token", "--data", data, "--role", "events:write,traces:read,ops:read,ops:write").Output() //nolint:gosec // as above
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("get token: %w", err)
	}
	s.token = strings.TrimSpace(string(out))
	return s, nil
}

// await returns the address once the process has written it and is ready.
func (p *process) await(ctx context.Context, path string) (string, error) {
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return "", ctx.Err()
		case <-p.exited:
			return "", errors.New("rastro dev ended before it was ready")
		case <-deadline.C:
			return "", errors.New("rastro dev is not ready after 90 s")
		}
		body, err := os.ReadFile(path) //nolint:gosec // a file of our own data folder
		if err != nil {
			continue
		}
		var state struct {
			URL string `json:"url"`
		}
		if err := json.Unmarshal(body, &state); err == nil && state.URL != "" {
			return state.URL, nil
		}
	}
}

func (s *stack) stop() {
	for _, p := range append(slices.Clone(s.beside), s.watched...) {
		p.stop()
	}
}

// do sends a request and returns the answer's status and body.
func (s *stack) do(ctx context.Context, client *http.Client, method, path, body string) (int, []byte, error) {
	return s.ask(ctx, client, method, s.url+path, body)
}

func (s *stack) ask(ctx context.Context, client *http.Client, method, url, body string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, errors.Join(err, response.Body.Close())
}
