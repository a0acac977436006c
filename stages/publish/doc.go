// Package publish is the stage that hands events to the outside: to an SNS topic, an SQS queue or a NATS subject. An event that
// was handed over passes on.
//
//	stages:
//	  - use: publish
//	    with:
//	      sns: {topic_arn: "arn:aws:sns:us-east-1:123456789012:events"}
//	      format: cloudevents            # or event, payload
//	      attributes: {tenant: tenant_id, type: event_type}
//	      timeout: 10s
//
// # What is sent
//
// format says what a message holds: a CloudEvent 1.0 in the JSON format, structured mode (package tracking/formats/cloudevents);
// the event in the form of the wire, with uid, received_at and enrichment; or nothing but its payload. attributes become message
// attributes, which subscription filters of SNS look at, or headers of NATS. One whose field an event lacks is left out.
//
// # How often
//
// At least once: what is redelivered is sent again. A FIFO topic or queue (its name ends in .fifo) and JetStream are told the UID
// as the id of the message, so that they drop a redelivery within their window (5 minutes with AWS, the stream's with
// JetStream). A duplicate that the sender sent has a UID of its own: put dedupe before this stage. In a FIFO topic or queue
// the events with the same `group`, correlation_id by default, keep the order in which they are sent.
//
// # When it fails
//
// A message that the destination will never take (too large, characters that it does not allow) is rejected, with the codes
// "too_large", "refused" or "encode". Any other failure is not the event's: those that did not get through are retried, and
// when none got through the stage as a whole counts as down, so that its breaker opens and no attempts are used up.
//
// SNS and SQS take 10 messages a request; the entries of a request together stay below max_bytes. The credentials, the region and
// more come from where the AWS SDK looks for them: the environment, the shared configuration, the role of the task or the
// instance.
//
// JetStream says that it has stored a message. Without it (jetstream: false) NATS says only that the server has received it:
// whoever is not subscribed at the moment misses it. Nothing is connected before the first event.
package publish
