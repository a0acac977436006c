package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// carrierAPI answers for the carrier acme: bodies with "bad" in them are rejected.
type carrierAPI struct {
	*fakeAPI

	mu     sync.Mutex
	bodies []string
	media  []string
	// answering is called before each answer; may be nil.
	answering func(body string)
}

func newCarrierAPI(t *testing.T) *carrierAPI {
	t.Helper()
	s := &carrierAPI{fakeAPI: newFakeAPI(t)}
	mux := s.Config.Handler.(*http.ServeMux)
	mux.HandleFunc("POST /api/v1/carriers/{carrier}/events", s.take)
	s.run(t)
	return s
}

func (s *carrierAPI) take(w http.ResponseWriter, r *http.Request) {
	if !authorized(w, r) {
		return
	}
	content, _ := io.ReadAll(r.Body)
	body := string(content)
	s.mu.Lock()
	s.bodies, s.media = append(s.bodies, body), append(s.media, r.Header.Get("Content-Type"))
	answering := s.answering
	s.mu.Unlock()
	if answering != nil {
		answering(body)
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.PathValue("carrier") == "line":
		w.Header().Set("X-Rastro-Accepted", "1")
		w.Header().Set("X-Rastro-Rejected", "1")
		_, _ = io.WriteString(w, `{"feedbackElements":[{"severity":"ERROR","message":"is wrong","propertyPath":"$.events[1].eventID"}]}`)
	case r.PathValue("carrier") != "acme":
		writeProblem(w, http.StatusNotFound, "carrier-unknown", "There is no such carrier", nil)
	case body == "malformed":
		writeProblem(w, http.StatusBadRequest, "malformed", "The body cannot be read: line 1", nil)
	case strings.Contains(body, "bad"):
		w.Header().Set("X-Rastro-Accepted", "0")
		w.Header().Set("X-Rastro-Rejected", "1")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"accepted":0,"rejected":1,"results":[{"index":0,"status":"rejected","errors":[{"field":".F/2","code":"format","message":"is no date"}]}]}`)
	default:
		w.Header().Set("X-Rastro-Accepted", "2")
		w.Header().Set("X-Rastro-Rejected", "0")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"accepted":2,"rejected":0,"results":[{"index":0,"status":"accepted"},{"index":1,"status":"accepted","warnings":[{"field":"event_type","code":"unmapped_code","message":"nothing says what ZZ9 means"}]}]}`)
	}
}

func (s *carrierAPI) sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

func TestSendAsACarrier(t *testing.T) {
	s := newCarrierAPI(t)
	one, two := writeFile(t, "one.txt", "FSU/14"), writeFile(t, "two.json", "bad")
	got := testRun{}.do(t, "send", "--carrier", "acme", one)
	require.Zero(t, got.code, got.failure)
	require.Equal(t, one+": 2 accepted, 0 rejected\n  [1] warning: event_type: nothing says what ZZ9 means (unmapped_code)\n", got.out)
	got = testRun{}.do(t, "send", "--carrier", "acme", one, two)
	require.Equal(t, exitRejected, got.code)
	require.Contains(t, got.out, two+": 0 accepted, 1 rejected\n  [0] error: .F/2: is no date (format)\n2 files: 2 accepted, 1 rejected\n")
	require.Equal(t, []string{"text/plain", "text/plain", "application/json"}, s.media)
	got = testRun{in: strings.NewReader("malformed")}.do(t, "send", "--carrier", "acme", "--content-type", "text/x", "-")
	require.Equal(t, exitRejected, got.code)
	require.Contains(t, got.out, "stdin: 0 accepted, 0 rejected\n  error: ")
	require.Equal(t, "text/x", s.media[3])
	got = testRun{}.do(t, "send", "--carrier", "line", "--json", two)
	require.Equal(t, exitRejected, got.code)
	require.Contains(t, got.out, `"field": "$.events[1].eventID"`)
	require.Equal(t, exitNotFound, testRun{}.do(t, "send", "--carrier", "nobody", one).code)
	require.Equal(t, exitUsage, testRun{}.do(t, "send", "--content-type", "text/plain", one).code)
	require.Equal(t, exitUsage, testRun{}.do(t, "send", "--capture", one).code)
	require.Equal(t, exitUsage, testRun{}.do(t, "send", "--carrier", "acme", "--capture=maybe", one).code)
}

// drop is a folder that is watched.
type drop struct {
	t   *testing.T
	dir string
}

func (d drop) put(name, text string, age time.Duration) {
	file := filepath.Join(d.dir, name)
	require.NoError(d.t, os.WriteFile(file, []byte(text), 0o600))
	at := time.Now().Add(-age)
	require.NoError(d.t, os.Chtimes(file, at, at))
}

