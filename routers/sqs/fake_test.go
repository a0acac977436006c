package sqs_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeSQS is a server that speaks SQS' JSON protocol and can be made to fail as SQS does.
type fakeSQS struct {
	*httptest.Server

	mu      sync.Mutex
	queues  map[string]*fakeQueue
	changed chan struct{}
	calls   []fakeCall
	stopped chan struct{}

	// answer, if set, sees a request before it is served and may answer itself.
	answer func(call fakeCall) *fakeAnswer
	// after, if set, may change the answer to a request that was served.
	after func(call fakeCall, answer *fakeAnswer)
}

type fakeCall struct {
	action  string
	request fakeRequest
	bytes   int
}

type fakeAnswer struct {
	status int
	body   any
	lost   bool // the connection breaks instead
}

type fakeRequest struct {
	QueueName, QueueUrl                string //nolint:revive // as SQS has it
	Attributes                         map[string]string
	MaxNumberOfMessages                int
	WaitTimeSeconds, VisibilityTimeout int
	Entries                            []fakeEntry
}

type fakeEntry struct {
	Id, MessageBody, ReceiptHandle string //nolint:revive // as SQS has it
	VisibilityTimeout              int
	MessageAttributes              map[string]map[string]string
}

type fakeQueue struct {
	messages []*fakeMessage
	attrs    map[string]string
}

type fakeMessage struct {
	id, body, receipt string
	attributes        map[string]map[string]string
	visibleAt, sent   time.Time
	receives          int
}

func newFakeSQS(t testing.TB) *fakeSQS {
	t.Helper()
	f := &fakeSQS{queues: map[string]*fakeQueue{}, changed: make(chan struct{}), stopped: make(chan struct{})}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		close(f.stopped)
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fakeSQS) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	call := fakeCall{action: path.Ext(r.Header.Get("X-Amz-Target")), bytes: len(body)}
	call.action = strings.TrimPrefix(call.action, ".")
	if err := json.Unmarshal(body, &call.request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.calls = append(f.calls, call)
	answering, after := f.answer, f.after
	f.mu.Unlock()
	var answer *fakeAnswer
	if answering != nil {
		answer = answering(call)
	}
	if answer == nil {
		answer = f.do(r, call)
		if after != nil {
			after(call, answer)
		}
	}
	if answer.lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body)
}

