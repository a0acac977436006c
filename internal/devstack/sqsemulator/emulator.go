// Package sqsemulator runs an SQS and SNS server inside the process, in memory, for `rastro dev --broker sqs` and for tests.
//
// The server is goaws v0.5.4 behind a front of our own that makes up for where it is not like SQS: it reads its maps without
// their locks (requests go to it one at a time), wakes long polls every 100 ms (the front waits, and answers when a message
// comes), makes messages visible again only where its own program runs (the front does, to the millisecond), reports every
// receive as the first and every message as sent just now, counts what is in flight as waiting too, and writes the bodies of all messages to the log;
// and it knows neither the tags of queues nor when they were made (the front does). It knows no
// ChangeMessageVisibilityBatch, keeps no message across a restart, and its batched delete copies the whole queue: measure
// neither speed nor backlog through it.
package sqsemulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Admiral-Piett/goaws/app/models"
	"github.com/Admiral-Piett/goaws/app/router"
	"github.com/sirupsen/logrus"
)

// Account is the account that the emulator's queues and topics belong to.
const Account = "000000000000"

// maxRequest is the largest request that the emulator reads, in bytes: ten messages and what JSON adds.
const maxRequest = 16 << 20

// running guards goaws' state, which is the process's: only one emulator can run in it.
var running atomic.Bool

// Server is a running emulator.
type Server struct {
	url    string
	server *http.Server
	goaws  http.Handler
	served chan struct{}

	mu      sync.Mutex    // goaws is asked one thing at a time
	changed chan struct{} // closed when a message may have become visible
	queues  map[string]madeQueue
}

// Start starts an empty emulator on a free port of 127.0.0.1. Stop must be called; a process can run one at a time.
func Start(ctx context.Context) (*Server, error) {
	if !running.CompareAndSwap(false, true) {
		return nil, errors.New("start SQS emulator: one runs in this process already")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		running.Store(false)
		return nil, fmt.Errorf("start SQS emulator: %w", err)
	}
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		running.Store(false)
		return nil, errors.Join(fmt.Errorf("start SQS emulator: %w", err), listener.Close())
	}
	logrus.SetLevel(logrus.PanicLevel)
	models.ResetApp()
	models.CurrentEnvironment = models.Environment{Host: host, Port: port, AccountID: Account}

	s := &Server{
		url: "http://" + listener.Addr().String(), goaws: router.New(),
		served: make(chan struct{}), changed: make(chan struct{}), queues: map[string]madeQueue{},
	}
	// Long polls end when the server is stopped.
	polls, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return polls },
	}
	s.server.RegisterOnShutdown(stop)
	go func() {
		defer close(s.served)
		defer stop()
		_ = s.server.Serve(listener) // returns when Stop closes it
	}()
	return s, nil
}

// URL is where the emulator answers, for SQS and for SNS.
func (s *Server) URL() string { return s.url }

// Stop stops the emulator. What its queues hold is gone.
func (s *Server) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close()
	}
	<-s.served
	s.mu.Lock()
	defer s.mu.Unlock()
	models.ResetApp()
	running.Store(false)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer *recorder
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ReceiveMessage") {
		answer, err = s.receive(r, body)
	} else {
		s.mu.Lock()
		answer = s.answer(r, body)
		s.stamp(time.Now())
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer.writeTo(w)
}

// answer has goaws answer a request that it understands. The caller holds mu.
func (s *Server) answer(r *http.Request, body []byte) *recorder {
	switch _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); action {
	case "CreateQueue", "SetQueueAttributes":
		understood, others := withoutPolicies(body)
		if !others && action == "SetQueueAttributes" {
			return &recorder{header: http.Header{"Content-Type": r.Header["Content-Type"]}, status: http.StatusOK}
		}
		answer := s.ask(r, understood)
		if action == "CreateQueue" && answer.status == http.StatusOK {
			s.noteMade(body)
		}
		return answer
	case "DeleteQueue":
		delete(s.queues, queueOf(body))
		return s.ask(r, body)
	case "ListQueueTags":
		return s.listTags(r, body)
	case "GetQueueAttributes":
		answer := s.ask(r, body)
		answer.recount(body, s.queues[queueOf(body)].at)
		return answer
	case "SendMessageBatch":
		answer := s.ask(r, body)
		answer.rename(map[string]string{"SendMessageBatchResultEntry": "Successful", "BatchResultErrorEntry": "Failed"})
		return answer
	case "":
		return s.ask(r, entriesFromZero(body))
	default:
		return s.ask(r, body)
	}
}

