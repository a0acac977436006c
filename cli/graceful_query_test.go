package cli

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/problem"
)

// ask sends a request to a process with the cluster's token. The caller must close the body of the answer.
func (s *serving) ask(ctx context.Context, client *http.Client, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.c.token)
	return client.Do(request)
}

// watch opens a live stream, reads what was before, and returns a channel that says how the stream ended: nil when its end came.
func (s *serving) watch() <-chan error {
	t := s.c.t
	t.Helper()
	response, err := s.ask(t.Context(), &http.Client{Transport: &http.Transport{}}, "/api/v1/stream") //nolint:bodyclose // closed when the stream has ended
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	lines := bufio.NewReader(response.Body)
	for line := ""; !strings.HasPrefix(line, "event: history"); {
		line, err = lines.ReadString('\n')
		require.NoError(t, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, lines)
		_ = response.Body.Close()
		ended <- err
	}()
	return ended
}

// Invariant 12 for those that watch and ask: a process that is told to stop ends its live streams at once, so that they come back
// at another, takes no new ones, goes on answering whatever else it is asked, also what takes long, and ends.
func TestQueryAndDashboardStopWithoutFailingAnyRequest(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const delay = 9 * time.Second
	s := c.spawn([]string{"RASTRO_SHUTDOWN_DELAY=" + delay.String(), "RASTRO_SHUTDOWN_TIMEOUT=20s"}, roleQuery, roleDashboard)
	require.NoError(t, c.database.Delay(100*time.Millisecond)) // so that requests are in hand
	streams := []<-chan error{s.watch(), s.watch(), s.watch()}

	var failed sync.Map
	var answered atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers sync.WaitGroup
	for _, path := range []string{"/api/v1/trace/UNKNOWN", "/api/v1/trace/UNKNOWN", "/api/v1/stats", "/api/v1/me", "/"} {
		readers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				response, err := s.ask(context.WithoutCancel(ctx), client, path)
				if err != nil {
					failed.Store(path+": "+err.Error(), true)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotFound {
					failed.Store(path+": "+response.Status, err)
				}
				answered.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return answered.Load() > 50 }, 30*time.Second, 10*time.Millisecond)

	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	told := time.Now()
	for _, ended := range streams {
		select {
		case err := <-ended:
			require.NoError(t, err, "a stream ends, it does not break")
		case <-time.After(delay / 2):
			require.Fail(t, "a stream goes on while the process stops", s.words())
		}
	}
	response, err := s.ask(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: delay}, "/api/v1/stream")
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, problem.ContentType, response.Header.Get("Content-Type"))
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Equal(t, http.StatusServiceUnavailable, s.get("/readyz"))
	at := answered.Load()
	require.Eventually(t, func() bool { return answered.Load() > at+5 }, delay/2, 10*time.Millisecond, "requests are answered meanwhile")
	require.Less(t, time.Since(told), delay, "all of this is while it still takes requests")

	// Those behind a load balancer go elsewhere now; one request is in hand when listening ends.
	cancel()
	readers.Wait()
	failed.Range(func(what, _ any) bool { t.Log(what); return true })
	require.Zero(t, countOf(&failed), "requests that failed")
	require.NoError(t, c.database.Mend())
	select {
	case <-s.done:
	case <-time.After(25 * time.Second):
		require.Fail(t, "it does not stop", s.words())
	}
	require.Zero(t, s.cmd.ProcessState.ExitCode(), s.words())
}

func countOf(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}