func (d drop) files(folder string) []string {
	entries, err := os.ReadDir(filepath.Join(d.dir, folder))
	require.NoError(d.t, err)
	names := []string{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func (d drop) once(want int) ran {
	d.t.Helper()
	got := testRun{}.do(d.t, "watch", d.dir, "--carrier", "acme", "--once")
	require.Equal(d.t, want, got.code, "%v %s", got.failure, got.out)
	return got
}

func TestWatchSendsEachFileOnce(t *testing.T) {
	s := newCarrierAPI(t)
	d := drop{t, t.TempDir()}
	d.put("b.txt", "second", time.Minute)
	d.put("c.txt", "first", time.Hour)
	d.put("a.txt", "a bad one", time.Second)
	d.put(".hidden", "x", time.Hour)
	d.put("half.part", "x", time.Hour)
	got := d.once(exitRejected)
	require.Equal(t, []string{"first", "second", "a bad one"}, s.sent(), "the oldest comes first")
	require.Equal(t, []string{"b.txt", "c.txt"}, d.files("done"))
	require.Equal(t, []string{"a.txt", "a.txt.answer.json"}, d.files("failed"))
	require.Equal(t, []string{"half.part"}, d.files("."))
	require.Contains(t, got.out, "done    c.txt  2 accepted, 0 rejected\n")
	require.Contains(t, got.out, "FAILED  a.txt  0 accepted, 1 rejected\n        [0] error: .F/2: is no date (format)\n")
	answer, err := os.ReadFile(filepath.Join(d.dir, "failed", "a.txt.answer.json"))
	require.NoError(t, err)
	require.Contains(t, string(answer), "is no date")

	d.put("again.txt", "first", 0)
	got = d.once(exitOK)
	require.Contains(t, got.out, "(sent before, as c.txt)")
	require.Len(t, s.sent(), 3, "the same content is not sent again")
	require.NoError(t, os.Rename(filepath.Join(d.dir, "failed", "a.txt"), filepath.Join(d.dir, "a.txt")))
	d.once(exitRejected)
	require.Len(t, s.sent(), 4, "what failed and was moved back is")
	d.put("c.txt", "another of the same name", 0)
	d.once(exitOK)
	require.Equal(t, []string{"again.txt", "b.txt", "c.txt", "c.txt.2"}, d.files("done"))
	require.Equal(t, exitNotFound, testRun{}.do(t, "watch", drop{t, d.dir}.with("x.txt", "x").dir, "--carrier", "nobody", "--once").code)
	require.Equal(t, []string{"half.part", "x.txt"}, d.files("."), "nothing is moved when nothing is known of it")
}

func (d drop) with(name, text string) drop {
	d.put(name, text, 0)
	return d
}

// Wherever a watcher is killed, what it has sent and was answered for is not sent again, and every file ends where it belongs.
func TestWatchGoesOnAfterAKill(t *testing.T) {
	s := newCarrierAPI(t)
	d := drop{t, t.TempDir()}
	d.put("a.txt", "good", time.Minute)
	d.put("b.txt", "bad", time.Minute)
	d.once(exitRejected)
	require.Len(t, s.sent(), 2)
	whole, err := os.ReadFile(filepath.Join(d.dir, journalName))
	require.NoError(t, err)
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
	require.Len(t, lines, 6)
	for cut := range len(whole) + 1 {
		if cut%17 != 0 && !strings.HasSuffix(string(whole[:cut]), "\n") {
			continue // some cuts within lines are enough
		}
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			s.mu.Lock()
			s.bodies = nil
			s.mu.Unlock()
			d := drop{t, t.TempDir()}
			kept := string(whole[:cut])
			require.NoError(t, os.WriteFile(filepath.Join(d.dir, journalName), []byte(kept), 0o600))
			complete := strings.Count(kept, "\n")
			want := []string{"good", "bad"}
			d.put("a.txt", "good", 2*time.Minute)
			if complete >= 2 { // a.txt was answered for
				want = want[1:]
			}
			d.put("b.txt", "bad", time.Minute)
			if complete == 5 { // b.txt was answered for, and is still where it was
				want = nil
			}
			d.once(exitRejected)
			require.ElementsMatch(t, want, s.sent())
			require.Equal(t, []string{"a.txt"}, d.files("done"))
			require.Equal(t, []string{"b.txt", "b.txt.answer.json"}, d.files("failed"))
		})
	}
}

func TestWatchWaitsForMore(t *testing.T) {
	s := newCarrierAPI(t)
	d := drop{t, t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	came := make(chan string, 10)
	s.mu.Lock()
	s.answering = func(body string) { came <- body }
	s.mu.Unlock()
	done := make(chan ran)
	go func() { done <- testRun{ctx: ctx}.do(t, "watch", d.dir, "--carrier", "acme", "--settle", "0s") }()
	for _, body := range []string{"one", "two", "three"} {
		part := filepath.Join(d.dir, body+".part")
		require.NoError(t, os.WriteFile(part, []byte(body), 0o600))
		require.NoError(t, os.Rename(part, filepath.Join(d.dir, body)))
		require.Equal(t, body, <-came)
	}
	second := testRun{}.do(t, "watch", d.dir, "--carrier", "acme", "--once")
	require.Equal(t, exitUsage, second.code)
	require.ErrorContains(t, second.failure, "another process watches this folder")
	require.Eventually(t, func() bool { return len(d.files("done")) == 3 }, 20*time.Second, 5*time.Millisecond)
	stop()
	require.Zero(t, (<-done).code)
}

func TestTheJournalForgets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path, time.Time{})
	require.NoError(t, err)
	now := time.Now().UTC()
	for i := range 10 {
		require.NoError(t, j.note(entry{Digest: fmt.Sprint(i), State: bodySending, At: now.Add(-time.Duration(i) * time.Hour)}))
	}
	require.NoError(t, j.close())
	j, err = openJournal(path, now.Add(-5*time.Hour))
	require.NoError(t, err)
	require.Len(t, j.last, 5)
	require.NoError(t, j.close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 5, strings.Count(string(text), "\n"))
}
