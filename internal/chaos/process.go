package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rastrohq/rastro/internal/crash"
)

// The roles as `rastro serve` names them.
const (
	roleIngest    = "ingest"
	roleProcessor = "processor"
	roleQuery     = "query"
)

// seat is where processes of one role follow one another, at one address: as soon as one has died the next one starts.
type seat struct {
	name, role, url string
	fleet           *fleet
	asked           atomic.Int64 // requests of the load that it has not answered

	mu      sync.Mutex
	cmd     *exec.Cmd
	killed  bool        // the present process was killed by us
	point   crash.Point // where the present process crashes; empty for nowhere
	leaving bool        // no further process is to follow
	done    chan struct{}
}

// fleet is all processes.
type fleet struct {
	stack *stack
	seats []*seat

	mu sync.Mutex
	// binary is what is started next, and crashing says that it is to kill itself.
	binary   string
	crashing bool
	kills    map[string]int // by role
	crashes  map[crash.Point]int
	restarts int
	deaths   []string // of processes that ended by themselves
}

// launch starts a process in each seat. Addresses are chosen once: a process that follows another must be found where that was.
func launch(ctx context.Context, s *stack, binary string, processors int) (*fleet, error) {
	f := &fleet{stack: s, binary: binary, kills: map[string]int{}, crashes: map[crash.Point]int{}}
	roles := append([]string{roleIngest, roleIngest, roleQuery}, slices.Repeat([]string{roleProcessor}, processors)...)
	numbers := map[string]int{}
	for _, role := range roles {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		numbers[role]++
		f.seats = append(f.seats, &seat{
			name: fmt.Sprintf("%s-%d", role, numbers[role]), role: role, url: "http://" + address, fleet: f, done: make(chan struct{}),
		})
	}
	for _, seat := range f.seats {
		go seat.keep()
	}
	for _, seat := range f.seats {
		if err := seat.await(ctx); err != nil {
			f.stop()
			return nil, err
		}
	}
	return f, nil
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// of returns the seats of roles.
func (f *fleet) of(roles ...string) []*seat {
	return slices.DeleteFunc(slices.Clone(f.seats), func(s *seat) bool { return !slices.Contains(roles, s.role) })
}

// keep starts one process after the other until the seat is left.
func (s *seat) keep() {
	defer close(s.done)
	log, err := os.OpenFile(filepath.Join(s.fleet.stack.dir, s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.fleet.died(s.name, err)
		return
	}
	defer func() { _ = log.Close() }() // nobody reads on
	for {
		cmd, err := s.start(log)
		if cmd == nil && err == nil {
			return
		}
		if err == nil {
			err = cmd.Wait()
		}
		if s.ended(cmd, err) {
			continue
		}
		// It ended by itself, which is a fault; there is no use in doing so a thousand times a second.
		<-time.After(250 * time.Millisecond)
	}
}

// start starts a process, unless the seat is to be left: then it returns nothing.
func (s *seat) start(log io.Writer) (*exec.Cmd, error) {
	binary, point := s.fleet.next(s.role)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return nil, nil //nolint:nilnil // see above
	}
	cmd := exec.Command(binary, "serve", s.role) //nolint:gosec,noctx // the binary is what we were asked to try; stop ends it
	cmd.Env = append(os.Environ(), s.fleet.stack.env...)
	cmd.Env = append(cmd.Env, "RASTRO_LISTEN="+s.url[len("http://"):])
	if point != "" {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s:%g", crash.Variable, point, oddsOf(point)))
	}
	cmd.Stdout, cmd.Stderr = log, log
	s.cmd, s.killed, s.point = cmd, false, point
	if err := cmd.Start(); err != nil {
		s.cmd = nil
		return nil, fmt.Errorf("start: %w", err)
	}
	return cmd, nil
}

// ended notes how a process ended. It reports whether it ended as it was meant to.
func (s *seat) ended(cmd *exec.Cmd, err error) bool {
	s.mu.Lock()
	killed, point, leaving := s.killed, s.point, s.leaving
	s.cmd = nil
	s.mu.Unlock()
	var status syscall.WaitStatus
	if cmd != nil && cmd.ProcessState != nil {
		status, _ = cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
	switch {
	case killed:
		return true
	case point != "" && status.Signaled() && status.Signal() == syscall.SIGKILL:
		s.fleet.crashed(point)
		return true
	case leaving && (err == nil || status.Signaled() && status.Signal() == syscall.SIGTERM): // which it may not have heeded yet
		return true
	}
	s.fleet.died(s.name, err)
	return false
}

// busy waits for a moment in which an ingest has a request in hand: killed between two, it has nothing to lose.
func (s *seat) busy(ctx context.Context) {
	if s.role != roleIngest {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for s.asked.Load() == 0 {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// kill kills the present process as `kill -9` does. It returns false when there is none just now.
func (s *seat) kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.killed {
		return false
	}
	s.killed = true
	_ = s.cmd.Process.Kill() // it may have ended this very moment
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	s.fleet.kills[s.role]++
	return true
}

// await waits until the seat's process is ready.
func (s *seat) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", s.name, err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s is not ready", s.name), ctx.Err(), err)
		}
	}
}

