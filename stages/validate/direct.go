package validate

import (
	"slices"
	"time"

	"github.com/rastrohq/rastro/tracking"
)

// direct is quick for events as they are: what a schema asks of the fields of an event is asked of the fields, and no document is made
// of them. Like quick it never accepts what the validator would not, and what it does not accept quick and the validator judge.
type direct struct {
	closed bool // no other properties
	// The rules of the fields; nil for those that the schema does not name.
	tenant, source, eventID, correlation, aggregate, kind, eventType, classifier, quality *quick
	uid, timestamp, received, revision                                                    *quick
	location, quantity, transport, corrects, payload, enrichment                          *quick
	// anyUID, byYear and receivedByYear say that the rules take every value that can stand there, or every one of a year.
	anyUID, byYear, receivedByYear bool
}

// always are the fields that every event has in its wire form.
var always = []string{
	"uid", "tenant_id", "source", "event_id", "correlation_id", "aggregate_id", "event_type", "classifier", "timestamp", "received_at",
}

// newDirect returns nil when the schema asks more of an event than what its fields hold, one by one.
func newDirect(root *quick) *direct {
	if root == nil || root.fixed != nil || root.ref != nil || root.format != nil || root.enum != nil || !root.types.any && !root.types.object {
		return nil
	}
	for _, name := range root.required {
		if !slices.Contains(always, name) {
			return nil
		}
	}
	p := root.properties
	d := &direct{
		closed: root.closed, tenant: p["tenant_id"], source: p["source"], eventID: p["event_id"], correlation: p["correlation_id"],
		aggregate: p["aggregate_id"], kind: p["kind"], eventType: p["event_type"], classifier: p["classifier"], quality: p["time_quality"],
		uid: p["uid"], timestamp: p["timestamp"], received: p["received_at"], revision: p["revision"],
		location: p["location"], quantity: p["quantity"], transport: p["transport"], corrects: p["corrects"],
		payload: p["payload"], enrichment: p["enrichment"],
	}
	d.anyUID = d.uid.takesEvery("uuid", 36, 36, 0)
	// As long as RFC 3339 has it, from whole seconds in UTC to nanoseconds elsewhere; a pattern may ask for the year and its hyphen.
	d.byYear = d.timestamp.takesEvery("date-time", len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.000000000-07:00"), len("2006-"))
	d.receivedByYear = d.received.takesEvery("date-time", len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.000000000-07:00"), len("2006-"))
	return d
}

// takesEvery reports whether the rules surely take every text of a format and so many characters that begins with what they take of
// it, where they look at no more than its first bytes.
func (q *quick) takesEvery(format string, shortest, longest, first int) bool {
	if q == nil || q.fixed != nil {
		return q == nil || *q.fixed
	}
	return (q.ref == nil || q.ref.takesEvery(format, shortest, longest, first)) && (q.types.any || q.types.text) && q.enum == nil &&
		q.minLength <= shortest && q.maxLength >= longest && (q.format == nil || q.format.Name == format) &&
		(q.pattern == nil || q.reach <= first)
}

// begins reports whether the patterns of the rules match a beginning.
func (q *quick) begins(text string) bool {
	return q == nil || q.fixed != nil || (q.ref == nil || q.ref.begins(text)) && (q.pattern == nil || q.pattern.MatchString(text))
}

// years remembers, for one batch, the last year whose instants fit.
type years struct{ last int }

// memory is what is remembered from one event of a batch to the next.
type memory struct{ occurred, received years }

// accepts reports that an event surely fits.
func (d *direct) accepts(e *tracking.Event, m *memory) bool {
	return d.text(d.tenant, e.TenantID) && d.text(d.source, e.Source) && d.text(d.eventID, e.EventID) &&
		d.text(d.correlation, e.CorrelationID) && d.text(d.aggregate, e.AggregateID) && d.text(d.eventType, e.Type) &&
		d.text(d.classifier, string(e.Classifier)) && (e.Kind == "" || d.text(d.kind, string(e.Kind))) &&
		(e.TimeQuality == "" || d.text(d.quality, string(e.TimeQuality))) &&
		(d.anyUID && d.named(d.uid) || d.text(d.uid, e.UID.String())) &&
		d.instant(d.timestamp, d.byYear, e.OccurredAt, &m.occurred) && d.instant(d.received, d.receivedByYear, e.ReceivedAt, &m.received) &&
		(e.Revision == 0 || d.value(d.revision, e.Revision)) && d.parts(e)
}

// parts judges what few events have, by its document.
func (d *direct) parts(e *tracking.Event) bool {
	return (e.Location == nil || d.value(d.location, locationDocument(e.Location))) &&
		(e.Quantity == nil || d.value(d.quantity, quantityDocument(e.Quantity))) &&
		(e.Transport == nil || d.value(d.transport, transportDocument(e.Transport))) &&
		(e.Corrects == nil || d.value(d.corrects, correctionDocument(e.Corrects))) &&
		(e.Enrichment.IsZero() || d.value(d.enrichment, enrichmentDocument(&e.Enrichment))) &&
		(len(e.Payload) == 0 || d.named(d.payload))
}

// named reports whether a property may be there at all.
func (d *direct) named(q *quick) bool { return q != nil || !d.closed }

func (d *direct) text(q *quick, text string) bool {
	if q == nil {
		return !d.closed
	}
	return q.acceptsString(text)
}

func (d *direct) value(q *quick, value any) bool {
	if q == nil {
		return !d.closed
	}
	return q.accepts(value)
}

func (d *direct) instant(q *quick, byYear bool, at time.Time, known *years) bool {
	year := at.Year()
	if _, offset := at.Zone(); !byYear || year < 1 || year > 9999 || offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		return d.text(q, at.Format(time.RFC3339Nano))
	}
	if year == known.last {
		return true
	}
	if !d.named(q) || !q.begins(at.Format("2006-")) {
		return false
	}
	known.last = year
	return true
}
