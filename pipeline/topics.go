package pipeline

import (
	"slices"
	"strings"
)

// Topic is a queue that pipelines need, with everyone who reads it. A reader gets every frame of the topic once.
type Topic struct {
	Name string
	// Readers are the names of the pipelines that read the topic; empty when what is written there goes nowhere yet.
	Readers []string
}

// Topics derives the topics that the plans need, in alphabetical order. It is the one source of what brokers, deployments and
// pictures need to know.
func Topics(plans ...Plan) []Topic {
	readers := map[string][]string{}
	write := func(topic string) {
		if _, known := readers[topic]; !known {
			readers[topic] = nil
		}
	}
	read := func(topic, reader string) {
		if !slices.Contains(readers[topic], reader) {
			readers[topic] = append(readers[topic], reader)
		}
	}
	for _, plan := range plans {
		for _, hop := range plan.Hops {
			read(hop.From, plan.Pipeline)
			for _, topic := range hop.Topics() {
				write(topic)
			}
		}
		read(plan.DeadLetters, plan.Pipeline)
		if plan.Ledger != "" {
			read(plan.Ledger, plan.Pipeline)
		}
	}
	topics := make([]Topic, 0, len(readers))
	for name, names := range readers {
		slices.Sort(names)
		topics = append(topics, Topic{Name: name, Readers: names})
	}
	slices.SortFunc(topics, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return topics
}
