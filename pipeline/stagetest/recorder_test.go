package stagetest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// recorder is a testing.TB that writes down how a check ends instead of failing the test.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	messages []string
}

// record runs a check and returns what it says is wrong.
func record(t *testing.T, c check, e *exerciser) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // Fatalf ends the goroutine that it is called on
		defer close(done)
		c.run(r, e)
	}()
	<-done
	return strings.Join(r.messages, "\n")
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