var entryOfBatch = regexp.MustCompile(`^PublishBatchRequestEntries\.member\.(\d+)\.`)

// entriesFromZero counts the entries of an SNS batch from 0: from 1, as SNS does, goaws takes ten for eleven.
func entriesFromZero(body []byte) []byte {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "PublishBatch" {
		return body
	}
	shifted := url.Values{}
	for key, values := range form {
		if match := entryOfBatch.FindStringSubmatch(key); match != nil {
			if n, err := strconv.Atoi(match[1]); err == nil {
				key = fmt.Sprintf("PublishBatchRequestEntries.member.%d.%s", n-1, key[len(match[0]):])
			}
		}
		shifted[key] = values
	}
	return []byte(shifted.Encode())
}

// withoutPolicies takes the access policies out of a request, which goaws has no use for and cannot read. It reports whether
// there are other attributes.
func withoutPolicies(body []byte) ([]byte, bool) {
	var request map[string]any
	if json.Unmarshal(body, &request) != nil {
		return body, true // let goaws say what is wrong
	}
	attributes, _ := request["Attributes"].(map[string]any)
	delete(attributes, "Policy")
	delete(attributes, "RedriveAllowPolicy")
	understood, err := json.Marshal(request)
	if err != nil {
		return body, true
	}
	return understood, len(attributes) > 0
}

// ask has goaws answer a request. The caller holds mu.
func (s *Server) ask(r *http.Request, body []byte) *recorder {
	s.show(time.Now())
	request := r.Clone(r.Context())
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	s.goaws.ServeHTTP(answer, request)
	if answer.status >= http.StatusBadRequest {
		answer.nameError()
	}
	return answer
}

// receive answers a ReceiveMessage request when there is a message, or the time that it waits is over.
func (s *Server) receive(r *http.Request, body []byte) (*recorder, error) {
	var request map[string]any
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	address, _ := request["QueueUrl"].(string)
	queue := path.Base(address)
	seconds, asked := request["WaitTimeSeconds"].(float64)
	delete(request, "WaitTimeSeconds")
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if !asked {
		seconds = s.queueWait(queue)
	}
	over := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for {
		answer, changed, next := s.tryReceive(r, body, queue)
		now := time.Now()
		if answer.messages > 0 || answer.status != http.StatusOK || !now.Before(over) {
			return answer, nil
		}
		wait := over.Sub(now)
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(now), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done(): // nobody hears the answer: take no message for it
			timer.Stop()
			return answer, nil
		}
		timer.Stop()
	}
}

// queueWait is how long a queue's receives wait when they do not say, in seconds.
func (s *Server) queueWait(name string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queue := models.SyncQueues.Queues[name]; queue != nil {
		return float64(queue.ReceiveMessageWaitTimeSeconds)
	}
	return 0
}

// tryReceive receives without waiting. It returns a channel that is closed when another try may do better, and when at the
// latest one does.
func (s *Server) tryReceive(r *http.Request, body []byte, name string) (*recorder, <-chan struct{}, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queue := models.SyncQueues.Queues[name]; queue != nil {
		// goaws would wait itself, holding everything up.
		wait := queue.ReceiveMessageWaitTimeSeconds
		queue.ReceiveMessageWaitTimeSeconds = 0
		defer func() { queue.ReceiveMessageWaitTimeSeconds = wait }()
	}
	answer := s.ask(r, body)
	if answer.status == http.StatusOK {
		answer.correct(models.SyncQueues.Queues[name])
	}
	return answer, s.changed, nextVisible(models.SyncQueues.Queues[name])
}

// show makes the messages visible whose visibility timeout is over, and moves those to the dead-letter queue that were
// received often enough.
func (s *Server) show(now time.Time) {
	for _, queue := range models.SyncQueues.Queues {
		kept := queue.Messages[:0]
		for _, msg := range queue.Messages {
			if msg.ReceiptHandle != "" && msg.VisibilityTimeout.Before(now) {
				msg.ReceiptHandle = ""
				msg.Retry++
				if queue.MaxReceiveCount > 0 && queue.DeadLetterQueue != nil && msg.Retry >= queue.MaxReceiveCount {
					queue.DeadLetterQueue.Messages = append(queue.DeadLetterQueue.Messages, msg)
					continue
				}
			}
			kept = append(kept, msg)
		}
		clear(queue.Messages[len(kept):])
		queue.Messages = kept
	}
}

// stamp notes when messages came that goaws does not note it of: those that came through SNS.
func (s *Server) stamp(now time.Time) {
	for _, queue := range models.SyncQueues.Queues {
		for i := len(queue.Messages) - 1; i >= 0 && queue.Messages[i].SentTime.IsZero(); i-- {
			queue.Messages[i].SentTime = now
		}
	}
}

