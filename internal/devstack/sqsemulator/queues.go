package sqsemulator

import (
	"encoding/json"
	"net/http"
	"path"
	"time"
)

// madeQueue is what goaws does not keep of a queue.
type madeQueue struct {
	at   time.Time
	tags map[string]string
}

// queueOf is the name of the queue that a request is about.
func queueOf(body []byte) string {
	var request struct{ QueueName, QueueUrl string } //nolint:revive // SQS' names for it
	if json.Unmarshal(body, &request) != nil {
		return ""
	}
	if request.QueueName != "" {
		return request.QueueName
	}
	return path.Base(request.QueueUrl)
}

// noteMade notes a queue that was made, unless it was there. The caller holds mu.
func (s *Server) noteMade(body []byte) {
	var request struct {
		Tags map[string]string `json:"tags"`
	}
	name := queueOf(body)
	if _, there := s.queues[name]; there || json.Unmarshal(body, &request) != nil {
		return
	}
	s.queues[name] = madeQueue{at: time.Now(), tags: request.Tags}
}

// listTags answers a request for the tags of a queue. The caller holds mu.
func (s *Server) listTags(r *http.Request, body []byte) *recorder {
	made, there := s.queues[queueOf(body)]
	if !there {
		return s.ask(r, body)
	}
	answer := &recorder{header: http.Header{"Content-Type": r.Header["Content-Type"]}, status: http.StatusOK}
	if err := json.NewEncoder(&answer.body).Encode(map[string]any{"Tags": made.tags}); err != nil {
		answer.status = http.StatusInternalServerError
	}
	return answer
}
