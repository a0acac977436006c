package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	goodEvent   = `{"event_id":"%d","correlation_id":"BAG-%[1]d","timestamp":"2026-06-20T10:00:00Z","payload":{"n":1.50}}`
	badEvent    = `{"event_id":"%d","correlation_id":"BAG-%[1]d"}`
	cloudEvent  = `{"specversion":"1.0","id":"%d","source":"/x","type":"t","time":"2026-06-20T10:00:00Z"}`
	prettyEvent = "{\n  \"event_id\": \"%d\",\n  \"timestamp\": \"2026-06-20T10:00:00Z\"\n}\n"
)

// eventLines makes n events, one a line; those for which isBad holds lack their timestamp.
func eventLines(n int, isBad func(i int) bool) string {
	var out strings.Builder
	for i := range n {
		form := goodEvent
		if isBad != nil && isBad(i) {
			form = badEvent
		}
		fmt.Fprintf(&out, form+"\n", i)
	}
	return out.String()
}

func TestSendForms(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		media   []string
		events  int
	}{
		"ndjson":                {eventLines(3, nil), []string{mediaNDJSON}, 3},
		"ndjson, no last line":  {strings.TrimSpace(eventLines(3, nil)), []string{mediaNDJSON}, 3},
		"ndjson, CRLF and gaps": {"\n\n" + strings.ReplaceAll(eventLines(3, nil), "\n", "\r\n\r\n"), []string{mediaNDJSON}, 3},
		"byte order mark":       {"\xef\xbb\xbf" + eventLines(2, nil), []string{mediaNDJSON}, 2},
		"array":                 {"[" + fmt.Sprintf(goodEvent, 1) + ",\n" + fmt.Sprintf(goodEvent, 2) + "]\n", []string{mediaJSON}, 2},
		"array of one":          {" [" + fmt.Sprintf(goodEvent, 1) + "]", []string{mediaJSON}, 1},
		"one object":            {fmt.Sprintf(prettyEvent, 1), []string{mediaJSON}, 1},
		"objects over lines":    {fmt.Sprintf(prettyEvent+prettyEvent, 1, 2), []string{mediaJSON}, 2},
		"cloud event":           {fmt.Sprintf(cloudEvent, 1), []string{mediaCloudEvent}, 1},
		"cloud events":          {fmt.Sprintf("["+cloudEvent+","+cloudEvent+"]", 1, 2), []string{mediaCloudEventsBatch}, 2},
		"cloud events, lines":   {fmt.Sprintf(cloudEvent+"\n"+cloudEvent+"\n", 1, 2), []string{mediaCloudEventsBatch}, 2},
		"mixed":                 {fmt.Sprintf(goodEvent+"\n"+cloudEvent+"\n"+goodEvent+"\n", 1, 2, 3), []string{mediaNDJSON, mediaCloudEvent, mediaNDJSON}, 3},
		"says specversion only": {`{"timestamp":"2026-06-20T10:00:00Z","payload":"\"specversion\""}`, []string{mediaNDJSON}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeAPI(t)
			s.run(t)
			for _, args := range [][]string{{writeFile(t, "events", c.content)}, {"-"}, {}} {
				s.forget()
				got := testRun{in: strings.NewReader(c.content)}.do(t, append([]string{"send", "--parallel", "1"}, args...)...)
				require.Zero(t, got.code, "%v %s", got.failure, got.out)
				var media []string
				events := 0
				for _, r := range s.received() {
					media = append(media, r.media)
					events += len(r.events)
				}
				require.Equal(t, c.media, media)
				require.Equal(t, c.events, events)
				require.Contains(t, got.out, fmt.Sprintf(": %d accepted, 0 rejected\n", c.events))
			}
		})
	}
}

func TestSendKeepsBytes(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	event := `{"timestamp":"2026-06-20T10:00:00Z", "payload":{"n":1.50,"n":12345678901234567890,"s":"\u00e9"}}`
	require.Zero(t, testRun{in: strings.NewReader("[" + event + ", " + event + "]")}.do(t, "send").code)
	require.Equal(t, "["+event+","+event+"]", s.received()[0].body)
}