// nextVisible is when the next hidden message of a queue becomes visible; the zero time when there is none.
func nextVisible(queue *models.Queue) time.Time {
	var next time.Time
	if queue == nil {
		return next
	}
	for _, msg := range queue.Messages {
		at := msg.VisibilityTimeout
		if msg.ReceiptHandle == "" {
			at = msg.SentTime.Add(time.Duration(msg.DelaySecs) * time.Second)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// recorder is an answer of goaws.
type recorder struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	messages int // how many it hands out
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *recorder) writeTo(w http.ResponseWriter) {
	for key, values := range r.header {
		w.Header()[key] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes())
}

// correct counts a receive, and says how often a message was received and when it was sent.
func (r *recorder) correct(queue *models.Queue) {
	var result struct {
		Messages []map[string]any
	}
	if queue == nil || json.Unmarshal(r.body.Bytes(), &result) != nil || len(result.Messages) == 0 {
		return
	}
	r.messages = len(result.Messages)
	byReceipt := map[string]*models.SqsMessage{}
	for i := range queue.Messages {
		byReceipt[queue.Messages[i].ReceiptHandle] = &queue.Messages[i]
	}
	for _, msg := range result.Messages {
		receipt, _ := msg["ReceiptHandle"].(string)
		attributes, _ := msg["Attributes"].(map[string]any)
		if known := byReceipt[receipt]; known != nil && attributes != nil {
			known.NumberOfReceives++
			attributes["ApproximateReceiveCount"] = strconv.Itoa(known.NumberOfReceives)
			attributes["SentTimestamp"] = strconv.FormatInt(known.SentTime.UnixMilli(), 10)
		}
	}
	if corrected, err := json.Marshal(result); err == nil {
		r.body.Reset()
		r.body.Write(corrected)
	}
}

// rename gives the fields of an answer the names that clients of the JSON protocol know them by.
func (r *recorder) rename(names map[string]string) {
	var result map[string]json.RawMessage
	if json.Unmarshal(r.body.Bytes(), &result) != nil {
		return
	}
	for from, to := range names {
		if value, has := result[from]; has {
			result[to] = value
			delete(result, from)
		}
	}
	if renamed, err := json.Marshal(result); err == nil {
		r.body.Reset()
		r.body.Write(renamed)
	}
}

// recount takes the messages in flight out of those that wait, where goaws counts them too, and says when the queue was made.
func (r *recorder) recount(request []byte, made time.Time) {
	var asked struct{ QueueUrl string } //nolint:revive // SQS' name for it
	var result struct{ Attributes map[string]string }
	if json.Unmarshal(request, &asked) != nil || json.Unmarshal(r.body.Bytes(), &result) != nil {
		return
	}
	const waiting, created = "ApproximateNumberOfMessages", "CreatedTimestamp"
	queue := models.SyncQueues.Queues[path.Base(asked.QueueUrl)]
	if queue == nil {
		return
	}
	if _, has := result.Attributes[waiting]; has {
		visible := 0
		for _, msg := range queue.Messages {
			if msg.ReceiptHandle == "" {
				visible++
			}
		}
		result.Attributes[waiting] = strconv.Itoa(visible)
	}
	if _, has := result.Attributes[created]; has && !made.IsZero() {
		result.Attributes[created] = strconv.FormatInt(made.Unix(), 10)
	}
	if corrected, err := json.Marshal(result); err == nil {
		r.body.Reset()
		r.body.Write(corrected)
	}
}

// nameError adds to an error the name that clients of SQS' JSON protocol know it by.
func (r *recorder) nameError() {
	var result map[string]any
	if json.Unmarshal(r.body.Bytes(), &result) != nil {
		return
	}
	code, _ := result["Code"].(string)
	switch code {
	case "AWS.SimpleQueueService.NonExistentQueue", "AWS.SimpleQueueService.MessageNotInFlight":
		result["__type"] = "com.amazonaws.sqs#" + map[string]string{
			"AWS.SimpleQueueService.NonExistentQueue":   "QueueDoesNotExist",
			"AWS.SimpleQueueService.MessageNotInFlight": "MessageNotInflight",
		}[code]
	case "":
		return
	default:
		result["__type"] = strings.TrimPrefix(code, "AWS.SimpleQueueService.")
	}
	result["message"] = result["Message"]
	if named, err := json.Marshal(result); err == nil {
		r.body.Reset()
		r.body.Write(named)
	}
}
