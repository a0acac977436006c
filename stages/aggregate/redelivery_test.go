package aggregate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

const modelled = `allowed_lateness: 90s, max_ahead: 24h, late: drop, key: [location.iata],
	compute: {n: count, w: sum(payload.w), hi: max(payload.w), d: distinct(payload.w), a: first(payload.name), z: last(payload.name)}, emit: {event_type: x}`

// cuts are the windows that the model tries: how long, how often and in the words of the config.
var cuts = []struct {
	length, every int64 // seconds
	config        string
}{{300, 300, "{tumbling: 5m}"}, {360, 120, "{sliding: 6m, every: 2m}"}, {250, 100, "{sliding: 250s, every: 100s}"}}

// killed is Windows of a process that dies in a call, when it is told to, after the call has done its work.
type killed struct {
	Windows
	now *bool
}

var errKilled = errors.New("killed")

func (k killed) JoinWindows(ctx context.Context, owner store.WindowOwner, now time.Time, windows []store.Window, members []store.WindowMember) ([]bool, error) {
	joined, err := k.Windows.JoinWindows(ctx, owner, now, windows, members)
	if *k.now {
		return nil, errKilled
	}
	return joined, err
}

// world is some processes that run the stage over the same windows, and what must come of it.
type world struct {
	windows      Windows
	pipelineName string
	with         string
	clock        time.Time
	kill         bool
	processes    []emitter

	length, every int64
	pool          []*tracking.Event
	// in holds for each window who is in it, by tenant, place and start.
	in map[string]map[int]bool
	// out holds what was sent, by UID, and done what is known to have been.
	out  map[uuid.UUID]*tracking.Event
	done map[uuid.UUID]bool
}

func (w *world) start(t *rapid.T) emitter {
	return newStage(t, killed{w.windows, &w.kill}, w.pipelineName, w.with, func() time.Time { return w.clock })
}

// place is the event's part of the key, as the model writes it.
func place(event *tracking.Event) string {
	if event.Location == nil {
		return "null"
	}
	return strconv.Quote(event.Location.IATA)
}

// deliver has a process settle some of the events, and takes note of who must be in which window.
func (w *world) deliver(t *rapid.T) {
	indices := rapid.SliceOfN(rapid.IntRange(0, len(w.pool)-1), 1, 12).Draw(t, "delivered")
	w.kill = rapid.IntRange(0, 4).Draw(t, "killed") == 0
	batch := make([]*tracking.Event, len(indices))
	counts := make([]bool, len(indices))
	for i, n := range indices {
		event := w.pool[n]
		batch[i] = event.Clone()
		at := event.OccurredAt.Unix()
		for start := at - at%w.every; start > at-w.length; start -= w.every {
			name := fmt.Sprintf("%s %s %d", event.TenantID, place(event), start)
			if w.clock.Unix() < start+w.length+90 {
				if w.in[name] == nil {
					w.in[name] = map[int]bool{}
				}
				w.in[name][n] = true
			}
			counts[i] = counts[i] || w.in[name][n]
		}
	}
	settled := pipeline.NewBatch(batch)
	err := rapid.SampledFrom(w.processes).Draw(t, "process").Process(context.Background(), settled)
	if w.kill {
		w.kill = false
		require.ErrorIs(t, err, errKilled)
		return
	}
	require.NoError(t, err)
	for i := range indices {
		require.Equal(t, counts[i], settled.Verdict(i).Outcome == pipeline.Pass, "event %d", indices[i])
	}
}

// due has a process send what is due, or be killed before it knows.
func (w *world) due(t *rapid.T) {
	events, sent, err := rapid.SampledFrom(w.processes).Draw(t, "process").Due(context.Background(), w.clock)
	require.NoError(t, err)
	for _, event := range events {
		require.False(t, w.done[event.UID], "what was sent is not due")
		if before, again := w.out[event.UID]; again {
			require.Equal(t, before, event, "sent again it is the same")
		}
		w.out[event.UID] = event
	}
	if rapid.Bool().Draw(t, "sent") {
		require.NoError(t, sent(context.Background()))
		for _, event := range events {
			w.done[event.UID] = true
		}
	}
}