func TestSendCutsRequests(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	got := testRun{in: strings.NewReader(eventLines(1050, nil))}.do(t, "send", "--batch", "100", "--parallel", "3")
	require.Zero(t, got.code)
	sizes, ids := map[int]int{}, map[any]bool{}
	for _, r := range s.received() {
		sizes[len(r.events)]++
		for _, e := range r.events {
			ids[e["event_id"]] = true
		}
	}
	require.Equal(t, map[int]int{100: 10, 50: 1}, sizes)
	require.Len(t, ids, 1050)

	s.forget()
	large := fmt.Sprintf(`{"timestamp":"2026-06-20T10:00:00Z","payload":%q}`+"\n", strings.Repeat("x", 300<<10))
	require.Zero(t, testRun{in: strings.NewReader(strings.Repeat(large, 7))}.do(t, "send").code)
	require.Len(t, s.received(), 3, "a request is about a megabyte, whatever the number of its events")
}

func TestSendIsBounded(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	release := make(chan struct{})
	var inFlight, most atomic.Int64
	s.before = func(_ int, _ http.ResponseWriter, _ *http.Request) bool {
		most.Store(max(most.Load(), inFlight.Add(1)))
		<-release
		inFlight.Add(-1)
		return false
	}
	in := &counter{in: strings.NewReader(eventLines(50_000, nil))}
	done := make(chan ran)
	go func() { done <- testRun{in: in}.do(t, "send", "--batch", "10", "--parallel", "4") }()
	require.Eventually(t, func() bool { return inFlight.Load() == 4 }, 10*time.Second, time.Millisecond)
	require.Less(t, in.read(), int64(256<<10), "reading waits for the answers")
	close(release)
	got := <-done
	require.Zero(t, got.code)
	require.EqualValues(t, 4, most.Load())
	require.Contains(t, got.out, "50,000 accepted")
}

type counter struct {
	in io.Reader
	n  atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counter) read() int64 { return c.n.Load() }

func TestSendReportsRejections(t *testing.T) {
	noLeaks(t)
	report := testdata(t, "send-report.txt") // before the test goes elsewhere
	s := newFakeAPI(t)
	s.run(t)
	bags := writeFile(t, "bags.ndjson", eventLines(1000, func(i int) bool { return i%100 == 7 })+"{not json}\n"+eventLines(1, nil))
	array := writeFile(t, "array.json", "["+fmt.Sprintf(goodEvent, 1)+","+fmt.Sprintf(badEvent, 2)+"]")
	broken := writeFile(t, "broken.json", "["+fmt.Sprintf(goodEvent, 1)+",\n{\"event_id\": }]")
	all := writeFile(t, "all-bad.ndjson", eventLines(3, func(int) bool { return true }))
	text := writeFile(t, "bsm.txt", "BSM\n.V/1LLIM\n")
	empty := writeFile(t, "empty.ndjson", "\n")
	got := testRun{}.do(t, "send", "--parallel", "2", bags, array, broken, all, text, empty)
	require.Equal(t, exitRejected, got.code)
	require.Empty(t, got.failure.Error(), "all is said in the report")
	require.Empty(t, got.err)
	golden(t, report, got.out)

	var summary struct {
		Accepted, Rejected int
		Results            []eventResult
		Unread             []unreadFile
		Seconds            float64
		Rate               float64 `json:"events_per_second"`
	}
	got = testRun{}.do(t, "send", "--json", bags, array, broken, all, text, empty)
	require.Equal(t, exitRejected, got.code)
	require.NoError(t, json.Unmarshal([]byte(got.out), &summary), got.out)
	require.Equal(t, 993, summary.Accepted)
	require.Equal(t, 16, summary.Rejected)
	require.Len(t, summary.Results, 993+16)
	require.Equal(t, eventResult{File: "bags.ndjson", Index: 0, Line: 1, UID: "uid-0", Status: "accepted"}, summary.Results[0])
	require.Equal(t, eventResult{File: "bags.ndjson", Index: 7, Line: 8, Status: "rejected", Errors: []reason{
		{Field: "timestamp", Code: "required", Message: "timestamp is missing"},
	}}, summary.Results[7])
	require.Equal(t, 1001, summary.Results[1000].Line)
	require.Equal(t, "malformed_json", summary.Results[1000].Errors[0].Code)
	require.Equal(t, []unreadFile{{File: "bsm.txt", Error: summary.Unread[0].Error}}, summary.Unread)
	require.InDelta(t, 2, summary.Seconds, 0)
	require.InDelta(t, 504.5, summary.Rate, 0)
}

func TestSendNothing(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	got := testRun{}.do(t, "send")
	require.Zero(t, got.code)
	require.Equal(t, "0 events in 2s: 0 accepted, 0 rejected\n", got.out)
	got = testRun{}.do(t, "send", "--json")
	require.JSONEq(t, `{"results":[],"accepted":0,"rejected":0,"seconds":2,"events_per_second":0}`, got.out)
	require.Empty(t, s.received())
}

