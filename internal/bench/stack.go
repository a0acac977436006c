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
	"strings"
	"syscall"
	"time"
)

// stack is the rastro under measurement.
type stack struct {
	url, token string
	ready      time.Duration
	cmd        *exec.Cmd
	exited     chan struct{}
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
	cmd.Env = append(os.Environ(), "RASTRO_LOG_LEVEL=error")
	if err := os.MkdirAll(data, 0o711); err != nil { //nolint:gosec // as dataFolder says
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	log, err := os.Create(filepath.Join(data, "rastro.log")) //nolint:gosec // a file of our own
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	s := &stack{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended shows in what it failed to do
		close(s.exited)
	}()
	if s.url, err = s.await(ctx, filepath.Join(data, "dev.json")); err != nil {
		s.stop()
		said, _ := os.ReadFile(log.Name()) // the error says enough without
		return nil, fmt.Errorf("%w\n%s", err, said[max(0, len(said)-2000):])
	}
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
func (s *stack) await(ctx context.Context, path string) (string, error) {
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return "", ctx.Err()
		case <-s.exited:
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
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// do sends a request and returns the answer's status and body.
func (s *stack) do(ctx context.Context, client *http.Client, method, path, body string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
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
