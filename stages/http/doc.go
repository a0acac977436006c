// Package http is the stage that calls a service with the events of a batch: to tell it of them, to add what it answers, or to
// have it judge them.
//
//	stages:
//	  - use: http
//	    with:
//	      url: https://screening.example.com/v1/events
//	      token: ${SCREENING_TOKEN}
//	      response: verdicts
//
// A batch goes out in requests of up to max_events events and max_bytes bytes, parallel of them at once. What an answer means:
//
//   - 2xx: the events pass, or as the answer says (below).
//   - a status of reject_on: an event of the request will never be right. Unless it was the only one, the request is halved and
//     sent again until it shows which, and that one is rejected with the code "http_STATUS". The others go on.
//   - any other 5xx, and a 2xx whose body cannot be read: the service fails at an event of the request, which is found in
//     the same way and tried again; that uses up its attempts.
//   - a status of retry_on, any other status, and no answer in time: the service cannot work, or the stage is not allowed to
//     use it. That is no event's fault: they all wait and use up no attempts. When the service says for how long
//     (Retry-After), it is left alone for as long, at most five minutes.
//
// Requests that were answered while others failed are not made again in the same process. They are after a crash: an event may
// be sent more than once, with the same uid, and a request with the same events has the same Idempotency-Key.
//
// With `response: verdicts` the answer has a result for every event of the request, as {"results": [...]} or as a list:
//
//	{"index": 0, "outcome": "reject", "code": "embargo", "reason": "not to be carried", "field": "/payload/goods"}
//
// index is the event's place in the request; uid may stand in its stead. outcome is pass, drop, reject or retry; retry_after is
// in seconds; attributes of an event that passes are added to it: {"attributes": {"risk": {"score": 3}}}.
//
// With `response: attributes` an answer is what `into` names: with `body: one` the answer as it is, otherwise an item for
// each event of a list. null adds nothing.
package http