// use has processes run another binary from their next start on.
func (f *fleet) use(binary string, crashing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.binary, f.crashing = binary, crashing
}

// next says what to start next in a seat: the binary, and the point at which it crashes, of which there were the fewest crashes.
func (f *fleet) next(role string) (string, crash.Point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restarts++
	if !f.crashing {
		return f.binary, ""
	}
	var chosen crash.Point
	for _, point := range pointsOf(role) {
		if chosen == "" || f.crashes[point]+f.assigned(point) < f.crashes[chosen]+f.assigned(chosen) {
			chosen = point
		}
	}
	return f.binary, chosen
}

// assigned counts the processes that are to crash at a point and have not yet. What it reads of a seat may change meanwhile, which
// makes the choice less even and nothing else.
func (f *fleet) assigned(point crash.Point) int {
	n := 0
	for _, s := range f.seats {
		if s.mu.TryLock() {
			if s.cmd != nil && s.point == point {
				n++
			}
			s.mu.Unlock()
		}
	}
	return n
}

func (f *fleet) crashed(point crash.Point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashes[point]++
}

func (f *fleet) died(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaths = append(f.deaths, fmt.Sprintf("%s ended by itself: %v", name, err))
}

// killed returns how many processes were killed so far, and leastCrashed how often the point was crashed at that was so least.
func (f *fleet) killed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, kills := range f.kills {
		n += kills
	}
	return n
}

func (f *fleet) leastCrashed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	least := -1
	for _, point := range crash.Points() {
		if n := f.crashes[point]; least < 0 || n < least {
			least = n
		}
	}
	return least
}

// stop ends all processes, well if they do so in time.
func (f *fleet) stop() {
	for _, s := range f.seats {
		s.mu.Lock()
		s.leaving = true
		if s.cmd != nil {
			_ = s.cmd.Process.Signal(syscall.SIGTERM) // or it has ended
		}
		s.mu.Unlock()
	}
	late := time.AfterFunc(30*time.Second, func() {
		for _, s := range f.seats {
			s.mu.Lock()
			if s.cmd != nil {
				_ = s.cmd.Process.Kill()
			}
			s.mu.Unlock()
		}
	})
	defer late.Stop()
	for _, s := range f.seats {
		<-s.done
	}
}

// pointsOf returns where processes of a role crash.
func pointsOf(role string) []crash.Point {
	switch role {
	case roleIngest:
		return []crash.Point{crash.Received, crash.Accepted}
	case roleProcessor:
		return []crash.Point{crash.Claimed, crash.Committed, crash.Published, crash.Settled, crash.Buried}
	default:
		return nil
	}
}

// oddsOf says how probable it is to crash each time that a point is passed: such that a process under load lives for a second or
// two. Dead letters are few, and there are more processors than ingests.
func oddsOf(point crash.Point) float64 {
	switch point {
	case crash.Buried:
		return 0.7
	case crash.Received, crash.Accepted:
		return 0.03
	default:
		return 0.1
	}
}
