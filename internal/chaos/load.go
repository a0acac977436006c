package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rastrohq/rastro/internal/devstack/simulator"
	"github.com/rastrohq/rastro/tracking/formats"
	"github.com/rastrohq/rastro/tracking/formats/native"
)

const (
	// clients is how many senders there are, each with stories of its own, for one of the tenants in turn.
	clients = 12
	// mostPerRequest is how many events a request has at most.
	mostPerRequest = 40
	// answerWithin is how long a client tries before it gives up, which is a fault: some ingest is always about to be back.
	answerWithin = 2 * time.Minute
)

// The odds, of a thousand, that something is done to an event or a request besides what the stories do themselves: they too repeat,
// reorder, correct and garble.
const (
	oddsHeldBack = 100 // an event comes a request or several later
	oddsFuture   = 10  // an event says that it happened hours from now: ingest takes it and validate must reject it
	oddsTwin     = 150 // a request is sent to two processes at once, as by a sender that lost patience
	oddsAgain    = 100 // a request is sent again later, whatever the answer was
)

// result is what ingest answers of one event.
type result struct {
	Index   int             `json:"index"`
	UID     string          `json:"uid"`
	EventID string          `json:"event_id"`
	Status  string          `json:"status"`
	Errors  json.RawMessage `json:"errors"`
}

// load is the clients.
type load struct {
	stack   *stack
	targets []*seat
	journal *journal
	http    *http.Client
	senders []*sender
}

// newLoad makes clients that together send so many events a second.
func newLoad(s *stack, targets []*seat, j *journal, rate float64, seed uint64) *load {
	l := &load{
		stack: s, targets: targets, journal: j,
		http: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients * 2}},
	}
	tenants := simulator.DefaultTenants()
	for i := range clients {
		own := seed*clients + uint64(i) + 1
		tenant := tenants[i%len(tenants)]
		c := simulator.DefaultConfig()
		c.Tenants, c.Seed, c.EventsPerSecond, c.JourneyTime = []string{tenant}, own, rate/clients, 20*time.Second
		l.senders = append(l.senders, &sender{
			load: l, tenant: tenant, stories: simulator.NewGenerator(c), pause: time.Duration(float64(time.Second) * clients / rate),
			rand: rand.New(rand.NewPCG(own, 0xc4a05)), id: fmt.Sprintf("%x", own), //nolint:gosec // traffic, not secrets
		})
	}
	return l
}

// run sends until stop is closed, and returns when everything that was sent is answered, or ctx ends.
func (l *load) run(ctx context.Context, stop <-chan struct{}) {
	var under sync.WaitGroup
	for _, s := range l.senders {
		under.Go(func() { s.run(ctx, stop) })
	}
	under.Wait()
	l.http.CloseIdleConnections()
}

// sender is one client. What it sends depends on its seed and the clock.
type sender struct {
	load    *load
	tenant  string
	id      string
	stories *simulator.Generator
	rand    *rand.Rand
	pause   time.Duration // between two events
	made    int
	held    []message   // come later
	again   [][]message // are sent again
	twins   sync.WaitGroup
}

func (s *sender) happens(odds int) bool { return s.rand.IntN(1000) < odds }

// run sends one request after the other.
func (s *sender) run(ctx context.Context, stop <-chan struct{}) {
	defer s.twins.Wait()
	for {
		batch := s.next()
		s.post(ctx, batch, s.rand.IntN(len(s.load.targets)))
		wait := time.NewTimer(time.Duration(len(batch)) * s.pause)
		select {
		case <-wait.C:
			continue
		case <-stop:
			// What was held back is sent now, and what was to be sent again.
			for _, batch := range append(s.again, s.held) {
				if len(batch) > 0 {
					s.send(ctx, batch, 0)
				}
			}
			s.again, s.held = nil, nil
		case <-ctx.Done():
		}
		wait.Stop()
		return
	}
}

