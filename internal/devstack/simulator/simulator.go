package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"
)

const (
	requestTimeout   = 10 * time.Second
	maxResponseBytes = 1 << 20
	// maxLinger bounds the time between two requests of a tenant, and maxLag how much of the time that was lost to an outage
	// or a slow server is made up for.
	maxLinger = 2 * time.Second
	maxLag    = 2 * time.Second
	// longestWait bounds what a Retry-After may ask for.
	longestWait = time.Minute
)

// Stats counts what has been played.
type Stats struct {
	// Accepted and Rejected events, by the API's own word.
	Accepted int64
	Rejected int64
	// Malformed is how many of the events answered for were malformed on purpose.
	Malformed int64
	// Unexpected is how many events were rejected although valid, or accepted although malformed.
	Unexpected int64
	// Carriers is how many of the events were sent to carriers' addresses, in their formats.
	Carriers int64
	// Requests that were answered for, and those that had to be tried again.
	Requests int64
	Retries  int64
	// Failing says that something cannot be delivered at the moment.
	Failing bool
}

// Simulator sends what generators tell to an ingest API.
type Simulator struct {
	config Config
	health health

	mu    sync.Mutex
	stats Stats
}

// New returns a Simulator. What the configuration leaves open has its default.
func New(config Config) (*Simulator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	config.URL = strings.TrimRight(config.URL, "/")
	return &Simulator{config: config, health: health{logger: config.Logger, now: config.Now}}, nil
}

// Stats returns what has been played so far. It may be called at any time.
func (s *Simulator) Stats() Stats {
	failing := s.health.failing()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Failing = failing
	return stats
}

func (s *Simulator) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

const (
	// carriersShare is the part of its tenant's events that the demonstration carriers send, in their formats, and maxCarriersRate the most
	// events a second: each message is a request, and one comes after the other.
	carriersShare   = 0.5
	maxCarriersRate = 25
)

// Run plays until ctx is done, which is its only end, and then returns nil promptly. Each tenant is played by itself, its carriers' formats as
// well, and one request after the other, so that its stories keep their order and one that cannot be delivered holds up no other. A Simulator
// is run once.
func (s *Simulator) Run(ctx context.Context) error {
	client := s.config.HTTPClient
	if client == nil {
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: len(s.config.Tenants), IdleConnTimeout: time.Minute}
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport, Timeout: requestTimeout}
	}
	markets := marketsOf(s.config.Tenants)
	var all float64
	for i := range markets {
		all += markets[i].share
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range markets {
		config := s.config
		config.Tenants = []string{markets[i].tenant}
		config.EventsPerSecond *= markets[i].share / all
		config.Seed += uint64(i) * 0x9e3779b97f4a7c15
		if config.Tenants[0] == carriersTenant {
			of := config
			of.EventsPerSecond = min(config.EventsPerSecond*carriersShare, maxCarriersRate)
			config.EventsPerSecond -= of.EventsPerSecond
			group.Go(func() error {
				p := &player{simulator: s, config: of, client: client, tenant: carriersTenant, name: carriersTenant + " carriers"}
				p.play(ctx, p.messages())
				return nil
			})
		}
		group.Go(func() error {
			p := &player{simulator: s, config: config, client: client, tenant: config.Tenants[0], name: config.Tenants[0]}
			p.play(ctx, p.events())
			return nil
		})
	}
	return group.Wait()
}

// player plays one tenant, or its carriers.
type player struct {
	simulator *Simulator
	config    Config
	client    *http.Client
	tenant    string
	name      string // among those that are well or not
}

// request is what is sent at once.
type request struct {
	path, media string
	body        []byte
	// settle counts what became of it; nil says that nothing was taken.
	settle func(*answer)
	// wrong says that it is meant to be refused.
	wrong bool
	// takes is how long it stands for at the player's rate.
	takes time.Duration
}

// events returns what makes the requests of a tenant in our own form.
func (p *player) events() func() request {
	size, interval := pace(p.config.EventsPerSecond)
	generator := NewGenerator(p.config)
	return func() request {
		events := make([]Wire, size)
		for i := range events {
			events[i] = generator.Next()
		}
		return request{
			path: "/api/v1/events", media: mediaJSON, body: encode(events), takes: interval, settle: func(a *answer) { p.settle(events, a) },
		}
	}
}

// messages returns what makes the requests of carriers, each a message in the carrier's format.
func (p *player) messages() func() request {
	generator := NewCarriers(p.config)
	return func() request {
		m := generator.Next()
		return request{
			path: m.Path, media: m.ContentType, body: m.Body, wrong: !m.Valid, settle: func(a *answer) { p.settleMessage(m, a) },
			takes: time.Duration(float64(max(1, m.Events)) / p.config.EventsPerSecond * float64(time.Second)),
		}
	}
}

func (p *player) play(ctx context.Context, next func() request) {
	_, interval := pace(p.config.EventsPerSecond)
	// Tenants take turns rather than send in the same instant.
	due := time.Now().Add(time.Duration(rand.New(rand.NewPCG(p.config.Seed, 1)).Int64N(int64(interval)))) //nolint:gosec // No secret.
	for wait(ctx, time.Until(due)) {
		r := next()
		if !p.deliver(ctx, r) {
			return
		}
		due = due.Add(r.takes)
		if behind := time.Since(due); behind > maxLag {
			due = due.Add(behind - maxLag)
		}
	}
}

// pace cuts a rate into requests of some ten to a hundred events, a quarter of a second's where that is in between. Slow
// rates have smaller ones rather than a long wait.
func pace(rate float64) (size int, interval time.Duration) {
	events := min(max(rate/4, 10), 100)
	events = max(1, min(events, rate*maxLinger.Seconds()))
	size = int(events)
	return size, time.Duration(float64(size) / rate * float64(time.Second))
}

