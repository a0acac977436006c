// Package log is the stage that writes a line to the process's log for the events that come by, and lets every one of them go
// on.
//
//	stages:
//	  - use: log
//	    when: event.event_type == "missing"
//	    with:
//	      level: warn                                  # defaults to info
//	      message: a bag is missing
//	      fields: [tenant_id, uid, location.iata]      # what of the event the line tells
//	      sample: 0.1                                  # one event in ten
//
// Logs are read by more people than events are. Only the fields that are named are logged, by default those that tell which
// event it was and nothing of whom it is about: the payload is logged only by naming it. A value is cut to its first 256 bytes.
//
// Whether an event is among the sample depends on its UID alone: a redelivery is logged as the first delivery was, and stages
// with the same share log the same events.
package log