func TestSendPlacesOfSpreadObjects(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	got := testRun{in: strings.NewReader("\n" + fmt.Sprintf(prettyEvent+prettyEvent, 1, 2) + "{\n  \"event_id\": oops\n}\n")}.do(t, "send")
	require.Equal(t, exitRejected, got.code)
	require.Contains(t, got.out, "2 accepted, 1 rejected")
	require.Contains(t, got.out, "stdin:11")
}

func TestSendRefusedFormats(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	for content, begins := range map[string]string{
		"BSM\n.V/1LLIM": `"BSM"`, "FSU/14\n045-12345675LIMMIA": `"FSU/14"`, "<xml/>": `"<xml/>"`, "\x1f\x8b\x08\x00": "the bytes 1f 8b 08 00",
		"42": `"42"`,
	} {
		got := testRun{in: strings.NewReader(content)}.do(t, "send")
		require.Equal(t, exitRejected, got.code)
		require.Contains(t, got.out, "stdin: not a format this endpoint takes")
		require.Contains(t, got.out, begins)
	}
	require.Empty(t, s.received())
}

func TestSendUsage(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	require.NoError(t, os.Mkdir("folder", 0o750))
	one := writeFile(t, "one.json", fmt.Sprintf(goodEvent, 1))
	for name, args := range map[string][]string{
		"is a folder; name the files in it": {one, "folder"}, "no such file": {one, "absent.json"}, "--batch": {"--batch", "0"},
		"--parallel": {"--parallel", "0"}, "--retry-for": {"--retry-for", "-1s"},
	} {
		got := testRun{}.do(t, append([]string{"send"}, args...)...)
		require.Equal(t, exitUsage, got.code, name)
		require.ErrorContains(t, got.failure, name)
	}
	require.Empty(t, s.received(), "nothing is sent before all is clear")
}

func TestSendTriesAgain(t *testing.T) {
	noLeaks(t)
	for name, answer := range map[string]func(w http.ResponseWriter){
		"429 with Retry-After": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusTooManyRequests, "rate-limit", "Too fast.", nil)
		},
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"dropped connection": func(w http.ResponseWriter) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = connection.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeAPI(t)
			s.run(t)
			var mu sync.Mutex
			var at []time.Time
			s.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
				if n <= 2 {
					answer(w)
				}
				return n <= 2
			}
			got := testRun{in: strings.NewReader(eventLines(5, nil))}.do(t, "send")
			require.Zero(t, got.code, got.failure)
			require.Contains(t, got.out, "5 accepted")
			require.Len(t, s.received(), 3)
			require.Equal(t, 1, strings.Count(got.err, "trying again"), got.err)
			if strings.HasPrefix(name, "429") {
				require.GreaterOrEqual(t, at[1].Sub(at[0]), time.Second)
				require.GreaterOrEqual(t, at[2].Sub(at[1]), time.Second)
			}
		})
	}
}

func TestSendGivesUp(t *testing.T) {
	noLeaks(t)
	s := newFakeAPI(t)
	s.run(t)
	s.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 2 {
			w.Header().Set("Retry-After", "3600")
			writeProblem(w, http.StatusServiceUnavailable, "unavailable", "The broker is away.", nil)
		}
		return n > 2
	}
	in := strings.NewReader(eventLines(100, nil))
	got := testRun{in: in}.do(t, "send", "--batch", "10", "--parallel", "1", "--retry-for", "1s")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "503 Service Unavailable: The broker is away.")
	require.ErrorContains(t, got.failure, "it is not known whether they were accepted")
	require.Contains(t, got.out, "20 accepted, 0 rejected")

	another := newFakeAPI(t) // what the first still had in flight does not count
	another.run(t)
	another.before = s.before
	got = testRun{in: strings.NewReader(eventLines(100, nil))}.do(t, "send", "--json", "--batch", "10", "--parallel", "1", "--retry-for", "0")
	require.Equal(t, exitUnreachable, got.code)
	var report map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.out), &report))
	require.InDelta(t, 20, report["accepted"], 0)
	require.Contains(t, report["error"], "503")
	require.Positive(t, report["unknown"])
}

func TestSendToNobody(t *testing.T) {
	home(t)
	got := testRun{in: strings.NewReader(eventLines(1, nil))}.do(t, "send", "--url", "http://127.0.0.1:1", "--token", "x", "--retry-for", "0")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "cannot reach http://127.0.0.1:1")
}

