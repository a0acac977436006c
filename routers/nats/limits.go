package nats

import "github.com/rastrohq/rastro/pipeline"

// defaultMaxPayload is what a NATS server takes in a message unless it is set to take more or less, in bytes.
const defaultMaxPayload = 1 << 20

// Limits returns what pipelines are checked against when a server has its default settings; a Transport knows what its server
// takes (MaxFrameBytes). JetStream lets a reader have a message for as long as it says that it is at work, and Provision has it
// delivered again without end.
func (c Config) Limits() pipeline.Limits {
	return pipeline.Limits{Broker: "NATS JetStream", FrameBytes: frameBytes(defaultMaxPayload)}
}