func (w *world) restart(t *rapid.T) {
	w.processes[rapid.IntRange(0, len(w.processes)-1).Draw(t, "restarted")] = w.start(t)
}

func (w *world) wait(t *rapid.T) {
	w.clock = w.clock.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds")) * time.Second)
}

// want returns what must have been sent, by tenant, place and start.
func (w *world) want() map[string]string {
	want := map[string]string{}
	for name, in := range w.in {
		var members []*tracking.Event
		for n := range in {
			members = append(members, w.pool[n])
		}
		slices.SortFunc(members, func(a, b *tracking.Event) int {
			if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
				return c
			}
			return strings.Compare(a.UID.String(), b.UID.String())
		})
		sum, highest, different := 0, "null", map[int]bool{}
		first, last := "null", "null"
		for _, event := range members {
			var payload struct {
				W    *int
				Name string
			}
			if err := json.Unmarshal(event.Payload, &payload); err != nil {
				panic(err)
			}
			if payload.W != nil {
				sum += *payload.W
				different[*payload.W] = true
				if before, err := strconv.Atoi(highest); err != nil || *payload.W > before {
					highest = strconv.Itoa(*payload.W)
				}
			}
			if last = strconv.Quote(payload.Name); first == "null" {
				first = last
			}
		}
		at, _ := strconv.ParseInt(name[strings.LastIndexByte(name, ' ')+1:], 10, 64)
		stamp := func(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }
		want[name] = fmt.Sprintf(`{"window_start":"%s","window_end":"%s","key":{"location.iata":%s},"a":%s,"d":%d,"hi":%s,"n":%d,"w":%d,"z":%s}`,
			stamp(at), stamp(at+w.length), strings.Fields(name)[1], first, len(different), highest, len(members), sum, last)
	}
	return want
}

// events returns those that are to be delivered, over some minutes around noon.
func events(t *rapid.T) []*tracking.Event {
	pool := make([]*tracking.Event, rapid.IntRange(1, 15).Draw(t, "events"))
	for i := range pool {
		pool[i] = delivery(noon.Add(time.Duration(rapid.IntRange(-300, 900).Draw(t, "at"))*time.Second), "")
		pool[i].TenantID = rapid.SampledFrom([]string{"acme", "umbrella"}).Draw(t, "tenant")
		pool[i].Payload = json.RawMessage(fmt.Sprintf(`{"name":"e%d","w":%d}`, i, rapid.IntRange(-5, 5).Draw(t, "w")))
		if rapid.IntRange(0, 3).Draw(t, "weightless") == 0 {
			pool[i].Payload = json.RawMessage(fmt.Sprintf(`{"name":"e%d"}`, i))
		}
		switch rapid.IntRange(0, 2).Draw(t, "place") {
		case 0:
			pool[i].Location = nil
		case 1:
			pool[i].Location.IATA = "CUZ"
		}
	}
	return pool
}

// Whatever the order, repetition and batching of deliveries, whoever is killed in between and wherever, what is sent is what the
// events in each window give, computed otherwise; and an event passes if and only if it is in a window.
func TestNothingIsLostAndNothingCountsTwice(t *testing.T) {
	t.Parallel()
	for name, windows := range map[string]Windows{"memory": NewMemory(), "PostgreSQL": openStore(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			rapid.Check(t, func(t *rapid.T) {
				runs++
				cut := rapid.SampledFrom(cuts).Draw(t, "window")
				w := &world{
					windows: windows, pipelineName: fmt.Sprintf("p%d", runs), with: "window: " + cut.config + ", " + modelled, clock: noon,
					length: cut.length, every: cut.every, pool: events(t), in: map[string]map[int]bool{}, out: map[uuid.UUID]*tracking.Event{}, done: map[uuid.UUID]bool{},
				}
				w.processes = []emitter{w.start(t), w.start(t)}
				t.Repeat(map[string]func(*rapid.T){"deliver": w.deliver, "deliver more": w.deliver, "due": w.due, "restart": w.restart, "wait": w.wait})

				for range 2 * len(w.in) { // one process does not know of the windows that another took until its lease is over
					w.clock = w.clock.Add(time.Hour)
					final, sent := take(t, w.processes[0], w.clock)
					for _, event := range final {
						w.out[event.UID] = event
					}
					require.NoError(t, sent(context.Background()))
				}
				got := map[string]string{}
				for _, event := range w.out {
					var payload struct {
						Start time.Time `json:"window_start"`
						Key   map[string]json.RawMessage
					}
					require.NoError(t, json.Unmarshal(event.Payload, &payload))
					name := fmt.Sprintf("%s %s %d", event.TenantID, payload.Key["location.iata"], payload.Start.Unix())
					require.NotContains(t, got, name, "two UIDs for one window")
					got[name] = string(event.Payload)
				}
				require.Equal(t, w.want(), got)
			})
		})
	}
}