func TestSendInterrupted(t *testing.T) {
	noLeaks(t)
	s := newFakeAPI(t)
	s.run(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.before = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}
	got := testRun{in: strings.NewReader(eventLines(1000, nil)), ctx: ctx}.do(t, "send", "--batch", "10")
	require.Equal(t, exitFailure, got.code)
	require.ErrorIs(t, got.failure, context.Canceled)
	require.Contains(t, got.out, "0 accepted")
}

// Input that never comes does not keep the command from ending.
func TestSendInterruptedWhileItWaitsForInput(t *testing.T) {
	noLeaks(t)
	s := newFakeAPI(t)
	s.run(t)
	ctx, cancel := context.WithCancel(t.Context())
	in, feed := io.Pipe()
	defer func() { require.NoError(t, feed.Close()) }()
	done := make(chan ran)
	go func() { done <- testRun{in: in, ctx: ctx}.do(t, "send", "--batch", "1") }()
	_, err := io.WriteString(feed, eventLines(1, nil))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.received()) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	got := <-done
	require.Equal(t, exitFailure, got.code)
	require.ErrorIs(t, got.failure, context.Canceled)
}

func TestSendSplitsWhatIsTooLarge(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	s.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		last := s.received()
		body := last[len(last)-1].body
		if strings.Count(body, "event_id") <= 3 && !strings.Contains(body, "BAG-4") {
			return false
		}
		writeProblem(w, http.StatusRequestEntityTooLarge, "too-large", "The body is too large.", nil)
		return true
	}
	got := testRun{in: strings.NewReader(eventLines(10, nil))}.do(t, "send", "--parallel", "1")
	require.Equal(t, exitRejected, got.code, got.failure)
	require.Contains(t, got.out, "9 accepted, 1 rejected")
	require.Contains(t, got.out, "The body is too large. (too-large)\n      stdin:5\n")
}

func TestSendRefusedRequests(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	s.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			writeProblem(w, http.StatusBadRequest, "malformed", "The body cannot be read.", map[string]any{
				"errors": []map[string]any{{"index": 1, "field": "payload", "code": "too_deep", "message": "nests too deep"}}})
		case 2:
			writeProblem(w, http.StatusForbidden, "other-tenant", "The token is for tenant talma-pe.", map[string]any{
				"errors": []map[string]any{{"index": 1, "field": "tenant_id", "code": "other_tenant", "message": "is not the tenant of the token"}}})
		case 3:
			writeProblem(w, http.StatusInternalServerError, "internal", "Something went wrong.", map[string]any{"instance": "req-7"})
		default:
			_, _ = io.WriteString(w, `<html>hello</html>`)
		}
		return true
	}
	got := testRun{in: strings.NewReader(eventLines(2, nil))}.do(t, "send")
	require.Equal(t, exitRejected, got.code)
	require.Contains(t, got.out, "The body cannot be read. (malformed)\n      stdin:1\n")
	require.Contains(t, got.out, "payload: nests too deep (too_deep)\n      stdin:2\n")

	got = testRun{in: strings.NewReader(eventLines(2, nil))}.do(t, "send")
	require.Equal(t, exitUnreachable, got.code)
	require.ErrorContains(t, got.failure, "stdin:2: the server answers 403")

	got = testRun{in: strings.NewReader(eventLines(2, nil))}.do(t, "send")
	require.Equal(t, exitFailure, got.code)
	require.ErrorContains(t, got.failure, "[instance req-7]")

	got = testRun{in: strings.NewReader(eventLines(2, nil))}.do(t, "send")
	require.Equal(t, exitFailure, got.code)
	require.ErrorContains(t, got.failure, "not its API's")
}

func TestSendDrawsABarOnATerminalOnly(t *testing.T) {
	s := newFakeAPI(t)
	s.run(t)
	events := writeFile(t, "events.ndjson", eventLines(500, nil))
	got := testRun{tty: terminals{err: true}}.do(t, "send", events)
	require.Zero(t, got.code)
	require.Contains(t, got.err, "accepted")
	require.NotContains(t, got.out, "\r")
	require.Empty(t, testRun{tty: terminals{out: true}}.do(t, "send", events).err)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 15, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0, "Sat, 20 Jun 2026 15:04:15 GMT": 10 * time.Second,
		"Sat, 20 Jun 2026 15:04:00 GMT": 0, "99999999": 24 * time.Hour,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		require.Equal(t, want, thousands(n))
	}
}
