// Package sqs carries frames over Amazon SQS: a queue for every reader of a topic, and an SNS topic in front of the queues of a
// topic that has several readers. A topic that nobody reads has nothing, and what is published to it costs no request and is
// not kept, as on the other transports.
//
// # What is watermill-aws's and what is not
//
// watermill-aws v1.0.2 gives the resolver that finds a queue's URL by its name and remembers it, the attributes and input that
// queues are created with, the policy and the subscription that tie a queue to its SNS topic, and the unmarshaler of messages
// that others sent. Replaced are:
//
//   - Its subscriber, which has one message in hand a worker, deletes one message a request, lets the visibility timeout pass
//     while a handler works, and does not tell how often a message was received. With an API that answers in 5 ms and a
//     handler that takes 5 ms it received 57 messages a second by default and 655 at its best (10 workers, 10 a receive); and a
//     nack of the third of ten messages left the other seven to their visibility timeout, each a receive poorer.
//   - Its publishers to SQS and SNS, which pay a request a message and do not honour contexts.
//   - Its marshaler, which would send frames, which are binary, as text, and an attribute for each piece of metadata, of which
//     SQS takes no empty ones and no more than ten.
package sqs