// wait returns after a time, or with false when ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver sends a request until the API has answered for it. It returns false when ctx is done.
func (p *player) deliver(ctx context.Context, r request) bool {
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = 500*time.Millisecond, 15*time.Second
	answer, err := backoff.Retry(ctx, func() (*answer, error) { return p.post(ctx, r) },
		backoff.WithBackOff(pace), backoff.WithMaxElapsedTime(0), // for ever
		backoff.WithNotify(func(err error, _ time.Duration) {
			p.simulator.count(func(s *Stats) { s.Retries++ })
			p.simulator.health.fail(ctx, p.name, err)
		}))
	if ctx.Err() != nil {
		return false
	}
	if err != nil && !r.wrong { // the request will never be taken; the next one may
		p.simulator.health.fail(ctx, p.name, err)
		p.simulator.count(func(s *Stats) { s.Requests++ })
		r.settle(nil)
		return true
	}
	p.simulator.health.well(ctx, p.name)
	p.simulator.count(func(s *Stats) { s.Requests++ })
	r.settle(answer)
	return true
}

// settleMessage counts what became of a message.
func (p *player) settleMessage(m Message, a *answer) {
	accepted, rejected := 0, max(1, m.Events)
	if a != nil {
		accepted, rejected = a.accepted, a.rejected
	}
	p.simulator.count(func(s *Stats) {
		s.Accepted, s.Rejected, s.Carriers = s.Accepted+int64(accepted), s.Rejected+int64(rejected), s.Carriers+int64(accepted+rejected)
		if !m.Valid {
			s.Malformed += int64(rejected)
		}
		if m.Valid && (rejected > 0 || accepted != m.Events) || !m.Valid && accepted > 0 {
			s.Unexpected += int64(accepted + rejected)
		}
	})
}

// settle counts what became of the events; without an answer they were all rejected.
func (p *player) settle(events []Wire, a *answer) {
	accepted := make([]bool, len(events))
	if a != nil {
		for _, r := range a.Results {
			if r.Index >= 0 && r.Index < len(accepted) {
				accepted[r.Index] = r.Status == "accepted"
			}
		}
	}
	p.simulator.count(func(s *Stats) {
		for i := range events {
			if accepted[i] {
				s.Accepted++
			} else {
				s.Rejected++
			}
			if !events[i].Valid {
				s.Malformed++
			}
			if events[i].Valid != accepted[i] {
				s.Unexpected++
			}
		}
	})
}

// encode makes a JSON array of the events.
func encode(events []Wire) []byte {
	var body bytes.Buffer
	body.WriteByte('[')
	for i := range events {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(events[i].Body)
	}
	body.WriteByte(']')
	return body.Bytes()
}

// answer is what the ingest API says of a request, in 202 and in 422 alike.
type answer struct {
	Results []struct {
		Index  int    `json:"index"`
		Status string `json:"status"`
	} `json:"results"`

	// accepted and rejected are what headers say of a carrier's message.
	accepted, rejected int
}

// post sends a request once. A permanent error means that sending it again is of no use.
func (p *player) post(ctx context.Context, r request) (*answer, error) {
	token, err := p.config.TokenSource(ctx, p.tenant)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.URL+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", r.media)
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	ofCarrier := r.path != "/api/v1/events"
	switch response.StatusCode {
	case http.StatusAccepted, http.StatusCreated, http.StatusOK, http.StatusUnprocessableEntity:
		var a answer
		if ofCarrier {
			a.accepted, _ = strconv.Atoi(response.Header.Get("X-Rastro-Accepted")) // without it, none was
			a.rejected, _ = strconv.Atoi(response.Header.Get("X-Rastro-Rejected"))
			return &a, nil
		}
		if err := json.Unmarshal(content, &a); err != nil {
			return nil, fmt.Errorf("the answer %s is not the API's: %w", response.Status, err)
		}
		return &a, nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		if rejected, err := strconv.Atoi(response.Header.Get("X-Rastro-Rejected")); ofCarrier && err == nil { // all of the document, for what is wrong with it
			return &answer{rejected: rejected}, nil
		}
		return nil, backoff.Permanent(statusError(response, content))
	default:
		err := statusError(response, content)
		if seconds, convErr := strconv.Atoi(response.Header.Get("Retry-After")); convErr == nil && seconds > 0 {
			after := min(time.Duration(min(seconds, 3600))*time.Second, longestWait)
			return nil, fmt.Errorf("%w (%w)", err, &backoff.RetryAfterError{Duration: after})
		}
		return nil, err
	}
}

func statusError(response *http.Response, content []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(content, &problem) == nil && problem.Detail != "" {
		return fmt.Errorf("%s: %s", response.Status, problem.Detail)
	}
	return errors.New(response.Status)
}

// health says once when delivery starts to fail, and once when all tenants are well again.
type health struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	ill   map[string]bool
	since time.Time
}

func (h *health) failing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ill) > 0
}

func (h *health) fail(ctx context.Context, of string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ill == nil {
		h.ill = map[string]bool{}
	}
	if len(h.ill) == 0 && ctx.Err() == nil {
		h.since = h.now()
		h.logger.WarnContext(ctx, "the carrier simulator cannot deliver; it keeps trying", slog.String("of", of), slog.Any("error", err))
	}
	h.ill[of] = true
}

func (h *health) well(ctx context.Context, of string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ill[of] {
		return
	}
	delete(h.ill, of)
	if len(h.ill) == 0 {
		h.logger.InfoContext(ctx, "the carrier simulator delivers again", slog.Duration("after", h.now().Sub(h.since)))
	}
}
