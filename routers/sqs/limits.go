package sqs

import "github.com/rastrohq/rastro/pipeline"

// Limits returns what pipelines are checked against. SQS lets a reader have a message for 12 hours from when it received it,
// however often its visibility timeout is renewed (ChangeMessageVisibility).
func (c Config) Limits() pipeline.Limits {
	return pipeline.Limits{
		Broker: "SQS", FrameBytes: frameBytes(c.MaxMessageBytes), InHandBytes: int64(c.MaxInFlightBytes),
		Hold: maxVisibility, Receives: c.MaxReceives, ReceivesBy: "maxReceiveCount",
	}
}
