// Package tracking is the domain, pure: events, the trace they fold into, milestones, places and airlines. It does no I/O
// and knows nothing of brokers, databases or HTTP.
package tracking
