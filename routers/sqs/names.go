package sqs

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/rastrohq/rastro/pipeline"
)

// Names gives the queues and SNS topics of topics their names. Names of queues have letters, digits, - and _ only, up to 80:
//
//   - A dot becomes a dash, a dash two. A topic's name can be told from that, since what follows a dot is a letter: of a run of
//     dashes an odd last one is the dot.
//   - A topic that bears the name of its reader, as the hops of a pipeline do, has a queue of that name: tracking.dedupe read
//     by tracking is PREFIX-tracking-dedupe. Any other queue names its reader too: events.ingested read by tracking is
//     PREFIX-events-ingested-FOR-tracking. So a topic that gets another reader keeps the queues that it has, with what is in
//     them; capitals do not occur in the names of topics and readers.
//   - The dead-letter queue of a queue ends in -DLQ.
//   - A name that would be too long is cut and ends in -X and a hash of the whole.
type Names struct {
	// Prefix begins every name.
	Prefix string
}

// Queue is the name of the queue that has what a reader gets from a topic.
func (n Names) Queue(topic, reader string) string {
	name := n.Prefix + "-" + escape(topic)
	if !strings.HasPrefix(topic, reader+".") {
		name += "-FOR-" + escape(reader)
	}
	return shorten(name, maxQueueName-len(deadLetterSuffix))
}

const deadLetterSuffix = "-DLQ"

// DeadLetterQueue is the name of the queue that gets what was received from a queue too often.
func (n Names) DeadLetterQueue(queue string) string { return queue + deadLetterSuffix }

// Topic is the name of the SNS topic that fans a topic out to its readers.
func (n Names) Topic(topic string) string { return shorten(n.Prefix+"-"+escape(topic), 256) }

func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "-", "--"), ".", "-")
}

func shorten(name string, most int) string {
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := "-X" + strings.ToUpper(hex.EncodeToString(sum[:8]))
	return name[:most-len(hash)] + hash
}

// Place is where a topic lies in AWS.
type Place struct {
	// Topic is the topic's own name.
	Topic string
	// SNSTopic is the name of the SNS topic that messages are published to; empty when the topic has fewer than two readers,
	// and messages go to the queue.
	SNSTopic string
	// Queues are those of the topic's readers, in the order of the readers' names.
	Queues []Queue
}

// Queue is the queue of a reader.
type Queue struct {
	Reader, Name, DeadLetterQueue string
}

// Places derives everything that topics need in AWS: what Provision makes or checks, and `rastro pipeline topics` prints.
func (n Names) Places(topics []pipeline.Topic) []Place {
	places := make([]Place, len(topics))
	for i, topic := range topics {
		place := Place{Topic: topic.Name}
		readers := slices.Sorted(slices.Values(topic.Readers))
		for _, reader := range slices.Compact(readers) {
			queue := n.Queue(topic.Name, reader)
			place.Queues = append(place.Queues, Queue{Reader: reader, Name: queue, DeadLetterQueue: n.DeadLetterQueue(queue)})
		}
		if len(place.Queues) > 1 {
			place.SNSTopic = n.Topic(topic.Name)
		}
		places[i] = place
	}
	return places
}
