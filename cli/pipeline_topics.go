package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/routers/sqs"
)

const (
	formatText     = "text"
	formatJSON     = "json"
	formatTFVars   = "tfvars"
	formatHelm     = "helm"
	formatMarkdown = "markdown"
)

// shownTopic is a topic as `rastro pipeline topics` tells it.
type shownTopic struct {
	Name string `json:"name"`
	// SNSTopic fans the topic out to the queues of its readers, where it has several.
	SNSTopic string        `json:"sns_topic,omitempty"`
	Readers  []shownReader `json:"readers"`
}

// shownReader is a pipeline that reads a topic through a queue of its own. What it rejects goes to DeadLetters; that is empty
// for the reader of dead letters and of the ledger, which reject nothing.
type shownReader struct {
	Pipeline    string `json:"pipeline"`
	DeadLetters string `json:"dead_letters,omitempty"`
	// Queue is the reader's on SQS, and DeadLetterQueue where SQS puts what was received from it too often.
	Queue           string `json:"queue"`
	DeadLetterQueue string `json:"dead_letter_queue"`
}

// shownTopics are named on SQS as the transport names them.
func shownTopics(plans []pipeline.Plan, names sqs.Names) []shownTopic {
	letters, ledgers := map[string]string{}, map[string]string{}
	for _, plan := range plans {
		letters[plan.Pipeline], ledgers[plan.Pipeline] = plan.DeadLetters, plan.Ledger
	}
	places := names.Places(pipeline.Topics(plans...))
	shown := make([]shownTopic, 0, len(places))
	for _, place := range places {
		t := shownTopic{Name: place.Topic, SNSTopic: place.SNSTopic, Readers: []shownReader{}}
		for _, queue := range place.Queues {
			r := shownReader{Pipeline: queue.Reader, Queue: queue.Name, DeadLetterQueue: queue.DeadLetterQueue}
			if letters[queue.Reader] != place.Topic && ledgers[queue.Reader] != place.Topic {
				r.DeadLetters = letters[queue.Reader]
			}
			t.Readers = append(t.Readers, r)
		}
		shown = append(shown, t)
	}
	return shown
}

// topicsCommand makes `rastro pipeline topics`.
func (p *pipelineCommand) topicsCommand() *cobra.Command {
	format := formatText
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Print the topics that pipelines need, who reads them, and where what they reject goes",
		Long: `Print the topics that the pipelines of the configuration need, in alphabetical order. Every reader of a topic has a queue of its
own and gets everything that is written to the topic; what it rejects goes to the topic of its dead letters, which it reads
itself and keeps in the database, as it does with its ledger, which says what became of every event. A topic without readers
goes nowhere yet.

Formats, all stable:
  text    a table
  json    [{"name": TOPIC, "sns_topic": NAME, "readers": [{"pipeline": NAME, "dead_letters": TOPIC, "queue": NAME, "dead_letter_queue": NAME}]}]
  tfvars  a Terraform variable, map(object({sns_topic = optional(string), readers = map(object({
          dead_letters = optional(string), queue = string, dead_letter_queue = string}))})):
          rastro_topics = { TOPIC = { sns_topic = NAME, readers = { PIPELINE = { dead_letters = TOPIC, queue = NAME, ... } } } }
  helm    values: rastro.topics, a list of {name, stream, snsTopic, readers: [{pipeline, deadLetters, queue, deadLetterQueue}]}

A stream is the topic's on NATS JetStream, where the pipeline's name is that of its durable consumer. Queues and SNS topics are named as rastro looks for them on SQS, with RASTRO_SQS_PREFIX before. A topic with several readers
is an SNS topic that delivers to their queues, raw; a queue gives up to its dead-letter queue what was received too often.`,
		Example: `  rastro pipeline topics
  rastro pipeline topics --format tfvars > topics.auto.tfvars
  rastro pipeline topics --format helm > topics.values.yaml`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("format", format, formatText, formatJSON, formatTFVars, formatHelm); err != nil {
				return err
			}
			plans, err := p.plans(cmd.Context())
			if err != nil {
				return err
			}
			return writeTopics(cmd.OutOrStdout(), shownTopics(plans, p.names()), format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "text, json, tfvars or helm")
	return cmd
}

