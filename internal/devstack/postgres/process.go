package postgres

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running server.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // how it ended; to be read after done is closed
}

// startProcess starts cmd. The thread that starts it is kept as long as it runs, because on Linux the death of that very
// thread is what tells the server that its parent is gone.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with this goroutine.
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		if p.err = cmd.Wait(); p.err == nil {
			p.err = errors.New("it shut down")
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// stop ends the server: fast, then at once, then by force. It takes at most until ctx ends and some seconds.
func (p *process) stop(ctx context.Context) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{fastShutdown, 10 * time.Second}, {immediateShutdown, 5 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		select {
		case <-p.done: // Its pid may be another process's by now.
			return nil
		default:
		}
		if err := signal(p.pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal PostgreSQL: %w", err)
		}
		timeout := time.NewTimer(step.wait)
		select {
		case <-p.done:
			timeout.Stop()
			return nil
		case <-timeout.C:
		case <-ctx.Done():
			timeout.Stop()
			ctx = context.WithoutCancel(ctx) //nolint:fatcontext // once: it cannot end any more. No time left for patience: the next step is rougher, and gets its own time.
		}
	}
	return fmt.Errorf("PostgreSQL (process %d) does not end", p.pid)
}