func fault(code string) *fakeAnswer {
	return &fakeAnswer{status: http.StatusBadRequest, body: map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": code}}
}

func ok(body any) *fakeAnswer { return &fakeAnswer{status: http.StatusOK, body: body} }

func (f *fakeSQS) do(r *http.Request, call fakeCall) *fakeAnswer {
	f.mu.Lock()
	defer f.mu.Unlock()
	request := call.request
	name := request.QueueName
	if name == "" {
		name = path.Base(request.QueueUrl)
	}
	url := map[string]string{"QueueUrl": f.URL + "/1/" + name}
	queue := f.queues[name]
	if call.action == "CreateQueue" {
		if queue == nil {
			f.queues[name] = &fakeQueue{attrs: request.Attributes}
		}
		return ok(url)
	}
	if call.action == "ListQueues" {
		return ok(map[string][]string{})
	}
	if queue == nil {
		return fault("QueueDoesNotExist")
	}
	if call.action != "ReceiveMessage" {
		defer f.wake()
	}
	switch call.action {
	case "GetQueueUrl":
		return ok(url)
	case "GetQueueAttributes":
		attrs := map[string]string{"QueueArn": "arn:aws:sqs:us-east-1:1:" + name}
		for k, v := range queue.attrs {
			attrs[k] = v
		}
		return ok(map[string]any{"Attributes": attrs})
	case "SendMessageBatch":
		return f.send(queue, request)
	case "DeleteMessageBatch", "ChangeMessageVisibilityBatch":
		return f.change(queue, call)
	case "ReceiveMessage":
		return f.receive(r, queue, request)
	}
	return fault("UnsupportedOperation")
}

func (f *fakeSQS) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func sum(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (f *fakeSQS) send(queue *fakeQueue, request fakeRequest) *fakeAnswer {
	var successful []map[string]string
	for _, e := range request.Entries {
		id := fmt.Sprintf("m%d", time.Now().UnixNano())
		queue.messages = append(queue.messages, &fakeMessage{id: id, body: e.MessageBody, sent: time.Now(), attributes: e.MessageAttributes})
		successful = append(successful, map[string]string{"Id": e.Id, "MessageId": id, "MD5OfMessageBody": sum(e.MessageBody)})
	}
	return ok(map[string]any{"Successful": successful})
}

func (f *fakeSQS) change(queue *fakeQueue, call fakeCall) *fakeAnswer {
	successful, failed := []map[string]string{}, []map[string]any{}
	for _, e := range call.request.Entries {
		found := false
		for i, m := range queue.messages {
			if m.receipt != e.ReceiptHandle || m.receipt == "" {
				continue
			}
			found = true
			if call.action == "DeleteMessageBatch" {
				queue.messages = append(queue.messages[:i:i], queue.messages[i+1:]...)
			} else {
				m.visibleAt = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
			}
			break
		}
		if found {
			successful = append(successful, map[string]string{"Id": e.Id})
		} else {
			failed = append(failed, map[string]any{"Id": e.Id, "Code": "ReceiptHandleIsInvalid", "Message": "gone", "SenderFault": true})
		}
	}
	return ok(map[string]any{"Successful": successful, "Failed": failed})
}

// receive waits without the lock. The caller holds it.
func (f *fakeSQS) receive(r *http.Request, queue *fakeQueue, request fakeRequest) *fakeAnswer {
	over := time.Now().Add(time.Duration(request.WaitTimeSeconds) * time.Second)
	for {
		var messages []map[string]any
		now := time.Now()
		next := over
		for _, m := range queue.messages {
			if m.visibleAt.After(now) {
				if m.visibleAt.Before(next) {
					next = m.visibleAt
				}
				continue
			}
			if len(messages) == request.MaxNumberOfMessages {
				break
			}
			m.receives++
			m.receipt = fmt.Sprintf("%s#%d", m.id, m.receives)
			m.visibleAt = now.Add(time.Duration(request.VisibilityTimeout) * time.Second)
			messages = append(messages, map[string]any{
				"MessageId": m.id, "ReceiptHandle": m.receipt, "Body": m.body, "MD5OfBody": sum(m.body), "MessageAttributes": m.attributes,
				"Attributes": map[string]string{
					"ApproximateReceiveCount": strconv.Itoa(m.receives), "SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10),
				},
			})
		}
		if len(messages) > 0 || !now.Before(over) {
			return ok(map[string]any{"Messages": messages})
		}
		changed := f.changed
		f.mu.Unlock()
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done():
		case <-f.stopped:
		}
		timer.Stop()
		f.mu.Lock()
		if r.Context().Err() != nil {
			return &fakeAnswer{lost: true}
		}
		select {
		case <-f.stopped:
			return &fakeAnswer{lost: true}
		default:
		}
	}
}

// set sets what answers requests.
func (f *fakeSQS) set(answer func(fakeCall) *fakeAnswer, after func(fakeCall, *fakeAnswer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.after = answer, after
}

// count counts the calls of an action, and the entries in them.
func (f *fakeSQS) count(action string) (calls, entries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c.action == action {
			calls++
			entries += len(c.request.Entries)
		}
	}
	return calls, entries
}

// held returns the messages of the only queue that is no dead-letter queue.
func (f *fakeSQS) held() []fakeMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []fakeMessage
	for name, queue := range f.queues {
		if !strings.HasSuffix(name, "-DLQ") {
			for _, m := range queue.messages {
				all = append(all, *m)
			}
		}
	}
	return all
}

// total counts all calls.
func (f *fakeSQS) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}