// names are those of a process that has the same environment.
func (p *pipelineCommand) names() sqs.Names {
	prefix := p.getenv("RASTRO_SQS_PREFIX")
	if prefix == "" {
		prefix = sqs.DefaultConfig().Prefix
	}
	return sqs.Names{Prefix: prefix}
}

func writeTopics(out io.Writer, topics []shownTopic, format string) error {
	switch format {
	case formatJSON:
		return writeJSON(out, topics)
	case formatTFVars:
		_, err := io.WriteString(out, tfvars(topics))
		return err
	case formatHelm:
		return writeYAML(out, helmValues(topics), false)
	default:
		rows := [][]string{{"TOPIC", "READ BY", "DEAD LETTERS", "SQS QUEUE"}}
		for _, topic := range topics {
			if len(topic.Readers) == 0 {
				rows = append(rows, []string{topic.Name, "-", "-", "-"})
			}
			for _, reader := range topic.Readers {
				rows = append(rows, []string{topic.Name, reader.Pipeline, orDash(reader.DeadLetters), reader.Queue})
			}
		}
		return writeTable(out, rows)
	}
}

// tfvars writes a Terraform variable. Names of topics and pipelines need no escapes: their characters are those of a name.
func tfvars(topics []shownTopic) string {
	var b strings.Builder
	b.WriteString("# Generated by `rastro pipeline topics --format tfvars`.\nrastro_topics = {\n")
	for _, topic := range topics {
		if len(topic.Readers) == 0 {
			fmt.Fprintf(&b, "  %q = { readers = {} }\n", topic.Name)
			continue
		}
		fmt.Fprintf(&b, "  %q = {\n", topic.Name)
		if topic.SNSTopic != "" {
			fmt.Fprintf(&b, "    sns_topic = %q\n", topic.SNSTopic)
		}
		b.WriteString("    readers = {\n")
		for _, reader := range topic.Readers {
			fmt.Fprintf(&b, "      %q = {\n", reader.Pipeline)
			if reader.DeadLetters != "" {
				fmt.Fprintf(&b, "        dead_letters      = %q\n", reader.DeadLetters)
			}
			fmt.Fprintf(&b, "        queue             = %q\n        dead_letter_queue = %q\n      }\n", reader.Queue, reader.DeadLetterQueue)
		}
		b.WriteString("    }\n  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func helmValues(topics []shownTopic) yaml.MapSlice {
	list := make([]any, len(topics))
	for i, topic := range topics {
		readers := make([]any, len(topic.Readers))
		for n, reader := range topic.Readers {
			r := yaml.MapSlice{{Key: "pipeline", Value: reader.Pipeline}}
			if reader.DeadLetters != "" {
				r = append(r, yaml.MapItem{Key: "deadLetters", Value: reader.DeadLetters})
			}
			readers[n] = append(r, yaml.MapItem{Key: "queue", Value: reader.Queue}, yaml.MapItem{Key: "deadLetterQueue", Value: reader.DeadLetterQueue})
		}
		shown := yaml.MapSlice{{Key: "name", Value: topic.Name}, {Key: "stream", Value: nats.StreamName(topic.Name)}}
		if topic.SNSTopic != "" {
			shown = append(shown, yaml.MapItem{Key: "snsTopic", Value: topic.SNSTopic})
		}
		list[i] = append(shown, yaml.MapItem{Key: "readers", Value: readers})
	}
	return yaml.MapSlice{{Key: "rastro", Value: yaml.MapSlice{{Key: "topics", Value: list}}}}
}