// post sends a batch, and whatever else is the sender's whim.
func (s *sender) post(ctx context.Context, batch []message, at int) {
	if s.happens(oddsTwin) {
		s.twins.Go(func() { s.send(ctx, batch, at+1) })
	}
	if s.happens(oddsAgain) {
		s.again = append(s.again, batch)
	}
	s.send(ctx, batch, at)
	if len(s.again) > 3 {
		s.send(ctx, s.again[0], at)
		s.again = s.again[1:]
	}
}

// next makes the next batch, in disorder.
func (s *sender) next() []message {
	n := 1 + s.rand.IntN(1+s.rand.IntN(mostPerRequest)) // most are small
	batch := make([]message, 0, n+len(s.held))
	for i := 0; i < len(s.held); {
		if s.happens(500) {
			batch, s.held = append(batch, s.held[i]), append(s.held[:i:i], s.held[i+1:]...)
			continue
		}
		i++
	}
	for range n {
		m := s.tell()
		if s.happens(oddsHeldBack) {
			s.held = append(s.held, m)
			continue
		}
		batch = append(batch, m)
	}
	if len(batch) == 0 {
		batch = append(batch, s.tell())
	}
	s.rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	return batch
}

// tell makes the next event.
func (s *sender) tell() message {
	told := s.stories.Next()
	if !told.Valid {
		return message{body: told.Body}
	}
	m := message{body: told.Body}
	if s.happens(oddsFuture) {
		m.body, m.fate = s.backFromTheFuture(m.body), toBury
	}
	read, err := native.Decode(m.body, native.JSON, formats.Options{})
	if err != nil || len(read) != 1 || !read[0].OK() {
		s.load.journal.fault("our own decoder does not take %s: %v", m.body, err)
		return message{body: m.body}
	}
	m.event = read[0].Event
	if m.event.EventID == "" {
		s.load.journal.fault("our own decoder gives no id to %s", m.body)
	}
	return m
}

// backFromTheFuture makes an event with an id of its own that says that it happened hours from now.
func (s *sender) backFromTheFuture(body []byte) []byte {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		s.load.journal.fault("change %s: %v", body, err)
		return body
	}
	s.made++
	delete(fields, "corrects")
	fields["event_id"] = fmt.Sprintf("future-%s-%d", s.id, s.made)
	fields["timestamp"] = time.Now().Add(3 * time.Hour).Format(time.RFC3339)
	changed, err := json.Marshal(fields)
	if err != nil {
		s.load.journal.fault("change %s: %v", body, err)
		return body
	}
	return changed
}

// send sends a batch to one process after the other until it is answered.
func (s *sender) send(ctx context.Context, batch []message, at int) {
	body := []byte{'['}
	for i, m := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, m.body...)
	}
	body = append(body, ']')
	deadline := time.Now().Add(answerWithin)
	for ctx.Err() == nil {
		results, err := s.try(ctx, body, s.load.targets[at%len(s.load.targets)])
		if err == nil && len(results) != len(batch) {
			err = fmt.Errorf("%d events got %d answers", len(batch), len(results))
			s.load.journal.fault("%v", err)
		}
		if err == nil {
			s.load.journal.answered(batch, results)
			return
		}
		if !errors.Is(err, errNotSent) {
			s.load.journal.silent(batch)
		}
		if time.Now().After(deadline) {
			s.load.journal.fault("no answer within %v: %v", answerWithin, err)
			return
		}
		at++
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// errNotSent says that nobody can have seen a request.
var errNotSent = errors.New("not sent")

// try sends a request once. An error means that there is no answer: the events may have been accepted, or not, unless it is
// errNotSent.
func (s *sender) try(ctx context.Context, body []byte, to *seat) ([]result, error) {
	token, err := s.load.stack.token(ctx, s.tenant)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url+"/api/v1/events", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	to.asked.Add(1)
	defer to.asked.Add(-1)
	response, err := s.load.http.Do(request)
	if failed, is := errors.AsType[*net.OpError](err); is && failed.Op == "dial" {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	var answer struct{ Results []result }
	switch response.StatusCode {
	case http.StatusAccepted, http.StatusUnprocessableEntity:
		if err := json.Unmarshal(content, &answer); err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		return answer.Results, nil
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	default:
		s.load.journal.fault("a request was answered %d: %s", response.StatusCode, content)
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	}
}