// Processes with clocks of their own deliver the same events again and again while others send: in the end just those events
// count that ever passed, each once.
func TestManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	windows := openStore(t)
	const processes, total, with = 4, 120, "window: {tumbling: 1s}, allowed_lateness: 1s, late: drop, compute: {bits: sum(payload.bit)}, emit: {event_type: x}"
	var ticks atomic.Int64
	clock := func(skew int) func() time.Time {
		return func() time.Time { return noon.Add(time.Duration(ticks.Load()+int64(skew*300)) * time.Millisecond) }
	}
	pool := make([]*tracking.Event, total) // each with a bit of its own, so that a sum tells who is in it
	for i := range pool {
		pool[i] = delivery(noon.Add(time.Duration(i*50)*time.Millisecond), fmt.Sprintf(`{"bit":%s}`, new(big.Int).Lsh(big.NewInt(1), uint(i))))
	}
	var mu sync.Mutex
	passed, payloads := map[int]bool{}, map[uuid.UUID]string{}
	errs := make(chan error, 2*processes)
	var work sync.WaitGroup
	for p := range processes {
		s := newStage(t, windows, "tracking", with, clock(p))
		work.Go(func() {
			for n := range 150 {
				var indices []int // of events whose window is about to close, or just did
				for i := range 10 {
					if at := int(ticks.Load()/50) - 15 - (n*7+p*5+i*3)%25; at >= 0 && at < total {
						indices = append(indices, at)
					}
				}
				batch := make([]*tracking.Event, len(indices))
				for i, at := range indices {
					batch[i] = pool[at].Clone()
				}
				settled := pipeline.NewBatch(batch)
				if err := s.Process(context.Background(), settled); err != nil {
					errs <- err
					return
				}
				mu.Lock()
				for i, at := range indices {
					passed[at] = passed[at] || settled.Verdict(i).Outcome == pipeline.Pass
				}
				mu.Unlock()
				ticks.Add(15)
			}
		})
		work.Go(func() {
			for ticks.Load() < processes*150*15 {
				if err := send(s, clock(p)(), n(&mu, payloads)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	work.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	last := newStage(t, windows, "tracking", with, clock(0))
	require.NoError(t, send(last, noon.Add(time.Hour), n(&mu, payloads)))

	counted := new(big.Int)
	for _, payload := range payloads {
		var result struct{ Bits json.Number }
		require.NoError(t, json.Unmarshal([]byte(payload), &result))
		bits, ok := new(big.Int).SetString(result.Bits.String(), 10)
		require.True(t, ok)
		counted.Add(counted, bits) // a bit that is in two sums carries over and shows
	}
	want, all := new(big.Int), 0
	for i, ever := range passed {
		if ever {
			want.SetBit(want, i, 1)
			all++
		}
	}
	require.Equal(t, want.Text(2), counted.Text(2))
	require.Greater(t, all, total/4)
	require.Less(t, all, total, "some were late, or nothing was tried")
}

// n notes what is sent; what is sent again must be the same.
func n(mu *sync.Mutex, payloads map[uuid.UUID]string) func(*tracking.Event) error {
	return func(event *tracking.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if before, again := payloads[event.UID]; again && before != string(event.Payload) {
			return fmt.Errorf("%s was sent as %s and as %s", event.UID, before, event.Payload)
		}
		payloads[event.UID] = string(event.Payload)
		return nil
	}
}

func send(s pipeline.Emitter, now time.Time, note func(*tracking.Event) error) error {
	events, sent, err := s.Due(context.Background(), now)
	if err != nil {
		return err
	}
	for _, event := range events {
		if err := note(event); err != nil {
			return err
		}
	}
	return sent(context.Background())
}
