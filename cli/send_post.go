package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/rastrohq/rastro/api/problem"
)

const eventsPath = "/api/v1/events"

// The statuses of an event in the answer of the ingest API.
const (
	statusAccepted = "accepted"
	statusRejected = "rejected"
)

// eventResult is what became of one event.
type eventResult struct {
	File   string   `json:"file"`
	Index  int      `json:"index"`
	Line   int      `json:"line,omitempty"`
	UID    string   `json:"uid,omitempty"`
	Status string   `json:"status"`
	Errors []reason `json:"errors,omitempty"`
}

func (p place) result(status, uid string, errs ...reason) eventResult {
	return eventResult{File: p.file, Index: p.index, Line: p.line, UID: uid, Status: status, Errors: errs}
}

// ingestAnswer is the body of the ingest API's answers: of 202 as it stands, of 422 beside the members of a problem.
type ingestAnswer struct {
	Accepted int `json:"accepted"`
	Rejected int `json:"rejected"`
	Results  []struct {
		Index  int      `json:"index"`
		UID    string   `json:"uid"`
		Status string   `json:"status"`
		Errors []reason `json:"errors"`
	} `json:"results"`
}

// send sends one batch, in smaller requests when the server finds it too large, and returns a result an event. An error means
// that it is not known what became of the batch, or that no other will fare better.
func (s *sender) send(ctx context.Context, b *batch) ([]eventResult, error) {
	if b.reason != nil {
		return []eventResult{b.places[0].result(statusRejected, "", *b.reason)}, nil
	}
	answer, err := s.post(ctx, b)
	if err != nil {
		return nil, err
	}
	switch answer.status {
	case http.StatusOK, http.StatusAccepted:
		return b.results(answer)
	case http.StatusUnprocessableEntity:
		if results, err := b.results(answer); err == nil {
			return results, nil
		}
		return b.refused(answer), nil
	case http.StatusRequestEntityTooLarge:
		if len(b.events) == 1 {
			return b.refused(answer), nil
		}
		first, second := b.halves()
		head, err := s.send(ctx, first)
		if err != nil {
			return nil, err
		}
		tail, err := s.send(ctx, second)
		return append(head, tail...), err
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return b.refused(answer), nil
	default:
		return nil, b.blame(answer)
	}
}

// blame adds to the refusal of a whole request which events the server names as the cause.
func (b *batch) blame(answer *response) error {
	var p problem.Problem
	err := answer.refusal()
	if json.Unmarshal(answer.body, &p) != nil {
		return err
	}
	for _, field := range p.Errors {
		if field.Index != nil && *field.Index >= 0 && *field.Index < len(b.places) {
			return exitWith(exitCode(err), fmt.Errorf("%s: %w", b.places[*field.Index], err))
		}
	}
	return err
}

// post sends one request until it has an answer that is worth having.
func (s *sender) post(ctx context.Context, b *batch) (*response, error) {
	body, media := b.body()
	return s.client.postPatiently(ctx, eventsPath, media, body, s.options.retryFor, func(err error) { s.progress.trouble(err, s.options.retryFor) })
}

// postPatiently sends a request, again and again for as long as patience lasts, until it has an answer that is worth having. trouble is
// told of each try that is not the last.
func (c *apiClient) postPatiently(ctx context.Context, path, media string, body []byte, patience time.Duration, trouble func(error), headers ...string) (*response, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = 250*time.Millisecond, 10*time.Second
	limit := max(patience, time.Nanosecond) // zero would mean for ever
	return backoff.Retry(ctx, func() (*response, error) {
		answer, err := c.do(ctx, http.MethodPost, path, media, body, headers...)
		if err != nil {
			if _, ok := errors.AsType[*unreachableError](err); ok {
				return nil, err
			}
			return nil, backoff.Permanent(err)
		}
		switch answer.status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil, &busyError{err: answer.refusal(), after: retryAfter(answer.header, time.Now())}
		default:
			return answer, nil
		}
	}, backoff.WithBackOff(pace), backoff.WithMaxElapsedTime(limit), backoff.WithNotify(func(err error, _ time.Duration) { trouble(err) }))
}

// busyError is an answer that asks to come again later. It is a backoff.RetryAfterError when the answer says when.
type busyError struct {
	err   error
	after time.Duration
}

func (e *busyError) Error() string { return e.err.Error() }

func (e *busyError) Unwrap() []error {
	if e.after <= 0 {
		return []error{e.err}
	}
	return []error{e.err, &backoff.RetryAfterError{Duration: e.after}}
}

// retryAfter returns the delay that a Retry-After header asks for: seconds or a date (RFC 9110, section 10.2.3). Zero
// when there is none, or it is over.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// results matches an answer with the events of the batch.
func (b *batch) results(answer *response) ([]eventResult, error) {
	var a ingestAnswer
	if err := json.Unmarshal(answer.body, &a); err != nil {
		return nil, fmt.Errorf("the server answers %d with something that is not its API's: %w", answer.status, err)
	}
	results := make([]eventResult, len(b.events))
	found := 0
	for _, r := range a.Results {
		if r.Index < 0 || r.Index >= len(results) || results[r.Index].Status != "" || r.Status == "" {
			return nil, fmt.Errorf("the server's answer has a result for event %d of a request of %d that does not fit", r.Index, len(results))
		}
		results[r.Index] = b.places[r.Index].result(r.Status, r.UID, r.Errors...)
		found++
	}
	if found != len(results) {
		return nil, fmt.Errorf("the server's answer has %d results for a request of %d events", found, len(results))
	}
	return results, nil
}

// refused makes the results of a request that was refused as a whole: each event has the problem's own errors, where the problem
// names it, or else the problem.
func (b *batch) refused(answer *response) []eventResult {
	var p problem.Problem
	why := reason{Code: strconv.Itoa(answer.status), Message: answer.problem()}
	if json.Unmarshal(answer.body, &p) == nil && p.Type != "" {
		why = reason{Code: path.Base(p.Type), Message: firstOf(p.Detail, p.Title)}
	}
	results := make([]eventResult, len(b.events))
	for i, at := range b.places {
		var errs []reason
		for _, field := range p.Errors {
			if field.Index == nil && len(b.events) == 1 || field.Index != nil && *field.Index == i {
				errs = append(errs, reason{Field: field.Field, Code: field.Code, Message: field.Message})
			}
		}
		if len(errs) == 0 {
			errs = []reason{why}
		}
		results[i] = at.result(statusRejected, "", errs...)
	}
	return results
}
