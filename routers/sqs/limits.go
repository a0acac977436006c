package sqs

import "github.com/rastrohq/rastro/pipeline"

// Limits returns what the transport sets pipelines, for their delivery to be checked against.
func (c Config) Limits() pipeline.Limits {
	return pipeline.Limits{
		Broker: "SQS", FrameBytes: frameBytes(c.MaxMessageBytes), InHandBytes: int64(c.MaxInFlightBytes),
		Hold: maxVisibility, Receives: c.MaxReceives, ReceivesBy: "RASTRO_SQS_MAX_RECEIVES",
	}
}
