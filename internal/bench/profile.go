package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// profile has rastro watch itself for a time and writes what it saw, as pprof reads it, to a file. What it returns waits for that.
func (s *stack) profile(ctx context.Context, path string, during time.Duration) (wait func()) {
	var watching sync.WaitGroup
	watching.Go(func() {
		where := fmt.Sprintf("/api/v1/debug/pprof/profile?seconds=%d", max(1, int(during.Seconds())))
		status, body, err := s.do(ctx, &http.Client{Timeout: during + time.Minute}, http.MethodGet, where, "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("answered %d: %.300s", status, body)
		}
		if err == nil {
			err = os.WriteFile(path, body, 0o600)
		}
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench: no profile:", err)
		}
	})
	return watching.Wait
}
